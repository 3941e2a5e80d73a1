"""Moving and advising: mremap, madvise, mincore, msync over an address space.

Source: mremap(2), madvise(2), mincore(2), msync(2).
"""

from typing import Final

from arch import USER_END
from arch.programs import entry_slot, is_swapped, names_frame, read_entry, table_end, write_entry
from kernel.lang import EACCES, EAGAIN, EBADF, EBUSY, EFAULT, EHWPOISON, EINVAL, ENOMEM, EPERM, Errno, final
from kernel.lib.pace import pace
from kernel.mm.area import (
    DROPPABLE,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_LOCKED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_TYPE,
    PROT_WRITE,
    UNWANTED,
    WANTED,
    Area,
)
from kernel.mm.area_tree import following
from kernel.mm.collapsing import collapse
from kernel.mm.commitment import promise
from kernel.mm.frames import NO_FRAME, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from kernel.mm.huge_fault import DROP_COST, give_up_page
from kernel.mm.huge_object import HugeObject, prepare_mapping
from kernel.mm.huge_pool import HUGE_MASK, HUGE_SIZE
from kernel.mm.merging import let_merge, separate
from kernel.mm.objects import FixedPages
from kernel.mm.ranges import USER_PAGES, pages_of
from kernel.mm.space import AREA_LIMIT, AddressSpace, page_up
from kernel.mm.swap_slots import SWAP
from kernel.mm.swapping import page_out, will_need
from kernel.mm.userfault import (
    Change,
    expect_moving,
    expect_unmapping,
    hear_of_removal,
    join,
    keep_handler,
    report,
    withdraw,
)

MREMAP_MAYMOVE: Final = 1
MREMAP_FIXED: Final = 2
MREMAP_DONTUNMAP: Final = 4

MADV_NORMAL: Final = 0
MADV_RANDOM: Final = 1
MADV_SEQUENTIAL: Final = 2
MADV_WILLNEED: Final = 3
MADV_DONTNEED: Final = 4
MADV_FREE: Final = 8
MADV_REMOVE: Final = 9
MADV_DONTFORK: Final = 10
MADV_DOFORK: Final = 11
MADV_MERGEABLE: Final = 12
MADV_UNMERGEABLE: Final = 13
MADV_HUGEPAGE: Final = 14
MADV_NOHUGEPAGE: Final = 15
MADV_DONTDUMP: Final = 16
MADV_DODUMP: Final = 17
MADV_WIPEONFORK: Final = 18
MADV_KEEPONFORK: Final = 19
MADV_COLD: Final = 20
MADV_PAGEOUT: Final = 21
MADV_POPULATE_READ: Final = 22
MADV_POPULATE_WRITE: Final = 23
MADV_DONTNEED_LOCKED: Final = 24
MADV_COLLAPSE: Final = 25
MADV_HWPOISON: Final = 100  # these two are kernel/task/memory_failure.py's
MADV_SOFT_OFFLINE: Final = 101
# What changes areas or their pages; other advice concerns speed.
_OF_AREAS: Final[list[int]] = [
    MADV_DONTNEED,
    MADV_FREE,
    MADV_DONTFORK,
    MADV_DOFORK,
    MADV_WIPEONFORK,
    MADV_KEEPONFORK,
    MADV_DONTDUMP,
    MADV_DODUMP,
    MADV_DONTNEED_LOCKED,
    MADV_MERGEABLE,
    MADV_UNMERGEABLE,
    MADV_HUGEPAGE,
    MADV_NOHUGEPAGE,
]

MS_ASYNC: Final = 1
MS_INVALIDATE: Final = 2
MS_SYNC: Final = 4

_SPARE_AREAS: Final = 3  # how many must be free before a mapping is moved
_FIXED_AREAS: Final = 2  # and how many more to move it to a fixed place
_AREA_COST: Final = 200
_EMPTY_COST: Final = 1500
_LOOK_COST: Final = 60
_MOVED_MASK: Final = 1023  # a safe point after moving that many pages
_MOVED_COST: Final = 150_000
_HUGE_MOVE_COST: Final = 2000
_TABLE_COST: Final = 3000


