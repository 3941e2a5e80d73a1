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
from kernel.lib.linked import FIRST, NEXT
from kernel.lib.pace import PACE, is_dying, is_interrupted, pace, spend
from kernel.mm.area import DROPPABLE, MAP_LOCKED, Area
from kernel.mm.area_tree import following
from kernel.mm.broken import is_broken
from kernel.mm.crowded_memory import CROWDED_MEMORY
from kernel.mm.exchange import address_of, count_in_areas
from kernel.mm.fault import Access, swap_in
from kernel.mm.frame_tree import SWAPPABLE, FrameTree, in_place_of_frame, is_slot, slot_in
from kernel.mm.frames import (
    PAGE_SHIFT,
    PAGE_SIZE,
    Frame,
    available_frame_count,
    charged_for,
    frame_count,
    is_merged,
    is_pinned,
    put_frame,
)
from kernel.mm.objects import SHARED_TOTALS, FixedPages, TrackedObject, bring_page
from kernel.mm.reverse_map import unmap_frame
from kernel.mm.space import SPACES, SWEEP_PLACE, AddressSpace
from kernel.mm.swap_slots import NO_SLOT, SWAP, CachedSlot, Slot, area_of

_TABLE_COST: Final = 6000  # instructions for looking at a table, for `pace`
_AREA_COST: Final = 180
_PAGE_COST: Final = 2000
_LOOKS_AT_ONCE: Final = 1024  # entries, areas or spaces
_AT_ONCE: Final = 32  # pages


class Choice:
    """Which pages are to go. Base class: all."""

    def wants(self, owner: int) -> bool:
        """Whether pages that are charged to a control group (0: to none) may go. Never sleeps."""
        return True

    def look_again(self) -> None:
        """A group was refused a slot: forget what was known of it."""


EVERYBODY: Final = Choice()


@final
class Taken:
    """Pages that were taken, and are to be written."""

    def __init__(self) -> None:
        self.pages: list[CachedSlot] = []
        self.unmapped: int = 0  # entries
        self.is_full: bool = False  # there is no slot, or no memory for the bookkeeping
        self.is_refused: bool = False  # a control group may not have a slot

    def clear(self) -> None:
        """Start over."""
        self.pages.clear()
        self.unmapped = 0
        self.is_full = False
        self.is_refused = False

    def can_go_on(self) -> bool:
        """Whether it is worth while to look at more pages."""
        return not self.is_full and not self.is_refused


def is_sweepable(area: Area) -> bool:
    """Whether private pages of an area may go."""
    if area.is_huge or area.flags & (MAP_LOCKED | DROPPABLE) != 0:
        return False
    source = area.source
    if source is None:
        return True
    return area.has_own_pages and not area.shared and not isinstance(source, FixedPages)


def take_page(space: AddressSpace, address: int, slot: int, taken: Taken) -> bool:
    """Let the entry of a page, at `slot`, name a place in a swap area if the page may go; whether it did. The caller
    flushes before anything else happens. Never sleeps, raises nothing.
    """
    entry = read_entry(slot)
    if entry & (PRESENT | HIDDEN) == 0 or entry & PRIVATE == 0:
        return False
    frame = entry_frame(entry)
    if is_pinned(frame) or is_merged(frame) or is_broken(frame):
        return False  # what is broken is just being taken away (memory_failure.py)
    if entry & WRITABLE != 0 and frame_count(frame) != 1:
        return False  # the kernel works with it
    page = SWAP.find_frame(frame)
    if page is None:
        page = _new_place(frame, charged_for(frame), taken)
        if page is None:
            return False
    elif not SWAP.takes_users(page):
        return False
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
    if not page.is_busy():  # its contents were written before: the frame may come free at once
        space.pages.flush_page(address)
        SWAP.transferred(page)
    return True


