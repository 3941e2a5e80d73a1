"""The pages of a ring: the kernel's, as an address space shows them, or the program's own (IORING_SETUP_NO_MMAP).

A mapping keeps the ring's file open, as on Linux, so a ring ends when it is neither mapped nor open.

Context: system calls and page faults.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import EFAULT, EINVAL, EIO, EOVERFLOW, Errno, final
from kernel.lib import user
from kernel.mm.area import Area
from kernel.mm.frames import NO_FRAME, Frame, get_frame
from kernel.mm.objects import MemoryObject
from kernel.mm.pinning import PinnedFrames
from kernel.mm.ring_memory import RingMemory

_PAGE_BYTES: Final = 4096
_NAME: Final = b"anon_inode:[io_uring]"
_DEVICE: Final = 14  # of anonymous inodes, as in /proc/PID/maps


def whole_pages(size_bytes: int) -> int:
    """Rounded up."""
    return (size_bytes + _PAGE_BYTES - 1) // _PAGE_BYTES * _PAGE_BYTES


def memory_at(address: int, size_bytes: int) -> RingMemory:
    """The running program's own pages from an address on. They stay as they are, and remain the ring's if the program
    unmaps them. Raises EINVAL (not the start of a page), EOVERFLOW, EFAULT, MemoryError. Sleeps.
    """
    if address & (_PAGE_BYTES - 1) != 0:
        raise Errno(EINVAL)
    if address < 0 and address + size_bytes + _PAGE_BYTES > 0:  # fits: no ring has a GiB; the sum of unsigned numbers
        raise Errno(EOVERFLOW)
    size_bytes = whole_pages(size_bytes)
    user.check(address, size_bytes)
    pins = PinnedFrames(device_writes=True)
    memory = RingMemory(0)
    done = False
    try:
        if pins.pin(address, size_bytes) < size_bytes:
            raise Errno(EFAULT)
        memory.frames = pins.frames[0 : len(pins.frames)]
        memory.pins = pins
        done = True
    finally:
        if not done:
            pins.release()
    return memory


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