@final
class _Heard:
    """What handlers of faults hear of a call of mremap(2) once it is done."""

    def __init__(self) -> None:
        self.giving_way: Change | None = None  # what lay at the new place was unmapped
        self.move: Change | None = None
        self.unmapping: Change | None = None  # what was at the old place, or was cut off

    def report(self) -> None:
        """Report all of it, in Linux's order. Sleeps. Raises nothing."""
        report(self.giving_way)
        report(self.move)
        report(self.unmapping)


def remap(space: AddressSpace, old: int, old_length: int, new_length: int, flags: int, new: int) -> int:
    """mremap(2): resize or move a mapping; returns its address. Raises EINVAL, EFAULT (not one mapping), ENOMEM."""
    heard = _Heard()
    try:
        return _remap(space, old, old_length, new_length, flags, new, heard)
    finally:
        heard.report()


def _remap(space: AddressSpace, old: int, old_length: int, new_length: int, flags: int, new: int, heard: _Heard) -> int:
    if flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) != 0:
        raise Errno(EINVAL)
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) != 0 and flags & MREMAP_MAYMOVE == 0:
        raise Errno(EINVAL)
    if flags & MREMAP_DONTUNMAP != 0 and old_length != new_length:
        raise Errno(EINVAL)
    if old & PAGE_MASK != 0 or _is_no_page(new_length):
        raise Errno(EINVAL)
    if _is_no_page(old_length):
        old_length = 0
    space.settle()
    area = space.area_at(old)
    if area is None:
        raise Errno(EFAULT)
    if area.is_huge:
        if area.sealed:
            raise Errno(EPERM)
        old_length = huge_up(old_length, area.page_bytes)
        new_length = huge_up(new_length, area.page_bytes)
        if (old | new) & area.page_bytes - 1 != 0 or new_length > old_length or flags & MREMAP_DONTUNMAP != 0:
            raise Errno(EINVAL)  # reserved pages cannot grow
    if old_length < 0 or new_length < 0:
        raise Errno(EINVAL)
    is_far = old_length > USER_END or old > USER_END - old_length
    pages = -(-new_length >> PAGE_SHIFT)
    old_pages = -(-old_length >> PAGE_SHIFT)
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) == 0 and pages <= old_pages:
        # What lies above goes, whatever it is: the end of the mapping does not matter.
        if area.sealed:
            raise Errno(EPERM)
        if pages < old_pages:
            if is_far:
                raise Errno(EINVAL)
            heard.unmapping = space.unmap_announced(old + (pages << PAGE_SHIFT), old_pages - pages << PAGE_SHIFT)
        return old
    if is_far:
        raise Errno(EFAULT)
    if new_length > USER_END:
        raise Errno(ENOMEM)
    old_length = page_up(old_length)
    new_length = page_up(new_length)
    named_length = old_length
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) != 0:
        if new & PAGE_MASK != 0 or new < 0 or new > USER_END - new_length:
            raise Errno(EINVAL)
        if new < old + old_length and old < new + new_length:
            raise Errno(EINVAL)
        _check_room_to_move(space, flags)
        # As on Linux: what gives way is gone even if the move fails, and `old` with it if it is empty.
        if flags & MREMAP_FIXED != 0:
            heard.giving_way = space.unmap_announced(new, new_length)
        if old_length > new_length:
            heard.unmapping = space.unmap_announced(old + new_length, old_length - new_length)
            old_length = new_length
        space.settle()
        while flags & MREMAP_FIXED != 0 and not space.is_free(new, new + new_length):
            space.unmap(new, new_length)  # others have run
            space.settle()
        area = space.area_at(old)
        if area is None:
            raise Errno(EFAULT)
    if area.source is not None and area.source.keeps_size():
        if flags & MREMAP_DONTUNMAP != 0:
            raise Errno(EINVAL)
        if new_length > old_length:
            raise Errno(EFAULT)
    if old_length == 0:
        # A second mapping of the same pages; only shared mappings can have one.
        if not area.shared or flags & MREMAP_MAYMOVE == 0:
            raise Errno(EINVAL)
        _check_room_to_move(space, flags)
        place = new if flags & MREMAP_FIXED != 0 else 0
        return _map_copy(space, area, old, new_length, place, flags & MREMAP_FIXED, heard)
    if area.sealed:
        raise Errno(EPERM)
    if old + old_length > area.end:
        raise Errno(EFAULT)
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) == 0:
        if old + old_length == area.end and _grow_in_place(space, area, new_length - old_length):
            return old
        if flags & MREMAP_MAYMOVE == 0:
            raise Errno(ENOMEM)
    if area.source is not None and not area.source.may_move(area):
        raise Errno(EINVAL)
    start = _move(space, area, old, old_length, new_length, flags, new, heard)
    move = heard.move
    if move is not None:
        move.length = named_length
    return start


