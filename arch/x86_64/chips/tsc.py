"""How fast the time stamp counter runs, measured against the interval timer.

The timer's counter is read on the fly over some 10 ms, with the time stamp counter read before and after each reading.
A virtual processor may be taken away between two instructions: then the brackets are wide, and it is measured again, up
to three times, of which the tightest brackets count. Away for long between two readings, the timer may have run all
the way round: such a pause counts as width. A timer that does not move, or gives nonsense, falls back to what
CPUID says, and then to 1 GHz, with which clocks run but may be wrong.

Source: Intel SDM vol. 3, 19.17 (time stamp counter); vol. 2, CPUID leaves 15H and 16H.
"""

from typing import Final

from arch.x86_64.chips import pit
from arch.x86_64.cpu import EAX, EBX, ECX, cpuid
from arch.x86_64.machine import read_counter

MEASURE_TICKS: Final = 11_932
"""10 ms of the interval timer."""
ATTEMPTS: Final = 3
GOOD_ENOUGH: Final = 2000
"""Brackets that many times narrower than what is measured: the error is at most 0.25 per mille and two ticks."""
READ_LIMIT: Final = 1_000_000
FALLBACK_HZ: Final = 1_000_000_000
LOWEST_HZ: Final = 16_000_000
HIGHEST_HZ: Final = 20_000_000_000


def measure_frequency_hz() -> int:
    """The counter's frequency. Leaves the interval timer in counting mode: what interrupts comes after."""
    pit.start_counter()
    best_uncertainty = -1
    best_hz = 0
    for _ in range(ATTEMPTS):
        sample = Sample()
        if not sample.take():
            break
        if LOWEST_HZ <= sample.frequency_hz <= HIGHEST_HZ and (
            best_uncertainty < 0 or sample.uncertainty < best_uncertainty
        ):
            best_uncertainty = sample.uncertainty
            best_hz = sample.frequency_hz
            if sample.is_good_enough():
                break
    if best_hz != 0:
        return best_hz
    return frequency_by_cpuid()


class Sample:
    """One measurement: both counters at two moments."""

    def __init__(self) -> None:
        self.frequency_hz: int = 0
        self.uncertainty: int = 0
        """Counts of the time stamp counter that passed while the timer was read at the two moments; and, if they are
        more than half of the span, those between two readings that followed each other.
        """
        self.span: int = 0
        """Counts of the time stamp counter between the two moments."""

    def take(self) -> bool:
        """False when the interval timer does not run."""
        before = read_counter()
        previous = pit.counter()
        after = read_counter()
        start = (before + after) // 2
        self.uncertainty = after - before
        elapsed_ticks = 0
        longest = 0
        for _ in range(READ_LIMIT):
            last = before
            before = read_counter()
            now = pit.counter()
            after = read_counter()
            longest = max(longest, after - last)
            # Down-counting modulo 65536: right as long as two readings are less than 55 ms apart.
            elapsed_ticks += (previous - now) & 0xFFFF
            previous = now
            if elapsed_ticks >= MEASURE_TICKS:
                self.uncertainty += after - before
                self.span = (before + after) // 2 - start
                if longest * 2 > self.span:
                    self.uncertainty += longest
                self.frequency_hz = self.span * pit.FREQUENCY_HZ // elapsed_ticks
                return True
        return False

    def is_good_enough(self) -> bool:
        """Whether a second measurement is not worth its time."""
        return self.uncertainty * GOOD_ENOUGH <= self.span


def frequency_by_cpuid() -> int:
    """Leaf 15H gives the crystal's frequency and the ratio; leaf 16H the base frequency in MHz."""
    highest = cpuid(0, 0, EAX)
    if highest >= 0x15:
        denominator = cpuid(0x15, 0, EAX)
        numerator = cpuid(0x15, 0, EBX)
        crystal_hz = cpuid(0x15, 0, ECX)
        if denominator != 0 and numerator != 0 and crystal_hz != 0:
            return crystal_hz * numerator // denominator
    if highest >= 0x16:
        mhz = cpuid(0x16, 0, EAX) & 0xFFFF
        if mhz != 0:
            return mhz * 1_000_000
    return FALLBACK_HZ
