"""MD5 (RFC 1321).

Context: takes safe points.
"""

from typing import Final

from kernel.crypto.hash import Hash, take_all, text_of_words
from kernel.lang import Span, final, u8

_MASK: Final = 0xFFFF_FFFF
_BLOCK: Final = 64
_COST: Final = 2500  # instructions for a block


def _sine(number: int) -> int:
    """The sine of a number, without its sign, times 2**32: by its series, in fixed point."""
    total = 0
    term = number << 256
    sign = 1
    count = 1
    while term > 0:
        total += sign * term
        sign = -sign
        term = term * number * number // ((count + 1) * (count + 2))
        count += 2
    return abs(total) >> 224


_SINES: Final[list[int]] = [_sine(step + 1) for step in range(64)]
_SHIFTS: Final[list[int]] = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21]


@final
class Md5(Hash):
    """The algorithm."""

    def compute(self, data: bytes) -> bytes:
        state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476]
        take_all(state, data, _BLOCK, _take_block, cost=_COST, is_big_endian=False)
        return text_of_words(state, self.size, is_big_endian=False)


def _take_block(state: list[int], block: Span[u8]) -> None:
    a = state[0]
    b = state[1]
    c = state[2]
    d = state[3]
    for step in range(64):
        if step < 16:
            mixed = b & c | (b ^ _MASK) & d
            word = step
        elif step < 32:
            mixed = d & b | (d ^ _MASK) & c
            word = (5 * step + 1) % 16
        elif step < 48:
            mixed = b ^ c ^ d
            word = (3 * step + 5) % 16
        else:
            mixed = c ^ (b | d ^ _MASK)
            word = 7 * step % 16
        total = (a + mixed + _SINES[step] + block.load_u32(4 * word)) & _MASK
        shift = _SHIFTS[step // 16 * 4 + step % 4]
        a = d
        d = c
        c = b
        b = (b + (total << shift & _MASK | total >> 32 - shift)) & _MASK
    state[0] = (state[0] + a) & _MASK
    state[1] = (state[1] + b) & _MASK
    state[2] = (state[2] + c) & _MASK
    state[3] = (state[3] + d) & _MASK
