"""Scheduling: policies, priorities, affinity (sched(7), getpriority(2))."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import E2BIG, EACCES, EINVAL, EPERM, ESRCH, Errno, UserAddr, i32, span_of
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_NICE
from kernel.sched import yield_now
from kernel.sched.processor import processor_mask, this_processor
from kernel.sched.runqueue import slice_of
from kernel.sched.scheduler import allow_processors, change_priority
from kernel.sched.thread import (
    NICE_HIGHEST,
    NICE_LOWEST,
    SCHED_BATCH,
    SCHED_FIFO,
    SCHED_IDLE,
    SCHED_OTHER,
    SCHED_RR,
)
from kernel.syscalls.timespec import write_timespec
from kernel.task.groups import find_group
from kernel.task.limits import RLIMIT_NICE, RLIMIT_RTPRIO
from kernel.task.pids import find_process, find_task, process_ids
from kernel.task.process import Process
from kernel.task.task import Task, current
from kernel.task.words import load_i32, load_i64, store_i32, store_i64

_PRIO_PROCESS: Final = 0
_PRIO_PGRP: Final = 1
_PRIO_USER: Final = 2
_RESET_ON_FORK: Final = 0x4000_0000
_SCHED_DEADLINE: Final = 6  # known by name, but no task can have it
_SCHED_EXT: Final = 7
_ATTRIBUTE_SIZE_WITH_CLAMPS: Final = 56
_ATTRIBUTE_SIZE: Final = 48
_FLAG_RESET_ON_FORK: Final = 1
_REALTIME_HIGHEST: Final = 99
_MASK_BYTES: Final = 8


@syscall("sched_yield", status="Full", args="")
def sched_yield() -> int:
    """sched_yield(2)."""
    yield_now()
    return 0


def _target(pid: int) -> Task:
    if pid < 0:
        raise Errno(EINVAL)
    task = current()
    if pid == 0:
        return task
    target = find_task(task.pids.resolve(pid))
    if target is None or target.is_exiting:
        raise Errno(ESRCH)
    return target


def owns(task: Task, target: Task) -> bool:
    """Whether the caller may change the target's scheduling."""
    euid = task.credentials.euid
    return euid == target.credentials.euid or euid == target.credentials.uid or task.credentials.capable(CAP_SYS_NICE)


def is_as_able(task: Task, target: Task) -> bool:
    """Whether the target may do nothing that the caller may not: its scheduling is not changed from below."""
    more = target.credentials.permitted & ~task.credentials.permitted
    return more == 0 or task.credentials.capable(CAP_SYS_NICE)


# Policies -------------------------------------------------------------------------------------------------------------


@syscall("sched_setscheduler", status="Full", args="pid flags:policy <sched_param")
def sched_setscheduler(pid: i32, policy: i32, parameters: UserAddr) -> int:
    """sched_setscheduler(2)."""
    if policy < 0 or pid < 0 or parameters == 0:
        raise Errno(EINVAL)
    priority = user.read_i32(parameters)
    target = _target(pid)
    _change(target, policy & ~_RESET_ON_FORK, priority, target.nice, policy & _RESET_ON_FORK != 0)
    return 0


@syscall("sched_setparam", status="Full", args="pid <sched_param")
def sched_setparam(pid: i32, parameters: UserAddr) -> int:
    """sched_setparam(2)."""
    if pid < 0 or parameters == 0:
        raise Errno(EINVAL)
    priority = user.read_i32(parameters)
    target = _target(pid)
    _change(target, target.policy, priority, target.nice, target.reset_on_fork)
    return 0


