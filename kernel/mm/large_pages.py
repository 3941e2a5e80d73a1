"""Large pages: 512 frames of anonymous memory that one entry of the page table maps (transparent huge pages).

A program does not ask for them and need not know of them: where a fault in private anonymous memory meets 2 MiB of
which nothing was mapped yet, all of it is mapped at once, if the settings allow it and 512 free frames lie in a row.
Each frame keeps a count of its own, so nothing else in the kernel need know of large pages: whoever asks the page table
for the entry of a single page has the large one split (`PageTable.find`). It is never put together again, unless the
program asks for that by MADV_COLLAPSE (collapsing.py).

Where nobody asked for large pages (`always`), an eighth of memory stays free of them: a program that touches a byte
here and there would else take 512 times what it needs until nothing is left. A machine with less than 512 MiB has none
at all until they are switched on, as on Linux.

Context: `resolve_large` may sleep, the rest doesn't.
Source: madvise(2), Linux's Documentation/admin-guide/mm/transhuge.rst.
"""

from typing import TYPE_CHECKING, Final

from arch.programs import (
    DIRTY,
    HIDDEN,
    HUGE,
    NO_EXECUTE,
    PRIVATE,
    SPLITTABLE,
    WRITABLE,
    entry_frame,
    make_entry,
    read_entry,
    write_entry,
)
from kernel.lang import final, noinline
from kernel.lib.pace import pace, spend
from kernel.mm.area import PROT_EXEC, PROT_READ, PROT_WRITE, UNWANTED, WANTED, Area
from kernel.mm.fault import Access, entry_flags
from kernel.mm.frames import (
    HUGE_FRAMES,
    NO_FRAME,
    PAGE_SHIFT,
    Frame,
    allocate_frame_row,
    free_frame_count,
    is_row_alone,
    lacks_frames_for_row,
    make_room,
    put_frame_row,
    total_frame_count,
)
from kernel.mm.huge_object import clear_huge_page
from kernel.mm.huge_pool import HUGE_MASK, HUGE_SIZE

if TYPE_CHECKING:
    from kernel.mm.space import AddressSpace

# When faults bring large pages
ALWAYS: Final = 0
ADVISED: Final = 1  # only where the program asked for them (MADV_HUGEPAGE)
NEVER: Final = 2
# How hard a fault tries to get one (`defrag`): where caches are emptied for it
DEFER: Final = 3
DEFER_BUT_ADVISED: Final = 4

_SPARED_SHIFT: Final = 3  # an eighth of memory
_ROOM: Final = 64  # frames that caches give back at once
_ROOM_COST: Final = 100_000
_ROOM_ROUNDS: Final = 16
_LOOK_COST: Final = 12_000  # at 512 entries of the frame table
_ROW_COST: Final = 20_000  # to take 512 frames
_SMALL_MACHINE: Final = 512 << 20

NOT_LARGE: Final = -1


@final
class LargePages:
    """The settings, and what happened since the machine started."""

    def __init__(self) -> None:
        self.enabled: int = ALWAYS
        self.effort: int = ADVISED
        self.uses_zero_page: bool = True  # kept for whoever reads it: reading brings a small page
        self.faults: int = 0  # that brought a large page
        self.fallbacks: int = 0  # that should have
        self.collapsed: int = 0
        self.not_collapsed: int = 0  # for want of memory

    def configure(self) -> None:
        """Choose the settings with which the machine starts."""
        if total_frame_count() < _SMALL_MACHINE >> PAGE_SHIFT:
            self.enabled = NEVER
            self.effort = NEVER
            self.uses_zero_page = False


LARGE_PAGES: Final = LargePages()


def may_be_large(space: "AddressSpace", area: Area) -> bool:
    """Whether an area can have large pages at all, whatever the settings say."""
    return (
        area.source is None
        and not area.shared
        and area.handler is None
        and area.large_advice != UNWANTED
        and not space.settings.refuses_huge_pages
    )


def wants_large(space: "AddressSpace", area: Area) -> bool:
    """Whether faults in an area are to bring large pages."""
    if LARGE_PAGES.enabled == NEVER or not may_be_large(space, area):
        return False
    return LARGE_PAGES.enabled == ALWAYS or area.large_advice == WANTED


