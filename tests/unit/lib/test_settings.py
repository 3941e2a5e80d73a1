"""Numbers below /proc/sys: what is read from a text, and what a row takes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.lang import EINVAL, Errno
from kernel.lib.settings import INT_LEAST, INT_MOST, SETTINGS, SystemSetting, numbers_in


@pytest.fixture(scope="module")
def row() -> SystemSetting:
    setting = SystemSetting(b"for/tests", [5, 6, 7], INT_LEAST, INT_MOST)
    SETTINGS[:] = [each for each in SETTINGS if each is not setting]
    return setting


@given(st.lists(st.integers(-(1 << 40), (1 << 63) - 1), min_size=1, max_size=5), st.integers(1, 5))
def test_numbers_are_read_in_order(numbers: list[int], most: int) -> None:
    text = b" \t".join(b"%d" % number for number in numbers) + b"\n"
    found, used = numbers_in(text, most)
    assert found == numbers[:most]
    assert (used == len(text)) == (most >= len(numbers))
    assert text[used:].split() == [b"%d" % number for number in numbers[most:]]


@pytest.mark.parametrize(
    ("text", "number"), [(b"0x1f", 31), (b"017", 15), (b"-0x10\n", -16), (b"  0", 0), (b"-1 x", -1)]
)
def test_numbers_are_as_in_c(text: bytes, number: int) -> None:
    assert numbers_in(text, 1)[0] == [number]


@pytest.mark.parametrize(
    "text", [b" ", b"\n", b"-", b"- 1", b"+1", b"1x", b"08", b"0x", b"1,2", b"1\0", b"9223372036854775808", b"0" * 21]
)
def test_others_are_refused(text: bytes) -> None:
    with pytest.raises(Errno) as caught:
        numbers_in(text, 2)
    assert caught.value.code == EINVAL


def test_a_row_keeps_what_is_not_written(row: SystemSetting) -> None:
    assert row.store_text(b"1 2\n") == 4
    assert row.text() == b"1\t2\t7\n"
    assert row.store_text(b"") == 0
    assert row.store_text(b"3 3 3 4") == 6
    assert row.text() == b"3\t3\t3\n"
    with pytest.raises(Errno):
        row.store_text(b"1 2147483648")
    assert row.text() == b"3\t3\t3\n"


def test_a_long_text_is_read_to_the_end_of_a_page(row: SystemSetting) -> None:
    assert row.store_text(b"1" + b" " * 6000) == 6001
