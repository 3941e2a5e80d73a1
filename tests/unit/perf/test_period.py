"""When samples are due."""

from hypothesis import given
from hypothesis import strategies as st

from kernel.perf.period import Period

TICK_NS = 4_000_000


def counting(length: int) -> Period:
    period = Period(length, 0)
    period.start()
    return period


def test_a_sample_comes_after_each_period() -> None:
    period = counting(3)
    assert [period.add(1) for _ in range(9)] == [0, 0, 1, 0, 0, 1, 0, 0, 1]


def test_many_at_once_are_several_samples() -> None:
    period = counting(10)
    assert period.add(35) == 3
    assert period.add(5) == 1


def test_a_pause_keeps_what_was_counted() -> None:
    period = counting(4)
    assert period.add(3) == 0
    period.start()
    assert period.add(1) == 1


def test_the_longest_periods_are_not_over_at_once() -> None:
    for length in ((1 << 62) + 1, (1 << 63) - 1):
        period = counting(length)
        assert period.add(1) == 0 and period.left == 1 - length


@given(st.integers(1, (1 << 63) - 1), st.lists(st.integers(1, (1 << 63) - 1), max_size=20))
def test_no_number_overflows(length: int, counts: list[int]) -> None:
    period = counting(length)
    for count in counts:
        assert 0 <= period.add(count) < 1 << 63
        assert -(1 << 63) <= period.left < 1 << 63


def test_a_frequency_is_found() -> None:
    """A thousand things in a millisecond, a thousand samples a second: one sample for a thousand of them."""
    period = Period(1, 1000)
    period.start()
    now_ns = 0
    for _ in range(400):
        now_ns += period.length * 1000
        period.last = period.length
        period.follow_frequency(now_ns, TICK_NS)
    assert 900 <= period.length <= 1100


@given(st.integers(1, (1 << 63) - 1), st.integers(1, (1 << 31) - 1), st.integers(1, 2 * TICK_NS - 1))
def test_a_frequency_keeps_its_bounds(length: int, frequency: int, since_ns: int) -> None:
    period = Period(length, frequency)
    period.start()
    period.follow_frequency(since_ns, TICK_NS)
    assert 1 <= period.length < 1 << 63
