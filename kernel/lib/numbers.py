"""Numbers that programs write to files of /proc and /sys.

Context: any; nothing sleeps.
"""

from typing import Final

from kernel.lang import EINVAL, ERANGE, Errno

LARGEST: Final = (1 << 62) - 1
_NO_DIGIT: Final = 99
_WORD: Final = 0xFFFF_FFFF


def parse_unsigned(text: bytes, base: int, limit: int) -> int:
    """A number below `limit`, which is at most 2**62, perhaps with a plus sign before and one newline after it; in base
    0 as C has them: decimal, octal after 0, hexadecimal after 0x. Raises EINVAL, ERANGE.
    """
    digits = text[:-1] if text.endswith(b"\n") else text
    if digits.startswith(b"+"):
        digits = digits[1:]
    if base == 0:
        base = base_of(digits)
        digits = digits[2 if base == 16 else 0 :]
    if len(digits) == 0:
        raise Errno(EINVAL)
    value = 0
    for byte in digits:
        digit = digit_of(byte)
        if digit >= base:
            raise Errno(EINVAL)
        if value > (LARGEST - digit) // base:
            raise Errno(ERANGE)
        value = value * base + digit
    if value >= limit:
        raise Errno(ERANGE)
    return value


def parse_mask(text: bytes) -> int:
    """Bits 0 to 61 of a number of 64 bits in base 0. Raises EINVAL, ERANGE."""
    digits = text[:-1] if text.endswith(b"\n") else text
    if digits.startswith(b"+"):
        digits = digits[1:]
    base = base_of(digits)
    digits = digits[2 if base == 16 else 0 :]
    if len(digits) == 0:
        raise Errno(EINVAL)
    low = 0
    high = 0  # 32 bits each
    for byte in digits:
        digit = digit_of(byte)
        if digit >= base:
            raise Errno(EINVAL)
        low = low * base + digit
        high = high * base + (low >> 32)
        low &= _WORD
        if high > _WORD:
            raise Errno(ERANGE)
    return (high & _WORD >> 2) << 32 | low


def base_of(digits: bytes) -> int:
    """The base in which C has a number."""
    if len(digits) < 2 or digits[0] != ord("0"):
        return 10
    return 16 if len(digits) > 2 and digits[1] | 32 == ord("x") else 8


def digit_of(byte: int) -> int:
    """The value of a character as a digit; above all bases if it is none."""
    if ord("0") <= byte <= ord("9"):
        return byte - ord("0")
    lower = byte | 32
    return lower - ord("a") + 10 if ord("a") <= lower <= ord("z") else _NO_DIGIT
