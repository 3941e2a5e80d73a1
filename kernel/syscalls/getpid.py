"""Numbers of processes and threads, their groups and sessions: getpid(2), gettid(2), set_tid_address(2), getpgid(2),
setpgid(2), setsid(2).
"""

from kernel.doors.table import syscall
from kernel.lang import i32, unlocked
from kernel.syscalls.pid_arguments import process_at
from kernel.task.job_control import change_group, start_session
from kernel.task.task import current


@syscall("getpid", status="Full", args="-> pid")
@unlocked
def getpid() -> int:
    """getpid(2)."""
    return current().process.number


@syscall("getppid", status="Full", args="-> pid")
@unlocked
def getppid() -> int:
    """getppid(2)."""
    return current().process.parent_number


@syscall("gettid", status="Full", args="-> tid")
@unlocked
def gettid() -> int:
    """gettid(2)."""
    return current().own_tid


@syscall("set_tid_address", status="Full", args=">tid")
@unlocked
def set_tid_address(address: int) -> int:
    """set_tid_address(2)."""
    current().library.clear_tid_address = address
    return current().own_tid


@syscall("getpgrp", status="Full", args="-> pid")
def getpgrp() -> int:
    """getpgrp(2)."""
    process = current().process
    return process.pids.shown(process.group)


@syscall("getpgid", status="Full", args="pid -> pid")
def getpgid(pid: i32) -> int:
    """getpgid(2)."""
    return current().pids.shown(process_at(pid).group)


@syscall("getsid", status="Full", args="pid -> pid")
def getsid(pid: i32) -> int:
    """getsid(2)."""
    return current().pids.shown(process_at(pid).session_id)


@syscall("setpgid", status="Full", args="pid pid")
def setpgid(pid: i32, group: i32) -> int:
    """setpgid(2)."""
    change_group(current(), pid, group)
    return 0


@syscall("setsid", status="Full", args="-> pid")
def setsid() -> int:
    """setsid(2)."""
    return start_session(current())
