"""Steering the wall clock: adjtimex(2), clock_adjtime(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EINVAL, EOPNOTSUPP, EPERM, Errno, Span, UserAddr, i32, span_of, u8
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_TIME
from kernel.lib.saturation import sum_of
from kernel.task.clocks import CLOCK_REALTIME, check_known, is_file_clock
from kernel.task.task import current
from kernel.task.wall_clock import set_wall_clock
from kernel.task.words import load_i64, store_i32, store_i64
from kernel.time import steering
from kernel.time.clock import NS_PER_SECOND, NS_PER_US, realtime_ns
from kernel.time.steering import STA_NANO, STEERING

_SIZE: Final = 208
_FREQUENCY_RANGE: Final = (1 << 63) // (1000 << 16)
_TOLERANCE: Final = 500 << 16
_ERROR_LIMIT_US: Final = 16_000_000


@syscall("adjtimex", status="Full", args="=timex")
def adjtimex(address: UserAddr) -> int:
    """adjtimex(2)."""
    return _adjust(address)


@syscall("clock_adjtime", status="Full", args="clock =timex")
def clock_adjtime(clock: i32, address: UserAddr) -> int:
    """clock_adjtime(2): only the wall clock is steered."""
    storage = bytearray(_SIZE)
    user.read_into(span_of(storage), address)
    if clock != CLOCK_REALTIME:
        check_known(clock)
        raise Errno(EINVAL if is_file_clock(clock) else EOPNOTSUPP)
    return _adjust(address)


def _adjust(address: UserAddr) -> int:
    storage = bytearray(_SIZE)
    fields = span_of(storage)
    user.read_into(fields, address)
    modes = fields.load_u32(0)
    _check(fields, modes)
    STEERING.grow_errors()
    if modes & steering.ADJ_ADJTIME != 0:
        left_ns = STEERING.single_shot_ns
        if modes & steering.ADJ_OFFSET_READONLY == 0:
            STEERING.single_shot_ns = _bounded_ns(load_i64(fields, 8), NS_PER_US)
        store_i64(fields, 8, left_ns // NS_PER_US)
    else:
        if modes & steering.ADJ_SETOFFSET != 0:
            _shift(load_i64(fields, 72), load_i64(fields, 80), modes)
        _change(fields, modes)
        unit = 1 if STEERING.status & STA_NANO != 0 else NS_PER_US
        store_i64(fields, 8, STEERING.offset_ns // unit)
    STEERING.follow()
    _store(fields)
    user.write_from(address, fields)
    return STEERING.state()


def _bounded_ns(value: int, unit_ns: int) -> int:
    """A number of microseconds or nanoseconds that cannot overflow."""
    limit = (1 << 40) // unit_ns
    return max(-limit, min(limit, value)) * unit_ns


def _check(fields: Span[u8], modes: int) -> None:
    """Raise EPERM, EINVAL, in Linux's order."""
    privileged = current().credentials.capable(CAP_SYS_TIME)
    if modes & steering.ADJ_ADJTIME != 0:
        if modes & steering.ADJ_OFFSET == 0:
            raise Errno(EINVAL)
        if modes & steering.ADJ_OFFSET_READONLY == 0 and not privileged:
            raise Errno(EPERM)
    else:
        if modes != 0 and not privileged:
            raise Errno(EPERM)
        if modes & steering.ADJ_TICK != 0 and not 9000 <= load_i64(fields, 88) <= 11000:
            raise Errno(EINVAL)
    if modes & steering.ADJ_SETOFFSET != 0:
        if not privileged:
            raise Errno(EPERM)
        limit = NS_PER_SECOND if modes & steering.ADJ_NANO != 0 else NS_PER_SECOND // NS_PER_US
        if not 0 <= load_i64(fields, 80) < limit:
            raise Errno(EINVAL)
    if modes & steering.ADJ_FREQUENCY != 0 and not -_FREQUENCY_RANGE <= load_i64(fields, 16) <= _FREQUENCY_RANGE:
        raise Errno(EINVAL)


def _shift(seconds: int, fraction: int, modes: int) -> None:
    """ADJ_SETOFFSET: step the clock. Raises EINVAL."""
    if not -(1 << 33) < seconds < 1 << 33:
        raise Errno(EINVAL)
    part_ns = fraction if modes & steering.ADJ_NANO != 0 else fraction * NS_PER_US  # fits: _check has bounded it
    set_wall_clock(sum_of(realtime_ns(), sum_of(seconds * NS_PER_SECOND, part_ns)))


def _change(fields: Span[u8], modes: int) -> None:
    if modes & steering.ADJ_STATUS != 0:
        STEERING.set_status(fields.load_u32(40))
    if modes & steering.ADJ_NANO != 0:
        STEERING.status |= STA_NANO
    if modes & steering.ADJ_MICRO != 0:
        STEERING.status &= ~STA_NANO
    if modes & steering.ADJ_FREQUENCY != 0:
        STEERING.set_frequency(load_i64(fields, 16))
    if modes & steering.ADJ_MAXERROR != 0:
        STEERING.most_error_us = max(0, min(_ERROR_LIMIT_US, load_i64(fields, 24)))
    if modes & steering.ADJ_ESTERROR != 0:
        STEERING.error_us = max(0, min(_ERROR_LIMIT_US, load_i64(fields, 32)))
    if modes & steering.ADJ_TIMECONST != 0:
        STEERING.set_constant(load_i64(fields, 48))
    if modes & steering.ADJ_TAI != 0 and 0 <= load_i64(fields, 48) <= 100_000:
        STEERING.tai_s = load_i64(fields, 48)
    if modes & steering.ADJ_OFFSET != 0:
        unit = 1 if STEERING.status & STA_NANO != 0 else NS_PER_US
        STEERING.set_offset(_bounded_ns(load_i64(fields, 8), unit))
    if modes & steering.ADJ_TICK != 0:
        STEERING.tick_us = load_i64(fields, 88)


def _store(fields: Span[u8]) -> None:
    """Fill a struct timex, except `modes` and `offset`."""
    store_i64(fields, 16, STEERING.frequency)
    store_i64(fields, 24, STEERING.most_error_us)
    store_i64(fields, 32, STEERING.error_us)
    store_i32(fields, 40, STEERING.status)
    store_i64(fields, 48, STEERING.constant)
    store_i64(fields, 56, 1)
    store_i64(fields, 64, _TOLERANCE)
    now_ns = realtime_ns()
    store_i64(fields, 72, now_ns // NS_PER_SECOND)
    fraction_ns = now_ns % NS_PER_SECOND
    store_i64(fields, 80, fraction_ns if STEERING.status & STA_NANO != 0 else fraction_ns // NS_PER_US)
    store_i64(fields, 88, STEERING.tick_us)
    for offset in range(96, 160, 8):
        store_i64(fields, offset, 0)
    store_i32(fields, 160, STEERING.tai_s)
