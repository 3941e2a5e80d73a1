"""A thread's settings for Syscall User Dispatch (diversion.py)."""

from kernel.lang import final
from kernel.lib.saturation import LEAST, wrapped_sum


@final
class UserDispatch:
    """The settings of one thread."""

    def __init__(self, start: int, size: int, selector: int) -> None:
        self.start: int = start
        self.size: int = size
        self.selector: int = selector  # the address of the byte; 0 for none

    def exempts(self, address: int) -> bool:
        """Whether calls from an address always go through. The range may be any numbers, all of them unsigned."""
        distance = wrapped_sum(wrapped_sum(address, ~self.start), 1)
        return distance ^ LEAST < self.size ^ LEAST
