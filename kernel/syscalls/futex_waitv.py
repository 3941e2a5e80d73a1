"""The newer futex calls: futex_wait(2), futex_wake(2), futex_requeue(2), futex_waitv(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EAGAIN, EINVAL, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.syscalls.timespec import read_timespec
from kernel.task import futex
from kernel.task.clocks import kernel_ns
from kernel.task.task import current
from kernel.task.wall_clock import monotonic_deadline
from kernel.time.timers import FOREVER_NS

_SIZE_32: Final = 2
_SIZE_MASK: Final = 3
_PRIVATE: Final = 128
_CLOCK_REALTIME: Final = 0
_CLOCK_MONOTONIC: Final = 1
MOST_FUTEXES: Final = 128
_WAITV_SIZE: Final = 24


def check_flags(flags: int) -> bool:
    """Whether the futex is shared. Only words of 32 bits are. Raises EINVAL."""
    if flags & ~(_SIZE_MASK | _PRIVATE) != 0 or flags & _SIZE_MASK != _SIZE_32:
        raise Errno(EINVAL)
    return flags & _PRIVATE == 0


def check_word(value: int) -> None:
    """Raise EINVAL for what a word of 32 bits cannot hold."""
    if not 0 <= value <= 0xFFFF_FFFF:
        raise Errno(EINVAL)


def _deadline(timeout: UserAddr, clock: int) -> int:
    """An absolute time limit on the monotonic clock. Raises EFAULT, EINVAL."""
    task = current()
    task.calls.waits_by_wall_clock = False
    if timeout == 0:
        return FOREVER_NS
    if clock != _CLOCK_REALTIME and clock != _CLOCK_MONOTONIC:
        raise Errno(EINVAL)
    time_ns = read_timespec(timeout)
    return monotonic_deadline(task, time_ns) if clock == _CLOCK_REALTIME else kernel_ns(task, clock, time_ns)


@syscall("futex_wake", status="Full", args="=futex uint int flags:futex2")
def futex_wake(address: int, mask: int, count: i32, flags: u32) -> int:
    """Wake up to `count` waiters whose masks meet `mask`."""
    shared = check_flags(flags)
    check_word(mask)
    if mask == 0:
        raise Errno(EINVAL)
    key = futex.key_of(current(), address, shared)
    return futex.wake(key, max(1, count), mask) if count != 0 else 0


@syscall(
    "futex_wait", status="Full",
    args="=futex uint uint flags:futex2 <timespec? one:CLOCK_MONOTONIC|CLOCK_REALTIME",
)  # fmt: skip
def futex_wait(address: UserAddr, value: int, mask: int, flags: u32, timeout: UserAddr, clock: i32) -> int:
    """Wait while the word holds `value`."""
    shared = check_flags(flags)
    check_word(value)
    check_word(mask)
    deadline_ns = _deadline(timeout, clock)
    futex.wait(current(), address, shared, value, mask, deadline_ns)
    return 0


@syscall("futex_requeue", status="Full", args="<futex_waitv[2] flags:0 int int")
def futex_requeue(futexes: UserAddr, flags: u32, wake_count: i32, move_count: i32) -> int:
    """Wake some waiters of the first futex and let others wait on the second."""
    if flags != 0 or futexes == 0:
        raise Errno(EINVAL)
    pair = read_futexes(futexes, 2)
    if wake_count < 0 or move_count < 0:
        raise Errno(EINVAL)
    task = current()
    source = futex.key_of(task, pair[0].address, pair[0].shared)
    target = futex.key_of(task, pair[1].address, pair[1].shared)
    if user.read_u32(UserAddr(pair[0].address)) != pair[0].value & 0xFFFF_FFFF:
        raise Errno(EAGAIN)
    return futex.requeue(source, target, wake_count, move_count)


@syscall(
    "futex_waitv", status="Full",
    args="<futex_waitv[count] count flags:0 <timespec? one:CLOCK_MONOTONIC|CLOCK_REALTIME",
)  # fmt: skip
def futex_waitv(futexes: UserAddr, count: u32, flags: u32, timeout: UserAddr, clock: i32) -> int:
    """Wait on several futexes; which of them was woken."""
    if flags != 0 or count == 0 or count > MOST_FUTEXES or futexes == 0:
        raise Errno(EINVAL)
    deadline_ns = _deadline(timeout, clock)
    return futex.wait_on_any(current(), read_futexes(futexes, count), deadline_ns)


def read_futexes(address: UserAddr, count: int) -> list[futex.WantedFutex]:
    """An array of struct futex_waitv. Raises EFAULT, EINVAL."""
    wanted: list[futex.WantedFutex] = []
    for index in range(count):
        at = user.at(address, index * _WAITV_SIZE)
        flags = user.read_u32(user.at(at, 16))
        if user.read_u32(user.at(at, 20)) != 0:
            raise Errno(EINVAL)
        shared = check_flags(flags)
        value = user.read_i64(at)
        check_word(value)
        wanted.append(futex.WantedFutex(user.read_i64(user.at(at, 8)), shared, value))
    return wanted
