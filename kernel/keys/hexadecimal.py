"""Bytes as hexadecimal digits, two for each."""

from typing import Final

from kernel.lang import EINVAL, Errno
from kernel.lib.numbers import digit_of

_DIGITS: Final = b"0123456789abcdef"


def digits_of(data: bytes) -> bytes:
    """The digits, in small letters."""
    text = bytearray(2 * len(data))
    for index in range(len(data)):
        text[2 * index] = _DIGITS[data[index] >> 4]
        text[2 * index + 1] = _DIGITS[data[index] & 15]
    return bytes(text)


def bytes_of_digits(text: bytes) -> bytes:
    """Raises EINVAL for an odd number of digits, and for what is none."""
    if len(text) % 2 != 0:
        raise Errno(EINVAL)
    data = bytearray(len(text) // 2)
    for index in range(len(data)):
        high = digit_of(text[2 * index])
        low = digit_of(text[2 * index + 1])
        if high > 15 or low > 15:
            raise Errno(EINVAL)
        data[index] = high << 4 | low
    return bytes(data)
