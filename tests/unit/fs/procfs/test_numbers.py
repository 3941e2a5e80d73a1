"""Numbers that programs write to /proc, or that are names in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.fs.procfs.process_control import parse_signed
from kernel.fs.procfs.process_status import mask_text
from kernel.fs.procfs.subject import parse_decimal_64, parse_number, parse_padded_32, parse_unsigned_32
from kernel.lang import EINVAL, ERANGE, Errno


@given(st.integers(0, 999_999_999))
def test_the_name_of_a_process_is_its_number(number: int) -> None:
    assert parse_number(str(number).encode()) == number


@pytest.mark.parametrize("name", [b"", b"-1", b"01", b"1a", b" 1", b"1\n", b"9999999999", b"self"])
def test_other_names_are_none(name: bytes) -> None:
    assert parse_number(name) == -1


@given(st.integers(-999_999_999, 999_999_999))
def test_a_number_is_read_with_blanks_around(number: int) -> None:
    assert parse_signed(f" {number}\n".encode()) == number


@pytest.mark.parametrize("text", [b"", b"\n", b"-", b"--1", b"1 2", b"0x10", b"1" * 30, b"ten"])
def test_what_is_no_number_is_invalid(text: bytes) -> None:
    with pytest.raises(Errno) as error:
        parse_signed(text)
    assert error.value.code == EINVAL


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_a_mask_is_shown_as_sixteen_digits(mask: int) -> None:
    assert mask_text(mask) == f"{mask & (1 << 64) - 1:016x}"


@pytest.mark.parametrize(("text", "number"), [
    (b"9", 9), (b" -9 \n", -9), (b"\v+0x9\n\n", 9), (b"011", 9), (b"-1000", -1000), (b"            9", EINVAL),
    (b"09", EINVAL), (b"9 9", EINVAL), (b"0x", EINVAL), (b"", EINVAL), (b"2147483648", ERANGE),
])  # fmt: skip
def test_a_number_of_c_with_blanks_around(text: bytes, number: int) -> None:
    if number not in (EINVAL, ERANGE):
        assert parse_padded_32(text) == number
        return
    with pytest.raises(Errno) as error:
        parse_padded_32(text)
    assert error.value.code == number


def test_decimal_numbers_have_no_other_base() -> None:
    assert parse_decimal_64(b"+09\n") == 9 and parse_decimal_64(b"50000000000") == 50_000_000_000
    for text, code in ((b"0x9", EINVAL), (b" 9", EINVAL), (b"-9", EINVAL), (b"9" * 19, ERANGE)):
        with pytest.raises(Errno) as error:
            parse_decimal_64(text)
        assert error.value.code == code
    assert parse_unsigned_32(b"0xffffffff") == 0xFFFF_FFFF
    with pytest.raises(Errno):
        parse_unsigned_32(b"0x100000000")
