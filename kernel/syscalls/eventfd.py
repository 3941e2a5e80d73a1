"""eventfd(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import O_CLOEXEC, O_NONBLOCK
from kernel.ipc.eventfd import EventFile
from kernel.lang import EINVAL, Errno, i32, u32
from kernel.task import current

_EFD_SEMAPHORE: Final = 1


@syscall("eventfd", status="Full", args="int -> fd:eventfd")
def eventfd(initial: u32) -> int:
    return eventfd2(initial, 0)


@syscall("eventfd2", status="Full", args="int flags:EFD_SEMAPHORE|EFD_NONBLOCK|EFD_CLOEXEC -> fd:eventfd")
def eventfd2(initial: u32, flags: i32) -> int:
    if flags & ~(_EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK) != 0:
        raise Errno(EINVAL)
    file = EventFile(initial, flags & O_NONBLOCK, flags & _EFD_SEMAPHORE != 0)
    return current().files.install(file, flags & O_CLOEXEC != 0)
