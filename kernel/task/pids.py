"""Process and thread numbers, and who bears them.

Numbers go up and start again at 300 after PID_LIMIT, as on Linux. A number is free when no task, process, group or
session bears it.

Invariants: `_tasks` holds every task from its creation until it has exited (leaders: until the process is reaped);
`_processes` every process until it is reaped.
Source: fork(2), proc_sys_kernel(5) (pid_max).
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EAGAIN, Errno, span_of
from kernel.task.groups import find_group, find_session

if TYPE_CHECKING:
    from kernel.task.process import Process
    from kernel.task.task import Task

PID_LIMIT: Final = 32768
_RESERVED: Final = 300  # below, numbers are given only before the first wrap

_tasks: "dict[int, Task]" = {}
_processes: "dict[int, Process]" = {}
_bits: Final[bytearray] = bytearray(PID_LIMIT // 8)  # of the numbers in `_processes`: to find them in order
_highest: int = 0  # of the numbers that any process has had
_last: int = 0


def allocate_pid() -> int:
    """A number that nobody bears. Raises EAGAIN when there is none."""
    global _last
    for _ in range(PID_LIMIT):
        _last += 1
        if _last >= PID_LIMIT:
            _last = _RESERVED
        if is_free(_last):
            return _last
    raise Errno(EAGAIN)


def is_free(number: int) -> bool:
    """Whether nobody bears a number."""
    if number in _tasks or number in _processes:
        return False
    return find_group(number) is None and find_session(number) is None


def last_pid() -> int:
    """The number given last, for /proc/loadavg."""
    return _last


def register_task(task: "Task") -> None:
    """Let a task be found by its number. Raises MemoryError."""
    _tasks[task.tid] = task


def unregister_task(task: "Task") -> None:
    """The task is gone."""
    _tasks.pop(task.tid)


def rename_task(task: "Task", tid: int) -> None:
    """execve: the task takes the number of the thread group's leader, who is gone."""
    _tasks.pop(task.tid)
    task.tid = tid
    _tasks[tid] = task


def register_process(process: "Process") -> None:
    """Let a process be found by its number. Raises MemoryError."""
    global _highest
    pid = process.pid
    _processes[pid] = process
    _bits[pid >> 3] |= 1 << (pid & 7)
    _highest = max(_highest, pid)


def unregister_process(process: "Process") -> None:
    """The process was reaped."""
    pid = process.pid
    _processes.pop(pid)
    _bits[pid >> 3] &= ~(1 << (pid & 7)) & 0xFF


def find_task(tid: int) -> "Task | None":
    """The task with this number."""
    return _tasks.get(tid)


def find_process(pid: int) -> "Process | None":
    """The process with this number; zombies too."""
    return _processes.get(pid)


def process_ids() -> list[int]:
    """The numbers of all processes, ascending. For /proc and for signals to all."""
    numbers: list[int] = []
    process = next_process(0)
    while process is not None:
        numbers.append(process.pid)
        process = next_process(process.pid + 1)
    return numbers


def next_process(number: int) -> "Process | None":
    """The process with the lowest number from `number` on; zombies too."""
    words = span_of(_bits)
    while number <= _highest:
        bits = words.load_u32(number >> 5 << 2) >> (number & 31)
        if bits & 1 != 0:
            return _processes.get(number)
        number = number + 1 if bits != 0 else (number | 31) + 1
    return None


def all_processes() -> "dict[int, Process]":
    """All processes by number, zombies too: to be read only."""
    return _processes


def process_count() -> int:
    """How many processes there are, zombies included."""
    return len(_processes)


def task_count() -> int:
    """How many tasks there are."""
    return len(_tasks)


# How many tasks each real user has, for RLIMIT_NPROC.
_tasks_by_user: dict[int, int] = {}


def tasks_of_user(uid: int) -> int:
    """How many tasks a user has."""
    return _tasks_by_user.get(uid, 0)


def count_user(uid: int) -> None:
    """One more task of this user. Raises MemoryError."""
    _tasks_by_user[uid] = tasks_of_user(uid) + 1


def uncount_user(uid: int) -> None:
    """One task less."""
    count = tasks_of_user(uid) - 1
    try:
        if count <= 0:
            _tasks_by_user.pop(uid, 0)
        else:
            _tasks_by_user[uid] = count
    except MemoryError:
        return  # cannot be: a count that exists is changed in place
