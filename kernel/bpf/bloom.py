"""Maps that only know whether a value may be among those added (BLOOM_FILTER).

Each value has a few bits of a field, by hashes with random secrets; it may be there if all are set.

Context: nothing raises MemoryError but the constructor and `grow`.
Source: Linux's Documentation/bpf/map_bloom_filter.rst.
"""

from typing import Final

from kernel.bpf.key_hash import KeyHash, hash_cost
from kernel.bpf.maps import ALL_COPIES, BLOOM, Map
from kernel.lang import EINVAL, ENOENT, EOPNOTSUPP, Errno, Span, final, u8

_USUAL_HASHES: Final = 5
_PIECE_SHIFT: Final = 15
_IN_PIECE: Final = (1 << _PIECE_SHIFT) - 1
_LEAST_BITS: Final = 64


def field_bits(most: int, hashes: int) -> int:
    """The size of the field: about 7/5 bits for each hash of each value, a power of 2."""
    bits = _LEAST_BITS
    while bits < most * hashes * 7 // 5:
        bits <<= 1
    return bits


@final
class BloomMap(Map):
    """A set that may say yes wrongly, but never no."""

    def __init__(self, value_size: int, most: int, flags: int, hashes: int) -> None:
        super().__init__(BLOOM, 0, value_size, most, flags)
        self.has_values = False
        self.extra = hashes
        count = hashes if hashes > 0 else _USUAL_HASHES
        self._mask: int = field_bits(most, count) - 1
        # The field is kept as values of a byte each.
        self.slots = (self._mask + 1) >> 3
        self._stride = 1
        self._per_piece = 1 << _PIECE_SHIFT
        made: list[KeyHash] = []
        for _ in range(count):
            made.append(KeyHash())
        self._hashes: list[KeyHash] = made
        self.find_cost = count * hash_cost(value_size)

    def push(self, value: Span[u8], flags: int) -> None:
        if flags != 0:
            raise Errno(EINVAL)
        for each in self._hashes:
            bit = each.of_span(value) & self._mask
            self._pieces[bit >> (3 + _PIECE_SHIFT)][(bit >> 3) & _IN_PIECE] |= 1 << (bit & 7)

    def peek(self, value: Span[u8]) -> None:
        for each in self._hashes:
            bit = each.of_span(value) & self._mask
            if self._pieces[bit >> (3 + _PIECE_SHIFT)][(bit >> 3) & _IN_PIECE] >> (bit & 7) & 1 == 0:
                raise Errno(ENOENT)

    def update(self, key: bytes, value: Span[u8], flags: int, processor: int = ALL_COPIES) -> None:
        self.push(value, flags)

    def remove(self, key: bytes) -> None:
        raise Errno(EOPNOTSUPP)

    def next_key(self, key: bytes | None) -> bytes:
        raise Errno(EOPNOTSUPP)
