"""Clocks and timers: monotonic and wall-clock time, and a queue of timers that the tick runs.

Public names: `monotonic_ns`, `realtime_ns`, `coarse_realtime_ns` (clock.py); `Timer` (timers.py).
"""

from kernel.time.clock import coarse_realtime_ns, monotonic_ns, realtime_ns
from kernel.time.timers import Timer

__all__ = [
    "Timer",
    "coarse_realtime_ns",
    "monotonic_ns",
    "realtime_ns",
]
