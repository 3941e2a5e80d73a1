"""Measuring the time stamp counter against a model of the interval timer, whose reader may lose the processor."""

from __future__ import annotations

import pytest

from arch.x86_64.chips import pit, tsc

HZ = 2_000_000_000
READ = 2000  # counts of the time stamp counter that a reading of the interval timer takes
MEASURED = HZ // 100 + READ  # 10 ms


class Clocks:
    """Both counters. At some readings the processor is taken away for `stolen` counts."""

    def __init__(self, stolen: int, at: set[int]) -> None:
        self.now = 0
        self.stolen = stolen
        self.at = at
        self.readings = 0

    def counter(self) -> int:
        return self.now

    def timer(self) -> int:
        self.readings += 1
        self.now += READ // 2
        value = -(self.now * pit.FREQUENCY_HZ // HZ) & 0xFFFF
        self.now += READ // 2 + (self.stolen if self.readings in self.at else 0)
        return value


def measured(monkeypatch: pytest.MonkeyPatch, clocks: Clocks) -> int:
    monkeypatch.setattr(tsc, "read_counter", clocks.counter)
    monkeypatch.setattr(pit, "counter", clocks.timer)
    monkeypatch.setattr(pit, "start_counter", lambda: None)
    return tsc.measure_frequency_hz()


def test_a_good_measurement_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(0, set())
    assert abs(measured(monkeypatch, clocks) - HZ) < HZ // 4000
    assert clocks.now < 1.1 * MEASURED


def test_one_that_was_disturbed_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(HZ // 1000, {1})
    assert abs(measured(monkeypatch, clocks) - HZ) < HZ // 4000
    assert 1.9 * MEASURED < clocks.now < 2.3 * MEASURED


@pytest.mark.parametrize("stolen_ms", [30, 60, 100])  # the timer runs round in 55
def test_the_processor_is_away_in_the_middle(monkeypatch: pytest.MonkeyPatch, stolen_ms: int) -> None:
    stolen = HZ * stolen_ms // 1000
    clocks = Clocks(stolen, {MEASURED // READ // 2})
    assert abs(measured(monkeypatch, clocks) - HZ) < HZ // 4000
    assert clocks.now > stolen + 1.1 * MEASURED, "that measurement does not count"


def test_three_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(HZ // 100_000, set(range(100_000)))
    measured(monkeypatch, clocks)
    assert 2.9 * MEASURED < clocks.now < 3.5 * MEASURED
