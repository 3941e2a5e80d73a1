"""Clocks and timers: monotonic and wall-clock time, and a queue of timers that the tick runs.

Public names: `monotonic_ns`, `realtime_ns`, `coarse_realtime_ns`, `boottime_ns`, `set_realtime` (clock.py); `Timer`
(timers.py).
"""

from kernel.time.clock import boottime_ns, coarse_realtime_ns, monotonic_ns, realtime_ns, set_realtime
from kernel.time.timers import Timer, run_timers

__all__ = [
    "Timer",
    "boottime_ns",
    "coarse_realtime_ns",
    "monotonic_ns",
    "realtime_ns",
    "run_timers",
    "set_realtime",
]
