"""Regular files of tmpfs: pages in a tree by index; missing pages are holes and read as zeros.

Reads copy straight from the frames to the reader. The same frames are what mmap maps (`FilePages`), so there is one
copy of a file in memory. A frame belongs to the file by one reference; mappings take their own, and truncation takes
the pages out of the mappings first.

memfd_create(2)'s seals are kept in `seals`.

A write, a change of the size and a new seal wait for each other (`lock_contents`); faults on mappings do not take that
lock, so a write may copy from a mapping of the same file.

Pages may lie in swap areas (frame_tree.py): `bring_page` brings one back, which sleeps, so what was known of the file
is looked at anew. All else that looks at a page only asks whether there is one. Whoever writes waits for pages to be
swapped out when memory is short; a fault does so by itself.

While pages are being dropped, which may take long, the lock `shrinking` is held, and threads that would create pages
wait: so no page reappears past a new end.

Context: allocation raises MemoryError; a copy to or from a program may sleep, so the frame is held meanwhile.
"""

from typing import Final

from kernel.fs.constants import (
    F_SEAL_EXEC,
    F_SEAL_FUTURE_WRITE,
    F_SEAL_GROW,
    F_SEAL_SEAL,
    F_SEAL_WRITE,
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    MAX_FILE_SIZE,
    PAGE_SHIFT,
    PAGE_SIZE,
)
from kernel.fs.file import File, InodeFile
from kernel.fs.inode import CachedPages
from kernel.fs.mapped_place import MappedPlace, place_of
from kernel.fs.path import Path
from kernel.fs.tmpfs.base import SealableInode, Tmpfs
from kernel.lang import EFAULT, EFBIG, EHWPOISON, EINTR, EINVAL, EIO, ENOSPC, ENXIO, EOPNOTSUPP, EPERM, Errno
from kernel.lib.pace import ends_at, is_dying, pace
from kernel.lib.user import Buffer
from kernel.mm.broken import is_broken
from kernel.mm.frame_tree import NO_PAGE, FrameTree, is_slot
from kernel.mm.frames import (
    NO_FRAME,
    Frame,
    allocate_user_frame,
    frame_span,
    get_frame,
    mark_shared,
    put_frame,
    wait_for_swapping,
    zero_frame,
)
from kernel.mm.objects import (
    Loss,
    MappedFile,
    MappedThrough,
    MemoryObject,
    PolicyKeeper,
    bring_page,
    drop_page,
    exchange_frame,
    sound_frame,
)
from kernel.mm.reverse_map import forget_pages, is_mapped_for_writing
from kernel.sched import Mutex, mutex_or_new

_OFFSET_MASK: Final = PAGE_SIZE - 1
_LAST_PAGE: Final = 1 << 52
# Instructions for a page, for `pace`
_LOOK_COST: Final = 40
_DROP_COST: Final = 600
_MAKE_COST: Final = 1500


def _page_count(size: int) -> int:
    """Pages that `size` bytes touch; sizes go up to 2**63 - 1."""
    return (size >> PAGE_SHIFT) + (1 if size & _OFFSET_MASK != 0 else 0)


def _lone_page() -> Frame:
    """A page of zeros that no file has. Raises MemoryError."""
    frame = allocate_user_frame()
    zero_frame(frame)
    return frame


