"""The controller "memory": how much memory a group may have, those below it among them."""

from typing import Final

from kernel.lang import final

NO_MEMORY_LIMIT: Final = 1 << 51  # pages


@final
class MemoryControl:
    """The count of one group, in pages."""

    def __init__(self, parent: "MemoryControl | None", number: int) -> None:
        self.parent: MemoryControl | None = parent
        self.number: int = number
        self.usage: int = 0
        self.peak: int = 0
        self.limit: int = NO_MEMORY_LIMIT


@final
class MemoryControls:
    """All of them."""

    def make(self, parent: MemoryControl | None) -> MemoryControl:
        """One more. Raises ENOMEM, MemoryError."""
        return MemoryControl(parent, 0)

    def end(self, control: MemoryControl) -> None:
        """Its group goes, or loses the controller."""


MEMORY_CONTROLS: Final = MemoryControls()
