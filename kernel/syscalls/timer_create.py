"""POSIX timers: timer_create(2), timer_settime(2), timer_getoverrun(2), timer_delete(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EINVAL, Errno, Span, UserAddr, i32, span_of, u8
from kernel.lib import user
from kernel.lib.pid import Pid
from kernel.lib.saturation import sum_of
from kernel.sched.scheduler import charge_running
from kernel.syscalls.timespec import LONGEST_NS, read_timespec, write_timespec
from kernel.task.accounting import settle_user_time
from kernel.task.clocks import can_sleep_on, check_alarm, check_timed, is_wall_clock, kernel_ns, processor_clock
from kernel.task.pids import find_task
from kernel.task.posix_timers import SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD_ID, PosixTimer, posix_timers_of
from kernel.task.signals import SIGALRM, is_valid
from kernel.task.task import current
from kernel.task.words import load_i32, load_i64
from kernel.time.clock import monotonic_ns

_SIGEVENT_SIZE: Final = 64
_SIGEV_THREAD: Final = 2  # here the same as a signal: the thread is the C library's
_TIMER_ABSTIME: Final = 1


@syscall("timer_create", status="Full", args="clock <sigevent? >timerid")
def timer_create(clock: i32, event: UserAddr, result: UserAddr) -> int:
    """timer_create(2)."""
    task = current()
    storage = bytearray(_SIGEVENT_SIZE)
    fields = span_of(storage)
    if event != 0:
        user.read_into(fields, event)
    check_timed(clock)
    timers = posix_timers_of(task.process)
    timer = timers.create(task.process, clock, task.credentials.uid)
    timer.signo = SIGALRM
    try:
        if event != 0:
            _set_event(timer, fields)
        user.write_i32(result, timer.number)
        check_alarm(task, clock)
        timer.measured = None if can_sleep_on(clock) else processor_clock(task, clock)
        timers.enter(timer)
    except (Errno, MemoryError):
        timer.end()
        raise
    return 0


def _set_event(timer: PosixTimer, fields: Span[u8]) -> None:
    """What happens when it expires, from a struct sigevent. Raises EINVAL."""
    timer.value = load_i64(fields, 0)
    timer.signo = load_i32(fields, 8)
    timer.notify = load_i32(fields, 12)
    timer.thread = current().pids.resolve(load_i32(fields, 16))
    _check_event(timer.notify, timer.signo, timer.thread)


def _check_event(notify: int, signo: int, thread: Pid) -> None:
    if notify != SIGEV_NONE and not is_valid(signo):
        raise Errno(EINVAL)
    if notify == SIGEV_THREAD_ID:
        target = find_task(thread)
        if target is None or target.process is not current().process:
            raise Errno(EINVAL)
    elif notify not in (SIGEV_SIGNAL, SIGEV_NONE, _SIGEV_THREAD):
        raise Errno(EINVAL)


@syscall("timer_settime", status="Full", args="timerid flags:TIMER_ABSTIME <itimerspec >itimerspec?")
def timer_settime(number: i32, flags: i32, new: UserAddr, old: UserAddr) -> int:
    """timer_settime(2)."""
    if new == 0:
        raise Errno(EINVAL)
    user.check(new, 32)
    interval_ns = read_timespec(new)
    value_ns = read_timespec(user.at(new, 16))
    timers = posix_timers_of(current().process)
    clock = timers.get(number).measured
    if clock is not None and clock.of_user and clock.thread is None:
        settle_user_time(clock.process)
    timer = timers.get(number)  # again: another thread may have deleted it meanwhile
    before_interval_ns = timer.interval_ns
    clock = timer.measured
    if clock is not None:
        clock.check()
    charge_running()
    before_ns = timer.left_ns()
    if value_ns != 0 and clock is not None:
        timer.watch(clock)  # first: there may be no memory for it
    elif value_ns != 0:
        timer.suspend()
    else:
        timer.cancel()
    timer.forget()
    timer.interval_ns = interval_ns if value_ns != 0 or clock is not None else 0
    if value_ns == 0:
        timer.stop_measuring()
    elif clock is not None:
        is_absolute = flags & _TIMER_ABSTIME != 0
        due_ns = value_ns if is_absolute else sum_of(clock.sampled_ns(), min(value_ns, LONGEST_NS))
        timer.start_measuring(max(1, due_ns))
    else:
        _resume(timer, flags, value_ns)
    if old != 0:
        user.check(old, 32)
        write_timespec(old, before_interval_ns)
        write_timespec(user.at(old, 16), before_ns)
    return 0


def _resume(timer: PosixTimer, flags: int, value_ns: int) -> None:
    """Give a suspended timer its time. A relative one does not follow the wall clock when that is set."""
    if flags & _TIMER_ABSTIME == 0:
        timer.move(monotonic_ns() + min(value_ns, LONGEST_NS))
    elif is_wall_clock(timer.clock):
        timer.move_by_wall_clock(value_ns)
    else:
        timer.move(max(1, kernel_ns(current(), timer.clock, value_ns)))


@syscall("timer_gettime", status="Full", args="timerid >itimerspec")
def timer_gettime(number: i32, address: UserAddr) -> int:
    """timer_gettime(2)."""
    timer = posix_timers_of(current().process).get(number)
    user.check(address, 32)
    write_timespec(address, timer.shown_interval_ns())
    charge_running()
    write_timespec(user.at(address, 16), timer.left_ns())
    return 0


@syscall("timer_getoverrun", status="Full", args="timerid")
def timer_getoverrun(number: i32) -> int:
    """timer_getoverrun(2): of the last signal that was taken."""
    return posix_timers_of(current().process).get(number).last_overrun()


@syscall("timer_delete", status="Full", args="timerid")
def timer_delete(number: i32) -> int:
    """timer_delete(2)."""
    posix_timers_of(current().process).delete(number)
    return 0
