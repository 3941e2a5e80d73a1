"""The entries of a tmpfs directory in the order of creation, each at a position that stays the same while others come
and go (readdir).

They lie in chunks, so that adding or removing one moves few, however many there are.

Invariants: positions grow from entry to entry; only the last chunk may be empty, and only where it is the only one.

Context: never sleeps. `append` may raise MemoryError; nothing else needs memory.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import final

if TYPE_CHECKING:
    from kernel.fs.tmpfs.base import TmpfsInode

CHUNK: Final = 128  # entries


class TmpfsEntry:
    """A name in a directory."""

    def __init__(self, name: bytes, inode: "TmpfsInode", position: int) -> None:
        self.name: bytes = name
        self.inode: TmpfsInode = inode
        self.position: int = position


@final
class EntryOrder:
    """The entries of one directory."""

    def __init__(self) -> None:
        self._last: list[TmpfsEntry] = []
        self._full: list[list[TmpfsEntry]] | None = None  # the chunks before the last one, if there are any

    # ---- Looking ----------------------------------------------------------------------------------------------

    def chunk_count(self) -> int:
        full = self._full
        return 1 if full is None else len(full) + 1

    def chunk(self, number: int) -> list[TmpfsEntry]:
        """One of the chunks, from 0. To be read only."""
        full = self._full
        return self._last if full is None or number == len(full) else full[number]

    def chunk_at(self, position: int) -> int:
        """The number of the first chunk that ends with an entry at or after `position`, or else that of the last."""
        full = self._full
        if full is None:
            return 0
        low = 0
        high = len(full)
        while low < high:
            middle = (low + high) // 2
            if full[middle][-1].position < position:
                low = middle + 1
            else:
                high = middle
        return low

    def next_from(self, position: int) -> TmpfsEntry | None:
        """The first entry at or after `position`: for callers that let others change the directory in between."""
        chunk = self.chunk(self.chunk_at(position))
        index = find_position(chunk, position)
        return chunk[index] if index < len(chunk) else None

    # ---- Changing ---------------------------------------------------------------------------------------------

    def append(self, entry: TmpfsEntry) -> None:
        """Add an entry, whose position is the greatest. Raises MemoryError, with nothing changed."""
        if len(self._last) < CHUNK:
            self._last.append(entry)
            return
        fresh = [entry]
        full = self._full
        if full is None:
            self._full = [self._last]
        else:
            full.append(self._last)
        self._last = fresh

    def remove(self, entry: TmpfsEntry) -> None:
        """Take an entry out."""
        number = self.chunk_at(entry.position)
        chunk = self.chunk(number)
        if chunk[-1] is entry:
            chunk.pop()
        else:
            del chunk[find_position(chunk, entry.position)]
        full = self._full
        if full is not None and len(chunk) < CHUNK // 4:
            self._merge(full, number)

    def pop(self) -> TmpfsEntry | None:
        """Take the last entry out."""
        if not self._last:
            return None
        entry = self._last[-1]
        self.remove(entry)
        return entry

    def _merge(self, full: list[list[TmpfsEntry]], number: int) -> None:
        """A chunk has few entries: they move to the one before if it has room, or leave with it if there are none."""
        chunk = self.chunk(number)
        if chunk:
            if number == 0 or len(full[number - 1]) + len(chunk) > CHUNK:
                return
            try:
                full[number - 1].extend(chunk)
            except MemoryError:
                return
        if number < len(full):
            del full[number]
        else:
            self._last = full.pop()
        if not full:
            self._full = None


def find_position(chunk: list[TmpfsEntry], position: int) -> int:
    """The index of the first entry at or after `position`."""
    low = 0
    high = len(chunk)
    while low < high:
        middle = (low + high) // 2
        if chunk[middle].position < position:
            low = middle + 1
        else:
            high = middle
    return low
