"""The page cache of one file or block device, shared by read, write, exec and mmap: it is what the file's areas map.

Reading: pages that are missing are entered as `reading`, the store says where they lie, the requests go out, and who
needs a page sleeps until it is up to date. Writing: a page is changed in memory, marked dirty by sectors, and written
back later, by who wants it on the device (fsync) or by the flusher. Errors of write-back are counted in `failures`, so
that each open file learns of them once.

Invariants: `pages.get(i).index == i`; a page on the dirty list has a non-zero `dirty`, and no other has; bytes behind
the end of the file are zero in an up-to-date page, unless a program wrote them through a mapping (write-back and growth
zero them again). The store's blocks of a page are allocated before the page is dirty.

Context: whoever changes the file's contents or size holds the inode's lock; readers hold nothing. Everything that may
read or wait sleeps. `transfer_done` comes from interrupts.
"""

from collections.abc import Callable
from typing import Final

from kernel.block.device import SECTOR_SHIFT, Operation, flush
from kernel.cache.frame_source import FrameSource
from kernel.cache.page import ALL_SECTORS, LRU, CachedPage, sector_mask
from kernel.cache.page_index import PageIndex
from kernel.cache.page_runs import add_dirty_runs, add_runs
from kernel.cache.readahead import Readahead
from kernel.cache.store import BackingStore, Runs, SyncScope
from kernel.cache.transfer import Plug, Transfer
from kernel.lang import EFAULT, EIO, Errno, sleeps
from kernel.mm.frames import (
    NO_FRAME,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    Frame,
    allocate_user_frame,
    frame_count,
    frame_span,
    get_frame,
    put_frame,
)
from kernel.mm.objects import TrackedObject
from kernel.mm.reverse_map import forget_pages, protect_pages, unmap_frame
from kernel.sched import WaitQueue
from kernel.time.clock import monotonic_ns

LAST_PAGE: Final = 1 << 51  # behind every page
SYNC_FILE_RANGE_WAIT_BEFORE: Final = 1
SYNC_FILE_RANGE_WRITE: Final = 2
SYNC_FILE_RANGE_WAIT_AFTER: Final = 4

_BATCH: Final = 256  # pages written by one round of requests


class CacheTotals:
    """Pages of all caches by state, and which caches have dirty ones."""

    def __init__(self) -> None:
        self.dirty: int = 0
        self.writing: int = 0
        self.surely_fine: int = 0  # with fewer pages dirty, writers need not look at the limits
        self.progress: WaitQueue = WaitQueue()  # woken when a page was written back
        self.progress_ns: int = 0  # when that was
        self.balance: Callable[[FileCache], None] | None = None  # writeback.balance
        self.first_dirty: FileCache | None = None
        self.last_dirty: FileCache | None = None


TOTALS: Final = CacheTotals()


