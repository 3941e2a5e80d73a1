"""The clocks: monotonic time from the time-stamp counter, wall-clock time as an offset from it.

Nanoseconds are `base_ns + (tsc - base_tsc) * 2**-32 * scale`; the base moves forward whenever a reading is far from it,
so that the product stays within 63 bits. Time never runs backwards: a reading is never smaller than the last.

Context: any; never sleeps, never allocates.
Source: clock_gettime(2); Intel SDM volume 3, section 18.17 (time-stamp counter).
"""

from typing import Final

from arch import read_counter
from kernel.lang import EINVAL, Errno, final, noinline
from kernel.time.base import BASE, REBASE_TICKS, SHIFT

NS_PER_SECOND: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
NS_PER_US: Final = 1_000

COARSE_STEP_NS: Final = 4_000_000

# The highest wall-clock second that clock_settime takes: nanoseconds then still fit 63 bits with room to add to them.
REALTIME_SECONDS_LIMIT: Final = 1 << 33



@final
class TimeZone:
    """The value set by settimeofday(2), kept for readers."""

    def __init__(self) -> None:
        self.minutes_west: int = 0
        self.kind: int = 0  # tz_dsttime
        self.was_set: bool = False


TIME_ZONE: Final = TimeZone()


def start(frequency_hz: int, wall_clock_ns: int) -> None:
    """Start: monotonic time is 0 now, the wall clock shows `wall_clock_ns` (since 1970). The counter runs at
    `frequency_hz`.
    """
    BASE.frequency_hz = max(frequency_hz, 16_000_000)
    BASE.scale = (NS_PER_SECOND << SHIFT) // BASE.frequency_hz
    BASE.move(read_counter(), 0)
    BASE.last_ns = 0
    BASE.set_realtime_offset(wall_clock_ns)


def monotonic_ns() -> int:
    """CLOCK_MONOTONIC: nanoseconds since boot. 0 before `start`."""
    if BASE.frequency_hz == 0:
        return 0
    now = read_counter()
    delta = now - BASE.counter
    if delta < 0:
        return BASE.last_ns
    if delta >= REBASE_TICKS:
        delta = _move_base(delta)
    ns = BASE.ns + ((delta * BASE.scale) >> SHIFT)
    last_ns = BASE.last_ns
    if ns < last_ns:
        return last_ns
    BASE.last_ns = ns
    return ns


@noinline
def _move_base(delta: int) -> int:
    """Move the base forward by nearly all of `delta` ticks; returns the rest."""
    seconds = delta // BASE.frequency_hz
    rest = delta - seconds * BASE.frequency_hz
    whole = (rest >> 16) << 16
    ns = seconds * NS_PER_SECOND + (((whole >> 16) * BASE.scale) >> (SHIFT - 16))
    BASE.move(BASE.counter + seconds * BASE.frequency_hz + whole, BASE.ns + ns)
    return rest - whole


def boottime_ns() -> int:
    """CLOCK_BOOTTIME: the machine never suspends, so it is the monotonic clock."""
    return monotonic_ns()


def realtime_ns() -> int:
    """CLOCK_REALTIME: nanoseconds since 1970-01-01 00:00 UTC."""
    return monotonic_ns() + BASE.realtime_offset_ns


def coarse_realtime_ns() -> int:
    """CLOCK_REALTIME_COARSE, which goes in steps of COARSE_STEP_NS. Times of files are taken from it, so that many
    changes within a step change an inode once.
    """
    now = realtime_ns()
    return now - now % COARSE_STEP_NS


def realtime_seconds() -> int:
    """time(2)."""
    return realtime_ns() // NS_PER_SECOND


def realtime_offset_ns() -> int:
    """What to add to monotonic time for wall-clock time."""
    return BASE.realtime_offset_ns


def set_realtime(wall_clock_ns: int) -> None:
    """Set the wall clock. Raises EINVAL for times past REALTIME_SECONDS_LIMIT, and for those that would let the boot
    lie before 1970.
    """
    offset_ns = wall_clock_ns - monotonic_ns()
    if offset_ns < 0 or wall_clock_ns >= REALTIME_SECONDS_LIMIT * NS_PER_SECOND:
        raise Errno(EINVAL)
    BASE.set_realtime_offset(offset_ns)


def counter_frequency_hz() -> int:
    """How fast the time-stamp counter runs, for /proc/cpuinfo and the vDSO."""
    return BASE.frequency_hz


def counter_scale() -> int:
    """Nanoseconds per counter tick times 2**24, for the vDSO."""
    return BASE.scale


def counter_base() -> int:
    """The counter's value at `base_ns`, for the vDSO."""
    return BASE.counter


def ticks_to_ns(ticks: int) -> int:
    """The duration of that many ticks of the counter: years at most."""
    whole = ticks >> 32
    return ((ticks & 0xFFFF_FFFF) * BASE.scale >> SHIFT) + whole * (BASE.scale << 32 - SHIFT)


def base_ns() -> int:
    """Monotonic time at `counter_base`, for the vDSO."""
    return BASE.ns
