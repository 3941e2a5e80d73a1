"""Numbers that programs write to /proc, or that are names in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.fs.procfs.process_control import parse_signed
from kernel.fs.procfs.process_status import mask_text
from kernel.fs.procfs.subject import parse_decimal_64, parse_number, parse_padded_32, parse_unsigned_32
from kernel.fs.sysfs.net import number_in
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
    assert parse_unsigned_32(b"0" * 33 + b"79") == 7  # more is not looked at
    assert parse_decimal_64(b"0" * 64 + b"79") == 79 and parse_decimal_64(b"0" * 65 + b"79") == 7
    with pytest.raises(Errno):
        parse_unsigned_32(b"0x100000000")


@pytest.mark.parametrize(("text", "number"), [
    (b"+9", 9), (b"9\n", 9), (b"0x1F\n", 31), (b"011", 9), (b"0", 0), (b"9\0x", 9),
    (b"4611686018427387903", (1 << 62) - 1),
])  # fmt: skip
def test_numbers_for_sys(text: bytes, number: int) -> None:
    assert number_in(text) == number


@pytest.mark.parametrize(("text", "failure"), [
    (b"9\n\n", EINVAL), (b"", EINVAL), (b"+", EINVAL), (b"\n", EINVAL), (b"++9", EINVAL), (b"-9", EINVAL),
    (b" 9", EINVAL), (b"0x", EINVAL), (b"08", EINVAL), (b"9\x1a", EINVAL), (b"\0", EINVAL),
    (b"4611686018427387904", ERANGE), (b"9" * 30 + b"x", ERANGE),
])  # fmt: skip
def test_what_is_no_number_for_sys(text: bytes, failure: int) -> None:
    with pytest.raises(Errno) as error:
        number_in(text)
    assert error.value.code == failure
