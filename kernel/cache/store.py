"""Where a file's pages come from and go to: a file system's side of the page cache.

A file system derives from `BackingStore`, one store a file. The cache asks it in bytes, and it answers in runs of
sectors, so that a request of many pages goes to the device in one piece wherever the file lies in one piece.

Context: `map` and `allocate` may sleep (a file system reads its own blocks); `size_bytes` and `modified` never do, and
`size_bytes` may be called from interrupts.
"""

from enum import IntEnum
from typing import Final

from kernel.block.device import BlockDevice
from kernel.block.throttle import slow_down
from kernel.lang import EIO, ENOSPC, Errno

HOLE: Final = -1


class SyncScope(IntEnum):
    """What of a file is to reach the device."""

    DATA = 0  # fdatasync(2): the contents, and what is needed to find and read them again
    ALL = 1  # fsync(2): times too


class Runs:
    """Consecutive pieces of a file: where each lies on the device, and its length."""

    def __init__(self) -> None:
        self.sectors: list[int] = []  # HOLE: nowhere, reads as zeros
        self.lengths: list[int] = []  # bytes, multiples of 512

    def add(self, sector: int, length: int) -> None:
        """Append a piece of `length` bytes at `sector` (or HOLE); joined with the one before where it goes on."""
        last = len(self.sectors) - 1
        if last >= 0:
            before = self.sectors[last]
            end = HOLE if before == HOLE else before + (self.lengths[last] >> 9)
            if sector == end:
                self.lengths[last] += length
                return
        self.sectors.append(sector)
        self.lengths.append(length)


class BackingStore:
    """The backing store of a cache. Base class."""

    def device(self) -> BlockDevice:
        """The device that requests go to."""
        raise Errno(EIO)

    def slow_down(self, size_bytes: int) -> None:
        """The running thread has written that much to the file: wait if its group has used up its share of the disk."""
        try:
            device = self.device()
        except Errno:
            return
        slow_down(device, size_bytes)

    def size_bytes(self) -> int:
        """The size of the file. There are no pages past it."""
        return 0

    def map(self, offset: int, length: int, runs: Runs) -> None:
        """Say where the bytes offset … offset + length - 1 lie: pieces in order, `length` bytes in all.

        Both are multiples of the page size; what lies past the end of the file is a HOLE. Raises EIO (also for
        blocks that do not lie on the device), MemoryError.
        """
        runs.add(HOLE, length)

    def allocate(self, offset: int, length: int) -> None:
        """Give the bytes offset … offset + length - 1, all in one page, a place on the device where they have none.
        (More than a page only past the end of the file, by whoever calls `give_back` when it fails.)

        The page is in the cache, complete and held meanwhile, and will be marked dirty: what the new blocks hold is
        never read. It is called once for a page, which then has all its blocks; so code that frees some of them calls
        `FileCache.take_place`, after waiting for direct reads. Raises ENOSPC, EDQUOT, EIO, EFBIG, MemoryError.
        """
        raise Errno(ENOSPC)

    def allocation_unit(self) -> int:
        """Bytes of the blocks that `allocate` gives, a power of two; 0 where nothing is allocated. Then `allocate` also
        takes whole blocks past the end of the file, any number of them (O_DIRECT).
        """
        return 0

    def give_back(self) -> None:
        """Free what was allocated past the end of the file, because it could not be written. May sleep."""

    def begin_change(self) -> None:
        """Lock out all other changes to the file: taken around `allocate` for a write through a mapping (write(2) holds
        the lock already), and while a direct read looks up where bytes lie. May sleep.
        """

    def end_change(self) -> None:
        """Undo `begin_change`."""

    def grow(self, size: int) -> None:
        """A write went past the end of the file: it is now `size` bytes long. Never sleeps or raises."""

    def modified(self) -> None:
        """A program is changing the contents through a mapping. Never sleeps or raises."""

    def commit(self, scope: SyncScope) -> None:
        """The pages are on the device: now write the metadata that leads to them (inode, indirect blocks). May sleep.
        Raises EIO.
        """
