"""The registers of a program that another part of the kernel than its door wants to see or set.

Every entry from user mode builds the frame at the top of the task's kernel stack, and doors pass it on as a parameter.
The functions here are for those who come without it: a struct is a value, so a function cannot hand the frame itself
out.

Safety: the address is that of the frame at the upper end of the stack that the task owns.
"""

from arch.x86_64.frame import FRAME_SIZE, TrapFrame
from kernel.lang import bytes_of, panic
from kernel.lang.unsafe import struct_at_address
from kernel.task.task import Task


def _address(task: Task) -> int:
    stack = task.stack
    if stack is None:
        panic("a task without a stack")
    return stack.top - FRAME_SIZE


def stack_pointer(task: Task) -> int:
    """The program's stack pointer."""
    frame = struct_at_address(TrapFrame, _address(task))
    return frame.rsp


def start_program(task: Task, entry: int, sp: int) -> None:
    """Let the task go on with a new program."""
    frame = struct_at_address(TrapFrame, _address(task))
    frame.set_user(entry, sp)
    frame.error_code = -1  # there is no system call to restart


def copy_to_child(parent: Task, child: Task, sp: int) -> None:
    """A child goes on where its parent called, with a result of 0, and with another stack pointer unless `sp` is 0."""
    frame = struct_at_address(TrapFrame, _address(child))
    source = struct_at_address(TrapFrame, _address(parent))
    bytes_of(frame).copy_from(bytes_of(source))
    frame.rax = 0
    frame.error_code = -1
    if sp != 0:
        frame.rsp = sp