def _change(target: Task, policy: int, priority: int, nice: int, reset_on_fork: bool) -> None:
    """Check and change. Raises EINVAL, EPERM."""
    realtime = policy == SCHED_FIFO or policy == SCHED_RR
    if not realtime and policy != SCHED_OTHER and policy != SCHED_BATCH and policy != SCHED_IDLE:
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
        if nice < target.nice and not _may_have_nice(target, nice):
            raise Errno(EPERM)
        if target.policy == SCHED_IDLE and policy != SCHED_IDLE and not _may_have_nice(target, target.nice):
            raise Errno(EPERM)
        if not owns(task, target) or not is_as_able(task, target) or (target.reset_on_fork and not reset_on_fork):
            raise Errno(EPERM)
    target.reset_on_fork = reset_on_fork
    change_priority(target, policy, priority if realtime else 0, nice)


@syscall("sched_getscheduler", status="Full", args="pid")
def sched_getscheduler(pid: i32) -> int:
    """sched_getscheduler(2)."""
    target = _target(pid)
    return target.policy | (_RESET_ON_FORK if target.reset_on_fork else 0)


@syscall("sched_getparam", status="Full", args="pid >sched_param")
def sched_getparam(pid: i32, parameters: UserAddr) -> int:
    """sched_getparam(2)."""
    if parameters == 0:
        raise Errno(EINVAL)
    user.write_i32(parameters, _target(pid).realtime_priority)
    return 0


@syscall("sched_setattr", args="pid <sched_attr flags:0", notes="No deadline scheduling, no utilisation clamps")
def sched_setattr(pid: i32, attributes: UserAddr, flags: i32) -> int:
    """sched_setattr(2)."""
    if attributes == 0 or pid < 0 or flags != 0:
        raise Errno(EINVAL)
    size = user.read_u32(attributes)
    if size == 0:
        size = _ATTRIBUTE_SIZE
    if size < _ATTRIBUTE_SIZE or size > 4096:
        user.write_u32(attributes, _ATTRIBUTE_SIZE)
        raise Errno(E2BIG)
    storage = bytearray(_ATTRIBUTE_SIZE)
    fields = span_of(storage)
    user.read_into(fields, attributes)
    wanted = load_i64(fields, 8)
    if wanted & ~_FLAG_RESET_ON_FORK != 0:
        raise Errno(EINVAL)
    nice = max(NICE_LOWEST, min(NICE_HIGHEST, load_i32(fields, 16)))
    target = _target(pid)
    policy = load_i32(fields, 4)
    if policy != SCHED_OTHER and policy != SCHED_BATCH:
        nice = target.nice
    _change(target, policy, load_i32(fields, 20), nice, wanted & _FLAG_RESET_ON_FORK != 0)
    return 0


@syscall("sched_getattr", status="Full", args="pid >sched_attr[size] size flags:0")
def sched_getattr(pid: i32, attributes: UserAddr, size: i32, flags: i32) -> int:
    """sched_getattr(2)."""
    if attributes == 0 or pid < 0 or size < _ATTRIBUTE_SIZE or size > 4096 or flags != 0:
        raise Errno(EINVAL)
    target = _target(pid)
    known = min(size, _ATTRIBUTE_SIZE_WITH_CLAMPS)
    storage = bytearray(known)
    fields = span_of(storage)
    store_i32(fields, 0, known)
    store_i32(fields, 4, target.policy)
    store_i64(fields, 8, _FLAG_RESET_ON_FORK if target.reset_on_fork else 0)
    if target.has_realtime_policy():
        store_i32(fields, 20, target.realtime_priority)
    else:
        store_i32(fields, 16, target.nice)
        store_i64(fields, 24, slice_of(target))
    user.write_from(attributes, fields)
    return 0


def _check_policy(policy: int) -> None:
    if policy not in (SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, _SCHED_DEADLINE, _SCHED_EXT):
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
    target = _target(pid)
    write_timespec(interval, 0 if target.policy == SCHED_FIFO else slice_of(target))
    return 0


# Affinity and the processor -------------------------------------------------------------------------------------------


