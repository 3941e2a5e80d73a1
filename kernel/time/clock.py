"""The clocks: monotonic time from the time-stamp counter, wall-clock time as an offset from it.

Nanoseconds are `base_ns + (tsc - base_tsc) * 2**-32 * scale`; the base moves forward whenever a reading is far from it,
so that the product stays within 63 bits. Time never runs backwards: a reading is never smaller than the last.

Context: any; never sleeps, never allocates.
Source: clock_gettime(2); Intel SDM volume 3, section 18.17 (time-stamp counter).
"""

from typing import Final

from arch import read_counter
from kernel.lang import EINVAL, Errno, final

NS_PER_SECOND: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
NS_PER_US: Final = 1_000

COARSE_STEP_NS: Final = 4_000_000

_SHIFT: Final = 24
# A delta below this times a scale below 2**(30 + _SHIFT - 24) stays within 63 bits for every counter of 16 MHz or more.
_REBASE_TICKS: Final = 1 << 32

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

_frequency_hz: int = 0
_scale: int = 0  # nanoseconds per counter tick, times 2**_SHIFT
_base_tsc: int = 0
_base_ns: int = 0
_realtime_offset_ns: int = 0
_last_ns: int = 0


def start(frequency_hz: int, wall_clock_ns: int) -> None:
    """Start: monotonic time is 0 now, the wall clock shows `wall_clock_ns` (since 1970). The counter runs at
    `frequency_hz`.
    """
    global _frequency_hz, _scale, _base_tsc, _base_ns, _last_ns, _realtime_offset_ns
    _frequency_hz = max(frequency_hz, 16_000_000)
    _scale = (NS_PER_SECOND << _SHIFT) // _frequency_hz
    _base_tsc = read_counter()
    _base_ns = 0
    _last_ns = 0
    _realtime_offset_ns = wall_clock_ns


def monotonic_ns() -> int:
    """CLOCK_MONOTONIC: nanoseconds since boot. 0 before `start`."""
    global _base_tsc, _base_ns, _last_ns
    if _frequency_hz == 0:
        return 0
    now = read_counter()
    delta = now - _base_tsc
    if delta < 0:
        return _last_ns
    if delta >= _REBASE_TICKS:
        seconds = delta // _frequency_hz
        _base_ns += seconds * NS_PER_SECOND
        _base_tsc += seconds * _frequency_hz
        delta -= seconds * _frequency_hz
        whole = (delta >> 16) << 16
        _base_ns += ((whole >> 16) * _scale) >> (_SHIFT - 16)
        _base_tsc += whole
        delta -= whole
    ns = _base_ns + ((delta * _scale) >> _SHIFT)
    if ns < _last_ns:
        return _last_ns
    _last_ns = ns
    return ns


def boottime_ns() -> int:
    """CLOCK_BOOTTIME: the machine never suspends, so it is the monotonic clock."""
    return monotonic_ns()


def realtime_ns() -> int:
    """CLOCK_REALTIME: nanoseconds since 1970-01-01 00:00 UTC."""
    return monotonic_ns() + _realtime_offset_ns


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
    return _realtime_offset_ns


def set_realtime(wall_clock_ns: int) -> None:
    """Set the wall clock. Raises EINVAL for times past REALTIME_SECONDS_LIMIT, and for those that would let the boot
    lie before 1970.
    """
    global _realtime_offset_ns
    offset_ns = wall_clock_ns - monotonic_ns()
    if offset_ns < 0 or wall_clock_ns >= REALTIME_SECONDS_LIMIT * NS_PER_SECOND:
        raise Errno(EINVAL)
    _realtime_offset_ns = offset_ns


def counter_frequency_hz() -> int:
    """How fast the time-stamp counter runs, for /proc/cpuinfo and the vDSO."""
    return _frequency_hz


def counter_scale() -> int:
    """Nanoseconds per counter tick times 2**24, for the vDSO."""
    return _scale


def counter_base() -> int:
    """The counter's value at `base_ns`, for the vDSO."""
    return _base_tsc


def ticks_to_ns(ticks: int) -> int:
    """The duration of that many ticks of the counter: years at most."""
    whole = ticks >> 32
    return ((ticks & 0xFFFF_FFFF) * _scale >> _SHIFT) + whole * (_scale << 32 - _SHIFT)


def base_ns() -> int:
    """Monotonic time at `counter_base`, for the vDSO."""
    return _base_ns