def take_shared_page(tree: FrameTree, index: int, choice: Choice, taken: Taken, takes_used: bool) -> bool:
    """Let a memory object have a slot in place of a page, which no program maps any more then, if the page may go;
    whether it did. Never sleeps, raises nothing.
    """
    frame = tree.get(index)
    if is_pinned(frame) or is_broken(frame):
        return False
    owner = charged_for(frame)
    mapping = tree.mapping
    mapped = 0
    if mapping is not None:
        if mapping.is_crowded():  # then it goes if nobody maps it
            if frame_count(frame) != 1 and choice.wants(owner):
                CROWDED_MEMORY.note(tree, index)
        elif is_wanted_in_areas(mapping, index, frame, takes_used):
            return False
        else:
            mapped = count_in_areas(mapping, index, frame)
    if frame_count(frame) != mapped + 1 or not choice.wants(owner):
        return False  # the kernel works with it, or a copy of a program is not one yet
    page = _new_place(frame, owner, taken)
    if page is None:
        return False
    try:
        taken.pages.append(page)
    except MemoryError:
        taken.is_full = True
        SWAP.leave(page)
        return False
    page.is_writing = True
    if mapping is not None and mapped > 0:
        unmap_frame(mapping, index, frame)
    SWAP.get(page.slot)
    tree.put(index, in_place_of_frame(page.slot))  # needs no memory: there is a place
    tree.swapped += 1
    SHARED_TOTALS.pages -= 1
    taken.unmapped += 1
    put_frame(frame)  # the cache has it
    return True


def is_wanted_in_areas(source: TrackedObject, index: int, frame: Frame, takes_used: bool) -> bool:
    """Whether a program has locked a page of an object, or has used it since this was last asked; then it has not, from
    now on. Never sleeps.
    """
    was_used = False
    area = source.all_areas[FIRST]
    while area is not None:
        spend(_AREA_COST)
        space = area.space
        address = address_of(area, index)
        if space is not None and area.start <= address < area.end:
            if area.flags & MAP_LOCKED != 0 or space.is_held:
                return True
            slot = space.pages.find(address)
            entry = 0 if slot == 0 else read_entry(slot)
            if entry & (PRESENT | ACCESSED) == PRESENT | ACCESSED and entry_frame(entry) == frame:
                was_used = True
                write_entry(slot, entry & ~ACCESSED)
        area = area.source_links[NEXT]
    return was_used and not takes_used


def _new_place(frame: Frame, owner: int, taken: Taken) -> CachedSlot | None:
    """A slot for a frame, which the cache has from now on; None if there is none, as `taken` says then."""
    slot = SWAP.take(owner)
    if slot == NO_SLOT:
        taken.is_refused = SWAP.has_free()
        taken.is_full = not taken.is_refused
        return None
    try:
        page = SWAP.enter(slot, frame)
    except MemoryError:
        SWAP.put(slot)
        taken.is_full = True
        return None
    page.is_dirty = True
    return page


def take_unwritten(taken: Taken, most: int) -> None:
    """Take pages of the swap cache that there was no memory to write. Never sleeps, raises nothing."""
    SWAP.has_unwritten = False
    page = SWAP.first()
    while page is not None:
        spend(_AREA_COST)
        if page.is_dirty and not page.is_busy() and SWAP.takes_users(page):
            if len(taken.pages) == most:
                SWAP.has_unwritten = True
                return
            following = page.after()
            try:
                taken.pages.append(page)
            except MemoryError:
                SWAP.has_unwritten = True
                return
            page.is_writing = True
            if page.after() is not following:
                SWAP.has_unwritten = True  # whoever was asked for memory has moved it (`drop_unused`): some are left
        page = page.after()