class FileCache(TrackedObject):
    """The pages of one backing store. `by_sectors`: only what was changed is written, rather than all of a page: for
    devices, where the rest of a page may belong to somebody else.
    """

    def __init__(self, store: BackingStore, by_sectors: bool = False) -> None:
        super().__init__()
        self.store: BackingStore = store
        self.by_sectors: bool = by_sectors
        self.pages: PageIndex = PageIndex()
        self.waiters: WaitQueue = WaitQueue()
        self.readahead: Readahead = Readahead()  # of mappings
        self.oldest_dirty: CachedPage | None = None
        self.newest_dirty: CachedPage | None = None
        self.dirty_count: int = 0
        self.writing_count: int = 0
        self.dirty_since_ns: int = 0  # when it last had nothing dirty
        self.failures: int = 0  # pages that could not be written so far
        self.told_failures: int = 0  # of these somebody was told, so who opens the file need not be
        self.walked: int = 0  # > 0: somebody goes through `pages`, so nothing may be dropped from it
        self.next_dirty_cache: FileCache | None = None
        self.previous_dirty_cache: FileCache | None = None
        self.is_dirty: bool = False  # is on the list of dirty caches

    # ---- Pages ------------------------------------------------------------------------------------------------

    def find(self, index: int) -> CachedPage | None:
        """The page if there is one, in whatever state."""
        return self.pages.get(index)

    def _enter(self, index: int, frame: Frame) -> CachedPage:
        """A new page, neither up to date nor being read; takes the reference of `frame` over. Raises MemoryError."""
        try:
            page = CachedPage(self, index, frame)
            self.pages.put(page)
        except MemoryError:
            put_frame(frame)
            raise
        LRU.add(page)
        return page

    def adopt(self, index: int, frame: Frame) -> CachedPage:
        """A new page, up to date, whose contents are those of `frame`. Takes its own reference. Raises MemoryError."""
        page = CachedPage(self, index, frame)
        self.pages.put(page)
        get_frame(frame)
        LRU.add(page)
        page.up_to_date = True
        return page

    def drop(self, page: CachedPage) -> None:
        """Forget a page that is in no transfer. What is dirty in it is lost."""
        if page.dirty != 0:
            self._unlist_dirty(page)
        page.cache = None
        self.pages.remove(page.index)
        LRU.remove(page)
        put_frame(page.frame)

    @sleeps
    def present(self, index: int) -> CachedPage:
        """The page, up to date. Sleeps if it must be read. Take a reference to its frame before the next sleep.

        Raises EIO, EFAULT (behind the end of the file), MemoryError.
        """
        page = self.pages.get(index)
        if page is not None and page.up_to_date:
            page.touch()
            return page
        return self.load(index, 1, None)

    @sleeps
    def load(self, index: int, wanted: int, readahead: Readahead | None) -> CachedPage:
        """As `present`, for a page that is not up to date; reads further pages with it, as `readahead` advises."""
        alone = False
        while True:
            if index >= self.end_page():
                raise Errno(EFAULT)
            page = self.pages.get(index)
            if page is not None and page.up_to_date:
                page.touch()
                return page
            if page is None or not page.reading:
                count = 1
                if not alone and readahead is not None:
                    count = readahead.miss(index, wanted, self._readahead_limit())
                self.begin_reading(index, count)
                alone = count == 1
            if readahead is not None:
                self.read_further(readahead, index, wanted)
            page = self.pages.get(index)
            while page is not None and page.reading:
                self.waiters.sleep(interruptible=False)
            if page is None or page.cache is None or page.up_to_date:
                continue
            # It failed. In a request with others, it may have been another's fault: once more, alone.
            if alone:
                raise Errno(EIO)
            alone = True

    def read_further(self, readahead: Readahead, index: int, wanted: int) -> None:
        """A reader is at page `index` and wants so many pages in one call: begin to read what it will want next. Nobody
        waits, and nobody needs to know if it fails. Sleeps only in the store.
        """
        count = readahead.hit(index, wanted, self._readahead_limit())
        if count > 0:
            self._read_quietly(readahead.start, count)

    def _read_quietly(self, first: int, count: int) -> None:
        try:
            self.begin_reading(first, count)
        except MemoryError:
            return

    def whole(self, index: int) -> CachedPage:
        """The page for somebody who overwrites all of it: up to date, but with any contents. Raises MemoryError, EIO
        (a read of it was under way and cannot be waited out).
        """
        page = self.pages.get(index)
        while page is not None and page.reading:
            self.waiters.sleep(interruptible=False)
            page = self.pages.get(index)
        if page is None:
            page = self._enter(index, allocate_user_frame())
        page.up_to_date = True
        page.touch()
        return page

    def end_page(self) -> int:
        """The index behind the last page of the file."""
        return (self.store.size_bytes() + PAGE_MASK) >> PAGE_SHIFT

    def _readahead_limit(self) -> int:
        return self.store.device().readahead_pages

    # ---- Reading ----------------------------------------------------------------------------------------------

    def begin_reading(self, first: int, count: int) -> None:
        """Begin to read those of the pages first … first + count - 1 that are missing. Sleeps only in the store.

        Raises nothing but MemoryError for the first page: what fails shows when the page is used.
        """
        frames = FrameSource(count)
        try:
            self._begin_reading(first, min(first + count, self.end_page()), frames)
        finally:
            frames.close()

    def _begin_reading(self, first: int, end: int, frames: FrameSource) -> None:
        index = first
        while index < end:
            page = self.pages.get(index)
            if page is not None and (page.up_to_date or page.reading or page.writing):
                index += 1
                continue
            batch: list[CachedPage] = []
            start = index
            try:
                while index < end and len(batch) < _BATCH:
                    page = self.pages.get(index)
                    if page is None:
                        page = self._enter(index, frames.take())
                    elif page.up_to_date or page.reading or page.writing:
                        break
                    batch.append(page)
                    page.reading = True
                    page.failed = False
                    index += 1
            except MemoryError:
                if len(batch) == 0:
                    if start == first:
                        raise
                    return
                end = index
            self._read_batch(start, batch)

    def _read_batch(self, start: int, batch: list[CachedPage]) -> None:
        """Read consecutive pages, all marked as `reading`."""
        transfer = Transfer(self.store.device(), Operation.READ)
        error = EIO
        try:
            for page in batch:
                transfer.hold(page)
            runs = Runs()
            self.store.map(start << PAGE_SHIFT, len(batch) << PAGE_SHIFT, runs)
            add_runs(transfer, batch, runs)
            transfer.submit()
            return
        except Errno as failure:
            error = failure.code
        except MemoryError:
            error = EIO
        # Pages that were not held yet have nothing pending; holding them now lets all end in one way.
        for page in batch:
            if page.pending == 0 and page.reading:
                page.pending = 1
                page.part_done(error)
        transfer.abandon(error)

    def transfer_done(self, page: CachedPage) -> None:
        """All parts of a page's transfer are finished. In interrupt context perhaps."""
        if page.reading:
            page.reading = False
            if not page.failed:
                size = self.store.size_bytes()
                if page.index == size >> PAGE_SHIFT:
                    frame_span(page.frame)[size & PAGE_MASK : PAGE_SIZE].fill(0)
                page.up_to_date = True
        elif page.writing:
            page.writing = False
            self.writing_count -= 1
            TOTALS.writing -= 1
            if page.failed:
                self.failures += 1
            TOTALS.progress_ns = monotonic_ns()
            TOTALS.progress.wake_all()
        self.waiters.wake_all()

    # ---- Dirty pages ------------------------------------------------------------------------------------------

    def mark_dirty(self, page: CachedPage, start: int, end: int) -> None:
        """The bytes start … end - 1 of an up-to-date page were changed. Never sleeps or raises."""
        if page.cache is not self:
            return  # dropped meanwhile: the file was truncated, or is gone
        if start == end:
            return
        if page.dirty == 0:
            self._list_dirty(page)
        page.dirty |= sector_mask(start, end) if self.by_sectors else ALL_SECTORS

    def cleanse(self, page: CachedPage, start: int, end: int) -> None:
        """The bytes start … end - 1 belong to nobody any more: they are not written. Sleeps while they are being
        written.
        """
        while page.writing:
            self.waiters.sleep(interruptible=False)
        if page.cache is self and page.dirty != 0:
            left = page.dirty & ~sector_mask(start, end)
            if left == 0:
                self._unlist_dirty(page)
            page.dirty = left

    def _list_dirty(self, page: CachedPage) -> None:
        newest = self.newest_dirty
        page.previous_dirty = newest
        if newest is not None:
            newest.next_dirty = page
        else:
            self.oldest_dirty = page
        self.newest_dirty = page
        self.dirty_count += 1
        TOTALS.dirty += 1
        if not self.is_dirty:
            self._list_cache()

    def _unlist_dirty(self, page: CachedPage) -> None:
        following = page.next_dirty
        previous = page.previous_dirty
        if following is not None:
            following.previous_dirty = previous
        else:
            self.newest_dirty = previous
        if previous is not None:
            previous.next_dirty = following
        else:
            self.oldest_dirty = following
        page.next_dirty = None
        page.previous_dirty = None
        page.dirty = 0
        self.dirty_count -= 1
        TOTALS.dirty -= 1
        if self.dirty_count == 0:
            self._unlist_cache()

    def _list_cache(self) -> None:
        last = TOTALS.last_dirty
        self.previous_dirty_cache = last
        if last is not None:
            last.next_dirty_cache = self
        else:
            TOTALS.first_dirty = self
        TOTALS.last_dirty = self
        self.is_dirty = True
        self.dirty_since_ns = monotonic_ns()

    def _unlist_cache(self) -> None:
        following = self.next_dirty_cache
        previous = self.previous_dirty_cache
        if following is not None:
            following.previous_dirty_cache = previous
        else:
            TOTALS.last_dirty = previous
        if previous is not None:
            previous.next_dirty_cache = following
        else:
            TOTALS.first_dirty = following
        self.next_dirty_cache = None
        self.previous_dirty_cache = None
        self.is_dirty = False

    # ---- Write-back -------------------------------------------------------------------------------------------

    @sleeps
    def write_back(self, first: int, end: int, limit: int = LAST_PAGE, plug: Plug | None = None) -> int:
        """Begin to write the dirty pages first … end - 1, no more than `limit`; returns how many. Waits for a page
        only where an earlier write-back of it is under way. What is handed to a plug is sent when that is flushed.
        Raises MemoryError; errors of the device are counted.
        """
        indices: list[int] = []
        page = self.oldest_dirty
        while page is not None and len(indices) < limit:
            if first <= page.index < end:
                indices.append(page.index)
            page = page.next_dirty
        indices.sort()
        self.dirty_since_ns = monotonic_ns()
        if plug is not None or self.by_sectors or len(indices) <= _BATCH:
            self.write_back_pages(indices, plug)
            return len(indices)
        own = Plug()
        try:
            self.write_back_pages(indices, own)
        finally:
            own.flush()
        return len(indices)

    @sleeps
    def write_back_pages(self, indices: list[int], plug: Plug | None = None) -> None:
        """As `write_back`, for those of the pages with these indices, in ascending order, that are dirty."""
        position = 0
        while position < len(indices):
            batch: list[CachedPage] = []
            masks: list[int] = []
            while position < len(indices) and len(batch) < _BATCH:
                index = indices[position]
                if len(batch) > 0 and batch[-1].index + 1 != index:
                    break
                dirty = self.pages.get(index)
                if dirty is None or dirty.dirty == 0:
                    position += 1
                    if len(batch) > 0:
                        break
                    continue
                if dirty.writing:
                    if len(batch) > 0:
                        break
                    if plug is not None:
                        plug.flush()
                    self.waiters.sleep(interruptible=False)
                    continue
                batch.append(dirty)
                masks.append(dirty.dirty)
                position += 1
            if len(batch) > 0:
                self._write_batch(batch, masks, plug)

    def _write_batch(self, batch: list[CachedPage], masks: list[int], plug: Plug | None) -> None:
        """Write consecutive dirty pages: of each, the sectors of its mask. No sleep came since they were chosen."""
        transfer = Transfer(self.store.device(), Operation.WRITE)
        try:
            for page in batch:
                transfer.hold(page)
        except MemoryError:
            transfer.abandon(0)
            raise
        start = batch[0].index
        size = self.store.size_bytes()
        for page in batch:
            self._unlist_dirty(page)
            page.writing = True
            page.failed = False
            self.writing_count += 1
            TOTALS.writing += 1
            if page.index == size >> PAGE_SHIFT:
                frame_span(page.frame)[size & PAGE_MASK : PAGE_SIZE].fill(0)
        self.protect_mappings(start, start + len(batch))
        error = EIO
        try:
            runs = Runs()
            self.store.map(start << PAGE_SHIFT, len(batch) << PAGE_SHIFT, runs)
            add_dirty_runs(transfer, batch, masks, runs, self.store.device().logical_block_size >> SECTOR_SHIFT)
            if plug is not None:
                transfer.submit_through(plug)
            else:
                transfer.submit()
            return
        except Errno as failure:
            error = failure.code
        except MemoryError:
            # Nothing was sent: they are as dirty as before.
            for i in range(len(batch)):
                self.mark_dirty(batch[i], 0, PAGE_SIZE)
                batch[i].dirty = masks[i]
            error = 0
        transfer.abandon(error)

    @sleeps
    def wait_for_writes(self) -> None:
        """Sleep until no write-back of this cache is under way."""
        while self.writing_count > 0:
            self.waiters.sleep(interruptible=False)

    @sleeps
    def write_range(self, first_index: int, end_index: int) -> None:
        """Write the dirty pages of a range and wait, without what leads to them. Raises EIO."""
        if self.dirty_count == 0 and self.writing_count == 0:
            return
        failures = self.failures
        self.write_back(first_index, end_index)
        self.wait_for_writes()
        if self.failures != failures:
            raise Errno(EIO)

    @sleeps
    def sync_range(self, first_index: int, end_index: int, flags: int) -> None:
        """sync_file_range(2). Raises EIO."""
        failures = self.failures
        if flags & SYNC_FILE_RANGE_WAIT_BEFORE != 0:
            self.wait_for_writes()
        if flags & SYNC_FILE_RANGE_WRITE != 0:
            self.write_back(first_index, end_index)
        if flags & SYNC_FILE_RANGE_WAIT_AFTER != 0:
            self.wait_for_writes()
            if self.failures != failures:
                raise Errno(EIO)

    @sleeps
    def store_range(self, first_index: int, end_index: int, scope: SyncScope) -> None:
        """Write the dirty pages of a range and what leads to them, and wait until they outlast a power failure. Raises
        EIO if one could not be written.
        """
        failures = self.failures
        self.write_back(first_index, end_index)
        self.wait_for_writes()
        self.store.commit(scope)
        flush(self.store.device())
        if self.failures != failures:
            raise Errno(EIO)

    @sleeps
    def sync(self, first_index: int, end_index: int) -> None:
        """As `store_range` for msync(2), which has no open file that could remember what it was told: raises EIO also
        for failures that nobody was told of yet.
        """
        self.sync_for(self.told_failures, first_index, end_index, SyncScope.DATA)

    @sleeps
    def sync_for(self, seen_failures: int, first_index: int, end_index: int, scope: SyncScope) -> None:
        """As `store_range` for somebody who knows of so many failures: raises EIO if there were others, whenever.
        Afterwards the caller knows of all.
        """
        try:
            self.store_range(first_index, end_index, scope)
        finally:
            self.told_failures = self.failures
        if self.failures != seen_failures:
            raise Errno(EIO)

    # ---- Size -------------------------------------------------------------------------------------------------

    @sleeps
    def _settled(self, index: int) -> CachedPage | None:
        """The page if there is one, once it is in no transfer."""
        page = self.pages.get(index)
        while page is not None and (page.reading or page.writing):
            self.waiters.sleep(interruptible=False)
            page = self.pages.get(index)
        return page

    @sleeps
    def forget(self, first: int, end: int) -> None:
        """Drop the pages first … end - 1, dirty or not, from memory and from who maps them; waits for their transfers.

        The caller holds the inode's lock; the file's size is already such that nobody reads them in again.
        """
        self.unmap_mappings(first, end)
        for index in self._indices(first, end):
            page = self._settled(index)
            if page is not None:
                self.drop(page)

    def invalidate(self, first: int, end: int) -> None:
        """Drop those of the pages first … end - 1 that are clean and that nobody uses or maps. Never sleeps."""
        for index in self._indices(first, end):
            page = self.pages.get(index)
            if page is not None and can_drop(page):
                self.drop(page)

    @sleeps
    def renounce(self, first: int, end: int) -> None:
        """The device was given other contents for the pages first … end - 1: drop them, also from who maps them. One
        that somebody holds is read again when it is used next; what was made dirty meanwhile stays.
        """
        self.unmap_mappings(first, end)
        for index in self._indices(first, end):
            page = self._settled(index)
            if page is None or page.dirty != 0:
                continue
            if can_drop(page):
                self.drop(page)
            else:
                page.up_to_date = False

    @sleeps
    def shrink(self, size: int) -> None:
        """The file ends at `size` from now on (the store says so already): drop what lies behind, zero the rest of the
        last page. Raises EIO when the last page must be read and cannot, MemoryError.
        """
        self.forget((size + PAGE_MASK) >> PAGE_SHIFT, LAST_PAGE)
        if size & PAGE_MASK != 0:
            page = self.present(size >> PAGE_SHIFT)
            frame_span(page.frame)[size & PAGE_MASK : PAGE_SIZE].fill(0)
            self.mark_dirty(page, size & PAGE_MASK, PAGE_SIZE)

    def zero_tail(self, size: int) -> None:
        """The file, `size` bytes long so far, is about to grow: what a mapping wrote behind its end must not show."""
        if size & PAGE_MASK != 0:
            page = self.pages.get(size >> PAGE_SHIFT)
            if page is not None and page.up_to_date:
                frame_span(page.frame)[size & PAGE_MASK : PAGE_SIZE].fill(0)

    def _indices(self, first: int, end: int) -> list[int]:
        """Indices of the pages first … end - 1 that there are."""
        self.walked += 1
        try:
            return self.pages.indices(first, end)
        finally:
            self.walked -= 1

    @sleeps
    def close(self) -> None:
        """The file is gone, or its file system: drop everything."""
        self.forget(0, LAST_PAGE)

    # ---- Mappings ---------------------------------------------------------------------------------------------

    def page(self, index: int, for_write: bool) -> Frame:
        if index < 0 or index >= LAST_PAGE:
            raise Errno(EFAULT)
        page = self.pages.get(index)
        if page is None or not page.up_to_date or index >= self.end_page():
            page = self._fault_in(index)
        elif index >= self.readahead.mark:
            self.read_further(self.readahead, index, 1)
            if page.cache is not self:
                page = self.load(index, 1, None)
        page.touch()
        frame = page.frame
        get_frame(frame)
        if for_write:
            done = False
            try:
                self._prepare_mapped_write(page)
                done = True
            finally:
                if not done:
                    put_frame(frame)
        return frame

    @sleeps
    def _fault_in(self, index: int) -> CachedPage:
        """A page that is not at hand, up to date; and what a program that touches it may touch next."""
        readahead = self.readahead
        if self.pages.get(index) is None:
            first, count = readahead.fault(index, self._readahead_limit())
            self._read_quietly(first, count)
        self.read_further(readahead, index, 1)
        return self.load(index, 1, None)

    def _prepare_mapped_write(self, page: CachedPage) -> None:
        """Blocks for a page, held by its frame, that a program is about to write through a mapping; it is dirty then.
        """
        if page.dirty == ALL_SECTORS:
            return
        offset = page.index << PAGE_SHIFT
        self.store.begin_change()
        try:
            length = min(PAGE_SIZE, self.store.size_bytes() - offset)
            if page.cache is not self or length <= 0:
                raise Errno(EFAULT)  # truncated meanwhile
            self.store.allocate(offset, length)
            self.mark_dirty(page, 0, PAGE_SIZE)
            self.store.modified()
        finally:
            self.store.end_change()
        balance = TOTALS.balance
        if balance is not None:
            balance(self)
            if page.cache is not self:
                raise Errno(EFAULT)
            self.mark_dirty(page, 0, PAGE_SIZE)

    def device_wrote(self, index: int, frame: Frame) -> None:
        page = self.pages.get(index)
        if page is not None and page.frame == frame and page.up_to_date:
            self.mark_dirty(page, 0, PAGE_SIZE)

    def resident(self, index: int) -> Frame:
        page = self.pages.get(index)
        if page is None or not page.up_to_date or index >= self.end_page():
            return NO_FRAME
        return page.frame

    def protect_mappings(self, first: int, end: int) -> None:
        """Take write permission for the pages first … end - 1 from who maps them: the next write dirties them anew."""
        if self.first_area is not None:
            protect_pages(self, first, end)

    def unmap_mappings(self, first: int, end: int) -> None:
        """Take the pages first … end - 1 from who maps them."""
        if self.first_area is not None:
            forget_pages(self, first, end)

    def unmap_page(self, page: CachedPage) -> None:
        """Take a page from who maps it; it can be faulted in again."""
        if self.first_area is not None:
            unmap_frame(self, page.index, page.frame)


def can_drop(page: CachedPage) -> bool:
    """Whether a page is clean, in no transfer, and used by nobody but its cache."""
    return page.dirty == 0 and not page.reading and not page.writing and frame_count(page.frame) == 1