def _is_no_page(length: int) -> bool:
    """Whether a length, which has no sign, is none once it is rounded up to pages: 0, or so large that it wraps."""
    return -PAGE_SIZE < length <= 0


def _check_room_to_move(space: AddressSpace, flags: int) -> None:
    """Raise ENOMEM where the number of areas is close to its limit. As on Linux, there must be room for the worst case
    of a move, whatever this one needs.
    """
    more = _FIXED_AREAS if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) != 0 else 0
    if space.areas.count + more >= AREA_LIMIT.value - _SPARE_AREAS:
        raise Errno(ENOMEM)


def _grow_in_place(space: AddressSpace, area: Area, growth: int) -> bool:
    end = area.end + growth
    if end > USER_END or not space.is_free(area.end, end):
        return False
    if growth > space.limits.address - min(space.mapped_bytes, space.limits.address):
        return False
    if area.is_promised:
        try:
            promise(growth, space.mapped_bytes)
        except Errno:
            return False
    area.end = end
    space.areas.moved(area)
    space.mapped_bytes += growth
    space.rejoin(area.start, area.end)
    return True


def _map_copy(space: AddressSpace, area: Area, old: int, length: int, new: int, fixed: int, heard: _Heard) -> int:
    """Map what `area` maps from `old` on a second time."""
    flags = area.flags | (MAP_FIXED if fixed != 0 else 0)
    if area.source is None:
        flags |= MAP_ANONYMOUS
    move = expect_moving(area)
    is_mapped = False
    try:
        start = space.map(new, length, area.prot, flags, area.source, area.index_of(old), area.maximum_prot, area)
        is_mapped = True
    finally:
        if not is_mapped:
            withdraw(move)
    if move is not None:
        _note_move(heard, move, old, start)
        part = space.isolate(start, start + length)
        if part is not None:
            keep_handler(area, part)
    return start


def _note_move(heard: _Heard, move: Change, old: int, start: int) -> None:
    """What was announced as a move has happened."""
    move.first = old
    move.second = start
    heard.move = move


