"""read(2) and write(2) over a page cache.

Context: both sleep. The caller of `write_at` holds the inode's lock; readers hold nothing, so a read that runs beside a
write may see a part of it, page by page.
"""

from typing import Final

from kernel.cache.file_cache import FileCache
from kernel.cache.frame_source import FrameSource
from kernel.cache.group_reclaim import brake
from kernel.cache.page import CachedPage
from kernel.cache.readahead import Readahead
from kernel.cache.writeback import balance
from kernel.cgroup.disks import DISK_CONTROLS
from kernel.lang import EFAULT, Errno, noinline, span_of
from kernel.lib.pace import ends_at, pace
from kernel.lib.user import Buffer
from kernel.mm.frames import CHARGING, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, Frame, frame_span, get_frame, put_frame

_WRITE_COST: Final = 2000  # instructions a page, apart from the copy


def read_at(cache: FileCache, buffer: Buffer, offset: int, readahead: Readahead) -> int:
    """Read into the buffer from `offset`, up to the end of the file; returns the count. Raises EIO, MemoryError if no
    byte could be read.
    """
    done = 0
    whole = (buffer.remaining + PAGE_MASK) >> PAGE_SHIFT  # the size of the call sets the size of the requests
    try:
        while buffer.remaining > 0:
            left = cache.store.size_bytes() - offset
            if left <= 0:
                break
            index = offset >> PAGE_SHIFT
            page = cache.pages.get(index)
            if page is None or not page.up_to_date:
                if CHARGING.is_on:
                    brake(cache)
                wanted = (min(left, buffer.remaining) + (offset & PAGE_MASK) + PAGE_MASK) >> PAGE_SHIFT
                page = cache.load(index, wanted, readahead)
                left = cache.store.size_bytes() - offset  # it may have been truncated meanwhile
                if left <= 0:
                    break
            readahead.previous = index
            if index >= readahead.mark:
                cache.read_further(readahead, index, whole)
                if page.cache is not cache:
                    continue  # dropped during the sleep
            page.touch()
            frame = page.frame
            get_frame(frame)
            within = offset & PAGE_MASK
            count = min(PAGE_SIZE - within, left)
            moved = buffer.put(frame_span(frame)[within : within + count])
            put_frame(frame)
            done += moved
            offset += moved
            if buffer.faulted or ends_at(offset):
                break
    except Errno as error:
        # EFAULT: the file was truncated meanwhile. If some bytes were read, the next read reports the error.
        if done == 0 and error.code != EFAULT:
            raise
    except MemoryError:
        if done == 0:
            raise
    return done


def write_at(cache: FileCache, buffer: Buffer, offset: int) -> int:
    """Write the buffer from `offset` on, growing the file; returns the count. Raises what the store's `allocate`
    raises, EIO, MemoryError, if no byte could be written.
    """
    done = 0
    store = cache.store
    size = store.size_bytes()
    if offset > size:
        cache.zero_tail(size)
    frames = FrameSource(buffer.remaining >> PAGE_SHIFT)
    try:
        while buffer.remaining > 0:
            moved = _write_page(cache, buffer, offset, frames)
            done += moved
            offset += moved
            if offset > store.size_bytes():
                store.grow(offset)
            if buffer.faulted and offset | PAGE_MASK >= store.size_bytes():
                store.give_back()  # the blocks for bytes that never arrived
            if buffer.faulted or moved == 0 or ends_at(offset):
                break
            pace(_WRITE_COST)
            if DISK_CONTROLS.are_limited:
                store.slow_down(moved)
            balance(cache)
            if CHARGING.is_on:
                brake(cache)
    except (Errno, MemoryError):
        if done == 0:
            raise
    finally:
        frames.close()
    return done


def _write_page(cache: FileCache, buffer: Buffer, offset: int, frames: FrameSource) -> int:
    """Write the part of the buffer that belongs to the page of `offset`."""
    index = offset >> PAGE_SHIFT
    within = offset & PAGE_MASK
    count = min(PAGE_SIZE - within, buffer.remaining)
    page = cache.pages.get(index)
    if page is None and (count == PAGE_SIZE or index << PAGE_SHIFT >= cache.store.size_bytes()):
        return _write_new_page(cache, buffer, index, within, count, frames.take())
    if page is None or not page.up_to_date:
        page = cache.present(index)
    page.touch()
    frame = page.frame
    get_frame(frame)
    try:
        cache.give_place(page, within, count)
        moved = buffer.take(frame_span(frame)[within : within + count])
        if not page.up_to_date:
            _write_anew(cache, page, within, moved)
        cache.mark_dirty(page, within, within + moved)
    finally:
        put_frame(frame)
    return moved


@noinline
def _write_anew(cache: FileCache, page: CachedPage, within: int, count: int) -> None:
    """A device's page became out of date while it was written to (nothing locks devices): read it again around the
    bytes within … within + count - 1 of its frame. Raises EIO, EFAULT, MemoryError.
    """
    data = frame_span(page.frame)[within : within + count].to_bytes()
    while page.cache is cache and not page.up_to_date:
        cache.load(page.index, 1, None)
    frame_span(page.frame)[within : within + count].copy_from(span_of(data))


def _write_new_page(cache: FileCache, buffer: Buffer, index: int, within: int, count: int, frame: Frame) -> int:
    """Write a page that is not in the cache and need not be read. First fetches the bytes into a `frame` of our own,
    whose reference it takes over: the fetch may fault on a mapping of the very same page, so nobody may be waiting for
    this one.
    """
    try:
        span = frame_span(frame)
        moved = buffer.take(span[within : within + count])
        page = cache.pages.get(index)
        behind_end = index << PAGE_SHIFT >= cache.store.size_bytes()
        if page is None and (moved == PAGE_SIZE or behind_end):
            span[0:within].fill(0)
            span[within + moved : PAGE_SIZE].fill(0)
            page = cache.adopt(index, frame)
            _allocate(cache, page, within, moved)
        else:
            page = cache.present(index)
            get_frame(page.frame)
            try:
                cache.give_place(page, within, moved)
                frame_span(page.frame)[within : within + moved].copy_from(span[within : within + moved])
            finally:
                put_frame(page.frame)
        cache.mark_dirty(page, within, within + moved)
    finally:
        put_frame(frame)
    return moved


def _allocate(cache: FileCache, page: CachedPage, within: int, moved: int) -> None:
    """Allocate blocks for a new page; drops the page if that fails."""
    get_frame(page.frame)
    allocated = False
    try:
        cache.give_place(page, within, moved)
        allocated = True
    finally:
        put_frame(page.frame)
        if not allocated and page.cache is cache:
            cache.unmap_mappings(page.index, page.index + 1)
            cache.drop(page)
