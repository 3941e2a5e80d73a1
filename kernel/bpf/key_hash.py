"""Hashes of the keys of maps, which whoever uses a map chooses: nobody can make keys with the same hash.

Each map has a random secret of its own. The hash is HalfSipHash-2-4, which is made for short inputs.

Context: any; nothing raises or allocates.
"""

from typing import Final

from kernel.lang import final, span_of
from kernel.lib import random
from kernel.lib.pace import spend

_MASK: Final = 0xFFFF_FFFF
_COST: Final = 400  # instructions, about
_BYTE_COST: Final = 35


@final
class KeyHash:
    """The secret, and the state of a hash that is being computed."""

    def __init__(self) -> None:
        word = random.word()
        self.low: int = word & _MASK
        self.high: int = word >> 31 & _MASK
        self.v0: int = 0
        self.v1: int = 0
        self.v2: int = 0
        self.v3: int = 0

    def of(self, key: bytes) -> int:
        """32 bits. There is no safe point in here."""
        size = len(key)
        spend(_COST + size * _BYTE_COST)
        self.v0 = self.low
        self.v1 = self.high
        self.v2 = 0x6C796765 ^ self.low
        self.v3 = 0x74656462 ^ self.high
        words = span_of(key)
        at = 0
        while at + 4 <= size:
            self._add(words.load_u32(at))
            at += 4
        last = (size & 0xFF) << 24  # keys of a map have one size
        shift = 0
        while at < size:
            last |= key[at] << shift
            shift += 8
            at += 1
        self._add(last)
        self.v2 ^= 0xFF
        self._rounds(4)
        return self.v1 ^ self.v3

    def _add(self, word: int) -> None:
        self.v3 ^= word
        self._rounds(2)
        self.v0 ^= word

    def _rounds(self, count: int) -> None:
        v0 = self.v0
        v1 = self.v1
        v2 = self.v2
        v3 = self.v3
        for _ in range(count):
            v0 = (v0 + v1) & _MASK
            v1 = ((v1 << 5) & _MASK) | (v1 >> 27)
            v1 ^= v0
            v0 = ((v0 << 16) & _MASK) | (v0 >> 16)
            v2 = (v2 + v3) & _MASK
            v3 = ((v3 << 8) & _MASK) | (v3 >> 24)
            v3 ^= v2
            v0 = (v0 + v3) & _MASK
            v3 = ((v3 << 7) & _MASK) | (v3 >> 25)
            v3 ^= v0
            v2 = (v2 + v1) & _MASK
            v1 = ((v1 << 13) & _MASK) | (v1 >> 19)
            v1 ^= v2
            v2 = ((v2 << 16) & _MASK) | (v2 >> 16)
        self.v0 = v0
        self.v1 = v1
        self.v2 = v2
        self.v3 = v3
