"""The kernel's half of the address space: page tables that the kernel keeps permanently.

`build` replaces the boot stub's tables by the real ones: the image with text RX, read-only data R and data RW; all RAM
in the direct map, RW and never executable, and read-only where it shows the image's text and read-only data (writable
and executable never meet, not even through two addresses); nothing else, so that stray accesses fault. The user half
stays empty.

The top-level entries of the kernel half are all created here and never change: every address space copies them once
(arch.programs), and what is mapped below them later shows in all.

Intel SDM vol. 3, 5.5 (4-level paging), table 5-20 (entry bits). Entries are signed 64-bit ints.
"""

from collections.abc import Callable
from typing import Final

from arch.x86_64.bootinfo import KIND_ACPI, KIND_RAM, BootInfo
from arch.x86_64.cpu import features
from arch.x86_64.instructions import invalidate_page, write_cr3
from arch.x86_64.layout import (
    DEVICE_BASE,
    DIRECT_MAP_BASE,
    DYNAMIC_BASE,
    DYNAMIC_END,
    HUGE_PAGE_SIZE,
    KERNEL_BASE,
    LARGE_PAGE_SIZE,
    PAGE_SIZE,
    direct_map,
    page_ceiling,
    page_floor,
)
from arch.x86_64.percpu import IST_COUNT, IST_STACK_STRIDE
from kernel.lang import panic
from kernel.lang.unsafe import load_i64, store_i64, symbol_address

PRESENT: Final = 1 << 0
WRITABLE: Final = 1 << 1
USER: Final = 1 << 2
WRITE_THROUGH: Final = 1 << 3
CACHE_DISABLE: Final = 1 << 4
ACCESSED: Final = 1 << 5
DIRTY: Final = 1 << 6
LARGE: Final = 1 << 7
GLOBAL: Final = 1 << 8
NO_EXECUTE: Final = -(1 << 63)
ADDRESS_BITS: Final = 0x000F_FFFF_FFFF_F000

# Accessed and dirty are set beforehand, so that the processor never writes to these tables.
KERNEL_DATA: Final = PRESENT | WRITABLE | ACCESSED | DIRTY | GLOBAL | NO_EXECUTE
KERNEL_READ_ONLY: Final = PRESENT | ACCESSED | DIRTY | GLOBAL | NO_EXECUTE
KERNEL_TEXT: Final = PRESENT | ACCESSED | DIRTY | GLOBAL
KERNEL_STACK: Final = KERNEL_DATA & ~GLOBAL  # stacks are mapped again elsewhere, so loading a table must flush them
DEVICE_DATA: Final = KERNEL_DATA | CACHE_DISABLE | WRITE_THROUGH
TABLE: Final = PRESENT | WRITABLE | ACCESSED

ENTRIES: Final = 512
TOP_SHIFT: Final = 39
TOP_ENTRY_SPAN: Final = 1 << TOP_SHIFT

# Top-level entries of the direct map that are created at once: 4 TiB, which covers where firmware puts device memory
# (768 GiB under OVMF).
DIRECT_MAP_TOP_ENTRIES: Final = 8


def _no_pages() -> int:
    """The page source before `set_page_source`."""
    panic("no source for page tables")


class KernelTables:
    """The top-level table, and where further tables come from."""

    def __init__(self) -> None:
        self.root: int = 0
        self.allocate_page: Callable[[], int] = _no_pages


_tables: Final = KernelTables()
_device_next: int = DEVICE_BASE


def set_page_source(allocate_page: Callable[[], int]) -> None:
    """Where tables come from: a function that gives the physical address of a zeroed page, or 0."""
    _tables.allocate_page = allocate_page


def kernel_root() -> int:
    """Physical address of the kernel's own top-level table."""
    return _tables.root


def build(info: BootInfo) -> None:
    """Makes the kernel's tables and switches to them. Runs once, on the boot stub's tables, whose direct map reaches
    to 4 GiB: the page source must give pages below. Maps what the loader calls RAM, or ACPI tables.
    """
    _tables.root = _new_table()
    for i in range(DIRECT_MAP_TOP_ENTRIES):
        _table_below(_tables.root, DIRECT_MAP_BASE + i * TOP_ENTRY_SPAN, TOP_SHIFT)
    _table_below(_tables.root, DYNAMIC_BASE, TOP_SHIFT)
    _table_below(_tables.root, KERNEL_BASE, TOP_SHIFT)

    for i in range(info.region_count):
        if info.region_kind[i] == KIND_RAM or info.region_kind[i] == KIND_ACPI:
            _map_ram(page_floor(info.region_start[i]), page_ceiling(info.region_end[i]))
    _map_initrd(info)
    _map_image()
    write_cr3(_tables.root)


def _map_ram(start: int, end: int) -> None:
    """The direct map of one range, in the largest pages that fit. Around the image, small ones."""
    image_start = symbol_address("__image_start") - KERNEL_BASE
    image_end = symbol_address("__image_end") - KERNEL_BASE
    end = min(end, DIRECT_MAP_TOP_ENTRIES * TOP_ENTRY_SPAN)
    physical = start
    while physical < end:
        address = direct_map(physical)
        size = PAGE_SIZE
        for candidate in (LARGE_PAGE_SIZE, HUGE_PAGE_SIZE):
            fits = physical % candidate == 0 and physical + candidate <= end
            apart = physical + candidate <= image_start or physical >= image_end
            if fits and apart and (candidate == LARGE_PAGE_SIZE or features.huge_pages):
                size = candidate
        if size == PAGE_SIZE:
            if not (image_start <= physical < image_end):
                _set_entry(address, 12, physical | KERNEL_DATA)
        elif size == LARGE_PAGE_SIZE:
            _set_entry(address, 21, physical | KERNEL_DATA | LARGE)
        else:
            _set_entry(address, 30, physical | KERNEL_DATA | LARGE)
        physical += size


