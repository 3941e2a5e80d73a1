"""The controller "cpu": how much time a group of threads may have, and which share of it."""

from typing import Final

from kernel.lang import final

DEFAULT_WEIGHT: Final = 100


@final
class TimeShare:
    """That of one group."""

    def __init__(self, parent: "TimeShare | None") -> None:
        self.parent: TimeShare | None = parent
        self.weight: int = DEFAULT_WEIGHT

    def end(self) -> None:
        """Its group goes, or loses the controller."""
