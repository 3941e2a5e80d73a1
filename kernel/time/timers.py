"""Timers: actions at a time of the monotonic clock.

A timer is an object of a class derived from `Timer`; `expire` is the action. Armed timers are in a heap by
deadline. Each processor has a timer of its own, which interrupts it once, at the time that it is set to: that of the
next tick, or of the first deadline. The interrupt runs due timers.

Invariant: some processor's timer is set to the first deadline, or earlier.

Context: `start` may raise MemoryError. `expire` runs in interrupt context: it only wakes things, and never sleeps or
allocates.
"""

from typing import Final

from kernel.lang import final, noinline
from kernel.lib.pace import PACE, spend
from kernel.time.heap import NOT_QUEUED, DeadlineHeap, Queued

# No deadline: further away than any clock runs (292 years).
FOREVER_NS: Final = (1 << 63) - 1
_EXPIRE_COST: Final = 1000  # instructions
_AT_ONCE: Final = 300_000  # instructions after which the rest of the due timers waits for the next interrupt


class Timer(Queued):
    """Base of timers."""

    def expire(self, now_ns: int) -> int:
        """The deadline passed. Returns the next deadline on the monotonic clock, or 0: the timer is no longer armed."""
        return 0

    @property
    def deadline_ns(self) -> int:
        """When the timer expires, or, in `expire`, when it should have."""
        return self.queued_ns

    def is_armed(self) -> bool:
        """Whether the timer will expire."""
        return self.position != NOT_QUEUED

    def start(self, deadline_ns: int) -> None:
        """Arm the timer, or move its deadline. Raises MemoryError."""
        if self.position == NOT_QUEUED:
            ARMED.insert(self, deadline_ns)
        else:
            ARMED.move(self, deadline_ns)
        if deadline_ns < PROCESSOR_TIMERS.own.set_to_ns:
            _interrupt_by(deadline_ns)

    def suspend(self) -> None:
        """Let the timer wait for ever, armed or not so far, until `move` or `cancel`, which need no memory. Raises
        MemoryError; then it is as it was.
        """
        self.start(FOREVER_NS)

    def move(self, deadline_ns: int) -> None:
        """Change the deadline of a timer that is armed; does nothing for one that is not."""
        if self.position != NOT_QUEUED:
            ARMED.move(self, deadline_ns)
            if deadline_ns < PROCESSOR_TIMERS.own.set_to_ns:
                _interrupt_by(deadline_ns)

    def cancel(self) -> None:
        """Disarm; does nothing for a timer that is not armed."""
        if self.position != NOT_QUEUED:
            ARMED.take_out(self)

    def remaining_ns(self, now_ns: int) -> int:
        """Time until the deadline, at least 1 while it is armed; 0 when it is not."""
        if self.position == NOT_QUEUED:
            return 0
        return max(1, self.queued_ns - now_ns)


ARMED: Final[DeadlineHeap[Timer]] = DeadlineHeap()


class ProcessorTimer:
    """A processor's timer, which interrupts it once. Base class: nothing interrupts (see hardware.py)."""

    def __init__(self) -> None:
        self.set_to_ns: int = FOREVER_NS  # when it interrupts, at the latest; if past: it has, or is about to

    def set(self, at_ns: int) -> None:
        """Interrupt the processor that runs this, whose timer this is, at a time, in place of the time set before."""
        self.set_to_ns = at_ns


@final
class ProcessorTimers:
    """The timers of all processors. A processor can set only its own."""

    def __init__(self) -> None:
        self.own: ProcessorTimer = ProcessorTimer()  # of the processor that runs this
        self.all: list[ProcessorTimer] = []


PROCESSOR_TIMERS: Final = ProcessorTimers()


@noinline
def _interrupt_by(deadline_ns: int) -> None:
    """A timer was started that is due before this processor's interrupt."""
    if not _others_interrupt_by(deadline_ns):
        PROCESSOR_TIMERS.own.set(deadline_ns)


def _others_interrupt_by(deadline_ns: int) -> bool:
    for timer in PROCESSOR_TIMERS.all:
        if timer is not PROCESSOR_TIMERS.own and timer.set_to_ns <= deadline_ns:
            return True
    return False


def own_deadline_ns() -> int:
    """The first deadline, if this processor's timer is to wait for it; otherwise FOREVER_NS."""
    deadline_ns = next_deadline_ns()
    return FOREVER_NS if _others_interrupt_by(deadline_ns) else deadline_ns


def run_timers(now_ns: int) -> None:
    """Expire due timers. Called by the timer's interrupt, and before a processor goes idle. Of very many, some wait for
    the next interrupt, which is due at once: others run before.
    """
    timers = ARMED.entries
    enough = PACE.left - _AT_ONCE
    while len(timers) > 0:
        timer = timers[0]
        if timer.queued_ns > now_ns or PACE.left < enough:
            return
        spend(_EXPIRE_COST)
        following_ns = timer.expire(now_ns)
        if timer.position == NOT_QUEUED:
            continue  # it cancelled itself
        if following_ns > now_ns:
            ARMED.move(timer, following_ns)
        else:
            ARMED.take_out(timer)


def next_deadline_ns() -> int:
    """When the next timer is due, FOREVER_NS if none is armed."""
    return FOREVER_NS if len(ARMED.entries) == 0 else ARMED.entries[0].queued_ns


def armed_count() -> int:
    """How many timers are armed."""
    return len(ARMED.entries)
