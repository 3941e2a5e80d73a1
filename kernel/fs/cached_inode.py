"""Regular files whose contents lie in the page cache: what file systems on disks derive from.

A file system overrides `map_blocks`, `allocate_blocks`, `free_blocks`, `write_inode` and `inode_changed`; reading,
writing, truncation, mapping, readahead, write-back and their errors are here.

The inode's lock is held over every change of contents, size and blocks: over `allocate_blocks` (also for a write
through a mapping) and `free_blocks`, but not over `map_blocks`, which reads and write-back call at any time. Its holder
may read a program's memory, but not write to it: the fault of a write to a mapping of this file takes the lock.

The inode and its cache refer to each other from `InodeCache.resume` on, which the file system calls once it has the
inode in memory and nothing can fail any more. `evict`, or `end` when it drops the inode from memory, undoes that.

Context: everything sleeps, but where it says otherwise.
"""

from kernel.block.device import BlockDevice
from kernel.cache import BackingStore, FileCache, Readahead, Runs, SyncScope, file_io
from kernel.cache.direct import read_direct, write_direct
from kernel.cache.dirty_pages import LAST_PAGE
from kernel.fs.append_bound import check_bound
from kernel.fs.cache_count import count_pages
from kernel.fs.constants import (
    FS_IMMUTABLE_FL,
    FS_SYNC_FL,
    O_APPEND,
    O_DIRECT,
    O_DSYNC,
    O_NOATIME,
    O_SYNC,
)
from kernel.fs.direct_io import advise, check_alignment
from kernel.fs.file import AT_POSITION, File, InodeFile
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import CachedPages, Inode
from kernel.fs.mapped_place import MappedPlace, place_of
from kernel.fs.path import Path
from kernel.lang import EFBIG, EINVAL, EIO, ENOSPC, EPERM, ETXTBSY, Errno, final
from kernel.lib.user import Buffer
from kernel.mm.frames import NO_FRAME, PAGE_MASK, PAGE_SHIFT, get_frame, put_frame
from kernel.mm.objects import MappedFile, MappedThrough, MemoryObject
from kernel.mm.reverse_map import is_mapped_for_writing
from kernel.sched import Mutex
from kernel.time import coarse_realtime_ns


