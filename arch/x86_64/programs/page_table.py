"""A user address space's page table: four levels of 512 entries, reached through the direct map.

Entries are signed 64-bit ints, as the processor's words read. Beside the hardware's bits, an entry uses two that the
hardware ignores: PRIVATE marks a frame that belongs to this mapping alone or to its forks (anonymous memory and copies
of file pages); HIDDEN marks an entry whose frame is kept while its area is PROT_NONE (the Present bit is then clear).
An entry of 0 maps nothing. Neither does a *mark*, which names no frame: WRITE_WATCHED alone says that whatever will be
mapped there is watched from the beginning, POISONED that nothing will be, for whoever touches the page gets SIGBUS
(kernel/mm/userfault.py). Of a huge page, a mark lies where its entry would, without HUGE: for everything that looks
for huge pages it is not there. STANDS_IN: the frame is that of kernel/mm/broken.py. SWAPPED: it is a slot instead.

A huge page is mapped by an entry one level higher, where others name a table of the lowest level: HUGE tells them
apart, also while the entry is HIDDEN. For `find` and what follows tables, such a page is not there; `entry_of` shows an
entry for each page, whatever maps it.

The kernel half of the top level is copied from the boot table and never changes, so every address space maps the
kernel.

Other processors may translate by the table while it is changed. Whoever clears entries and gives frames back flushes
before anybody can be given these frames: before it allocates, sleeps or comes to a safe point, for until then it holds
the kernel lock. The bits Accessed and Dirty, which a processor sets by itself, are not looked at: losing one does no
harm.

Safety: table frames are owned by the PageTable, zeroed when allocated, and only reached through it; addresses are
range-checked by the caller (AddressSpace) to lie below USER_END.
Source: Intel SDM volume 3, section 4.5 (4-level paging).
"""

from typing import Final

from arch.x86_64.instructions import invalidate_page, read_cr3, write_cr3
from arch.x86_64.layout import DIRECT_MAP_BASE
from arch.x86_64.processors import note_root, processors, shoot_down
from kernel.lang import final, noinline
from kernel.lang.unsafe import copy_bytes, load_i64, store_i64
from kernel.lib.pace import spend
from kernel.mm.frames import (
    HUGE_FRAMES,
    NO_FRAME,
    PAGE_SHIFT,
    PAGE_SIZE,
    Frame,
    allocate_charged_frame,
    allocate_user_frame,
    chain_frame,
    copy_frame,
    frame_address,
    get_frame,
    is_pinned,
    next_in_chain,
    put_frame,
    put_frame_row,
    start_chain,
    unchain_frame,
)
from kernel.mm.swap_slots import SWAP, Slot

PRESENT: Final = 0x1
WRITABLE: Final = 0x2
USER: Final = 0x4
ACCESSED: Final = 0x20
DIRTY: Final = 0x40
HUGE: Final = 0x80  # one level above the lowest: what is mapped is a huge page, and no table
PRIVATE: Final = 0x200  # software bit 9
HIDDEN: Final = 0x400  # software bit 10
WRITE_WATCHED: Final = 0x800  # software bit 11: writes are left to the fault handler (userfaultfd(2))
POISONED: Final = 0x100  # of marks
SWAPPED: Final = 0x8  # of entries that are not present: they name a slot
STANDS_IN: Final = 0x10  # the same: the frame is the stand-in of broken ones
SPLITTABLE: Final = 1 << 52  # a bit that the hardware ignores; with HUGE: a large page
KEY_SHIFT: Final = 59
KEY_BITS: Final = 15 << KEY_SHIFT
NO_EXECUTE: Final = -(1 << 63)
FRAME_BITS: Final = 0x000F_FFFF_FFFF_F000

