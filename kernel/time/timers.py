"""Timers: things that happen at a time of the monotonic clock.

A timer is an object of a class derived from `Timer`; `expire` says what happens. Armed timers stand in a heap by
deadline; the tick runs what is due.

Context: `start` may raise MemoryError. `expire` runs in interrupt context: it only wakes things, and never sleeps or
allocates.
"""

from typing import Final

from kernel.time.heap import NOT_QUEUED, DeadlineHeap, Queued

# No deadline: further away than any clock runs (292 years).
FOREVER_NS: Final = (1 << 63) - 1


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


def run_timers(now_ns: int) -> None:
    """Expire what is due. Called by the tick, and before a processor goes idle."""
    timers = ARMED.entries
    while len(timers) > 0:
        timer = timers[0]
        if timer.queued_ns > now_ns:
            return
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