class CachedInode(Inode):
    """Base of regular files on a disk."""

    def __init__(self, file_system: FileSystem, ino: int, mode: int) -> None:
        super().__init__(file_system, ino, mode)
        self.lock: Mutex = Mutex()
        self.cache: InodeCache = InodeCache(InodeStore())

    # ---- What a file system says ------------------------------------------------------------------------------

    def map_blocks(self, offset: int, length: int, runs: Runs) -> None:
        """Where the file's bytes lie: see BackingStore.map. Raises EIO."""
        raise Errno(EIO)

    def allocate_blocks(self, offset: int, length: int) -> None:
        """Give bytes within one page a place: see BackingStore.allocate. Must be fast where they have one: called for
        every page that is written. Raises ENOSPC, EIO, EFBIG.
        """
        raise Errno(ENOSPC)

    def begin_cut(self, size: int) -> None:
        """The file is about to be truncated to `size` bytes: make sure that `free_blocks` will find what it needs.
        Raises EIO, MemoryError.
        """

    def end_cut(self) -> None:
        """Undo `begin_cut`, whether the file was truncated or not."""

    def free_blocks(self, size: int) -> None:
        """The file was truncated to `size` bytes and the cache has dropped the rest: free the blocks past it."""

    def inode_changed(self) -> None:
        """A field of the inode changed: remember to write it. Never sleeps or raises."""

    def write_inode(self, scope: SyncScope) -> None:
        """Write the inode and its indirect blocks to the device and wait; as much as `scope` says. Raises EIO."""

    # ---- Contents ---------------------------------------------------------------------------------------------

    def open(self, path: Path, flags: int) -> File:
        return CachedFile(path, flags, self)

    def read_at(self, buffer: Buffer, offset: int) -> int:
        return file_io.read_at(self.cache, buffer, offset, self.cache.readahead)

    def write_at(self, buffer: Buffer, offset: int) -> int:
        """Write, under the inode's lock, which the caller has not taken."""
        self.lock.acquire_unless_dying()
        try:
            return self.write_locked(buffer, offset, is_direct=False)
        finally:
            self.lock.release()

    def write_locked(self, buffer: Buffer, offset: int, is_direct: bool) -> int:
        """Write, perhaps bypassing the cache; the caller holds the lock. Raises EPERM (became immutable since it was
        opened), ETXTBSY (in use for swapping), EINVAL (not aligned).
        """
        if self.flags & FS_IMMUTABLE_FL != 0:
            raise Errno(EPERM)
        if self.is_swap_area:
            raise Errno(ETXTBSY)
        limit = self.largest_size()
        if offset >= limit:
            raise Errno(EFBIG)
        buffer.remaining = min(buffer.remaining, limit - offset)
        if is_direct:
            return self._write_direct(buffer, offset)
        done = file_io.write_at(self.cache, buffer, offset)
        if done > 0:
            self.touch_modified()
        return done

    def _write_direct(self, buffer: Buffer, offset: int) -> int:
        """Write, bypassing the cache. After a failure the file is no longer than before."""
        check_alignment(self.cache.store.device(), buffer, offset)
        size = self.size
        try:
            done = write_direct(self.cache, buffer, offset)
        except (Errno, MemoryError):
            if self.size > size:
                self._cut(size)
            raise
        if done > 0:
            self.touch_modified()
        return done

    def touch_modified(self) -> None:
        now = coarse_realtime_ns()
        if self.mtime_ns != now or self.ctime_ns != now:
            self.mtime_ns = now
            self.ctime_ns = now
            self.times_changed()

    def attributes_changed(self) -> None:
        self.inode_changed()

    def truncate(self, size: int) -> None:
        if size < 0:
            raise Errno(EINVAL)
        if size > self.largest_size():
            raise Errno(EFBIG)
        if self.flags & FS_IMMUTABLE_FL != 0:
            raise Errno(EPERM)
        self.lock.acquire_unless_dying()
        try:
            old = self.size
            if self.is_swap_area and size <= old:
                raise Errno(ETXTBSY)
            if size < old:
                self._cut(size)
            elif size > old:
                self.cache.zero_tail(old)
                self.size = size
            self.inode_changed()
            self.touch_modified()
        finally:
            self.lock.release()

    def _cut(self, size: int) -> None:
        """Make the file shorter, under the lock. Whatever can fail comes before the first change."""
        last = NO_FRAME
        if size & PAGE_MASK != 0:
            last = self.cache.present(size >> PAGE_SHIFT).frame
            get_frame(last)  # the page stays in the cache
        try:
            self.begin_cut(size)
            self.size = size
            self.inode_changed()
            self.cache.shrink(size)
            self.free_blocks(size)
        finally:
            self.end_cut()
            if last != NO_FRAME:
                put_frame(last)

    def sync(self, scope: SyncScope) -> None:
        self.cache.store_range(0, LAST_PAGE, scope)

    def memory_object(self) -> MemoryObject:
        return self.cache

    def cached_pages(self, first: int, end: int) -> CachedPages:
        return count_pages(self.cache, first, end)

    def is_mapped_for_writing(self) -> bool:
        return is_mapped_for_writing(self.cache)

    def mapped_through(self, path: Path) -> None:
        self.cache.place = place_of(self.cache.place, path)

    # ---- End --------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """The inode leaves memory: nobody uses it, and dirty pages of its cache are lost."""
        self.cache.close()
        self.cache.end()


@final
class InodeStore(BackingStore):
    """The backing store of a file's cache: its inode."""

    def __init__(self) -> None:
        self.inode: CachedInode | None = None

    def _inode(self) -> CachedInode:
        inode = self.inode
        if inode is None:
            raise Errno(EIO)
        return inode

    def device(self) -> BlockDevice:
        device = self._inode().file_system.block_device
        if device is None:
            raise Errno(EIO)
        return device

    def size_bytes(self) -> int:
        inode = self.inode
        return inode.size if inode is not None else 0

    def map(self, offset: int, length: int, runs: Runs) -> None:
        self._inode().map_blocks(offset, length, runs)

    def allocate(self, offset: int, length: int) -> None:
        self._inode().allocate_blocks(offset, length)

    def grow(self, size: int) -> None:
        inode = self.inode
        if inode is not None:
            inode.size = size
            inode.inode_changed()

    def modified(self) -> None:
        inode = self.inode
        if inode is not None:
            inode.touch_modified()

    def commit(self, scope: SyncScope) -> None:
        self._inode().write_inode(scope)

    def allocation_unit(self) -> int:
        return self._inode().file_system.block_size

    def give_back(self) -> None:
        inode = self._inode()
        inode.free_blocks(inode.size)

    def begin_change(self) -> None:
        self._inode().lock.acquire_unless_dying()

    def end_change(self) -> None:
        inode = self.inode
        if inode is not None:
            inode.lock.release()


