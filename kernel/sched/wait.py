"""Wait queues: where threads sleep until they are notified that something happened.

A queue is a list of waiters. A sleeping thread is there with its own waiter, which leaves the queue when it is
woken; other waiters (poll, epoll) stay until their owner removes them, and are notified of every wake. Because nothing
interrupts kernel code between testing a condition and sleeping, no wake is lost:

    while not condition:
        queue.sleep()

A wake notifies at most `WAITERS_AT_ONCE` itself, so that it does not stop the machine; see long_wakes.py for the rest.

Context: `sleep` sleeps; waking is fit for interrupts. Linking allocates nothing.
Source: the interruption rules of signal(7).
"""

from typing import Final

from kernel.lang import ERESTARTNOHAND, ERESTARTSYS, Errno, final, inline, noinline, noraise, panic, sleeps
from kernel.lib.linked import Linked, LinkedList
from kernel.lib.pace import pace, spend
from kernel.sched.pressure import MACHINE, WAITS_FOR_DISK
from kernel.sched.processor import this_processor
from kernel.sched.scheduler import current_thread, safe_point, schedule, wake, yield_now
from kernel.sched.thread import Thread, ThreadState
from kernel.time.clock import monotonic_ns
from kernel.time.timers import FOREVER_NS, Timer

WAITERS_AT_ONCE: Final = 512
_WAKE_COST: Final = 400  # instructions
_SLEEP_COST: Final = 1000  # for a thread that is woken, and sleeps on: thousands may do so one after the other


@final
class SleepTimer(Timer):
    """Ends a thread's sleep at a time."""

    def __init__(self, thread: Thread) -> None:
        super().__init__()
        self.thread: Thread = thread
        self.expired: bool = False

    def expire(self, now_ns: int) -> int:
        self.expired = True
        wake(self.thread)
        return 0


class Waiter(Linked["Waiter"]):
    """Is notified of a queue's wakes. Base class: see SleepWaiter and poller.py."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: WaitQueue | None = None
        self.once: bool = False  # leaves the queue when it is notified, and `wake_one` wakes only one of these

    @inline
    def this(self) -> "Waiter":
        return self

    def notify(self) -> None:
        """The queue was woken. Perhaps in interrupt context: only wake things."""

    def leave(self) -> None:
        """Leave the queue."""
        queue = self.queue
        if queue is not None:
            queue.remove(self)


@final
class SleepWaiter(Waiter):
    """A thread that sleeps on one queue."""

    def __init__(self, thread: Thread) -> None:
        super().__init__()
        self.once = True
        self.thread: Thread = thread

    def notify(self) -> None:
        self.thread.woken = True
        wake(self.thread)


@final
class WaitQueue(LinkedList[Waiter]):
    """The waiters for one event, in order of arrival."""

    def add(self, waiter: Waiter) -> None:
        """Append a waiter that is on no queue."""
        waiter.queue = self
        self.link_last(waiter)

    def add_first(self, waiter: Waiter) -> None:
        """Put a waiter that is on no queue in front: as on Linux, watchers are notified before sleepers, and the latest
        of them first.
        """
        waiter.queue = self
        self.link_first(waiter)

    def remove(self, waiter: Waiter) -> None:
        """Take a waiter off this queue."""
        self.unlink(waiter)
        waiter.queue = None

    @sleeps
    def sleep(self, interruptible: bool = True) -> None:
        """Sleep until woken. Raises ERESTARTSYS when a signal came first."""
        self.sleep_until(FOREVER_NS, interruptible)

    @noraise
    @sleeps
    def wait(self) -> None:
        """Sleep until woken, whatever signals come. Needs no memory."""
        thread = current_thread()
        waiter = thread.waiter
        if waiter is None:
            panic("a thread without a place in queues")
        thread.woken = False
        self.add(waiter)
        thread.state = ThreadState.WAITING
        schedule()
        waiter.leave()

    @noraise
    @sleeps
    def wait_for_disk(self) -> None:
        """The same, for a disk's answer: that counts as pressure."""
        current_thread().charges.strain |= WAITS_FOR_DISK
        MACHINE.is_noted = True
        self.wait()

    @sleeps
    def wait_for_disk_until(self, deadline_ns: int) -> bool:
        """The same with a time limit: False if that has passed. Raises MemoryError."""
        thread = current_thread()
        thread.charges.strain |= WAITS_FOR_DISK
        MACHINE.is_noted = True
        try:
            return self.sleep_until(deadline_ns, interruptible=False)
        finally:
            thread.charges.strain &= ~WAITS_FOR_DISK  # if it did not sleep

    @sleeps
    def sleep_until(self, deadline_ns: int, interruptible: bool = True) -> bool:
        """Sleep until woken (True) or until the monotonic clock shows `deadline_ns` (False). Raises ERESTARTSYS,
        MemoryError.
        """
        thread = current_thread()
        if interruptible and thread.is_interrupted():
            raise Errno(ERESTARTSYS)
        waiter = thread.waiter
        if waiter is None:
            panic("a thread without a place in queues")
        timed_out = False
        if deadline_ns != FOREVER_NS:
            if deadline_ns <= monotonic_ns():
                return False
            arm_timer(thread, deadline_ns)
        thread.woken = False
        self.add(waiter)
        thread.state = ThreadState.SLEEPING if interruptible else ThreadState.WAITING
        schedule()
        if deadline_ns != FOREVER_NS:
            timed_out = disarm_timer(thread)
        waiter.leave()
        if thread.woken:
            return True
        if timed_out:
            return False
        if interruptible and thread.is_interrupted():
            raise Errno(ERESTARTSYS)
        pace(_SLEEP_COST)
        return True  # woken by hand: the caller checks again

    @sleeps
    def pause(self, duration_ns: int) -> None:
        """Sleep until woken, or for that long at most: memory is short, and others may free some. If there is none even
        for the time limit, interrupts are let in and others run.
        """
        try:
            self.sleep_until(monotonic_ns() + duration_ns, interruptible=False)
        except (Errno, MemoryError):
            safe_point()
            yield_now()

    @inline
    def wake_all(self) -> None:
        """Wake all present waiters."""
        if self.head is not None:
            self._tell(only_one=False)

    @inline
    def wake_one(self) -> None:
        """Wake the sleeper that came first; watchers are notified too."""
        if self.head is not None:
            self._tell(only_one=True)

    @noinline
    def _tell(self, *, only_one: bool) -> None:
        waiter = self.first()
        notified = 0
        while waiter is not None:
            following = waiter.after()
            if waiter.once:
                self.remove(waiter)
            waiter.notify()
            if only_one and waiter.once:
                return
            notified += 1
            spend(_WAKE_COST)
            if notified == WAITERS_AT_ONCE and following is not None and REST.rest.leave(self, following):
                return  # they are notified later
            waiter = following


