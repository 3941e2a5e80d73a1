"""Scheduling policies: sched_yield(2), sched_setscheduler(2), sched_setparam(2), sched_setattr(2),
sched_get_priority_max(2), sched_rr_get_interval(2).
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import E2BIG, EINVAL, EOPNOTSUPP, EPERM, ESRCH, Errno, UserAddr, i32, span_of, struct
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_NICE
from kernel.sched import yield_now
from kernel.sched.deadline import FLAG_OVERRUN, FLAG_RECLAIM, admit
from kernel.sched.processor import processor_mask
from kernel.sched.realtime import LONGEST_PERIOD, RUNTIME, SHORTEST_PERIOD, UNLIMITED
from kernel.sched.runqueue import slice_of
from kernel.sched.scheduler import change_priority, give_budget_away, use_deadlines
from kernel.sched.thread import (
    NICE_HIGHEST,
    NICE_LOWEST,
    SCHED_BATCH,
    SCHED_DEADLINE,
    SCHED_FIFO,
    SCHED_IDLE,
    SCHED_OTHER,
    SCHED_RR,
    ThreadState,
)
from kernel.syscalls.pid_arguments import task_at
from kernel.syscalls.timespec import write_timespec
from kernel.task.limits import RLIMIT_NICE, RLIMIT_RTPRIO
from kernel.task.task import Task, current
from kernel.task.words import load_i32, load_i64, store_i32, store_i64
from kernel.time.clock import NS_PER_US

_RESET_ON_FORK: Final = 0x4000_0000
_SCHED_EXT: Final = 7
_ATTRIBUTE_SIZE_WITH_CLAMPS: Final = 56
_ATTRIBUTE_SIZE: Final = 48
_LARGEST_ATTRIBUTES: Final = 4096
_FLAG_RESET_ON_FORK: Final = 1
_FLAG_KEEP_POLICY: Final = 8
_FLAG_KEEP_PARAMETERS: Final = 16
_FLAGS_OF_CLAMPS: Final = 0x60
_FLAG_GOVERNOR: Final = 0x1000_0000  # Linux's own
_KNOWN_FLAGS: Final = 0x7F | _FLAG_GOVERNOR
_FLAGS_OF_DEADLINES: Final = FLAG_RECLAIM | FLAG_OVERRUN
_SHORTEST_RUNTIME_NS: Final = 1024
_REALTIME_HIGHEST: Final = 99


@struct
class _Times:
    """What a thread with deadlines asks for, in nanoseconds."""

    runtime: int
    deadline: int
    period: int
    flags: int


@syscall("sched_yield", status="Full", args="")
def sched_yield() -> int:
    """sched_yield(2)."""
    if current().policy == SCHED_DEADLINE:
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
    return euid == target.credentials.euid or euid == target.credentials.uid


def owns(task: Task, target: Task) -> bool:
    """Whether the caller may set the target's processors, or its nice value."""
    return is_same_owner(task, target) or task.credentials.capable_in(target.credentials.user_namespace, CAP_SYS_NICE)


def is_as_able(task: Task, target: Task) -> bool:
    """Whether the target has no right that the caller lacks: a less privileged caller may not change its scheduling."""
    more = target.credentials.permitted & ~task.credentials.permitted
    return more == 0 or task.credentials.capable_in(target.credentials.user_namespace, CAP_SYS_NICE)


@syscall("sched_setscheduler", status="Full", args="pid flags:policy <sched_param")
def sched_setscheduler(pid: i32, policy: i32, parameters: UserAddr) -> int:
    """sched_setscheduler(2)."""
    if policy < 0 or pid < 0 or parameters == 0:
        raise Errno(EINVAL)
    priority = user.read_i32(parameters)
    target = scheduled_task(pid)
    _change(target, policy & ~_RESET_ON_FORK, priority, target.nice, policy & _RESET_ON_FORK != 0)
    return 0


@syscall("sched_setparam", status="Full", args="pid <sched_param")
def sched_setparam(pid: i32, parameters: UserAddr) -> int:
    """sched_setparam(2)."""
    if pid < 0 or parameters == 0:
        raise Errno(EINVAL)
    priority = user.read_i32(parameters)
    target = scheduled_task(pid)
    _change(target, target.policy, priority, target.nice, target.reset_on_fork)
    return 0


