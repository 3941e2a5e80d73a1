"""Bounds of numbers: whatever two numbers between the bounds give lies between those of the result."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from kernel.bpf.arithmetic import LEAST, MOST, WORD_MASK, compute, compute_32, holds, holds_32
from kernel.bpf.ranges import (
    NOT_TAKEN,
    TAKEN,
    after,
    after_32,
    decided,
    decided_32,
    low_word,
    mirrored,
    narrowed,
    opposite,
    same_as_64,
)
from kernel.bpf.state import Value, number

EDGES = [LEAST, LEAST + 1, -(1 << 32), -(1 << 31), -1, 0, 1, 7, 31, 32, 63, 64, 255, (1 << 31) - 1, 1 << 31, WORD_MASK]
NUMBERS = st.one_of(st.sampled_from([*EDGES, 1 << 32, MOST - 1, MOST]), st.integers(LEAST, MOST), st.integers(-70, 70))
ARITHMETIC = st.sampled_from([what << 4 for what in (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 12)])
COMPARISONS = st.sampled_from([what << 4 for what in (1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13)])


@st.composite
def ranges(draw: st.DrawFn) -> tuple[Value, int]:
    """Bounds, and a number between them."""
    found = sorted([draw(NUMBERS), draw(NUMBERS), draw(NUMBERS)])
    if draw(st.booleans()):
        return number(found[1], found[1]), found[1]
    return number(found[0], found[2]), found[1]


def lies_in(value: Value, found: int) -> bool:
    return value.least <= found <= value.most


@given(ARITHMETIC, ranges(), ranges())
def test_arithmetic_stays_between_its_bounds(what: int, a: tuple[Value, int], b: tuple[Value, int]) -> None:
    assert lies_in(after(what, a[0], b[0]), compute(what, a[1], b[1]))
    assert lies_in(after_32(what, a[0], b[0]), compute_32(what, a[1], b[1]))
    assert lies_in(low_word(a[0]), a[1] & WORD_MASK)


@given(COMPARISONS, ranges(), ranges())
def test_what_is_decided_is_so(what: int, a: tuple[Value, int], b: tuple[Value, int]) -> None:
    known = decided(what, a[0], b[0])
    assert known != (NOT_TAKEN if holds(what, a[1], b[1]) else TAKEN)
    low_a, low_b = low_word(a[0]), low_word(b[0])
    known = decided_32(what, low_a, low_b)
    assert known != (NOT_TAKEN if holds_32(what, a[1], b[1]) else TAKEN)


@given(COMPARISONS, ranges(), ranges())
def test_comparisons_narrow_to_what_holds(what: int, a: tuple[Value, int], b: tuple[Value, int]) -> None:
    if not holds(what, a[1], b[1]):
        what = opposite(what)
        assume(holds(what, a[1], b[1]))  # JSET has no opposite
    assert lies_in(narrowed(what, a[0], b[0]), a[1])
    assert lies_in(narrowed(mirrored(what), b[0], a[0]), b[1])


@given(COMPARISONS, ranges(), ranges())
def test_words_are_compared_like_all_bits_where_it_says_so(
    what: int, a: tuple[Value, int], b: tuple[Value, int]
) -> None:
    if same_as_64(what, a[0], b[0]):
        assert holds(what, a[1], b[1]) == holds_32(what, a[1], b[1])
