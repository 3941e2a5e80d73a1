"""The object heap: counted objects in slots (`kernel.mm.slabs`), and the table of those whose count is zero.

Compiled code calls `krait_allocate` for every object and `krait_count_is_zero` when a decrement reaches zero;
`kernel.mm.reclaim` frees.

The header of an object is `u32 count`, `u32 type` (the low half of its type descriptor's address). Of the count's bits:

- bit 31, `IN_TABLE`: the zero-count table has an entry for the object. Compiled code reports a decrement only when the
  whole word was 1, so an object in the table whose count goes up and down again costs nothing.
- bits 0 to 30: references from heap fields and globals. Frozen objects start at 2**30 and so never come to 0.

Invariants:
- An object whose count is 0 has `IN_TABLE` and an entry, or `TABLE.incomplete` is set: then the table could not grow,
  and the reclaimer looks through the whole heap once.
- A fresh object is zero after its header, has count 0 and is in the table: the caller holds it only on a stack or
  in registers, where the reclaimer's scan finds it.

Context: interrupts off. Never sleeps. `krait_allocate` may run the reclaimer, but through a hook, since the reclaimer
lies above. Unsafe: reads and writes headers of objects as raw words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kernel.lang import export, inline, noinline, u32
from kernel.lang.unsafe import atomic_add_u32, atomic_cas_u32, fill_bytes, load_i64, store_i64, store_u32
from kernel.mm import slabs
from kernel.mm.allocation_failure import FAILURE

IN_TABLE: Final = 1 << 31
COUNT_MASK: Final = IN_TABLE - 1
HEADER_SIZE: Final = 8

# the count of objects that are never freed: frozen ones, and those made before the heap starts
IMMORTAL: Final = 1 << 30

ENTRY_SHIFT: Final = 3
TABLE_FIRST_ORDER: Final = 2  # pages of the first table: room for 2048 entries
TABLE_LARGEST_ORDER: Final = 8
TABLE_KEPT_ORDER: Final = 5  # what it keeps when it is emptied


def do_nothing() -> None:
    """A hook before it is set."""


class ZeroCountTable:
    """Addresses of objects whose count was zero when they were entered: an array of words outside the heap."""

    entries: int  # address of the array
    order: int  # its size in pages, as a power of two
    next: int  # address of the first free entry
    end: int  # address after the last entry; 0 before `start`
    soft_end: int  # allocation takes its slow path when `next` is not below: `end`, or where `on_limit` is due
    limit: int  # allocation calls `on_limit` when there are that many entries
    due: int  # address of the entry from which on the reclaimer is due
    due_count: int  # and how many entries that are
    on_limit: Callable[[], None]
    on_shortage: Callable[[], None]
    incomplete: bool

    def __init__(self) -> None:
        self.entries = 0
        self.order = 0
        self.next = 0
        self.end = 0
        self.soft_end = 0
        self.limit = 0
        self.due = 0
        self.due_count = 0
        self.on_limit = do_nothing
        self.on_shortage = do_nothing
        self.incomplete = False

    @property
    def count(self) -> int:
        """How many entries there are."""
        return (self.next - self.entries) >> ENTRY_SHIFT

    @property
    def capacity(self) -> int:
        """How many entries fit."""
        return (self.end - self.entries) >> ENTRY_SHIFT

    def set_limit(self, limit: int) -> None:
        """Have allocation call `on_limit` from `limit` entries on."""
        self.limit = limit
        self.due = self.entries + (self.due_count << ENTRY_SHIFT)
        if FAILURE.is_armed:
            self.soft_end = self.entries  # every allocation takes the slow path
        else:
            self.soft_end = self.entries + (min(limit, self.capacity) << ENTRY_SHIFT)


TABLE: Final = ZeroCountTable()


class EarlyArena:
    """Memory for the objects that the kernel makes before it knows what memory there is. They live for ever."""

    next: int  # address of what is free
    end: int

    def __init__(self) -> None:
        self.next = 0
        self.end = 0


EARLY: Final = EarlyArena()


def use_early_arena(address: int, size_bytes: int) -> None:
    """Serve allocations from these zeroed bytes until `start`."""
    EARLY.next = address
    EARLY.end = address + size_bytes


def allocate_early(descriptor: int, size_bytes: int) -> int:
    """An object that is never freed; 0 if the arena is used up."""
    slot = EARLY.next
    if size_bytes > EARLY.end - slot:
        return 0
    EARLY.next = slot + (size_bytes + 15 & ~15)
    store_u32(slot, IMMORTAL)
    store_u32(slot + 4, u32(descriptor))
    return slot


def start() -> bool:
    """Take the table's first pages; after `slabs.configure`, before the first object. False if there is no memory."""
    TABLE.entries = 0
    TABLE.next = 0
    TABLE.end = 0
    TABLE.limit = 1 << 40
    TABLE.incomplete = False
    return grow_table()


def set_hooks(limit: int, on_limit: Callable[[], None], on_shortage: Callable[[], None]) -> None:
    """Have allocation call `on_limit` while the table has `limit` entries or more, and `on_shortage` once before it
    fails."""
    TABLE.on_limit = on_limit
    TABLE.on_shortage = on_shortage
    TABLE.set_limit(limit)


