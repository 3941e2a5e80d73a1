"""The clock turns counter ticks into time, without drift and never backwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arch.x86_64.simulation import processor
from kernel.lang import Errno
from kernel.time import clock


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
