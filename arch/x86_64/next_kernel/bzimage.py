"""Linux's compressed kernel image (bzImage), entered with 64 bits.

Source: Linux's Documentation/arch/x86/boot.rst (The Linux/x86 Boot Protocol, 2.12; "64-bit Boot Protocol") and
zero-page.rst.
"""

from typing import Final

from arch.x86_64.bootinfo import BootInfo, PhysicalMemory
from arch.x86_64.layout import PAGE_SIZE, page_ceiling
from arch.x86_64.next_kernel.plan import (
    FROM_KERNEL,
    HIGH_PLACES,
    KernelFile,
    Piece,
    Plan,
    is_ram,
    load_address,
    root_pointer,
    store_address,
    store_regions,
)
from kernel.lang import EINVAL, ENOEXEC, Errno, Span, span_of, u8

SECTOR: Final = 512
HEADER_START: Final = 0x1F1
HEADER_END: Final = 0x290
# Fields of the header, which lie at the same offsets in the file and in the parameters.
SETUP_SECTORS: Final = 0x1F1
BOOT_FLAG: Final = 0x1FE
JUMP_LENGTH: Final = 0x201  # the header ends that many bytes past the next
JUMP_END: Final = 0x202
SIGNATURE: Final = 0x202
VERSION: Final = 0x206
LOADER_TYPE: Final = 0x210
LOAD_FLAGS: Final = 0x211
RAM_DISK: Final = 0x218
RAM_DISK_SIZE: Final = 0x21C
COMMAND_LINE: Final = 0x228
RAM_DISK_LIMIT: Final = 0x22C
ALIGNMENT: Final = 0x230
IS_RELOCATABLE: Final = 0x234
EXTENDED_FLAGS: Final = 0x236
COMMAND_LINE_SIZE: Final = 0x238
PREFERRED_ADDRESS: Final = 0x258
MEMORY_SIZE: Final = 0x260

MAGIC: Final = 0x5372_6448  # "HdrS"
BOOT_MAGIC: Final = 0xAA55
LEAST_VERSION: Final = 0x20C
LOADED_HIGH: Final = 1
HAS_64_BIT_ENTRY: Final = 1
ENTRY_OFFSET: Final = 0x200
OTHER_LOADER: Final = 0xFF
MOST_MEMORY: Final = 1 << 30  # that a kernel may want for itself

# Fields of the parameters.
PARAMETERS_SIZE: Final = 4096
ROOT_POINTER: Final = 0x70
REGION_COUNT: Final = 0x1E8
REGIONS: Final = 0x2D0
REGION_SIZE: Final = 20
MOST_REGIONS: Final = 128


def looks_like_bzimage(head: Span[u8]) -> bool:
    """Whether a file begins as such an image, with all that is needed to enter it with 64 bits."""
    return (
        len(head) >= HEADER_END
        and head.load_u16(BOOT_FLAG) == BOOT_MAGIC
        and head.load_u32(SIGNATURE) == MAGIC
        and head.load_u16(VERSION) >= LEAST_VERSION
        and head[LOAD_FLAGS] & LOADED_HIGH != 0
        and head.load_u16(EXTENDED_FLAGS) & HAS_64_BIT_ENTRY != 0
    )


def plan_bzimage(
    file: KernelFile, head: Span[u8], initrd_size: int, command_line: bytes, info: BootInfo, memory: PhysicalMemory
) -> Plan:
    """Raises ENOEXEC; EINVAL: the command line is longer than the kernel takes; EADDRNOTAVAIL."""
    sectors = head[SETUP_SECTORS]
    start = ((4 if sectors == 0 else sectors) + 1) * SECTOR
    wanted = head.load_u32(MEMORY_SIZE)
    alignment = head.load_u32(ALIGNMENT)
    is_power = alignment & (alignment - 1) == 0
    if start >= file.size or wanted > MOST_MEMORY or alignment < PAGE_SIZE or not is_power:
        raise Errno(ENOEXEC)
    if len(command_line) > head.load_u32(COMMAND_LINE_SIZE):
        raise Errno(EINVAL)
    plan = Plan()
    filled = file.size - start
    size = max(wanted, filled)
    place = load_address(head, PREFERRED_ADDRESS)
    is_good = 0 <= place < info_limit(info) and place & PAGE_SIZE - 1 == 0 and place >= 1 << 20
    if not is_good or not is_ram(info, place, page_ceiling(place + size)):
        if head[IS_RELOCATABLE] == 0:
            raise Errno(ENOEXEC)
        place = plan.find(info, size, alignment, HIGH_PLACES, 1 << 32)
    plan.pieces.append(Piece(place, size, FROM_KERNEL, start, filled, b""))
    plan.entry = place + ENTRY_OFFSET
    initrd = plan.add_initrd(info, initrd_size, head.load_u32(RAM_DISK_LIMIT) + 1)
    _add_parameters(plan, head, initrd, initrd_size, command_line, info, memory)
    return plan


def info_limit(info: BootInfo) -> int:
    """Where the highest region ends."""
    limit = 0
    for i in range(info.region_count):
        limit = max(limit, info.region_end[i])
    return limit


def _add_parameters(
    plan: Plan,
    head: Span[u8],
    initrd: int,
    initrd_size: int,
    command_line: bytes,
    info: BootInfo,
    memory: PhysicalMemory,
) -> None:
    """The page that rsi points to, followed by what it points to."""
    pointer = root_pointer(info, memory)
    text = PARAMETERS_SIZE + 40
    size = text + len(command_line) + 1
    place = plan.find_low(info, size)
    storage = bytearray(size)
    out = span_of(storage)
    header_end = min(JUMP_END + head[JUMP_LENGTH], HEADER_END)
    out[HEADER_START:header_end].copy_from(head[HEADER_START:header_end])
    out.store_u8(LOADER_TYPE, OTHER_LOADER)
    out.store_u32(COMMAND_LINE, place + text)
    out.store_u32(RAM_DISK, initrd)
    out.store_u32(RAM_DISK_SIZE, initrd_size)
    store_address(out, ROOT_POINTER, place + PARAMETERS_SIZE if len(pointer) > 0 else info.rsdp)
    count = min(info.region_count, MOST_REGIONS)
    out.store_u8(REGION_COUNT, count)
    store_regions(out, REGIONS, REGION_SIZE, count, info)
    out[PARAMETERS_SIZE : PARAMETERS_SIZE + len(pointer)].copy_from(span_of(pointer))
    out[text : text + len(command_line)].copy_from(span_of(command_line))
    plan.add_argument(place, bytes(storage))