def _move(
    space: AddressSpace, area: Area, old: int, length: int, new_length: int, flags: int, new: int, heard: _Heard
) -> int:
    """Move `length` bytes, a part of an area in a settled space, to another place, which is free if it is a fixed one.
    What can fail comes first and can be taken back: the cuts, the area at the new place, and its tables. Raises ENOMEM,
    MemoryError and what `choose` raises, with nothing changed. Sleeps.
    """
    _check_room_to_move(space, flags)
    keeps_old = flags & MREMAP_DONTUNMAP != 0
    growth = new_length if keeps_old else new_length - length
    fixed = area.flags | (MAP_FIXED if flags & MREMAP_FIXED != 0 else 0)
    hint = new if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) != 0 else 0
    if area.is_huge:
        start = space.choose_huge(hint, new_length, fixed, area.page_bytes)
    else:
        start = space.choose(hint, new_length, fixed, may_be_large=area.source is None)
    if not keeps_old:
        part = space.isolate(old, old + length)
        area = area if part is None else part
    other: Area | None = None
    is_moved = False
    move = expect_moving(area)
    unmapping: Change | None = None
    space.hold()
    try:
        if not keeps_old:
            unmapping = expect_unmapping(space, old, length)
        other = space.enter_like(area, old, start, new_length, growth)
        _make_tables(space, old, length, start)
        is_moved = True
        keep_handler(area, other)
        _move_entries(space, old, length, start)
        other.is_promised = area.is_promised
        if keeps_old:
            area.flags &= ~MAP_LOCKED
        else:
            area.is_promised = False  # what was promised for it goes along
            if area.is_huge:
                _move_reservation(area, other)
            space.unmap_held(old, old + length)
    finally:
        if other is not None and not is_moved:
            space.withdraw(other, area, growth)
        space.rejoin(old, old + length)
        space.rejoin(start, start + new_length)
        space.let_go()
        if not is_moved:
            withdraw(move)
            withdraw(unmapping)
    if move is not None:
        _note_move(heard, move, old, start)
    heard.unmapping = join(heard.unmapping, unmapping)
    return start


def _move_reservation(area: Area, other: Area) -> None:
    """What is reserved for an area of huge pages is for another one from now on, in the same space."""
    use = area.huge
    other_use = other.huge
    if use is not None and other_use is not None:
        other_use.follow(use)
        use.reservation = None


def _make_tables(space: AddressSpace, old: int, length: int, new: int) -> None:
    """Make all tables that pages need at a new place. The caller holds the space. Sleeps. Raises MemoryError, with some
    made, which are used or freed with what is mapped there later.
    """
    pages = space.pages
    end = old + length
    address = pages.next_mapped(old, end)
    while address < end:
        target = new + (address - old)
        pages.make(target)
        pace(_TABLE_COST)
        address = pages.next_mapped(min(table_end(address), address + table_end(target) - target), end)
    address = pages.next_huge(old, end)
    while address < end:
        pages.make_huge(new + (address - old))
        pace(_TABLE_COST)
        address = pages.next_huge(address + HUGE_SIZE, end)
    address = pages.next_huge_mark(old, end)
    while address < end:
        pages.make_huge(new + (address - old))
        pace(_TABLE_COST)
        address = pages.next_huge_mark(address + HUGE_SIZE, end)


def _move_entries(space: AddressSpace, old: int, length: int, new: int) -> None:
    """Move pages from one place to another, where the tables are. The caller holds the space, so nobody looks for them
    meanwhile. Sleeps.
    """
    pages = space.pages
    end = old + length
    moved = 0
    address = pages.next_mapped(old, end)
    while address < end:
        target = new + (address - old)
        if (target | address) & HUGE_MASK == 0 and address + HUGE_SIZE <= end and pages.move_large(address, target):
            pages.flush_page(address)
            pace(_HUGE_MOVE_COST)
            address = pages.next_mapped(address + HUGE_SIZE, end)
            continue
        _move_entry(pages.find(address), pages.find(target))
        moved += 1
        if moved & _MOVED_MASK == 0:
            pages.flush_range(old, end)
            pace(_MOVED_COST)
        address = pages.next_mapped(address + PAGE_SIZE, end)
    pages.flush_range(old, end)
    address = pages.next_huge(old, end)
    while address < end:
        _move_entry(pages.find_huge(address), pages.make_huge(new + (address - old)))
        pages.flush_page(address)
        pace(_HUGE_MOVE_COST)
        address = pages.next_huge(address + HUGE_SIZE, end)
    address = pages.next_huge_mark(old, end)
    while address < end:
        pages.set_huge_mark(new + (address - old), pages.entry_of(address))
        pages.set_huge_mark(address, 0)
        pace(_HUGE_MOVE_COST)
        address = pages.next_huge_mark(address + HUGE_SIZE, end)


