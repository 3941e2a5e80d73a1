"""Process and thread numbers, and their bearers.

Numbers go up and wrap around to 300 at pid_max, as on Linux. A number is free when no task, process, group or
session bears it.

Invariants: `_tasks` holds every task from its creation until it has exited (leaders: until the process is reaped);
`_processes` every process until it is reaped; the first namespace's `taken` has the numbers of both, and of groups and
sessions, all of which were numbers of processes.
Source: fork(2), proc_sys_kernel(5) (pid_max).
"""

from typing import TYPE_CHECKING, Final

from kernel.bpf.storage import TASK_OWNERS
from kernel.lib.ids import KernelUid
from kernel.lib.pace import pace
from kernel.lib.pid import NOBODY, Pid
from kernel.task.groups import find_group, find_session, leave
from kernel.task.pid_namespace import FIRST_PID, NUMBERS, PidNamespace, forget_bearer

if TYPE_CHECKING:
    from kernel.task.process import Process
    from kernel.task.task import Task

_LOOK_COST: Final = 100  # instructions for a process, for `pace`
_tasks: "dict[Pid, Task]" = {}
_processes: "dict[Pid, Process]" = {}


def allocate_pid() -> Pid:
    """A free number. Raises EAGAIN when there is none."""
    return Pid(FIRST_PID.next_number())


def is_free(number: Pid) -> bool:
    """Whether a number is free."""
    if number in _tasks or number in _processes:
        return False
    return find_group(number) is None and find_session(number) is None


def register_task(task: "Task") -> None:
    """Let a task be found by its number. Raises MemoryError."""
    try:
        FIRST_PID.taken.add(int(task.tid))
        _tasks[task.tid] = task
    except MemoryError:
        _free_below(task.tid)
        raise


def unregister_task(task: "Task") -> None:
    """The task is gone."""
    _tasks.pop(task.tid)
    TASK_OWNERS.end(int(task.tid))
    _free_below(task.tid)


def rename_task(task: "Task", tid: Pid) -> None:
    """execve: the task takes the number of the process from the first thread, which is gone. Needs no memory."""
    old = task.tid
    _tasks[tid] = task  # instead of the first thread
    _tasks.pop(old)
    TASK_OWNERS.rename(int(old), int(tid))
    task.tid = tid
    task.own_tid = task.process.number
    _free_below(old)


def register_process(process: "Process") -> None:
    """Let a process be found by its number. Raises MemoryError, with nothing changed."""
    space: PidNamespace | None = process.pids
    try:
        FIRST_PID.taken.add(int(process.pid))
        _processes[process.pid] = process
        while space is not None:
            space.processes.add(space.shown(process.pid))
            space = space.parent
    except MemoryError:
        entered: PidNamespace | None = process.pids
        while entered is not None and entered is not space:
            entered.processes.remove(entered.shown(process.pid))
            entered = entered.parent
        _processes.pop(process.pid, process)
        _free_below(process.pid)
        raise


def unregister_process(process: "Process") -> None:
    """The process was reaped."""
    pid = process.pid
    _processes.pop(pid)
    space: PidNamespace | None = process.pids
    while space is not None:
        space.processes.remove(space.shown(pid))
        space = space.parent
    _free_below(pid)


def leave_group(process: "Process") -> None:
    """Remove a process from its group, which may be the end of the group and its session."""
    job = process.job
    leave(process)
    if job is not None:
        _free_below(job.pgid)
        _free_below(job.owner.sid)


def _free_below(pid: Pid) -> None:
    """A bearer of the number is gone; if that was the last one, it loses its numbers in other namespaces, too."""
    if is_free(pid):
        FIRST_PID.taken.remove(int(pid))
        if len(NUMBERS) > 0 and pid in NUMBERS:
            forget_bearer(pid)


def find_task(tid: Pid) -> "Task | None":
    """The task with this number."""
    return _tasks.get(tid)


def find_process(pid: Pid) -> "Process | None":
    """The process with this number; zombies too."""
    return _processes.get(pid)


def process_ids(space: PidNamespace) -> list[Pid]:
    """The processes of a namespace, ascending by the numbers that they have in it. For signals to all. Sleeps if there
    are many: some may be gone afterwards.
    """
    found: list[Pid] = []
    number = space.processes.following(0)
    while number >= 0:
        found.append(space.resolve(number))
        pace(_LOOK_COST)
        number = space.processes.following(number + 1)
    return found


def next_process(space: PidNamespace, number: int) -> "Process | None":
    """The process with the lowest number from `number` on in a namespace; zombies too."""
    found = space.processes.following(number)
    return _processes.get(NOBODY if found < 0 else space.resolve(found))


def next_thread(process: "Process", tid: Pid) -> "Task | None":
    """The living thread of a process with the lowest number from `tid` on: for walks with safe points over very many,
    since all tasks are looked through. Sleeps.
    """
    number = FIRST_PID.taken.following(int(tid))
    while number >= 0:
        task = process.threads.get(Pid(number))
        if task is not None:
            return task
        pace(_LOOK_COST)
        number = FIRST_PID.taken.following(number + 1)
    return None


def next_task(number: int) -> "Task | None":
    """The task with the lowest number from `number` on: for walks with safe points over all."""
    found = FIRST_PID.taken.following(number)
    while found >= 0:
        task = _tasks.get(Pid(found))
        if task is not None:
            return task
        found = FIRST_PID.taken.following(found + 1)
        pace(_LOOK_COST)
    return None


def process_count() -> int:
    """How many processes there are, zombies included."""
    return len(_processes)


def task_count() -> int:
    """How many tasks there are."""
    return len(_tasks)


# The number of tasks of each real user, for RLIMIT_NPROC.
_tasks_by_user: dict[KernelUid, int] = {}


def tasks_of_user(uid: KernelUid) -> int:
    """The number of a user's tasks."""
    return _tasks_by_user.get(uid, 0)


def count_user(uid: KernelUid) -> None:
    """One more task of this user. Raises MemoryError."""
    _tasks_by_user[uid] = tasks_of_user(uid) + 1


def uncount_user(uid: KernelUid) -> None:
    """One task fewer."""
    count = tasks_of_user(uid) - 1
    try:
        if count <= 0:
            _tasks_by_user.pop(uid, 0)
        else:
            _tasks_by_user[uid] = count
    except MemoryError:
        return  # cannot be: a count that exists is changed in place
