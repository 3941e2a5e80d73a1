"""Triggers: a program that wrote one to a pressure file is notified when a time has run for long enough within a window
(Documentation/accounting/psi.rst in Linux's sources, "Monitoring for pressure thresholds").

A trigger checks ten times a window. It compares the time's growth since the window began, plus a part of
the growth in the window before. It notifies at most once a window.

Context: `expire` runs in interrupts. The rest: any.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, final
from kernel.lib.scan import Scan
from kernel.sched.pressure import Pressure
from kernel.sched.wait import WaitQueue
from kernel.time.clock import NS_PER_MS, NS_PER_US, monotonic_ns
from kernel.time.timers import Timer

_LOOKS: Final = 10  # a window
_LEAST_PAUSE_NS: Final = 10 * NS_PER_MS
_MOST_US: Final = 10_000_000
_FREE_STEP_US: Final = 2_000_000  # windows for unprivileged users are multiples of this
_WORD: Final = 0xFFFF_FFFF
_MOST_GROWTH_NS: Final = 1 << 39  # times _MOST_US fits 63 bits; it grows more only if no one checked for minutes


@final
class PressureTrigger(Timer):
    """A trigger. It checks until it is cancelled."""

    def __init__(self, pressure: Pressure, kind: int, threshold_ns: int, window_ns: int) -> None:
        super().__init__()
        self.pressure: Pressure = pressure
        self.kind: int = kind
        self.threshold_ns: int = threshold_ns
        self.window_ns: int = window_ns
        self.queue: WaitQueue = WaitQueue()
        self.has_happened: bool = False  # and the poller has not been notified
        self._waits: bool = False  # it happened, in a window with a notification already
        self._told_ns: int = 0
        now_ns = monotonic_ns()
        pressure.bring_up(now_ns)
        self._begun_ns: int = now_ns
        self._total_ns: int = pressure.totals[kind]  # when the window began
        self._last_growth_ns: int = 0  # in the window before
        self._looked_at_ns: int = self._total_ns

    def begin(self) -> None:
        """Start to check. Raises MemoryError."""
        self.start(monotonic_ns() + self._pause_ns())

    def _pause_ns(self) -> int:
        return max(_LEAST_PAUSE_NS, self.window_ns // _LOOKS)

    def expire(self, now_ns: int) -> int:
        self.look(now_ns)
        return now_ns + self._pause_ns()

    def look(self, now_ns: int) -> None:
        """Find out whether it has happened."""
        self.pressure.bring_up(now_ns)
        total_ns = self.pressure.totals[self.kind]
        if not self._waits:
            if total_ns == self._looked_at_ns:
                return
            self._looked_at_ns = total_ns
            if self._growth_ns(now_ns, total_ns) < self.threshold_ns:
                return
            self._waits = True
        if now_ns < self._told_ns + self.window_ns:
            return
        self._waits = False
        self._told_ns = now_ns
        if not self.has_happened:
            self.has_happened = True
            self.queue.wake_all()

    def _growth_ns(self, now_ns: int, total_ns: int) -> int:
        growth_ns = total_ns - self._total_ns
        left_ns = self._begun_ns + self.window_ns - now_ns
        if left_ns < 0:
            self._begun_ns = now_ns
            self._total_ns = total_ns
            self._last_growth_ns = min(growth_ns, _MOST_GROWTH_NS)
            return growth_ns
        return growth_ns + self._last_growth_ns * (left_ns // NS_PER_US) // (self.window_ns // NS_PER_US)

    def take(self) -> bool:
        """Whether it has happened, and was not reported yet."""
        happened = self.has_happened
        self.has_happened = False
        return happened


def parse_trigger(text: bytes, pressure: Pressure, resource: int, *, is_privileged: bool) -> PressureTrigger:
    """The trigger that a text describes: `some` or `full`, and microseconds of the threshold and of the window. Raises
    EINVAL.
    """
    scan = Scan(text)
    kind = resource
    if scan.takes(b"full"):
        kind += 1
    elif not scan.takes(b"some"):
        raise Errno(EINVAL)
    threshold_us = scan.number(signed=False) & _WORD
    window_us = scan.number(signed=False) & _WORD
    if not 0 < window_us <= _MOST_US or not 0 < threshold_us <= window_us:
        raise Errno(EINVAL)
    if not is_privileged and window_us % _FREE_STEP_US != 0:
        raise Errno(EINVAL)
    return PressureTrigger(pressure, kind, threshold_us * NS_PER_US, window_us * NS_PER_US)