def _move_entry(source: int, target: int) -> None:
    write_entry(target, read_entry(source))
    write_entry(source, 0)


def advise(space: AddressSpace, start: int, length: int, advice: int) -> None:
    """madvise(2). Advice that only concerns speed is accepted. Raises EINVAL, ENOMEM (a hole), EAGAIN (too many areas
    after a cut).
    """
    if advice < 0 or (advice > MADV_FREE and advice < MADV_REMOVE) or advice > MADV_COLLAPSE or 5 <= advice <= 7:
        raise Errno(EINVAL)
    first, end_page = pages_of(start, length)
    if start & PAGE_MASK != 0 or end_page < first or (end_page == first and length != 0):
        raise Errno(EINVAL)
    if end_page == first:
        return
    if first >= USER_PAGES:
        raise Errno(ENOMEM)
    end = min(end_page, USER_PAGES) << PAGE_SHIFT
    if advice in _OF_AREAS:
        _advise_areas(space, start, end, advice)
    elif advice in (MADV_COLD, MADV_PAGEOUT):
        _check_movable(space, start, end)
        if advice == MADV_PAGEOUT:
            page_out(space, start, end)
    elif advice == MADV_WILLNEED:
        if space.pages.swapped > 0:
            will_need(space, start, end)
    elif advice == MADV_COLLAPSE:
        collapse(space, start, end)
    elif advice == MADV_REMOVE:
        return  # madvise(2) goes through the areas itself: which is wrong first is what it says
    elif advice == MADV_POPULATE_READ or advice == MADV_POPULATE_WRITE:
        space.populate(start, end)
    space.check_mapped(start, end)
    if end_page > USER_PAGES:
        raise Errno(ENOMEM)


def _advise_areas(space: AddressSpace, start: int, end: int, advice: int) -> None:
    if advice in (MADV_DONTNEED, MADV_FREE, MADV_DONTFORK, MADV_WIPEONFORK, MADV_DONTNEED_LOCKED):
        _check_discardable(space, start, end)
    if advice in (MADV_DONTNEED, MADV_FREE, MADV_DONTNEED_LOCKED):
        _give_back(space, start, end, advice)
        return
    space.settle()
    while start < end:
        stop = space.part_end(start, end)
        _advise_part(space, start, stop, advice)
        if advice == MADV_UNMERGEABLE:
            _separate_part(space, start, stop)
        start = space.rest(stop, end)


def _separate_part(space: AddressSpace, start: int, end: int) -> None:
    try:
        separate(space, start, end)
    except MemoryError:
        raise Errno(EAGAIN) from None


def _give_back(space: AddressSpace, start: int, end: int, advice: int) -> None:
    """Give back the pages of a range, area by area. Raises EINVAL at an area that the advice does not fit; those below
    it are done.
    """
    while start < end:
        area = space.settled_area(start, end)
        if area is None:
            return
        start = max(start, area.start)
        stop = _end_to_give_back(area, start, end, advice)
        if stop > start and hear_of_removal(area, start, stop):
            space.settle()
            area = space.area_at(start)
            if area is None:
                raise Errno(ENOMEM)
            stop = _end_to_give_back(area, start, stop, advice)
        if advice == MADV_FREE and (area.source is not None or area.shared):
            raise Errno(EINVAL)
        _check_area_discardable(area)  # it may have been sealed since all were looked at
        if area.is_huge:
            _give_up_huge(space, area, start, stop)
            stop = min(end, area.end)
        elif table_end(start) < stop:
            emptied = space.begin_emptying(start, stop)
            try:
                space.empty(start, stop, area.kept_bits)
            finally:
                space.end_emptying(emptied)
        else:
            space.empty(start, stop, area.kept_bits)
        pace(_EMPTY_COST)
        start = stop


