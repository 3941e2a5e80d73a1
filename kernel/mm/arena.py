"""A page source over one range of memory: for stand-alone programs on the host, and for tests.

Pages are taken from the range's untouched end, or from what was given back. Free blocks lie on a list per order, linked
through their first words; a block that is too large is split, and blocks never join again: programs that live long use
the kernel's frame allocator. Unsafe: writes links into free pages.
"""

from __future__ import annotations

from typing import Final

from kernel.lang.unsafe import load_i64, store_i64
from kernel.mm import heap, slabs

ORDERS: Final = slabs.LARGEST_ORDER + 1


class Arena:
    """The range and its free lists: one frozen object."""

    next: int
    end: int
    free: list[int]

    def __init__(self) -> None:
        self.next = 0
        self.end = 0
        self.free = [0] * ORDERS


ARENA: Final = Arena()


def start(memory: int, size_bytes: int) -> bool:
    """Make a heap in a range of zero bytes. False if it is too small."""
    span_start = (memory + slabs.UNIT_SIZE - 1) & ~(slabs.UNIT_SIZE - 1)
    span_bytes = (memory + size_bytes - span_start) & ~(slabs.UNIT_SIZE - 1)
    if span_bytes <= 0:
        return False
    map_bytes = slabs.unit_map_bytes(span_bytes)
    ARENA.next = span_start + ((map_bytes + slabs.UNIT_SIZE - 1) & ~(slabs.UNIT_SIZE - 1))
    ARENA.end = span_start + span_bytes
    for order in range(ORDERS):
        ARENA.free[order] = 0
    slabs.configure(span_start, span_bytes, span_start, take_pages, give_pages)
    return heap.start()


def take_pages(order: int) -> int:
    """2**order pages, aligned to their size; 0 if there are none."""
    for larger in range(order, ORDERS):
        block = ARENA.free[larger]
        if block != 0:
            ARENA.free[larger] = load_i64(block)
            for part in range(order, larger):
                give_pages(block + (1 << (part + slabs.PAGE_SHIFT)), part)
            return block
    size = 1 << (order + slabs.PAGE_SHIFT)
    start_aligned = (ARENA.next + size - 1) & ~(size - 1)
    if start_aligned + size > ARENA.end:
        return 0
    # What alignment skips becomes free blocks, each aligned to its own size.
    while ARENA.next < start_aligned:
        skipped = 0
        while skipped + 1 < order and ARENA.next & ((2 << (skipped + slabs.PAGE_SHIFT)) - 1) == 0:
            skipped += 1
        give_pages(ARENA.next, skipped)
        ARENA.next += 1 << (skipped + slabs.PAGE_SHIFT)
    ARENA.next = start_aligned + size
    return start_aligned


def give_pages(address: int, order: int) -> None:
    """Take pages back."""
    store_i64(address, ARENA.free[order])
    ARENA.free[order] = address
