"""A list to whose end programs may append very much: it lies in parts, so that it never grows in one long step.

    for part in found.parts:
        for each in part:
            ...

Invariants: no part is empty; all but the last one are full.

Context: any. `append` may raise MemoryError.
"""

from typing import Final, Generic, TypeVar

from kernel.lang import final

T = TypeVar("T")

PART: Final = 1024  # values


@final
class LongList(Generic[T]):
    """The values."""

    def __init__(self) -> None:
        self.parts: list[list[T]] = []
        self.count: int = 0

    def append(self, value: T) -> None:
        """Raises MemoryError, with nothing changed."""
        parts = self.parts
        if len(parts) > 0 and len(parts[-1]) < PART:
            parts[-1].append(value)
        else:
            parts.append([value])
        self.count += 1

    def first(self) -> T:
        """The first value, which there is."""
        return self.parts[0][0]

    def take_last(self) -> T | None:
        """Remove and return the last value, if there is one. Needs no memory."""
        parts = self.parts
        if len(parts) == 0:
            return None
        value = parts[-1].pop()
        if len(parts[-1]) == 0:
            parts.pop()
        self.count -= 1
        return value