def _end_to_give_back(area: Area, start: int, end: int, advice: int) -> int:
    """Where what can be given back of an area from `start` on ends. Raises EINVAL for locked memory, or where that
    begins inside a huge page.
    """
    end = min(end, area.end)
    if area.is_huge:
        if start & area.page_bytes - 1 != 0 or advice == MADV_FREE:
            raise Errno(EINVAL)
        return end & -area.page_bytes
    if area.flags & MAP_LOCKED != 0 and advice != MADV_DONTNEED_LOCKED:
        raise Errno(EINVAL)
    return end


def _give_up_huge(space: AddressSpace, area: Area, start: int, end: int) -> None:
    """Give back the huge pages of a part of an area."""
    space.pages.keep_huge_marks(start, end, area.kept_bits)
    address = space.pages.next_huge(start, end)
    while address < end:
        give_up_page(space.pages, area, address)
        pace(DROP_COST)
        space.settle()
        if area.space is not space or end > area.end:
            return  # others have changed it
        address = space.pages.next_huge(address + HUGE_SIZE, end)


def _check_movable(space: AddressSpace, start: int, end: int) -> None:
    """Raise EINVAL where huge pages or locked ones lie: these are never moved out of memory."""
    area = space.areas.first_above(start)
    while area is not None and area.start < end:
        if area.is_huge or area.flags & MAP_LOCKED != 0:
            raise Errno(EINVAL)
        pace(_LOOK_COST)
        area = space.areas.first_above(area.end)  # others may have run


def _advise_part(space: AddressSpace, start: int, end: int, advice: int) -> None:
    try:
        if advice == MADV_MERGEABLE:
            _expect_merging(space, start, end)
        area = space.isolate(start, end)
    except Errno as error:
        raise Errno(EAGAIN if error.code == ENOMEM else error.code) from None
    except MemoryError:
        raise Errno(EAGAIN) from None
    try:
        while area is not None and area.start < end:
            _advise_area(area, advice)
            area = following(area)
    finally:
        space.rejoin(start, end)


def _advise_area(area: Area, advice: int) -> None:
    if advice == MADV_DONTFORK or advice == MADV_WIPEONFORK:
        _check_area_discardable(area)  # it may have been sealed since all were looked at
    if advice == MADV_DONTFORK:
        area.dont_fork = True
    elif advice == MADV_DOFORK:
        area.dont_fork = False
    elif advice == MADV_DONTDUMP:
        area.dont_dump = True
    elif advice == MADV_DODUMP:
        if isinstance(area.source, FixedPages) or area.flags & DROPPABLE != 0:  # the vDSO is dumped anyway
            raise Errno(EINVAL)
        area.dont_dump = False
    elif advice == MADV_KEEPONFORK:
        if area.flags & DROPPABLE != 0:
            raise Errno(EINVAL)
        area.wipe_on_fork = False
    elif advice == MADV_MERGEABLE:
        area.mergeable = area.may_merge()
    elif advice == MADV_UNMERGEABLE:
        area.mergeable = False
    elif advice == MADV_HUGEPAGE:
        area.advise_large(WANTED)
    elif advice == MADV_NOHUGEPAGE:
        area.advise_large(UNWANTED)
    elif area.source is not None or area.shared:
        raise Errno(EINVAL)
    else:
        area.wipe_on_fork = True


def _expect_merging(space: AddressSpace, start: int, end: int) -> None:
    """Before areas of a range become mergeable, which those whose pages cannot be merged ignore. Raises MemoryError,
    with nothing changed.
    """
    area = space.areas.first_above(start)
    while area is not None and area.start < end:
        if area.may_merge():
            let_merge(space)
            return
        area = following(area)


def name_areas(space: AddressSpace, start: int, length: int, name: bytes, is_given: bool) -> None:
    """PR_SET_VMA_ANON_NAME: what /proc/PID/maps calls memory without a file; no name removes it.
    Raises EINVAL, EBADF (a file's), ENOMEM (a hole, after the rest was done), EAGAIN.
    """
    first, end_page = pages_of(start, length)
    if start & PAGE_MASK != 0 or end_page < first or (end_page == first and length != 0):
        raise Errno(EINVAL)
    if end_page == first:
        return
    if first >= USER_PAGES:
        raise Errno(ENOMEM)
    end = min(end_page, USER_PAGES) << PAGE_SHIFT
    space.settle()
    while start < end:
        stop = space.part_end(start, end)
        _name_part(space, start, stop, name, is_given)
        start = space.rest(stop, end)
    space.check_mapped(first << PAGE_SHIFT, end)
    if end_page > USER_PAGES:
        raise Errno(ENOMEM)