class RestOfWakes:
    """Handles the waiters that a long wake does not notify at once. Base class: no one notifies them later."""

    def leave(self, queue: WaitQueue, following: Waiter) -> bool:
        """Whether the waiters from `following` on will be notified later."""
        return False


@final
class Rest:
    """The registered implementation."""

    def __init__(self) -> None:
        self.rest: RestOfWakes = RestOfWakes()


REST: Final = Rest()


def prepare_sleep(thread: Thread) -> None:
    """Give a new thread its waiter: so a sleep without a time limit never lacks memory, and a thread that
    must wait can. Raises MemoryError.
    """
    thread.waiter = SleepWaiter(thread)


prepare_sleep(this_processor().boot_thread)


def arm_timer(thread: Thread, deadline_ns: int) -> None:
    """Let the thread's sleep end at a time. Raises MemoryError."""
    timer = thread.timer
    if timer is None:
        timer = SleepTimer(thread)
        thread.timer = timer
    timer.expired = False
    timer.start(deadline_ns)


def disarm_timer(thread: Thread) -> bool:
    """After the sleep: whether the deadline had passed."""
    timer = thread.timer
    if timer is None:
        return False
    timer.cancel()
    return timer.expired


@sleeps
def sleep_until(deadline_ns: int, interruptible: bool = True) -> bool:
    """Sleep until the monotonic clock shows `deadline_ns` (then False), or until woken by `wake` (True). Raises
    ERESTARTSYS, MemoryError.
    """
    thread = current_thread()
    if interruptible and thread.is_interrupted():
        raise Errno(ERESTARTSYS)
    if deadline_ns <= monotonic_ns():
        return False
    if deadline_ns != FOREVER_NS:
        arm_timer(thread, deadline_ns)
    thread.state = ThreadState.SLEEPING if interruptible else ThreadState.WAITING
    schedule()
    if deadline_ns != FOREVER_NS and disarm_timer(thread):
        return False
    if interruptible and thread.is_interrupted():
        raise Errno(ERESTARTSYS)
    pace(_SLEEP_COST)
    return True


@sleeps
def sleep_for_signal() -> None:
    """Sleep until a signal comes; raises ERESTARTNOHAND (pause(2), sigsuspend(2))."""
    thread = current_thread()
    while not thread.is_interrupted():
        thread.state = ThreadState.SLEEPING
        schedule()
        pace(_SLEEP_COST)
    raise Errno(ERESTARTNOHAND)
