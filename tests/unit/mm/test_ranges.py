"""Sums of numbers that programs give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.lang import EFAULT, Errno, UserAddr
from kernel.lib import user
from kernel.lib.saturation import LARGEST, LEAST, end_page_of, sum_of, wrapped_sum
from kernel.mm.ranges import pages_of

EDGES = (0, 1, -1, 4095, 4096, -4096, 1 << 47, 1 << 62, LARGEST - 4096, LARGEST - 1, LARGEST, LEAST + 1, LEAST)
NUMBERS = st.one_of(st.sampled_from(EDGES), st.integers(LEAST, LARGEST))


@given(NUMBERS, NUMBERS)
def test_a_sum_saturates(first: int, second: int) -> None:
    assert sum_of(first, second) == max(LEAST, min(LARGEST, first + second))


@given(NUMBERS, NUMBERS)
def test_a_sum_wraps(first: int, second: int) -> None:
    assert (wrapped_sum(first, second) - (first + second)) % 2**64 == 0
    assert LEAST <= wrapped_sum(first, second) <= LARGEST


@given(st.integers(0, LARGEST), st.integers(0, LARGEST))
def test_the_end_of_a_range_of_a_file(offset: int, length: int) -> None:
    last = LARGEST if length == 0 else min(LARGEST, offset + length - 1)
    assert end_page_of(offset, length) == last // 4096 + 1


@given(NUMBERS, NUMBERS)
def test_pages_are_counted_modulo_64_bits(address: int, length: int) -> None:
    first, behind = pages_of(address, length)
    start = address % 2**64 // 4096 * 4096
    rounded = (length + address % 4096 + 4095) // 4096 * 4096 % 2**64
    assert first * 4096 == start
    assert behind * 4096 == (start + rounded) % 2**64


@pytest.mark.parametrize("address", EDGES)
def test_an_address_further_on(address: int) -> None:
    if 0 <= address <= user.USER_LIMIT:
        assert user.at(UserAddr(address), 24) == address + 24
        return
    with pytest.raises(Errno) as caught:
        user.at(UserAddr(address), 24)
    assert caught.value.code == EFAULT
