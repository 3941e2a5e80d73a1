"""Taking pages from programs, so that they can be written to a swap area, and giving them back when the area goes.

`Sweep` goes round all page tables as the hand of a clock: a page that was used since the hand last passed stays, and
loses its mark of use; others lose their entry, which names a slot from then on, and their frame goes to the swap cache
until it is written. A frame that several programs share after a fork is met once for each: the cache knows its slot,
and the frame comes free when the last entry is gone.

What stays: locked memory (mlock(2)), huge pages, merged pages (merging.py), frames that a device may write to, frames
that the kernel holds for other reasons, memory that is secret or the kernel's. Large pages are split. The space that
somebody holds, or execve(2) is building, is passed over.

Rejected: lists of pages in the order of their use, as the page cache has them. Each page of each program would need
links to the entries that map it, kept at every fault, fork and exit, and only this would read them.

Context: `take_some` never sleeps; the caller writes what it has taken. `bring_back` sleeps.
"""

from typing import Final

from arch.programs import (
    ACCESSED,
    HIDDEN,
    POISONED,
    PRESENT,
    PRIVATE,
    WRITABLE,
    WRITE_WATCHED,
    entry_frame,
    entry_slot,
    is_swapped,
    make_swapped_entry,
    read_entry,
    table_end,
    write_entry,
)
from kernel.lang import EINTR, Errno, final
from kernel.lib.pace import is_dying, is_interrupted, pace
from kernel.mm.area import DROPPABLE, MAP_LOCKED, Area
from kernel.mm.area_tree import following
from kernel.mm.fault import Access, protect_entry, swap_in
from kernel.mm.frames import (
    PAGE_SIZE,
    Frame,
    available_frame_count,
    charged_for,
    frame_count,
    is_merged,
    is_pinned,
    put_frame,
)
from kernel.mm.objects import FixedPages
from kernel.mm.space import SPACES, SWEEP_PLACE, AddressSpace
from kernel.mm.swap_slots import NO_SLOT, SWAP, CachedSlot, Slot, area_of

_TABLE_COST: Final = 6000  # instructions for looking at a table, for `pace`
_SPACE_COST: Final = 400
_PAGE_COST: Final = 2000
_LOOKS_AT_ONCE: Final = 1024  # entries, areas or spaces
_AT_ONCE: Final = 32  # pages


class Choice:
    """Which pages are to go. Base class: all."""

    def wants(self, owner: int) -> bool:
        """Whether pages that are charged to a control group (0: to none) may go. Never sleeps."""
        return True


@final
class Taken:
    """Pages that were taken, and are to be written."""

    def __init__(self) -> None:
        self.pages: list[CachedSlot] = []
        self.unmapped: int = 0  # entries
        self.is_full: bool = False  # there is no slot, or no memory for the bookkeeping

    def clear(self) -> None:
        """Start over."""
        self.pages.clear()
        self.unmapped = 0
        self.is_full = False


def is_sweepable(area: Area) -> bool:
    """Whether private pages of an area may go."""
    if area.is_huge or area.flags & (MAP_LOCKED | DROPPABLE) != 0:
        return False
    source = area.source
    if source is None:
        return True
    return area.has_own_pages and not area.shared and not isinstance(source, FixedPages)


def take_page(space: AddressSpace, address: int, slot: int, choice: Choice, taken: Taken) -> bool:
    """Let the entry of a page, at `slot`, name a place in a swap area if the page may go; whether it did. The caller
    flushes before anything else happens. Never sleeps, raises nothing.
    """
    entry = read_entry(slot)
    if entry & (PRESENT | HIDDEN) == 0 or entry & PRIVATE == 0:
        return False
    frame = entry_frame(entry)
    if is_pinned(frame) or is_merged(frame):
        return False
    if entry & WRITABLE != 0 and frame_count(frame) != 1:
        return False  # the kernel works with it
    owner = charged_for(frame)
    if not choice.wants(owner):
        return False
    page = SWAP.find_frame(frame)
    if page is None:
        page = _new_place(frame, owner)
        if page is None:
            taken.is_full = True
            return False
        page.is_dirty = True
    if page.is_dirty and not page.is_writing:
        try:
            taken.pages.append(page)
        except MemoryError:
            taken.is_full = True
            if SWAP.is_last(page):
                SWAP.leave(page)
            return False
        page.is_writing = True
    SWAP.get(page.slot)
    write_entry(slot, make_swapped_entry(page.slot, entry & WRITE_WATCHED))
    space.pages.swapped += 1
    space.resident -= 1
    taken.unmapped += 1
    put_frame(frame)  # the cache has it
    return True


