"""Arithmetic with large numbers, held to Python's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.crypto.number import (
    added,
    bit_length,
    bit_of,
    bytes_from,
    is_equal,
    is_less,
    multiplied,
    number_from,
    power,
    remainder,
    subtracted,
)
from kernel.lang import EINTR, Errno
from kernel.lib.pace import PACE, Rest

# Digits at their bounds are where divisions go wrong.
NUMBERS = st.one_of(
    st.integers(0, 1 << 400),
    st.lists(st.sampled_from([0, 1, 1 << 29, (1 << 30) - 1]), max_size=8).map(
        lambda digits: sum(digit << 30 * place for place, digit in enumerate(digits))
    ),
)


def number(value: int) -> list[int]:
    return number_from(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def value(digits: list[int]) -> int:
    return sum(digit << 30 * place for place, digit in enumerate(digits))


@given(NUMBERS, NUMBERS)
def test_sums_products_and_rests(first: int, second: int) -> None:
    a, b = number(first), number(second)
    assert value(added(a, b)) == first + second
    assert value(multiplied(a, b)) == first * second
    assert is_less(a, b) == (first < second) and is_equal(a, b) == (first == second)
    if first >= second:
        assert value(subtracted(a, b)) == first - second
    if second > 0:
        assert value(remainder(a, b)) == first % second


@given(NUMBERS)
def test_bytes_and_bits(first: int) -> None:
    digits = number(first)
    assert bit_length(digits) == first.bit_length()
    assert int.from_bytes(bytes_from(digits, 64), "big") == first
    assert sum(bit_of(digits, index) << index for index in range(500)) == first


@given(NUMBERS, st.integers(0, 1 << 70), NUMBERS)
def test_powers(base: int, exponent: int, modulus: int) -> None:
    if modulus > 0:
        assert value(power(number(base), number(exponent), number(modulus))) == pow(base, exponent, modulus)


class Death(Rest):
    """A safe point at which the caller is killed."""

    def is_dying(self) -> bool:
        return True


def test_a_killed_caller_does_not_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PACE, "rest", Death())
    large = number((1 << 8000) - 1)
    with pytest.raises(Errno) as raised:
        power(number(3), large, large)
    assert raised.value.code == EINTR
