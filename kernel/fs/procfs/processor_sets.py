"""Sets of processors as /proc and /sys show them. A set is a bit for each processor, of up to 64."""

from typing import Final

_SET_BITS: Final = 64
_WORD_BITS: Final = 32
_DIGIT_BITS: Final = 4


def set_text(mask: int, count: int) -> str:
    """In hexadecimal, with a comma after each 32 bits, as many digits as `count` processors need; others don't show."""
    shown = mask if count == _SET_BITS else mask & ((1 << count) - 1)
    text = ""
    place = (count - 1) // _WORD_BITS * _WORD_BITS
    while place >= 0:
        bits = min(count - place, _WORD_BITS)
        for digit in range((bits + _DIGIT_BITS - 1) // _DIGIT_BITS - 1, -1, -1):
            value = shown >> (place + digit * _DIGIT_BITS) & 15
            text += f"{value:x}"
        text += "," if place > 0 else ""
        place -= _WORD_BITS
    return text


def set_list(mask: int, count: int) -> str:
    """As ranges: 0,2-3."""
    text = ""
    number = 0
    while number < count:
        first = number
        while number < count and mask >> number & 1 != 0:
            number += 1
        if number > first:
            text += ("," if len(text) > 0 else "") + (f"{first}" if number == first + 1 else f"{first}-{number - 1}")
        number += 1
    return text
