"""Notices for programs that wait for news in a ring, or want a signal for a sample (O_ASYNC).

Samples are taken between two threads, in page faults and in interrupts, and thousands of programs may wait for one. So
a sample only leaves a notice. It is delivered when a thread returns to user mode, when the processor has nothing to do,
or, if neither happens soon, by a timer. Each delivers only a part at once, and the timer goes on. A pending notice is
not left twice: much news in between is reported once, as on Linux.

Context: `add` any, between two threads and in interrupts too; delivery in the timer's interrupt, on the way to user
mode and before the processor idles. Nothing sleeps or allocates, but for `prepare`.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.linked import Linked, LinkedList
from kernel.lib.pace import spend
from kernel.lib.saturation import sum_of
from kernel.sched.scheduler import announce_work
from kernel.time.clock import monotonic_ns
from kernel.time.timers import FOREVER_NS, Timer

_COST_AT_ONCE: Final = 100_000  # instructions
_PAUSE_NS: Final = 200_000
_TIMER_COST: Final = 300


class Notice(Linked["Notice"]):
    """Something to tell. Base class: kernel/perf/ring.py, kernel/perf/event.py."""

    def __init__(self) -> None:
        super().__init__()
        self.is_due: bool = False

    def this(self) -> "Notice":
        return self

    def tell(self, instructions: int) -> int:
        """Notify those whom it concerns, for about that many instructions. How many are left; 0 or less: there may be
        more to tell, unless it is no longer due.
        """
        return instructions


@final
class Notices(Timer):
    """Those that stand, the oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.due: LinkedList[Notice] = LinkedList()

    def prepare(self) -> None:
        """Be armed, far away: setting it allocates nothing then. Raises MemoryError."""
        if not self.is_armed():
            self.start(FOREVER_NS)

    def add(self, notice: Notice) -> None:
        """Leave a notice."""
        if notice.is_due:
            return
        notice.is_due = True
        if self.due.is_empty():
            self.move(sum_of(monotonic_ns(), _PAUSE_NS))
            announce_work()
            spend(_TIMER_COST)
        self.due.link_last(notice)

    def remove(self, notice: Notice) -> None:
        """It was delivered, or no longer concerns anybody."""
        if notice.is_due:
            notice.is_due = False
            self.due.unlink(notice)

    def tell_now(self) -> bool:
        """Deliver some at a good moment. Returns whether there were any, and all of them are delivered."""
        if self.due.is_empty():
            return False
        spend(_COST_AT_ONCE)
        self.move(self.expire(monotonic_ns()))
        return self.due.is_empty()

    def expire(self, now_ns: int) -> int:
        left = _COST_AT_ONCE
        while left > 0:
            notice = self.due.first()
            if notice is None:
                return FOREVER_NS
            left = notice.tell(left)
            if left > 0:
                self.remove(notice)
        return FOREVER_NS if self.due.is_empty() else sum_of(now_ns, _PAUSE_NS)


NOTICES: Final = Notices()
