"""Scheduling policies: sched_yield(2), sched_setscheduler(2), sched_setparam(2), sched_get_priority_max(2),
sched_rr_get_interval(2).
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EINVAL, EPERM, Errno, UserAddr, i32
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_NICE
from kernel.sched import yield_now
from kernel.sched.balance import TICK_NS
from kernel.sched.runqueue import slice_of
from kernel.sched.scheduler import change_priority, give_budget_away
from kernel.sched.thread import (
    SCHED_BATCH,
    SCHED_DEADLINE,
    SCHED_FIFO,
    SCHED_IDLE,
    SCHED_OTHER,
    SCHED_RR,
)
from kernel.syscalls.pid_arguments import task_at
from kernel.syscalls.timespec import write_timespec
from kernel.task.acting import real_credentials
from kernel.task.limits import RLIMIT_NICE, RLIMIT_RTPRIO
from kernel.task.task import Task, current

_RESET_ON_FORK: Final = 0x4000_0000
_SCHED_EXT: Final = 7
_REALTIME_HIGHEST: Final = 99


@syscall("sched_yield", status="Full", args="")
def sched_yield() -> int:
    """sched_yield(2)."""
    if current().wishes.policy == SCHED_DEADLINE:
        give_budget_away()
    else:
        yield_now()
    return 0


def scheduled_task(pid: int) -> Task:
    """The thread of a number, the caller for 0; one that has ended too, until its parent has waited for it. Raises
    ESRCH.
    """
    return current() if pid == 0 else task_at(pid)


def _named_task(pid: int) -> Task:
    """The same for the calls that refuse negative numbers as such. Raises EINVAL, ESRCH."""
    if pid < 0:
        raise Errno(EINVAL)
    return scheduled_task(pid)


def is_same_owner(task: Task, target: Task) -> bool:
    """Whether the caller's effective user is the target's, or its real one."""
    euid = task.credentials.euid
    theirs = real_credentials(target)
    return euid == theirs.euid or euid == theirs.uid


def owns(task: Task, target: Task) -> bool:
    """Whether the caller may set the target's processors, or its nice value."""
    theirs = real_credentials(target).user_namespace
    return is_same_owner(task, target) or task.credentials.capable_in(theirs, CAP_SYS_NICE)


def is_as_able(task: Task, target: Task) -> bool:
    """Whether the target has no right that the caller lacks: a less privileged caller may not change its scheduling."""
    theirs = real_credentials(target)
    more = theirs.permitted & ~task.credentials.permitted
    return more == 0 or task.credentials.capable_in(theirs.user_namespace, CAP_SYS_NICE)


@syscall("sched_setscheduler", status="Full", args="pid flags:policy <sched_param")
def sched_setscheduler(pid: i32, policy: i32, parameters: UserAddr) -> int:
    """sched_setscheduler(2)."""
    if policy < 0 or pid < 0 or parameters == 0:
        raise Errno(EINVAL)
    priority = user.read_i32(parameters)
    target = scheduled_task(pid)
    _change(target, policy & ~_RESET_ON_FORK, priority, target.wishes.nice, policy & _RESET_ON_FORK != 0)
    return 0


@syscall("sched_setparam", status="Full", args="pid <sched_param")
def sched_setparam(pid: i32, parameters: UserAddr) -> int:
    """sched_setparam(2)."""
    if pid < 0 or parameters == 0:
        raise Errno(EINVAL)
    priority = user.read_i32(parameters)
    target = scheduled_task(pid)
    _change(target, target.wishes.policy, priority, target.wishes.nice, target.wishes.reset_on_fork)
    return 0


def _change(target: Task, policy: int, priority: int, nice: int, reset_on_fork: bool) -> None:
    """Check and change. Raises EINVAL, EPERM."""
    if policy == SCHED_DEADLINE:
        raise Errno(EINVAL)  # it takes more than a priority
    check_change(target, policy, priority, nice, reset_on_fork)
    apply_policy(target, policy, priority, nice, reset_on_fork)


