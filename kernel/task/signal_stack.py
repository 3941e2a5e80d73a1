"""The alternate signal stack (sigaltstack(2))."""

from typing import Final

from kernel.lang import EINVAL, ENOMEM, EPERM, Errno
from kernel.task.parts import SS_DISABLE, SignalStack
from kernel.task.task import Task

SS_ONSTACK: Final = 1
SS_AUTODISARM: Final = 1 << 31
MINSIGSTKSZ: Final = 2048


def is_on_stack(stack: SignalStack, sp: int) -> bool:
    """Whether a stack pointer lies on the alternate stack. One that disarms itself is not in use while a handler runs
    on it. Both numbers of a stack are unsigned, and any that a program chose.
    """
    if stack.flags & SS_AUTODISARM != 0 or not 0 <= stack.address < sp:
        return False
    return stack.size < 0 or sp - stack.address <= stack.size


def stack_flags(stack: SignalStack, sp: int) -> int:
    """ss_flags as a program sees them."""
    if stack.size == 0:
        return SS_DISABLE | (stack.flags & SS_AUTODISARM)
    return (SS_ONSTACK if is_on_stack(stack, sp) else 0) | (stack.flags & SS_AUTODISARM)


def set_stack(task: Task, sp: int, address: int, flags: int, size: int) -> None:
    """Install a stack. Raises EPERM while a handler runs on the present one, EINVAL, ENOMEM."""
    if is_on_stack(task.signals.stack, sp):
        raise Errno(EPERM)
    mode = flags & 0x7FFF_FFFF
    if mode != SS_DISABLE and mode != SS_ONSTACK and mode != 0:
        raise Errno(EINVAL)
    if mode == SS_DISABLE:
        address = 0
        size = 0
    elif 0 <= size < MINSIGSTKSZ:
        raise Errno(ENOMEM)
    task.signals.stack.address = address
    task.signals.stack.size = size
    task.signals.stack.flags = (flags & SS_AUTODISARM) | (SS_DISABLE if mode == SS_DISABLE else 0)


def restore_stack(task: Task, sp: int, address: int, flags: int, size: int) -> None:
    """sigreturn: as set_stack, but an invalid request is ignored."""
    try:
        set_stack(task, sp, address, flags & ~SS_ONSTACK, size)
    except Errno:
        return
