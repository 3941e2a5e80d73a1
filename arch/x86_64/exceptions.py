"""What an exception or interrupt means: the questions that the kernel asks of a `TrapFrame` at its doors.

Context: any, and with the heap in any state: nothing is allocated.
Safety: the five bytes of a trapped instruction are read only where it lies in the kernel's text; registers are read.
Source: Intel SDM vol. 3, chapter 7.
"""

from enum import IntEnum

from arch.x86_64 import idt
from arch.x86_64.frame import TrapFrame
from arch.x86_64.instructions import read_cr2, take_debug_status
from kernel.lang import inline
from kernel.lang.unsafe import load_u8, symbol_address


class ProgramError(IntEnum):
    """What a program did wrong, beside touching memory that it may not touch."""

    DIVISION = 0
    FLOATING_POINT = 1
    INSTRUCTION = 2
    STEP = 3  # a debugger's: one instruction is done, or a breakpoint of the debug registers met
    BREAKPOINT = 4
    ALIGNMENT = 5
    STACK = 6  # an invalid address through the stack pointer; or a missing segment
    PROTECTION = 7  # anything else


@inline
def is_interrupt(frame: TrapFrame) -> bool:
    """Whether a device called, and not the running code."""
    return frame.vector >= idt.EXCEPTION_COUNT


@inline
def is_page_fault(frame: TrapFrame) -> bool:
    """Whether memory was not there, or not for this access: at `fault_address`."""
    return frame.vector == idt.PAGE_FAULT


@inline
def lacks_vector_registers(frame: TrapFrame) -> bool:
    """Whether a program used floating-point or vector registers that it has not got yet."""
    return frame.vector == idt.DEVICE_NOT_AVAILABLE


def is_breakpoint_in_kernel(frame: TrapFrame) -> bool:
    """Whether the kernel hit a breakpoint that a debugger set for the program: it is not reported."""
    if frame.vector != idt.DEBUG:
        return False
    take_debug_status()
    return True


def is_grave(frame: TrapFrame) -> bool:
    """Whether the machine is in trouble, whoever was running: a non-maskable interrupt, a double fault, a machine
    check.
    """
    return frame.vector == idt.NMI or frame.vector == idt.DOUBLE_FAULT or frame.vector == idt.MACHINE_CHECK


def fault_address() -> int:
    """The address of the last page fault."""
    return read_cr2()


@inline
def was_write(frame: TrapFrame) -> bool:
    """Whether a page fault's instruction wanted to write."""
    return frame.error_code & idt.FAULT_WRITE != 0


@inline
def was_fetch(frame: TrapFrame) -> bool:
    """Whether a page fault came of an instruction that was to be executed."""
    return frame.error_code & idt.FAULT_FETCH != 0


@inline
def was_key_fault(frame: TrapFrame) -> bool:
    """Whether a page fault came of a protection key that the running task may not use in that way."""
    return frame.error_code & idt.FAULT_KEY != 0


def program_error(frame: TrapFrame) -> ProgramError:
    """What a program did to raise an exception that is none of the above."""
    vector = frame.vector
    if vector == idt.DIVIDE_ERROR:
        return ProgramError.DIVISION
    if vector == idt.FLOATING_POINT or vector == idt.SIMD_FLOATING_POINT:
        return ProgramError.FLOATING_POINT
    if vector == idt.INVALID_OPCODE:
        return ProgramError.INSTRUCTION
    if vector == idt.DEBUG:
        return ProgramError.STEP
    if vector == idt.BREAKPOINT:
        return ProgramError.BREAKPOINT
    if vector == idt.ALIGNMENT_CHECK:
        return ProgramError.ALIGNMENT
    if vector == idt.STACK_FAULT or vector == idt.SEGMENT_NOT_PRESENT:
        return ProgramError.STACK
    return ProgramError.PROTECTION


def fault_name(frame: TrapFrame) -> bytes:
    """An exception of the kernel, in a traceback's words."""
    vector = frame.vector
    if vector == idt.PAGE_FAULT:
        return b"MemoryFault: page fault"
    if vector == idt.DOUBLE_FAULT:
        return b"RecursionError: double fault (stack overflow?)"
    if vector == idt.GENERAL_PROTECTION:
        return b"MemoryFault: general protection fault"
    if vector == idt.DIVIDE_ERROR:
        return b"ArithmeticFault: divide error"
    if vector == idt.INVALID_OPCODE:
        return b"CodeFault: invalid opcode"
    if vector == idt.NMI:
        return b"non-maskable interrupt"
    if vector == idt.MACHINE_CHECK:
        return b"machine check"
    return b"unexpected exception"


def trap_kind(frame: TrapFrame) -> int:
    """The kind of a compiled check (docs/compiler-abi.md), 0 for anything else: `ud1 kind(%eax), %eax` is
    67 0F B9 40 kind.
    """
    rip = frame.rip
    if frame.vector != idt.INVALID_OPCODE:
        return 0
    if rip < symbol_address("__text_start") or rip > symbol_address("__text_end") - 5:
        return 0
    if load_u8(rip) != 0x67 or load_u8(rip + 1) != 0x0F or load_u8(rip + 2) != 0xB9 or load_u8(rip + 3) != 0x40:
        return 0
    return load_u8(rip + 4)