def _map_initrd(info: BootInfo) -> None:
    """The direct map of the initial RAM disk, where it lies outside what is called RAM: on QEMU's microvm its end
    shares a page with the firmware's tables.
    """
    physical = page_floor(info.initrd_start)
    while physical < min(info.initrd_end, DIRECT_MAP_TOP_ENTRIES * TOP_ENTRY_SPAN):
        if not is_mapped(direct_map(physical)):
            _set_entry(direct_map(physical), 12, physical | KERNEL_DATA)
        physical += PAGE_SIZE


def _map_image() -> None:
    """The image at its link address and, without the right to execute, in the direct map."""
    _map_section(symbol_address("__text_start"), symbol_address("__text_end"), KERNEL_TEXT)
    _map_section(symbol_address("__rodata_start"), symbol_address("__rodata_end"), KERNEL_READ_ONLY)
    _map_section(symbol_address("__data_start"), symbol_address("__image_end"), KERNEL_DATA)
    unmap_page(symbol_address("boot_stack_guard"))
    for number in range(IST_COUNT):
        unmap_page(symbol_address("ist_stacks") + number * IST_STACK_STRIDE)


def _map_section(start: int, end: int, flags: int) -> None:
    """Whole pages: linker.ld aligns the borders."""
    address = start
    while address < end:
        physical = address - KERNEL_BASE
        _set_entry(address, 12, physical | flags)
        _set_entry(direct_map(physical), 12, physical | flags | NO_EXECUTE)
        address += PAGE_SIZE


def map_page(address: int, physical: int, flags: int) -> None:
    """Maps one page of the kernel half (not present before). Raises MemoryError for want of a table.

    Safety: `address` lies in the direct map or the dynamic area; `physical` belongs to the caller.
    """
    _set_entry(address, 12, physical | flags)


def unmap_page(address: int) -> int:
    """Unmaps one 4 KiB page of the kernel half; its physical address, or -1 when there was none.

    Safety: nobody uses the page any more.
    """
    slot = _find_entry(address)
    if slot == 0:
        return -1
    entry = load_i64(slot)
    if entry & PRESENT == 0:
        return -1
    store_i64(slot, 0)
    invalidate_page(address)
    return entry & ADDRESS_BITS


def is_mapped(address: int) -> bool:
    """Whether a kernel address can be read, for tracebacks and the oops printer. Large pages count."""
    table = direct_map(_tables.root)
    shift = TOP_SHIFT
    while True:
        entry = load_i64(table + index(address, shift) * 8)
        if entry & PRESENT == 0:
            return False
        if shift == 12 or (shift < TOP_SHIFT and entry & LARGE != 0):
            return True
        table = direct_map(entry & ADDRESS_BITS)
        shift -= 9


def map_device(physical: int, size_bytes: int) -> int:
    """Maps device memory, uncached; its kernel address. Raises MemoryError. Mapping twice is harmless.

    It lies in the direct map's place for it, or, where the direct map does not reach, in the device area.

    Safety: the range is a device's, not RAM.
    """
    global _device_next
    first = page_floor(physical)
    end = page_ceiling(physical + size_bytes)
    address = direct_map(first)
    if end > DIRECT_MAP_TOP_ENTRIES * TOP_ENTRY_SPAN:
        if end - first > DYNAMIC_END - _device_next:
            raise MemoryError
        address = _device_next
        _device_next += end - first
    for offset in range(0, end - first, PAGE_SIZE):
        if not is_mapped(address + offset):
            _set_entry(address + offset, 12, first + offset | DEVICE_DATA)
    return address + physical - first


def index(address: int, shift: int) -> int:
    """Which of a table's 512 entries an address uses at the level that `shift` names (39, 30, 21, 12)."""
    return (address >> shift) & (ENTRIES - 1)


def _set_entry(address: int, shift: int, entry: int) -> None:
    """Writes the entry for `address` at a level; makes the tables above."""
    table = _tables.root
    level = TOP_SHIFT
    while level > shift:
        table = _table_below(table, address, level)
        level -= 9
    store_i64(direct_map(table) + index(address, shift) * 8, entry)


def _find_entry(address: int) -> int:
    """Where the lowest-level entry of `address` lies, or 0 when there is no such table."""
    table = _tables.root
    level = TOP_SHIFT
    while level > 12:
        entry = load_i64(direct_map(table) + index(address, level) * 8)
        if entry & PRESENT == 0 or entry & LARGE != 0:
            return 0
        table = entry & ADDRESS_BITS
        level -= 9
    return direct_map(table) + index(address, 12) * 8


def _table_below(table: int, address: int, shift: int) -> int:
    """The next lower table on the way to `address`, created when it is missing."""
    slot = direct_map(table) + index(address, shift) * 8
    entry = load_i64(slot)
    if entry & PRESENT != 0:
        return entry & ADDRESS_BITS
    fresh = _new_table()
    store_i64(slot, fresh | TABLE)
    return fresh


def _new_table() -> int:
    """Raises MemoryError."""
    allocate_page = _tables.allocate_page
    page = allocate_page()
    if page == 0:
        raise MemoryError
    return page
