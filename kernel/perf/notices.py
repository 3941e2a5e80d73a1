"""Who waits for news in a ring, or wants a signal for a sample (O_ASYNC), hears of it a little later.

Samples are taken between two threads, in page faults and in interrupts, and thousands of programs may wait for one. So
a sample only leaves a notice. It is told when a thread goes on in user mode, or the processor has nothing to do; where
neither comes soon, by a timer. Each tells no more than a part at once, and the timer goes on. A notice that stands is
not left twice: much news in between is told once, as on Linux.

Context: `add` any, between two threads and in interrupts too; telling in the timer's interrupt, on the way to user mode
and before the processor idles. Nothing sleeps or allocates, but for `prepare`.
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
        more to tell, unless it is not due any more.
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
        """It was told, or concerns nobody any more."""
        if notice.is_due:
            notice.is_due = False
            self.due.unlink(notice)

    def tell_now(self) -> bool:
        """This is a good moment to tell some. Whether there were any, and all of them are told."""
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
