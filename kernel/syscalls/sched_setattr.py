"""Scheduling policies with all that they take: sched_setattr(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import E2BIG, EINVAL, EOPNOTSUPP, EPERM, ESRCH, Errno, UserAddr, i32, span_of, struct
from kernel.lib import user
from kernel.sched.deadline import FLAG_OVERRUN, FLAG_RECLAIM, admit
from kernel.sched.processor import processor_mask
from kernel.sched.realtime import LONGEST_PERIOD, RUNTIME, SHORTEST_PERIOD, UNLIMITED
from kernel.sched.runqueue import LONGEST_TURN_NS, SHORTEST_TURN_NS, turn_of
from kernel.sched.scheduler import ask_for_turns, use_deadlines
from kernel.sched.thread import (
    NICE_HIGHEST,
    NICE_LOWEST,
    SCHED_BATCH,
    SCHED_DEADLINE,
    SCHED_OTHER,
    ThreadState,
)
from kernel.syscalls.sched_setscheduler import apply_policy, check_change, scheduled_task
from kernel.task.task import Task
from kernel.task.words import load_i32, load_i64, store_i32, store_i64
from kernel.time.clock import NS_PER_US

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


@struct
class _Times:
    """What a thread with deadlines asks for, in nanoseconds."""

    runtime: int
    deadline: int
    period: int
    flags: int


@syscall("sched_setattr", status="Full", args="pid <sched_attr flags:0")
def sched_setattr(pid: i32, attributes: UserAddr, flags: i32) -> int:
    """sched_setattr(2). Clamps of the utilisation are EOPNOTSUPP, as they are with Debian's kernel."""
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
        policy = target.wishes.policy
        reset_on_fork = target.wishes.reset_on_fork
    times = _Times(runtime=load_i64(fields, 24), deadline=load_i64(fields, 32), period=load_i64(fields, 40))
    times.flags = wanted & _FLAGS_OF_DEADLINES
    if wanted & _FLAG_KEEP_PARAMETERS != 0:
        if target.wishes.policy == SCHED_DEADLINE:
            priority = 0
            _read_times(target, times)
        elif target.has_realtime_policy():
            priority = target.wishes.realtime_priority
        else:
            nice = target.wishes.nice
    if policy != SCHED_OTHER and policy != SCHED_BATCH:
        nice = target.wishes.nice
    if wanted & ~_KNOWN_FLAGS != 0:
        raise Errno(EINVAL)
    if policy == SCHED_DEADLINE:
        _check_times(times)
    check_change(target, policy, priority, nice, reset_on_fork)
    if wanted & _FLAG_GOVERNOR != 0:
        raise Errno(EINVAL)
    if wanted & _FLAGS_OF_CLAMPS != 0:
        raise Errno(EOPNOTSUPP)
    if wanted & _FLAG_KEEP_PARAMETERS != 0:
        target.wishes.reset_on_fork = reset_on_fork  # Linux keeps the policy, too
    elif policy == SCHED_DEADLINE:
        _set_deadlines(target, times)
        target.wishes.reset_on_fork = reset_on_fork
    else:
        apply_policy(target, policy, priority, nice, reset_on_fork)
        if policy == SCHED_OTHER or policy == SCHED_BATCH:
            ask_for_turns(target, _turn_in(times.runtime))
    return 0


def _turn_in(runtime_ns: int) -> int:
    """What a thread of the fair classes asks for, within limits. The number is unsigned."""
    if runtime_ns < 0:
        return LONGEST_TURN_NS
    return 0 if runtime_ns == 0 else max(SHORTEST_TURN_NS, min(LONGEST_TURN_NS, runtime_ns))


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
    had_deadlines = target.wishes.policy == SCHED_DEADLINE
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
    store_i32(fields, 4, target.wishes.policy)
    reported = _FLAG_RESET_ON_FORK if target.wishes.reset_on_fork else 0
    if target.wishes.policy == SCHED_DEADLINE:
        times = _Times()
        _read_times(target, times)
        reported |= times.flags
        store_i64(fields, 24, times.runtime)
        store_i64(fields, 32, times.deadline)
        store_i64(fields, 40, times.period)
    elif target.has_realtime_policy():
        store_i32(fields, 20, target.wishes.realtime_priority)
    else:
        store_i32(fields, 16, target.wishes.nice)
        store_i64(fields, 24, turn_of(target))
    store_i64(fields, 8, reported)
    user.write_from(attributes, fields)
    return 0
