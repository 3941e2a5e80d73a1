"""Memory that is there already: madvise(2), msync(2), mincore(2)."""

from typing import Final

from arch import USER_END
from kernel.doors.table import syscall
from kernel.fs.constants import MAX_FILE_SIZE
from kernel.lang import EFBIG, EINVAL, ENOMEM, Errno, UserAddr, i32
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.mm import remap as remapping
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT
from kernel.mm.objects import MemoryObject, TrackedObject
from kernel.mm.ranges import USER_PAGES, pages_of
from kernel.mm.reverse_map import forget_pages
from kernel.mm.space import AddressSpace, page_up
from kernel.mm.userfault import hear_of_removal
from kernel.task import current
from kernel.task.memory_failure import break_pages

_LOOKS_AT_ONCE: Final = 1024  # pages
_LOOK_SHIFT: Final = 7  # instructions for looking at a page, as a power of two


@syscall("msync", status="Full", args="address size flags:MS_ASYNC|MS_INVALIDATE|MS_SYNC")
def msync(address: int, length: int, flags: i32) -> int:
    """msync(2)."""
    remapping.synchronise(current().space, address, length, flags)
    return 0


@syscall("mincore", status="Full", args="address size >bytes")
def mincore(address: int, length: int, result: UserAddr) -> int:
    """mincore(2)."""
    if address & PAGE_MASK != 0:
        raise Errno(EINVAL)
    if length < 0 or length > USER_END or address < 0 or address > USER_END - length:
        raise Errno(ENOMEM)
    page_count = page_up(length) >> PAGE_SHIFT
    user.check(result, page_count)
    done = 0
    space = current().space
    while done < page_count:
        start = address + (done << PAGE_SHIFT)  # fits: the range was checked
        area = space.area_at(start)
        if area is None:
            raise Errno(ENOMEM)  # what comes before the hole has been reported
        rest = area.end - start  # fits: the area holds its start
        part = min(page_count - done, _LOOKS_AT_ONCE, rest >> PAGE_SHIFT)
        user.write_bytes(user.at(result, done), bytes(remapping.residency(space, start, part)))
        done += part
        pace(part << _LOOK_SHIFT)
    return 0


@syscall("madvise", status="Full", args="address size one:madvise")
def madvise(address: int, length: int, advice: i32) -> int:
    """madvise(2)."""
    if advice == remapping.MADV_HWPOISON or advice == remapping.MADV_SOFT_OFFLINE:
        _break(address, length, is_soft=advice == remapping.MADV_SOFT_OFFLINE)
        return 0
    space = current().space
    remapping.advise(space, address, length, advice)
    if advice == remapping.MADV_REMOVE:
        first, end_page = pages_of(address, length)
        if end_page == first:
            return 0
        start = first << PAGE_SHIFT  # fits: `advise` has looked at it
        _remove(space, start, min(end_page, USER_PAGES) << PAGE_SHIFT)
        if end_page > USER_PAGES:
            raise Errno(ENOMEM)
    return 0


def _break(start: int, length: int, is_soft: bool) -> None:
    """MADV_HWPOISON and MADV_SOFT_OFFLINE."""
    first, end_page = pages_of(start, length)
    if start & PAGE_MASK != 0 or end_page < first or (end_page == first and length != 0):
        raise Errno(EINVAL)
    if end_page > first:
        break_pages(current(), start, min(end_page, USER_PAGES + 1) << PAGE_SHIFT, is_soft)


def _remove(space: AddressSpace, start: int, end: int) -> None:
    """MADV_REMOVE: the objects that the areas map lose their pages, for all who map them. Raises ENOMEM for holes when
    all areas are done.
    """
    has_hole = False
    while start < end:
        area = remapping.removable(space, start, end)
        has_hole = has_hole or area is None or area.start > start
        if area is None:
            break
        start = max(start, area.start)
        part_end = min(end, area.end)
        source = area.source
        if source is not None:
            first = area.index_of(start)
            end_page = first + ((part_end - start) >> PAGE_SHIFT)
            source.acquire()
            try:
                hear_of_removal(area, start, part_end)
                _remove_from(source, first, end_page)
            finally:
                source.release()
        start = part_end
    if has_hole:
        raise Errno(ENOMEM)


def _remove_from(source: MemoryObject, first: int, end_page: int) -> None:
    """The same for one object; the caller is a user of it."""
    if isinstance(source, TrackedObject) and not source.is_huge():  # those unmap whole huge pages only
        forget_pages(source, first, end_page, leaves_hole=True)
    _check_punch(first, end_page)
    source.punch(first, end_page)


def _check_punch(first: int, end_page: int) -> None:
    """As for fallocate(2): raise EINVAL for pages that begin past the end of the longest file, EFBIG for those that end
    there.
    """
    if first > MAX_FILE_SIZE >> PAGE_SHIFT:
        raise Errno(EINVAL)
    if end_page > MAX_FILE_SIZE >> PAGE_SHIFT:
        raise Errno(EFBIG)
