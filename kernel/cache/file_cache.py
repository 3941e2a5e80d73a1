"""The page cache of one file or block device, shared by read, write, exec and mmap: it is what the file's areas map.

Reading: missing pages are entered as `reading`, the store says where they lie, the requests go out, and a reader that
needs a page sleeps until it is up to date. Writing: a page is changed in memory and marked dirty; the base writes it to
the device (dirty_pages.py).

Invariants: `pages.get(i).index == i`; bytes past the end of the file are zero in an up-to-date page, unless a program
wrote them through a mapping (write-back and growth zero them again). A page with `has_place` has a block for each of
its bytes, so it may be written to without asking the store.

Context: whoever changes the file's contents or size holds the inode's lock; readers hold nothing. Everything that may
read or wait sleeps. `transfer_done` comes from interrupts.
"""

from typing import Final

from kernel.block.device import Operation
from kernel.block.throttle import wait_for_transfer
from kernel.cache.dirty_pages import BATCH, LAST_PAGE, TOTALS, DirtyPages
from kernel.cache.frame_source import FrameSource
from kernel.cache.page import ALL_SECTORS, LRU, CachedPage
from kernel.cache.page_index import NO_PAGE
from kernel.cache.page_runs import add_runs
from kernel.cache.readahead import Readahead
from kernel.cache.store import BackingStore, Runs
from kernel.cache.transfer import Transfer
from kernel.cgroup.disks import DISK_CONTROLS
from kernel.lang import EFAULT, EIO, ENOMEM, Errno, noraise, recursion, sleeps
from kernel.lib.linked import FIRST
from kernel.lib.pace import pace
from kernel.mm.exchange import is_used
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
from kernel.mm.objects import Loss
from kernel.mm.reverse_map import forget_pages, unmap_frame
from kernel.sched.scheduler import current_thread

_DROPPED_AT_ONCE: Final = 1024  # pages
_DROP_COST: Final = 150  # instructions for a page