def _change(target: Task, policy: int, priority: int, nice: int, reset_on_fork: bool) -> None:
    """Check and change. Raises EINVAL, EPERM."""
    if policy == SCHED_DEADLINE:
        raise Errno(EINVAL)  # it takes more than a priority
    _check_change(target, policy, priority, nice, reset_on_fork)
    _apply(target, policy, priority, nice, reset_on_fork)


def _apply(target: Task, policy: int, priority: int, nice: int, reset_on_fork: bool) -> None:
    """Change how a thread is scheduled. A real-time one has a priority, and keeps its nice value for later."""
    target.reset_on_fork = reset_on_fork
    change_priority(target, policy, priority, nice)


def _check_change(target: Task, policy: int, priority: int, nice: int, reset_on_fork: bool) -> None:
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
            (policy != target.policy and limit == 0) or (priority > target.realtime_priority and priority > limit)
        ):
            raise Errno(EPERM)
        if policy == SCHED_DEADLINE or (nice < target.nice and not may_have_nice(target, nice)):
            raise Errno(EPERM)
        if target.policy == SCHED_IDLE and policy != SCHED_IDLE and not may_have_nice(target, target.nice):
            raise Errno(EPERM)
        if not is_same_owner(task, target) or (target.reset_on_fork and not reset_on_fork):
            raise Errno(EPERM)
        if not is_as_able(task, target):
            raise Errno(EPERM)


@syscall("sched_getscheduler", status="Full", args="pid")
def sched_getscheduler(pid: i32) -> int:
    """sched_getscheduler(2)."""
    target = _named_task(pid)
    return target.policy | (_RESET_ON_FORK if target.reset_on_fork else 0)


@syscall("sched_getparam", status="Full", args="pid >sched_param")
def sched_getparam(pid: i32, parameters: UserAddr) -> int:
    """sched_getparam(2)."""
    if parameters == 0:
        raise Errno(EINVAL)
    user.write_i32(parameters, _named_task(pid).realtime_priority)
    return 0


@syscall("sched_setattr", args="pid <sched_attr flags:0", notes="No slices of their own, no utilisation clamps")
def sched_setattr(pid: i32, attributes: UserAddr, flags: i32) -> int:
    """sched_setattr(2)."""
    if attributes == 0 or pid < 0 or flags != 0:
        raise Errno(EINVAL)
    storage = _read_attributes(attributes)
    fields = span_of(storage)
    policy = load_i32(fields, 4)
    if policy < 0:
        raise Errno(EINVAL)
    wanted = load_i64(fields, 8)
    nice = max(NICE_LOWEST, min(NICE_HIGHEST, load_i32(fields, 16)))
    priority = load_i32(fields, 20)
    target = scheduled_task(pid)
    reset_on_fork = wanted & _FLAG_RESET_ON_FORK != 0
    if wanted & _FLAG_KEEP_POLICY != 0:
        policy = target.policy
        reset_on_fork = target.reset_on_fork
    times = _Times(runtime=load_i64(fields, 24), deadline=load_i64(fields, 32), period=load_i64(fields, 40))
    times.flags = wanted & _FLAGS_OF_DEADLINES
    if wanted & _FLAG_KEEP_PARAMETERS != 0:
        if target.policy == SCHED_DEADLINE:
            priority = 0
            _read_times(target, times)
        elif target.has_realtime_policy():
            priority = target.realtime_priority
        else:
            nice = target.nice
    if policy != SCHED_OTHER and policy != SCHED_BATCH:
        nice = target.nice
    if wanted & ~_KNOWN_FLAGS != 0:
        raise Errno(EINVAL)
    if policy == SCHED_DEADLINE:
        _check_times(times)
    _check_change(target, policy, priority, nice, reset_on_fork)
    if wanted & _FLAG_GOVERNOR != 0:
        raise Errno(EINVAL)
    if wanted & _FLAGS_OF_CLAMPS != 0:
        raise Errno(EOPNOTSUPP)
    if wanted & _FLAG_KEEP_PARAMETERS != 0:
        target.reset_on_fork = reset_on_fork  # Linux keeps the policy, too
    elif policy == SCHED_DEADLINE:
        _set_deadlines(target, times)
        target.reset_on_fork = reset_on_fork
    else:
        _apply(target, policy, priority, nice, reset_on_fork)
    return 0