@final
class Sweep:
    """The hand of the clock."""

    def __init__(self) -> None:
        self.rounds: int = 0  # how often it has gone round
        self.is_at_trees: bool = False  # it goes over spaces, then over memory objects
        self.has_passed_held: bool = False  # a space that somebody held: its pages may be taken later

    def take_some(self, choice: Choice, taken: Taken, most: int, takes_used: bool) -> None:
        """Go on from where the hand is, until `most` pages are to be written or it has looked at many. The caller calls
        it again as long as it is worth while. `takes_used`: pages that were used since the last round go as well.
        """
        if self.is_at_trees:
            self._take_of_trees(choice, taken, most, takes_used)
        else:
            self._take_of_spaces(choice, taken, most, takes_used)

    def _take_of_trees(self, choice: Choice, taken: Taken, most: int, takes_used: bool) -> None:
        """The same in memory objects."""
        looks = 0
        while looks < _LOOKS_AT_ONCE and len(taken.pages) < most and taken.can_go_on():
            if looks > 0 and PACE.left <= 0:
                return
            tree = SWAPPABLE.at
            if tree is None:
                self.is_at_trees = False
                self.rounds += 1
                SWEEP_PLACE.go_to(SPACES.first())
                return
            index = -1 if tree.stays else tree.next_from(SWAPPABLE.index)
            if index < 0:
                looks += 1
                SWAPPABLE.go_to(tree.after())
                continue
            SWAPPABLE.index = index + 1
            looks += 8
            if not is_slot(tree.get(index)):
                take_shared_page(tree, index, choice, taken, takes_used)

    def _take_of_spaces(self, choice: Choice, taken: Taken, most: int, takes_used: bool) -> None:
        looks = 0
        while looks < _LOOKS_AT_ONCE and len(taken.pages) < most and taken.can_go_on():
            space = SWEEP_PLACE.space
            if space is None:
                self.is_at_trees = True
                SWAPPABLE.go_to(SWAPPABLE.first())
                return
            looks += 8
            if space.is_held or space.is_new or space.is_being_entered or space.users == 0:
                self.has_passed_held = self.has_passed_held or space.is_held
                SWEEP_PLACE.go_to(space.after())
                continue
            area = space.areas.first_above(SWEEP_PLACE.address)
            while area is not None and not is_sweepable(area) and looks < _LOOKS_AT_ONCE:
                looks += 1
                SWEEP_PLACE.address = area.end
                area = following(area)
            if area is None:
                SWEEP_PLACE.go_to(space.after())
                continue
            if not is_sweepable(area):
                return
            looks += self._look_at(space, area, choice, taken, most, takes_used)

    def _look_at(
        self, space: AddressSpace, area: Area, choice: Choice, taken: Taken, most: int, takes_used: bool
    ) -> int:
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
        if not self._passes_large(space, address, choice, takes_used):
            slot = pages.find(address)
            while address < stop and len(taken.pages) < most and taken.can_go_on():
                looks += 1
                entry = read_entry(slot)
                if entry & (PRESENT | HIDDEN) != 0 and choice.wants(charged_for(entry_frame(entry))):
                    if entry & (PRESENT | ACCESSED) == PRESENT | ACCESSED and not takes_used:
                        write_entry(slot, entry & ~ACCESSED)  # not flushed: then a use may go unseen, which is no harm
                    else:
                        take_page(space, address, slot, taken)
                slot += 8
                address += PAGE_SIZE
            SWEEP_PLACE.address = address
        else:
            SWEEP_PLACE.address = stop
        if taken.unmapped > before:
            pages.flush_range(start, stop)
        return looks + 8

    def _passes_large(self, space: AddressSpace, address: int, choice: Choice, takes_used: bool) -> bool:
        """Whether there is a large page that stays, because it was used, or is not of those that are to go."""
        slot = space.pages.find_large(address)
        if slot == 0:
            return False
        entry = read_entry(slot)
        if not choice.wants(charged_for(entry_frame(entry))):
            return True
        if entry & (PRESENT | ACCESSED) == PRESENT | ACCESSED and not takes_used:
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
    """MADV_PAGEOUT: swap out the pages of a range that nobody else has, its own and those of memory that is shared
    without a file on a disk. Sleeps. Raises MemoryError.
    """
    if not SWAP.has_free():
        return
    taken = Taken()
    while start < end and taken.can_go_on() and not is_dying():
        area = space.settled_area(start, end)
        if area is None:
            return
        start = max(start, area.start)
        stop = min(end, area.end)
        source = area.source
        tree = None if source is None else source.swappable_tree()
        if area.shared and tree is not None and not tree.stays:
            start = _take_of_object(tree, area, start, stop, taken)
        elif is_sweepable(area):
            start = _take_table(space, start, stop, taken)
        else:
            start = stop
        if len(taken.pages) > 0:
            WRITER.writer.write(taken)
        pace(_TABLE_COST)