def holds_whole(area: Area) -> bool:
    """Whether a large page would fit into an area."""
    return (area.start + HUGE_MASK & ~HUGE_MASK) + HUGE_SIZE <= area.end


@noinline
def resolve_large(space: "AddressSpace", area: Area, page: int, access: Access) -> int:
    """Make a page accessible as a part of a large one that is there, or is brought by a write. Returns by how many
    pages the resident set grew; NOT_LARGE where a single page is to be mapped, with nothing changed. Where the area
    changes meanwhile, nothing is done, and the instruction faults again.
    """
    start = page & ~HUGE_MASK
    slot = space.pages.find_large(start)
    if slot != 0:
        return _renew(space, area, start, slot, access)
    if access != Access.WRITE or not wants_large(space, area) or space.pages.has_table(start):
        return NOT_LARGE
    head = take_row(area.large_advice == WANTED)
    if head == NO_FRAME:
        LARGE_PAGES.fallbacks += 1
        space.settle()
        is_unchanged = space.area_at(page) is area and area.prot & PROT_WRITE != 0 and area.handler is None
        return NOT_LARGE if is_unchanged else 0
    grown = 0
    try:
        clear_huge_page(head)
        space.settle()
        found = space.area_at(page)
        if found is area and _fits(area, start) and area.prot & PROT_WRITE != 0 and wants_large(space, area):
            if not space.pages.has_table(start):
                grown = _enter(space, area, start, head)
    finally:
        if grown <= 0:
            put_frame_row(head)
    return grown


def _enter(space: "AddressSpace", area: Area, start: int, head: Frame) -> int:
    """Map a row of frames; NOT_LARGE where there is no memory for the tables. Never sleeps."""
    try:
        space.pages.enter_large(start, head, entry_flags(area) | WRITABLE | DIRTY | PRIVATE)
    except MemoryError:
        LARGE_PAGES.fallbacks += 1
        return NOT_LARGE
    area.has_own_pages = True
    LARGE_PAGES.faults += 1
    return HUGE_FRAMES


def _fits(area: Area, start: int) -> bool:
    return area.start <= start and start + HUGE_SIZE <= area.end


def _renew(space: "AddressSpace", area: Area, start: int, slot: int, access: Access) -> int:
    """A fault in a large page that is there."""
    entry = read_entry(slot)
    flags = entry_flags(area)
    if access == Access.WRITE and entry & WRITABLE == 0:
        spend(_LOOK_COST)
        if not is_row_alone(entry_frame(entry)):
            return NOT_LARGE
        flags |= WRITABLE | DIRTY
    write_entry(slot, (entry & ~(HIDDEN | NO_EXECUTE)) | flags)
    space.pages.renew_page(start)
    return 0


def take_row(is_wanted: bool) -> Frame:
    """512 frames in a row for a program; caches are emptied for them if the settings say so, and if it is frames that
    lack: it does not help where they are free but scattered. NO_FRAME if there are none. Sleeps.
    """
    spared = 0 if is_wanted else total_frame_count() >> _SPARED_SHIFT
    spend(_ROW_COST)
    head = allocate_frame_row(spared)
    effort = LARGE_PAGES.effort
    if effort == ALWAYS or (is_wanted and effort in (ADVISED, DEFER_BUT_ADVISED)):
        rounds = 0
        while head == NO_FRAME and rounds < _ROOM_ROUNDS and lacks_frames_for_row(spared):
            before = free_frame_count()
            make_room(_ROOM)
            if free_frame_count() <= before:
                break
            pace(_ROOM_COST)
            head = allocate_frame_row(spared)
            rounds += 1
    return head


def renew_protection(slot: int, area: Area) -> None:
    """Bring the entry of a large page in line with its area's new protection. Writability returns by a fault."""
    entry = read_entry(slot)
    kept = entry & (HUGE | SPLITTABLE | DIRTY | PRIVATE)
    if area.prot & (PROT_READ | PROT_WRITE | PROT_EXEC) == 0:
        write_entry(slot, make_entry(entry_frame(entry), kept | HIDDEN))
    else:
        write_entry(slot, make_entry(entry_frame(entry), kept | entry_flags(area)))
