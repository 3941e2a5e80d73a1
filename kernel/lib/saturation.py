"""Sums of numbers that programs give: offsets, lengths and times may be anything that 64 bits hold, and a sum that does
not fit becomes the largest or least that does. (For addresses there is `kernel.lib.user.at`.)
"""

from typing import Final

LARGEST: Final = (1 << 63) - 1
LEAST: Final = -(1 << 63)
_PAGE_SHIFT: Final = 12


def sum_of(first: int, second: int) -> int:
    """first + second, within LEAST … LARGEST."""
    if second > 0 and first > LARGEST - second:
        return LARGEST
    if second < 0 and first < LEAST - second:
        return LEAST
    return first + second


def difference_of(first: int, second: int) -> int:
    """first - second, within LEAST … LARGEST."""
    if second < 0 and first > LARGEST + second:
        return LARGEST
    if second > 0 and first < LEAST + second:
        return LEAST
    return first - second


def wrapped_sum(first: int, second: int) -> int:
    """first + second, modulo 2**64: for positions that are addresses, the upper half of which are negative."""
    if second > 0 and first > LARGEST - second:
        return (first + LEAST) + (second + LEAST)
    if second < 0 and first < LEAST - second:
        return (first - LEAST) + (second - LEAST)
    return first + second


def end_page_of(offset: int, length: int) -> int:
    """One past the last page that a range of a file touches; for a `length` of 0, the range has no end."""
    if length == 0:
        return (LARGEST >> _PAGE_SHIFT) + 1
    return (sum_of(offset, length - 1) >> _PAGE_SHIFT) + 1
