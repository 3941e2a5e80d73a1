"""Numbers in the records of process accounting."""

import struct

import pytest

from kernel.task.process_accounting import _share, compressed, float_bits


def expanded(number: int) -> int:
    return (number & 0x1FFF) << 3 * (number >> 13)


@pytest.mark.parametrize("value", [0, 1, 8191])
def test_small_numbers_are_kept(value: int) -> None:
    assert compressed(value) == value


@pytest.mark.parametrize("value", [8192, 8196, 65535, 100_000, 10**6, 12_345_678, 10**9])
def test_large_numbers_are_rounded(value: int) -> None:
    assert abs(expanded(compressed(value)) - value) <= value >> 10


def test_what_is_too_large_is_the_largest() -> None:
    assert compressed(1 << 40) == 0xFFFF


def test_rounding_up_may_need_another_exponent() -> None:
    assert expanded(compressed((8191 << 3) + 7)) == 8192 << 3


@pytest.mark.parametrize("value", [0, 1, 2, 3, 100, 8_388_608, 16_777_217, 123_456_789, 1 << 40])
def test_floats(value: int) -> None:
    found = struct.unpack("<f", struct.pack("<I", float_bits(value)))[0]
    assert found <= value and value - found <= value / (1 << 23)


@pytest.mark.parametrize("blocks", [0, 1, 99, 100, 12_345, 1 << 62])
def test_shares_of_any_percentage(blocks: int) -> None:
    assert _share(blocks, 100) == blocks
    assert -blocks <= _share(blocks, -(1 << 31)) <= 0
    assert blocks <= _share(blocks, (1 << 31) - 1) < 1 << 63
