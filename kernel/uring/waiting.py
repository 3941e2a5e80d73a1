"""Waiting for completions, as io_uring_enter(2) does with IORING_ENTER_GETEVENTS, and for the end of requests that use
registered files or buffers.

Context: sleeps.
"""

from enum import IntEnum

from kernel.lang import EBADR, EINTR, ETIME, Errno, final
from kernel.lib.pace import is_interrupted
from kernel.sched import WaitQueue, current_thread
from kernel.time import monotonic_ns
from kernel.time.timers import FOREVER_NS
from kernel.uring.perform import TaskWork, run_deferred
from kernel.uring.retirement import has_past_users
from kernel.uring.ring import Ring


class Woken(IntEnum):
    """What ended a sleep."""

    HAPPENED = 0
    TIME_IS_UP = 1
    INTERRUPTED = 2


@final
class Patience:
    """How long, and for how much."""

    def __init__(self, least: int, deadline_ns: int, least_ns: int) -> None:
        self.least: int = least  # completions
        self.deadline_ns: int = deadline_ns
        self.least_ns: int = least_ns


def wait_for_completions(ring: Ring, work: TaskWork, patience: Patience) -> None:
    """Raises ETIME, EINTR where nothing came; EBADR if completions were lost."""
    timed_out = ring.progress.timed_out
    least = min(patience.least, ring.shape.completion_count)
    at_first = ring.waiting_completions()
    while True:
        look(ring, work)
        ready = ring.waiting_completions()
        if ready >= least or ring.progress.timed_out != timed_out:
            return
        deadline_ns = patience.deadline_ns
        if patience.least_ns != 0:
            if monotonic_ns() >= patience.least_ns:
                if ready > at_first:
                    return
                patience.least_ns = 0
                least = min(least, at_first + 1)
                continue
            deadline_ns = min(deadline_ns, patience.least_ns)
        how = _sleep(ring.listeners.waiters, ring, work, deadline_ns)
        if how == Woken.HAPPENED or (how == Woken.TIME_IS_UP and monotonic_ns() < patience.deadline_ns):
            continue
        _enter_due(ring, work)
        if ring.waiting_completions() == 0:
            raise Errno(EINTR if how == Woken.INTERRUPTED else ETIME)
        return


def look(ring: Ring, work: TaskWork) -> None:
    """Do what is due. Raises EBADR if completions were lost."""
    _enter_due(ring, work)
    if ring.overflow.has_lost:
        ring.overflow.has_lost = False
        raise Errno(EBADR)


def _enter_due(ring: Ring, work: TaskWork) -> None:
    """Do what is due, and enter what finds room now."""
    work.run()
    work.is_at_work = True
    run_deferred(ring)
    ring.flush()


def wait_for_users(ring: Ring, work: TaskWork) -> None:
    """Wait until requests have ended that use registered files or buffers, after `begin_withdrawal`. Raises EINTR."""
    while True:
        work.run()
        work.is_at_work = True
        run_deferred(ring)
        if not has_past_users(ring):
            return
        how = _sleep(ring.registered.generations.ended, ring, work, FOREVER_NS)
        if how == Woken.INTERRUPTED and has_past_users(ring):
            raise Errno(EINTR)


def _sleep(queue: WaitQueue, ring: Ring, work: TaskWork, deadline_ns: int) -> Woken:
    """Until something happens or the time is up."""
    if work.due.first is not None or ring.due.first is not None:  # it came while we looked
        return Woken.INTERRUPTED if is_interrupted() else Woken.HAPPENED
    thread = current_thread()
    work.sleeper = thread
    if ring.defers:
        ring.listeners.sleeper = thread
    how = Woken.HAPPENED
    try:
        if not queue.sleep_until(deadline_ns):
            how = Woken.TIME_IS_UP
    except Errno:
        how = Woken.INTERRUPTED
    finally:
        work.sleeper = None
        if ring.defers:
            ring.listeners.sleeper = None
    return how
