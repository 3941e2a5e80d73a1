"""Processors: sched_setaffinity(2), sched_getaffinity(2), getcpu(2)."""

from typing import Final

from kernel.doors.quick import TAKE_LOCK, quick
from kernel.doors.table import syscall
from kernel.lang import EBUSY, EINVAL, EPERM, Errno, UserAddr, i32, u32, unlocked
from kernel.lib import user
from kernel.sched.processor import RUNNING, processor_mask
from kernel.sched.realtime import RUNTIME, UNLIMITED
from kernel.sched.thread import SCHED_DEADLINE
from kernel.syscalls.sched_setscheduler import is_as_able, owns, scheduled_task
from kernel.task.control_groups import choose_processors
from kernel.task.task import current

_MASK_BYTES: Final = 8
_BYTE_SHIFT: Final = 3
_SIZE_BITS: Final = 0xFFFF_FFFF


@syscall("sched_setaffinity", status="Full", args="pid size <bytes[size]")
def sched_setaffinity(pid: i32, size: u32, mask: UserAddr) -> int:
    """sched_setaffinity(2): one of the existing processors must be in the set. For a thread with deadlines, all."""
    wanted = 0
    if size >= _MASK_BYTES:
        wanted = user.read_i64(mask)
    else:
        for i in range(size):
            wanted |= user.read_u8(user.at(mask, i)) << (8 * i)
    wanted &= processor_mask()
    target = scheduled_task(pid)
    if not owns(current(), target) or not is_as_able(current(), target):
        raise Errno(EPERM)
    if target.wishes.policy == SCHED_DEADLINE and wanted != processor_mask() and RUNTIME.value != UNLIMITED:
        raise Errno(EBUSY)
    if wanted == 0:
        raise Errno(EINVAL)
    choose_processors(target, -1 if wanted == processor_mask() else wanted)
    return 0


@syscall("sched_getaffinity", status="Full", args="pid size >bytes[size]")
def sched_getaffinity(pid: i32, size: u32, mask: UserAddr) -> int:
    """sched_getaffinity(2): the raw call returns how many bytes it wrote. As on Linux, the size in bits has 32 bits."""
    if not _is_size(size):
        raise Errno(EINVAL)
    user.write_i64(mask, scheduled_task(pid).allowed & processor_mask())
    return _MASK_BYTES


def _is_size(size: u32) -> bool:
    """Whether a mask may have that many bytes."""
    return size & (_MASK_BYTES - 1) == 0 and (size << _BYTE_SHIFT) & _SIZE_BITS != 0


@syscall("getcpu", status="Full", args=">int? >int? address")
@unlocked
def getcpu(processor: UserAddr, node: UserAddr, _cache: int) -> int:
    """getcpu(2)."""
    try:
        if processor != 0:
            user.write_u32(processor, current().processor)
    finally:
        if node != 0:
            user.write_u32(node, 0)  # whether or not the other could be written
    return 0


@quick("sched_getaffinity")
@unlocked
def _quick_sched_getaffinity(pid: i32, size: u32, mask: UserAddr) -> int:
    if pid != 0 or not _is_size(size):
        return TAKE_LOCK
    user.write_i64(mask, current().allowed & RUNNING.mask)
    return _MASK_BYTES
