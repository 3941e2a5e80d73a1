"""What each processor has of its own: the block at GS:0, its task state segment, and the stacks for grave exceptions.

The block's first words have fixed places (constants.inc), because entry.S reaches them by offset. Interrupts are off
in the kernel, so a processor's block is only ever touched by that processor, in one flow of control; but `root`,
`flush` and `watched` are written by whoever holds the kernel lock (processors.py).

Memory: entry.S reserves `cpu_area` for the boot processor: PerCpu at 0, TSS at 256, GDT at 512, the map of ports at
1024; dense, because after an address space switch each distinct page that the kernel touches costs a page walk.
"""

from typing import Final

from arch.x86_64.instructions import percpu_load, read_tsc
from kernel.lang import struct
from kernel.lang.unsafe import load_u32, store_i64, store_u32, symbol_address

OFFSET_SELF: Final = 0
OFFSET_KERNEL_SP: Final = 8
OFFSET_USER_RSP: Final = 16
OFFSET_SCRATCH_0: Final = 24
OFFSET_SCRATCH_1: Final = 32
OFFSET_NUMBER: Final = 40
OFFSET_ROOT: Final = 48
OFFSET_FLUSH: Final = 56
OFFSET_FLUSHED: Final = 64
OFFSET_APIC: Final = 72
OFFSET_KERNEL_TICKS: Final = 80
OFFSET_THREAD: Final = 88
OFFSET_SECTIONS: Final = 96
OFFSET_WATCHED: Final = 104

TSS_OFFSET: Final = 256
GDT_OFFSET: Final = 512

# Task state segment: Intel SDM vol. 3, figure 9-11. The 64-bit fields are only 4-byte aligned.
TSS_RSP0: Final = 4
TSS_IST1: Final = 36
TSS_IO_MAP: Final = 102
PORT_MAP_OFFSET: Final = 1024  # in the area: a bit for each port, and a byte of ones (programs/port_access.py)
PORT_MAP_SIZE: Final = 8192
TSS_LIMIT: Final = PORT_MAP_OFFSET - TSS_OFFSET + PORT_MAP_SIZE  # the last byte of the segment
AREA_SIZE: Final = 3 * 4096

IST_DOUBLE_FAULT: Final = 1
IST_NMI: Final = 2
IST_MACHINE_CHECK: Final = 3
IST_DEBUG: Final = 4
IST_COUNT: Final = 4
# ist_stacks of entry.S: for each stack a guard page, then the stack.
IST_STACK_SIZE: Final = 16 * 1024
IST_STACK_STRIDE: Final = IST_STACK_SIZE + 4096


@struct
class PerCpu:
    self_address: int
    kernel_sp: int
    """Top of the current task's kernel stack: where system calls and interrupts from user mode start."""
    user_rsp: int
    """The program's stack pointer, for the few instructions of an entry that have no stack."""
    scratch_0: int
    scratch_1: int
    number: int
    """0 is the boot processor."""
    root: int
    """The top-level page table that the processor translates by (physical)."""
    flush: int
    """How often others have asked this one to load `root` anew."""
    flushed: int
    """The last of these requests that it has answered."""
    apic: int
    """The identity of its local APIC."""
    kernel_ticks: int
    """The low half alone counts, modulo 2**32: what the counter showed when programs left the kernel, less what it
    showed when they came in."""
    thread: int
    """The thread that it runs, for system calls without the kernel lock (kernel/sched/switch.py)."""
    sections: int
    """Counts how often it came into and out of a system call without the kernel lock (entry.S): odd while in one."""
    watched: int
    """1 if the running thread's system calls are looked at, so that none may do without the lock."""


def set_kernel_stack(top: int) -> None:
    """Names the stack on which the next entry from user mode starts: for `syscall` and for interrupts.

    Safety: `top` is 16-byte aligned and the upper end of the current task's kernel stack.
    """
    block = percpu_load(OFFSET_SELF)
    store_i64(block + OFFSET_KERNEL_SP, top)
    store_tss_word(block + TSS_OFFSET + TSS_RSP0, top)


def take_kernel_ticks() -> int:
    """How many ticks of the time-stamp counter the processor has spent in the kernel since this was asked last, less
    than 2**32. It is in the kernel now.
    """
    block = percpu_load(OFFSET_SELF)
    now = read_tsc() & 0xFFFF_FFFF
    ticks = load_u32(block + OFFSET_KERNEL_TICKS) + now & 0xFFFF_FFFF
    store_u32(block + OFFSET_KERNEL_TICKS, -now & 0xFFFF_FFFF)
    return ticks


def store_tss_word(address: int, value: int) -> None:
    """Two halves: the segment's 64-bit fields are not 8-byte aligned."""
    store_u32(address, value & 0xFFFF_FFFF)
    store_u32(address + 4, (value >> 32) & 0xFFFF_FFFF)


def boot_cpu_area() -> int:
    return symbol_address("cpu_area")


def ist_stack_top(number: int) -> int:
    """Upper end of interrupt stack `number` (1 … IST_COUNT) of the boot processor."""
    return symbol_address("ist_stacks") + number * IST_STACK_STRIDE
