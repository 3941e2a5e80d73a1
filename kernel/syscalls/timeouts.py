"""Times and signal masks of calls that wait for files (poll(2), select(2), epoll_wait(2))."""

from typing import Final

from kernel.lang import EINVAL, Errno, UserAddr
from kernel.lib import user
from kernel.task import current
from kernel.task.blocking import block_during
from kernel.task.personality import STICKY_TIMEOUTS
from kernel.time import monotonic_ns
from kernel.time.timers import FOREVER_NS

_NS: Final = 1_000_000_000
_SECONDS_LIMIT: Final = 1 << 33
_LONGEST_NS: Final = (_SECONDS_LIMIT + 1) * _NS  # with room for any uptime
_MASK_SIZE: Final = 8


def deadline_after(timeout_ns: int) -> int:
    """The deadline of a time-out on the monotonic clock; a negative one never ends, and 0 means not to wait: 0."""
    if timeout_ns <= 0:
        return FOREVER_NS if timeout_ns < 0 else 0
    return monotonic_ns() + min(timeout_ns, _LONGEST_NS)


def timespec_ns(address: UserAddr) -> int:
    """A struct timespec as nanoseconds; EINVAL if it is invalid. Times beyond any uptime are truncated."""
    seconds = user.read_i64(address)
    nanoseconds = user.read_i64(user.at(address, 8))
    if seconds < 0 or not 0 <= nanoseconds < _NS:
        raise Errno(EINVAL)
    return min(seconds, _SECONDS_LIMIT) * _NS + nanoseconds


def write_remaining(address: UserAddr, deadline_ns: int) -> None:
    """Report the remaining time, as ppoll and pselect6 do; a failure to do so is not an error."""
    if address == 0 or current().process.settings.personality & STICKY_TIMEOUTS != 0:
        return
    left_ns = max(0, deadline_ns - monotonic_ns())
    try:
        user.write_i64(address, left_ns // _NS)
        user.write_i64(user.at(address, 8), left_ns % _NS)
    except Errno:
        return


def temporary_mask(address: UserAddr, size: int) -> None:
    """Replace the signal mask during this call; the way back to user mode restores the old one (signal
    delivery).
    """
    if size != _MASK_SIZE:
        raise Errno(EINVAL)
    block_during(current(), user.read_i64(address))