class TmpfsFile(SealableInode):
    """A regular file."""

    def __init__(self, tmpfs: Tmpfs, mode: int) -> None:
        self.pages: FrameTree = FrameTree()  # first: the base counts an inode
        super().__init__(tmpfs, mode)
        self.drops = 0  # how often pages were dropped, which a copy compares
        self.shrinking: Mutex | None = None  # created when pages are first dropped
        self.mapping: FilePages | None = None
        self.seals = F_SEAL_SEAL  # memfd_create(2) may set others

    def open(self, path: Path, flags: int) -> File:
        return InodeFile(path, flags)

    def set_mode(self, mode: int) -> None:
        if self.seals & F_SEAL_EXEC != 0 and (mode ^ self.mode) & 0o111 != 0:
            raise Errno(EPERM)
        super().set_mode(mode)

    def held_bytes(self) -> int:
        return self.pages.count << PAGE_SHIFT if self.nlink == 0 else 0

    def evict(self) -> None:
        index = self.pages.next_from(0)
        while index != NO_PAGE:
            self._drop_page(index)
            pace(_DROP_COST)
            index = self.pages.next_from(index)
        mapping = self.mapping
        if mapping is not None:
            self.mapping = None
            mapping.inode = None
            mapping.place = None
            self.pages.mapping = None
        self.pages.unlist()
        super().evict()

    # ---- Reading and writing ----------------------------------------------------------------------------------

    def read_at(self, buffer: Buffer, offset: int) -> int:
        done = 0
        try:
            while offset < self.size and buffer.remaining > 0:
                frame = self._frame(offset >> PAGE_SHIFT)
                within = offset & _OFFSET_MASK
                count = min(PAGE_SIZE - within, self.size - offset)
                if count <= 0:
                    break  # the file was truncated while the page was read
                if frame == NO_FRAME:
                    moved = buffer.put_zeros(count)
                elif is_broken(frame):
                    raise Errno(EIO)
                else:
                    get_frame(frame)
                    moved = buffer.put(frame_span(frame)[within : within + count])
                    put_frame(frame)
                done += moved
                offset += moved
                if buffer.faulted or ends_at(offset):
                    break
        except (Errno, MemoryError):
            if done == 0:
                raise
        return done

    def _frame(self, index: int) -> Frame:
        """The frame of a page, NO_FRAME for a hole. Sleeps where the page lies in a swap area: then others may have
        dropped pages. Raises EIO, MemoryError.
        """
        frame = self.pages.get(index)
        return bring_page(self.pages, index) if is_slot(frame) else frame

    def write_at(self, buffer: Buffer, offset: int) -> int:
        if self.seals != F_SEAL_SEAL:
            self._check_write_seals(offset, buffer)
        done = 0
        try:
            while buffer.remaining > 0:
                within = offset & _OFFSET_MASK
                count = min(PAGE_SIZE - within, buffer.remaining)
                if count == PAGE_SIZE and offset >= self.size:
                    moved = self._write_fresh(buffer, offset >> PAGE_SHIFT)
                else:
                    moved = self._write_page(buffer, offset >> PAGE_SHIFT, within, count)
                done += moved
                offset += moved
                if buffer.faulted or ends_at(offset):
                    break
        except (Errno, MemoryError):
            if done == 0:
                raise
        if done > 0:
            self.touch_modified()
        return done

    def _write_page(self, buffer: Buffer, index: int, within: int, count: int) -> int:
        """Write to a part of a page."""
        drops = self.drops
        frame = self._frame(index)
        if frame == NO_FRAME or self.shrinking is not None:
            frame = self._page_for_write(index)
        if is_broken(frame):
            raise Errno(EIO)
        get_frame(frame)
        moved = buffer.take(frame_span(frame)[within : within + count])
        put_frame(frame)
        if moved > 0 and (self.drops == drops or self.pages.get(index) == frame):
            # Otherwise the page was truncated during the copy: the write counts as before that.
            self.size = max(self.size, (index << PAGE_SHIFT) + within + moved)
        return moved

    def _write_fresh(self, buffer: Buffer, index: int) -> int:
        """Write a whole page past the end. It needs no zeroing: nobody sees it before it is complete."""
        frame = self._awaited_frame()
        is_entered = False
        try:
            moved = buffer.take(frame_span(frame))
            if moved == 0:
                return 0
            present = self._settled_page(index)
            if present == NO_FRAME:
                frame_span(frame)[moved:PAGE_SIZE].fill(0)
                self._enter(index, frame)
                is_entered = True
            else:
                frame_span(present)[0:moved].copy_from(frame_span(frame)[0:moved])  # another writer was quicker
        finally:
            if not is_entered:
                put_frame(frame)
                self.tmpfs.give_pages(1)
        self.size = max(self.size, (index << PAGE_SHIFT) + moved)
        return moved

    def _page_for_write(self, index: int) -> Frame:
        """The frame of a page, created with zeros if it is a hole. Sleeps where pages must be swapped out for it."""
        while True:
            frame = self._settled_page(index)
            if frame != NO_FRAME:
                return frame
            try:
                return self._add_page(index)
            except MemoryError:
                if not wait_for_swapping():
                    raise

    def _settled_page(self, index: int) -> Frame:
        """The frame of a page, NO_FRAME for a hole, while nobody drops pages. Sleeps. Raises EIO, MemoryError."""
        while True:
            if self.shrinking is not None:
                self.settle()
            frame = self.pages.get(index)
            if not is_slot(frame):
                return frame
            bring_page(self.pages, index)

    def _add_page(self, index: int) -> Frame:
        """Fill a hole with a page of zeros. Never sleeps. Raises ENOSPC, MemoryError."""
        frame = self._new_frame()
        zero_frame(frame)
        try:
            self._enter(index, frame)
        except MemoryError:
            put_frame(frame)
            self.tmpfs.give_pages(1)
            raise
        return frame

    def _new_frame(self) -> Frame:
        """A frame that counts as one of the file system's pages. Never sleeps. Raises ENOSPC, MemoryError."""
        self.tmpfs.take_page()
        try:
            frame = allocate_user_frame()
        except MemoryError:
            self.tmpfs.give_pages(1)
            raise
        mark_shared(frame)
        return frame

    def _awaited_frame(self) -> Frame:
        """The same, except that it waits for pages to be swapped out if memory is short."""
        while True:
            try:
                return self._new_frame()
            except MemoryError:
                if not wait_for_swapping():
                    raise

    def _enter(self, index: int, frame: Frame) -> None:
        """Put a new page in place, with the caller's reference. Raises MemoryError."""
        self.pages.put(index, frame)
        self.blocks += PAGE_SIZE // 512
        if self.pages.count == 1 and not self.tmpfs.swaps_nothing:
            self.pages.list_for_swapping()

    def settle(self) -> None:
        """Wait until nobody drops pages."""
        lock = self.shrinking
        if lock is not None and lock.owner is not None:
            with lock:
                return

    def _check_write_seals(self, offset: int, buffer: Buffer) -> None:
        if self.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0:
            raise Errno(EPERM)
        if self.seals & F_SEAL_GROW != 0:
            if offset >= self.size:
                raise Errno(EPERM)
            buffer.remaining = min(buffer.remaining, self.size - offset)

    # ---- Size -------------------------------------------------------------------------------------------------

    def truncate(self, size: int) -> None:
        if size < 0:
            raise Errno(EINVAL)
        lock = self.lock_contents()
        try:
            self._resize(size)
        finally:
            lock.release()

    def _resize(self, size: int) -> None:
        self.settle()
        self.check_size_seals(size)
        if size < self.size:
            first = _page_count(size)
            self._zero_part(size, self.size)
            self.size = size
            self._drop_range(first, _LAST_PAGE)
        self.size = size
        self.touch_modified()

    def allocate(self, mode: int, offset: int, length: int) -> None:
        """fallocate(2): preallocation, punching holes, zeroing."""
        if mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE) != 0:
            raise Errno(EOPNOTSUPP)
        if mode & FALLOC_FL_PUNCH_HOLE != 0:
            if self.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0:
                raise Errno(EPERM)
            self._punch(offset, offset + length)
            return
        end = offset + length
        self.check_size_seals(max(end, self.size))
        if (end >> PAGE_SHIFT) - (offset >> PAGE_SHIFT) > self.tmpfs.page_limit:
            raise Errno(EFBIG if end > MAX_FILE_SIZE - PAGE_SIZE else ENOSPC)
        for index in range(offset >> PAGE_SHIFT, _page_count(end)):
            self._page_for_write(index)
            pace(_MAKE_COST)
            if is_dying():
                raise Errno(EINTR)
        if mode & FALLOC_FL_KEEP_SIZE == 0 and end > self.size:
            self.size = end
        self.touch_modified()

    def _punch(self, start: int, end: int) -> None:
        first = _page_count(start)
        last = end >> PAGE_SHIFT
        if first > last:
            self._zero_part(start, end)
        else:
            self._zero_part(start, first << PAGE_SHIFT)
            self._zero_part(last << PAGE_SHIFT, end)
            self._drop_range(first, last, leaves_hole=True)
        self.touch_modified()

    def _zero_part(self, start: int, end: int) -> None:
        """Zero what lies within one page from `start` on, up to `end`."""
        within = start & _OFFSET_MASK
        count = min(end - start, PAGE_SIZE - within)
        frame = self._frame(start >> PAGE_SHIFT) if count > 0 else NO_FRAME
        if frame != NO_FRAME:
            frame_span(frame)[within : within + count].fill(0)

    def _drop_range(self, first: int, end: int, leaves_hole: bool = False) -> None:
        """Drop the pages first … end - 1, and unmap them from all programs. No page is created meanwhile."""
        lock = mutex_or_new(self.shrinking)
        self.shrinking = lock
        with lock:
            self.drops += 1
            self._unmap(first, end, leaves_hole)
            index = self.pages.next_from(first)
            while first <= index < end:
                self._drop_page(index)
                pace(_DROP_COST)
                index = self.pages.next_from(index)

    def _unmap(self, first: int, end: int, leaves_hole: bool = False) -> None:
        """Unmap pages from all programs."""
        mapping = self.mapping
        if mapping is not None and mapping.areas > 0:
            forget_pages(mapping, first, end, leaves_hole)

    def _drop_page(self, index: int) -> None:
        drop_page(self.pages, index)
        self.tmpfs.pages_used -= 1
        self.blocks -= PAGE_SIZE // 512

    # ---- Holes ------------------------------------------------------------------------------------------------

    def seek_data(self, offset: int) -> int:
        nearest = self.pages.next_from(offset >> PAGE_SHIFT)
        if nearest == NO_PAGE or nearest << PAGE_SHIFT >= self.size:
            raise Errno(ENXIO)
        return max(offset, nearest << PAGE_SHIFT)

    def seek_hole(self, offset: int) -> int:
        index = offset >> PAGE_SHIFT
        if self.pages.get(index) == NO_FRAME:
            return offset
        while self.pages.get(index) != NO_FRAME:
            index += 1
            pace(_LOOK_COST)
        return index << PAGE_SHIFT if index < _page_count(self.size) else self.size

    # ---- Mapping ----------------------------------------------------------------------------------------------

    def memory_object(self) -> MemoryObject:
        mapping = self.mapping
        if mapping is None:
            mapping = FilePages(self)
            self.mapping = mapping
            self.pages.mapping = mapping
        return mapping

    def cached_pages(self, first: int, end: int) -> CachedPages:
        found = CachedPages()
        index = self.pages.next_from(first)
        while first <= index < end:
            if is_slot(self.pages.get(index)):
                found.evicted += 1
            else:
                found.count += 1
            pace(_LOOK_COST)
            index = self.pages.next_from(index + 1)
        return found

    def is_mapped_for_writing(self) -> bool:
        mapping = self.mapping
        return mapping is not None and is_mapped_for_writing(mapping)

    def mapped_through(self, path: Path) -> None:
        mapping = self.mapping
        if mapping is not None:
            mapping.place = place_of(mapping.place, path)

    def mapped_page(self, index: int) -> Frame:
        """The frame of a page for a mapping; holes are filled, because a program may later write to a page that it has
        read.
        """
        if index < 0:
            raise Errno(EFAULT)
        if self.shrinking is not None or self.pages.swapped > 0:
            self._settled_page(index)  # before the look at the size: another thread may truncate the file meanwhile
        if index << PAGE_SHIFT >= self.size:
            raise Errno(EFAULT)
        frame = self.pages.get(index)
        if frame == NO_FRAME:
            if self.users == 0:
                return _lone_page()  # the last area went meanwhile, which the caller sees
            frame = self._add_page(index)
        if is_broken(frame):
            raise Errno(EHWPOISON)
        get_frame(frame)
        return frame


