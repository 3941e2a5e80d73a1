"""SHA-224, SHA-256, SHA-384 and SHA-512 (FIPS 180-4, 6.2 to 6.5).

The constants are the first bits of the fractional parts of roots of primes, which the build computes.

Context: takes safe points.
"""

from typing import Final

from kernel.crypto.hash import Hash, take_all, text_of_words
from kernel.lang import Span, final, u8, u64

_MASK: Final = 0xFFFF_FFFF
_SHORT_BLOCK: Final = 64
_LONG_BLOCK: Final = 128
_SHORT_COST: Final = 4000  # instructions for a block
_LONG_COST: Final = 6000


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime != 0 for prime in found):
            found.append(number)
        number += 1
    return found


def _root(number: int, degree: int) -> int:
    """The whole part of a root."""
    low, high = 0, 1 << number.bit_length() // degree + 1
    while high - low > 1:
        middle = (low + high) // 2
        power = 1
        for _ in range(degree):
            power *= middle
        low, high = (middle, high) if power <= number else (low, middle)
    return low


def _cube_roots(count: int, bits: int) -> list[int]:
    """The first bits of the fractional parts of the cube roots of the first primes."""
    return [_root(prime << 3 * bits, 3) % (1 << bits) for prime in _primes(count)]


def _square_roots(first: int, bits: int) -> list[int]:
    """The same for square roots of eight primes."""
    return [_root(prime << 2 * bits, 2) % (1 << bits) for prime in _primes(first + 8)[first:]]


_SHORT_ROUNDS: Final[list[int]] = _cube_roots(64, 32)
_LONG_ROUNDS: Final[list[u64]] = [u64(root) for root in _cube_roots(80, 64)]
_START_256: Final[list[int]] = _square_roots(0, 32)
_START_224: Final[list[int]] = [root & _MASK for root in _square_roots(8, 64)]
_START_512: Final[list[u64]] = [u64(root) for root in _square_roots(0, 64)]
_START_384: Final[list[u64]] = [u64(root) for root in _square_roots(8, 64)]


@final
class ShortSha(Hash):
    """Works on words of 32 bits."""

    def __init__(self, name: bytes, size: int) -> None:
        super().__init__(name, size, _SHORT_BLOCK)
        self._start: list[int] = _START_224 if size == 28 else _START_256

    def compute(self, data: bytes) -> bytes:
        state = self._start[:]
        take_all(state, data, _SHORT_BLOCK, _take_short, cost=_SHORT_COST, is_big_endian=True)
        return text_of_words(state, self.size, is_big_endian=True)


def _turned(word: int, count: int) -> int:
    return word >> count | word << 32 - count & _MASK


def _take_short(state: list[int], block: Span[u8]) -> None:
    words: list[int] = []
    for index in range(64):
        if index < 16:
            words.append(block.load_be32(4 * index))
        else:
            early = words[index - 15]
            late = words[index - 2]
            total = words[index - 16] + words[index - 7]
            total += _turned(early, 7) ^ _turned(early, 18) ^ early >> 3
            total += _turned(late, 17) ^ _turned(late, 19) ^ late >> 10
            words.append(total & _MASK)
    a, b, c, d = state[0], state[1], state[2], state[3]
    e, f, g, h = state[4], state[5], state[6], state[7]
    for step in range(64):
        first = h + (_turned(e, 6) ^ _turned(e, 11) ^ _turned(e, 25)) + (e & f ^ (e ^ _MASK) & g)
        first += _SHORT_ROUNDS[step] + words[step]
        second = (_turned(a, 2) ^ _turned(a, 13) ^ _turned(a, 22)) + (a & b ^ a & c ^ b & c)
        h = g
        g = f
        f = e
        e = d + first & _MASK
        d = c
        c = b
        b = a
        a = first + second & _MASK
    state[0] = state[0] + a & _MASK
    state[1] = state[1] + b & _MASK
    state[2] = state[2] + c & _MASK
    state[3] = state[3] + d & _MASK
    state[4] = state[4] + e & _MASK
    state[5] = state[5] + f & _MASK
    state[6] = state[6] + g & _MASK
    state[7] = state[7] + h & _MASK


@final
class LongSha(Hash):
    """Works on words of 64 bits."""

    def __init__(self, name: bytes, size: int) -> None:
        super().__init__(name, size, _LONG_BLOCK)
        self._start: list[u64] = _START_384 if size == 48 else _START_512

    def compute(self, data: bytes) -> bytes:
        state = self._start[:]
        take_all(state, data, _LONG_BLOCK, _take_long, cost=_LONG_COST, is_big_endian=True)
        halves: list[int] = []
        for word in state:
            halves.append(int(word >> 32))
            halves.append(int(word & _MASK))
        return text_of_words(halves, self.size, is_big_endian=True)


def _turned_long(word: u64, count: int) -> u64:
    return u64(word << 64 - count) | word >> count


def _take_long(state: list[u64], block: Span[u8]) -> None:
    words: list[u64] = []
    for index in range(80):
        if index < 16:
            words.append(u64(block.load_be32(8 * index)) << 32 | u64(block.load_be32(8 * index + 4)))
        else:
            early = words[index - 15]
            late = words[index - 2]
            mixed_early = _turned_long(early, 1) ^ _turned_long(early, 8) ^ early >> 7
            mixed_late = _turned_long(late, 19) ^ _turned_long(late, 61) ^ late >> 6
            words.append(u64(words[index - 16] + mixed_early + words[index - 7] + mixed_late))
    a, b, c, d = state[0], state[1], state[2], state[3]
    e, f, g, h = state[4], state[5], state[6], state[7]
    for step in range(80):
        mixed = _turned_long(e, 14) ^ _turned_long(e, 18) ^ _turned_long(e, 41)
        chosen = g ^ e & (f ^ g)
        first = u64(h + mixed + chosen + _LONG_ROUNDS[step] + words[step])
        mixed = _turned_long(a, 28) ^ _turned_long(a, 34) ^ _turned_long(a, 39)
        second = u64(mixed + (a & b ^ a & c ^ b & c))
        h = g
        g = f
        f = e
        e = u64(d + first)
        d = c
        c = b
        b = a
        a = u64(first + second)
    state[0] = u64(state[0] + a)
    state[1] = u64(state[1] + b)
    state[2] = u64(state[2] + c)
    state[3] = u64(state[3] + d)
    state[4] = u64(state[4] + e)
    state[5] = u64(state[5] + f)
    state[6] = u64(state[6] + g)
    state[7] = u64(state[7] + h)
