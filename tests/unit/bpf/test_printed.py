"""How long messages of programs are."""

import pytest

from kernel.bpf.printed import printed_length
from kernel.lang import EINVAL, span_of


def length(form: bytes, *arguments: int) -> int:
    first, second, third = [*arguments, 0, 0, 0][:3]
    return printed_length(span_of(form), first, second, third)


@pytest.mark.parametrize(
    ("form", "arguments", "said"),
    [
        (b"abc\0", (), "abc"),
        (b"\0", (), ""),
        (b"100%%\n\0", (), "100%\n"),
        (b"%d %u %x\0", (-5, -5, -5), "-5 4294967291 fffffffb"),
        (b"%ld %lld\0", (-(1 << 63), (1 << 63) - 1), "-9223372036854775808 9223372036854775807"),
        (b"%lu %lu\0", (-1, -(1 << 63)), "18446744073709551615 9223372036854775808"),
        (b"%lx %llX %i\0", (-1, 0x10, 0), "ffffffffffffffff 10 0"),
        (b"%05d|%-4u|%3x\0", (7, 8, 0x12345), "00007|8   |12345"),
        (b"%c %p\0", (65, 0), "A 0000000000000000"),
    ],
)
def test_lengths(form: bytes, arguments: tuple[int, ...], said: str) -> None:
    assert length(form, *arguments) == len(said)


@pytest.mark.parametrize("form", [b"", b"abc", b"%\0", b"%q\0", b"%lll\0", b"\x01\0", b"\xff\0", b"%d%d%d%d\0", b"%l"])
def test_formats_that_are_wrong(form: bytes) -> None:
    assert length(form) == -EINVAL
