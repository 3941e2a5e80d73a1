"""Event descriptors: eventfd2(2), epoll_create1(2), epoll_ctl(2), epoll_wait(2), timerfd_create(2)."""

from typing import Final, Literal

from kernel.doors.table import syscall
from kernel.fs.constants import O_CLOEXEC, O_NONBLOCK
from kernel.ipc.epoll import EPOLLEXCLUSIVE, EVENT_SIZE, EpollFile
from kernel.ipc.eventfd import EventFile
from kernel.ipc.timerfd import TimerFile
from kernel.lang import EINTR, EINVAL, ERESTARTNOHAND, Array, Errno, UserAddr, i32, u8, u32
from kernel.lib import user
from kernel.sched import Poller
from kernel.syscalls.timeouts import deadline_after, temporary_mask, timespec_ns
from kernel.task import current
from kernel.task.clocks import check_alarm
from kernel.time.timers import FOREVER_NS

_EFD_SEMAPHORE: Final = 1
_EPOLL_CTL_ADD: Final = 1
_EPOLL_CTL_DEL: Final = 2
_EPOLL_CTL_MOD: Final = 3
_MAX_EVENTS: Final = 0x7FFFFFFF // EVENT_SIZE

_CLOCK_REALTIME: Final = 0
_CLOCK_MONOTONIC: Final = 1
_CLOCK_BOOTTIME: Final = 7
_CLOCK_REALTIME_ALARM: Final = 8
_CLOCK_BOOTTIME_ALARM: Final = 9
_TFD_TIMER_ABSTIME: Final = 1
_TFD_TIMER_CANCEL_ON_SET: Final = 2
_NS: Final = 1_000_000_000


@syscall("eventfd", status="Full", args="int -> fd:eventfd")
def eventfd(initial: u32) -> int:
    return eventfd2(initial, 0)


@syscall("eventfd2", status="Full", args="int flags:EFD_SEMAPHORE|EFD_NONBLOCK|EFD_CLOEXEC -> fd:eventfd")
def eventfd2(initial: u32, flags: i32) -> int:
    if flags & ~(_EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK) != 0:
        raise Errno(EINVAL)
    file = EventFile(initial, flags & O_NONBLOCK, flags & _EFD_SEMAPHORE != 0)
    return current().files.install(file, flags & O_CLOEXEC != 0)


# ---- epoll ----------------------------------------------------------------------------------------------------------


@syscall("epoll_create", status="Full", args="int -> fd:epoll")
def epoll_create(size: i32) -> int:
    if size <= 0:
        raise Errno(EINVAL)
    return epoll_create1(0)


@syscall("epoll_create1", status="Full", args="flags:EPOLL_CLOEXEC -> fd:epoll")
def epoll_create1(flags: i32) -> int:
    if flags & ~O_CLOEXEC != 0:
        raise Errno(EINVAL)
    return current().files.install(EpollFile(0, current().credentials.uid), flags & O_CLOEXEC != 0)


def _set_at(descriptor: int) -> EpollFile:
    file = current().files.get(descriptor)
    if not isinstance(file, EpollFile):
        raise Errno(EINVAL)
    return file


@syscall(
    "epoll_ctl", status="Full", args="fd:epoll one:EPOLL_CTL_ADD|EPOLL_CTL_DEL|EPOLL_CTL_MOD fd <epoll_event?",
)  # fmt: skip
def epoll_ctl(set_descriptor: i32, operation: i32, descriptor: i32, event: UserAddr) -> int:
    events = 0
    data = 0
    if operation != _EPOLL_CTL_DEL:
        events = user.read_u32(event)
        data = user.read_i64(user.at(event, 4))
    files = current().files
    owner_file = files.get(set_descriptor)
    file = files.get(descriptor)
    if not isinstance(owner_file, EpollFile):
        raise Errno(EINVAL)
    owner = owner_file
    if events & EPOLLEXCLUSIVE != 0 and (operation != _EPOLL_CTL_ADD or isinstance(file, EpollFile)):
        raise Errno(EINVAL)
    if operation == _EPOLL_CTL_ADD:
        owner.add(descriptor, file, events, data)
    elif operation == _EPOLL_CTL_MOD:
        owner.change(descriptor, file, events, data)
    elif operation == _EPOLL_CTL_DEL:
        owner.remove(descriptor, file)
    else:
        raise Errno(EINVAL)
    return 0


