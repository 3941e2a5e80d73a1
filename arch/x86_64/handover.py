"""Leaving this kernel for another one (handover.S): the tables that map memory onto itself, and the last steps.

Invariants: everything that the last steps use lies outside all places that they write to: a page below 1 MiB with
the code, tables and lists in frames that the caller chose.
Context: the tables are built when the next kernel is loaded. `leave` runs on the boot processor, interrupts off.
Safety: pages that a TablePages gives are the caller's, zeroed, in the direct map, and belong to the next kernel from
then on. The page below 1 MiB is RAM that nobody was given (LOW_MEMORY_END).
Source: Intel SDM vol. 3, 5.5 (4-level paging), 10.4.4 (INIT).
"""

from typing import Final

from arch.x86_64.bootinfo import KIND_RAM, LOW_MEMORY_END, LOWEST_FREE, boot_info
from arch.x86_64.chips import apic, ioapic, pic8259
from arch.x86_64.cpu import features
from arch.x86_64.layout import HUGE_PAGE_SIZE, KERNEL_BASE, LARGE_PAGE_SIZE, PAGE_SIZE, direct_map
from arch.x86_64.paging import ADDRESS_BITS, LARGE, PRESENT, TABLE, WRITABLE, index, kernel_root
from arch.x86_64.processors import is_free_low_page, reset_others
from arch.x86_64.simulation import NotSimulated
from kernel.lang import extern
from kernel.lang.unsafe import copy_bytes, load_i64, store_i64, symbol_address

MOVE_END: Final = -1  # destinations in the list of moves
MOVE_LINK: Final = -2

TOP_SHIFT: Final = 39
HUGE_SHIFT: Final = 30
LARGE_SHIFT: Final = 21
IDENTITY: Final = PRESENT | WRITABLE | LARGE


class TablePages:
    """Where tables come from. Base class: from nowhere."""

    def take(self) -> int:
        """The physical address of a zeroed page. Raises MemoryError."""
        raise MemoryError


@extern("hand_over")
def _hand_over(page: int, moves: int, root: int, entry: int, is_narrow: int, argument: int) -> None:
    raise NotSimulated("hand_over")


def identity_root(pages: TablePages) -> int:
    """A top-level table for `map_identically`, in which this kernel's image is, too. Raises MemoryError."""
    root = pages.take()
    image = index(KERNEL_BASE, TOP_SHIFT)
    store_i64(direct_map(root) + image * 8, load_i64(direct_map(kernel_root()) + image * 8))
    for i in range(boot_info.region_count):
        if boot_info.region_kind[i] == KIND_RAM:
            map_identically(root, boot_info.region_start[i], boot_info.region_end[i], pages)
    map_identically(root, 0, LOW_MEMORY_END, pages)
    return root


def map_identically(root: int, start: int, end: int, pages: TablePages) -> None:
    """Map memory (below 2**46) onto itself, in the largest pages that the processor has, so a little more than
    [start, end). Raises MemoryError.
    """
    address = start & ~(LARGE_PAGE_SIZE - 1)
    while address < end:
        upper = _table_below(root, address, TOP_SHIFT, pages)
        if features.huge_pages:
            address &= ~(HUGE_PAGE_SIZE - 1)
            store_i64(direct_map(upper) + index(address, HUGE_SHIFT) * 8, address | IDENTITY)
            address += HUGE_PAGE_SIZE
        else:
            lower = _table_below(upper, address, HUGE_SHIFT, pages)
            store_i64(direct_map(lower) + index(address, LARGE_SHIFT) * 8, address | IDENTITY)
            address += LARGE_PAGE_SIZE


def _table_below(table: int, address: int, shift: int, pages: TablePages) -> int:
    slot = direct_map(table) + index(address, shift) * 8
    entry = load_i64(slot)
    if entry & PRESENT != 0:
        return entry & ADDRESS_BITS
    fresh = pages.take()
    store_i64(slot, fresh | TABLE)
    return fresh


def next_low_page(after: int) -> int:
    """The first page above `after` that can hold the code of the last steps: free RAM below 1 MiB; 0 if there is
    none.
    """
    for page in range(max(after + PAGE_SIZE, LOWEST_FREE), LOW_MEMORY_END, PAGE_SIZE):
        if is_free_low_page(boot_info, page):
            return page
    return 0


def leave(page: int, moves: int, root: int, entry: int, is_narrow: bool, argument: int) -> None:
    """Stop everything else, and go. `page`: from `next_low_page`; `moves`: the physical address of the list of moves.
    Does not return.

    Safety: devices no longer write to memory.
    """
    pic8259.mask_all()
    if apic.is_present():
        ioapic.mask_all()
        apic.stop_timer()
        reset_others()
    code = symbol_address("handover_code")
    copy_bytes(direct_map(page), code, symbol_address("handover_code_end") - code)
    _hand_over(page, moves, root, entry, 1 if is_narrow else 0, argument)
