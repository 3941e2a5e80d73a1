"""What mmap(2) maps of a map of bpf(2): its memory, shared.

A ring is a page that the process may write, one that it reads, and its records, as long as it has pages, twice.

Context: may sleep.
Source: Linux's Documentation/bpf/ringbuf.rst; the case bpf_rings.
"""

from typing import Final

from kernel.bpf.mapped_array import MappedArray
from kernel.bpf.maps import ARRAY, NOT_SUPPORTED, PROGRAM_READ_ONLY, Map
from kernel.bpf.ring import POSITION_PAGES, RingMap
from kernel.fs.file import File
from kernel.lang import EACCES, EBADF, EINVAL, EIO, EPERM, Errno, final
from kernel.mm.area import PROT_EXEC, PROT_WRITE, Area
from kernel.mm.frames import NO_FRAME, PAGE_SHIFT, PAGE_SIZE, Frame, get_frame
from kernel.mm.objects import MemoryObject
from kernel.mm.ring_memory import RingMemory

_NAME: Final = b"anon_inode:bpf-map"
_DEVICE: Final = 14  # of anonymous inodes, as in /proc/PID/maps


@final
class MapPages(MemoryObject):
    """The pages, as an area shows them. While it does, it keeps the map open."""

    def __init__(self, file: File, map_: Map, memory: RingMemory, pages: int, repeated: int) -> None:
        """`pages` in a row; the last `repeated` of them are the same as those before them."""
        self._file: File = file
        self._map: Map = map_
        self._memory: RingMemory = memory
        self._pages: int = pages
        self._repeated: int = repeated
        self._is_dead: bool = False  # another thread closed the file before it was mapped

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
        if not 0 <= index < self._pages:
            return NO_FRAME
        place = index - self._repeated if index >= self._pages - self._repeated else index
        frames = self._memory.frames
        return Frame(frames[place]) if place < len(frames) else NO_FRAME

    def attach(self, area: Area) -> None:
        self._is_dead = self._file.users == 0  # the same for all areas: one that maps it keeps it open
        area.dont_dump = True
        if area.maximum_prot & PROT_WRITE != 0:
            self._map.writers += 1
        self.acquire()

    def detach(self, area: Area) -> None:
        if area.maximum_prot & PROT_WRITE != 0:
            self._map.writers -= 1
        self.release()

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


def may_be_mapped(map_: Map) -> bool:
    """Whether maps of its kind can be mapped, some of them at least."""
    return isinstance(map_, RingMap) or map_.kind == ARRAY


def mapping_limit(map_: Map, offset: int, size_bytes: int, prot: int, most: int) -> int:
    """What a mapping with `prot` may ever be allowed, of `most`. Raises ENOTSUPP, EINVAL, EPERM, EACCES."""
    if not may_be_mapped(map_):
        raise Errno(NOT_SUPPORTED)
    if most & PROT_WRITE == 0:
        raise Errno(EINVAL)  # the descriptor is for reading only, which makes a shared mapping a private one on Linux
    if prot & PROT_WRITE == 0:
        most &= ~PROT_WRITE
    elif map_.is_frozen or (map_.kind != ARRAY and (offset != 0 or size_bytes != PAGE_SIZE)):
        raise Errno(EPERM)
    elif map_.flags & PROGRAM_READ_ONLY != 0:
        raise Errno(EACCES)
    return most if prot & PROT_EXEC != 0 else most & ~PROT_EXEC


def mapped_part(file: File, map_: Map, offset: int, size_bytes: int) -> MemoryObject:
    """What is mapped of these pages. Raises EINVAL for more than there is, EBADF if another thread closed the file."""
    if isinstance(map_, RingMap):
        memory = map_.memory
        records = map_.most >> PAGE_SHIFT
        pages = POSITION_PAGES + 2 * records
    elif isinstance(map_, MappedArray):
        memory = map_.memory
        records = 0
        pages = map_.page_count()
    else:
        raise Errno(EINVAL)  # an array for which it was not asked (BPF_F_MMAPABLE)
    if offset < 0 or offset >> PAGE_SHIFT > pages or size_bytes >> PAGE_SHIFT > pages - (offset >> PAGE_SHIFT):
        raise Errno(EINVAL)
    if file.users == 0:
        raise Errno(EBADF)
    return MapPages(file, map_, memory, pages, records)
