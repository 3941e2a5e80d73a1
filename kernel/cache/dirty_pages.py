"""Pages that the device does not have yet, and how they are written: the writing half of a page cache.

A changed page is marked dirty, by sectors, and joins its cache's list; a cache with dirty pages is on a list, too.
Write-back, by callers that want pages on the device (fsync) or by the flusher (writeback.py), takes them off in runs of
neighbours. Errors are counted in `failures`, so that each open file reports them once.

Invariants: exactly the pages on the list have a non-zero `dirty`. The store has blocks for the written bytes before the
page becomes dirty.

Context: marking never sleeps, everything else may. `written` comes from interrupts.
"""

from collections.abc import Callable
from typing import Final

from kernel.block.device import SECTOR_SHIFT, Operation, flush
from kernel.cache.page import ALL_SECTORS, CachedPage, sector_mask
from kernel.cache.page_index import PageIndex
from kernel.cache.page_runs import add_dirty_runs
from kernel.cache.store import BackingStore, Runs, SyncScope
from kernel.cache.transfer import Plug, Transfer
from kernel.lang import EIO, Errno, inline, sleeps
from kernel.lib.linked import FIRST, NEXT, Linkage, Links
from kernel.lib.pace import pace
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, frame_span
from kernel.mm.objects import TrackedObject
from kernel.mm.reverse_map import protect_pages
from kernel.sched import WaitQueue
from kernel.sched.scheduler import current_thread
from kernel.time.clock import monotonic_ns

LAST_PAGE: Final = 1 << 51  # after every page
BATCH: Final = 256  # pages that one round of requests moves
_WRITTEN_AT_ONCE: Final = 2048  # pages that are sorted together
_CHOOSE_COST: Final = 100  # instructions a page, apart from sending it
_SEND_COST: Final = 1500  # and to send it
SYNC_FILE_RANGE_WAIT_BEFORE: Final = 1
SYNC_FILE_RANGE_WRITE: Final = 2
SYNC_FILE_RANGE_WAIT_AFTER: Final = 4


class CacheTotals:
    """How many pages of all caches are in which state, and which caches have dirty ones."""

    dirty_caches: Links["DirtyPages"]  # the one that has been dirty longest first

    def __init__(self) -> None:
        self.dirty: int = 0
        self.writing: int = 0
        self.surely_fine: int = 0  # while fewer pages are dirty, writers skip the limits
        self.progress: WaitQueue = WaitQueue()  # woken when a page was written back
        self.progress_ns: int = 0  # the time of that
        self.balance: Callable[[DirtyPages], None] | None = None  # writeback.balance


TOTALS: Final = CacheTotals()


class _Pages(Linkage[CachedPage]):
    @inline
    def links(self, entry: CachedPage) -> Links[CachedPage]:
        return entry.dirty_links


class _Caches(Linkage["DirtyPages"]):
    @inline
    def links(self, entry: "DirtyPages") -> "Links[DirtyPages]":
        return entry.dirty_links


_PAGES: Final = _Pages()
_CACHES: Final = _Caches()