def _read_times(target: Task, times: _Times) -> None:
    """What a thread with deadlines asked for."""
    server = target.server
    if server is not None:
        times.runtime = server.runtime_ns
        times.deadline = server.relative_ns
        times.period = server.period_ns
        times.flags = server.flags


def _check_times(times: _Times) -> None:
    """The program's numbers are unsigned: those that are negative here are too large. Raises EINVAL."""
    if times.period == 0:
        times.period = times.deadline
    if not _SHORTEST_RUNTIME_NS <= times.runtime <= times.deadline <= times.period:
        raise Errno(EINVAL)
    if not SHORTEST_PERIOD.value * NS_PER_US <= times.period <= LONGEST_PERIOD.value * NS_PER_US:
        raise Errno(EINVAL)


def _set_deadlines(target: Task, times: _Times) -> None:
    """Let a thread have deadlines. Raises EPERM if it may not run on all processors, or none may have deadlines; EBUSY
    if there is no time for it; ESRCH if it has ended; MemoryError.
    """
    if target.state == ThreadState.DEAD:
        raise Errno(ESRCH)
    is_limited = RUNTIME.value != UNLIMITED
    if is_limited and (RUNTIME.value == 0 or target.allowed & processor_mask() != processor_mask()):
        raise Errno(EPERM)
    had_deadlines = target.policy == SCHED_DEADLINE
    server = admit(target, times.runtime, times.deadline, times.period, times.flags)
    if not had_deadlines:
        use_deadlines(target, server)


def _read_attributes(address: UserAddr) -> bytearray:
    """A program's struct sched_attr, 56 bytes: a shorter one is filled up with zeros. Raises EFAULT, EINVAL; E2BIG if
    it is too short or holds what is not known here, with the known size stored.
    """
    size = user.read_u32(address)
    if size == 0:
        size = _ATTRIBUTE_SIZE
    known = min(size, _ATTRIBUTE_SIZE_WITH_CLAMPS)
    storage = bytearray(_ATTRIBUTE_SIZE_WITH_CLAMPS)
    try:
        if not _ATTRIBUTE_SIZE <= size <= _LARGEST_ATTRIBUTES:
            raise Errno(E2BIG)
        user.require_zeros(address, known, size)
    except Errno as error:
        if error.code == E2BIG:
            _tell_size(address)
        raise
    fields = span_of(storage)
    user.read_into(fields[0:known], address)
    if load_i64(fields, 8) & _FLAGS_OF_CLAMPS != 0 and size < _ATTRIBUTE_SIZE_WITH_CLAMPS:
        raise Errno(EINVAL)
    return storage


def _tell_size(address: UserAddr) -> None:
    try:
        user.write_u32(address, _ATTRIBUTE_SIZE_WITH_CLAMPS)
    except Errno:
        return  # that the structure does not fit is what counts


@syscall("sched_getattr", status="Full", args="pid >sched_attr[size] size flags:0")
def sched_getattr(pid: i32, attributes: UserAddr, size: i32, flags: i32) -> int:
    """sched_getattr(2)."""
    if attributes == 0 or pid < 0 or size < _ATTRIBUTE_SIZE or size > 4096 or flags != 0:
        raise Errno(EINVAL)
    target = scheduled_task(pid)
    known = min(size, _ATTRIBUTE_SIZE_WITH_CLAMPS)
    storage = bytearray(known)
    fields = span_of(storage)
    store_i32(fields, 0, known)
    store_i32(fields, 4, target.policy)
    told = _FLAG_RESET_ON_FORK if target.reset_on_fork else 0
    if target.policy == SCHED_DEADLINE:
        times = _Times()
        _read_times(target, times)
        told |= times.flags
        store_i64(fields, 24, times.runtime)
        store_i64(fields, 32, times.deadline)
        store_i64(fields, 40, times.period)
    elif target.has_realtime_policy():
        store_i32(fields, 20, target.realtime_priority)
    else:
        store_i32(fields, 16, target.nice)
        store_i64(fields, 24, slice_of(target))
    store_i64(fields, 8, told)
    user.write_from(attributes, fields)
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
    has_none = target.policy == SCHED_FIFO or target.policy == SCHED_DEADLINE
    write_timespec(interval, 0 if has_none else slice_of(target))
    return 0


def may_have_nice(target: Task, nice: int) -> bool:
    """RLIMIT_NICE, which counts 20 - nice."""
    return 20 - nice <= target.process.limits.soft[RLIMIT_NICE]
