"""Process descriptors: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2)."""

from typing import Final

from kernel.fs.constants import O_NONBLOCK
from kernel.lang import EINVAL, EPERM, ESRCH, Errno, i32, span_of, u32
from kernel.lib import user
from kernel.syscalls.table import syscall
from kernel.task.groups import find_group
from kernel.task.inspection import may_look_into
from kernel.task.pidfd import PidFile, pid_file
from kernel.task.pids import find_process, find_task
from kernel.task.send import kill_group, kill_process
from kernel.task.siginfo import SIGINFO_SIZE, SignalInfo, from_process, from_user
from kernel.task.signals import SI_TKILL, SI_USER, is_valid
from kernel.task.task import current
from kernel.task.words import load_i32

_THREAD_GROUP: Final = 2
_PROCESS_GROUP: Final = 4


@syscall(434, "pidfd_open", notes="No PIDFD_THREAD", args="dx")
def pidfd_open(pid: i32, flags: u32) -> int:
    """pidfd_open(2)."""
    if flags & ~O_NONBLOCK != 0 or pid <= 0:
        raise Errno(EINVAL)
    process = find_process(pid)
    if process is None:
        raise Errno(EINVAL if find_task(pid) is not None else ESRCH)
    return current().files.install(PidFile(process, flags & O_NONBLOCK), True)


@syscall(424, "pidfd_send_signal", notes="No PIDFD_SIGNAL_THREAD", args="ddpx")
def pidfd_send_signal(descriptor: i32, signo: i32, info: int, flags: u32) -> int:
    """pidfd_send_signal(2)."""
    if flags != 0 and flags != _THREAD_GROUP and flags != _PROCESS_GROUP:
        raise Errno(EINVAL)
    task = current()
    file = pid_file(task.files.get(descriptor))
    if info == 0:
        sent = from_process(signo, SI_USER, task.pid, task.credentials.uid)
    else:
        sent = _read_info(info, signo, file.process is not task.process or flags == _PROCESS_GROUP)
    process = file.living()
    if signo < 0 or (signo != 0 and not is_valid(signo)):
        raise Errno(EINVAL)
    if flags != _PROCESS_GROUP:
        kill_process(task, process, signo, sent)
        return 0
    group = find_group(process.pid)
    if group is None:
        raise Errno(ESRCH)
    kill_group(task, group, signo, sent)
    return 0


def _read_info(address: int, signo: int, to_other: bool) -> SignalInfo:
    """siginfo_t of a program. To others it may not pretend to be the kernel's or kill's."""
    storage = bytearray(SIGINFO_SIZE)
    fields = span_of(storage)
    user.read_into(fields, address)
    if load_i32(fields, 0) != signo:
        raise Errno(EINVAL)
    info = from_user(fields, signo)
    if to_other and (info.code >= 0 or info.code == SI_TKILL):
        raise Errno(EPERM)
    return info


@syscall(438, "pidfd_getfd", status="Full", args="ddx")
def pidfd_getfd(descriptor: i32, target: i32, flags: u32) -> int:
    """pidfd_getfd(2)."""
    if flags != 0:
        raise Errno(EINVAL)
    task = current()
    process = pid_file(task.files.get(descriptor)).living()
    other = process.any_thread()
    if other is None:
        raise Errno(ESRCH)
    if not may_look_into(task, process, other):
        raise Errno(EPERM)
    table = other.file_table
    if table is None:
        raise Errno(ESRCH)
    file = table.get_any(target)
    file.acquire()
    return task.files.install(file, True)
