"""New processes and threads: fork(2), vfork(2), clone(2)."""

from typing import Final

from kernel.cgroup.group import ControlGroup
from kernel.cgroup.tree import check_target
from kernel.doors.table import syscall
from kernel.fs.cgroup.core_files import check_way, check_writer
from kernel.fs.cgroup.directory import GroupDirectory
from kernel.fs.cgroup.table import Writer
from kernel.lang import E2BIG, EBADF, EINVAL, ENOENT, EOPNOTSUPP, Errno, UserAddr, span_of
from kernel.lib import user
from kernel.lib.namespace import CLONE_NEWTIME
from kernel.syscalls.descriptor_arguments import any_file_at
from kernel.task.fork import (
    CLONE_DETACHED,
    CLONE_INTO_CGROUP,
    CLONE_PARENT_SETTID,
    CLONE_PIDFD,
    CLONE_THREAD,
    CSIGNAL,
    CloneArguments,
    clone,
    fork_arguments,
    vfork_arguments,
)
from kernel.task.signals import SIGNAL_COUNT
from kernel.task.task import current
from kernel.task.words import load_i32, load_i64

_CLONE_ARGS_SMALLEST: Final = 64
_CLONE_ARGS_KNOWN: Final = 88
_NAMESPACE_LEVELS: Final = 32
_CLONE3_FORBIDDEN: Final = CLONE_DETACHED | CSIGNAL & ~CLONE_NEWTIME  # these bits are no signal here


@syscall("fork", status="Full", args="-> pid")
def fork() -> int:
    """fork(2)."""
    return clone(current(), fork_arguments())


@syscall("vfork", status="Full", args="-> pid")
def vfork() -> int:
    """vfork(2): the caller sleeps until the child execs or exits."""
    return clone(current(), vfork_arguments())


@syscall("clone", status="Full", args="flags:clone address >pid? =pid? address -> pid")
def clone_call(flags: int, stack: int, parent_tid: int, child_tid: int, tls: int) -> int:
    """clone(2)."""
    arguments = CloneArguments(flags & 0xFFFF_FFFF & ~CSIGNAL, flags & CSIGNAL)  # a number past the signals sends none
    arguments.stack = stack
    arguments.parent_tid = parent_tid
    if flags & CLONE_PIDFD != 0:
        if flags & (CLONE_PARENT_SETTID | CLONE_DETACHED) != 0:
            raise Errno(EINVAL)  # both would be written to one place
        arguments.pidfd = parent_tid
    arguments.child_tid = child_tid
    arguments.tls = tls
    return clone(current(), arguments)


@syscall("clone3", status="Full", args="<clone_args[size] one:64|80|88 -> pid")
def clone3(address: UserAddr, size: int) -> int:
    """clone3, in clone(2)."""
    if size < 0 or size > 4096:
        raise Errno(E2BIG)
    if size < _CLONE_ARGS_SMALLEST:
        raise Errno(EINVAL)
    storage = bytearray(max(size, _CLONE_ARGS_KNOWN))
    fields = span_of(storage)
    user.read_into(fields[0:size], address)
    for i in range(_CLONE_ARGS_KNOWN, size):
        if storage[i] != 0:
            raise Errno(E2BIG)
    flags = load_i64(fields, 0)
    exit_signal = load_i64(fields, 32)
    stack = load_i64(fields, 40)
    stack_size = load_i64(fields, 48)
    if flags < 0 or flags & _CLONE3_FORBIDDEN != 0 or not 0 <= exit_signal <= SIGNAL_COUNT:
        raise Errno(EINVAL)
    numbers = _chosen_numbers(UserAddr(load_i64(fields, 64)), load_i64(fields, 72))
    if (stack == 0) != (stack_size == 0):
        raise Errno(EINVAL)
    end = 0
    if stack != 0:
        try:
            user.check(stack, stack_size)
        except Errno:
            raise Errno(EINVAL) from None
        end = stack + stack_size  # fits: it was checked
    if flags & 0x1_8000 != 0 and exit_signal != 0:
        raise Errno(EINVAL)  # CLONE_THREAD and CLONE_PARENT have the exit signal of another
    arguments = CloneArguments(flags, exit_signal)
    if flags & CLONE_INTO_CGROUP != 0:
        arguments.group = _chosen_group(load_i64(fields, 80), size, flags)
    arguments.child_tid = load_i64(fields, 16)
    arguments.parent_tid = load_i64(fields, 24)
    arguments.pidfd = load_i64(fields, 8)
    arguments.stack = end
    arguments.tls = load_i64(fields, 56)
    arguments.numbers = numbers
    return clone(current(), arguments)


def _chosen_group(descriptor: int, size: int, flags: int) -> ControlGroup:
    """The group in which a child is to be created. Raises EINVAL, EBADF, ENOENT, EACCES, EBUSY, EOPNOTSUPP."""
    if size < _CLONE_ARGS_KNOWN or not 0 <= descriptor < 1 << 31:
        raise Errno(EINVAL)
    inode = any_file_at(descriptor).inode
    if not isinstance(inode, GroupDirectory):
        raise Errno(EBADF)
    group = inode.group
    task = current()
    writer = Writer(task.credentials, task.namespaces.groups)
    if group.is_removed:
        raise Errno(ENOENT)
    check_writer(group, writer)
    check_way(task.cgroup, group, writer)
    check_target(group)
    if flags & CLONE_THREAD != 0 and group.domain() is not task.cgroup.domain():
        raise Errno(EOPNOTSUPP)
    return group


def _chosen_numbers(address: UserAddr, count: int) -> list[int] | None:
    """set_tid: the child's number in each namespace, the innermost first. Raises EINVAL, EFAULT."""
    if not 0 <= count <= _NAMESPACE_LEVELS or (address == 0) != (count == 0):
        raise Errno(EINVAL)
    if count == 0:
        return None
    storage = bytearray(count * 4)
    user.read_into(span_of(storage), address)
    return [load_i32(span_of(storage), index * 4) for index in range(count)]
