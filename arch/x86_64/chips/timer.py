"""The timer of each processor: one interrupt, TICK_VECTOR, after a time that the kernel gives.

It is that of the local APIC, which each processor has to itself. It counts down at a rate that only the machine knows,
so it is measured against the time-stamp counter. Without an APIC it is the interval timer, which reaches 55 ms: where
the kernel asks for more, it interrupts early, and is asked again. The same is done for long times, which a rate that
is wrong by a thousandth would let end too late.

Context: interrupts are off; nothing sleeps.
Source: Intel SDM vol. 3, 12.5.4 (APIC timer).
"""

from typing import Final

from arch.x86_64.chips import apic, pic8259, pit
from arch.x86_64.machine import read_counter
from kernel.lang import noinline

NS_PER_SECOND: Final = 1_000_000_000
TICK_VECTOR: Final = pic8259.FIRST_VECTOR + pit.TICK_LINE

LONG_NS: Final = 10_000_000  # what is longer is approached in two steps
EARLY_SHIFT: Final = 6  # the first ends a 64th too early
LATE_SHIFT: Final = 10  # what is shorter ends a 1024th late rather than early

LONGEST_COUNT: Final = 0xFFFF_FFFF
LONGEST_NS: Final = 16 * NS_PER_SECOND
MEASURE_PARTS: Final = 1000  # the rate is measured over 1/1000 s
ATTEMPTS: Final = 10
GOOD_SHIFT: Final = 11  # good enough: read within a 2048th of that time
LOWEST_HZ: Final = 100_000
HIGHEST_HZ: Final = 1_000_000_000
_SHIFT: Final = 24

_scale: int = 0  # counts of the APIC's timer a nanosecond, times 2**_SHIFT; 0: the interval timer is used


def start(counter_hz: int) -> None:
    """Once `apic` is initialised. `counter_hz`: the frequency of the time-stamp counter."""
    global _scale
    count_hz = _measure_hz(counter_hz) if apic.is_present() else 0
    _scale = (count_hz << _SHIFT) // NS_PER_SECOND
    if _scale != 0:
        apic.let_timer_interrupt(TICK_VECTOR)
    else:
        pic8259.unmask(pit.TICK_LINE)


def start_further() -> None:
    """On another processor than the first."""
    if _scale != 0:
        apic.let_timer_interrupt(TICK_VECTOR)


def is_own() -> bool:
    """Whether TICK_VECTOR comes from the processor's own timer, and not through the 8259."""
    return _scale != 0


@noinline
def interrupt_after(delay_ns: int) -> None:
    """Interrupt this processor once, in `delay_ns` or earlier, and not for what was asked before. A negative delay: at
    once.
    """
    if _scale == 0:
        within_reach = min(max(delay_ns, 0), NS_PER_SECOND)
        pit.interrupt_after(min(within_reach * pit.FREQUENCY_HZ // NS_PER_SECOND + 1, pit.LONGEST_COUNT))
        return
    wanted_ns = delay_ns - (delay_ns >> EARLY_SHIFT) if delay_ns > LONG_NS else delay_ns + (delay_ns >> LATE_SHIFT)
    count = (min(max(wanted_ns, 0), LONGEST_NS) * _scale) >> _SHIFT  # fits 63 bits up to HIGHEST_HZ
    apic.set_timer(min(count + 1, LONGEST_COUNT))


def _measure_hz(counter_hz: int) -> int:
    """Counts a second of the APIC's timer, or 0 if it does not count as one should."""
    best_hz = 0
    best_doubt = -1
    for _ in range(ATTEMPTS):
        apic.set_timer(LONGEST_COUNT)
        before = read_counter()
        first = apic.timer_count()
        after = read_counter()
        end = after + counter_hz // MEASURE_PARTS
        doubt = after - before
        start = before + (after - before) // 2
        while True:
            before = read_counter()
            last = apic.timer_count()
            after = read_counter()
            if after >= end:
                break
        doubt += after - before
        hz = (first - last) * counter_hz // (before + (after - before) // 2 - start)
        if LOWEST_HZ <= hz <= HIGHEST_HZ and (best_doubt < 0 or doubt < best_doubt):
            best_hz = hz
            best_doubt = doubt
            if doubt << GOOD_SHIFT < counter_hz // MEASURE_PARTS:
                break
    apic.set_timer(0)
    return best_hz
