"""SHA-1 (FIPS 180-4, 6.1).

Context: takes safe points.
"""

from typing import Final

from kernel.crypto.hash import Hash, take_all, text_of_words
from kernel.lang import Span, final, u8

_MASK: Final = 0xFFFF_FFFF
_BLOCK: Final = 64
_COST: Final = 3000  # instructions for a block


@final
class Sha1(Hash):
    """The algorithm."""

    def compute(self, data: bytes) -> bytes:
        state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0]
        take_all(state, data, _BLOCK, _take_block, cost=_COST, is_big_endian=True)
        return text_of_words(state, self.size, is_big_endian=True)


def _take_block(state: list[int], block: Span[u8]) -> None:
    words: list[int] = []
    for index in range(80):
        if index < 16:
            words.append(block.load_be32(4 * index))
        else:
            word = words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16]
            words.append(word << 1 & _MASK | word >> 31)
    a = state[0]
    b = state[1]
    c = state[2]
    d = state[3]
    e = state[4]
    for step in range(80):
        if step < 20:
            mixed = (b & c | (b ^ _MASK) & d) + 0x5A827999
        elif step < 40:
            mixed = (b ^ c ^ d) + 0x6ED9EBA1
        elif step < 60:
            mixed = (b & c | b & d | c & d) + 0x8F1BBCDC
        else:
            mixed = (b ^ c ^ d) + 0xCA62C1D6
        total = (a << 5 & _MASK | a >> 27) + mixed + e + words[step] & _MASK
        e = d
        d = c
        c = b << 30 & _MASK | b >> 2
        b = a
        a = total
    state[0] = (state[0] + a) & _MASK
    state[1] = (state[1] + b) & _MASK
    state[2] = (state[2] + c) & _MASK
    state[3] = (state[3] + d) & _MASK
    state[4] = (state[4] + e) & _MASK
