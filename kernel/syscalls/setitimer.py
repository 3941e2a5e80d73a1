"""Timers of a process: alarm(2), getitimer(2), setitimer(2)."""

from kernel.doors.table import syscall
from kernel.lang import EINVAL, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.syscalls.timespec import read_timeval, write_timeval
from kernel.task.accounting import settle_user_time
from kernel.task.interval_timers import ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL, TimerValue, get_timer, set_timer
from kernel.task.task import current
from kernel.time.clock import NS_PER_SECOND


@syscall("alarm", status="Full", args="uint")
def alarm(seconds: u32) -> int:
    """alarm(2)."""
    process = current().process
    before = get_timer(process, ITIMER_REAL).value_ns
    set_timer(process, ITIMER_REAL, TimerValue(0, seconds * NS_PER_SECOND))
    if before == 0:
        return 0
    return max(1, (before + NS_PER_SECOND // 2) // NS_PER_SECOND)  # fits: at most LONGEST_NS


@syscall("getitimer", status="Full", args="one:itimer >itimerval")
def getitimer(which: i32, address: UserAddr) -> int:
    """getitimer(2)."""
    if which < ITIMER_REAL or which > ITIMER_PROF:
        raise Errno(EINVAL)
    process = current().process
    if which == ITIMER_VIRTUAL:
        settle_user_time(process)
    _write_value(address, get_timer(process, which))
    return 0


@syscall("setitimer", status="Full", args="one:itimer <itimerval? >itimerval?")
def setitimer(which: i32, new: UserAddr, old: UserAddr) -> int:
    """setitimer(2)."""
    value = TimerValue(0, 0)
    if new != 0:
        user.check(new, 32)
        value = TimerValue(read_timeval(new), read_timeval(user.at(new, 16)))
    if which < ITIMER_REAL or which > ITIMER_PROF:
        raise Errno(EINVAL)
    process = current().process
    if which == ITIMER_VIRTUAL:
        settle_user_time(process)
    before = get_timer(process, which)
    set_timer(process, which, value)
    if old != 0:
        _write_value(old, before)
    return 0


def _write_value(address: UserAddr, value: TimerValue) -> None:
    user.check(address, 32)
    write_timeval(address, value.interval_ns)
    write_timeval(user.at(address, 16), value.value_ns)