def _name_part(space: AddressSpace, start: int, end: int, name: bytes, is_given: bool) -> None:
    area = space.areas.first_above(start)
    while area is not None and area.start < end:
        source = area.source
        if source is not None and not (area.shared and source.takes_names()):
            end = max(start, area.start)
            if end > start:
                _give_names(space, start, end, name, is_given)
            raise Errno(EBADF)
        area = following(area)
    _give_names(space, start, end, name, is_given)


def _give_names(space: AddressSpace, start: int, end: int, name: bytes, is_given: bool) -> None:
    try:
        area = space.isolate(start, end)
    except (Errno, MemoryError):
        raise Errno(EAGAIN) from None
    while area is not None and area.start < end:
        area.given_name = name if is_given else None
        area = following(area)
    space.rejoin(start, end)


def _check_discardable(space: AddressSpace, start: int, end: int) -> None:
    """Raise EPERM if sealed memory would lose contents that could not be written again."""
    area = space.areas.first_above(start)
    while area is not None and area.start < end:
        _check_area_discardable(area)
        area = following(area)


def _check_area_discardable(area: Area) -> None:
    """The same of one area."""
    if area.sealed and area.source is None and area.prot & PROT_WRITE == 0:
        raise Errno(EPERM)


def removable(space: AddressSpace, start: int, end: int) -> Area | None:
    """The first area of a range, for MADV_REMOVE. Raises EINVAL (locked, or no object behind it), EACCES (writes would
    not reach the object).
    """
    area = space.settled_area(start, end)
    if area is None:
        return None
    source = area.source
    if area.flags & MAP_LOCKED != 0 or source is None:
        raise Errno(EINVAL)
    if not area.shared or area.maximum_prot & PROT_WRITE == 0:
        raise Errno(EACCES)
    return area


def locked_bytes(space: AddressSpace, start: int, end: int) -> int:
    """How much of start…end lies in locked areas."""
    total = 0
    area = space.areas.first_above(start)
    while area is not None and area.start < end:
        if area.flags & MAP_LOCKED != 0:
            total += min(end, area.end) - max(start, area.start)
        pace(_LOOK_COST)
        area = space.areas.first_above(area.end)  # others may have run
    return total


def residency(space: AddressSpace, start: int, page_count: int) -> bytearray:
    """mincore(2): one byte a page, 1 if it is in memory. Raises ENOMEM (a hole)."""
    end = start + (page_count << PAGE_SHIFT)
    space.check_mapped(start, end)
    result = bytearray()
    for address in range(start, end, PAGE_SIZE):
        entry = space.pages.entry_of(address)
        here = names_frame(entry)
        if is_swapped(entry):
            page = SWAP.find(entry_slot(entry))
            here = page is not None and not page.is_reading
        elif not here:
            area = space.area_at(address)
            if area is not None and area.source is not None and not area.is_huge:
                here = area.source.resident(area.index_of(address)) != NO_FRAME
        result.append(1 if here else 0)
    return result


