"""Slots of memory by size: the lower half of the object heap (`kernel.mm.heap` is the upper).

Memory comes from a page source in units of 16 KiB. A *slab* is one unit, cut into slots of one size class; a larger
block is a *run* of pages with a single slot, from the start of a unit. Either starts with a `Slab` head and a bitmap of
marks:

    | head, 64 bytes | marks, a bit a slot | slot 0 | slot 1 | ... | rest |

Invariants:
- Slots are multiples of 16 bytes and 16-aligned. Word 0 of a free slot is zero; its second word links the free slots of
  the slab. Whoever takes a slot makes the upper half of word 0 nonzero before anything may look for it, and `release`
  zeroes it.
- The unit map has a byte for each unit of the span: 0 is foreign, 1 the first unit of a slab or run, 2 + k a later unit
  of a run whose first unit lies at least 2**k units before. So `slot_of` finds the slot around any address in constant
  time (a run of n units: at most log2 n steps): the reclaimer asks it about every word of a stack.
- A slab is on its class's `partial` list exactly while it has both used and free slots, or is the class's one spare.
- A class serves from its magazine: the free slots of one slab, which count as used until they are taken and so keep the
  slab from being given back. `release` puts a slot back into its slab.
- Nothing here allocates objects, counts references or sleeps.

Context: kernel code with interrupts off, under the kernel lock (docs/architecture.md).
Unsafe: works on raw memory that the page source gave it and on heads that it wrote there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kernel.lang import noinline, sizeof, struct, u32
from kernel.lang.unsafe import load_i64, load_u8, load_u32, store_i64, store_u8, struct_at_address

PAGE_SHIFT: Final = 12
UNIT_SHIFT: Final = 14
UNIT_SIZE: Final = 1 << UNIT_SHIFT
UNIT_ORDER: Final = UNIT_SHIFT - PAGE_SHIFT
HEAD_SIZE: Final = 64
SLOT_ALIGN: Final = 16
SLOT_SHIFT: Final = 4
LARGE_FIRST: Final = 80  # offset of the slot of a run: the head, its one mark, alignment
LARGEST_ORDER: Final = 10  # of pages: blocks of 4 MiB

UNIT_FOREIGN: Final = 0
UNIT_HEAD: Final = 1
UNIT_BACK: Final = 2

# Freed memory is filled with a pattern, and taking a slot checks it: finds writes through stale addresses, for a price.
POISON: Final = False
POISON_WORD: Final = 0x5AFE_DEAD_5AFE_DEAD

SLOT_SIZES: Final = (
    16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1008,
    1344, 1616, 2032, 2704, 3248, 4064, 5424, 8144, 16304,
)  # fmt: skip


@struct
class Slab:
    """The head of a slab or run."""

    next: int  # on the class's list of partial slabs; 0 at the end
    previous: int
    free: int  # the first free slot; 0 if none
    live: u32
    slots: u32
    slot_size: int
    size_class: u32  # LARGE for a run
    first: u32  # offset of slot 0
    reciprocal: u32  # 2**32 / slot_size, rounded up; 0 for a run
    epoch: u32  # the marks are of this epoch; older ones count as clear
    pages: u32
    unused: u32


class SizeClass:
    """One slot size: its magazine and its slabs with free slots."""

    number: u32
    slots: u32
    first: u32
    reciprocal: u32
    slot_size: int
    free: int  # the magazine: its first slot; 0 if it is empty
    partial: int
    slabs: int

    def __init__(self, number: int, slot_size: int) -> None:
        slots = (UNIT_SIZE - HEAD_SIZE) // slot_size
        while first_slot(slots) + slots * slot_size > UNIT_SIZE:
            slots -= 1
        self.number = u32(number)
        self.slots = u32(slots)
        self.first = u32(first_slot(slots))
        self.reciprocal = u32(-(-(1 << 32) // slot_size))
        self.slot_size = slot_size
        self.free = 0
        self.partial = 0
        self.slabs = 0

    def live(self) -> int:
        """How many slots are in use."""
        live = self.slabs * self.slots
        slot = self.free
        while slot != 0:
            live -= 1
            slot = load_i64(slot + 8)
        head = self.partial
        while head != 0:
            slab = struct_at_address(Slab, head)
            live -= slab.slots - slab.live
            head = slab.next
        return live


def first_slot(slots: int) -> int:
    """The offset of slot 0 after a head with `slots` marks."""
    marks = (slots + 63) // 64 * 8
    return (HEAD_SIZE + marks + SLOT_ALIGN - 1) & ~(SLOT_ALIGN - 1)


def no_pages(order: int) -> int:
    """The page source before `configure`: there is none."""
    return 0


def no_return(address: int, order: int) -> None:
    """Where pages go back before `configure`: nowhere."""


class Slabs:
    """The allocator's state: one frozen object."""

    span_start: int
    span_end: int
    unit_map: int
    take_pages: Callable[[int], int]
    give_pages: Callable[[int, int], None]
    epoch: u32
    live_large: int
    large_bytes: int
    pages: int
    spent: int  # instructions on giving pages back, since somebody set it to 0

    def __init__(self) -> None:
        self.span_start = 0
        self.span_end = 0
        self.unit_map = 0
        self.take_pages = no_pages
        self.give_pages = no_return
        self.epoch = u32(0)
        self.live_large = 0
        self.large_bytes = 0
        self.pages = 0
        self.spent = 0


