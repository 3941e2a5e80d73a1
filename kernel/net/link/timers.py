"""Timers of the protocols, run by the network thread.

Unlike those of `kernel.time`, these run in thread context, so `expire` may send and allocate; when there is no memory,
it is called again later. Protocols move deadlines far more often than they let them pass, so moving is cheap: a
deadline that moves later, or is cancelled, only changes a number; the heap notices when the old place comes up.
`remove` really takes a timer out: its owner calls this at the end of its life, because the heap holds its timers.

Invariant: a timer's `queued_ns` is never after its deadline.
Context: thread context; never sleeps. `start` may raise MemoryError.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.pace import PACE, spend
from kernel.time.heap import NOT_QUEUED, DeadlineHeap, Queued

NEVER_NS: Final = (1 << 63) - 1
_RETRY_NS: Final = 100_000_000
_SHARE: Final = 200_000  # instructions that timers spend at once; see `kernel.lib.pace.spend`
_EXPIRE_COST: Final = 3000  # for one that expires, besides what it reports to have spent
_MOVE_COST: Final = 200


class NetworkTimer(Queued):
    """Base of the protocols' timers."""

    def __init__(self) -> None:
        super().__init__()
        self.deadline_ns: int = NEVER_NS  # of the monotonic clock; NEVER_NS: not armed

    def expire(self, now_ns: int) -> None:
        """The deadline passed; the timer is no longer armed, and may be started again from here. May raise MemoryError,
        if the next call can still find all that is left to do.
        """

    def is_armed(self) -> bool:
        return self.deadline_ns != NEVER_NS

    def start(self, deadline_ns: int) -> None:
        """Arm, or move the deadline. Raises MemoryError, and then it is not armed."""
        if self.position == NOT_QUEUED:
            TIMERS.heap.insert(self, deadline_ns)
            TIMERS.announce(deadline_ns)
        elif deadline_ns < self.queued_ns:
            TIMERS.heap.move(self, deadline_ns)
            TIMERS.announce(deadline_ns)
        self.deadline_ns = deadline_ns

    def cancel(self) -> None:
        """Disarm. The heap drops the timer when its old deadline comes."""
        self.deadline_ns = NEVER_NS

    def remove(self) -> None:
        """Disarm, and take the timer out of the heap now."""
        self.deadline_ns = NEVER_NS
        if self.position != NOT_QUEUED:
            TIMERS.heap.take_out(self)


class TimerHook:
    """Wakes the network thread in time; see thread.py."""

    def wake_at(self, deadline_ns: int) -> None:
        """This is the earliest deadline now; it is earlier than the last one announced."""


@final
class TimerQueue:
    """All timers that were armed and have not been found due since."""

    def __init__(self) -> None:
        self.heap: DeadlineHeap[NetworkTimer] = DeadlineHeap()
        self.hook: TimerHook | None = None
        self.announced_ns: int = NEVER_NS

    def announce(self, deadline_ns: int) -> None:
        """Have the network thread woken by `deadline_ns`."""
        if deadline_ns < self.announced_ns:
            self.announced_ns = deadline_ns
            hook = self.hook
            if hook is not None:
                hook.wake_at(deadline_ns)

    def _expire(self, timer: NetworkTimer, now_ns: int) -> None:
        """Expire a timer. It keeps its place until that is done, so that a retry needs no memory."""
        timer.deadline_ns = NEVER_NS
        self.heap.move(timer, now_ns + _RETRY_NS)
        try:
            timer.expire(now_ns)
        except MemoryError:
            if timer.position != NOT_QUEUED:
                timer.deadline_ns = now_ns + _RETRY_NS
        if timer.position != NOT_QUEUED and timer.deadline_ns == NEVER_NS:
            self.heap.take_out(timer)

    def run_due(self, now_ns: int) -> int:
        """Expire due timers, or a share of them; returns when to look again: not after `now_ns` if
        some are still due, and NEVER_NS if nothing is armed.
        """
        timers = self.heap.entries
        floor = PACE.left - _SHARE
        while len(timers) > 0 and PACE.left > floor:
            timer = timers[0]
            if timer.queued_ns > now_ns:
                break
            if timer.deadline_ns == NEVER_NS:
                self.heap.take_out(timer)
                spend(_MOVE_COST)
            elif timer.deadline_ns > now_ns:
                self.heap.move(timer, timer.deadline_ns)
                spend(_MOVE_COST)
            else:
                spend(_EXPIRE_COST)
                self._expire(timer, now_ns)
        self.announced_ns = NEVER_NS if len(timers) == 0 else timers[0].queued_ns
        return self.announced_ns


TIMERS: Final = TimerQueue()