def _new_place(frame: Frame, owner: int) -> CachedSlot | None:
    """A slot for a frame, which the cache has from now on; None if there is none."""
    slot = SWAP.take(owner)
    if slot == NO_SLOT:
        return None
    try:
        return SWAP.enter(slot, frame)
    except MemoryError:
        SWAP.put(slot)
        return None


@final
class Sweep:
    """The hand of the clock."""

    def __init__(self) -> None:
        self.rounds: int = 0  # how often it has gone round
        self.takes_used: bool = False  # pages that were just used go as well: a round brought nothing

    def take_some(self, choice: Choice, taken: Taken, most: int) -> None:
        """Go on from where the hand is, until `most` pages are to be written or it has looked at many. The caller calls
        it again as long as it is worth while.
        """
        looks = 0
        while looks < _LOOKS_AT_ONCE and len(taken.pages) < most and not taken.is_full:
            space = SWEEP_PLACE.space
            if space is None:
                self.rounds += 1
                SWEEP_PLACE.go_to(SPACES.first())
                return
            looks += 8
            if space.is_held or space.is_new or space.users == 0:
                SWEEP_PLACE.go_to(space.after())
                continue
            area = space.areas.first_above(SWEEP_PLACE.address)
            while area is not None and not is_sweepable(area):
                looks += 1
                area = following(area)
            if area is None:
                SWEEP_PLACE.go_to(space.after())
                continue
            looks += self._look_at(space, area, choice, taken, most)

    def _look_at(self, space: AddressSpace, area: Area, choice: Choice, taken: Taken, most: int) -> int:
        """Look at the next pages of an area, up to the end of a page table; returns how many it has looked at."""
        pages = space.pages
        start = max(area.start, SWEEP_PLACE.address)
        address = pages.next_table(start, area.end)
        stop = min(area.end, table_end(address))
        if address >= area.end:
            SWEEP_PLACE.address = area.end
            return 1
        before = taken.unmapped
        looks = 0
        if not self._passes_large(space, address):
            slot = pages.find(address)
            while address < stop and len(taken.pages) < most and not taken.is_full:
                looks += 1
                entry = read_entry(slot)
                if entry & (PRESENT | ACCESSED) == PRESENT | ACCESSED and not self.takes_used:
                    write_entry(slot, entry & ~ACCESSED)  # a processor that knows the page sees no use: it stays less
                elif entry != 0:
                    take_page(space, address, slot, choice, taken)
                slot += 8
                address += PAGE_SIZE
            SWEEP_PLACE.address = address
        else:
            SWEEP_PLACE.address = stop
        if taken.unmapped > before:
            pages.flush_range(start, stop)
        return looks + 8

    def _passes_large(self, space: AddressSpace, address: int) -> bool:
        """Whether there is a large page that was used, and stays."""
        slot = space.pages.find_large(address)
        if slot == 0:
            return False
        entry = read_entry(slot)
        if entry & (PRESENT | ACCESSED) == PRESENT | ACCESSED and not self.takes_used:
            write_entry(slot, entry & ~ACCESSED)
            return True
        return False


SWEEP: Final = Sweep()


# On request -----------------------------------------------------------------------------------------------------------


class PageWriter:
    """Writes what was taken from programs. Base class: see kernel/cache/swap_areas.py."""

    def write(self, taken: Taken) -> int:
        """Write it, and let it be empty; returns how many frames came free. Sleeps, raises nothing."""
        return 0


@final
class Writer:
    """The one that writes."""

    def __init__(self) -> None:
        self.writer: PageWriter = PageWriter()


WRITER: Final = Writer()


