"""The registers of a program as somebody else than its door sees or sets them.

Every entry from user mode builds the frame at the upper end of the task's kernel stack, and doors pass it on as a
parameter. The functions here are for those who come without it, and know the stack: a struct is a value, so a function
cannot hand the frame itself out.

Safety: `stack_top` is the 16-byte aligned upper end of a kernel stack that the caller's task owns.
"""

from arch.x86_64.frame import FRAME_SIZE, TrapFrame
from kernel.lang import bytes_of, inline
from kernel.lang.unsafe import struct_at_address


@inline
def user_frame_address(stack_top: int) -> int:
    """Where the frame lies."""
    return stack_top - FRAME_SIZE


def user_stack_pointer(stack_top: int) -> int:
    """The program's stack pointer."""
    frame = struct_at_address(TrapFrame, user_frame_address(stack_top))
    return frame.rsp


def start_program(stack_top: int, entry: int, sp: int) -> None:
    """Let the task go on with a new program."""
    frame = struct_at_address(TrapFrame, user_frame_address(stack_top))
    frame.set_user(entry, sp)
    frame.forget_call()


def copy_user_frame(parent_top: int, child_top: int, sp: int) -> None:
    """A child goes on where its parent called, with a result of 0, and with another stack pointer unless `sp` is 0."""
    frame = struct_at_address(TrapFrame, user_frame_address(child_top))
    source = struct_at_address(TrapFrame, user_frame_address(parent_top))
    bytes_of(frame).copy_from(bytes_of(source))
    frame.rax = 0
    frame.error_code = -1
    if sp != 0:
        frame.rsp = sp
