"""Things ordered by the time at which they are due: a binary heap whose entries know their places.

An entry is an object of a class derived from `Queued`, and is in at most one heap. Since it knows its place, moving
it and removing it cost no search. The kernel's timers (`timers.py`) are in one, the network's in another.

Invariants: `entries[e.position] is e` for every entry; no entry is due before its parent.
Context: any; nothing sleeps, and only `insert` may raise MemoryError.
"""

from typing import Final, Generic, TypeVar

from kernel.lang import final

NOT_QUEUED: Final = -1


class Queued:
    """Base of entries of a heap."""

    def __init__(self) -> None:
        self.queued_ns: int = 0  # when it is due, as far as the heap knows
        self.position: int = NOT_QUEUED


T = TypeVar("T", bound=Queued)


@final
class DeadlineHeap(Generic[T]):
    """The heap. The entry that is due first is `entries[0]`."""

    def __init__(self) -> None:
        self.entries: list[T] = []

    def insert(self, entry: T, queued_ns: int) -> None:
        """Insert an entry that is in no heap. Raises MemoryError, and then it still is in none."""
        at = len(self.entries)
        self.entries.append(entry)
        entry.queued_ns = queued_ns
        entry.position = at
        self._sift_up(at)

    def move(self, entry: T, queued_ns: int) -> None:
        """Change when an entry of this heap is due."""
        entry.queued_ns = queued_ns
        self._sift_up(entry.position)
        self._sift_down(entry.position)

    def take_out(self, entry: T) -> None:
        """Remove an entry of this heap."""
        at = entry.position
        last = self.entries.pop()
        entry.position = NOT_QUEUED
        if last is entry:
            return
        self.entries[at] = last
        last.position = at
        self._sift_up(at)
        self._sift_down(last.position)

    def _sift_up(self, at: int) -> None:
        entries = self.entries
        entry = entries[at]
        while at > 0:
            parent = (at - 1) >> 1
            above = entries[parent]
            if above.queued_ns <= entry.queued_ns:
                break
            entries[at] = above
            above.position = at
            at = parent
        entries[at] = entry
        entry.position = at

    def _sift_down(self, at: int) -> None:
        entries = self.entries
        entry = entries[at]
        count = len(entries)
        while True:
            child = 2 * at + 1
            if child >= count:
                break
            if child + 1 < count and entries[child + 1].queued_ns < entries[child].queued_ns:
                child += 1
            below = entries[child]
            if below.queued_ns >= entry.queued_ns:
                break
            entries[at] = below
            below.position = at
            at = child
        entries[at] = entry
        entry.position = at
