"""The interval timer of the PC (8254): a clock of known frequency to measure others by, and the timer of a processor
that has none of its own.

Channel 0 counts down at 1.193182 MHz. As a timer it interrupts once, on line 0; for calibration its counter is read on
the fly, so that no interrupt is needed. Channel 2, the usual choice, reads garbage on some virtual machines (microvm),
and needs the speaker's gate.

Source: Intel 8254 data sheet (231164-005).
"""

from typing import Final

from arch.x86_64.ports import in_u8, out_u8

FREQUENCY_HZ: Final = 1_193_182
TICK_LINE: Final = 0
LONGEST_COUNT: Final = 0xFFFF

CHANNEL_0: Final = 0x40
COMMAND: Final = 0x43

_PROBE_READS: Final = 10_000  # each takes longer than a count of the timer, or not much less

CHANNEL_0_LATCH: Final = 0x00
CHANNEL_0_ONCE: Final = 0x30  # low byte then high byte, mode 0: interrupt when it comes to 0
CHANNEL_0_RATE: Final = 0x34  # mode 2: rate generator


def interrupt_after(count: int) -> None:
    """Interrupts once, after 1 to LONGEST_COUNT counts."""
    _program(CHANNEL_0_ONCE, count)


def start_counter() -> None:
    """Counts through all 16 bits, for `counter`."""
    _program(CHANNEL_0_RATE, 0x1_0000)


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


def _program(command: int, count: int) -> None:
    out_u8(COMMAND, command)
    out_u8(CHANNEL_0, count & 0xFF)
    out_u8(CHANNEL_0, (count >> 8) & 0xFF)  # 65536 is written as 0
