"""The base of the clocks: what the time is computed from, and how it is read without the kernel lock.

Whoever holds the lock changes the base; the sequence is odd meanwhile. A reader without the lock reads the sequence
before and after: if it was odd, or is another one, what lies in between may not belong together. It does not try again
but takes the lock (kernel/doors/quick.py).

Safety: this processor stores, and loads, in the order of the program; `compiler_barrier` keeps the compiler to it.
Context: any; never sleeps, never allocates.
"""

from typing import Final

from arch import read_counter
from kernel.lang import atomic, final, unlocked
from kernel.lang.unsafe import compiler_barrier

SHIFT: Final = 24
# A delta below this times a scale below 2**(30 + SHIFT - 24) stays within 63 bits for every counter of 16 MHz or more.
REBASE_TICKS: Final = 1 << 32
UNKNOWN: Final = -1


@final
@atomic("sequence", "frequency_hz", "scale", "counter", "ns", "realtime_offset_ns", "last_ns")
class ClockBase:
    """Monotonic time `ns` was at `counter`."""

    def __init__(self) -> None:
        self.sequence: int = 0
        self.frequency_hz: int = 0  # 0: the clocks have not started
        self.scale: int = 0  # nanoseconds per counter tick, times 2**SHIFT
        self.counter: int = 0
        self.ns: int = 0
        self.realtime_offset_ns: int = 0
        self.last_ns: int = 0  # the last reading with the lock

    def move(self, counter: int, ns: int) -> None:
        """Set another base, from which the same times follow."""
        self._begin()
        self.counter = counter
        self.ns = ns
        self._end()

    def set_realtime_offset(self, offset_ns: int) -> None:
        """Set what to add to monotonic time for wall-clock time."""
        self._begin()
        self.realtime_offset_ns = offset_ns
        self._end()

    def _begin(self) -> None:
        self.sequence += 1
        compiler_barrier()

    def _end(self) -> None:
        compiler_barrier()
        self.sequence += 1


BASE: Final = ClockBase()


@unlocked
def quick_ns(*, of_wall_clock: bool) -> int:
    """CLOCK_MONOTONIC or CLOCK_REALTIME without the kernel lock. UNKNOWN while the base changes, or when it is to move.
    Never less than any reading with the lock before.
    """
    sequence = BASE.sequence
    compiler_barrier()
    from_counter = BASE.counter
    from_ns = BASE.ns
    offset_ns = BASE.realtime_offset_ns if of_wall_clock else 0
    least_ns = BASE.last_ns
    delta = read_counter() - from_counter
    compiler_barrier()
    if sequence & 1 != 0 or BASE.sequence != sequence or not 0 <= delta < REBASE_TICKS:
        return UNKNOWN
    return max(from_ns + (delta * BASE.scale >> SHIFT), least_ns) + offset_ns