def synchronise(space: AddressSpace, start: int, length: int, flags: int) -> None:
    """msync(2). Raises EINVAL, EBUSY (MS_INVALIDATE of a locked area), ENOMEM (a hole, after the rest was done)."""
    if flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) != 0 or flags & (MS_ASYNC | MS_SYNC) == MS_ASYNC | MS_SYNC:
        raise Errno(EINVAL)
    if start & PAGE_MASK != 0:
        raise Errno(EINVAL)
    first, end_page = pages_of(start, length)
    if end_page == first:
        return
    if end_page < first or first >= USER_PAGES:
        raise Errno(ENOMEM)
    end = min(end_page, USER_PAGES) << PAGE_SHIFT
    area = space.areas.first_above(start)
    while area is not None and area.start < end:
        if flags & MS_INVALIDATE != 0 and area.flags & MAP_LOCKED != 0:
            raise Errno(EBUSY)
        source = area.source
        area_end = area.end
        if flags & MS_SYNC != 0 and area.shared and source is not None:
            source.acquire()  # its area may be unmapped meanwhile
            try:
                source.sync(area.index_of(max(start, area.start)), area.index_of(min(end, area_end) - 1) + 1)
            finally:
                source.release()
        pace(_AREA_COST)
        area = space.areas.first_above(area_end)  # others may have run
    space.check_mapped(start, end)
    if end_page > USER_PAGES:
        raise Errno(ENOMEM)


def lock(space: AddressSpace, start: int, end: int, now: bool) -> None:
    """mlock(2): without a swap device, a present page counts as locked. `now`: fault the pages in. May sleep."""
    _change_flags(space, start, end, MAP_LOCKED, MAP_LOCKED)
    if now:
        try:
            space.populate(start, end)
        except Errno as error:
            raise Errno(ENOMEM if error.code in (EFAULT, EHWPOISON) else error.code) from None


def unlock(space: AddressSpace, start: int, end: int) -> None:
    """munlock(2)."""
    _change_flags(space, start, end, MAP_LOCKED, 0)


def _change_flags(space: AddressSpace, start: int, end: int, mask: int, flags: int) -> None:
    """Set those of the flags of a range that are in `mask`, where memory can be locked. Raises ENOMEM (a hole)."""
    space.check_mapped(start, end)
    space.settle()
    while start < end:
        area = space.areas.first_above(start)
        if area is not None and area.is_huge and area.start <= start:
            start = space.rest(min(end, area.end), end)
            continue
        stop = _end_before_huge(space, start, space.part_end(start, end))
        area = space.isolate(start, stop)
        while area is not None and area.start < stop:
            if (area.source is None or not area.source.is_secret()) and area.flags & DROPPABLE == 0:
                area.flags = (area.flags & ~mask) | flags
            area = following(area)
        space.rejoin(start, stop)
        start = space.rest(stop, end)


def _end_before_huge(space: AddressSpace, start: int, end: int) -> int:
    """Where the first area of huge pages begins in a part of a range, or the part's end."""
    area = space.areas.first_above(start)
    while area is not None and area.start < end:
        if area.is_huge:
            return area.start
        area = following(area)
    return end


def place_huge(
    space: AddressSpace, source: HugeObject, address: int, length: int, prot: int, flags: int, offset: int, maximum: int
) -> int:
    """Enter a mapping of whole huge pages, which are reserved first. Sleeps. Raises ENOMEM, EPERM (the file was sealed
    meanwhile), and what `map` raises.
    """
    is_shared = flags & MAP_TYPE != MAP_PRIVATE
    source.acquire()
    try:
        own = prepare_mapping(source, offset, length, is_shared, flags & MAP_NORESERVE == 0)
        try:
            space.settle()
            if is_shared and source.is_sealed():  # since the caller asked: to reserve pages takes long
                if prot & PROT_WRITE != 0:
                    raise Errno(EPERM)
                maximum &= ~PROT_WRITE
            start = space.map(address, length, prot, flags, source, offset >> PAGE_SHIFT, maximum, reservation=own)
        finally:
            if own is not None and not own.is_attached:
                source.pool.release(length >> source.shift, source.quota)
        if prot & PROT_WRITE != 0:
            source.grow_to(offset + length)  # fits: checked before
    finally:
        source.release()
    return start


def huge_up(length: int, page_bytes: int) -> int:
    """Round up to a whole huge page; what is too long stays so."""
    return length if length > USER_END else (length + page_bytes - 1) & -page_bytes
