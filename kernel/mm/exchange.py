"""Taking a frame out of page tables that name it, for another one or for the stand-in of broken frames.

Where a memory object knows its areas, they say where to look (`exchange_in_areas`). Memory that belongs to programs
alone, and to their forks, is looked for in whole page tables (`exchange_in_space`): a list of
those that have such a frame would have to be kept at every fork, and only this would read it.

Context: as said at each function. Entries are flushed at once, so that a copy afterwards has the last contents.
"""

from typing import Final

from arch import USER_END
from arch.programs import (
    STANDS_IN,
    WRITABLE,
    entry_frame,
    make_entry,
    names_frame,
    read_entry,
    table_end,
    write_entry,
)
from kernel.lang import final
from kernel.lib.linked import FIRST, NEXT
from kernel.lib.pace import pace
from kernel.mm.area import Area
from kernel.mm.broken import BROKEN
from kernel.mm.frames import HUGE_FRAMES, PAGE_SHIFT, PAGE_SIZE, Frame, frame_count, get_frame, put_frame
from kernel.mm.objects import TrackedObject
from kernel.mm.space import AddressSpace

_TABLE_COST: Final = 6000  # instructions for looking at a table, for `pace`
_PLACE_COST: Final = 16


@final
class Places:
    """Where programs have a page."""

    def __init__(self) -> None:
        self.spaces: list[AddressSpace] = []
        self.addresses: list[int] = []

    def add(self, space: AddressSpace, address: int) -> None:
        """Note a place, unless the last one that was noted is in the same space. Raises MemoryError, with nothing
        added.
        """
        count = len(self.spaces)
        if count > 0 and self.spaces[count - 1] is space:
            return
        self.addresses.append(address)
        try:
            self.spaces.append(space)
        except MemoryError:
            self.addresses.pop()
            raise

    def address_in(self, space: AddressSpace) -> int:
        """The first address that was noted of a space, or -1. Sleeps."""
        for place in range(len(self.spaces)):
            if self.spaces[place] is space:
                return self.addresses[place]
            pace(_PLACE_COST)
        return -1


def _slot_of(space: AddressSpace, address: int, frame: Frame) -> int:
    """Where the entry of a page lies if it names the frame, else 0."""
    slot = space.pages.find(address)
    if slot == 0:
        return 0
    entry = read_entry(slot)
    return slot if names_frame(entry) and entry_frame(entry) == frame else 0


def shows(space: AddressSpace, address: int, frame: Frame) -> bool:
    """Whether the entry of a page names the frame. Never sleeps."""
    return _slot_of(space, address, frame) != 0


def exchange_at(space: AddressSpace, address: int, frame: Frame, other: Frame) -> bool:
    """Let the entry of a page name another frame if it names `frame`; whether it did. The
    caller holds a reference to both. Never sleeps.
    """
    slot = _slot_of(space, address, frame)
    if slot == 0:
        return False
    entry = read_entry(slot)
    get_frame(other)
    if other == BROKEN.stand_in:
        write_entry(slot, make_entry(other, STANDS_IN))
        space.note_broken()
    else:
        write_entry(slot, make_entry(other, entry ^ make_entry(frame, 0)))
    space.pages.flush_page(address)
    put_frame(entry_frame(entry))  # the reference of the entry
    return True


def forbid_writes_at(space: AddressSpace, address: int, frame: Frame) -> bool:
    """Take write permission from the entry of a page, if it names `frame`; whether it had any. Never sleeps."""
    slot = _slot_of(space, address, frame)
    if slot == 0 or read_entry(slot) & WRITABLE == 0:
        return False
    write_entry(slot, read_entry(slot) & ~WRITABLE)
    space.pages.flush_page(address)
    return True


def allow_writes_at(space: AddressSpace, address: int, frame: Frame) -> None:
    """Give back what `forbid_writes_at` took. Nobody has run since."""
    slot = _slot_of(space, address, frame)
    if slot != 0:
        write_entry(slot, read_entry(slot) | WRITABLE)


def exchange_in_space(space: AddressSpace, frame: Frame, other: Frame) -> int:
    """Do as `exchange_at` says wherever the space maps the frame; returns the first address, or -1. Allocates nothing.
    Waits until nobody holds the space, and takes safe points; the caller has it by `acquire`. Nobody moves a page
    meanwhile from where this has not looked to where it has.
    """
    found = -1
    space.settle()
    space.hold()
    try:
        address = space.pages.next_table(0, USER_END)
        while address < USER_END:
            stop = min(USER_END, table_end(address))
            large = space.pages.find_large(address)
            if large != 0 and not 0 <= frame - entry_frame(read_entry(large)) < HUGE_FRAMES:
                pace(_TABLE_COST)
                address = space.pages.next_table(stop, USER_END)
                continue
            slot = space.pages.find(address)
            while address < stop:
                entry = read_entry(slot)
                if names_frame(entry) and entry_frame(entry) == frame:
                    exchange_at(space, address, frame, other)
                    found = address if found < 0 else found
                slot += 8
                address += PAGE_SIZE
            pace(_TABLE_COST)
            address = space.pages.next_table(stop, USER_END)
    finally:
        space.let_go()
    return found


def address_of(area: Area, index: int) -> int:
    """Where a page of the source lies, or would lie if the area were long enough, or -1 below it."""
    first = area.first_page
    return -1 if index < first else area.start + (min(index - first, 1 << 40) << PAGE_SHIFT)


def exchange_in_areas(source: TrackedObject, index: int, frame: Frame, other: Frame) -> None:
    """Do as `exchange_at` says wherever page `index` of an object, in `frame`, is mapped. Copies that programs have of
    it stay. Never sleeps.
    """
    area = source.all_areas[FIRST]
    while area is not None:
        space = area.space
        address = address_of(area, index)
        if space is not None and area.start <= address < area.end:
            exchange_at(space, address, frame, other)
        area = area.source_links[NEXT]


def count_in_areas(source: TrackedObject, index: int, frame: Frame) -> int:
    """How many entries map page `index` of an object, in `frame`. Never sleeps."""
    count = 0
    area = source.all_areas[FIRST]
    while area is not None:
        space = area.space
        address = address_of(area, index)
        if space is not None and area.start <= address < area.end and _slot_of(space, address, frame) != 0:
            count += 1
        area = area.source_links[NEXT]
    return count


def is_used(source: TrackedObject, index: int, frame: Frame) -> bool:
    """Whether somebody uses page `index` of an object, in `frame`, beside the object, those who map it, and the caller,
    who has a reference: a device, or a thread that sleeps meanwhile. If very many map it, that counts as use. Never
    sleeps.
    """
    return source.is_crowded() or frame_count(frame) != count_in_areas(source, index, frame) + 2


def note_areas(source: TrackedObject, index: int, places: Places) -> None:
    """In which spaces areas show page `index` of an object, whether it is mapped there or not. Never sleeps. Raises
    MemoryError.
    """
    area = source.all_areas[FIRST]
    while area is not None:
        space = area.space
        address = address_of(area, index)
        if space is not None and area.start <= address < area.end:
            places.add(space, address)
        area = area.source_links[NEXT]
