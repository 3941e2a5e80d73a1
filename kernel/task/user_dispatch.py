"""What a thread with Syscall User Dispatch asked for (diversion.py)."""

from kernel.lang import final
from kernel.lib.saturation import LEAST, wrapped_sum


@final
class UserDispatch:
    """What one thread asked for."""

    def __init__(self, start: int, size: int, selector: int) -> None:
        self.start: int = start
        self.size: int = size
        self.selector: int = selector  # the address of the byte; 0 for none

    def exempts(self, address: int) -> bool:
        """Whether a call from there is made always. Any numbers may stand for the range, all of them unsigned."""
        distance = wrapped_sum(wrapped_sum(address, ~self.start), 1)
        return distance ^ LEAST < self.size ^ LEAST