def page_out(space: AddressSpace, start: int, end: int) -> None:
    """MADV_PAGEOUT: swap out the private pages of a range that nobody else has. Sleeps. Raises MemoryError."""
    if not SWAP.has_free():
        return
    taken = Taken()
    everybody = Choice()
    while start < end and not taken.is_full and not is_dying():
        space.settle()
        area = space.areas.first_above(start)
        if area is None or area.start >= end:
            return
        start = max(start, area.start)
        if not is_sweepable(area):
            start = area.end
            continue
        start = _take_table(space, start, min(end, area.end), everybody, taken)
        if len(taken.pages) > 0:
            WRITER.writer.write(taken)
        pace(_TABLE_COST)


def _take_table(space: AddressSpace, start: int, end: int, choice: Choice, taken: Taken) -> int:
    """Take pages of an area that one table maps, as many as are written at once. Returns where the rest begins. Never
    sleeps.
    """
    pages = space.pages
    start = pages.next_table(start, end)
    if start >= end:
        return end
    stop = min(end, table_end(start))
    address = pages.next_mapped(start, stop)
    while address < stop and len(taken.pages) < _AT_ONCE and not taken.is_full:
        slot = pages.find(address)
        entry = read_entry(slot)
        if entry & (PRESENT | HIDDEN) != 0 and frame_count(entry_frame(entry)) == 1:
            take_page(space, address, slot, choice, taken)
        address = pages.next_mapped(address + PAGE_SIZE, stop)
    pages.flush_range(start, stop)
    return address


def will_need(space: AddressSpace, start: int, end: int) -> None:
    """MADV_WILLNEED: read the private pages of a range that lie in swap areas, while there is memory. Sleeps."""
    while start < end and space.pages.swapped > 0 and available_frame_count() > 0:
        start = space.pages.next_table(start, end)
        stop = min(end, table_end(start))
        start = space.pages.next_mapped(start, stop) if start < stop else stop
        if start < stop:
            entry = space.pages.entry_of(start)
            if is_swapped(entry) and SWAP.find(entry_slot(entry)) is None:
                try:
                    SWAP.loader.load(entry_slot(entry))
                except (Errno, MemoryError):
                    return  # it was only advice
            start += PAGE_SIZE
        pace(_PAGE_COST)


# Giving back ----------------------------------------------------------------------------------------------------------


def bring_back(space: AddressSpace, number: int) -> None:
    """Read all pages of a space that lie in an area, which gives out no more slots. What cannot be read is broken from
    then on. The caller holds the space by `acquire`. Sleeps. Raises EINTR, MemoryError.
    """
    address = 0
    while space.pages.swapped > 0:
        pace(_PAGE_COST)
        if is_interrupted():
            raise Errno(EINTR)
        space.settle()
        area = space.areas.first_above(address)
        if area is None:
            return
        address = max(address, area.start)
        if area.is_huge or area.shared:
            address = area.end
            continue
        place = space.pages.next_table(address, area.end)
        stop = min(area.end, table_end(place))
        place = space.pages.next_mapped(place, stop) if place < stop else stop
        address = place
        if place < stop and not _bring_back_page(space, area, place, number):
            address = place + PAGE_SIZE


def _bring_back_page(space: AddressSpace, area: Area, address: int, number: int) -> bool:
    """Read a page if it lies in the area. False: it does not, or does no more; True: look again."""
    if not is_swapped(space.pages.entry_of(address)):
        return False
    slot = space.pages.find(address)
    place = entry_slot(read_entry(slot))
    if area_of(place) != number:
        return False
    try:
        grown = swap_in(space.pages, area, address, slot, Access.READ)
    except Errno:
        _give_up(space, address, place)
        return False
    if grown == 0:
        return True
    space.resident += grown
    space.peak_resident = max(space.peak_resident, space.resident)
    protect_entry(slot, area)
    return False


def _give_up(space: AddressSpace, address: int, place: Slot) -> None:
    """A page cannot be read: whoever touches it gets SIGBUS, also after the area is gone."""
    entry = space.pages.entry_of(address)
    if is_swapped(entry) and entry_slot(entry) == place:
        write_entry(space.pages.find(address), POISONED)
        space.pages.swapped -= 1
        space.note_broken()
        SWAP.put(place)
