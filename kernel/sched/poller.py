"""Waiting on many wait queues at once: poll, select, and the base of epoll.

    poller = Poller()
    try:
        while True:
            poller.start()
            ... file.poll(poller) for every file, count what is ready ...
            if ready or not poller.sleep_until(deadline_ns): break
    finally:
        poller.close()

`File.poll(waiter)` calls `waiter.wait_on(queue)` for each queue that wakes at a change; a file asked a second time with
the same waiter is queued once.

Context: `wait_on` may raise MemoryError; `sleep_until` sleeps; wakes may come from interrupts.
"""

from typing import Final

from kernel.lang import ERESTARTNOHAND, Errno, final, sleeps
from kernel.lib.pace import pace
from kernel.sched.scheduler import current_thread, schedule, wake
from kernel.sched.thread import Thread, ThreadState
from kernel.sched.wait import Waiter, WaitQueue, arm_timer, disarm_timer
from kernel.time.clock import monotonic_ns
from kernel.time.timers import FOREVER_NS

ALL_EVENTS: Final = 0xFFFF
_MANY_ENTRIES: Final = 16
_LEAVE_COST: Final = 60  # instructions


@final
class PollEntry(Waiter):
    """A poll waiter's place on one queue."""

    def __init__(self, owner: "PollWaiter") -> None:
        super().__init__()
        self.owner: PollWaiter = owner
        self.made_before: PollEntry | None = owner.latest  # the owner's, which may be very many

    def notify(self) -> None:
        self.owner.notified()


class PollWaiter:
    """Waits on several queues. Base class: `notified` handles a wake."""

    def __init__(self) -> None:
        self.latest: PollEntry | None = None
        self.entry_count: int = 0  # of entries
        self.wanted: int = ALL_EVENTS  # the events (POLL*) that the file to be polled next is asked for
        self._queues: dict[WaitQueue, bool] | None = None  # the queues of the entries, once there are many

    def notified(self) -> None:
        """One of the queues was woken. In interrupt context perhaps."""

    def wait_on(self, queue: WaitQueue) -> None:
        """Wait on `queue` too. Raises MemoryError."""
        queues = self._queues
        if queues is not None:
            if queue in queues:
                return
            queues[queue] = True
        else:
            each = self.latest
            while each is not None:
                if each.queue is queue:
                    return
                each = each.made_before
            if self.entry_count == _MANY_ENTRIES:
                self._index_queues(queue)
        entry = PollEntry(self)
        self.latest = entry
        self.entry_count += 1
        queue.add_first(entry)

    def _index_queues(self, latest: WaitQueue) -> None:
        """From now on, queues are looked up: comparing each with all others would take long."""
        queues: dict[WaitQueue, bool] = {latest: True}
        entry = self.latest
        while entry is not None:
            queue = entry.queue
            if queue is not None:
                queues[queue] = True
            entry = entry.made_before
        self._queues = queues

    def leave_one(self) -> bool:
        """Leave a queue; whether there was one."""
        entry = self.latest
        if entry is None:
            return False
        self.latest = entry.made_before
        self.entry_count -= 1
        entry.made_before = None
        entry.leave()
        return True

    def close(self) -> None:
        """Leave all queues. Must be called: a queue holds its waiters."""
        while self.leave_one():
            pass
        self._queues = None


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

    def close_paced(self) -> None:
        """As `close`, for very many queues. Sleeps."""
        while self.leave_one():
            pace(_LEAVE_COST)
        self._queues = None

    def start(self) -> None:
        """Begin a round: wakes from now on end the next sleep at once."""
        self.happened = False

    def has_happened(self) -> bool:
        """Whether a queue was woken in this round. A method: to a type checker, a flag found false stays false."""
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
