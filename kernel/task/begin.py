"""A new task's entry to user mode: pending work comes first.

Safety: the address is that of the frame at the upper end of the stack that the task owns.
"""

from arch import TrapFrame, user_frame_address
from kernel.lang.unsafe import struct_at_address
from kernel.sched.processor import RUNNING
from kernel.task.deliver import before_user_mode
from kernel.task.observer import TASKS
from kernel.task.task import Task


def settle(task: Task) -> None:
    """Handle signals and the like, before the first instruction. May not return: the task may have been killed."""
    if RUNNING.is_observed:
        TASKS.observer.begins(task)
    attend(task)


def attend(task: Task) -> None:
    """The same later, in a thread that stays in the kernel."""
    frame = struct_at_address(TrapFrame, user_frame_address(task.stack_top))
    before_user_mode(task, frame)
