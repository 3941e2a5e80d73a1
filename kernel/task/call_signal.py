"""SIGSYS for a system call that was refused (sigaction(2)).

Context: entry to a system call.
"""

from arch import AUDIT_ARCHITECTURE, TrapFrame
from kernel.task.send import force
from kernel.task.siginfo import SignalInfo, from_kernel
from kernel.task.signals import SIGKILL, SIGSYS
from kernel.task.task import Task
from kernel.task.words import signed_32


def raise_sigsys(task: Task, number: int, frame: TrapFrame, code: int, error: int) -> None:
    """Send it to the running thread; the registers are as at the time of the call. Without memory for its
    information, the thread is killed.
    """
    frame.set_result(frame.original_number)
    try:
        info = sigsys_of(number, frame, code, error)
    except MemoryError:
        force(task, from_kernel(SIGKILL))
        return
    force(task, info)


def sigsys_of(number: int, frame: TrapFrame, code: int, error: int) -> SignalInfo:
    """The signal's information. Raises MemoryError."""
    info = SignalInfo(SIGSYS, code)
    info.error = error
    info.set_address(frame.instruction_pointer)
    info.third = signed_32(AUDIT_ARCHITECTURE) << 32 | number
    return info
