"""Threads whose control group has used up its time wait for the next period (cpu.max).

They wait on the way to user mode, so they hold nothing that others wait for. A kill ends the wait.

Context: sleeps.
"""

from typing import Final

from kernel.lang import Errno, noinline, noraise
from kernel.sched import sleep_until, yield_now
from kernel.task.task import Task
from kernel.time.clock import monotonic_ns

_LONGEST_NS: Final = 100_000_000  # limits may change in the meantime


@noinline
@noraise
def wait_for_time(task: Task) -> bool:
    """Wait if the group of the running thread has no time left. Returns whether it had to."""
    share = task.share
    if share is None or not task.has_fair_policy():
        return False
    now_ns = monotonic_ns()
    free_ns = share.free_at(now_ns)
    if free_ns <= now_ns:
        return False
    task.signals.kill_wakes = True
    try:
        sleep_until(min(free_ns, now_ns + _LONGEST_NS), interruptible=False)
    except Errno:
        pass  # cannot be
    except MemoryError:
        yield_now()
    task.signals.kill_wakes = False
    return True