BLOCK_COST: Final = 350  # instructions to give a block of pages back, about
LARGE: Final = 255
LARGEST_SMALL: Final = SLOT_SIZES[-1]
CLASSES: Final[list[SizeClass]] = [SizeClass(number, size) for number, size in enumerate(SLOT_SIZES)]
SLABS: Final = Slabs()
# The class for a size in 16-byte steps, rounded up.
CLASS_OF_STEPS: Final[list[SizeClass]] = [
    next(c for c in CLASSES if c.slot_size >= steps * SLOT_ALIGN) for steps in range(LARGEST_SMALL // SLOT_ALIGN + 1)
]

assert sizeof(Slab) <= HEAD_SIZE


def unit_map_bytes(span_bytes: int) -> int:
    """How large a unit map a span of memory needs."""
    return (span_bytes + UNIT_SIZE - 1) >> UNIT_SHIFT


def configure(
    span_start: int,
    span_bytes: int,
    unit_map: int,
    take_pages: Callable[[int], int],
    give_pages: Callable[[int, int], None],
) -> None:
    """Start the allocator.

    All pages will lie in `span_bytes` (a multiple of 16 KiB) from `span_start` (16 KiB-aligned; the kernel's direct
    map). `unit_map` is the address of `unit_map_bytes(span_bytes)` zero bytes. `take_pages(order)` returns the address
    of 2**order pages, aligned to their size, or 0; `give_pages(address, order)` takes them back.
    """
    assert span_start & (UNIT_SIZE - 1) == 0 and span_bytes & (UNIT_SIZE - 1) == 0
    SLABS.span_start = span_start
    SLABS.span_end = span_start + span_bytes
    SLABS.unit_map = unit_map
    SLABS.take_pages = take_pages
    SLABS.give_pages = give_pages


def take(size_bytes: int) -> int:
    """A slot of at least `size_bytes`, 16-aligned, not zeroed but for word 0; 0 if there is no memory."""
    if size_bytes > LARGEST_SMALL:
        return take_run(size_bytes)
    size_class = CLASS_OF_STEPS[(size_bytes + SLOT_ALIGN - 1) >> SLOT_SHIFT]
    if size_class.free == 0 and not load_magazine(size_class):
        return 0
    slot = size_class.free
    size_class.free = load_i64(slot + 8)
    if POISON:
        check_poison(slot, size_class.slot_size)
    return slot


def load_magazine(size_class: SizeClass) -> bool:
    """Fill the class's empty magazine with the free slots of a slab. False if there is no memory."""
    if size_class.partial == 0 and not add_slab(size_class):
        return False
    slab = struct_at_address(Slab, size_class.partial)
    size_class.free = slab.free
    slab.free = 0
    slab.live = slab.slots
    unlink_first(size_class, slab)
    return True


def release(slot: int) -> None:
    """Give a slot back. Safety: `slot` came from `take` (or `slot_of`), is in use, and nothing refers to it any
    more.
    """
    head = head_of(slot)
    slab = struct_at_address(Slab, head)
    if slab.size_class == LARGE:
        release_run(head, slab)
        return
    following = slab.free
    store_i64(slot, 0)
    store_i64(slot + 8, following)
    if POISON:
        poison(slot, slab.slot_size)
    slab.free = slot
    live = slab.live - 1
    slab.live = u32(live)
    if following == 0 or live == 0:
        relist(head, slab, following == 0)


@noinline
def relist(head: int, slab: Slab, was_full: bool) -> None:
    """A slab got its first free slot, or lost its last used one."""
    size_class = CLASSES[slab.size_class]
    if was_full:
        link_first(size_class, head, slab)
    if slab.live == 0 and (size_class.partial != head or slab.next != 0):
        drop_slab(size_class, head, slab)


def slot_of(address: int) -> int:
    """The slot in use that `address` points into, or 0. Any value may be asked about."""
    if address < SLABS.span_start or address >= SLABS.span_end:
        return 0
    unit = (address - SLABS.span_start) >> UNIT_SHIFT
    kind = load_u8(SLABS.unit_map + unit)
    if kind == UNIT_FOREIGN:
        return 0
    while kind >= UNIT_BACK:
        unit -= 1 << (kind - UNIT_BACK)
        kind = load_u8(SLABS.unit_map + unit)
    head = SLABS.span_start + (unit << UNIT_SHIFT)
    slab = struct_at_address(Slab, head)
    inside = address - head - slab.first
    if inside < 0:
        return 0
    index = (inside * slab.reciprocal) >> 32
    if index >= slab.slots:
        return 0
    slot = head + slab.first + index * slab.slot_size
    if load_u32(slot + 4) == 0:
        return 0
    return slot


def slot_size(slot: int) -> int:
    """How many bytes the slot has. Safety: it is a slot."""
    return struct_at_address(Slab, head_of(slot)).slot_size


# Marks
# ------------------------------------------------------------------------------------------------------------------


def new_epoch() -> None:
    """Forget all marks, at once: they are of an older epoch."""
    SLABS.epoch = u32(SLABS.epoch + 1)


def mark(slot: int) -> None:
    """Mark a slot in this epoch. Safety: it is a slot in use."""
    head = head_of(slot)
    slab = struct_at_address(Slab, head)
    if slab.epoch != SLABS.epoch:
        clear_marks(head, slab)
    bit = ((slot - head - slab.first) * slab.reciprocal) >> 32
    place = head + HEAD_SIZE + (bit >> 3)
    store_u8(place, load_u8(place) | (1 << (bit & 7)))


def is_marked(slot: int) -> bool:
    """Whether `mark` was called for the slot in this epoch. Safety: it is a slot."""
    head = head_of(slot)
    slab = struct_at_address(Slab, head)
    if slab.epoch != SLABS.epoch:
        return False
    bit = ((slot - head - slab.first) * slab.reciprocal) >> 32
    return load_u8(head + HEAD_SIZE + (bit >> 3)) & (1 << (bit & 7)) != 0


def clear_marks(head: int, slab: Slab) -> None:
    """Bring a slab's marks into this epoch: all clear."""
    for place in range(head + HEAD_SIZE, head + slab.first, 8):
        store_i64(place, 0)
    slab.epoch = SLABS.epoch


# Walking
# ----------------------------------------------------------------------------------------------------------------


def unit_count() -> int:
    """How many units the span has; with `slab_in_unit`, the way to visit every slot."""
    return (SLABS.span_end - SLABS.span_start) >> UNIT_SHIFT


def slab_in_unit(unit: int) -> int:
    """The address of the head in a unit, or 0 if none starts there."""
    if load_u8(SLABS.unit_map + unit) != UNIT_HEAD:
        return 0
    return SLABS.span_start + (unit << UNIT_SHIFT)


def bytes_in_use() -> int:
    """What the slots in use take, in bytes."""
    total = SLABS.large_bytes
    for size_class in CLASSES:
        total += size_class.live() * size_class.slot_size
    return total


def slots_in_use() -> int:
    """How many slots are in use."""
    total = SLABS.live_large
    for size_class in CLASSES:
        total += size_class.live()
    return total


def bytes_held() -> int:
    """What the allocator holds of the page source's memory, in bytes."""
    return SLABS.pages << PAGE_SHIFT


# Slabs and runs
# ---------------------------------------------------------------------------------------------------------


def head_of(slot: int) -> int:
    """The address of a slot's head: the slot of a run lies in the run's first unit too."""
    return slot & ~(UNIT_SIZE - 1)


def add_slab(size_class: SizeClass) -> bool:
    """Take a unit for the class and link its slots. False if there is no memory."""
    head = SLABS.take_pages(UNIT_ORDER)
    if head == 0:
        return False
    slab = struct_at_address(Slab, head)
    first = head + size_class.first
    last = first + (size_class.slots - 1) * size_class.slot_size
    for slot in range(first, last, size_class.slot_size):
        store_i64(slot, 0)
        store_i64(slot + 8, slot + size_class.slot_size)
        if POISON:
            poison(slot, size_class.slot_size)
    store_i64(last, 0)
    store_i64(last + 8, 0)
    if POISON:
        poison(last, size_class.slot_size)
    slab.free = first
    slab.live = u32(0)
    slab.slots = size_class.slots
    slab.slot_size = size_class.slot_size
    slab.size_class = size_class.number
    slab.first = size_class.first
    slab.reciprocal = size_class.reciprocal
    slab.pages = u32(1 << UNIT_ORDER)
    clear_marks(head, slab)
    link_first(size_class, head, slab)
    store_u8(SLABS.unit_map + ((head - SLABS.span_start) >> UNIT_SHIFT), UNIT_HEAD)
    size_class.slabs += 1
    SLABS.pages += 1 << UNIT_ORDER
    return True


def drop_slab(size_class: SizeClass, head: int, slab: Slab) -> None:
    """Return an empty slab to the page source."""
    if slab.previous == 0:
        size_class.partial = slab.next
    else:
        struct_at_address(Slab, slab.previous).next = slab.next
    if slab.next != 0:
        struct_at_address(Slab, slab.next).previous = slab.previous
    size_class.slabs -= 1
    return_pages(head, 1 << UNIT_ORDER)


def link_first(size_class: SizeClass, head: int, slab: Slab) -> None:
    """Put a slab at the start of its class's partial list."""
    following = size_class.partial
    slab.next = following
    slab.previous = 0
    if following != 0:
        struct_at_address(Slab, following).previous = head
    size_class.partial = head


def unlink_first(size_class: SizeClass, slab: Slab) -> None:
    """Take the first slab, now full, off its class's partial list."""
    size_class.partial = slab.next
    if slab.next != 0:
        struct_at_address(Slab, slab.next).previous = 0
    slab.next = 0


def take_run(size_bytes: int) -> int:
    """A run of units with a single slot."""
    if size_bytes > (1 << (LARGEST_ORDER + PAGE_SHIFT)) - LARGE_FIRST:
        return 0
    pages = (size_bytes + LARGE_FIRST + (1 << PAGE_SHIFT) - 1) >> PAGE_SHIFT
    order = UNIT_ORDER
    while 1 << order < pages:
        order += 1
    head = SLABS.take_pages(order)
    if head == 0:
        return 0
    # The page source has powers of two only: what is too much goes back, in aligned blocks. Pages of the last unit that
    # do so never become a slab: they are no whole unit.
    surplus = pages
    while surplus < 1 << order:
        power = lowest_power(surplus)
        SLABS.give_pages(head + (surplus << PAGE_SHIFT), power)
        surplus += 1 << power
    slab = struct_at_address(Slab, head)
    slab.next = 0
    slab.previous = 0
    slab.free = 0
    slab.live = u32(1)
    slab.slots = u32(1)
    slab.slot_size = (pages << PAGE_SHIFT) - LARGE_FIRST
    slab.size_class = u32(LARGE)
    slab.first = u32(LARGE_FIRST)
    slab.reciprocal = u32(0)
    slab.pages = u32(pages)
    clear_marks(head, slab)
    unit_byte = SLABS.unit_map + ((head - SLABS.span_start) >> UNIT_SHIFT)
    store_u8(unit_byte, UNIT_HEAD)
    units = units_of(pages)
    for power in range(order - UNIT_ORDER):
        for distance in range(1 << power, min(2 << power, units)):
            store_u8(unit_byte + distance, UNIT_BACK + power)
    SLABS.live_large += 1
    SLABS.large_bytes += slab.slot_size
    SLABS.pages += pages
    store_i64(head + LARGE_FIRST, 0)
    return head + LARGE_FIRST


def units_of(pages: int) -> int:
    """How many units that many pages lie in."""
    return (pages + (1 << UNIT_ORDER) - 1) >> UNIT_ORDER


def lowest_power(value: int) -> int:
    """The number of the lowest bit that is set; `value` is not 0."""
    power = 0
    while value >> power & 1 == 0:
        power += 1
    return power


def release_run(head: int, slab: Slab) -> None:
    """Return a run to the page source."""
    SLABS.live_large -= 1
    SLABS.large_bytes -= slab.slot_size
    return_pages(head, slab.pages)


def return_pages(head: int, pages: int) -> None:
    """Give the pages of a slab or run back, and make its units foreign."""
    unit_byte = SLABS.unit_map + ((head - SLABS.span_start) >> UNIT_SHIFT)
    for unit in range(units_of(pages)):
        store_u8(unit_byte + unit, UNIT_FOREIGN)
    SLABS.pages -= pages
    while pages > 0:  # from the end, so that each block is aligned to its size
        power = lowest_power(pages)
        pages -= 1 << power
        SLABS.spent += BLOCK_COST
        SLABS.give_pages(head + (pages << PAGE_SHIFT), power)


# Poison
# -----------------------------------------------------------------------------------------------------------------


def poison(slot: int, size_bytes: int) -> None:
    """Fill a free slot after its two words."""
    for place in range(slot + 16, slot + size_bytes, 8):
        store_i64(place, POISON_WORD)


def check_poison(slot: int, size_bytes: int) -> None:
    """Trap if a free slot was written to."""
    assert load_i64(slot) == 0, "the header of a freed object was changed"
    for place in range(slot + 16, slot + size_bytes, 8):
        assert load_i64(place) == POISON_WORD, "a freed object was written to"
