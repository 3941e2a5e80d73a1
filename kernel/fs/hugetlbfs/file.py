"""Files of huge pages. Programs fill them through mappings and fallocate(2); write(2) does not work.

The pages are those of a memory object (kernel/mm/huge_object.py), which every mapping of the file shows. A page comes
and goes as a whole, so a file is as long as some number of pages, except where fallocate(2) ends inside one: what lies
in that page cannot be touched unless the page is there.

Context: everything that changes pages may sleep. Source: Linux's Documentation/admin-guide/mm/hugetlbpage.rst;
memfd_create(2), fallocate(2), ftruncate(2).
"""

from typing import TYPE_CHECKING, Final

from kernel.fs.constants import (
    F_SEAL_FUTURE_WRITE,
    F_SEAL_SEAL,
    F_SEAL_WRITE,
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    PAGE_SHIFT,
    PAGE_SIZE,
)
from kernel.fs.file import File, InodeFile
from kernel.fs.mapped_place import MappedPlace, place_of
from kernel.fs.path import Path
from kernel.fs.tmpfs.base import SealableInode
from kernel.lang import EINTR, EINVAL, EOPNOTSUPP, EPERM, Errno
from kernel.lib.pace import ends_at, is_dying, pace
from kernel.lib.user import Buffer
from kernel.mm.frames import NO_FRAME, frame_span, get_frame, put_frame
from kernel.mm.huge_object import NUMBER_LIMIT, WHOLE, HugeObject
from kernel.mm.huge_pool import HugePool, pool_of
from kernel.mm.objects import MappedFile, MappedThrough, MemoryObject
from kernel.mm.reverse_map import forget_pages, is_mapped_for_writing
from kernel.time import coarse_realtime_ns

if TYPE_CHECKING:
    from kernel.fs.hugetlbfs.filesystem import Hugetlbfs

_WITHIN_PAGE: Final = PAGE_SIZE - 1
_MAPPED_PAGES: Final = 1 << 51  # mappings end before
_SECTOR_SHIFT: Final = 9
_LOOK_COST: Final = 1500  # instructions for a page, for `pace`


