"""Waiting on many wait queues at once: poll, select, and the base of epoll.

    poller = Poller()
    try:
        while True:
            poller.start()
            ... file.poll(poller) for every file, count what is ready ...
            if ready or not poller.sleep_until(deadline_ns): break
    finally:
        poller.close()

`File.poll(waiter)` calls `waiter.wait_on(queue)` for each queue that tells of a change; a file asked a second time with
the same waiter is queued once.

Context: `wait_on` may raise MemoryError; `sleep_until` sleeps; wakes may come from interrupts.
"""

from kernel.lang import ERESTARTNOHAND, Errno, final, sleeps
from kernel.sched.scheduler import current_thread, schedule, wake
from kernel.sched.thread import Thread, ThreadState
from kernel.sched.wait import Waiter, WaitQueue, arm_timer, disarm_timer
from kernel.time.clock import monotonic_ns
from kernel.time.timers import FOREVER_NS


@final
class PollEntry(Waiter):
    """A poll waiter's place on one queue."""

    def __init__(self, owner: "PollWaiter") -> None:
        super().__init__()
        self.owner: PollWaiter = owner

    def notify(self) -> None:
        self.owner.notified()


class PollWaiter:
    """Stands on several queues. Base class: what a wake means is `notified`."""

    def __init__(self) -> None:
        self.entries: list[PollEntry] = []

    def notified(self) -> None:
        """One of the queues was woken. In interrupt context perhaps."""

    def wait_on(self, queue: WaitQueue) -> None:
        """Stand on `queue` too. Raises MemoryError."""
        for entry in self.entries:
            if entry.queue is queue:
                return
        entry = PollEntry(self)
        self.entries.append(entry)
        queue.add_first(entry)

    def close(self) -> None:
        """Leave all queues. Must be called: a queue holds its waiters."""
        for entry in self.entries:
            entry.leave()
        self.entries.clear()


@final
class Poller(PollWaiter):
    """Lets the running thread sleep on all the queues."""

    def __init__(self) -> None:
        super().__init__()
        self.thread: Thread = current_thread()
        self.happened: bool = False

    def notified(self) -> None:
        self.happened = True
        wake(self.thread)

    def start(self) -> None:
        """Begin a round: wakes from now on end the next sleep at once."""
        self.happened = False

    def has_happened(self) -> bool:
        """Whether a queue was woken in this round. A call: to a type checker, a flag found false stays false."""
        return self.happened

    @sleeps
    def sleep_until(self, deadline_ns: int) -> bool:
        """Sleep until a queue was woken (True) or the clock shows `deadline_ns` (False; FOREVER_NS: no limit).

        Raises ERESTARTNOHAND when a signal came, MemoryError.
        """
        thread = self.thread
        if self.happened:
            return True
        if thread.is_interrupted():
            raise Errno(ERESTARTNOHAND)
        if deadline_ns <= monotonic_ns():
            return False
        if deadline_ns != FOREVER_NS:
            arm_timer(thread, deadline_ns)
        thread.state = ThreadState.SLEEPING
        schedule()
        timed_out = deadline_ns != FOREVER_NS and disarm_timer(thread)
        if self.has_happened():
            return True
        if timed_out:
            return False
        if thread.is_interrupted():
            raise Errno(ERESTARTNOHAND)
        return True