def _take_table(space: AddressSpace, start: int, end: int, taken: Taken) -> int:
    """Take pages of an area that one table maps, as many as are written at once. Returns where the rest begins. Never
    sleeps.
    """
    pages = space.pages
    start = pages.next_table(start, end)
    if start >= end:
        return end
    stop = min(end, table_end(start))
    address = pages.next_mapped(start, stop)
    while address < stop and len(taken.pages) < _AT_ONCE and taken.can_go_on():
        slot = pages.find(address)
        entry = read_entry(slot)
        if entry & (PRESENT | HIDDEN) != 0 and _is_only_here(entry_frame(entry)):
            take_page(space, address, slot, taken)
        address = pages.next_mapped(address + PAGE_SIZE, stop)
    pages.flush_range(start, stop)
    return address


def _is_only_here(frame: Frame) -> bool:
    """Whether a frame that is mapped has no other reference, but that of the swap cache."""
    count = frame_count(frame)
    return count == 1 or (count == 2 and SWAP.find_frame(frame) is not None)


def _take_of_object(tree: FrameTree, area: Area, start: int, end: int, taken: Taken) -> int:
    """Take pages of a memory object that an area shows and no other maps. Returns where the rest begins. Never
    sleeps.
    """
    first = area.index_of(start)
    behind = area.index_of(end - 1) + 1
    index = tree.next_from(first)
    looks = 0
    while first <= index < behind:
        if len(taken.pages) == _AT_ONCE or not taken.can_go_on() or looks == _LOOKS_AT_ONCE:
            return start + (index - first << PAGE_SHIFT)
        if looks > 0 and PACE.left <= 0:
            return start + (index - first << PAGE_SHIFT)
        looks += 1
        frame = tree.get(index)
        if not is_slot(frame) and frame_count(frame) <= 2:
            take_shared_page(tree, index, EVERYBODY, taken, takes_used=True)
        index = tree.next_from(index + 1)
    return end


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


def swapped_trees() -> list[FrameTree]:
    """The memory objects of which pages lie in swap areas. Raises MemoryError."""
    found: list[FrameTree] = []
    tree = SWAPPABLE.first()
    while tree is not None:
        if tree.swapped > 0:
            found.append(tree)
        tree = tree.after()
    return found


def bring_object_back(tree: FrameTree, number: int) -> None:
    """Read all pages of a memory object that lie in an area, as `bring_back`. Raises EIO, too."""
    index = tree.next_from(0)
    while index >= 0 and tree.swapped > 0:
        frame = tree.get(index)
        if is_slot(frame) and area_of(slot_in(frame)) == number:
            bring_page(tree, index)
        pace(_PAGE_COST)
        if is_interrupted():
            raise Errno(EINTR)
        index = tree.next_from(index + 1)


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
    return False


def _give_up(space: AddressSpace, address: int, place: Slot) -> None:
    """A page cannot be read: whoever touches it gets SIGBUS, also after the area is gone."""
    entry = space.pages.entry_of(address)
    if is_swapped(entry) and entry_slot(entry) == place:
        write_entry(space.pages.find(address), POISONED)
        space.pages.swapped -= 1
        space.note_broken()
        SWAP.put(place)
