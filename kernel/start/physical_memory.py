"""From the loader's memory map to frames, heap and reclaimer. Runs once.

The order matters: tables that hold for ever (page tables, the frame table, the heap's unit map) come from early pages,
then all other usable memory goes to the frame allocator, then objects can be made.
"""

from typing import Final

from arch.x86_64 import boot_memory, paging
from arch.x86_64.bootinfo import BAD_MAGIC, KIND_RAM, BootInfoError, boot_info
from arch.x86_64.context import boot_stack_top
from arch.x86_64.layout import DIRECT_MAP_BASE, PAGE_SHIFT, direct_map, page_ceiling, page_floor
from kernel.drivers.platform import power
from kernel.drivers.platform.acpi_devices import hardware
from kernel.lang import panic
from kernel.mm import frames, heap, reclaim, slabs
from kernel.mm.pages import use_kernel_table
from kernel.sched import current_thread
from kernel.sched.switch import scan_sleeping_stacks
from kernel.start import command_line

DESCRIPTORS_HIGH: Final = -1
"""The image lies at -2 GiB: the upper half of all its addresses."""


def start(protocol: int, info: int) -> None:
    """After this, memory can be allocated. Panics when the loader's information is unusable."""
    try:
        boot_memory.reserve_image(boot_info)
        boot_info.parse(boot_memory.low_memory, protocol, info)
        boot_info.find_usable()
        _limit(command_line.size_of(boot_info.command_line(), b"mem"))
    except BootInfoError as error:
        if error.code == BAD_MAGIC:
            # QEMU has room for 4095 bytes of a command line, and the information lies behind.
            panic("the boot loader's information was overwritten: is the kernel's command line too long?")
        panic(f"the boot loader's information is unusable ({error.code})")
    # While the boot tables still map the firmware.
    power.soft_off.find(boot_memory.low_memory, boot_info.rsdp)
    hardware.find(boot_memory.low_memory, boot_info.rsdp)

    boot_memory.choose(boot_info)
    paging.set_page_source(boot_memory.allocate_page)
    paging.build(boot_info)
    _start_frames()
    use_kernel_table(paging.kernel_root())
    reclaim.configure(_own_stack_top, _scan_other_stacks, DESCRIPTORS_HIGH)


def release_initrd() -> None:
    """The initial RAM disk was unpacked: those of its pages that are RAM, and whole, become ordinary memory."""
    for i in range(boot_info.region_count):
        if boot_info.region_kind[i] == KIND_RAM:
            first = page_ceiling(max(boot_info.initrd_start, boot_info.region_start[i])) >> PAGE_SHIFT
            end = page_floor(min(boot_info.initrd_end, boot_info.region_end[i])) >> PAGE_SHIFT
            if first < end:
                frames.add_range(first, end)
    boot_info.initrd_end = boot_info.initrd_start


def _limit(limit: int) -> None:
    """`mem=`: use no memory from this physical address on. 0 means all, and so does a limit that leaves nothing to
    start with.
    """
    if limit == 0 or boot_info.usable_start[0] >= limit:
        return
    kept = 0
    for i in range(boot_info.usable_count):
        if boot_info.usable_start[i] < limit:
            boot_info.usable_start[kept] = boot_info.usable_start[i]
            boot_info.usable_end[kept] = min(boot_info.usable_end[i], limit)
            kept += 1
    boot_info.usable_count = kept


def _start_frames() -> None:
    """The frame allocator, and on it the heap."""
    frame_limit = 0
    for i in range(boot_info.usable_count):
        frame_limit = max(frame_limit, boot_info.usable_end[i] >> PAGE_SHIFT)
    span_bytes = (frame_limit << PAGE_SHIFT) + slabs.UNIT_SIZE - 1 & ~(slabs.UNIT_SIZE - 1)
    table = boot_memory.allocate(frames.table_bytes(frame_limit))
    unit_map = boot_memory.allocate(slabs.unit_map_bytes(span_bytes))

    frames.initialise(direct_map(table), frame_limit)
    for i in range(boot_info.usable_count):
        start_address = boot_info.usable_start[i]
        end_address = boot_info.usable_end[i]
        if start_address <= boot_memory.first_free() < end_address:
            start_address = boot_memory.first_free()
        frames.add_range(start_address >> PAGE_SHIFT, end_address >> PAGE_SHIFT)
    paging.set_page_source(_table_page)

    slabs.configure(DIRECT_MAP_BASE, span_bytes, direct_map(unit_map), frames.take_pages, frames.give_pages)
    if not heap.start():
        panic("not enough memory for the heap")


def _table_page() -> int:
    """A zeroed page for a page table; 0 if there is none."""
    try:
        return frames.allocate_zeroed_frame() << PAGE_SHIFT
    except MemoryError:
        return 0


def _own_stack_top() -> int:
    stack = current_thread().stack
    return boot_stack_top() if stack is None else stack.top


def _scan_other_stacks() -> None:
    scan_sleeping_stacks(current_thread())
