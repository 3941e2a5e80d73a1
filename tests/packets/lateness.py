"""By how much the host has been late: a scenario's steps follow each other at once, on a host with time for them."""

from __future__ import annotations

STEP = 0.005  # seconds: what a step takes then


class Lateness:
    """How late one step was at worst, or all of those together that nothing waited between: the guest's timers run on
    meanwhile. Times are those of one clock, in seconds.
    """

    def __init__(self) -> None:
        self.seconds = 0.0  # at worst
        self._acted = 0.0  # when the peer or the guest's program last did something, or a pause ended; 0: never yet
        self._in_a_row = 0.0  # of the steps since the last pause

    def note(self, delay: float) -> None:
        """Something took that long that takes no time."""
        self.seconds = max(self.seconds, delay)

    def act(self, now: float) -> None:
        """The next step follows the last one at once, unless the host has other things to do."""
        if self._acted != 0.0:
            delay = now - self._acted
            self._in_a_row += max(0.0, delay - STEP)
            self.note(max(delay, self._in_a_row))
        self._acted = now

    def resume(self, now: float) -> None:
        """Whatever was waited for, it is over: what follows is on time."""
        self._acted = now
        self._in_a_row = 0.0
