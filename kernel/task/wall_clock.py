"""Setting the wall clock, and adjusting what depends on it: timers, and threads that wait until a time of it.

Deadlines are on the monotonic clock, which is never set. One that was given as a time of the wall clock moves when
that is set: timers are moved here, and a waiting call is restarted, and so computes its deadline anew. Only
calls with absolute times do so; those with relative ones do not use the wall clock at all.

Context: sleeps, if there are many timers or threads.
Source: clock_settime(2), timerfd_create(2).
"""

from typing import Final

from arch import call_under_way, number_of_call
from kernel.lib.pace import pace
from kernel.lib.pid import Pid
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.pids import find_task
from kernel.task.send import interrupt
from kernel.task.task import Task
from kernel.time import vdso
from kernel.time.clock import realtime_offset_ns, set_realtime
from kernel.time.steering import STEERING
from kernel.time.wall_timers import tell_followers

_COST: Final = 200  # instructions, for `pace`
# Calls that record, each time, whether they wait by the wall clock.
_WAITING_CALLS: Final[list[int]] = [
    number_of_call(name)
    for name in ("futex", "futex_wait", "futex_waitv", "clock_nanosleep", "mq_timedsend", "mq_timedreceive")
]


def set_wall_clock(time_ns: int) -> None:
    """Set it. Raises EINVAL, MemoryError."""
    set_realtime(time_ns)
    STEERING.was_set()
    vdso.update()
    tell_followers()
    number = FIRST_PID.taken.following(1)
    while number >= 0:
        task = find_task(Pid(number))
        if task is not None and task.calls.waits_by_wall_clock and _is_in_such_a_call(task):
            interrupt(task)
        pace(_COST)
        number = FIRST_PID.taken.following(number + 1)


def monotonic_deadline(task: Task, wall_ns: int) -> int:
    """A time of the wall clock converted to the monotonic clock, for a call of the running task that waits until
    then.
    """
    task.calls.waits_by_wall_clock = True
    return wall_ns - realtime_offset_ns()


def _is_in_such_a_call(task: Task) -> bool:
    return task.stack is not None and call_under_way(task.stack_top) in _WAITING_CALLS
