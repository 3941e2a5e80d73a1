"""A new task's entry to user mode: what is due first is done first.

Safety: as user_frame.py.
"""

from arch.x86_64.frame import FRAME_SIZE, TrapFrame
from kernel.lang import panic
from kernel.lang.unsafe import struct_at_address
from kernel.task.deliver import before_user_mode
from kernel.task.task import Task


def settle(task: Task) -> None:
    """Signals and the like, before the first instruction. May not return: the task may be killed already."""
    stack = task.stack
    if stack is None:
        panic("a task without a stack")
    frame = struct_at_address(TrapFrame, stack.top - FRAME_SIZE)
    before_user_mode(task, frame)
