"""From a page of a memory object to the entries that map it: write-back takes write permission away, truncation and
reclaim take pages away.

The path is object → areas → page tables, so it costs one look-up for each area that maps the object, however many
pages that has. Where very many do (`is_crowded`), it has safe points; what must not sleep leaves such an object's pages
alone, and whoever may sleep evicts them (kernel/cache/crowds.py).

Context: `unmap_frame` never sleeps, the others may.
"""

from typing import Final

from arch.programs import DIRTY, POISONED, PRIVATE, WRITABLE, entry_frame, names_frame, read_entry, write_entry
from kernel.lib.linked import FIRST, NEXT
from kernel.lib.pace import PACE_BUDGET, pace
from kernel.mm.area import Area
from kernel.mm.frames import PAGE_SHIFT, PAGE_SIZE, Frame, put_frame
from kernel.mm.objects import AREA_WALK, TrackedObject

_MOST_PAGES: Final = 1 << 40  # of an area, and more
_AREA_COST: Final = 60  # instructions
_ENTRY_COST: Final = 60


def _first_address(area: Area, first: int) -> int:
    """Where page `first` of the source lies, or the area's start if that is later."""
    return area.start + (min(max(0, first - area.first_page), _MOST_PAGES) << PAGE_SHIFT)


def _end_address(area: Area, end: int) -> int:
    """Where page `end` of the source would lie, or the area's end if that is earlier."""
    pages = end - area.first_page
    return area.start if pages <= 0 else min(area.end, area.start + (min(pages, _MOST_PAGES) << PAGE_SHIFT))


def forget_pages(source: TrackedObject, first: int, end: int, leaves_hole: bool = False) -> None:
    """The pages first … end - 1 no longer belong to the object: unmap them in all address spaces. Copies, and what a
    program has poisoned, stay only where the object still has a hole in that place. Sleeps: the caller ensures that the
    object supplies no such page meanwhile.
    """
    kept = POISONED | PRIVATE if leaves_hole else 0
    while first < end:
        if source.is_crowded():
            _forget_in_crowd(source, first, end, kept)
            return
        reached = end  # by all areas
        area = source.all_areas[FIRST]
        while area is not None:
            space = area.space
            start = _first_address(area, first)
            stop = _end_address(area, reached)
            if space is not None and start < stop:
                at = space.discard(start, stop, area.kept_bits | kept)
                if at < stop:
                    reached = area.index_of(at)
            area = area.source_links[NEXT]
        first = reached
        if first < end:
            pace(PACE_BUDGET)


def _forget_in_crowd(source: TrackedObject, first: int, end: int, kept: int) -> None:
    AREA_WALK.begin(source)
    try:
        for _ in range(2):  # what was copied or moved meanwhile came from areas that the first walk has met since
            AREA_WALK.again()
            area = AREA_WALK.next()
            while area is not None:
                _forget_in_area(area, first, end, kept)
                area = AREA_WALK.next()
    finally:
        AREA_WALK.finish()


def _forget_in_area(area: Area, first: int, end: int, kept: int) -> None:
    space = area.space
    start = _first_address(area, first)
    stop = _end_address(area, end)
    while space is not None and start < stop:
        at = space.discard(start, stop, area.kept_bits | kept)
        rest = area.index_of(at)
        pace(_AREA_COST)
        # The area may be another part of the object now, or gone.
        space = area.space
        start = _first_address(area, rest)
        stop = _end_address(area, end)
    pace(_AREA_COST)


def protect_pages(source: TrackedObject, first: int, end: int) -> None:
    """Make the next write through a mapping of the pages first … end - 1 fault. What is written meanwhile, where very
    many areas map the object, is dirty once more.
    """
    if not source.is_crowded():
        area = source.all_areas[FIRST]
        while area is not None:
            _protect_in(area, first, end)
            area = area.source_links[NEXT]
        return
    AREA_WALK.begin(source)
    try:
        for _ in range(2):  # as above
            AREA_WALK.again()
            area = AREA_WALK.next()
            while area is not None:
                pace(_AREA_COST + _protect_in(area, first, end) * _ENTRY_COST)
                area = AREA_WALK.next()
    finally:
        AREA_WALK.finish()


def _protect_in(area: Area, first: int, end: int) -> int:
    """The same in one area, of a few pages; how many entries it has there."""
    space = area.space
    if space is None or not area.shared:
        return 0
    count = 0
    stop = _end_address(area, end)
    pages = space.pages
    address = pages.next_mapped(_first_address(area, first), stop)
    while address < stop:
        slot = pages.find(address)
        entry = read_entry(slot)
        if entry & WRITABLE != 0:
            write_entry(slot, entry & ~(WRITABLE | DIRTY))
            pages.flush_page(address)
        count += 1
        address = pages.next_mapped(address + PAGE_SIZE, stop)
    return count


def unmap_frame(source: TrackedObject, index: int, frame: Frame) -> None:
    """Unmap page `index`, which lies in `frame`, everywhere; programs fault it in again. Private copies stay. The
    object is not crowded.
    """
    area = source.all_areas[FIRST]
    while area is not None:
        unmap_in_area(area, index, frame)
        area = area.source_links[NEXT]


def unmap_in_area(area: Area, index: int, frame: Frame) -> bool:
    """The same in one area; whether it was mapped there. Never sleeps."""
    space = area.space
    address = _first_address(area, index)
    if space is None or not area.start <= address < area.end or area.index_of(address) != index:
        return False
    slot = space.pages.find(address)
    if slot == 0:
        return False
    entry = read_entry(slot)
    if not names_frame(entry) or entry_frame(entry) != frame:
        return False
    write_entry(slot, entry & area.kept_bits)
    space.pages.flush_page(address)
    space.resident -= 1
    put_frame(entry_frame(entry))  # the reference of the entry
    return True


def is_mapped_for_writing(source: TrackedObject) -> bool:
    """Whether an area shares the object and may write there, now or after mprotect(2)."""
    return source.writing_areas > 0
