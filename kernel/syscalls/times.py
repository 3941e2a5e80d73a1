"""Clocks and sleeping (clock_gettime(2), gettimeofday(2), time(2), nanosleep(2), clock_nanosleep(2))."""

from typing import Final

from kernel.ipc.timerfd import wall_clock_was_set
from kernel.lang import EINVAL, EOPNOTSUPP, EPERM, Errno, i32
from kernel.lib import user
from kernel.syscalls.table import syscall
from kernel.syscalls.timespec import read_timespec, read_timeval, write_timespec, write_timeval
from kernel.task.clocks import (
    CLOCK_REALTIME,
    CLOCK_THREAD_CPUTIME_ID,
    can_sleep_on,
    is_wall_clock,
    read_clock,
    resolution_ns,
)
from kernel.task.sleep import sleep_absolute, sleep_relative
from kernel.task.task import current
from kernel.time import vdso
from kernel.time.clock import monotonic_ns, realtime_ns, realtime_offset_ns, realtime_seconds, set_realtime
from kernel.time.steering import STEERING

_TIMER_ABSTIME: Final = 1


@syscall(228, "clock_gettime", status="Full", args="dp")
def clock_gettime(clock: i32, address: int) -> int:
    """clock_gettime(2)."""
    write_timespec(address, read_clock(current(), clock))
    return 0


@syscall(229, "clock_getres", status="Full", args="dp")
def clock_getres(clock: i32, address: int) -> int:
    """clock_getres(2)."""
    resolution = resolution_ns(current(), clock)
    if address != 0:
        write_timespec(address, resolution)
    return 0


@syscall(227, "clock_settime", status="Full", args="dp")
def clock_settime(clock: i32, address: int) -> int:
    """clock_settime(2)."""
    if clock != CLOCK_REALTIME:
        raise Errno(EINVAL)
    time_ns = read_timespec(address)
    _set_wall_clock(time_ns)
    return 0


def _set_wall_clock(time_ns: int) -> None:
    if not current().credentials.capable():
        raise Errno(EPERM)
    set_realtime(time_ns)
    STEERING.was_set()
    vdso.update()
    wall_clock_was_set()


@syscall(96, "gettimeofday", status="Full", args="pp")
def gettimeofday(time: int, zone: int) -> int:
    """gettimeofday(2): the time zone is UTC."""
    if time != 0:
        write_timeval(time, realtime_ns())
    if zone != 0:
        user.check(zone, 8)
        user.write_i64(zone, 0)
    return 0


@syscall(164, "settimeofday", args="pp", notes="The time zone is not kept")
def settimeofday(time: int, zone: int) -> int:
    """settimeofday(2)."""
    if time != 0:
        _set_wall_clock(read_timeval(time))
    elif not current().credentials.capable():
        raise Errno(EPERM)
    if zone != 0:
        user.read_i64(zone)
    return 0


@syscall(201, "time", status="Full", args="p")
def time_call(address: int) -> int:
    """time(2)."""
    seconds = realtime_seconds()
    if address != 0:
        user.write_i64(address, seconds)
    return seconds


@syscall(35, "nanosleep", status="Full", args="pp")
def nanosleep(request: int, remaining: int) -> int:
    """nanosleep(2)."""
    return sleep_relative(monotonic_ns() + read_timespec(request), remaining)


@syscall(230, "clock_nanosleep", args="ddpp", notes="Processor-time clocks cannot be slept on")
def clock_nanosleep(clock: i32, flags: i32, request: int, remaining: int) -> int:
    """clock_nanosleep(2)."""
    if clock == CLOCK_THREAD_CPUTIME_ID:
        raise Errno(EINVAL)
    if not can_sleep_on(clock):
        read_clock(current(), clock)
        raise Errno(EOPNOTSUPP)
    time_ns = read_timespec(request)
    if flags & _TIMER_ABSTIME == 0:
        return sleep_relative(monotonic_ns() + time_ns, remaining)
    # A wall-clock deadline is fixed when the sleep begins: setting the clock meanwhile does not move it.
    return sleep_absolute(time_ns - realtime_offset_ns() if is_wall_clock(clock) else time_ns)
