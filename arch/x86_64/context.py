"""Kernel stacks: switching between them and preparing new ones (switch.S).

A stack that is not running is known by its stack pointer, under which lie the six registers that `switch_stacks`
pushed, and the address that it returns to.
"""

from typing import Final, NoReturn

from arch.x86_64.frame import FRAME_SIZE
from arch.x86_64.instructions import read_frame_pointer
from arch.x86_64.simulation import processor
from kernel.lang import extern, inline, panic
from kernel.lang.unsafe import load_i64, store_i64, symbol_address

ENTRY_ROOM: Final = 64  # between a program's frame and its thread's first call
SAVED_REGISTERS: Final = 6
# From the stack pointer up: r15 r14 r13 r12 rbx rbp, return address.
OFFSET_RBX: Final = 4 * 8
OFFSET_RETURN: Final = SAVED_REGISTERS * 8


@extern("switch_stacks")
def switch_stacks(save_sp_to: int, load_sp: int) -> None:
    """Leaves this stack, its pointer stored at address `save_sp_to`, and goes on where the other one left.

    Safety: interrupts are off; `load_sp` came from here or from `prepare_*`, and runs nowhere else.
    """
    processor.control.switch_stacks(save_sp_to, load_sp)


@extern("enter_user_mode")
def _enter_user_mode(frame: int) -> None:
    processor.control.enter_user_mode(frame)


def enter_user_mode(stack_top: int) -> NoReturn:
    """Goes to user mode with the registers of the frame at the upper end of a kernel stack, from that stack.

    Safety: the frame's selectors are the user's; nothing on the stack is needed any more.
    """
    _enter_user_mode(stack_top - FRAME_SIZE)
    panic("user mode came back")


def prepare_kernel_entry(stack_top: int, argument: int) -> int:
    """The stack pointer with which a new thread first runs: it calls krait_kthread_main(argument), below the room for
    the frame of a program.

    Safety: `stack_top` is a kernel stack's 16-byte aligned upper end; the stack is not in use.
    """
    sp = stack_top - FRAME_SIZE - ENTRY_ROOM - OFFSET_RETURN - 8
    for offset in range(0, OFFSET_RETURN, 8):
        store_i64(sp + offset, 0)
    store_i64(sp + OFFSET_RBX, argument)
    store_i64(sp + OFFSET_RETURN, symbol_address("kthread_entry"))
    return sp


def left_at(stack_pointer: int) -> int:
    """Where a thread whose stack pointer is saved continues.

    Safety: as for `switch_stacks`.
    """
    return load_i64(stack_pointer + OFFSET_RETURN)


def left_frame_pointer(stack_pointer: int) -> int:
    """Its frame pointer there. Safety: the same."""
    return load_i64(stack_pointer + OFFSET_RETURN - 8)


@inline
def present_frame_pointer() -> int:
    """That of the function that asks."""
    return read_frame_pointer()


def boot_stack_top() -> int:
    """The upper end of the stack on which the boot stub called krait_main."""
    return symbol_address("boot_stack_top")


def early_arena_start() -> int:
    """Zeroed memory in the image for what is allocated before memory is known."""
    return symbol_address("early_arena")


def early_arena_size() -> int:
    """Its size in bytes."""
    return symbol_address("early_arena_end") - symbol_address("early_arena")
