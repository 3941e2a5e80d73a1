"""membarrier(2).

A thread that is not running has gone through the kernel, which orders memory, since it last ran. Processors that run
others are all interrupted: the answer to a TLB shoot-down is a barrier too, and serialises. A restartable
sequence restarts in a thread that runs again (kernel/task/restartable.py).
"""

from typing import Final

from arch import synchronise_processors
from kernel.doors.table import syscall
from kernel.lang import EINVAL, EPERM, Errno, i32, u32
from kernel.task.restartable import restart_others
from kernel.task.task import current

_GLOBAL: Final = 1
_GLOBAL_EXPEDITED: Final = 2
_REGISTER_GLOBAL_EXPEDITED: Final = 4
_PRIVATE_EXPEDITED: Final = 8
_REGISTER_PRIVATE_EXPEDITED: Final = 16
_PRIVATE_EXPEDITED_SYNC_CORE: Final = 32
_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: Final = 64
_GET_REGISTRATIONS: Final = 512
_PRIVATE_EXPEDITED_RSEQ: Final = 128
_REGISTER_PRIVATE_EXPEDITED_RSEQ: Final = 256
_FLAG_CPU: Final = 1  # of _PRIVATE_EXPEDITED_RSEQ: one processor only
_KNOWN: Final = 0x1FF | _GET_REGISTRATIONS


@syscall("membarrier", status="Full", args="one:membarrier flags:1 int")
def membarrier(command: i32, flags: u32, _processor: i32) -> int:
    """membarrier(2)."""
    if flags != 0 and (command != _PRIVATE_EXPEDITED_RSEQ or flags != _FLAG_CPU):
        raise Errno(EINVAL)
    if command == 0:
        return _KNOWN
    space = current().space
    if command == _GLOBAL or command == _GLOBAL_EXPEDITED:
        synchronise_processors()
        return 0
    if command == _PRIVATE_EXPEDITED or command == _PRIVATE_EXPEDITED_SYNC_CORE or command == _PRIVATE_EXPEDITED_RSEQ:
        if space.barriers & (command << 1) == 0:
            raise Errno(EPERM)
        if command == _PRIVATE_EXPEDITED_RSEQ:
            restart_others(space)
        synchronise_processors()
        return 0
    if command == _GET_REGISTRATIONS:
        implied = 0
        if space.barriers & (_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE | _REGISTER_PRIVATE_EXPEDITED_RSEQ) != 0:
            implied = _REGISTER_PRIVATE_EXPEDITED
        return space.barriers | implied
    if (
        command == _REGISTER_GLOBAL_EXPEDITED
        or command == _REGISTER_PRIVATE_EXPEDITED
        or command == _REGISTER_PRIVATE_EXPEDITED_SYNC_CORE
        or command == _REGISTER_PRIVATE_EXPEDITED_RSEQ
    ):
        space.barriers |= command
        return 0
    raise Errno(EINVAL)