@final
class InodeCache(FileCache):
    """The cache of a file, which knows what errors were reported to users of its mappings. It counts as a user of the
    inode while areas map it.
    """

    def __init__(self, store: InodeStore) -> None:
        super().__init__(store)
        self.inode_store: InodeStore = store
        self.inode: CachedInode | None = None
        self.areas: int = 0
        self.place: MappedPlace | None = None  # where it was mapped from last; dropped with the last area

    def acquire(self) -> None:
        self.areas += 1
        inode = self.inode
        if self.areas == 1 and inode is not None:
            inode.acquire()

    def release(self) -> None:
        self.areas -= 1
        inode = self.inode
        if self.areas == 0 and inode is not None:
            self.place = None
            inode.release()

    def through(self) -> MappedThrough | None:
        return self.place

    def mapped_file(self) -> MappedFile | None:
        return self.inode

    def resume(self, inode: CachedInode) -> None:
        """Become the cache of `inode`, for the first time or again after `end`."""
        self.inode = inode
        self.inode_store.inode = inode

    def end(self) -> None:
        """The inode goes: drop the reference to it."""
        self.inode = None
        self.inode_store.inode = None
        self.place = None


@final
class CachedFile(InodeFile):
    """An open description of a file in the page cache: its own readahead, and its own memory of errors."""

    def __init__(self, path: Path, flags: int, inode: CachedInode) -> None:
        self.readahead: Readahead = Readahead()
        super().__init__(path, flags)
        self.cached: CachedInode = inode
        self.seen_failures: int = inode.cache.told_failures

    def read(self, buffer: Buffer) -> int:
        offset = self.position
        done = self.pread(buffer, offset)
        self.position = offset + done
        return done

    def pread(self, buffer: Buffer, offset: int) -> int:
        self.cached.file_system.check_alive()
        if self.flags & O_DIRECT != 0:
            return self.pread_direct(buffer, offset)
        done = file_io.read_at(self.cached.cache, buffer, offset, self.readahead)
        if self.flags & O_NOATIME == 0:
            self.path.mount.touch_accessed(self.inode)
        return done

    def pread_direct(self, buffer: Buffer, offset: int) -> int:
        self.cached.file_system.check_alive()
        if buffer.remaining > 0 and offset < self.cached.size:
            check_alignment(self.cached.cache.store.device(), buffer, offset)
        done = read_direct(self.cached.cache, buffer, offset)
        if self.flags & O_NOATIME == 0:
            self.path.mount.touch_accessed(self.inode)
        return done

    def write_by(self, buffer: Buffer, offset: int, *, appends: bool) -> int:
        return self._write(buffer, offset, appends, self.flags & O_DIRECT != 0)

    def pwrite_direct(self, buffer: Buffer, offset: int) -> int:
        return self._write(buffer, offset, self.flags & O_APPEND != 0, is_direct=True)

    def _write(self, buffer: Buffer, offset: int, appends: bool, is_direct: bool) -> int:
        self.cached.file_system.check_alive()
        if buffer.remaining == 0:
            return 0
        self.cached.lock.acquire_unless_dying()
        try:
            start = self.cached.size if appends else self.position if offset == AT_POSITION else offset
            if appends:
                check_bound(buffer, start)
            done = self.cached.write_locked(buffer, start, is_direct)
            if offset == AT_POSITION and done > 0:
                self.position = start + done
        finally:
            self.cached.lock.release()
        self._after_write(start, done)
        return done

    def _after_write(self, offset: int, done: int) -> None:
        """O_SYNC, O_DSYNC: what was written is on stable storage when the call returns."""
        writes_all = self.flags & O_SYNC == O_SYNC or self._writes_through()
        if done > 0 and (writes_all or self.flags & O_DSYNC != 0):
            scope = SyncScope.ALL if writes_all else SyncScope.DATA
            self.cached.cache.store_range(offset >> 12, (offset + done + 0xFFF) >> 12, scope)

    def _writes_through(self) -> bool:
        """Whether every write is as with O_SYNC, because the file or the mounted file system asks for it."""
        return self.cached.flags & FS_SYNC_FL != 0 or self.cached.file_system.is_synchronous

    def fsync(self) -> None:
        """Raises EIO if any part of the file could not be written since this description last called it or, on the
        first call, since anybody got the error.
        """
        self._sync(SyncScope.ALL)

    def fdatasync(self) -> None:
        """As `fsync`."""
        self._sync(SyncScope.DATA)

    def _sync(self, scope: SyncScope) -> None:
        self.cached.file_system.check_alive()
        cache = self.cached.cache
        try:
            cache.sync_for(self.seen_failures, 0, LAST_PAGE, scope)
        finally:
            self.seen_failures = cache.failures

    def memory_object(self) -> MemoryObject:
        self.cached.file_system.check_alive()
        return super().memory_object()

    def sync_range(self, first_page: int, end_page: int, flags: int) -> None:
        self.cached.cache.sync_range(first_page, end_page, flags)

    def advise(self, advice: int, offset: int, length: int) -> None:
        advise(self.cached.cache, self.readahead, advice, offset, length)