class FilePages(PolicyKeeper):
    """A tmpfs file as something to map. It counts as a user of the inode while areas map it."""

    def __init__(self, inode: TmpfsFile) -> None:
        super().__init__()
        self.inode: TmpfsFile | None = inode
        self.areas: int = 0
        self.written: bool = False  # was mapped shared and written since it was last unmapped
        self.place: MappedPlace | None = None  # where it was mapped from last; dropped with the last area

    def page(self, index: int, for_write: bool) -> Frame:
        inode = self.inode
        if inode is None or index >= 1 << 51:
            raise Errno(EFAULT)
        if for_write:
            self.written = True
            inode.touch_modified()
        return inode.mapped_page(index)

    def resident(self, index: int) -> Frame:
        inode = self.inode
        if inode is None or index < 0 or index >= _page_count(inode.size):
            return NO_FRAME
        return sound_frame(inode.pages, index)

    def has_page(self, index: int) -> bool:
        inode = self.inode
        if inode is None or index < 0 or index >= _page_count(inode.size):
            return False
        return inode.pages.get(index) != NO_FRAME

    def swappable_tree(self) -> FrameTree | None:
        inode = self.inode
        return inode.pages if inode is not None and inode.pages.is_listed else None

    def lose_page(self, index: int, frame: Frame) -> Loss:
        inode = self.inode
        return Loss.KEPT if inode is not None and inode.pages.get(index) == frame else Loss.REFUSED

    def move_page(self, index: int, old: Frame, new: Frame) -> bool:
        inode = self.inode
        return inode is not None and exchange_frame(inode.pages, index, old, new)

    def next_kept(self, index: int) -> int:
        inode = self.inode
        return -1 if inode is None else inode.pages.next_from(index)

    def acquire(self) -> None:
        self.areas += 1
        inode = self.inode
        if self.areas == 1 and inode is not None:
            inode.acquire()

    def release(self) -> None:
        self.areas -= 1
        inode = self.inode
        if self.areas == 0 and inode is not None:
            self.written = False
            self.place = None
            inode.release()

    def fillable_pages(self) -> int:
        inode = self.inode
        return 0 if inode is None else _page_count(inode.size)

    def punch(self, first_index: int, end_index: int) -> None:
        inode = self.inode
        if inode is not None:
            length = (end_index - first_index) << PAGE_SHIFT
            inode.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first_index << PAGE_SHIFT, length)

    def through(self) -> MappedThrough | None:
        return self.place

    def size_bytes(self) -> int:
        inode = self.inode
        return inode.size if inode is not None else 0

    def mapped_file(self) -> MappedFile | None:
        return self.inode