def _wait(descriptor: int, events: UserAddr, limit: int, deadline_ns: int) -> int:
    if limit <= 0 or limit > _MAX_EVENTS:
        raise Errno(EINVAL)
    user.check(events, limit * EVENT_SIZE)
    owner = _set_at(descriptor)
    owner.acquire()
    try:
        found = _collect(owner, events, limit)
        if found > 0 or deadline_ns == 0:
            return found
        return _wait_for_events(owner, events, limit, deadline_ns)
    finally:
        owner.release()


def _collect(owner: EpollFile, events: UserAddr, limit: int) -> int:
    """Store up to `limit` events of members that are ready; how many. Raises EFAULT."""
    turn = owner.begin_turn()
    storage: Array[u8, Literal[384]] = Array()  # for 32
    at_once = len(storage) // EVENT_SIZE
    total = 0
    while total < limit:
        records = storage.span()[0 : min(limit - total, at_once) * EVENT_SIZE]
        found = owner.collect(turn, records)
        user.write_from(user.within(events, total * EVENT_SIZE), records[0 : found * EVENT_SIZE])
        total += found
        if found < at_once:
            break
    return total


def _wait_for_events(owner: EpollFile, events: UserAddr, limit: int, deadline_ns: int) -> int:
    """The same, once there are any."""
    poller = Poller()
    try:
        while True:
            poller.start()
            poller.wait_on(owner.queue)
            found = _collect(owner, events, limit)
            if found > 0 or not _sleep(poller, deadline_ns):
                return found
    finally:
        poller.close()


def _sleep(poller: Poller, deadline_ns: int) -> bool:
    """epoll_wait never restarts: a signal is EINTR, handler or not (signal(7))."""
    code = 0
    try:
        return poller.sleep_until(deadline_ns)
    except Errno as error:
        code = error.code
    raise Errno(EINTR if code == ERESTARTNOHAND else code)


@syscall("epoll_wait", status="Full", args="fd:epoll >epoll_event[limit] count ms")
def epoll_wait(descriptor: i32, events: UserAddr, limit: i32, timeout_ms: i32) -> int:
    return _wait(descriptor, events, limit, _deadline_ms(timeout_ms))


def _deadline_ms(timeout_ms: int) -> int:
    if timeout_ms == 0:
        return 0
    return deadline_after(timeout_ms * 1_000_000 if timeout_ms > 0 else -1)


@syscall("epoll_pwait", status="Full", args="fd:epoll >epoll_event[limit] count ms <sigset? one:8")
def epoll_pwait(descriptor: i32, events: UserAddr, limit: i32, timeout_ms: i32, mask: UserAddr, mask_size: int) -> int:
    if mask != 0:
        temporary_mask(mask, mask_size)
    return _wait(descriptor, events, limit, _deadline_ms(timeout_ms))


@syscall("epoll_pwait2", status="Full", args="fd:epoll >epoll_event[limit] count <timespec? <sigset? one:8")
def epoll_pwait2(
    descriptor: i32, events: UserAddr, limit: i32, timeout: UserAddr, mask: UserAddr, mask_size: int
) -> int:
    deadline_ns = FOREVER_NS if timeout == 0 else deadline_after(timespec_ns(timeout))
    if mask != 0:
        temporary_mask(mask, mask_size)
    return _wait(descriptor, events, limit, deadline_ns)


# ---- timerfd --------------------------------------------------------------------------------------------------------


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
    file = current().files.get(descriptor)
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
