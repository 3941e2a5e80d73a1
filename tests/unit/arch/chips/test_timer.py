"""What a processor's timer is set to: counts of the right length, and never late by more than a thousandth."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from arch.x86_64.chips import apic, pit, timer
from arch.x86_64.simulation import processor

COUNTER_HZ = 2_000_000_000
COUNTS_HZ = 62_500_000


class ApicTimer:
    """Counts down with the time-stamp counter."""

    def __init__(self) -> None:
        self.initial = 0
        self.started = 0

    def set(self, count: int) -> None:
        assert 0 <= count <= timer.LONGEST_COUNT
        self.initial = count
        self.started = processor.tsc

    def count(self) -> int:
        return max(0, self.initial - (processor.tsc - self.started) * COUNTS_HZ // COUNTER_HZ)


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Iterator[ApicTimer]:
    chip = ApicTimer()
    monkeypatch.setattr(apic, "is_present", lambda: True)
    monkeypatch.setattr(apic, "set_timer", chip.set)
    monkeypatch.setattr(apic, "timer_count", chip.count)
    monkeypatch.setattr(apic, "let_timer_interrupt", lambda vector: None)
    monkeypatch.setattr(processor, "tsc_step", 500)
    timer.start(COUNTER_HZ)
    yield chip
    monkeypatch.setattr(apic, "is_present", lambda: False)
    timer.start(COUNTER_HZ)


def test_the_rate_is_measured(chip: ApicTimer) -> None:
    """To a thousandth, so that short times are exact to a microsecond or so."""
    assert timer.is_own()
    assert chip.initial == 0  # it is stopped afterwards
    timer.interrupt_after(1_000_000)
    assert chip.initial == pytest.approx(COUNTS_HZ / 1000, rel=0.003)


@pytest.mark.parametrize("delay_ns", [0, 1, 999, 50_000, 4_000_000, 10_000_000])
def test_short_times_are_not_too_short(chip: ApicTimer, delay_ns: int) -> None:
    """An interrupt that comes early finds nothing to do, and has to be followed by another one."""
    timer.interrupt_after(delay_ns)
    taken_ns = chip.initial * 1_000_000_000 / COUNTS_HZ
    assert delay_ns * 0.999 <= taken_ns <= delay_ns * 1.003 + 50


@pytest.mark.parametrize("delay_ns", [10_000_001, 10**9, 10**12, (1 << 63) - 1])
def test_long_times_are_approached(chip: ApicTimer, delay_ns: int) -> None:
    timer.interrupt_after(delay_ns)
    taken_ns = chip.initial * 1_000_000_000 / COUNTS_HZ
    assert min(delay_ns, timer.LONGEST_NS) * 0.97 < taken_ns < delay_ns


def test_what_is_over_interrupts_at_once(chip: ApicTimer) -> None:
    timer.interrupt_after(-5)
    assert chip.initial == 1  # 0 would stop it


def test_without_an_apic_it_is_the_interval_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, int]] = []
    monkeypatch.setattr(processor, "port_write", lambda port, size, value: written.append((port, value)))
    timer.start(COUNTER_HZ)
    assert not timer.is_own()
    for delay_ns, count in [(-1, 1), (1_000_000, 1194), (4_000_000, 4773), ((1 << 63) - 1, pit.LONGEST_COUNT)]:
        written.clear()
        timer.interrupt_after(delay_ns)
        low, high = (value for port, value in written if port == pit.CHANNEL_0)
        assert low | high << 8 == count