def fail_allocation(countdown: int) -> None:
    """Have the allocation number `countdown`, from 1, of the thread that `FAILURE.is_target` names find no memory; 0:
    none."""
    FAILURE.countdown = countdown
    FAILURE.is_armed = countdown > 0
    TABLE.set_limit(TABLE.limit)


@export("krait_allocate")
def allocate(descriptor: int, size_bytes: int) -> int:
    """A fresh object of a type: `size_bytes` with its header, zeroed, count 0. 0 if there is no memory."""
    if size_bytes <= slabs.LARGEST_SMALL and TABLE.next < TABLE.soft_end:
        size_class = slabs.CLASS_OF_STEPS[(size_bytes + slabs.SLOT_ALIGN - 1) >> slabs.SLOT_SHIFT]
        slot = size_class.free
        if slot != 0 and not slabs.POISON:
            size_class.free = load_i64(slot + 8)
            prepare(slot, descriptor, size_bytes)
            store_i64(TABLE.next, slot)
            TABLE.next += 1 << ENTRY_SHIFT
            return slot
    return allocate_slowly(descriptor, size_bytes)


@inline
def prepare(slot: int, descriptor: int, size_bytes: int) -> None:
    """Make an object of a slot."""
    place = slot
    end = slot + size_bytes
    while place + 16 < end:
        store_i64(place, 0)
        store_i64(place + 8, 0)
        store_i64(place + 16, 0)
        store_i64(place + 24, 0)  # the size of a slot is a multiple of 16: no further
        place += 32
    if place < end:
        store_i64(place, 0)
        store_i64(place + 8, 0)
    store_u32(slot, IN_TABLE)
    store_u32(slot + 4, u32(descriptor))


@noinline
def allocate_slowly(descriptor: int, size_bytes: int) -> int:
    """`allocate` where something is used up: the table, the magazine of the size, or memory."""
    if TABLE.end == 0:
        return allocate_early(descriptor, size_bytes)
    if FAILURE.is_armed and FAILURE.strikes():
        return 0
    if TABLE.count >= TABLE.limit:
        TABLE.on_limit()
    slot = slabs.take(size_bytes)
    if slot == 0:
        TABLE.on_shortage()
        slot = slabs.take(size_bytes)
        if slot == 0:
            return 0
    if size_bytes > slabs.LARGEST_SMALL:
        fill_bytes(slot, 0, size_bytes)
        store_u32(slot, IN_TABLE)
        store_u32(slot + 4, u32(descriptor))
    else:
        prepare(slot, descriptor, size_bytes)
    enter(slot)
    return slot


@export("krait_count_is_zero")
def count_is_zero(address: int) -> None:
    """A decrement brought an object's count to zero."""
    if atomic_cas_u32(address, 0, IN_TABLE):
        enter(address)


def enter(address: int) -> None:
    """Write an object into the table. Its `IN_TABLE` is set; if there is no room, it is cleared again."""
    if TABLE.next >= TABLE.end and not grow_table():
        TABLE.incomplete = True
        atomic_add_u32(address, -IN_TABLE)
        return
    store_i64(TABLE.next, address)
    TABLE.next += 1 << ENTRY_SHIFT


def grow_table() -> bool:
    """Move the table to twice as many pages. False if there are none, or it is large enough to look through the heap
    instead."""
    order = TABLE.order + 1 if TABLE.end != 0 else TABLE_FIRST_ORDER
    if order > TABLE_LARGEST_ORDER:
        return False
    pages = slabs.SLABS.take_pages(order)
    if pages == 0:
        return False
    used = TABLE.next - TABLE.entries
    for offset in range(0, used, 1 << ENTRY_SHIFT):
        store_i64(pages + offset, load_i64(TABLE.entries + offset))
    if TABLE.end != 0:
        slabs.SLABS.give_pages(TABLE.entries, TABLE.order)
    TABLE.entries = pages
    TABLE.order = order
    TABLE.next = pages + used
    TABLE.end = pages + (1 << (order + slabs.PAGE_SHIFT))
    TABLE.set_limit(TABLE.limit)
    return True


def shrink_table() -> None:
    """Give the pages of a table back that grew beyond what it ordinarily needs, once they are empty."""
    if TABLE.order <= TABLE_KEPT_ORDER or TABLE.count > 1 << (TABLE_KEPT_ORDER + slabs.PAGE_SHIFT - ENTRY_SHIFT - 1):
        return
    order = TABLE.order
    TABLE.order = TABLE_KEPT_ORDER
    TABLE.end = TABLE.entries + (1 << (TABLE_KEPT_ORDER + slabs.PAGE_SHIFT))
    TABLE.set_limit(TABLE.limit)
    while order > TABLE_KEPT_ORDER:
        order -= 1
        slabs.SLABS.give_pages(TABLE.entries + (1 << (order + slabs.PAGE_SHIFT)), order)


def drop_reference(address: int) -> bool:
    """Decrement a count. True if it came to zero and the object has no entry in the table. Safety: `address` is an
    object."""
    return atomic_add_u32(address, -1) == 1
