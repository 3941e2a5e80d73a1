"""The pages of a ring as an address space shows them.

A mapping keeps the ring's file open, as on Linux, so a ring ends when it is neither mapped nor open.

Context: system calls and page faults.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import EIO, Errno, final
from kernel.mm.area import Area
from kernel.mm.frames import NO_FRAME, Frame, get_frame
from kernel.mm.objects import MemoryObject
from kernel.mm.ring_memory import RingMemory

_NAME: Final = b"anon_inode:[io_uring]"
_DEVICE: Final = 14  # of anonymous inodes, as in /proc/PID/maps


@final
class RingPages(MemoryObject):
    """One part of a ring: what mmap(2) shows from one of the offsets on."""

    def __init__(self, file: File, memory: RingMemory, first_index: int, held_pages: int) -> None:
        self._file: File = file
        self._memory: RingMemory = memory
        self._held_pages: int = held_pages  # of all of the ring, which the mapping keeps
        self._first_index: int = first_index  # the page of the file with which the part begins
        self._is_dead: bool = False  # another thread closed the ring before it was mapped

    def keeps_size(self) -> bool:
        return True

    def link_count(self) -> int:
        return 1

    def page(self, index: int, for_write: bool) -> Frame:
        frame = self.resident(index)
        if frame == NO_FRAME:
            raise Errno(EIO)
        get_frame(frame)
        return frame

    def resident(self, index: int) -> Frame:
        at = index - self._first_index
        frames = self._memory.frames
        return Frame(frames[at]) if 0 <= at < len(frames) else NO_FRAME

    def attach(self, area: Area) -> None:
        self._is_dead = self._file.users == 0  # the same for all areas: one that maps it keeps it open
        self._count(area, self._held_pages)
        self.acquire()

    def leaves(self, area: Area) -> None:
        self._count(area, -self._held_pages)

    def detach(self, area: Area) -> None:
        self._count(area, -self._held_pages)  # unless it has left its space already
        self.release()

    def _count(self, area: Area, pages: int) -> None:
        """The ring counts for whoever maps it, once for each area: nobody else may know it any more."""
        space = area.space
        if space is not None:
            space.ring_pages += pages

    def acquire(self) -> None:
        if not self._is_dead:
            self._file.acquire()

    def release(self) -> None:
        if not self._is_dead:
            self._file.release()

    def name(self) -> bytes:
        return _NAME

    def inode_number(self) -> int:
        return self._file.inode.ino

    def device_number(self) -> int:
        return _DEVICE
