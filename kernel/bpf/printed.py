"""How long the message of bpf_trace_printk would be.

Context: any; nothing raises or allocates.
Source: bpf-helpers(7); Linux's Documentation/core-api/printk-formats.rst.
"""

from typing import Final

from kernel.lang import EINVAL, Span, u8

_MOST_ARGUMENTS: Final = 3
_MOST_LENGTH: Final = 1024
_POINTER_LENGTH: Final = 16
_WORD: Final = 0xFFFF_FFFF
_CONVERSIONS: Final = b"diuxXcps"


def printed_length(form: Span[u8], first: int, second: int, third: int) -> int:
    """The length; -EINVAL for a format that is wrong. Texts and what pointers lead to count as nothing."""
    length = 0
    used = 0
    at = 0
    while at < len(form) and form[at] != 0:
        byte = form[at]
        at += 1
        if not (ord(" ") <= byte <= ord("~") or ord("\t") <= byte <= ord("\r")):
            return -EINVAL
        if byte != ord("%"):
            length += 1
            continue
        if at < len(form) and form[at] == ord("%"):
            length += 1
            at += 1
            continue
        width = 0
        while at < len(form) and (ord("0") <= form[at] <= ord("9") or form[at] == ord("-")):
            width = min(width * 10 + max(form[at] - ord("0"), 0), _MOST_LENGTH)
            at += 1
        longs = 0
        while at < len(form) and form[at] == ord("l"):
            longs += 1
            at += 1
        if at >= len(form) or form[at] not in _CONVERSIONS or longs > 2 or used >= _MOST_ARGUMENTS:
            return -EINVAL
        value = first if used == 0 else second if used == 1 else third
        length += max(width, _length_of(form[at], value, is_long=longs > 0))
        used += 1
        at += 1
    return -EINVAL if at >= len(form) else min(length, _MOST_LENGTH)


def _length_of(conversion: int, value: int, *, is_long: bool) -> int:
    if conversion == ord("s"):
        return 0
    if conversion == ord("c"):
        return 1
    if conversion == ord("p"):
        return _POINTER_LENGTH
    if not is_long:
        value &= _WORD
        if conversion in b"di" and value >> 31 != 0:
            value -= 1 << 32
    if conversion in b"xX":
        return _hexadecimal(value)
    if value >= 0:
        return _decimal(value)
    if conversion in b"di":
        return 1 + (19 if value == -(1 << 63) else _decimal(-value))
    return 20 if value >= -8_446_744_073_709_551_616 else 19  # from 10**19 on, or from 2**63 on


def _decimal(value: int) -> int:
    digits = 1
    while value >= 10:
        value //= 10
        digits += 1
    return digits


def _hexadecimal(value: int) -> int:
    digits = 1
    value = value >> 4 & (1 << 60) - 1
    while value != 0:
        value >>= 4
        digits += 1
    return digits