@syscall("sched_setaffinity", status="Full", args="pid size <bytes[size]")
def sched_setaffinity(pid: i32, size: i32, mask: UserAddr) -> int:
    """sched_setaffinity(2): one of the processors that there are must be in the set."""
    wanted = 0
    if size >= _MASK_BYTES:
        wanted = user.read_i64(mask)
    else:
        for i in range(size):
            wanted |= user.read_u8(user.at(mask, i)) << (8 * i)
    wanted &= processor_mask()
    target = _target(pid)
    if not owns(current(), target) or not is_as_able(current(), target):
        raise Errno(EPERM)
    if wanted == 0:
        raise Errno(EINVAL)
    allow_processors(target, -1 if wanted == processor_mask() else wanted)
    return 0


@syscall("sched_getaffinity", status="Full", args="pid size >bytes[size]")
def sched_getaffinity(pid: i32, size: i32, mask: UserAddr) -> int:
    """sched_getaffinity(2): the raw call returns how many bytes it wrote."""
    if size < _MASK_BYTES or size & (_MASK_BYTES - 1) != 0:
        raise Errno(EINVAL)
    user.write_i64(mask, _target(pid).allowed & processor_mask())
    return _MASK_BYTES


@syscall("getcpu", status="Full", args=">int? >int? address")
def getcpu(processor: UserAddr, node: UserAddr, _cache: int) -> int:
    """getcpu(2)."""
    if processor != 0:
        user.write_u32(processor, this_processor().number)
    if node != 0:
        user.write_u32(node, 0)
    return 0


# Nice values ----------------------------------------------------------------------------------------------------------


def _may_have_nice(target: Task, nice: int) -> bool:
    """RLIMIT_NICE, which counts 20 - nice."""
    return 20 - nice <= target.process.limits.soft[RLIMIT_NICE]


def chosen_tasks(which: int, who: int) -> list[Task]:
    """The tasks that getpriority and setpriority mean. Raises EINVAL."""
    task = current()
    found: list[Task] = []
    if which == _PRIO_PROCESS:
        target = task if who == 0 else find_task(task.pids.resolve(who))
        if target is not None and not target.is_exiting:
            found.append(target)
    elif which == _PRIO_PGRP:
        group = find_group(task.process.group if who == 0 else task.pids.resolve(who))
        if group is not None:
            for pid in group.members.keys():
                _add_threads(found, group.members[pid])
    elif which == _PRIO_USER:
        uid = task.credentials.uid if who == 0 else who
        for pid in process_ids(task.pids):
            process = find_process(pid)
            if process is not None and process.leader is not None and process.leader.credentials.uid == uid:
                _add_threads(found, process)
    else:
        raise Errno(EINVAL)
    return found


def _add_threads(found: list[Task], process: Process) -> None:
    for tid in process.threads.keys():
        found.append(process.threads[tid])


@syscall("getpriority", status="Full", args="one:PRIO_PROCESS|PRIO_PGRP|PRIO_USER pid")
def getpriority(which: i32, who: i32) -> int:
    """getpriority(2): the raw call returns 20 - nice, the best of all that are meant."""
    best = 0
    for target in chosen_tasks(which, who):
        best = max(best, 20 - target.nice)
    if best == 0:
        raise Errno(ESRCH)
    return best


@syscall("setpriority", status="Full", args="one:PRIO_PROCESS|PRIO_PGRP|PRIO_USER pid int")
def setpriority(which: i32, who: i32, nice: i32) -> int:
    """setpriority(2)."""
    wanted = max(NICE_LOWEST, min(NICE_HIGHEST, nice))
    task = current()
    error = ESRCH
    for target in chosen_tasks(which, who):
        if not owns(task, target):
            error = EPERM
        elif wanted < target.nice and not task.credentials.capable(CAP_SYS_NICE) and not _may_have_nice(target, wanted):
            error = EACCES
        elif not is_as_able(task, target):
            error = EPERM
        else:
            if error == ESRCH:
                error = 0
            change_priority(target, target.policy, target.realtime_priority, wanted)
    if error != 0:
        raise Errno(error)
    return 0
