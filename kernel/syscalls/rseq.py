"""Restartable sequences: rseq(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EBUSY, EINVAL, EPERM, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.task import restartable
from kernel.task.send import interrupt
from kernel.task.task import current

_UNREGISTER: Final = 1


@syscall("rseq", status="Full", args="=rseq one:32 flags:1 one:0x53053053")
def rseq(address: UserAddr, length: u32, flags: i32, signature: u32) -> int:
    """Register the running thread's struct rseq, or unregister it."""
    task = current()
    if flags & _UNREGISTER != 0:
        if flags != _UNREGISTER or task.library.rseq.address == 0 or task.library.rseq.address != address:
            raise Errno(EINVAL)
        if task.library.rseq.length != length:
            raise Errno(EINVAL)
        if task.library.rseq.signature != signature:
            raise Errno(EPERM)
        restartable.unregister(task)
        return 0
    if flags != 0:
        raise Errno(EINVAL)
    if task.library.rseq.address != 0:
        if task.library.rseq.address != address or task.library.rseq.length != length:
            raise Errno(EINVAL)
        raise Errno(EPERM if task.library.rseq.signature != signature else EBUSY)
    if length < restartable.SMALLEST or address & (restartable.ALIGNMENT - 1) != 0:
        raise Errno(EINVAL)
    user.check(address, length)
    restartable.register(task, address, length, signature)
    interrupt(task)  # the structure is filled on the way out
    return 0
