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
- A fresh object is zero behind its header, has count 0 and is in the table: whoever called holds it only on a stack or
  in registers, where the reclaimer's scan finds it.

Context: interrupts off. Never sleeps. `krait_allocate` may run the reclaimer, but through a hook, since the reclaimer
lies above. Unsafe: reads and writes headers of objects as raw words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kernel.lang import export, u32
from kernel.lang.unsafe import atomic_add_u32, atomic_cas_u32, load_i64, load_u32, store_i64, store_u32
from kernel.mm import slabs

IN_TABLE: Final = 1 << 31
COUNT_MASK: Final = IN_TABLE - 1
HEADER_SIZE: Final = 8

# the count of objects that are never freed: frozen ones, and those made before the heap starts
IMMORTAL: Final = 1 << 30

TABLE_FIRST_ORDER: Final = 2  # pages of the first table: room for 2048 entries
TABLE_LARGEST_ORDER: Final = 8


def do_nothing() -> None:
    """A hook before it is set."""


class ZeroCountTable:
    """Addresses of objects whose count was zero when they were entered: an array of words outside the heap."""

    entries: int  # address of the array
    order: int  # its size in pages, as a power of two
    capacity: int
    count: int
    limit: int  # allocating calls `on_limit` when the count is not below
    on_limit: Callable[[], None]
    on_shortage: Callable[[], None]
    incomplete: bool
    allocations: int  # objects ever allocated

    def __init__(self) -> None:
        self.entries = 0
        self.order = 0
        self.capacity = 0
        self.count = 0
        self.limit = 0
        self.on_limit = do_nothing
        self.on_shortage = do_nothing
        self.incomplete = False
        self.allocations = 0


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
    TABLE.count = 0
    TABLE.capacity = 0
    TABLE.limit = 1 << 62
    TABLE.incomplete = False
    return grow_table()


def set_hooks(limit: int, on_limit: Callable[[], None], on_shortage: Callable[[], None]) -> None:
    """Have allocation call `on_limit` while the table has `limit` entries or more, and `on_shortage` once before it
    fails."""
    TABLE.limit = limit
    TABLE.on_limit = on_limit
    TABLE.on_shortage = on_shortage


@export("krait_allocate")
def allocate(descriptor: int, size_bytes: int) -> int:
    """A fresh object of a type: `size_bytes` with its header, zeroed, count 0. 0 if there is no memory."""
    if TABLE.capacity == 0:
        return allocate_early(descriptor, size_bytes)
    if TABLE.count >= TABLE.limit:
        TABLE.on_limit()
    slot = slabs.take(size_bytes)
    if slot == 0:
        TABLE.on_shortage()
        slot = slabs.take(size_bytes)
        if slot == 0:
            return 0
    end = slot + size_bytes
    place = slot + HEADER_SIZE
    while place + 24 <= end:
        store_i64(place, 0)
        store_i64(place + 8, 0)
        store_i64(place + 16, 0)
        place += 24
    while place < end:
        store_i64(place, 0)
        place += 8
    store_u32(slot, IN_TABLE)
    store_u32(slot + 4, u32(descriptor))
    TABLE.allocations += 1
    enter(slot)
    return slot


@export("krait_count_is_zero")
def count_is_zero(address: int) -> None:
    """A decrement brought an object's count to zero."""
    if atomic_cas_u32(address, 0, IN_TABLE):
        enter(address)


def enter(address: int) -> None:
    """Write an object into the table. Its `IN_TABLE` is set; if there is no room, it is cleared again."""
    if TABLE.count >= TABLE.capacity and not grow_table():
        TABLE.incomplete = True
        store_u32(address, load_u32(address) & COUNT_MASK)
        return
    store_i64(TABLE.entries + (TABLE.count << 3), address)
    TABLE.count += 1


def grow_table() -> bool:
    """Move the table to twice as many pages. False if there are none, or it is large enough to look through the heap
    instead."""
    order = TABLE.order + 1 if TABLE.capacity != 0 else TABLE_FIRST_ORDER
    if order > TABLE_LARGEST_ORDER:
        return False
    pages = slabs.SLABS.take_pages(order)
    if pages == 0:
        return False
    for offset in range(0, TABLE.count << 3, 8):
        store_i64(pages + offset, load_i64(TABLE.entries + offset))
    if TABLE.capacity != 0:
        slabs.SLABS.give_pages(TABLE.entries, TABLE.order)
    TABLE.entries = pages
    TABLE.order = order
    TABLE.capacity = 1 << (order + slabs.PAGE_SHIFT - 3)
    return True


def drop_reference(address: int) -> bool:
    """Decrement a count. True if it came to zero and the object has no entry in the table. Safety: `address` is an
    object."""
    return atomic_add_u32(address, -1) == 1
