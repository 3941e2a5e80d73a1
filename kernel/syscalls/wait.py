"""wait(2): wait4(2), waitid(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import O_NONBLOCK
from kernel.lang import EAGAIN, ECHILD, EINVAL, ESRCH, Errno, Span, UserAddr, i32, span_of, u8
from kernel.lib import user
from kernel.lib.pid import NOBODY
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.getrusage import USAGE_SIZE, store_usage
from kernel.task import children
from kernel.task.children import BY_GROUP, BY_PID, WaitResult, wait_for_child
from kernel.task.pidfd import pid_file
from kernel.task.pids import find_task
from kernel.task.signals import SIGCHLD
from kernel.task.task import Task, current
from kernel.task.words import store_i32

P_ALL: Final = 0
P_PID: Final = 1
P_PGID: Final = 2
P_PIDFD: Final = 3

_INFO_SIZE: Final = 28  # bytes of siginfo_t that waitid fills, with the gap


@syscall("wait4", status="Full", args="pid >int? flags:wait >rusage? -> pid")
def wait4(pid: i32, status: UserAddr, options: i32, usage: UserAddr) -> int:
    """wait4(2)."""
    task = current()
    children.check_wait_options(options, children.WNOHANG | children.WUNTRACED | children.WCONTINUED)
    if pid == -(1 << 31):
        raise Errno(ESRCH)
    kind = children.ANY
    number = NOBODY
    if pid < -1:
        kind = BY_GROUP
        number = task.pids.resolve(-pid)
    elif pid == 0:
        kind = BY_GROUP
        number = task.process.group
    elif pid > 0:
        kind = BY_PID
        number = task.pids.resolve(pid)
    report = bytearray(USAGE_SIZE)  # now: once the child is reaped, nothing may fail for want of memory
    result = wait_for_child(task, kind, number, options | children.WEXITED)
    if result.pid == 0:
        return 0
    if status != 0:
        user.write_i32(status, result.status)
    if usage != 0:
        _write_usage(usage, result, span_of(report))
    return result.pid


@syscall("waitid", status="Full", args="one:P_ALL|P_PID|P_PGID|P_PIDFD pid >siginfo? flags:wait >rusage?")
def waitid(kind: i32, number: i32, info: UserAddr, options: i32, usage: UserAddr) -> int:
    """waitid(2). Linux writes to `info` even when the call fails: nothing, but EFAULT takes precedence."""
    report = bytearray(USAGE_SIZE + _INFO_SIZE)  # as above
    usage_report = span_of(report)[0:USAGE_SIZE]
    info_report = span_of(report)[USAGE_SIZE : USAGE_SIZE + _INFO_SIZE]
    result = WaitResult()
    code = 0
    try:
        result = _wait_for(kind, number, options)
    except Errno as error:
        code = error.code
    if result.pid != 0 and usage != 0:
        _write_usage(usage, result, usage_report)
    if info != 0:
        _write_wait_info(info, result, info_report)
    if code != 0:
        raise Errno(code)
    return 0


def _wait_for(kind: int, number: int, options: int) -> WaitResult:
    """The child that waitid(2) asks for."""
    task = current()
    known = children.WNOHANG | children.WUNTRACED | children.WEXITED | children.WCONTINUED | children.WNOWAIT
    children.check_wait_options(options, known)
    if options & (children.WEXITED | children.WUNTRACED | children.WCONTINUED) == 0:
        raise Errno(EINVAL)
    if kind == P_ALL:
        return wait_for_child(task, children.ANY, NOBODY, options)
    if kind == P_PID:
        if number <= 0:
            raise Errno(EINVAL)
        return wait_for_child(task, BY_PID, task.pids.resolve(number), options)
    if kind == P_PGID:
        if number < 0:
            raise Errno(EINVAL)
        group = task.process.group if number == 0 else task.pids.resolve(number)
        return wait_for_child(task, BY_GROUP, group, options)
    if kind == P_PIDFD:
        return _wait_by_descriptor(task, number, options)
    raise Errno(EINVAL)


def _wait_by_descriptor(task: Task, descriptor: int, options: int) -> WaitResult:
    """P_PIDFD. A non-blocking descriptor fails with EAGAIN where others wait. One of a thread other than the first is
    for its tracer alone.
    """
    if descriptor < 0:
        raise Errno(EINVAL)
    file = pid_file(file_at(descriptor))
    process = file.process
    thread = file.thread
    if process is None or process.ending.is_reaped or (thread is not None and find_task(thread.tid) is not thread):
        raise Errno(ECHILD)
    number = process.pid if thread is None else thread.tid
    if file.flags & O_NONBLOCK == 0 or options & children.WNOHANG != 0:
        return wait_for_child(task, BY_PID, number, options)
    result = wait_for_child(task, BY_PID, number, options | children.WNOHANG)
    if result.pid == 0:
        raise Errno(EAGAIN)
    return result


def _write_usage(address: UserAddr, result: WaitResult, storage: Span[u8]) -> None:
    store_usage(storage, result.usage)
    user.write_from(address, storage)


def _write_wait_info(address: UserAddr, result: WaitResult, storage: Span[u8]) -> None:
    """The fields that waitid fills, and no others: signo, errno, code, pid, uid, status. `storage` holds zeros."""
    if result.pid != 0:
        store_i32(storage, 0, SIGCHLD)
        store_i32(storage, 8, result.code)
        store_i32(storage, 16, result.pid)
        store_i32(storage, 20, result.uid)
        store_i32(storage, 24, result.value)
    user.write_from(address, storage[0:12])
    user.write_from(user.at(address, 16), storage[16:28])
