"""Sending signals: kill(2), tkill(2), tgkill(2), rt_sigqueueinfo(2)."""

from kernel.doors.table import syscall
from kernel.lang import EINVAL, EPERM, ESRCH, Errno, UserAddr, i32
from kernel.syscalls.siginfo_arguments import read_signal_info
from kernel.task.groups import find_group
from kernel.task.pids import find_process, find_task
from kernel.task.process import Process
from kernel.task.send import kill_all, kill_group, kill_process, kill_thread
from kernel.task.siginfo import SignalInfo, from_process
from kernel.task.signals import SI_TKILL, SI_USER, is_valid
from kernel.task.task import Task, current


def _process_called(task: Task, number: int) -> Process:
    """The process that a task means by the number of a process or thread. Raises ESRCH."""
    chosen = task.pids.resolve(number)
    process = find_process(chosen)
    if process is not None:
        return process
    thread = find_task(chosen)
    if thread is None:
        raise Errno(ESRCH)
    return thread.process


def _check_number(signo: int) -> None:
    if signo < 0 or (signo != 0 and not is_valid(signo)):
        raise Errno(EINVAL)


@syscall("kill", status="Full", args="pid signal")
def kill(pid: i32, signo: i32) -> int:
    """kill(2)."""
    task = current()
    info = from_process(signo, SI_USER, task.own_pid, task.own_uid)
    if pid > 0:
        process = task.process if pid == task.own_pid else _process_called(task, pid)
        _check_number(signo)
        kill_process(task, process, signo, info)
    elif pid == -1:
        _check_number(signo)
        kill_all(task, signo, info)
    elif pid == -(1 << 31):
        raise Errno(ESRCH)
    else:
        group = find_group(task.process.group if pid == 0 else task.pids.resolve(-pid))
        if group is None:
            raise Errno(ESRCH)
        _check_number(signo)
        kill_group(task, group, signo, info)
    return 0


@syscall("tkill", status="Full", args="tid signal")
def tkill(tid: i32, signo: i32) -> int:
    """tkill(2)."""
    if tid <= 0:
        raise Errno(EINVAL)
    _kill_thread(0, tid, signo)
    return 0


@syscall("tgkill", status="Full", args="pid tid signal")
def tgkill(pid: i32, tid: i32, signo: i32) -> int:
    """tgkill(2)."""
    if pid <= 0 or tid <= 0:
        raise Errno(EINVAL)
    _kill_thread(pid, tid, signo)
    return 0


def _kill_thread(pid: int, tid: int, signo: int) -> None:
    task = current()
    _send_to_thread(pid, tid, signo, from_process(signo, SI_TKILL, task.own_pid, task.own_uid))


def _send_to_thread(pid: int, tid: int, signo: int, info: SignalInfo) -> None:
    task = current()
    target = find_task(task.pids.resolve(tid))
    if target is None or (pid != 0 and target.pid != task.pids.resolve(pid)):
        raise Errno(ESRCH)
    _check_number(signo)
    kill_thread(task, target, signo, info)


def _check_claim(info: SignalInfo, to_other: bool) -> None:
    """Raise EPERM if it claims to another process to come from the kernel or from kill."""
    if to_other and (info.code >= 0 or info.code == SI_TKILL):
        raise Errno(EPERM)


@syscall("rt_sigqueueinfo", status="Full", args="pid signal <siginfo")
def rt_sigqueueinfo(pid: i32, signo: i32, info: UserAddr) -> int:
    """rt_sigqueueinfo(2)."""
    task = current()
    sent = read_signal_info(info, signo)
    _check_claim(sent, pid != task.own_tid)
    if pid <= 0:
        raise Errno(ESRCH)
    process = _process_called(task, pid)
    _check_number(signo)
    kill_process(task, process, signo, sent)
    return 0


@syscall("rt_tgsigqueueinfo", status="Full", args="pid tid signal <siginfo")
def rt_tgsigqueueinfo(pid: i32, tid: i32, signo: i32, info: UserAddr) -> int:
    """rt_tgsigqueueinfo(2)."""
    sent = read_signal_info(info, signo)
    if pid <= 0 or tid <= 0:
        raise Errno(EINVAL)
    _check_claim(sent, tid != current().own_tid)
    _send_to_thread(pid, tid, signo, sent)
    return 0
