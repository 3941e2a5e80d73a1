"""Programs' struct timespec and struct timeval, as nanoseconds."""

from typing import Final

from kernel.lang import EINVAL, Errno, UserAddr
from kernel.lib import user
from kernel.time.clock import NS_PER_SECOND, NS_PER_US

# Longer times amount to forever, and cannot overflow when a clock is added.
LONGEST_SECONDS: Final = 1 << 32
LONGEST_NS: Final = LONGEST_SECONDS * NS_PER_SECOND


def read_timespec(address: UserAddr) -> int:
    """A time in nanoseconds, at most LONGEST_NS. Raises EINVAL, EFAULT."""
    user.check(address, 16)
    seconds = user.read_i64(address)
    ns = user.read_i64(user.at(address, 8))
    if seconds < 0 or ns < 0 or ns >= NS_PER_SECOND:
        raise Errno(EINVAL)
    return min(seconds, LONGEST_SECONDS) * NS_PER_SECOND + ns


def write_timespec(address: UserAddr, time_ns: int) -> None:
    """Store a time."""
    user.check(address, 16)
    user.write_i64(address, time_ns // NS_PER_SECOND)
    user.write_i64(user.at(address, 8), time_ns % NS_PER_SECOND)


def read_timeval(address: UserAddr) -> int:
    """A time in nanoseconds, at most LONGEST_NS. Raises EINVAL, EFAULT."""
    user.check(address, 16)
    seconds = user.read_i64(address)
    us = user.read_i64(user.at(address, 8))
    if seconds < 0 or us < 0 or us >= 1_000_000:
        raise Errno(EINVAL)
    return min(seconds, LONGEST_SECONDS) * NS_PER_SECOND + us * NS_PER_US


def write_timeval(address: UserAddr, time_ns: int) -> None:
    """Store a time, microseconds rounded down."""
    user.check(address, 16)
    user.write_i64(address, time_ns // NS_PER_SECOND)
    user.write_i64(user.at(address, 8), time_ns % NS_PER_SECOND // NS_PER_US)
