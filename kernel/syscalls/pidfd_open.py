"""Process descriptors: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import O_NONBLOCK
from kernel.fs.file import File
from kernel.fs.procfs.process import ProcessDirectory
from kernel.lang import EINVAL, EPERM, ESRCH, Errno, UserAddr, final, i32, u32
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.siginfo_arguments import read_signal_info
from kernel.task.groups import find_group
from kernel.task.inspection import may_attach_to
from kernel.task.pidfd import PIDFD_THREAD, PidFile, pid_file
from kernel.task.pids import find_process, find_task
from kernel.task.process import Process
from kernel.task.send import kill_group, kill_process, kill_thread
from kernel.task.siginfo import SignalInfo, from_process
from kernel.task.signals import SI_TKILL, SI_USER, is_valid
from kernel.task.task import Task, current

_THREAD: Final = 1  # PIDFD_SIGNAL_*
_THREAD_GROUP: Final = 2
_PROCESS_GROUP: Final = 4


@syscall("pidfd_open", status="Full", args="pid flags:PIDFD_NONBLOCK|PIDFD_THREAD -> fd:pidfd")
def pidfd_open(pid: i32, flags: u32) -> int:
    """pidfd_open(2)."""
    if flags & ~(O_NONBLOCK | PIDFD_THREAD) != 0 or pid <= 0:
        raise Errno(EINVAL)
    caller = current()
    chosen = caller.pids.resolve(pid)
    task = find_task(chosen)
    process = find_process(chosen)
    if flags & PIDFD_THREAD != 0 and task is not None:
        process = task.process
    if process is None:
        raise Errno(EINVAL if task is not None else ESRCH)
    is_other = flags & PIDFD_THREAD != 0 and task is not process.leader
    file = PidFile(None if is_other else process, flags)
    if flags & PIDFD_THREAD != 0:
        file.refer_to(process, task)
    return caller.files.install(file, cloexec=True)


@syscall("pidfd_send_signal", status="Full", args="fd:pidfd signal <siginfo? flags:0")
def pidfd_send_signal(descriptor: i32, signo: i32, info: UserAddr, flags: u32) -> int:
    """pidfd_send_signal(2)."""
    if flags not in (0, _THREAD, _THREAD_GROUP, _PROCESS_GROUP):
        raise Errno(EINVAL)
    task = current()
    file = file_at(descriptor)
    meant = _meaning(file)
    scope = flags
    if scope == 0:
        scope = _THREAD if meant.is_thread else _THREAD_GROUP
    if info == 0:
        sent = from_process(signo, SI_TKILL if scope == _THREAD else SI_USER, task.own_pid, task.own_uid)
    else:
        sent = _read_info(info, signo, meant.task is not task or scope == _PROCESS_GROUP)
        meant = _meaning(file)  # again: that may have slept, and another may have the number now
    process = meant.process
    if process is not None and not task.pids.contains(process.pids):
        raise Errno(EINVAL)
    target = meant.task
    if target is None:
        raise Errno(ESRCH)
    if signo < 0 or (signo != 0 and not is_valid(signo)):
        raise Errno(EINVAL)
    if scope == _THREAD:
        kill_thread(task, target, signo, sent)
    elif scope == _THREAD_GROUP:
        kill_process(task, target.process, signo, sent)
    else:
        group = find_group(target.tid)
        if group is None:
            raise Errno(ESRCH)
        kill_group(task, group, signo, sent)
    return 0


@final
class _Meaning:
    """The process or thread that a descriptor means."""

    def __init__(self, process: Process | None, task: Task | None, is_thread: bool) -> None:
        self.process: Process | None = process
        self.task: Task | None = task  # the thread, or the first of the process; None once that is gone
        self.is_thread: bool = is_thread


def _meaning(file: File) -> _Meaning:
    """From a process descriptor, or a directory of /proc for a process. Raises EBADF."""
    inode = file.inode
    if isinstance(inode, ProcessDirectory):
        return _Meaning(inode.subject.process, inode.subject.task_or_none(), is_thread=False)
    descriptor = pid_file(file)
    task: Task | None = None
    try:
        task = descriptor.living_thread()
    except Errno:
        pass  # it has ended, which is reported after all other checks
    return _Meaning(descriptor.process, task, descriptor.thread is not None)


def _read_info(address: UserAddr, signo: int, to_other: bool) -> SignalInfo:
    """siginfo_t of a program. For other processes it may not claim to be the kernel's or kill's."""
    info = read_signal_info(address, 0)
    if info.signo != signo:
        raise Errno(EINVAL)
    if to_other and (info.code >= 0 or info.code == SI_TKILL):
        raise Errno(EPERM)
    return info


@syscall("pidfd_getfd", status="Full", args="fd:pidfd fd flags:0 -> fd")
def pidfd_getfd(descriptor: i32, target: i32, flags: u32) -> int:
    """pidfd_getfd(2)."""
    if flags != 0:
        raise Errno(EINVAL)
    task = current()
    reached = pid_file(file_at(descriptor))
    first = reached.living_thread()
    if not may_attach_to(task, first.process, first):
        raise Errno(EPERM)
    table = reached.member().file_table
    if table is None:
        raise Errno(ESRCH)
    file = table.get_any(target)
    file.acquire()
    return task.files.install(file, cloexec=True)
