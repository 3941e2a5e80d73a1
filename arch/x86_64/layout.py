"""The address space and the selectors: numbers shared with the assembly (constants.inc) and linker.ld.

Kernel addresses are negative ints, user addresses 0 … 2**47 - 1: the processor sign-extends bit 47, so one signed
number says which half an address is in.

    0 … USER_END                       the program
    DIRECT_MAP_BASE + physical         all RAM, and device memory where a driver asked for it; never executable
    DYNAMIC_BASE … DYNAMIC_END         mapped page by page: kernel stacks with guard pages
    KERNEL_BASE + physical             the kernel's image, text RX, read-only data R, data RW
"""

from typing import Final

PAGE_SIZE: Final = 4096
PAGE_SHIFT: Final = 12
PAGE_MASK: Final = PAGE_SIZE - 1
LARGE_PAGE_SIZE: Final = 2 * 1024 * 1024
HUGE_PAGE_SIZE: Final = 1024 * 1024 * 1024

KERNEL_BASE: Final = -0x8000_0000
DIRECT_MAP_BASE: Final = -0x7000_0000_0000
DIRECT_MAP_SIZE: Final = 0x4000_0000_0000
DYNAMIC_BASE: Final = -0x2000_0000_0000
DYNAMIC_END: Final = DYNAMIC_BASE + 0x80_0000_0000
DEVICE_BASE: Final = DYNAMIC_END - 0x4000_0000
"""The last part of the dynamic area is for device memory that lies above what the direct map shows."""

USER_ADDRESS_BITS: Final = 47
# One page short of the half: `syscall` as the very last instruction would return to a non-canonical address.
USER_END: Final = (1 << USER_ADDRESS_BITS) - PAGE_SIZE

KERNEL_CS: Final = 0x10
KERNEL_SS: Final = 0x18
USER_SS: Final = 0x2B
USER_CS: Final = 0x33
TASK_REGISTER: Final = 0x40
FIRST_THREAD_AREA: Final = 12
"""Of the segments of a thread's own: entries of the kernel's table, by which a debugger names them."""
THREAD_AREA_COUNT: Final = 3
PROCESSOR_SELECTOR: Final = 0x78
"""A segment whose limit is the processor's number: `lsl` tells it to programs."""

VECTOR_SYSCALL: Final = 256
"""frame.vector of a system call: past the processor's 256 vectors."""


def direct_map(physical: int) -> int:
    """The kernel address at which a physical address can be read and written."""
    return DIRECT_MAP_BASE + physical


def physical_of(address: int) -> int:
    """The physical address of an address in the direct map or the kernel's image."""
    if address >= KERNEL_BASE:
        return address - KERNEL_BASE
    return address - DIRECT_MAP_BASE


def page_floor(address: int) -> int:
    return address & ~PAGE_MASK


def page_ceiling(address: int) -> int:
    return (address + PAGE_MASK) & ~PAGE_MASK
