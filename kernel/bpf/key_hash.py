"""Hashes of the keys of maps. Users choose the keys, but cannot find ones with equal hashes.

Each map has a random secret of its own. The hash is HalfSipHash-2-4, which is designed for short inputs.

Context: any; nothing raises or allocates.
"""

from typing import Final

from kernel.lang import Span, final, span_of, u8
from kernel.lib.half_sip_hash import HalfSipHash
from kernel.lib.pace import spend

_COST: Final = 400  # instructions, about
_BYTE_COST: Final = 35


def hash_cost(size: int) -> int:
    """Instructions that the hash of a key of that many bytes takes, about."""
    return _COST + size * _BYTE_COST


@final
class KeyHash:
    """The hash of one map, with a secret of its own."""

    def __init__(self) -> None:
        self._hash: HalfSipHash = HalfSipHash()

    def of(self, key: bytes) -> int:
        """32 bits. There is no safe point in here."""
        return self.of_span(span_of(key))

    def of_span(self, words: Span[u8]) -> int:
        """The same for a key that is not an object."""
        size = len(words)
        spend(hash_cost(size))
        hasher = self._hash
        hasher.start()
        at = 0
        while at + 4 <= size:
            hasher.add(words.load_u32(at))
            at += 4
        last = (size & 0xFF) << 24  # keys of a map have one size
        shift = 0
        while at < size:
            last |= words.load_u8(at) << shift
            shift += 8
            at += 1
        hasher.add(last)
        return hasher.finish()
