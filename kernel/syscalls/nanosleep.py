"""nanosleep(2), clock_nanosleep(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EINVAL, EOPNOTSUPP, Errno, UserAddr, i32
from kernel.syscalls.timespec import read_timespec
from kernel.task.clocks import (
    can_sleep_on,
    check_alarm,
    check_known,
    is_alarm,
    is_processor_clock,
    is_wall_clock,
    kernel_ns,
)
from kernel.task.processor_sleep import sleep_on_processor_time
from kernel.task.sleep import sleep_absolute, sleep_relative
from kernel.task.task import current
from kernel.task.wall_clock import monotonic_deadline
from kernel.time.clock import monotonic_ns

_TIMER_ABSTIME: Final = 1


@syscall("nanosleep", status="Full", args="<timespec >timespec?")
def nanosleep(request: UserAddr, remaining: UserAddr) -> int:
    """nanosleep(2)."""
    return sleep_relative(monotonic_ns() + read_timespec(request), remaining)


@syscall("clock_nanosleep", status="Full", args="clock flags:TIMER_ABSTIME <timespec >timespec?")
def clock_nanosleep(clock: i32, flags: i32, request: UserAddr, remaining: UserAddr) -> int:
    """clock_nanosleep(2)."""
    if is_processor_clock(clock):
        return sleep_on_processor_time(clock, read_timespec(request), flags & _TIMER_ABSTIME != 0, remaining)
    if not can_sleep_on(clock):
        check_known(clock)
        raise Errno(EOPNOTSUPP)
    time_ns = read_timespec(request)
    if is_alarm(clock) and flags & ~_TIMER_ABSTIME != 0:
        raise Errno(EINVAL)  # the other clocks ignore unknown flags
    check_alarm(current(), clock)
    task = current()
    task.calls.waits_by_wall_clock = False
    if flags & _TIMER_ABSTIME == 0:
        return sleep_relative(monotonic_ns() + time_ns, remaining)
    if is_wall_clock(clock):
        return sleep_absolute(monotonic_deadline(task, time_ns))
    return sleep_absolute(kernel_ns(task, clock, time_ns))
