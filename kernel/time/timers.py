"""Timers: things that happen at a time of the monotonic clock.

A timer is an object of a class derived from `Timer`; `expire` says what happens. Armed timers stand in a binary heap by
deadline, and each knows its place in it, so that cancelling costs no search. The tick runs what is due.

Invariants: `_heap[t.position] is t` for every armed timer; no child is due before its parent.
Context: `start` may raise MemoryError. `expire` runs in interrupt context: it only wakes things, and never sleeps or
allocates.
"""

from typing import Final

NOT_ARMED: Final = -1

# No deadline: further away than any clock runs (292 years).
FOREVER_NS: Final = (1 << 63) - 1


class Timer:
    """Base of timers."""

    def __init__(self) -> None:
        self.deadline_ns: int = 0
        self.position: int = NOT_ARMED

    def expire(self, now_ns: int) -> int:
        """The deadline passed. Returns the next deadline on the monotonic clock, or 0: the timer is no longer armed."""
        return 0

    def is_armed(self) -> bool:
        """Whether the timer will expire."""
        return self.position != NOT_ARMED

    def start(self, deadline_ns: int) -> None:
        """Arm the timer, or move its deadline. Raises MemoryError."""
        self.deadline_ns = deadline_ns
        if self.position == NOT_ARMED:
            self.position = len(_heap)
            try:
                _heap.append(self)
            except MemoryError:
                self.position = NOT_ARMED
                raise
            _sift_up(self.position)
        else:
            _sift_up(self.position)
            _sift_down(self.position)

    def cancel(self) -> None:
        """Disarm; does nothing for a timer that is not armed."""
        at = self.position
        if at == NOT_ARMED:
            return
        last = _heap.pop()
        self.position = NOT_ARMED
        if last is self:
            return
        _heap[at] = last
        last.position = at
        _sift_up(at)
        _sift_down(last.position)

    def remaining_ns(self, now_ns: int) -> int:
        """Time until the deadline, at least 1 while it is armed; 0 when it is not."""
        if self.position == NOT_ARMED:
            return 0
        return max(1, self.deadline_ns - now_ns)


_heap: list[Timer] = []


def _sift_up(at: int) -> None:
    timer = _heap[at]
    while at > 0:
        parent = (at - 1) >> 1
        above = _heap[parent]
        if above.deadline_ns <= timer.deadline_ns:
            break
        _heap[at] = above
        above.position = at
        at = parent
    _heap[at] = timer
    timer.position = at


def _sift_down(at: int) -> None:
    timer = _heap[at]
    count = len(_heap)
    while True:
        child = 2 * at + 1
        if child >= count:
            break
        if child + 1 < count and _heap[child + 1].deadline_ns < _heap[child].deadline_ns:
            child += 1
        below = _heap[child]
        if below.deadline_ns >= timer.deadline_ns:
            break
        _heap[at] = below
        below.position = at
        at = child
    _heap[at] = timer
    timer.position = at


def run_timers(now_ns: int) -> None:
    """Expire what is due. Called by the tick, and before a processor goes idle."""
    while len(_heap) > 0:
        timer = _heap[0]
        if timer.deadline_ns > now_ns:
            return
        following_ns = timer.expire(now_ns)
        if timer.position == NOT_ARMED:
            continue  # it cancelled itself
        if following_ns > now_ns:
            timer.deadline_ns = following_ns
            _sift_down(timer.position)
        else:
            timer.cancel()


def next_deadline_ns() -> int:
    """When the next timer is due, FOREVER_NS if none is armed."""
    return FOREVER_NS if len(_heap) == 0 else _heap[0].deadline_ns


def armed_count() -> int:
    """How many timers are armed."""
    return len(_heap)
