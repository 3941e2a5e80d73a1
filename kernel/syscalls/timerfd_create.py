"""Timers as descriptors: timerfd_create(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import O_CLOEXEC, O_NONBLOCK
from kernel.ipc.timerfd import TimerFile
from kernel.lang import EINVAL, Errno, UserAddr, i32
from kernel.lib import user
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.timeouts import timespec_ns
from kernel.task import current
from kernel.task.clocks import check_alarm, kernel_ns

_CLOCK_REALTIME: Final = 0
_CLOCK_MONOTONIC: Final = 1
_CLOCK_BOOTTIME: Final = 7
_CLOCK_REALTIME_ALARM: Final = 8
_CLOCK_BOOTTIME_ALARM: Final = 9
_TFD_TIMER_ABSTIME: Final = 1
_TFD_TIMER_CANCEL_ON_SET: Final = 2
_NS: Final = 1_000_000_000


@syscall("timerfd_create", status="Full", args="clock flags:TFD_NONBLOCK|TFD_CLOEXEC -> fd:timerfd")
def timerfd_create(clock: i32, flags: i32) -> int:
    if flags & ~(O_CLOEXEC | O_NONBLOCK) != 0:
        raise Errno(EINVAL)
    is_alarm = clock == _CLOCK_REALTIME_ALARM or clock == _CLOCK_BOOTTIME_ALARM
    if clock not in (_CLOCK_REALTIME, _CLOCK_MONOTONIC, _CLOCK_BOOTTIME) and not is_alarm:
        raise Errno(EINVAL)
    check_alarm(current(), clock)
    is_wall_clock = clock == _CLOCK_REALTIME or clock == _CLOCK_REALTIME_ALARM
    file = TimerFile(clock, is_wall_clock, flags & O_NONBLOCK)
    return current().files.install(file, flags & O_CLOEXEC != 0)


def _timer_at(descriptor: int) -> TimerFile:
    file = file_at(descriptor)
    if not isinstance(file, TimerFile):
        raise Errno(EINVAL)
    return file


@syscall(
    "timerfd_settime", status="Full",
    args="fd:timerfd flags:TFD_TIMER_ABSTIME|TFD_TIMER_CANCEL_ON_SET <itimerspec >itimerspec?",
)  # fmt: skip
def timerfd_settime(descriptor: i32, flags: i32, value: UserAddr, old: UserAddr) -> int:
    interval_ns = timespec_ns(value)
    value_ns = timespec_ns(user.at(value, 16))
    if flags & ~(_TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET) != 0:
        raise Errno(EINVAL)
    file = _timer_at(descriptor)
    if flags & _TFD_TIMER_ABSTIME != 0 and value_ns != 0 and not file.is_wall_clock:
        value_ns = max(1, kernel_ns(current(), file.clock, value_ns))
    old_value_ns = file.remaining_ns()
    old_interval_ns = file.timer.interval_ns
    file.set(value_ns, interval_ns, flags & _TFD_TIMER_ABSTIME != 0, flags & _TFD_TIMER_CANCEL_ON_SET != 0)
    if old != 0:
        _write_itimerspec(old, old_value_ns, old_interval_ns)
    return 0


@syscall("timerfd_gettime", status="Full", args="fd:timerfd >itimerspec")
def timerfd_gettime(descriptor: i32, value: UserAddr) -> int:
    file = _timer_at(descriptor)
    _write_itimerspec(value, file.remaining_ns(), file.timer.interval_ns)
    return 0


def _write_itimerspec(address: UserAddr, value_ns: int, interval_ns: int) -> None:
    user.write_i64(address, interval_ns // _NS)
    user.write_i64(user.at(address, 8), interval_ns % _NS)
    user.write_i64(user.at(address, 16), value_ns // _NS)
    user.write_i64(user.at(address, 24), value_ns % _NS)
