"""kcmp(2): whether two tasks share something."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.file import File
from kernel.ipc.epoll import EpollFile
from kernel.lang import EBADF, EINVAL, EPERM, Errno, UserAddr, i32
from kernel.lib import user
from kernel.syscalls.pid_arguments import task_at
from kernel.task.inspection import may_ask_about
from kernel.task.task import Task, current

_KCMP_FILE: Final = 0
_KCMP_VM: Final = 1
_KCMP_FILES: Final = 2
_KCMP_FS: Final = 3
_KCMP_SIGHAND: Final = 4
_KCMP_IO: Final = 5
_KCMP_SYSVSEM: Final = 6
_KCMP_EPOLL_TFD: Final = 7
_SAME: Final = 0
_LESS: Final = 1
_GREATER: Final = 2


@syscall("kcmp", status="Full", args="pid pid one:0|1|2|3|4|5|6|7 any any")
def kcmp(first_pid: i32, second_pid: i32, kind: i32, first: int, second: UserAddr) -> int:
    """kcmp(2): 0 for the same object, 1 or 2 for an arbitrary order."""
    one = task_at(first_pid)
    other = task_at(second_pid)
    reader = current()
    if not may_ask_about(reader, one.process, one) or not may_ask_about(reader, other.process, other):
        raise Errno(EPERM)
    if kind == _KCMP_FILE:
        return _order(hash(_file_of(one, first)), hash(_file_of(other, second)))
    if kind == _KCMP_VM:
        return _order(_identity_of_memory(one), _identity_of_memory(other))
    if kind == _KCMP_FILES:
        return _order(_identity_of_files(one), _identity_of_files(other))
    if kind == _KCMP_FS:
        return _order(_identity_of_context(one), _identity_of_context(other))
    if kind == _KCMP_SIGHAND:
        return _order(hash(one.process.actions), hash(other.process.actions))
    if kind == _KCMP_IO:
        return _SAME  # no task has an I/O context: all share the absence
    if kind == _KCMP_SYSVSEM:
        mine = one.semaphore_undos
        theirs = other.semaphore_undos
        return _order(0 if mine is None else hash(mine), 0 if theirs is None else hash(theirs))
    if kind == _KCMP_EPOLL_TFD:
        return _compare_epoll(one, first, other, second)
    raise Errno(EINVAL)


def _order(first: int, second: int) -> int:
    if first == second:
        return _SAME
    return _LESS if first < second else _GREATER


def _identity_of_memory(task: Task) -> int:
    space = task.memory
    return 0 if space is None else hash(space)


def _identity_of_files(task: Task) -> int:
    """0 for a thread that has ended: it has released its descriptors."""
    table = task.file_table
    return 0 if table is None else hash(table)


def _identity_of_context(task: Task) -> int:
    context = task.fs_context
    return 0 if context is None else hash(context)


def _file_of(task: Task, number: int) -> File:
    descriptor = number & 0xFFFF_FFFF
    table = task.file_table
    if table is None or descriptor >= table.size():
        raise Errno(EBADF)
    return table.get_any(descriptor)


def _compare_epoll(one: Task, descriptor: int, other: Task, slot: UserAddr) -> int:
    """KCMP_EPOLL_TFD: whether a descriptor is the one that an epoll set watches under a number."""
    set_descriptor = user.read_u32(slot)
    watched = user.read_u32(user.at(slot, 4))
    offset = user.read_u32(user.at(slot, 8))
    file = _file_of(one, descriptor)
    owner = _file_of(other, set_descriptor)
    if not isinstance(owner, EpollFile):
        raise Errno(EINVAL)
    return _order(hash(file), hash(owner.watched_file(watched, offset)))