def apply_policy(target: Task, policy: int, priority: int, nice: int, reset_on_fork: bool) -> None:
    """Change how a thread is scheduled. A real-time one has a priority, and keeps its nice value for later."""
    target.wishes.reset_on_fork = reset_on_fork
    change_priority(target, policy, priority, nice)


def check_change(target: Task, policy: int, priority: int, nice: int, reset_on_fork: bool) -> None:
    """Raise EINVAL, EPERM."""
    realtime = policy == SCHED_FIFO or policy == SCHED_RR
    if not realtime and policy not in (SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_DEADLINE):
        raise Errno(EINVAL)
    if realtime != (1 <= priority <= _REALTIME_HIGHEST) or (not realtime and priority != 0):
        raise Errno(EINVAL)
    task = current()
    if not task.credentials.capable(CAP_SYS_NICE):
        limit = target.process.limits.soft[RLIMIT_RTPRIO]
        if realtime and (
            (policy != target.wishes.policy and limit == 0)
            or (priority > target.wishes.realtime_priority and priority > limit)
        ):
            raise Errno(EPERM)
        if policy == SCHED_DEADLINE or (nice < target.wishes.nice and not may_have_nice(target, nice)):
            raise Errno(EPERM)
        leaves_idle = target.wishes.policy == SCHED_IDLE and policy != SCHED_IDLE
        if leaves_idle and not may_have_nice(target, target.wishes.nice):
            raise Errno(EPERM)
        if not is_same_owner(task, target) or (target.wishes.reset_on_fork and not reset_on_fork):
            raise Errno(EPERM)
        if not is_as_able(task, target):
            raise Errno(EPERM)


@syscall("sched_getscheduler", status="Full", args="pid")
def sched_getscheduler(pid: i32) -> int:
    """sched_getscheduler(2)."""
    target = _named_task(pid)
    return target.wishes.policy | (_RESET_ON_FORK if target.wishes.reset_on_fork else 0)


@syscall("sched_getparam", status="Full", args="pid >sched_param")
def sched_getparam(pid: i32, parameters: UserAddr) -> int:
    """sched_getparam(2)."""
    if parameters == 0:
        raise Errno(EINVAL)
    user.write_i32(parameters, _named_task(pid).wishes.realtime_priority)
    return 0


def _check_policy(policy: int) -> None:
    if policy not in (SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_DEADLINE, _SCHED_EXT):
        raise Errno(EINVAL)


@syscall("sched_get_priority_max", status="Full", args="one:policy")
def sched_get_priority_max(policy: i32) -> int:
    """sched_get_priority_max(2)."""
    if policy == SCHED_FIFO or policy == SCHED_RR:
        return _REALTIME_HIGHEST
    _check_policy(policy)
    return 0


@syscall("sched_get_priority_min", status="Full", args="one:policy")
def sched_get_priority_min(policy: i32) -> int:
    """sched_get_priority_min(2)."""
    if policy == SCHED_FIFO or policy == SCHED_RR:
        return 1
    _check_policy(policy)
    return 0


@syscall("sched_rr_get_interval", status="Full", args="pid >timespec")
def sched_rr_get_interval(pid: i32, interval: UserAddr) -> int:
    """sched_rr_get_interval(2)."""
    target = _named_task(pid)
    has_none = target.wishes.policy == SCHED_FIFO or target.wishes.policy == SCHED_DEADLINE
    length_ns = slice_of(target)
    if target.precedence.wanted_ns != 0 and target.has_fair_policy():
        length_ns = target.precedence.wanted_ns - target.precedence.wanted_ns % TICK_NS  # fits: 100 ms at most
    write_timespec(interval, 0 if has_none else length_ns)
    return 0


def may_have_nice(target: Task, nice: int) -> bool:
    """RLIMIT_NICE, which counts 20 - nice."""
    return 20 - nice <= target.process.limits.soft[RLIMIT_NICE]
