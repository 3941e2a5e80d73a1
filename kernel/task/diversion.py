"""Syscall User Dispatch: a program handles system calls itself (prctl(2), PR_SET_SYSCALL_USER_DISPATCH).

Emulators use it, whose guest code makes system calls of another system. Calls from one range of addresses always
reach the kernel. For others a byte of the program's memory decides, which the program changes as it enters and leaves
guest code: they reach the kernel, or become SIGSYS. Without such a byte they all become SIGSYS.

Invariant: `calls_are_watched` is true for a thread that uses it, so calls of other threads pay nothing. Children, new
threads and the next program do not inherit it.

Context: system calls; `diverts` may end the process.
Source: prctl(2); Documentation/admin-guide/syscall-user-dispatch.rst.
"""

from typing import Final

from arch import TrapFrame
from kernel.lang import EFAULT, EINVAL, Errno, UserAddr
from kernel.lib import user
from kernel.lib.saturation import LEAST, wrapped_sum
from kernel.task.call_signal import raise_sigsys
from kernel.task.deliver import end_by_signal
from kernel.task.send import rewatch
from kernel.task.siginfo import from_kernel
from kernel.task.signals import SIGSEGV, SIGSYS, SYS_USER_DISPATCH
from kernel.task.task import Task
from kernel.task.user_dispatch import UserDispatch

OFF: Final = 0
ON: Final = 1

_ALLOW: Final = 0  # the byte's value for a call that goes through
_BLOCK: Final = 1


def set_dispatch(task: Task, mode: int, start: int, size: int, selector: int) -> None:
    """Begin or end it for the running thread or a stopped one. `selector` is the address of the byte, 0 for none.
    Raises EINVAL, EFAULT, MemoryError.
    """
    if mode == OFF:
        if start != 0 or size != 0 or selector != 0:
            raise Errno(EINVAL)
        _drop(task)
    elif mode == ON:
        if start != 0 and wrapped_sum(start, size) ^ LEAST <= start ^ LEAST:
            raise Errno(EINVAL)  # the range is empty or has no end
        if selector < 0:
            raise Errno(EFAULT)  # the kernel's half; other bad addresses show when the byte is read
        task.own().dispatch = UserDispatch(start, size, selector)
    else:
        raise Errno(EINVAL)
    rewatch(task)


def forget_dispatch(task: Task) -> None:
    """The running thread executes another program."""
    if task.dispatch is not None:
        _drop(task)
        rewatch(task)


def _drop(task: Task) -> None:
    belongings = task.belongings
    if belongings is not None:
        belongings.dispatch = None


def diverts(task: Task, dispatch: UserDispatch, number: int, frame: TrapFrame) -> bool:
    """Whether a call of the running thread is refused: a signal is pending, or the process will end."""
    if dispatch.exempts(frame.instruction_pointer):
        return False
    if dispatch.selector != 0:
        try:
            state = user.read_u8(UserAddr(dispatch.selector))
        except Errno:
            end_by_signal(task, from_kernel(SIGSEGV))
            return True
        if state == _ALLOW:
            return False
        if state != _BLOCK:
            end_by_signal(task, from_kernel(SIGSYS))
            return True
    raise_sigsys(task, number, frame, SYS_USER_DISPATCH, 0)
    return True
