"""HalfSipHash-2-4: a keyed hash for short inputs of 32-bit words. Its random key is created once, so outsiders can
neither guess a hash nor construct collisions.

Context: any; nothing raises, allocates or sleeps.
Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), and their variant for 32-bit words.
"""

from typing import Final

from kernel.lang import final
from kernel.lib import random

_MASK: Final = 0xFFFF_FFFF


@final
class HalfSipHash:
    """The key, and the state of a hash that is being computed."""

    def __init__(self) -> None:
        self.key0: int = 0
        self.key1: int = 0
        self.is_keyed: bool = False
        self.v0: int = 0
        self.v1: int = 0
        self.v2: int = 0
        self.v3: int = 0

    def start(self) -> None:
        """Begin another hash."""
        if not self.is_keyed:
            word = random.word()
            self.key0 = word & _MASK
            self.key1 = (word >> 31) & _MASK
            self.is_keyed = True
        self.v0 = self.key0
        self.v1 = self.key1
        self.v2 = 0x6C796765 ^ self.key0
        self.v3 = 0x74656462 ^ self.key1

    def add(self, word: int) -> None:
        """Take in 32 bits."""
        self.v3 ^= word
        self._rounds(2)
        self.v0 ^= word

    def finish(self) -> int:
        """The 32-bit hash."""
        self.v2 ^= 0xFF
        self._rounds(4)
        return self.v1 ^ self.v3

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
