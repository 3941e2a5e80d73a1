"""Bitmaps of blocks and inodes: bit n of a group lies in byte n / 8, lowest bit first. Pure functions over a block."""

from typing import Final

from kernel.lang import Span, u8

NONE: Final = -1


def test_bit(bitmap: Span[u8], index: int) -> bool:
    return bitmap[index >> 3] >> (index & 7) & 1 != 0


def set_bit(bitmap: Span[u8], index: int) -> None:
    bitmap[index >> 3] = bitmap[index >> 3] | 1 << (index & 7)


def clear_bit(bitmap: Span[u8], index: int) -> None:
    bitmap[index >> 3] = bitmap[index >> 3] & ~(1 << (index & 7))


def find_clear_bit(bitmap: Span[u8], start: int, end: int) -> int:
    """The first clear bit among start … end - 1, or NONE."""
    index = start
    while index < end:
        if index & 31 == 0 and index + 32 <= end and bitmap.load_u32(index >> 3) == 0xFFFFFFFF:
            index += 32
            continue
        if index & 7 == 0 and index + 8 <= end and bitmap[index >> 3] == 0xFF:
            index += 8
            continue
        if not test_bit(bitmap, index):
            return index
        index += 1
    return NONE


def find_clear_byte(bitmap: Span[u8], start: int, end: int) -> int:
    """The first bit of the first byte without any bit set that lies wholly in start … end - 1, or NONE."""
    index = (start + 7) & ~7
    while index + 8 <= end:
        if bitmap[index >> 3] == 0:
            return index
        index += 8
    return NONE


def clear_run(bitmap: Span[u8], start: int, end: int, most: int) -> int:
    """How many bits are clear from `start` on, at most `most`, and none from `end` on."""
    index = start
    limit = min(end, start + most)
    while index < limit and not test_bit(bitmap, index):
        index += 1
    return index - start


def find_set_bit(bitmap: Span[u8], start: int, end: int) -> int:
    """The first set bit among start … end - 1, or NONE."""
    index = start
    while index < end:
        if index & 31 == 0 and index + 32 <= end and bitmap.load_u32(index >> 3) == 0:
            index += 32
            continue
        if test_bit(bitmap, index):
            return index
        index += 1
    return NONE


def set_run(bitmap: Span[u8], start: int, end: int, most: int) -> int:
    """How many bits are set from `start` on, at most `most`, and none from `end` on."""
    index = start
    limit = min(end, start + most)
    while index < limit and test_bit(bitmap, index):
        index += 1
    return index - start


def count_clear(bitmap: Span[u8], end: int) -> int:
    """How many of the bits 0 … end - 1 are clear."""
    count = 0
    for index in range(end):
        if not test_bit(bitmap, index):
            count += 1
    return count
