"""Clocks: clock_gettime(2), gettimeofday(2), time(2)."""

from typing import Final

from kernel.doors.quick import TAKE_LOCK, quick
from kernel.doors.table import syscall
from kernel.lang import EINVAL, EPERM, Errno, UserAddr, i32, unlocked
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_TIME
from kernel.syscalls.timespec import LONGEST_SECONDS, write_timespec, write_timeval
from kernel.task.clocks import (
    CLOCK_BOOTTIME,
    CLOCK_REALTIME,
    known_resolution_ns,
    quick_clock_ns,
    read_clock,
    resolution_ns,
)
from kernel.task.task import current
from kernel.task.wall_clock import set_wall_clock
from kernel.time import vdso
from kernel.time.base import UNKNOWN, quick_ns
from kernel.time.clock import NS_PER_SECOND, NS_PER_US, TIME_ZONE, realtime_ns, realtime_seconds

_MOST_MINUTES_WEST: Final = 15 * 60
_US_PER_SECOND: Final = 1_000_000
# The wall clock cannot be set to later times: in the thirty years after it could still count nanoseconds in 63 bits.
_LATEST_SECONDS: Final = (1 << 63) // NS_PER_SECOND - 30 * 365 * 24 * 3600


@syscall("clock_gettime", status="Full", args="clock >timespec")
def clock_gettime(clock: i32, address: UserAddr) -> int:
    """clock_gettime(2)."""
    write_timespec(address, read_clock(current(), clock))
    return 0


@syscall("clock_getres", status="Full", args="clock >timespec?")
def clock_getres(clock: i32, address: UserAddr) -> int:
    """clock_getres(2)."""
    resolution = resolution_ns(current(), clock)
    if address != 0:
        write_timespec(address, resolution)
    return 0


@syscall("clock_settime", status="Full", args="clock <timespec")
def clock_settime(clock: i32, address: UserAddr) -> int:
    """clock_settime(2)."""
    if clock >= 0 and clock != CLOCK_REALTIME:
        raise Errno(EINVAL)
    seconds = user.read_i64(address)
    ns = user.read_i64(user.at(address, 8))
    if clock != CLOCK_REALTIME:
        read_clock(current(), clock)  # raises EINVAL if there is none
        raise Errno(EPERM)
    if not 0 <= seconds < _LATEST_SECONDS or not 0 <= ns < NS_PER_SECOND:
        raise Errno(EINVAL)
    _set_wall_clock(min(seconds, LONGEST_SECONDS) * NS_PER_SECOND + ns)  # fits: both were checked
    return 0


def _set_wall_clock(time_ns: int) -> None:
    if not current().credentials.capable(CAP_SYS_TIME):
        raise Errno(EPERM)
    set_wall_clock(time_ns)


@syscall("gettimeofday", status="Full", args=">timeval? >timezone?")
def gettimeofday(time: UserAddr, zone: UserAddr) -> int:
    """gettimeofday(2)."""
    if time != 0:
        write_timeval(time, realtime_ns())
    if zone != 0:
        user.check(zone, 8)
        user.write_i32(zone, TIME_ZONE.minutes_west)
        user.write_i32(user.at(zone, 4), TIME_ZONE.kind)
    return 0


@syscall("settimeofday", status="Full", args="<timeval? <timezone?")
def settimeofday(time: UserAddr, zone: UserAddr) -> int:
    """settimeofday(2). The first zone without a time says that the hardware's clock, with which the kernel began, shows
    local time.
    """
    seconds = user.read_i64(time) if time != 0 else 0
    us = user.read_i64(user.at(time, 8)) if time != 0 else 0
    if not 0 <= us < _US_PER_SECOND:
        raise Errno(EINVAL)
    minutes_west = user.read_i32(zone) if zone != 0 else 0
    kind = user.read_i32(user.at(zone, 4)) if zone != 0 else 0
    if not 0 <= seconds < _LATEST_SECONDS:
        raise Errno(EINVAL)
    if not current().credentials.capable(CAP_SYS_TIME):
        raise Errno(EPERM)
    if zone != 0:
        if abs(minutes_west) > _MOST_MINUTES_WEST:
            raise Errno(EINVAL)
        was_set = TIME_ZONE.was_set
        TIME_ZONE.minutes_west = minutes_west
        TIME_ZONE.kind = kind
        TIME_ZONE.was_set = True
        vdso.update()
        if not was_set and time == 0 and minutes_west != 0:
            _set_wall_clock(realtime_ns() + minutes_west * 60 * NS_PER_SECOND)
    if time != 0:
        _set_wall_clock(min(seconds, LONGEST_SECONDS) * NS_PER_SECOND + us * NS_PER_US)  # fits: both were checked
    return 0


@syscall("time", status="Full", args=">offset?")
def time_call(address: UserAddr) -> int:
    """time(2)."""
    seconds = realtime_seconds()
    if address != 0:
        user.write_i64(address, seconds)
    return seconds


# Quick forms ----------------------------------------------------------------------------------------------------------


@quick("clock_gettime")
@unlocked
def _quick_clock_gettime(clock: i32, address: UserAddr) -> int:
    time_ns = quick_clock_ns(current(), clock)
    if time_ns == UNKNOWN:
        return TAKE_LOCK
    write_timespec(address, time_ns)
    return 0


@quick("clock_getres")
@unlocked
def _quick_clock_getres(clock: i32, address: UserAddr) -> int:
    if not CLOCK_REALTIME <= clock <= CLOCK_BOOTTIME:
        return TAKE_LOCK
    if address != 0:
        write_timespec(address, known_resolution_ns(clock))
    return 0


@quick("gettimeofday")
@unlocked
def _quick_gettimeofday(time: UserAddr, zone: UserAddr) -> int:
    time_ns = quick_ns(of_wall_clock=True)
    if time_ns == UNKNOWN or zone != 0:
        return TAKE_LOCK
    if time != 0:
        write_timeval(time, time_ns)
    return 0


@quick("time")
@unlocked
def _quick_time(address: UserAddr) -> int:
    time_ns = quick_ns(of_wall_clock=True)
    if time_ns == UNKNOWN:
        return TAKE_LOCK
    if address != 0:
        user.write_i64(address, time_ns // NS_PER_SECOND)
    return time_ns // NS_PER_SECOND