class DirtyPages(TrackedObject):
    """Base of a page cache. `by_sectors`: only what was changed is written, rather than all of a page: for devices,
    where the rest of a page may belong to somebody else.
    """

    dirty_pages: Links[CachedPage]  # the one that has been dirty longest first
    dirty_links: Links["DirtyPages"]

    def __init__(self, store: BackingStore, by_sectors: bool) -> None:
        super().__init__()
        self.store: BackingStore = store
        self.by_sectors: bool = by_sectors
        self.pages: PageIndex = PageIndex()
        self.waiters: WaitQueue = WaitQueue()
        self.dirty_count: int = 0
        self.writing_count: int = 0
        self.dirty_since_ns: int = 0  # when it was last clean
        self.failures: int = 0  # pages that could not be written, or broke while they were dirty
        self.told_failures: int = 0  # failures that were already reported: later openers need not hear of them
        self.is_dirty: bool = False  # is on the list of dirty caches

    # ---- The lists --------------------------------------------------------------------------------------------

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
        """The bytes start … end - 1 no longer belong to anybody: do not write them. Sleeps while they are being
        written.
        """
        while page.writing:
            self.waiters.wait_for_disk()
        if page.cache is self and page.dirty != 0:
            left = page.dirty & ~sector_mask(start, end)
            if left == 0:
                self.unlist_dirty(page)
                current_thread().accounts.cancelled_bytes += PAGE_SIZE
            page.dirty = left

    def _list_dirty(self, page: CachedPage) -> None:
        _PAGES.append(self.dirty_pages, page)
        self.dirty_count += 1
        current_thread().accounts.disk_written_bytes += PAGE_SIZE
        TOTALS.dirty += 1
        if not self.is_dirty:
            _CACHES.append(TOTALS.dirty_caches, self)
            self.is_dirty = True
            self.dirty_since_ns = monotonic_ns()

    def unlist_dirty(self, page: CachedPage) -> None:
        """A dirty page became clean."""
        _PAGES.remove(self.dirty_pages, page)
        page.dirty = 0
        self.dirty_count -= 1
        TOTALS.dirty -= 1
        if self.dirty_count == 0:
            _CACHES.remove(TOTALS.dirty_caches, self)
            self.is_dirty = False

    # ---- Write-back -------------------------------------------------------------------------------------------

    @sleeps
    def write_back(self, first: int, end: int, limit: int = LAST_PAGE, plug: Plug | None = None) -> int:
        """Begin to write the dirty pages first … end - 1, no more than `limit`; returns how many. Waits for a page
        only where an earlier write-back of it is under way. What is handed to a plug is sent when that is flushed.
        Raises MemoryError; errors of the device are counted.
        """
        left = min(limit, self.dirty_count)  # pages dirtied meanwhile are not this call's business
        done = 0
        while left > 0:
            begun = self._write_oldest(first, end, min(left, _WRITTEN_AT_ONCE), plug)
            if begun == 0:
                break
            done += begun
            left -= begun
            pace(begun * _CHOOSE_COST)
        return done

    @sleeps
    def _write_oldest(self, first: int, end: int, limit: int, plug: Plug | None) -> int:
        """`write_back` for the `limit` pages that have been dirty longest."""
        indices: list[int] = []
        page = self.dirty_pages[FIRST]
        while page is not None and len(indices) < limit:
            if first <= page.index < end:
                indices.append(page.index)
            page = page.dirty_links[NEXT]
        indices.sort()
        self.dirty_since_ns = monotonic_ns()
        if plug is not None or self.by_sectors or len(indices) <= BATCH:
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
            while position < len(indices) and len(batch) < BATCH:
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
                    self.waiters.wait_for_disk()
                    continue
                batch.append(dirty)
                masks.append(dirty.dirty)
                position += 1
            if len(batch) > 0:
                self._write_batch(batch, masks, plug)
                pace(len(batch) * _SEND_COST)

    def _write_batch(self, batch: list[CachedPage], masks: list[int], plug: Plug | None) -> None:
        """Write consecutive dirty pages: of each, the sectors of its mask. The caller has not slept since choosing
        them.
        """
        with Transfer(self.store.device(), Operation.WRITE) as transfer:
            for page in batch:
                transfer.hold(page)
            self._send_writes(transfer, masks, plug)

    def _send_writes(self, transfer: Transfer, masks: list[int], plug: Plug | None) -> None:
        """Submit the writes for a transfer's pages. After MemoryError they are as dirty as before."""
        batch = transfer.held
        start = batch[0].index
        size = self.store.size_bytes()
        for page in batch:
            self.unlist_dirty(page)
            page.writing = True
            page.failed = False
            self.writing_count += 1
            TOTALS.writing += 1
            if page.index == size >> PAGE_SHIFT:
                frame_span(page.frame)[size & PAGE_MASK : PAGE_SIZE].fill(0)
        self.protect_mappings(start, start + len(batch))
        try:
            runs = Runs()
            self.store.map(start << PAGE_SHIFT, len(batch) << PAGE_SHIFT, runs)
            add_dirty_runs(transfer, batch, masks, runs, self.store.device().logical_block_size >> SECTOR_SHIFT)
            if plug is not None:
                transfer.submit_through(plug)
            else:
                transfer.submit()
        except Errno as failure:
            transfer.abandon(failure.code)
        except MemoryError:
            for i in range(len(batch)):
                since = batch[i].dirty
                self.mark_dirty(batch[i], 0, PAGE_SIZE)
                batch[i].dirty = since | masks[i]
            transfer.abandon(0)
            raise

    @sleeps
    def wait_for_writes(self) -> None:
        """Sleep until no write-back of this cache is under way."""
        while self.writing_count > 0:
            self.waiters.wait_for_disk()

    @sleeps
    def write_range(self, first_index: int, end_index: int) -> None:
        """Write the dirty pages of a range and wait; the metadata that leads to them is left alone. Raises EIO."""
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
        """Write the dirty pages of a range and the metadata that leads to them, and wait until they would survive a
        power failure. Raises EIO if one could not be written.
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
        """As `store_range` for msync(2), which has no open file that could remember what was reported to it: raises EIO
        also for failures that nobody has heard of yet.
        """
        self.sync_for(self.told_failures, first_index, end_index, SyncScope.DATA)

    @sleeps
    def sync_for(self, seen_failures: int, first_index: int, end_index: int, scope: SyncScope) -> None:
        """As `store_range` for a caller that knows of `seen_failures` failures: raises EIO if there were others, at any
        time. Afterwards the caller knows of all.
        """
        try:
            self.store_range(first_index, end_index, scope)
        finally:
            self.told_failures = self.failures
        if self.failures != seen_failures:
            raise Errno(EIO)

    def written(self, page: CachedPage) -> None:
        """A page's write-back is finished. May run in interrupt context."""
        page.writing = False
        self.writing_count -= 1
        TOTALS.writing -= 1
        if page.failed:
            self.failures += 1
        TOTALS.progress_ns = monotonic_ns()
        TOTALS.progress.wake_all()

    def protect_mappings(self, first: int, end: int) -> None:
        """Take write permission for the pages first … end - 1 from whoever maps them: the next write dirties them anew.
        """
        if self.all_areas[FIRST] is not None:
            protect_pages(self, first, end)
