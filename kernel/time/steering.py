"""Steering the wall clock: a rate and an offset that are applied little by little (adjtimex(2)).

Once a second the wall clock moves by an amount for the frequency, and by a part of the remaining offset. While there
is nothing to correct no timer runs. The monotonic clock is not steered: its rate was measured, and is never set.

Context: thread context, except `_Second.expire`, which runs in the tick and only counts; nothing sleeps.
Source: adjtimex(2), RFC 5905.
"""

from typing import Final

from kernel.lang import Errno, final
from kernel.time.clock import NS_PER_SECOND, monotonic_ns, realtime_ns, set_realtime
from kernel.time.timers import Timer

ADJ_OFFSET: Final = 0x0001
ADJ_FREQUENCY: Final = 0x0002
ADJ_MAXERROR: Final = 0x0004
ADJ_ESTERROR: Final = 0x0008
ADJ_STATUS: Final = 0x0010
ADJ_TIMECONST: Final = 0x0020
ADJ_TAI: Final = 0x0080
ADJ_SETOFFSET: Final = 0x0100
ADJ_MICRO: Final = 0x1000
ADJ_NANO: Final = 0x2000
ADJ_TICK: Final = 0x4000
ADJ_ADJTIME: Final = 0x8000  # with ADJ_OFFSET: adjtime(3)
ADJ_OFFSET_READONLY: Final = 0x2000  # with ADJ_ADJTIME

STA_PLL: Final = 0x0001
STA_UNSYNC: Final = 0x0040
STA_NANO: Final = 0x2000
_STA_READ_ONLY: Final = 0xFF00

TIME_OK: Final = 0
TIME_ERROR: Final = 5

_FREQUENCY_LIMIT: Final = 500 << 16  # parts in 2**16 of a millionth
_ERROR_LIMIT_US: Final = 16_000_000
_ERROR_GROWTH_US: Final = 500  # a second
_OFFSET_LIMIT_NS: Final = 500_000_000
_SINGLE_SHOT_STEP_NS: Final = 500_000  # of adjtime(3), a second
_USUAL_TICK_US: Final = 10_000
_TICKS_PER_SECOND: Final = 100
_CONSTANT_LIMIT: Final = 10


@final
class _Second(Timer):
    """A second has passed."""

    def expire(self, now_ns: int) -> int:
        STEERING.advance()
        return self.deadline_ns + NS_PER_SECOND if STEERING.is_active() else 0


@final
class Steering:
    """The pending corrections."""

    def __init__(self) -> None:
        self.offset_ns: int = 0
        self.frequency: int = 0
        self.most_error_us: int = _ERROR_LIMIT_US
        self.error_us: int = _ERROR_LIMIT_US
        self.status: int = STA_UNSYNC
        self.constant: int = 2
        self.tick_us: int = _USUAL_TICK_US
        self.tai_s: int = 0
        self.single_shot_ns: int = 0
        self.counted_to_ns: int = 0  # how far the errors have grown
        self.second: _Second = _Second()

    def state(self) -> int:
        """What the call returns."""
        return TIME_ERROR if self.status & STA_UNSYNC != 0 else TIME_OK

    def is_active(self) -> bool:
        """Whether there is something to correct."""
        return (
            self.offset_ns != 0
            or self.frequency != 0
            or self.tick_us != _USUAL_TICK_US
            or self.single_shot_ns != 0
        )

    def follow(self) -> None:
        """Settings have changed: start or stop correcting."""
        if self.is_active() and not self.second.is_armed():
            self.second.start(monotonic_ns() + NS_PER_SECOND)

    def advance(self) -> None:
        """Apply one second's correction."""
        change_ns = self.frequency * 1000 >> 16
        change_ns += (self.tick_us - _USUAL_TICK_US) * _TICKS_PER_SECOND * 1000
        part_ns = self.offset_ns >> (2 + self.constant)
        if part_ns == 0 or part_ns == -1:
            part_ns = self.offset_ns
        self.offset_ns -= part_ns
        step_ns = max(-_SINGLE_SHOT_STEP_NS, min(_SINGLE_SHOT_STEP_NS, self.single_shot_ns))
        self.single_shot_ns -= step_ns
        shift_wall_clock(change_ns + part_ns + step_ns)

    def grow_errors(self) -> None:
        """Let the maximum error of the clock grow until it is set again."""
        seconds = (monotonic_ns() - self.counted_to_ns) // NS_PER_SECOND
        self.counted_to_ns += seconds * NS_PER_SECOND
        self.most_error_us = min(_ERROR_LIMIT_US, self.most_error_us + min(seconds, 1 << 20) * _ERROR_GROWTH_US)
        if self.most_error_us >= _ERROR_LIMIT_US:
            self.status |= STA_UNSYNC

    def was_set(self) -> None:
        """The wall clock was set: drop all corrections."""
        self.single_shot_ns = 0
        self.status |= STA_UNSYNC
        self.most_error_us = _ERROR_LIMIT_US
        self.error_us = _ERROR_LIMIT_US

    def set_offset(self, offset_ns: int) -> None:
        """ADJ_OFFSET: only with the phase-locked loop on."""
        if self.status & STA_PLL != 0:
            self.offset_ns = max(-_OFFSET_LIMIT_NS, min(_OFFSET_LIMIT_NS, offset_ns))

    def set_status(self, status: int) -> None:
        """ADJ_STATUS: some bits are read only."""
        self.status = self.status & _STA_READ_ONLY | status & ~_STA_READ_ONLY
        if self.status & STA_PLL == 0:
            self.offset_ns = 0

    def set_frequency(self, frequency: int) -> None:
        """ADJ_FREQUENCY, within bounds."""
        self.frequency = max(-_FREQUENCY_LIMIT, min(_FREQUENCY_LIMIT, frequency))

    def set_constant(self, constant: int) -> None:
        """ADJ_TIMECONST; without STA_NANO it counts from four less."""
        value = max(0, min(_CONSTANT_LIMIT, constant))
        if self.status & STA_NANO == 0:
            value = min(_CONSTANT_LIMIT, value + 4)
        self.constant = value


STEERING: Final = Steering()


def shift_wall_clock(change_ns: int) -> None:
    """Move the wall clock a little, if it stays in its range."""
    try:
        set_realtime(realtime_ns() + change_ns)
    except Errno:
        return
