"""The Internet checksum against its definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernel.lang import span_of
from kernel.net.link.checksum import fold, sum_bytes


def by_definition(data: bytes, initial: int) -> int:
    padded = data + bytes(len(data) % 2)
    return fold(sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2)) + initial)


@given(st.binary(max_size=300), st.integers(0, 0xFFFF))
def test_a_sum_is_as_defined(data: bytes, initial: int) -> None:
    assert sum_bytes(span_of(data), initial) == by_definition(data, initial)


def test_no_carry_is_lost() -> None:
    for length in range(130):
        data = b"\xff" * length
        assert sum_bytes(span_of(data)) == by_definition(data, 0)
