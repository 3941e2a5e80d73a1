"""Entries of a directory as records: what getdents64(2) returns, and what an overlay reads from its layers.

There is no other kind of sink, so emitting an entry is a direct call.

Context: never sleeps.
"""

from typing import Final

from kernel.fs.file import DirectorySink
from kernel.lang import span_of, u64

_FIRST_CHUNK: Final = 2048  # grows when it is full: most directories are small, and what is allocated must be zeroed


class EntryBuffer(DirectorySink):
    """Builds the records of getdents64(2), or with `old` those of getdents(2)."""

    def __init__(self, size: int, old: bool) -> None:
        super().__init__()
        self.size: int = size  # the limit for all records together
        self.storage: bytearray = bytearray(min(size, _FIRST_CHUNK))
        self.used: int = 0
        self.last: int = 0  # where the last record begins
        self.old: bool = old
        self.refused: bool = False

    def emit(self, name: bytes, ino: int, kind: int, next_position: int) -> bool:
        # Header, name, NUL (and in the old form the kind at the very end), padded to a multiple of eight.
        length = (18 + len(name) + 2 + 7) & ~7 if self.old else (19 + len(name) + 1 + 7) & ~7
        if length > len(self.storage) - self.used and not self._grow(length):
            self.refused = True
            return False
        record = span_of(self.storage)[self.used : self.used + length]
        record.store_u64(0, u64(ino))
        record.store_u64(8, u64(next_position))
        record.store_u16(16, length)
        start = 18 if self.old else 19
        record[start : start + len(name)].copy_from(span_of(name))
        if self.old:
            record.store_u8(length - 1, kind)
        else:
            record.store_u8(18, kind)
        self.last = self.used
        self.used += length
        return True

    def _grow(self, length: int) -> bool:
        """Make room for a record; False if there is none."""
        if length > self.size - self.used:
            return False
        try:
            larger = bytearray(min(self.size, max(2 * len(self.storage), self.used + length)))
        except MemoryError:
            return False
        span_of(larger)[0 : self.used].copy_from(span_of(self.storage)[0 : self.used])
        self.storage = larger
        return True

    def pass_over(self, position: int) -> None:
        super().pass_over(position)
        if self.used > 0:
            span_of(self.storage).store_u64(self.last + 8, u64(position))
