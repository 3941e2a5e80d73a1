"""The range of addresses from which calls are always made (UserDispatch): all its numbers are unsigned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.task.user_dispatch import UserDispatch

MODULUS = 1 << 64


def signed(number: int) -> int:
    return number - MODULUS if number >= MODULUS >> 1 else number


@pytest.mark.parametrize(
    ("start", "size", "address", "is_exempt"),
    [
        (0, 0, 0, False),
        (0, 0, 0x401000, False),
        (0x1000, 0x10, 0x0FFF, False),
        (0x1000, 0x10, 0x1000, True),
        (0x1000, 0x10, 0x100F, True),
        (0x1000, 0x10, 0x1010, False),
        (0, MODULUS - 1, 0x401000, True),
        (0x40_2000, MODULUS - 1 - 0x40_2000, 0x401000, False),
        (MODULUS - 2, 1, MODULUS - 2, True),
    ],
)
def test_edges(start: int, size: int, address: int, is_exempt: bool) -> None:
    assert UserDispatch(signed(start), signed(size), 0).exempts(signed(address)) == is_exempt


@given(st.integers(0, MODULUS - 1), st.integers(0, MODULUS - 1), st.integers(0, MODULUS - 1))
def test_as_unsigned_arithmetic_says(start: int, size: int, address: int) -> None:
    expected = (address - start) % MODULUS < size
    assert UserDispatch(signed(start), signed(size), 0).exempts(signed(address)) == expected