_NAMES_FRAME: Final = PRESENT | HIDDEN | STANDS_IN
_TABLE_FLAGS: Final = PRESENT | WRITABLE | USER | ACCESSED
_LEVEL_BITS: Final = 9
_STEP_COST: Final = 32  # instructions to see that a table is not there
_SPLIT_COST: Final = 6000
_SLOT_COST: Final = 120
_ENTRIES: Final = 512
_TOP_SHIFT: Final = 39
LEAF_TABLE_BYTES: Final = 1 << 21  # what one table of the lowest level maps
# above that a reload of CR3 is quicker (measured under TCG: 127 ns against 840 and refills)
_SINGLE_FLUSHES: Final = 24


def entry_frame(entry: int) -> Frame:
    """The frame that an entry names."""
    return Frame((entry & FRAME_BITS) >> PAGE_SHIFT)


def names_frame(entry: int) -> bool:
    """Whether an entry names a frame, so that it is neither 0 nor a mark, nor names a slot."""
    return entry & _NAMES_FRAME != 0


def make_entry(frame: Frame, flags: int) -> int:
    """An entry for a frame."""
    return (frame << PAGE_SHIFT) | flags


def is_swapped(entry: int) -> bool:
    """Whether an entry names a slot."""
    return entry & (PRESENT | SWAPPED) == SWAPPED


def entry_slot(entry: int) -> Slot:
    """The slot that an entry names which is SWAPPED."""
    return Slot((entry & FRAME_BITS) >> PAGE_SHIFT)


def make_swapped_entry(slot: Slot, kept: int) -> int:
    """An entry for a page that lies in a slot; `kept`: WRITE_WATCHED, or 0."""
    return (slot << PAGE_SHIFT) | SWAPPED | PRIVATE | kept


def table_end(address: int) -> int:
    """Where what the lowest-level table of an address maps ends: up to there entries lie side by side."""
    return (address & ~(LEAF_TABLE_BYTES - 1)) + LEAF_TABLE_BYTES


def read_entry(address: int) -> int:
    """The entry at an address that `find` or `make` gave."""
    return load_i64(address)


def write_entry(address: int, entry: int) -> None:
    """Change the entry at an address that `find` or `make` gave."""
    store_i64(address, entry)


def share_entries(parent_slot: int, child_slot: int, count: int, shared: bool) -> int:
    """fork: give the child the parent's pages, `count` entries of one table: the same frames, read-only on both sides
    unless they are `shared` (copy-on-write). Returns how many pages there are. Marks are copied, except that, as on
    Linux, what is poisoned of shared memory is so for the parent alone. What is SWAPPED is left to `share_swapped`.

    A private one that a device may be writing to is copied at once: shared, the first of the two to write to it would
    get the copy, and if that were the parent, what the device brings would be lost to it. Raises MemoryError.
    """
    mapped = 0
    for offset in range(0, count << 3, 8):
        entry = load_i64(parent_slot + offset)
        if entry == 0:
            continue
        if entry & _NAMES_FRAME == 0:
            if entry & SWAPPED == 0 and (not shared or entry & POISONED == 0):
                store_i64(child_slot + offset, entry)
            continue
        mapped += 1
        if not shared and entry & PRIVATE != 0 and is_pinned(entry_frame(entry)):
            copied = allocate_user_frame()
            copy_frame(copied, entry_frame(entry))
            store_i64(child_slot + offset, make_entry(copied, entry & ~FRAME_BITS))
            continue
        if not shared and entry & WRITABLE != 0:
            entry &= ~WRITABLE
            store_i64(parent_slot + offset, entry)
        get_frame(entry_frame(entry))
        store_i64(child_slot + offset, entry)
    return mapped


def share_swapped(parent: "PageTable", child: "PageTable", address: int, count: int) -> None:
    """The same for pages that lie in slots, `count` entries of one table that both have from an address on."""
    parent_slot = parent.find(address)
    child_slot = child.find(address)
    for offset in range(0, count << 3, 8):
        entry = load_i64(parent_slot + offset)
        if is_swapped(entry):
            SWAP.get(entry_slot(entry))
            store_i64(child_slot + offset, entry)
            child.swapped += 1
            spend(_SLOT_COST)


