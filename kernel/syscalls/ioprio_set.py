"""I/O priorities: ioprio_set(2), ioprio_get(2). They are kept, inherited and shown; requests go out in the order in
which they come, as on Linux with the scheduler `none`, its default for disks of virtual machines.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EINVAL, EPERM, ESRCH, Errno, i32
from kernel.lib.capabilities import CAP_SYS_ADMIN, CAP_SYS_NICE
from kernel.lib.credentials import uid_from_caller
from kernel.lib.ids import NO_ID
from kernel.lib.pace import pace
from kernel.sched.thread import NICE_LOWEST, SCHED_IDLE
from kernel.syscalls.getpriority import chosen_tasks, tasks_of
from kernel.syscalls.sched_setscheduler import is_as_able
from kernel.task.acting import real_credentials
from kernel.task.task import Task, current

_CLASS_SHIFT: Final = 13
_CLASS_MASK: Final = 7
_KEPT: Final = 0xFFFF
_LEVEL_MASK: Final = 7
_NONE: Final = 0
_REALTIME: Final = 1
_BEST_EFFORT: Final = 2
_IDLE: Final = 3
_OF_PROCESS: Final = 1
_OF_USER: Final = 3
_LAST_KIND: Final = 3  # process, group, user
_LOWEST: Final = _IDLE << _CLASS_SHIFT | _LEVEL_MASK
_NICE_VALUES_OF_A_LEVEL: Final = 5
_TASK_COST: Final = 200  # instructions, for `pace`


@syscall("ioprio_set", status="Full", args="one:1|2|3 pid flags:io_priority")
def ioprio_set(kind: i32, who: i32, priority: i32) -> int:
    """ioprio_set(2)."""
    task = current()
    check_priority(priority)
    if kind < 1 or kind > _LAST_KIND:
        raise Errno(EINVAL)
    # Of "the caller's user", Linux takes the processes of user 0.
    targets = chosen_tasks(kind - 1, who) if kind != _OF_USER else tasks_of(uid_from_caller(who & NO_ID))
    if len(targets) == 0:
        raise Errno(ESRCH)
    for target in targets:
        if not _may_change(task, target) or not is_as_able(task, target):
            raise Errno(EPERM)
        target.settings.io_priority = priority & _KEPT
        pace(_TASK_COST)
    return 0


def check_priority(priority: int) -> None:
    """Raise EINVAL for an invalid priority, EPERM for one that the running thread may not request."""
    chosen_class = priority >> _CLASS_SHIFT & _CLASS_MASK
    if chosen_class < _NONE or chosen_class > _IDLE or (chosen_class == _NONE and priority & _LEVEL_MASK != 0):
        raise Errno(EINVAL)
    who = current().credentials
    if chosen_class == _REALTIME and not (who.capable(CAP_SYS_ADMIN) or who.capable(CAP_SYS_NICE)):
        raise Errno(EPERM)


def _may_change(task: Task, target: Task) -> bool:
    """By the target's real id alone, unlike for other priorities."""
    mine = task.credentials
    uid = real_credentials(target).uid
    return uid == mine.euid or uid == mine.uid or mine.capable(CAP_SYS_NICE)


@syscall("ioprio_get", status="Full", args="one:1|2|3 pid")
def ioprio_get(kind: i32, who: i32) -> int:
    """ioprio_get(2): of one task what was set; of several the best, where the nice value counts for those that have
    none of their own.
    """
    if kind < 1 or kind > _LAST_KIND:
        raise Errno(EINVAL)
    targets = chosen_tasks(kind - 1, who)
    if len(targets) == 0:
        raise Errno(ESRCH)
    if kind == _OF_PROCESS:
        return targets[0].settings.io_priority
    best = _LOWEST
    for target in targets:
        best = min(best, _effective(target))
        pace(_TASK_COST)
    return best


def _effective(target: Task) -> int:
    """A task's priority, or the one that its policy and its nice value stand for."""
    if target.settings.io_priority >> _CLASS_SHIFT != _NONE:
        return target.settings.io_priority
    chosen_class = _BEST_EFFORT
    if target.wishes.policy == SCHED_IDLE:
        chosen_class = _IDLE
    elif not target.has_fair_policy():
        chosen_class = _REALTIME
    return chosen_class << _CLASS_SHIFT | (target.wishes.nice - NICE_LOWEST) // _NICE_VALUES_OF_A_LEVEL