class HugeFile(SealableInode):
    """A regular file."""

    def __init__(self, owner: "Hugetlbfs", mode: int) -> None:
        self.pages: HugeFilePages = HugeFilePages(pool_of(owner.shift))  # first: the base counts an inode
        super().__init__(owner, mode)
        self.shift: int = owner.shift
        self.pages.inode = self
        self.pages.quota = owner.quota
        self.seals = F_SEAL_SEAL  # memfd_create(2) may set others

    def open(self, path: Path, flags: int) -> File:
        return HugeOpenFile(path, flags)

    def gives_pages(self) -> bool:
        return False

    def held_bytes(self) -> int:
        return self.pages.present << self.shift if self.nlink == 0 else 0

    def evict(self) -> None:
        pages = self.pages
        pages.drop_pages(0, NUMBER_LIMIT)
        pages.inode = None
        pages.place = None
        super().evict()

    def read_at(self, buffer: Buffer, offset: int) -> int:
        done = 0
        while offset < self.size and buffer.remaining > 0:
            within = offset & _WITHIN_PAGE
            count = min(PAGE_SIZE - within, self.size - offset)
            frame = self.pages.resident(offset >> PAGE_SHIFT)
            if frame == NO_FRAME:
                moved = buffer.put_zeros(count)
            else:
                get_frame(frame)
                moved = buffer.put(frame_span(frame)[within : within + count])
                put_frame(frame)
            done += moved
            offset += moved
            if buffer.faulted or ends_at(offset):
                break
        return done

    # ---- Size -------------------------------------------------------------------------------------------------

    def set_size(self, size: int) -> None:
        """The file ends there from now on. That does not forget pages past the end."""
        self.size = size
        self.pages.page_limit = size >> self.shift

    def truncate(self, size: int) -> None:
        if size < 0 or size & (1 << self.shift) - 1 != 0:
            raise Errno(EINVAL)
        pages = self.pages
        pages.begin(WHOLE)
        try:
            self.check_size_seals(size)
            self.set_size(size)
            forget_pages(pages, min(_MAPPED_PAGES, size >> PAGE_SHIFT), _MAPPED_PAGES)
            pages.drop_pages(size >> self.shift, NUMBER_LIMIT)
        finally:
            pages.finish(WHOLE)
        self.touch_modified()

    def allocate(self, mode: int, offset: int, length: int) -> None:
        """fallocate(2): preallocation and punching holes."""
        if mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE) != 0:
            raise Errno(EOPNOTSUPP)
        pages = self.pages
        end = offset + length
        pages.begin(WHOLE)
        try:
            if mode & FALLOC_FL_PUNCH_HOLE != 0:
                if self.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0:
                    raise Errno(EPERM)
                pages.clear_range(offset, end)
                return
            self.check_size_seals(max(end, self.size))
            for number in range(offset >> self.shift, (end - 1 >> self.shift) + 1):
                self._fill(number)
            if mode & FALLOC_FL_KEEP_SIZE == 0 and end > self.size:
                self.set_size(end)
        finally:
            pages.finish(WHOLE)
        self.ctime_ns = coarse_realtime_ns()

    def _fill(self, number: int) -> None:
        """Let a page be there. Raises ENOSPC, EINTR, MemoryError."""
        if is_dying():
            raise Errno(EINTR)
        pages = self.pages
        pages.begin(number)
        try:
            if pages.huge_page(number) == NO_FRAME:
                pages.drop(pages.obtain(number))
        finally:
            pages.finish(number)
        pace(_LOOK_COST)

    # ---- Mapping ----------------------------------------------------------------------------------------------

    def mapping_unit(self) -> int:
        return 1 << self.shift

    def memory_object(self) -> MemoryObject:
        return self.pages

    def mapped_through(self, path: Path) -> None:
        pages = self.pages
        pages.place = place_of(pages.place, path)

    def is_mapped_for_writing(self) -> bool:
        return is_mapped_for_writing(self.pages)


class HugeFilePages(HugeObject):
    """The pages of a file. They count as a user of the inode while areas map them."""

    def __init__(self, pool: HugePool) -> None:
        super().__init__(0, pool)
        self.inode: HugeFile | None = None  # until it is evicted
        self.place: MappedPlace | None = None  # where it was mapped from last; dropped with the last area

    def acquire(self) -> None:
        self.users += 1
        inode = self.inode
        if self.users == 1 and inode is not None:
            inode.acquire()

    def release(self) -> None:
        self.users -= 1
        inode = self.inode
        if self.users == 0 and inode is not None:
            self.place = None
            inode.release()

    def count_changed(self) -> None:
        inode = self.inode
        if inode is not None:
            inode.blocks = self.present << self.shift - _SECTOR_SHIFT

    def is_sealed(self) -> bool:
        inode = self.inode
        seals = -1 if inode is None else inode.seals
        return seals >= 0 and seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0

    def grow_to(self, size_bytes: int) -> None:
        inode = self.inode
        if inode is not None and inode.size < size_bytes:
            inode.set_size(size_bytes)

    def punch(self, first_index: int, end_index: int) -> None:
        inode = self.inode
        if inode is not None:
            length = (end_index - first_index) << PAGE_SHIFT
            inode.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first_index << PAGE_SHIFT, length)

    def through(self) -> MappedThrough | None:
        return self.place

    def mapped_file(self) -> MappedFile | None:
        return self.inode


class HugeOpenFile(InodeFile):
    """An open description. Reading leaves the time of access alone, as on Linux; nothing can be written."""

    def read(self, buffer: Buffer) -> int:
        offset = self.position
        done = self.inode.read_at(buffer, offset)
        self.position = offset + done
        return done

    def pread(self, buffer: Buffer, offset: int) -> int:
        return self.inode.read_at(buffer, offset)

    def can_write(self) -> bool:
        return False

    def write_by(self, buffer: Buffer, offset: int, *, appends: bool) -> int:
        raise Errno(EINVAL)
