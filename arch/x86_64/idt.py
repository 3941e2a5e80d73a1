"""The interrupt table: 256 gates to the stubs of entry.S.

All are interrupt gates (interrupts off in the handler). int3 and into are open to user mode; everything else a program
raises by `int` is a general protection fault. Intel SDM vol. 3, 7.14.1.
"""

from typing import Final

from arch.x86_64.instructions import load_idt, write_msr
from arch.x86_64.layout import KERNEL_CS
from arch.x86_64.percpu import (
    IST_DEBUG,
    IST_DOUBLE_FAULT,
    IST_MACHINE_CHECK,
    IST_NMI,
    OFFSET_SELF,
    boot_cpu_area,
)
from kernel.lang.unsafe import store_i64, symbol_address

DIVIDE_ERROR: Final = 0
DEBUG: Final = 1
NMI: Final = 2
BREAKPOINT: Final = 3
OVERFLOW: Final = 4
BOUND_RANGE: Final = 5
INVALID_OPCODE: Final = 6
DEVICE_NOT_AVAILABLE: Final = 7
DOUBLE_FAULT: Final = 8
INVALID_TSS: Final = 10
SEGMENT_NOT_PRESENT: Final = 11
STACK_FAULT: Final = 12
GENERAL_PROTECTION: Final = 13
PAGE_FAULT: Final = 14
FLOATING_POINT: Final = 16
ALIGNMENT_CHECK: Final = 17
MACHINE_CHECK: Final = 18
SIMD_FLOATING_POINT: Final = 19

EXCEPTION_COUNT: Final = 32
"""Vectors below are the processor's; from here on, interrupts (pic8259.py)."""

# Page fault error code: Intel SDM vol. 3, figure 5-12.
FAULT_PRESENT: Final = 1
FAULT_WRITE: Final = 2
FAULT_USER: Final = 4
FAULT_RESERVED: Final = 8
FAULT_FETCH: Final = 16
FAULT_KEY: Final = 32

KICK_VECTOR: Final = 0xEF
"""Another processor wants this one to look at what it does."""
FLUSH_VECTOR: Final = 0xFD
"""Another processor wants this one to forget translations, or to look at the kernel lock again (lock.S). It is of a
higher class than all that wait for the lock before they are acknowledged: these would hold it off."""

VECTOR_COUNT: Final = 256
STUB_SIZE: Final = 16

GATE_RING_0: Final = 0x8E << 40
GATE_RING_3: Final = 0xEE << 40

MSR_GS_BASE: Final = 0xC000_0101
MSR_KERNEL_GS_BASE: Final = 0xC000_0102


def initialise() -> None:
    """Loads the table and points GS at the boot processor's block: from here on exceptions reach krait_trap."""
    stubs = symbol_address("trap_stubs")
    table = symbol_address("interrupt_table")
    for vector in range(VECTOR_COUNT):
        stub = stubs + vector * STUB_SIZE
        store_i64(table + vector * 16, gate_low(stub, ist_of(vector), gate_type(vector)))
        store_i64(table + vector * 16 + 8, (stub >> 32) & 0xFFFF_FFFF)
    flush = symbol_address("answer_flush")
    store_i64(table + FLUSH_VECTOR * 16, gate_low(flush, 0, GATE_RING_0))
    store_i64(table + FLUSH_VECTOR * 16 + 8, (flush >> 32) & 0xFFFF_FFFF)
    load(boot_cpu_area())


def load(area: int) -> None:
    """Loads the table, and points GS at a processor's block."""
    load_idt(symbol_address("interrupt_table"), VECTOR_COUNT * 16 - 1)
    store_i64(area + OFFSET_SELF, area)
    write_msr(MSR_GS_BASE, area)
    write_msr(MSR_KERNEL_GS_BASE, 0)


def ist_of(vector: int) -> int:
    """The stack of its own that a vector needs, or 0: it may strike when the stack or GS can't be trusted."""
    if vector == DOUBLE_FAULT:
        return IST_DOUBLE_FAULT
    if vector == NMI:
        return IST_NMI
    if vector == MACHINE_CHECK:
        return IST_MACHINE_CHECK
    if vector == DEBUG:
        return IST_DEBUG
    return 0


def gate_type(vector: int) -> int:
    return GATE_RING_3 if vector == BREAKPOINT or vector == OVERFLOW else GATE_RING_0


def gate_low(stub: int, ist: int, kind: int) -> int:
    """Offset bits 0-15, selector at 16, IST at 32, type at 40, offset bits 16-31 at 48 (put in as signed 16 bits)."""
    upper = (stub >> 16) & 0xFFFF
    if upper >= 0x8000:
        upper -= 0x1_0000
    return (upper << 48) | kind | (ist << 32) | (KERNEL_CS << 16) | (stub & 0xFFFF)