class FileCache(DirtyPages):
    """The pages of one backing store."""

    def __init__(self, store: BackingStore, by_sectors: bool = False) -> None:
        super().__init__(store, by_sectors)
        self.readahead: Readahead = Readahead()  # for mappings
        self.direct_reads: int = 0  # direct reads of the file's blocks that are under way

    # ---- Pages ------------------------------------------------------------------------------------------------

    def find(self, index: int) -> CachedPage | None:
        """The page if there is one, whatever its state."""
        return self.pages.get(index)

    def _enter(self, index: int, frame: Frame) -> CachedPage:
        """A new page, neither up to date nor being read; takes over the reference to `frame`. Raises MemoryError."""
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
            self.unlist_dirty(page)
            current_thread().accounts.cancelled_bytes += PAGE_SIZE
        page.cache = None
        self.pages.remove(page.index)
        LRU.remove(page)
        put_frame(page.frame)

    def evict(self, page: CachedPage, is_remembered: bool = True) -> None:
        """Drop a clean page. If memory is short, that is remembered (cachestat(2))."""
        page.cache = None
        if is_remembered:
            self.pages.evict(page.index)
        else:
            self.pages.remove(page.index)
        LRU.remove(page)
        put_frame(page.frame)

    @sleeps
    def present(self, index: int) -> CachedPage:
        """The page, up to date. Sleeps if it must be read. Take a reference to its frame before the next sleep.

        Raises EIO, EFAULT (past the end of the file), MemoryError.
        """
        page = self.pages.get(index)
        if page is not None and page.up_to_date:
            page.touch()
            return page
        return self.load(index, 1, None)

    @sleeps
    @recursion(2)  # a file of a disk needs the blocks of the disk
    def load(self, index: int, wanted: int, readahead: Readahead | None) -> CachedPage:
        """As `present`, for a page that is not up to date; reads more pages with it, as `readahead` advises."""
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
                wait_for_transfer(self.waiters)
            if page is None or page.cache is None or page.up_to_date:
                continue
            # It failed, perhaps because of another page in the same request: try once more, alone.
            if alone:
                if page.error == ENOMEM:
                    raise MemoryError
                raise Errno(EIO)
            alone = True

    def read_further(self, readahead: Readahead, index: int, wanted: int) -> None:
        """A reader is at page `index` and wants that many pages in one call: begin to read what it will want next.
        Nobody waits for it, and a failure concerns nobody. Sleeps only in the store.
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
        """The page for a caller that overwrites all of it, and then marks it up to date, without a sleep in between.
        Its contents are arbitrary. Raises MemoryError, EIO (a read of it was under way and cannot be waited out).
        """
        page = self.pages.get(index)
        while page is not None and page.reading:
            self.waiters.wait_for_disk()
            page = self.pages.get(index)
        if page is None:
            page = self._enter(index, allocate_user_frame())
        page.touch()
        return page

    def end_page(self) -> int:
        """The index after the last page of the file."""
        return (self.store.size_bytes() + PAGE_MASK) >> PAGE_SHIFT

    def _readahead_limit(self) -> int:
        return self.store.device().readahead_pages

    # ---- Reading ----------------------------------------------------------------------------------------------

    def begin_reading(self, first: int, count: int) -> None:
        """Begin to read those of the pages first … first + count - 1 that are missing. Sleeps only in the store.

        Raises only MemoryError, for the first page: other failures show when the page is used.
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
            start = index
            try:
                index = self._read_batch(index, end, frames)
                end = min(end, self.end_page())  # a truncation during the sleep does not know of further pages
            except MemoryError:
                if start == first:
                    raise
                return

    def _read_batch(self, start: int, end: int, frames: FrameSource) -> int:
        """Read consecutive missing pages from page `start` on; returns the index after the last one. After MemoryError
        nothing was begun.
        """
        with Transfer(self.store.device(), Operation.READ) as transfer:
            index = start
            try:
                while index < end and index - start < BATCH:
                    page = self.pages.get(index)
                    if page is None:
                        page = self._enter(index, frames.take())
                    elif page.up_to_date or page.reading or page.writing:
                        break
                    transfer.hold(page)
                    page.reading = True
                    page.failed = False
                    index += 1
            except MemoryError:
                if index == start:
                    raise
            self._send_reads(start, transfer)
            return index

    def _send_reads(self, start: int, transfer: Transfer) -> None:
        """Submit the reads for a transfer's pages, the first of which is page `start`."""
        batch = transfer.held
        current_thread().accounts.disk_read_bytes += len(batch) << PAGE_SHIFT
        try:
            runs = Runs()
            self.store.map(start << PAGE_SHIFT, len(batch) << PAGE_SHIFT, runs)
            add_runs(transfer, batch, runs)
            transfer.submit()
        except Errno as failure:
            transfer.abandon(failure.code)
        except MemoryError:
            transfer.abandon(ENOMEM)

    def transfer_done(self, page: CachedPage) -> None:
        """All parts of a page's transfer are finished. May run in interrupt context."""
        if page.reading:
            page.reading = False
            if not page.failed:
                size = self.store.size_bytes()
                if page.index == size >> PAGE_SHIFT:
                    frame_span(page.frame)[size & PAGE_MASK : PAGE_SIZE].fill(0)
                page.up_to_date = True
        elif page.writing:
            self.written(page)
        self.waiters.wake_all()

    # ---- Size -------------------------------------------------------------------------------------------------

    @sleeps
    def _settled(self, index: int) -> CachedPage | None:
        """The page if there is one, once it is in no transfer."""
        page = self.pages.get(index)
        while page is not None and (page.reading or page.writing):
            self.waiters.wait_for_disk()
            page = self.pages.get(index)
        return page

    @noraise
    @sleeps
    def forget(self, first: int, end: int) -> None:
        """Drop the pages first … end - 1, dirty or not, from memory and from all mappings; waits for their transfers.

        The caller holds the inode's lock; the file's size already keeps others from reading them in again. Needs no
        memory, so a truncation cannot fail halfway.
        """
        self.unmap_mappings(first, end)
        more = True
        while more:
            try:
                indices = self.pages.indices(first, end, _DROPPED_AT_ONCE)
            except MemoryError:
                self._forget_one_by_one(first, end)
                return
            more = len(indices) >= _DROPPED_AT_ONCE
            for index in indices:
                self._forget_page(index)
        self.pages.forget_evicted(first, end)

    @sleeps
    def _forget_page(self, index: int) -> None:
        page = self._settled(index)
        if page is not None and self._unmap_at_last(page):
            self.drop(page)
        pace(_DROP_COST)

    @sleeps
    def _unmap_at_last(self, page: CachedPage) -> bool:
        """Unmap a page that may have been faulted in while others ran; whether it still is the cache's, and settled."""
        if frame_count(page.frame) == 1:
            return True
        if not self.is_crowded():
            unmap_frame(self, page.index, page.frame)
            return True
        forget_pages(self, page.index, page.index + 1)
        return page.cache is self and self._settled(page.index) is page

    @sleeps
    def _forget_one_by_one(self, first: int, end: int) -> None:
        """`forget`, where there is no memory for a list of what to drop."""
        index = self.pages.any_between(first, end)
        while index != NO_PAGE:
            self._forget_page(index)
            index = self.pages.any_between(first, end)
        self.pages.forget_evicted(first, end)

    @sleeps
    def invalidate(self, first: int, end: int) -> None:
        """Drop those of the pages first … end - 1 that are clean and that nobody uses or maps."""
        self.pages.forget_evicted(first, end)
        for index in self.pages.each_index(first, end):
            page = self.pages.get(index)
            if page is not None and can_drop(page):
                self.drop(page)
            pace(_DROP_COST)

    @sleeps
    def renounce(self, first: int, end: int) -> None:
        """The device has new contents for the pages first … end - 1: drop them, also from mappings. A page that
        somebody holds is read again on its next use; what became dirty meanwhile stays.
        """
        self.unmap_mappings(first, end)
        self.pages.forget_evicted(first, end)
        for index in self.pages.each_index(first, end):
            page = self._settled(index)
            if page is None or page.dirty != 0:
                continue
            if not self._unmap_at_last(page) or page.dirty != 0:
                continue
            if can_drop(page):
                self.drop(page)
            else:
                page.up_to_date = False
            pace(_DROP_COST)

    @sleeps
    def shrink(self, size: int) -> None:
        """The file ends at `size` from now on (the store says so already): drop what lies past it, zero the rest of the
        last page. Raises EIO when the last page must be read and cannot, MemoryError.
        """
        self.forget((size + PAGE_MASK) >> PAGE_SHIFT, LAST_PAGE)
        if size & PAGE_MASK != 0:
            page = self.present(size >> PAGE_SHIFT)
            frame_span(page.frame)[size & PAGE_MASK : PAGE_SIZE].fill(0)
            self.mark_dirty(page, size & PAGE_MASK, PAGE_SIZE)

    def zero_tail(self, size: int) -> None:
        """The file, `size` bytes long so far, is about to grow: clear what a mapping wrote past its end."""
        if size & PAGE_MASK != 0:
            page = self.pages.get(size >> PAGE_SHIFT)
            if page is not None and page.up_to_date:
                frame_span(page.frame)[size & PAGE_MASK : PAGE_SIZE].fill(0)

    @sleeps
    def wait_for_direct_reads(self) -> None:
        """Blocks of the file are about to be freed: sleep until no direct read that has looked up their places is under
        way. The caller has locked out changes to the file, and with them new direct reads.
        """
        while self.direct_reads > 0:
            self.waiters.wait_for_disk()

    def end_direct_read(self) -> None:
        """A direct read is done with the device. Never sleeps."""
        self.direct_reads -= 1
        if self.direct_reads == 0:
            self.waiters.wake_all()

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
        """Read in a missing page, and the pages that a program is likely to touch next."""
        readahead = self.readahead
        if self.pages.get(index) is None:
            first, count = readahead.fault(index, self._readahead_limit())
            self._read_quietly(first, count)
        self.read_further(readahead, index, 1)
        return self.load(index, 1, None)

    def _prepare_mapped_write(self, page: CachedPage) -> None:
        """Allocate blocks for a page, held by its frame, that a program is about to write through a mapping; the page
        becomes dirty.
        """
        if page.dirty == ALL_SECTORS and page.has_place:
            return
        length = self._change_mapped(page)
        if DISK_CONTROLS.are_limited:
            self.store.slow_down(length)
        balance = TOTALS.balance
        if balance is not None:
            balance(self)
            if page.cache is not self:
                raise Errno(EFAULT)
            if page.up_to_date:
                self.mark_dirty(page, 0, PAGE_SIZE)
            else:
                self._change_mapped(page)

    def _change_mapped(self, page: CachedPage) -> int:
        """Allocate blocks for such a page, and mark it dirty; returns how many of its bytes the file has. A direct
        write may have changed the file while its thread slept: then the page is read again, because it is written back
        as a whole.
        """
        offset = page.index << PAGE_SHIFT
        self.store.begin_change()
        try:
            while page.cache is self and not page.up_to_date:
                self.load(page.index, 1, None)
            length = min(PAGE_SIZE, self.store.size_bytes() - offset)
            if page.cache is not self or length <= 0:
                raise Errno(EFAULT)  # truncated meanwhile
            self.give_place(page, 0, length)
            self.mark_dirty(page, 0, PAGE_SIZE)
            self.store.modified()
            return length
        finally:
            self.store.end_change()

    def give_place(self, page: CachedPage, start: int, count: int) -> None:
        """Allocate blocks for the bytes start … start + count - 1 of a held page, which are about to be written. The
        caller has locked out other changes to the file. May sleep. Raises what the store's `allocate` raises.
        """
        if not page.has_place:
            self.store.allocate((page.index << PAGE_SHIFT) + start, count)
            page.has_place = count == PAGE_SIZE or self.store.allocation_unit() >= PAGE_SIZE

    def take_place(self, first: int, end: int) -> None:
        """Blocks of the pages first … end - 1 were freed: later writes, through mappings too, must allocate anew."""
        self.protect_mappings(first, end)
        for index in range(first, end):
            page = self.pages.get(index)
            if page is not None:
                page.has_place = False

    def device_wrote(self, index: int, frame: Frame) -> None:
        page = self.pages.get(index)
        if page is not None and page.frame == frame and page.up_to_date:
            self.mark_dirty(page, 0, PAGE_SIZE)

    def resident(self, index: int) -> Frame:
        page = self.pages.get(index)
        if page is None or not page.up_to_date or index >= self.end_page():
            return NO_FRAME
        return page.frame

    def settle_page(self, index: int) -> bool:
        page = self.pages.get(index)
        if page is None or not (page.reading or page.writing):
            return False
        self._settled(index)
        return True

    def lose_page(self, index: int, frame: Frame) -> Loss:
        page = self.pages.get(index)
        if page is None or page.frame != frame or page.reading or page.writing or is_used(self, index, frame):
            return Loss.REFUSED
        is_dirty = page.dirty != 0
        if is_dirty:
            self.failures += 1
        self.drop(page)
        return Loss.DIRTY if is_dirty else Loss.CLEAN

    def move_page(self, index: int, old: Frame, new: Frame) -> bool:
        page = self.pages.get(index)
        if page is None or page.frame != old or page.reading or page.writing:
            return False
        present = page.frame
        get_frame(new)
        page.frame = new
        put_frame(present)
        return True

    def unmap_mappings(self, first: int, end: int) -> None:
        """Unmap the pages first … end - 1 everywhere."""
        if self.all_areas[FIRST] is not None:
            forget_pages(self, first, end)

    def unmap_page(self, page: CachedPage) -> None:
        """Unmap a page everywhere, unless very many map it; it can be faulted in again. Never sleeps."""
        if self.all_areas[FIRST] is not None and not self.is_crowded():
            unmap_frame(self, page.index, page.frame)


def can_drop(page: CachedPage) -> bool:
    """Whether a page is clean, in no transfer, and used by nobody but its cache."""
    return page.dirty == 0 and not page.reading and not page.writing and frame_count(page.frame) == 1
