"""Waiting for completions: io_uring_enter(2) with IORING_ENTER_GETEVENTS.

Context: sleeps.
"""

from kernel.lang import EBADR, EINTR, ETIME, Errno, final
from kernel.sched import current_thread
from kernel.time import monotonic_ns
from kernel.uring.perform import TaskWork, run_deferred
from kernel.uring.ring import Ring


@final
class Patience:
    """How long, and for how much."""

    def __init__(self, least: int, deadline_ns: int, least_ns: int) -> None:
        self.least: int = least  # completions
        self.deadline_ns: int = deadline_ns
        self.least_ns: int = least_ns


def wait_for_completions(ring: Ring, work: TaskWork, patience: Patience) -> None:
    """Raises ETIME, EINTR where nothing came; EBADR if completions were lost."""
    timed_out = ring.timed_out
    least = min(patience.least, ring.completion_count)
    at_first = ring.waiting_completions()
    while True:
        _look(ring, work)
        if ring.has_lost:
            ring.has_lost = False
            raise Errno(EBADR)
        ready = ring.waiting_completions()
        if ready >= least or ring.timed_out != timed_out:
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
        if not _sleep(ring, work, deadline_ns) and monotonic_ns() >= patience.deadline_ns:
            _look(ring, work)
            if ring.waiting_completions() == 0:
                raise Errno(ETIME)
            return


def _look(ring: Ring, work: TaskWork) -> None:
    """Do what is due, and enter what finds room now."""
    work.run()
    work.is_at_work = True
    run_deferred(ring)
    ring.flush()


def _sleep(ring: Ring, work: TaskWork, deadline_ns: int) -> bool:
    """Until something happens (True), or the time is up. Raises EINTR where no completion waits."""
    thread = current_thread()
    work.sleeper = thread
    if ring.defers:
        ring.sleeper = thread
    interrupted = False
    woken = True
    try:
        woken = ring.waiters.sleep_until(deadline_ns)
    except Errno:
        interrupted = True
    finally:
        work.sleeper = None
        if ring.defers:
            ring.sleeper = None
    if interrupted:
        _look(ring, work)
        raise Errno(EINTR)
    return woken
