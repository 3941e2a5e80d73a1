"""Nice values: getpriority(2), setpriority(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EACCES, EINVAL, EPERM, ESRCH, Errno, i32
from kernel.lib.capabilities import CAP_SYS_NICE
from kernel.lib.credentials import uid_from_caller
from kernel.lib.ids import NO_ID, KernelUid
from kernel.lib.pace import pace, spend
from kernel.sched.scheduler import change_priority
from kernel.sched.thread import NICE_HIGHEST, NICE_LOWEST
from kernel.syscalls.sched_setscheduler import is_as_able, may_have_nice, owns
from kernel.task.acting import real_credentials
from kernel.task.groups import ProcessGroup, find_group, member_after
from kernel.task.pids import find_process, find_task, process_ids
from kernel.task.process import Process
from kernel.task.task import Task, current

_PRIO_PROCESS: Final = 0
_PRIO_PGRP: Final = 1
_PRIO_USER: Final = 2
_TASK_COST: Final = 500  # instructions, for `pace`
_ADD_COST: Final = 20


def chosen_tasks(which: int, who: int) -> list[Task]:
    """The tasks that getpriority and setpriority select. Sleeps if they are very many. Raises EINVAL."""
    task = current()
    found: list[Task] = []
    if which == _PRIO_PROCESS:
        target = task if who == 0 else find_task(task.pids.resolve(who))
        if target is not None:
            found.append(target)
    elif which == _PRIO_PGRP:
        group = find_group(task.process.group if who == 0 else task.pids.resolve(who))
        if group is not None:
            _add_members(found, group)
    elif which == _PRIO_USER:
        return tasks_of(task.credentials.uid if who == 0 else uid_from_caller(who & NO_ID))
    else:
        raise Errno(EINVAL)
    return found


def _add_members(found: list[Task], group: ProcessGroup) -> None:
    """Add the threads of all members, of the newest first: which error setpriority(2) has depends on that. Of those
    that come where this sleeps, perhaps.
    """
    met: dict[Process, bool] = {}
    member = group.members.first()
    while member is not None:
        if member not in met:
            met[member] = True
            _add_threads(found, member)
        pace(_TASK_COST)
        member = member_after(group, member)
    spend(len(found))
    found.reverse()


def tasks_of(uid: KernelUid) -> list[Task]:
    """The tasks of a user that the caller can name. Sleeps if there are very many processes: some may have ended."""
    found: list[Task] = []
    for pid in process_ids(current().pids):
        process = find_process(pid)
        if process is not None and process.leader is not None and real_credentials(process.leader).uid == uid:
            _add_threads(found, process)
        pace(_TASK_COST)
    return found


def _add_threads(found: list[Task], process: Process) -> None:
    spend(len(process.threads) * _ADD_COST)
    for task in process.threads.values():
        found.append(task)
    leader = process.leader
    if leader is not None and leader.is_exiting:
        found.append(leader)  # it has left the threads, but its parent has not waited for it yet


@syscall("getpriority", status="Full", args="one:PRIO_PROCESS|PRIO_PGRP|PRIO_USER pid")
def getpriority(which: i32, who: i32) -> int:
    """getpriority(2): the raw call returns 20 - nice, the best of all selected tasks."""
    best = 0
    for target in chosen_tasks(which, who):
        best = max(best, 20 - target.wishes.nice)
        pace(_TASK_COST)
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
        elif wanted < target.wishes.nice and not (
            task.credentials.capable(CAP_SYS_NICE) or may_have_nice(target, wanted)
        ):
            error = EACCES
        elif not is_as_able(task, target):
            error = EPERM
        else:
            if error == ESRCH:
                error = 0
            if wanted != target.wishes.nice:
                change_priority(target, target.wishes.policy, target.wishes.realtime_priority, wanted)
        pace(_TASK_COST)
    if error != 0:
        raise Errno(error)
    return 0