def share_large(parent: "PageTable", child: "PageTable", address: int) -> int:
    """fork: give the child the large page at an address, if there is one, read-only on both sides. Returns how many
    pages that are: none where a device may be writing to one, so that single pages are copied. Raises MemoryError.
    """
    slot = parent.find_large(address)
    if slot == 0:
        return 0
    entry = load_i64(slot)
    head = entry_frame(entry)
    for i in range(HUGE_FRAMES):
        if is_pinned(Frame(head + i)):
            return 0
    entry &= ~WRITABLE
    child.enter_large(address, head, entry & ~FRAME_BITS)
    store_i64(slot, entry)
    for i in range(HUGE_FRAMES):
        get_frame(Frame(head + i))
    return HUGE_FRAMES


def drop_entries(slot: int, count: int) -> int:
    """Clear `count` entries of one table and give their frames back. Returns how many pages there were."""
    mapped = 0
    for offset in range(0, count << 3, 8):
        entry = load_i64(slot + offset)
        if entry != 0:
            store_i64(slot + offset, 0)
            if entry & FRAME_BITS != 0:
                put_frame(entry_frame(entry))
                mapped += 1
    return mapped


def drop_most_of_entries(slot: int, count: int, kept: int) -> int:
    """The same, except for the bits `kept`: most tables have few entries, and `drop_entries` passes over the rest."""
    mapped = 0
    for offset in range(0, count << 3, 8):
        entry = load_i64(slot + offset)
        if entry != 0 and entry & kept & PRIVATE == 0:
            store_i64(slot + offset, entry & kept)
            if entry & FRAME_BITS != 0:
                put_frame(entry_frame(entry))
                mapped += 1
    return mapped


@noinline
def drop_swapped(slot: int, count: int, kept: int) -> int:
    """The same for pages that lie in slots, before it is done for the others; with PRIVATE in `kept`, they stay.
    Returns how many there were.
    """
    if kept & PRIVATE != 0:
        return 0
    dropped = 0
    for offset in range(0, count << 3, 8):
        entry = load_i64(slot + offset)
        if is_swapped(entry):
            store_i64(slot + offset, entry & kept)
            SWAP.put(entry_slot(entry))
            dropped += 1
    spend(dropped * _SLOT_COST)
    return dropped


@final
class LargeTotals:
    """Large pages of all tables."""

    def __init__(self) -> None:
        self.mapped: int = 0  # entries
        self.splits: int = 0  # since the machine started


LARGE_TOTALS: Final = LargeTotals()


