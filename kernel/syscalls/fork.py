"""Processes: fork and its kin, execve, exit, wait, and their numbers (fork(2), execve(2), _exit(2), wait(2),
getpid(2)).
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_NONBLOCK
from kernel.fs.path import Path
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import E2BIG, EAGAIN, ECHILD, EINVAL, ELOOP, ENOENT, ESRCH, Errno, UserAddr, i32, span_of
from kernel.lib import user
from kernel.lib.pid import NOBODY
from kernel.syscalls.getrlimit import USAGE_SIZE, store_usage
from kernel.task import exec as execution
from kernel.task import wait as waiting
from kernel.task.arguments import StringBudget, read_strings
from kernel.task.exit import end_process, end_thread, exit_task
from kernel.task.fork import (
    CLONE_DETACHED,
    CLONE_PARENT_SETTID,
    CLONE_PIDFD,
    CSIGNAL,
    CloneArguments,
    clone,
    fork_arguments,
    vfork_arguments,
)
from kernel.task.job_control import change_group, start_session
from kernel.task.pidfd import pid_file
from kernel.task.pids import find_process
from kernel.task.signals import SIGCHLD, SIGNAL_COUNT
from kernel.task.task import Task, current
from kernel.task.wait import BY_GROUP, BY_PID, WaitResult, wait_for_child
from kernel.task.words import load_i32, load_i64, store_i32

_PATH_MAX: Final = 4096
_CLONE_ARGS_SMALLEST: Final = 64
_CLONE_ARGS_KNOWN: Final = 88
_NAMESPACE_LEVELS: Final = 32
_CLONE3_FORBIDDEN: Final = 0x40_0000 | CSIGNAL  # CLONE_DETACHED

P_ALL: Final = 0
P_PID: Final = 1
P_PGID: Final = 2
P_PIDFD: Final = 3


@syscall("fork", status="Full", args="-> pid")
def fork() -> int:
    """fork(2)."""
    return clone(current(), fork_arguments())


@syscall("vfork", status="Full", args="-> pid")
def vfork() -> int:
    """vfork(2): the caller sleeps until the child execs or exits."""
    return clone(current(), vfork_arguments())


@syscall(
    "clone", args="flags:clone address >pid? =pid? address -> pid",
    notes="Of namespaces, mounts, UTS, IPC and pids",
)  # fmt: skip
def clone_call(flags: int, stack: int, parent_tid: int, child_tid: int, tls: int) -> int:
    """clone(2)."""
    arguments = CloneArguments(flags & 0xFFFF_FFFF & ~CSIGNAL, flags & CSIGNAL)
    if arguments.exit_signal > SIGNAL_COUNT:
        raise Errno(EINVAL)
    arguments.stack = stack
    arguments.parent_tid = parent_tid
    if flags & CLONE_PIDFD != 0:
        if flags & (CLONE_PARENT_SETTID | CLONE_DETACHED) != 0:
            raise Errno(EINVAL)  # both would be written to one place
        arguments.pidfd = parent_tid
    arguments.child_tid = child_tid
    arguments.tls = tls
    return clone(current(), arguments)


@syscall(
    "clone3", args="<clone_args[size] one:64|80|88 -> pid",
    notes="Of namespaces, mounts, UTS, IPC and pids; no cgroups",
)  # fmt: skip
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
        user.check(stack, stack_size)
        end = stack + stack_size
    if flags & 0x1_8000 != 0 and exit_signal != 0:
        raise Errno(EINVAL)  # CLONE_THREAD and CLONE_PARENT have the exit signal of another
    arguments = CloneArguments(flags, exit_signal)
    arguments.child_tid = load_i64(fields, 16)
    arguments.parent_tid = load_i64(fields, 24)
    arguments.pidfd = load_i64(fields, 8)
    arguments.stack = end
    arguments.tls = load_i64(fields, 56)
    arguments.numbers = numbers
    return clone(current(), arguments)


def _chosen_numbers(address: UserAddr, count: int) -> list[int] | None:
    """set_tid: what number the child shall have in each namespace, the innermost first. Raises EINVAL, EFAULT."""
    if not 0 <= count <= _NAMESPACE_LEVELS or (address == 0) != (count == 0):
        raise Errno(EINVAL)
    if count == 0:
        return None
    storage = bytearray(count * 4)
    user.read_into(span_of(storage), address)
    return [load_i32(span_of(storage), index * 4) for index in range(count)]


# Running programs -----------------------------------------------------------------------------------------------------


@syscall("execve", status="Full", args="path <strings? <strings?")
def execve(name: UserAddr, arguments: UserAddr, environment: UserAddr) -> int:
    """execve(2)."""
    task = current()
    path = user.read_string(name, _PATH_MAX)
    if len(path) == 0:
        raise Errno(ENOENT)
    return _execute(task, resolve(task.fs, None, path, FOLLOW), path, arguments, environment)


@syscall("execveat", status="Full", args="dir path <strings? <strings? flags:at")
def execveat(directory: i32, name: UserAddr, arguments: UserAddr, environment: UserAddr, flags: i32) -> int:
    """execveat(2)."""
    task = current()
    if flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0:
        raise Errno(EINVAL)
    path = user.read_string(name, _PATH_MAX)
    if len(path) == 0:
        if flags & AT_EMPTY_PATH == 0:
            raise Errno(ENOENT)
        file = task.files.get_any(directory)
        closes = task.files.closes_on_exec(directory)
        return _execute(task, file.path, b"/dev/fd/" + _decimal(directory), arguments, environment, True, closes)
    base: Path | None = None
    closes = False
    if path[0] != 0x2F and directory != AT_FDCWD:
        base = task.files.get_any(directory).path
        closes = task.files.closes_on_exec(directory)
    found = resolve(task.fs, base, path, 0 if flags & AT_SYMLINK_NOFOLLOW != 0 else FOLLOW)
    if found.inode().is_symlink():
        raise Errno(ELOOP)
    shown = path if base is None else b"/dev/fd/" + _decimal(directory) + b"/" + path
    return _execute(task, found, shown, arguments, environment, False, closes)


def _decimal(number: int) -> bytes:
    return f"{number}".encode()


def _execute(
    task: Task,
    path: Path,
    name: bytes,
    arguments: UserAddr,
    environment: UserAddr,
    by_descriptor: bool = False,
    is_unreachable: bool = False,
) -> int:
    """The path stays pinned while the arguments are read, which may sleep."""
    path.pin()
    try:
        budget = StringBudget(task, name)
        words = read_strings(arguments, budget)
        variables = read_strings(environment, budget)
        execution.execute(task, path, name, words, variables, by_descriptor, is_unreachable)
    finally:
        path.unpin()
    return 0


# Ending ---------------------------------------------------------------------------------------------------------------


@syscall("exit", status="Full", args="int")
def exit_call(code: i32) -> int:
    """_exit(2), of one thread."""
    end_thread(current(), (code & 0xFF) << 8)
    return 0


@syscall("exit_group", status="Full", args="int")
def exit_group(code: i32) -> int:
    """exit_group(2): all threads end."""
    task = current()
    end_process(task.process, (code & 0xFF) << 8)
    exit_task(task)
    return 0


# Waiting --------------------------------------------------------------------------------------------------------------


@syscall("wait4", status="Full", args="pid >int? flags:wait >rusage? -> pid")
def wait4(pid: i32, status: UserAddr, options: i32, usage: UserAddr) -> int:
    """wait4(2)."""
    task = current()
    waiting.check_wait_options(options, waiting.WNOHANG | waiting.WUNTRACED | waiting.WCONTINUED)
    if pid == -(1 << 31):
        raise Errno(ESRCH)
    kind = waiting.ANY
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
    result = wait_for_child(task, kind, number, options | waiting.WEXITED)
    if result.pid == 0:
        return 0
    if status != 0:
        user.write_i32(status, result.status)
    if usage != 0:
        _write_usage(usage, result)
    return result.pid


@syscall("waitid", status="Full", args="one:P_ALL|P_PID|P_PGID|P_PIDFD pid >siginfo? flags:wait >rusage?")
def waitid(kind: i32, number: i32, info: UserAddr, options: i32, usage: UserAddr) -> int:
    """waitid(2). Linux writes to `info` when the call fails, too: nothing, but EFAULT wins."""
    result = WaitResult()
    code = 0
    try:
        result = _wait_for(kind, number, options)
    except Errno as error:
        code = error.code
    if result.pid != 0 and usage != 0:
        _write_usage(usage, result)
    if info != 0:
        _write_wait_info(info, result)
    if code != 0:
        raise Errno(code)
    return 0


def _wait_for(kind: int, number: int, options: int) -> WaitResult:
    """The child that waitid(2) asks for."""
    task = current()
    known = waiting.WNOHANG | waiting.WUNTRACED | waiting.WEXITED | waiting.WCONTINUED | waiting.WNOWAIT
    waiting.check_wait_options(options, known)
    if options & (waiting.WEXITED | waiting.WUNTRACED | waiting.WCONTINUED) == 0:
        raise Errno(EINVAL)
    if kind == P_ALL:
        return wait_for_child(task, waiting.ANY, NOBODY, options)
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
    """P_PIDFD. A descriptor that does not block fails with EAGAIN where others wait."""
    if descriptor < 0:
        raise Errno(EINVAL)
    file = pid_file(task.files.get(descriptor))
    process = file.process
    if process is None or process.is_reaped:
        raise Errno(ECHILD)
    if file.flags & O_NONBLOCK == 0 or options & waiting.WNOHANG != 0:
        return wait_for_child(task, BY_PID, process.pid, options)
    result = wait_for_child(task, BY_PID, process.pid, options | waiting.WNOHANG)
    if result.pid == 0:
        raise Errno(EAGAIN)
    return result


def _write_usage(address: UserAddr, result: WaitResult) -> None:
    storage = bytearray(USAGE_SIZE)
    store_usage(span_of(storage), result.usage)
    user.write_from(address, span_of(storage))


def _write_wait_info(address: UserAddr, result: WaitResult) -> None:
    """The fields that waitid fills, and no others: signo, errno, code, pid, uid, status."""
    storage = bytearray(28)
    out = span_of(storage)
    if result.pid != 0:
        store_i32(out, 0, SIGCHLD)
        store_i32(out, 8, result.code)
        store_i32(out, 16, result.pid)
        store_i32(out, 20, result.uid)
        store_i32(out, 24, result.value)
    user.write_from(address, out[0:12])
    user.write_from(user.at(address, 16), out[16:28])


# Numbers, groups, sessions --------------------------------------------------------------------------------------------


@syscall("getpid", status="Full", args="-> pid")
def getpid() -> int:
    """getpid(2)."""
    return current().process.number


@syscall("getppid", status="Full", args="-> pid")
def getppid() -> int:
    """getppid(2)."""
    return current().process.parent_number


@syscall("gettid", status="Full", args="-> tid")
def gettid() -> int:
    """gettid(2)."""
    return current().own_tid


@syscall("set_tid_address", status="Full", args=">tid")
def set_tid_address(address: int) -> int:
    """set_tid_address(2)."""
    task = current()
    task.clear_tid_address = address
    return task.own_tid


@syscall("getpgrp", status="Full", args="-> pid")
def getpgrp() -> int:
    """getpgrp(2)."""
    process = current().process
    return process.pids.shown(process.group)


@syscall("getpgid", status="Full", args="pid -> pid")
def getpgid(pid: i32) -> int:
    """getpgid(2)."""
    task = current()
    process = task.process if pid == 0 else find_process(task.pids.resolve(pid))
    if process is None:
        raise Errno(ESRCH)
    return task.pids.shown(process.group)


@syscall("getsid", status="Full", args="pid -> pid")
def getsid(pid: i32) -> int:
    """getsid(2)."""
    task = current()
    process = task.process if pid == 0 else find_process(task.pids.resolve(pid))
    if process is None:
        raise Errno(ESRCH)
    return task.pids.shown(process.session_id)


@syscall("setpgid", status="Full", args="pid pid")
def setpgid(pid: i32, group: i32) -> int:
    """setpgid(2)."""
    change_group(current(), pid, group)
    return 0


@syscall("setsid", status="Full", args="-> pid")
def setsid() -> int:
    """setsid(2)."""
    return start_session(current())
