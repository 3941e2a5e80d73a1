"""Kernels that are entered by PVH: ELF files with a note that says where. Krait's own is one, and Linux's vmlinux.

Source: Xen, docs/misc/pvh.pandoc and hvm/start_info.h; System V ABI, chapters 4 and 5 (ELF).
"""

from typing import Final

from arch.x86_64.bootinfo import (
    COMMAND_LINE_LIMIT,
    PVH_INFO_SIZE,
    PVH_MAGIC,
    PVH_MEMORY_ENTRY_SIZE,
    PVH_MODULE_SIZE,
    BootInfo,
    PhysicalMemory,
)
from arch.x86_64.identity import ELF_MACHINE
from arch.x86_64.layout import PAGE_MASK
from arch.x86_64.next_kernel.plan import (
    FROM_KERNEL,
    HIGH_LIMIT,
    KernelFile,
    Piece,
    Plan,
    load_address,
    root_pointer,
    store_address,
    store_regions,
)
from kernel.lang import EINVAL, ENOEXEC, Errno, Span, span_of, u8

HEADER_SIZE: Final = 64
ENTRY_SIZE: Final = 56  # of the table of program headers
MOST_ENTRIES: Final = 64
PT_LOAD: Final = 1
PT_NOTE: Final = 4
NOTES_LIMIT: Final = 4096  # bytes of notes that are looked at
NOTE_HEADER: Final = 12
PHYSICAL_ENTRY: Final = 18  # XEN_ELFNOTE_PHYS32_ENTRY


def looks_like_pvh(head: Span[u8]) -> bool:
    """Whether a file begins as an ELF file of this processor, with 64 bits."""
    return (
        len(head) >= HEADER_SIZE
        and head.load_be32(0) == 0x7F45_4C46
        and head.load_u16(4) == 0x0102
        and head.load_u16(18) == ELF_MACHINE
    )


def plan_pvh(
    file: KernelFile, head: Span[u8], initrd_size: int, command_line: bytes, info: BootInfo, memory: PhysicalMemory
) -> Plan:
    """Raises ENOEXEC; EINVAL: the command line is too long; EADDRNOTAVAIL; what the file raises."""
    if len(command_line) > COMMAND_LINE_LIMIT:
        raise Errno(EINVAL)
    plan = Plan()
    plan.is_narrow = True
    table_offset = load_address(head, 32)
    count = head.load_u16(56)
    if head.load_u16(54) != ENTRY_SIZE or count > MOST_ENTRIES or not 0 <= table_offset <= file.size:
        raise Errno(ENOEXEC)
    table = file.read(table_offset, count * ENTRY_SIZE)
    if len(table) < count * ENTRY_SIZE:
        raise Errno(ENOEXEC)
    entries = span_of(table)
    for i in range(count):
        entry = entries[i * ENTRY_SIZE : (i + 1) * ENTRY_SIZE]
        kind = entry.load_u32(0)
        if kind == PT_LOAD:
            _add_segment(plan, file, entry, info)
        elif kind == PT_NOTE and plan.entry == 0:
            plan.entry = _entry_in_notes(file, entry)
    if plan.overlaps(plan.entry, plan.entry + 1) == 0:
        raise Errno(ENOEXEC)
    _add_start_info(plan, initrd_size, command_line, info, memory)
    return plan


def _add_segment(plan: Plan, file: KernelFile, entry: Span[u8], info: BootInfo) -> None:
    offset = load_address(entry, 8)
    physical = load_address(entry, 24)
    filled = load_address(entry, 32)
    size = load_address(entry, 40)
    if size == 0:
        return
    if not 0 < filled <= size <= HIGH_LIMIT or not 0 <= physical <= HIGH_LIMIT - size or physical & PAGE_MASK != 0:
        raise Errno(ENOEXEC)
    if not 0 <= offset <= file.size or filled > file.size - offset:
        raise Errno(ENOEXEC)
    plan.add_fixed(info, Piece(physical, size, FROM_KERNEL, offset, filled, b""))


def _entry_in_notes(file: KernelFile, entry: Span[u8]) -> int:
    """The physical address that a note gives, or 0."""
    size = load_address(entry, 32)
    offset = load_address(entry, 8)
    if not 0 <= offset <= file.size or not 0 <= size <= NOTES_LIMIT:
        return 0
    notes = span_of(file.read(offset, size))
    at = 0
    while at + NOTE_HEADER <= len(notes):
        name_size = notes.load_u32(at)
        data_size = notes.load_u32(at + 4)
        data = at + NOTE_HEADER + (name_size + 3 & ~3)
        following = data + (data_size + 3 & ~3)
        if following > len(notes):
            break
        is_xen = name_size == 4 and notes.load_be32(at + NOTE_HEADER) == 0x5865_6E00
        if is_xen and notes.load_u32(at + 8) == PHYSICAL_ENTRY and data_size >= 4:
            return notes.load_u32(data)
        at = following
    return 0


def _add_start_info(
    plan: Plan, initrd_size: int, command_line: bytes, info: BootInfo, memory: PhysicalMemory
) -> None:
    """The structure that ebx points to, followed by all that it points to: memory map, module, command line."""
    initrd = plan.add_initrd(info, initrd_size, HIGH_LIMIT)
    pointer = root_pointer(info, memory)
    module = PVH_INFO_SIZE
    regions = module + PVH_MODULE_SIZE
    acpi = regions + info.region_count * PVH_MEMORY_ENTRY_SIZE
    text = acpi + 40
    size = text + len(command_line) + 1
    place = plan.find_low(info, size)
    storage = bytearray(size)
    out = span_of(storage)
    out.store_u32(0, PVH_MAGIC)
    out.store_u32(4, 1)  # the version that has a memory map
    out.store_u32(12, 1 if initrd_size > 0 else 0)
    store_address(out, 16, place + module)
    store_address(out, 24, place + text)
    store_address(out, 32, place + acpi if len(pointer) > 0 else info.rsdp)
    store_address(out, 40, place + regions)
    out.store_u32(48, info.region_count)
    store_address(out, module, initrd)
    store_address(out, module + 8, initrd_size)
    store_regions(out, regions, PVH_MEMORY_ENTRY_SIZE, info.region_count, info)
    out[acpi : acpi + len(pointer)].copy_from(span_of(pointer))
    out[text : text + len(command_line)].copy_from(span_of(command_line))
    plan.add_argument(place, bytes(storage))
