"""Threads and scheduling: run queue, wait queues, timeouts, sleeping locks, kernel stacks.

Context: the kernel runs with interrupts off and on one processor at a time, so code between two sleeping calls
is atomic.
`wake` and everything that only wakes may be called from interrupts; functions that sleep may not.
"""

from kernel.sched.kthread import KernelThread, spawn_kernel_thread
from kernel.sched.long_wakes import LastingWaiter
from kernel.sched.mutex import Mutex, mutex_or_new
from kernel.sched.obligation import Obligation, lose_thread
from kernel.sched.poller import Poller, PollWaiter
from kernel.sched.rest import SafePoint  # its import lets long loops take safe points
from kernel.sched.scheduler import current_thread, exit_thread, safe_point, tick, wake, yield_now
from kernel.sched.thread import Thread, ThreadState
from kernel.sched.wait import WaitQueue, sleep_for_signal, sleep_until

__all__ = [
    "KernelThread",
    "LastingWaiter",
    "Mutex",
    "Obligation",
    "PollWaiter",
    "Poller",
    "SafePoint",
    "Thread",
    "ThreadState",
    "WaitQueue",
    "current_thread",
    "exit_thread",
    "lose_thread",
    "mutex_or_new",
    "safe_point",
    "sleep_for_signal",
    "sleep_until",
    "spawn_kernel_thread",
    "tick",
    "wake",
    "yield_now",
]
