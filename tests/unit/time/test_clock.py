"""The clock turns counter ticks into time, without drift and never backwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arch import read_counter
from arch.x86_64.simulation import processor
from kernel.lang import Errno
from kernel.time import base, clock
from kernel.time.base import BASE, REBASE_TICKS, UNKNOWN, quick_ns


@given(st.integers(16_000_000, 5_000_000_000), st.lists(st.integers(0, 1 << 40), max_size=20))
def test_time_follows_the_counter(frequency: int, steps: list[int]) -> None:
    processor.tsc = 12345
    clock.start(frequency, 0)
    start = processor.tsc
    last = 0
    for step in steps:
        processor.tsc += step
        now = clock.monotonic_ns()
        exact = (processor.tsc - start) * 10**9 // frequency
        assert now >= last
        assert abs(now - exact) <= 1000 + exact // 1_000_000
        last = now


def test_wall_clock_can_be_set() -> None:
    processor.tsc = 0
    clock.start(1_000_000_000, 5)
    assert 0 <= clock.realtime_ns() - clock.monotonic_ns() - 5 + 10 <= 10
    clock.set_realtime(10**18)
    assert clock.realtime_seconds() == 10**9
    with pytest.raises(Errno):
        clock.set_realtime(-1)


@pytest.mark.parametrize("attempt", range(2))
def test_no_test_sees_the_clock_of_another(attempt: int) -> None:
    """The second would, without the fixture `clock_stands` of all unit tests."""
    assert (clock.monotonic_ns(), clock.realtime_ns()) == (0, 0)
    clock.start(1_000_000_000, 5)
    assert clock.realtime_ns() >= 5


def test_the_quick_reading_is_that_with_the_lock() -> None:
    clock.start(1_000_000_000, 1_700_000_000 * clock.NS_PER_SECOND)
    for _ in range(3):
        before = clock.monotonic_ns()
        quick = quick_ns(of_wall_clock=False)
        assert before <= quick <= clock.monotonic_ns()
        before = clock.realtime_ns()
        assert before <= quick_ns(of_wall_clock=True) <= clock.realtime_ns()
        processor.tsc += 3_000_000_000
    assert BASE.sequence & 1 == 0


def test_no_quick_reading_while_the_base_changes_or_is_far(monkeypatch: pytest.MonkeyPatch) -> None:
    clock.start(1_000_000_000, 0)
    processor.tsc += REBASE_TICKS
    assert quick_ns(of_wall_clock=False) == UNKNOWN
    sequence, found = BASE.sequence, []
    clock.monotonic_ns()
    assert BASE.sequence == sequence + 2 and quick_ns(of_wall_clock=False) != UNKNOWN

    def read_while_it_changes() -> None:
        found.append(quick_ns(of_wall_clock=False))

    monkeypatch.setattr(base, "compiler_barrier", lambda: None)
    BASE.sequence += 1
    read_while_it_changes()
    BASE.sequence += 1

    def change_meanwhile() -> int:
        BASE.move(BASE.counter + 1000, BASE.ns + 1000)
        return read_counter()

    monkeypatch.setattr(base, "read_counter", change_meanwhile)
    read_while_it_changes()
    assert found == [UNKNOWN, UNKNOWN]


def test_the_quick_reading_is_not_before_one_with_the_lock() -> None:
    """A counter that is behind on this processor."""
    clock.start(1_000_000_000, 0)
    processor.tsc += 5_000
    last = clock.monotonic_ns()
    processor.tsc -= 2_000
    assert quick_ns(of_wall_clock=False) == last == clock.monotonic_ns()
