"""From the loader's memory map to frames, heap and reclaimer. Runs once.

The order matters: permanent tables (page tables, the frame table, the heap's unit map) come from early pages,
then all other usable memory goes to the frame allocator, then objects can be created.
"""

from typing import Final

from arch import (
    BAD_MAGIC,
    DIRECT_MAP_BASE,
    KIND_RAM,
    PAGE_SHIFT,
    BootInfoError,
    allocate_early,
    boot_info,
    direct_map,
    first_free_early,
    kernel_root,
    page_ceiling,
    page_floor,
    processor_stack_top,
    read_boot_info,
    set_page_source,
    start_page_tables,
)
from arch.programs import use_kernel_table
from kernel.lang import panic
from kernel.mm import frames, heap, reclaim, slabs
from kernel.sched import current_thread
from kernel.sched.processor import PROCESSORS, this_processor
from kernel.sched.switch import scan_sleeping_stacks
from kernel.sched.thread import ThreadState
from kernel.start import command_line

DESCRIPTORS_HIGH: Final = -1
"""The image lies at -2 GiB: the upper half of all its addresses."""


def start(protocol: int, info: int) -> None:
    """After this, memory can be allocated. Panics when the loader's information is unusable."""
    try:
        read_boot_info(protocol, info)
        limit = command_line.size_of(boot_info.command_line(), b"mem")
        _limit(limit)
    except BootInfoError as error:
        if error.code == BAD_MAGIC:
            # QEMU has room for 4095 bytes of a command line, and the information lies after it.
            panic("the boot loader's information was overwritten: is the kernel's command line too long?")
        panic(f"the boot loader's information is unusable ({error.code})")
    start_page_tables()
    _start_frames(0 if limit > 0 else _end_of_initrd())
    use_kernel_table(kernel_root())
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


def _end_of_initrd() -> int:
    """The end of the initial RAM disk's memory, as far as that is RAM: on some machines it comes last."""
    end = 0
    for i in range(boot_info.region_count):
        if boot_info.region_kind[i] == KIND_RAM and boot_info.region_start[i] < boot_info.initrd_end:
            end = max(end, min(boot_info.initrd_end, boot_info.region_end[i]))
    return end


def _start_frames(least: int) -> None:
    """The frame allocator, and on it the heap. There is room for frames at least up to the address `least`."""
    frame_limit = page_floor(least) >> PAGE_SHIFT
    for i in range(boot_info.usable_count):
        frame_limit = max(frame_limit, boot_info.usable_end[i] >> PAGE_SHIFT)
    span_bytes = (frame_limit << PAGE_SHIFT) + slabs.UNIT_SIZE - 1 & ~(slabs.UNIT_SIZE - 1)
    table = allocate_early(frames.table_bytes(frame_limit))
    unit_map = allocate_early(slabs.unit_map_bytes(span_bytes))

    frames.initialise(direct_map(table), frame_limit)
    for i in range(boot_info.usable_count):
        start_address = boot_info.usable_start[i]
        end_address = boot_info.usable_end[i]
        if start_address <= first_free_early() < end_address:
            start_address = first_free_early()
        frames.add_range(start_address >> PAGE_SHIFT, end_address >> PAGE_SHIFT)
    set_page_source(_table_page)

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
    return processor_stack_top(this_processor().number) if stack is None else stack.top


def _scan_other_stacks() -> bool:
    current = current_thread()
    for processor in PROCESSORS:
        boot = processor.boot_thread
        low = boot.context.stack_pointer  # 0: it has not given the processor up yet
        if boot is not current and boot.state != ThreadState.DEAD and low != 0:
            reclaim.scan_stack(low, processor_stack_top(processor.number))  # it waits for a disk or the network
    return scan_sleeping_stacks(current)
