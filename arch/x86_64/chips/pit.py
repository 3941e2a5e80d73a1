"""The interval timer of the PC (8254): the scheduler's tick, and a clock of known frequency to measure others by.

Channel 0 counts down at 1.193182 MHz. As a tick it interrupts on line 0; for calibration its counter is read on the
fly, so that no interrupt is needed. Channel 2, the usual choice, reads garbage on some virtual machines (microvm), and
needs the speaker's gate.

Ticks get lost when the host is busy: they drive preemption and timer checks, and are never counted as time.

Source: Intel 8254 data sheet (231164-005).
"""

from typing import Final

from arch.x86_64.ports import in_u8, out_u8

FREQUENCY_HZ: Final = 1_193_182
TICK_HZ: Final = 250
TICK_LINE: Final = 0

CHANNEL_0: Final = 0x40
COMMAND: Final = 0x43

_PROBE_READS: Final = 10_000  # each takes longer than a count of the timer, or not much less

CHANNEL_0_LATCH: Final = 0x00
CHANNEL_0_RATE: Final = 0x34  # low byte then high byte, mode 2: rate generator


def start_tick() -> None:
    """Interrupts TICK_HZ times a second from now on."""
    _program((FREQUENCY_HZ + TICK_HZ // 2) // TICK_HZ)


def start_counter() -> None:
    """Counts through all 16 bits, for `counter`."""
    _program(0x1_0000)


def counter() -> int:
    """The present count, running down from 65535 to 1 and round again."""
    out_u8(COMMAND, CHANNEL_0_LATCH)
    low = in_u8(CHANNEL_0)
    return low | in_u8(CHANNEL_0) << 8


def is_running() -> bool:
    """Whether there is such a timer: its count moves. Some virtual machines have none."""
    start_counter()
    first = counter()
    for _ in range(_PROBE_READS):
        if counter() != first:
            return True
    return False


def _program(divisor: int) -> None:
    out_u8(COMMAND, CHANNEL_0_RATE)
    out_u8(CHANNEL_0, divisor & 0xFF)
    out_u8(CHANNEL_0, (divisor >> 8) & 0xFF)  # 65536 is written as 0
