"""Secure computing: seccomp(2), and prctl(2), its older form."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EACCES, EINVAL, EOPNOTSUPP, Errno, UserAddr, span_of, u32
from kernel.lib import user
from kernel.lib.bpf import INSTRUCTION_SIZE, MOST_INSTRUCTIONS
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.task.seccomp import (
    FILTER,
    FLAG_KILLABLE,
    FLAG_LISTENER,
    FLAG_LOG,
    FLAG_SPECULATION,
    FLAG_SYNCHRONIZE,
    FLAG_SYNCHRONIZE_OR_ESRCH,
    STRICT,
    add_filter,
    find_action,
    set_strict,
)
from kernel.task.seccomp_listener import ANSWER_SIZE, DATA_SIZE, NOTIFICATION_SIZE
from kernel.task.task import Task, current
from kernel.task.words import load_i64

_SET_MODE_STRICT: Final = 0
_SET_MODE_FILTER: Final = 1
_GET_ACTION_AVAIL: Final = 2
_GET_NOTIF_SIZES: Final = 3

_FLAGS: Final = (
    FLAG_SYNCHRONIZE | FLAG_LOG | FLAG_SPECULATION | FLAG_LISTENER | FLAG_SYNCHRONIZE_OR_ESRCH | FLAG_KILLABLE
)  # fmt: skip
_PROGRAM_SIZE: Final = 16  # struct sock_fprog: a count and the address of the instructions


@syscall("seccomp", status="Full", args="one:0|1|2|3 flags:seccomp <sock_fprog?")
def seccomp(operation: u32, flags: u32, argument: int) -> int:
    """seccomp(2)."""
    task = current()
    if operation == _SET_MODE_STRICT:
        if flags != 0 or argument != 0:
            raise Errno(EINVAL)
        set_strict(task)
        return 0
    if operation == _SET_MODE_FILTER:
        return _set_filter(task, flags, argument)
    if operation == _GET_ACTION_AVAIL:
        if flags != 0:
            raise Errno(EINVAL)
        if find_action(user.read_u32(UserAddr(argument))) is None:
            raise Errno(EOPNOTSUPP)
        return 0
    if operation == _GET_NOTIF_SIZES:
        if flags != 0:
            raise Errno(EINVAL)
        sizes = bytearray(6)
        span_of(sizes).store_u16(0, NOTIFICATION_SIZE)
        span_of(sizes).store_u16(2, ANSWER_SIZE)
        span_of(sizes).store_u16(4, DATA_SIZE)
        user.write_from(UserAddr(argument), span_of(sizes))
        return 0
    raise Errno(EINVAL)


def set_mode(task: Task, mode: int, argument: int) -> int:
    """prctl(PR_SET_SECCOMP)."""
    if mode == STRICT:
        set_strict(task)
        return 0
    if mode == FILTER:
        return _set_filter(task, 0, argument)
    raise Errno(EINVAL)


def _set_filter(task: Task, flags: int, argument: int) -> int:
    """Read the program at struct sock_fprog. A task that may gain privileges by execve must not bring a filter along
    that makes a privileged program's calls fail.
    """
    if flags & ~_FLAGS != 0:
        raise Errno(EINVAL)
    # The result is a listener, or the thread that cannot have the filter: not both.
    both = FLAG_SYNCHRONIZE | FLAG_LISTENER
    if flags & both == both and flags & FLAG_SYNCHRONIZE_OR_ESRCH == 0:
        raise Errno(EINVAL)
    if flags & FLAG_KILLABLE != 0 and flags & FLAG_LISTENER == 0:
        raise Errno(EINVAL)
    header = span_of(user.read_bytes(UserAddr(argument), _PROGRAM_SIZE))
    count = header.load_u16(0)
    address = UserAddr(load_i64(header, 8))
    if count == 0 or count > MOST_INSTRUCTIONS:
        raise Errno(EINVAL)
    if not task.settings.no_new_privileges and not task.credentials.capable_here(CAP_SYS_ADMIN):
        raise Errno(EACCES)
    if address == 0:
        raise Errno(EINVAL)
    return add_filter(task, user.read_bytes(address, count * INSTRUCTION_SIZE), flags)
