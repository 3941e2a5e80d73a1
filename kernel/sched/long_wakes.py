"""Wakes of queues with very many waiters: the first are notified at once, a thread notifies the rest.

A wake may come from an interrupt, and nothing else runs until it is over, so it notifies `WAITERS_AT_ONCE` at most.
Then a mark takes the place in the queue from which the thread "wakes" continues, with safe points. If the queue is
woken again before the thread has reached its end, it starts over. The rest of a `wake_one` is handled like that of a
`wake_all`: sleepers check whether what they wait for has come.

Marks are created before they are needed: 64 at first, which is enough for all threads, and more with the waiters that
outlive a call (LastingWaiter), many at a time so that they are adjacent: they stay forever.

Context: `leave` is fit for interrupts.
"""

from typing import Final

from kernel.lang import final, noinline, noraise
from kernel.lib.pace import pace
from kernel.sched.kthread import spawn_kernel_thread
from kernel.sched.poller import PollWaiter
from kernel.sched.scheduler import wake
from kernel.sched.thread import Thread
from kernel.sched.wait import REST, WAITERS_AT_ONCE, RestOfWakes, Waiter, WaitQueue, sleep_until
from kernel.time.timers import FOREVER_NS

_MARKS_AT_ONCE: Final = 64
_WAITERS_A_MARK: Final = WAITERS_AT_ONCE // 2
_WAKE_COST: Final = 400  # instructions


@final
class Mark(Waiter):
    """Where a wake continues in a queue. It ignores notifications."""

    def __init__(self) -> None:
        super().__init__()
        self.again: bool = False  # the queue was woken once more
        self.next_mark: Mark | None = None  # of those in use, or of the others


@final
class Marks(RestOfWakes):
    """All marks, and the thread."""

    def __init__(self) -> None:
        self.thread: Thread | None = None
        self.count: int = 0
        self.free: Mark | None = None
        self.first: Mark | None = None  # of those in use, in the order of the wakes
        self.last: Mark | None = None
        self.lasting: int = 0  # waiters

    def add_lasting(self) -> None:
        """One more waiter may be on a queue for long. Raises MemoryError."""
        if self.lasting >= self.count * _WAITERS_A_MARK:
            self.make_marks()
        self.lasting += 1

    @noinline
    def make_marks(self) -> None:
        """Create marks. Raises MemoryError."""
        for _ in range(_MARKS_AT_ONCE):
            mark = Mark()
            mark.next_mark = self.free
            self.free = mark
            self.count += 1

    def leave(self, queue: WaitQueue, following: Waiter) -> bool:
        thread = self.thread
        if thread is None:
            return False
        used = self.first
        while used is not None:
            if used.queue is queue:
                used.again = True
                return True
            used = used.next_mark
        mark = self.free
        if mark is None:
            return False
        self.free = mark.next_mark
        mark.queue = queue
        queue.link_before(following, mark)
        self.enter(mark)
        wake(thread)
        return True

    def enter(self, mark: Mark) -> None:
        """Put a mark after those in use."""
        mark.next_mark = None
        last = self.last
        if last is None:
            self.first = mark
        else:
            last.next_mark = mark
        self.last = mark

    def take(self) -> None:
        """Release the first of those in use."""
        mark = self.first
        if mark is not None:
            self.first = mark.next_mark
            if mark.next_mark is None:
                self.last = None
            mark.next_mark = None

    def go_on(self, mark: Mark, queue: WaitQueue) -> None:
        """Notify the waiters after a mark, the first of those in use. Sleeps."""
        while True:
            waiter = mark.after()
            if waiter is None:
                break
            beyond = waiter.after()
            queue.unlink(mark)
            if beyond is None:
                queue.link_last(mark)
            else:
                queue.link_before(beyond, mark)
            if waiter.once:
                queue.remove(waiter)
            waiter.notify()
            pace(_WAKE_COST)
        queue.unlink(mark)
        self.take()
        if mark.again:
            mark.again = False
            queue.link_first(mark)
            self.enter(mark)
        else:
            mark.queue = None
            mark.next_mark = self.free
            self.free = mark


MARKS: Final = Marks()
REST.rest = MARKS


def start_waking_thread() -> None:
    """Start the thread, once. Raises MemoryError."""
    MARKS.make_marks()
    MARKS.thread = spawn_kernel_thread(b"wakes", _work_for_ever, 0)


def _work_for_ever(_argument: int) -> None:
    while True:
        mark = MARKS.first
        queue = None if mark is None else mark.queue
        if mark is None or queue is None:
            sleep_until(FOREVER_NS, interruptible=False)
        else:
            MARKS.go_on(mark, queue)
            pace(_WAKE_COST)


class LastingWaiter(PollWaiter):
    """A poll waiter that may outlive the call that creates it, so that one program can have very many. Raises
    MemoryError.
    """

    def __init__(self) -> None:
        super().__init__()
        MARKS.add_lasting()
        self.is_counted: bool = True

    @noraise
    def close(self) -> None:
        super().close()
        if self.is_counted:
            self.is_counted = False
            MARKS.lasting -= 1