@final
class PageTable:
    """The table of one address space.

    A *large page* (kernel/mm/large_pages.py) is mapped as a huge one is, with SPLITTABLE: 512 frames in a row, each
    with a count of its own, as if a table named them. A table is kept in reserve for each, so whoever asks for the
    entry of one page (`find`, `make`) finds it: the large page is split first, which needs no memory and changes no
    right. Those who only look use `entry_of`, `next_table` and `next_mapped`, which split nothing.
    """

    def __init__(self) -> None:
        top = allocate_charged_frame()
        start_chain(top)
        self.top: Frame = top  # and the ring of all tables
        self.root: int = top << PAGE_SHIFT  # what CR3 holds
        kernel_top = DIRECT_MAP_BASE + (_boot_root() & FRAME_BITS)
        copy_bytes(frame_address(top) + PAGE_SIZE // 2, kernel_top + PAGE_SIZE // 2, PAGE_SIZE // 2)
        self.table_count: int = 1
        self.huge_count: int = 0  # entries of huge pages, without large ones
        self.large_count: int = 0  # entries of large pages
        self.huge_marks: int = 0  # marks in place of huge pages
        self.swapped: int = 0  # entries that are SWAPPED
        self._spare: Frame = NO_FRAME  # a ring of as many tables, for when they are split

    def find(self, address: int) -> int:
        """Where the entry of a page lies (an address for read_entry), or 0 if its tables do not exist. A large page
        there is split.
        """
        table = frame_address(self.top)
        shift = _TOP_SHIFT
        while shift > PAGE_SHIFT:
            entry = load_i64(table + (((address >> shift) & (_ENTRIES - 1)) << 3))
            if entry & (PRESENT | HUGE) != PRESENT:
                return 0 if entry & SPLITTABLE == 0 else self._find_part(address)
            table = DIRECT_MAP_BASE + (entry & FRAME_BITS)
            shift -= _LEVEL_BITS
        return table + (((address >> PAGE_SHIFT) & (_ENTRIES - 1)) << 3)

    def _find_part(self, address: int) -> int:
        """`find` in a large page."""
        entry = self._split(self._leaf_slot(address), address)
        return frame_address(entry_frame(entry)) + (((address >> PAGE_SHIFT) & (_ENTRIES - 1)) << 3)

    def _split(self, slot: int, address: int) -> int:
        """Let a table name the frames of the large page whose entry lies at `slot`. Returns the entry that names the
        table. Between the two no processor knows the page, because none may know it by both sizes (Intel SDM volume 3,
        section 4.10.2).
        """
        entry = load_i64(slot)
        assert entry & SPLITTABLE != 0, "a huge page is mapped there"
        store_i64(slot, 0)
        self.flush_page(address)
        frame = self._take_spare()
        chain_frame(frame, self.top)
        table = frame_address(frame)
        part = entry & ~(HUGE | SPLITTABLE)
        for offset in range(0, PAGE_SIZE, 8):
            store_i64(table + offset, part)
            part += PAGE_SIZE
        entry = make_entry(frame, _TABLE_FLAGS)
        store_i64(slot, entry)
        self.large_count -= 1
        LARGE_TOTALS.mapped -= 1
        LARGE_TOTALS.splits += 1
        spend(_SPLIT_COST)
        return entry

    def _take_spare(self) -> Frame:
        """A table that was kept for a large page; it is in no ring any more."""
        frame = next_in_chain(self._spare)
        if frame == self._spare:
            self._spare = NO_FRAME
        else:
            unchain_frame(frame)
        return frame

    def find_large(self, address: int) -> int:
        """Where the entry of the large page that holds an address lies; 0 if there is none."""
        if self.large_count == 0:
            return 0
        slot = self._leaf_slot(address)
        return slot if slot != 0 and load_i64(slot) & SPLITTABLE != 0 else 0

    def has_table(self, address: int) -> bool:
        """Whether anything is or was mapped there: a table of the lowest level, or a large or huge page."""
        slot = self._leaf_slot(address)
        return slot != 0 and load_i64(slot) != 0

    def has_upper_tables(self, address: int) -> bool:
        """Whether there is what would name a table of the lowest level there."""
        return self._leaf_slot(address) != 0

    def enter_large(self, address: int, head: Frame, flags: int) -> None:
        """Map a large page, whose references become the entry's, where nothing is mapped; an empty table in its place
        is freed. Raises MemoryError, with nothing changed.
        """
        spare = allocate_charged_frame()
        try:
            slot = self.make_huge(address)
        except MemoryError:
            put_frame(spare)
            raise
        if self._spare == NO_FRAME:
            start_chain(spare)
            self._spare = spare
        else:
            chain_frame(spare, self._spare)
        self.table_count += 1
        self.large_count += 1
        LARGE_TOTALS.mapped += 1
        store_i64(slot, make_entry(head, flags | HUGE | SPLITTABLE))

    def move_large(self, address: int, target: int) -> bool:
        """Map the large page at an address, if there is one, somewhere else, where nothing is mapped; whether there is.
        The caller flushes. Raises MemoryError, with nothing changed.
        """
        slot = self.find_large(address)
        if slot == 0:
            return False
        place = self.make_huge(target)
        store_i64(place, load_i64(slot))
        store_i64(slot, 0)
        return True

    def drop(self, address: int, count: int, kept: int = 0) -> int:
        """Clear the entries of `count` pages of one table, or those of a large page, and give their frames back. There
        is such a table (`next_table`). What `kept` has of an entry, of WRITE_WATCHED and POISONED, stays as a mark;
        with PRIVATE, private pages stay as they are. Returns how many pages there were. The caller flushes.
        """
        if count == _ENTRIES and self.large_count > 0:
            slot = self.find_large(address)
            if slot != 0:
                head = entry_frame(load_i64(slot))
                store_i64(slot, 0)
                self.large_count -= 1
                LARGE_TOTALS.mapped -= 1
                self.table_count -= 1
                put_frame(self._take_spare())
                put_frame_row(head)
                return count
        slot = self.find(address)
        if self.swapped > 0:
            self.swapped -= drop_swapped(slot, count, kept)
        return drop_entries(slot, count) if kept == 0 else drop_most_of_entries(slot, count, kept)

    def entry_of(self, address: int) -> int:
        """The entry of a page, 0 if nothing is mapped there; each page of a huge or large one appears with an entry of
        its own.
        """
        slot = self._leaf_slot(address)
        entry = 0 if slot == 0 else load_i64(slot)
        if entry & HUGE != 0:
            return (entry & ~(HUGE | SPLITTABLE)) + (address & (LEAF_TABLE_BYTES - PAGE_SIZE))
        if entry & PRESENT == 0:
            return entry  # 0, or a mark
        table = DIRECT_MAP_BASE + (entry & FRAME_BITS)
        return load_i64(table + (((address >> PAGE_SHIFT) & (_ENTRIES - 1)) << 3))

    def find_huge(self, address: int) -> int:
        """The entry of the huge page that holds an address lies there (an address for `read_entry`); 0 if there is
        none.
        """
        slot = self._leaf_slot(address)
        return slot if slot != 0 and load_i64(slot) & (HUGE | SPLITTABLE) == HUGE else 0

    def make_huge(self, address: int) -> int:
        """Where the entry of a huge page is to lie; an empty table in its place is freed. Nothing smaller is mapped in
        its range. Raises MemoryError.
        """
        table = frame_address(self.top)
        shift = _TOP_SHIFT
        while shift > PAGE_SHIFT + _LEVEL_BITS:
            table = self._table_below(table + (((address >> shift) & (_ENTRIES - 1)) << 3))
            shift -= _LEVEL_BITS
        slot = table + (((address >> shift) & (_ENTRIES - 1)) << 3)
        entry = load_i64(slot)
        if entry & (PRESENT | HUGE) == PRESENT:
            store_i64(slot, 0)
            self.flush_page(address)  # processors remember tables, too
            unchain_frame(entry_frame(entry))
            put_frame(entry_frame(entry))
            self.table_count -= 1
        return slot

    def set_huge_mark(self, address: int, mark: int) -> None:
        """Let a mark, or 0, stand in the place of a huge page that is not there. Raises MemoryError."""
        slot = self.make_huge(address)
        self.huge_marks += (1 if mark != 0 else 0) - (1 if load_i64(slot) != 0 else 0)
        store_i64(slot, mark)

    def leave_huge_mark(self, address: int, mark: int) -> None:
        """Let a mark stand in the place of a huge page that has just been taken away."""
        slot = self._leaf_slot(address)
        self.huge_marks += 1
        store_i64(slot, mark)

    def next_huge_mark(self, address: int, end: int) -> int:
        """As `next_huge`, for marks in place of huge pages."""
        return self._next_place(address, end, PRESENT | HUGE, 0) if self.huge_marks > 0 else end

    def keep_huge_marks(self, start: int, end: int, kept: int) -> None:
        """Of the marks in place of huge pages of a range, only the bits `kept` stay."""
        address = self.next_huge_mark(start, end)
        while address < end:
            slot = self._leaf_slot(address)
            mark = load_i64(slot) & kept
            store_i64(slot, mark)
            if mark == 0:
                self.huge_marks -= 1
            address = self.next_huge_mark(address + LEAF_TABLE_BYTES, end)

    def _table_below(self, slot: int) -> int:
        """The table that an entry names, created if there is none. Raises MemoryError."""
        entry = load_i64(slot)
        if entry & PRESENT == 0:
            frame = allocate_charged_frame()
            chain_frame(frame, self.top)
            entry = make_entry(frame, _TABLE_FLAGS)
            store_i64(slot, entry)
            self.table_count += 1
        return DIRECT_MAP_BASE + (entry & FRAME_BITS)

    def next_huge(self, address: int, end: int) -> int:
        """The first address from `address` on (below `end`, both multiples of a huge page's size or beyond all of them)
        where a huge page is mapped; `end` if there is none. A long look brings the next safe point nearer.
        """
        return self._next_place(address, end, HUGE | SPLITTABLE, HUGE) if self.huge_count > 0 else end

    def _next_place(self, address: int, end: int, mask: int, wanted: int) -> int:
        """The first address with an entry at the level of huge pages, not 0, of which the bits `mask` are `wanted`."""
        steps = 0
        while address < end:
            table = frame_address(self.top)
            shift = _TOP_SHIFT
            entry = 0
            while True:
                entry = load_i64(table + (((address >> shift) & (_ENTRIES - 1)) << 3))
                if shift == PAGE_SHIFT + _LEVEL_BITS or entry & PRESENT == 0:
                    break
                table = DIRECT_MAP_BASE + (entry & FRAME_BITS)
                shift -= _LEVEL_BITS
            steps += 1
            if entry != 0 and entry & mask == wanted:
                spend(steps * _STEP_COST)
                return address
            address = ((address >> shift) + 1) << shift
        spend(steps * _STEP_COST)
        return end

    def make(self, address: int) -> int:
        """As `find`, but creates the missing tables. No huge page is mapped there. Raises MemoryError."""
        table = frame_address(self.top)
        shift = _TOP_SHIFT
        while shift > PAGE_SHIFT:
            slot = table + (((address >> shift) & (_ENTRIES - 1)) << 3)
            entry = load_i64(slot)
            if entry & HUGE != 0:
                entry = self._split(slot, address)
            if entry & PRESENT == 0:
                table = self._table_below(slot)
            else:
                table = DIRECT_MAP_BASE + (entry & FRAME_BITS)
            shift -= _LEVEL_BITS
        return table + (((address >> PAGE_SHIFT) & (_ENTRIES - 1)) << 3)

    def next_table(self, address: int, end: int) -> int:
        """The first page from `address` on (below `end`) that has a lowest-level table, or is part of a large page;
        `end` if there is none. A long look brings the next safe point nearer.
        """
        steps = 0
        while address < end:
            table = frame_address(self.top)
            shift = _TOP_SHIFT
            while shift > PAGE_SHIFT:
                entry = load_i64(table + (((address >> shift) & (_ENTRIES - 1)) << 3))
                if entry & (PRESENT | HUGE) != PRESENT:
                    if entry & SPLITTABLE != 0:
                        spend(steps * _STEP_COST)
                        return address
                    break
                table = DIRECT_MAP_BASE + (entry & FRAME_BITS)
                shift -= _LEVEL_BITS
            if shift == PAGE_SHIFT:
                break
            address = ((address >> shift) + 1) << shift
            steps += 1
        spend(steps * _STEP_COST)
        return min(address, end)

    def next_mapped(self, address: int, end: int) -> int:
        """The first page from `address` on (below `end`) with a non-zero entry; `end` if there is none."""
        while address < end:
            upper = self._leaf_slot(address)
            entry = 0 if upper == 0 else load_i64(upper)
            if entry & SPLITTABLE != 0:
                return address
            if entry & (PRESENT | HUGE) != PRESENT:
                address = self.next_table(address, end)
                continue
            slot = DIRECT_MAP_BASE + (entry & FRAME_BITS) + (((address >> PAGE_SHIFT) & (_ENTRIES - 1)) << 3)
            stop = min(end, table_end(address))
            while address < stop:
                if load_i64(slot) != 0:
                    return address
                slot += 8
                address += PAGE_SIZE
        return end

    def drop_leaf_tables(self, start: int, end: int) -> None:
        """Free the lowest-level tables of start…end that lie wholly inside and hold nothing any more."""
        address = (start + LEAF_TABLE_BYTES - 1) & ~(LEAF_TABLE_BYTES - 1)
        while address + LEAF_TABLE_BYTES <= end:
            upper = self._leaf_slot(address)
            if upper == 0:
                address = (self.next_table(address, end) + LEAF_TABLE_BYTES - 1) & ~(LEAF_TABLE_BYTES - 1)
                continue
            entry = load_i64(upper)
            if entry & (PRESENT | HUGE) == PRESENT:
                store_i64(upper, 0)
                unchain_frame(entry_frame(entry))
                put_frame(entry_frame(entry))
                self.table_count -= 1
            address += LEAF_TABLE_BYTES

    def _leaf_slot(self, address: int) -> int:
        """Where the entry that names the lowest-level table of `address` lies, or 0."""
        table = frame_address(self.top)
        shift = _TOP_SHIFT
        while shift > PAGE_SHIFT + _LEVEL_BITS:
            entry = load_i64(table + (((address >> shift) & (_ENTRIES - 1)) << 3))
            if entry & PRESENT == 0:
                return 0
            table = DIRECT_MAP_BASE + (entry & FRAME_BITS)
            shift -= _LEVEL_BITS
        return table + (((address >> shift) & (_ENTRIES - 1)) << 3)

    def destroy(self) -> None:
        """Free all tables. The pages must be unmapped; the table must not be active."""
        table = next_in_chain(self.top)
        while table != self.top:
            following = next_in_chain(table)
            put_frame(table)
            table = following
        put_frame(self.top)
        self.table_count = 0

    def is_active(self) -> bool:
        """Whether this processor translates by this table."""
        return read_cr3() & FRAME_BITS == self.root

    def activate(self) -> None:
        """Translate by this table from now on."""
        load_root(self.root)

    def abandon(self) -> None:
        """Free all tables, as soon as the processor does not translate by them. The pages must be unmapped."""
        global _abandoned
        if processors.count > 1:
            if self.is_active():
                load_root(_kernel_root)
            shoot_down(self.root, _kernel_root)
            self.destroy()
        elif self.is_active():
            _abandoned = self
        else:
            self.destroy()

    def renew_page(self, address: int) -> None:
        """Forget a translation whose entry allows more than before and names the same frame. Other processors may
        know the old one: they find out by a fault.
        """
        if self.is_active():
            invalidate_page(address)

    def flush_page(self, address: int) -> None:
        """Forget a translation after its entry changed, on all processors."""
        if processors.count > 1:
            shoot_down(self.root, self.root)
        if self.is_active():
            invalidate_page(address)

    def flush_range(self, start: int, end: int) -> None:
        """Forget the translations of a range, on all processors."""
        if processors.count > 1:
            shoot_down(self.root, self.root)
        if not self.is_active():
            return
        if end - start > _SINGLE_FLUSHES << PAGE_SHIFT:
            write_cr3(self.root)
            return
        for address in range(start, end, PAGE_SIZE):
            invalidate_page(address)


_kernel_root: int = 0


def use_kernel_table(root: int) -> None:
    """Take the kernel half of new tables from this one (a physical address)."""
    global _kernel_root
    _kernel_root = root


def _boot_root() -> int:
    return _kernel_root


def leave_spaces() -> None:
    """Translate by the kernel's own table, where other processors may end any space."""
    if processors.count > 1:
        load_root(_kernel_root)


# The table of an address space that nobody uses any more, but which the processor still translates by: its last user
# goes on in the kernel for a while. To load the kernel's own table for that time would cost all translations once more.
_abandoned: PageTable | None = None


def load_root(root: int) -> None:
    """Translate by the table at a physical address. Loading the one that is loaded would cost all translations."""
    global _abandoned
    if read_cr3() & FRAME_BITS == root:
        return
    if processors.count > 1:
        note_root(root)
    write_cr3(root)
    table = _abandoned
    if table is not None:
        _abandoned = None
        table.destroy()
