"""Timers of the protocols: a heap by deadline, run by the network thread.

Unlike those of `kernel.time`, these run in thread context, so `expire` may send, allocate and raise nothing. Protocols
move deadlines far more often than they let them pass, so moving is cheap: a deadline that moves back, or is cancelled,
only changes a number, and the heap learns of it when the old place comes up. `remove` really takes a timer out: whoever
owns one calls it at the end of its life, because the heap holds its timers.

Invariants: `_heap[t.position] is t` for each timer with a position; a timer's `queued_ns` is never after its deadline.
Context: thread context; never sleeps. `start` may raise MemoryError.
"""

from typing import Final

from kernel.lang import final

NOT_QUEUED: Final = -1
NEVER_NS: Final = (1 << 63) - 1


class NetworkTimer:
    """Base of the protocols' timers."""

    def __init__(self) -> None:
        self.deadline_ns: int = NEVER_NS  # of the monotonic clock; NEVER_NS: not armed
        self.queued_ns: int = 0
        self.position: int = NOT_QUEUED

    def expire(self, now_ns: int) -> None:
        """The deadline passed; the timer is no longer armed, and may be started again from here."""

    def is_armed(self) -> bool:
        return self.deadline_ns != NEVER_NS

    def start(self, deadline_ns: int) -> None:
        """Arm, or move the deadline. Raises MemoryError."""
        self.deadline_ns = deadline_ns
        if self.position == NOT_QUEUED:
            TIMERS.insert(self, deadline_ns)
        elif deadline_ns < self.queued_ns:
            self.queued_ns = deadline_ns
            TIMERS.sift_up(self.position)
            TIMERS.announce(deadline_ns)

    def cancel(self) -> None:
        """Disarm. The heap forgets the timer when its old deadline comes."""
        self.deadline_ns = NEVER_NS

    def remove(self) -> None:
        """Disarm, and let the heap forget the timer now."""
        self.deadline_ns = NEVER_NS
        if self.position != NOT_QUEUED:
            TIMERS.take_out(self)


class TimerHook:
    """What wakes the network thread in time; see thread.py."""

    def wake_at(self, deadline_ns: int) -> None:
        """The earliest deadline is this one now, and is earlier than what was said before."""


@final
class TimerQueue:
    """The heap."""

    def __init__(self) -> None:
        self.heap: list[NetworkTimer] = []
        self.hook: TimerHook | None = None
        self.announced_ns: int = NEVER_NS

    def announce(self, deadline_ns: int) -> None:
        """Have the network thread woken by `deadline_ns`."""
        if deadline_ns < self.announced_ns:
            self.announced_ns = deadline_ns
            hook = self.hook
            if hook is not None:
                hook.wake_at(deadline_ns)

    def insert(self, timer: NetworkTimer, deadline_ns: int) -> None:
        """Put a timer in that has no place. Raises MemoryError, and then it is not armed."""
        try:
            self.heap.append(timer)
        except MemoryError:
            timer.deadline_ns = NEVER_NS
            raise
        timer.queued_ns = deadline_ns
        timer.position = len(self.heap) - 1
        self.sift_up(timer.position)
        self.announce(deadline_ns)

    def take_out(self, timer: NetworkTimer) -> None:
        """Take a timer out that has a place."""
        at = timer.position
        last = self.heap.pop()
        timer.position = NOT_QUEUED
        if last is timer:
            return
        self.heap[at] = last
        last.position = at
        self.sift_up(at)
        self._sift_down(last.position)

    def run_due(self, now_ns: int) -> int:
        """Expire what is due; returns when the next look is needed, NEVER_NS for not before something is started."""
        heap = self.heap
        while len(heap) > 0:
            timer = heap[0]
            if timer.queued_ns > now_ns:
                break
            if timer.deadline_ns == NEVER_NS:
                self.take_out(timer)
            elif timer.deadline_ns > now_ns:
                timer.queued_ns = timer.deadline_ns
                self._sift_down(0)
            else:
                self.take_out(timer)
                timer.deadline_ns = NEVER_NS
                timer.expire(now_ns)
        self.announced_ns = NEVER_NS if len(heap) == 0 else heap[0].queued_ns
        return self.announced_ns

    def sift_up(self, at: int) -> None:
        """Restore the order after the timer at `at` became earlier."""
        heap = self.heap
        timer = heap[at]
        while at > 0:
            parent = (at - 1) >> 1
            above = heap[parent]
            if above.queued_ns <= timer.queued_ns:
                break
            heap[at] = above
            above.position = at
            at = parent
        heap[at] = timer
        timer.position = at

    def _sift_down(self, at: int) -> None:
        heap = self.heap
        timer = heap[at]
        count = len(heap)
        while True:
            child = 2 * at + 1
            if child >= count:
                break
            if child + 1 < count and heap[child + 1].queued_ns < heap[child].queued_ns:
                child += 1
            below = heap[child]
            if below.queued_ns >= timer.queued_ns:
                break
            heap[at] = below
            below.position = at
            at = child
        heap[at] = timer
        timer.position = at


TIMERS: Final = TimerQueue()
