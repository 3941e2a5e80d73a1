"""The pages of an address space for a core file: takes what is present, and creates nothing (core(5)).

Context: sleeps where a file's page must be read. The caller holds the space.
"""

from typing import Final

from arch.programs import entry_frame, entry_slot, is_swapped, names_frame, table_end
from kernel.lang import Errno
from kernel.mm.area import Area
from kernel.mm.broken import is_broken, names_broken
from kernel.mm.frames import NO_FRAME, PAGE_SHIFT, Frame, get_frame
from kernel.mm.space import AddressSpace
from kernel.mm.swap_slots import SWAP

_LOOK: Final = 1 << 34  # bytes of addresses searched for page tables at once: 8,192 tables


def next_dumped(space: AddressSpace, area: Area, address: int, end: int) -> int:
    """The next page from `address` on, below `end` and in the area, that may have contents, its own or its source's; or
    the end of the search so far: one page table, or 16 GiB without any, so that the caller can pause in between.
    """
    stop = min(end, area.end, address + _LOOK)
    source = area.source
    if source is not None:
        index = area.index_of(address)
        kept = source.next_kept(index)
        if kept == index:
            return address
        if kept > index:
            stop = address + (min(kept - index, (stop - address) >> PAGE_SHIFT) << PAGE_SHIFT)
    if area.is_huge:
        return space.pages.next_huge(address, stop)
    place = space.pages.next_table(address, stop)
    if place < stop:
        place = space.pages.next_mapped(place, min(stop, table_end(place)))
    return place


def dumped_frame(space: AddressSpace, area: Area, address: int) -> Frame:
    """The frame of a page, with a reference; NO_FRAME where there is none: the page was never touched, or lies past the
    end of its file, or cannot be read, or is secret, or broken. Protection does not matter. Raises MemoryError.
    """
    source = area.source
    if source is not None and source.is_secret():
        return NO_FRAME
    entry = space.pages.entry_of(address)
    while is_swapped(entry):
        page = SWAP.find(entry_slot(entry))
        if page is not None and not page.is_reading:
            if is_broken(page.frame):
                return NO_FRAME
            get_frame(page.frame)
            return page.frame
        try:
            SWAP.loader.load(entry_slot(entry))
        except Errno:
            return NO_FRAME
        entry = space.pages.entry_of(address)
    if names_broken(entry):
        return NO_FRAME
    if names_frame(entry):
        frame = entry_frame(entry)
        get_frame(frame)
        return frame
    index = area.index_of(address)
    if source is None or source.next_kept(index) != index:
        return NO_FRAME
    try:
        return source.page(index, for_write=False)
    except Errno:
        return NO_FRAME
