"""Advising about and releasing other processes' memory: process_madvise(2), process_mrelease(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EACCES, EINVAL, EPERM, ESRCH, Errno, UserAddr, i32, u32
from kernel.lib.capabilities import CAP_SYS_NICE
from kernel.mm import remap as remapping
from kernel.mm.space import each_area
from kernel.syscalls.buffer_arguments import read_own_pieces
from kernel.syscalls.descriptor_arguments import any_file_at
from kernel.task.inspection import may_look_into
from kernel.task.pidfd import pid_file
from kernel.task.task import current

_MADV_WILLNEED: Final = 3
_MADV_COLD: Final = 20
_MADV_PAGEOUT: Final = 21
_MADV_COLLAPSE: Final = 25


@syscall("process_madvise", status="Full", args="fd:pidfd <iovec[count] count one:madvise flags:0")
def process_madvise(descriptor: i32, vector: UserAddr, count: int, advice: i32, flags: u32) -> int:
    """process_madvise(2)."""
    if flags != 0:
        raise Errno(EINVAL)
    starts: list[UserAddr] = []
    lengths: list[int] = []
    read_own_pieces(vector, count, starts, lengths)
    reader = current()
    process = pid_file(any_file_at(descriptor)).living()
    if advice not in (_MADV_COLD, _MADV_PAGEOUT, _MADV_WILLNEED, _MADV_COLLAPSE):
        raise Errno(EINVAL)
    target = process.any_thread()
    if target is None or target.memory is None:
        raise Errno(ESRCH)
    if not may_look_into(reader, process, target):
        raise Errno(EACCES)
    space = target.space
    if space is not reader.memory and not reader.credentials.capable(CAP_SYS_NICE):
        raise Errno(EPERM)
    done = 0
    space.acquire()
    try:
        for index in range(len(starts)):
            remapping.advise(space, starts[index], lengths[index], advice)
            done += lengths[index]  # fits: each was user memory
    except Errno:
        if done == 0:
            raise
    finally:
        space.release()
    return done


@syscall("process_mrelease", status="Full", args="fd:pidfd flags:0")
def process_mrelease(descriptor: i32, flags: u32) -> int:
    """process_mrelease(2): free the memory of a process that is being killed before it gets to end."""
    if flags != 0:
        raise Errno(EINVAL)
    process = pid_file(any_file_at(descriptor)).living()
    target = process.any_thread()
    if target is None or target.memory is None:
        raise Errno(ESRCH)
    space = target.space
    if not process.ending.is_exiting or space.users > process.thread_count():
        raise Errno(EINVAL)
    space.acquire()
    try:
        for area in each_area(space):
            if not area.shared:
                space.empty(area.start, area.end)
        return 0
    finally:
        space.release()
