"""AES with a key of 256 bits, in blocks that are chained (FIPS 197, SP 800-38A).

The tables are computed by the build. Their use takes time that depends on the data: whoever shares a processor's caches
with the kernel could learn of keys what it learns of Linux's generic implementation.

Context: takes safe points.
"""

from typing import Final

from kernel.lang import final, span_of
from kernel.lib.pace import pace

BLOCK: Final = 16
KEY_BYTES: Final = 32
_ROUNDS: Final = 14
_COST: Final = 15_000  # instructions for a block


def _times(a: int, b: int) -> int:
    """The product of two polynomials, modulo that of the cipher."""
    product = 0
    while b > 0:
        product ^= a if b & 1 == 1 else 0
        a = a << 1 ^ (0x11B if a & 0x80 != 0 else 0)
        b >>= 1
    return product


def _boxes() -> tuple[bytes, bytes]:
    """The substitution, and its inverse (section 5.1.1)."""
    box = bytearray(256)
    inverse = bytearray(256)
    for value in range(256):
        root = next((other for other in range(256) if _times(value, other) == 1), 0)
        turned = 0x63
        for count in range(5):
            turned ^= (root << count | root >> (8 - count)) & 0xFF
        box[value] = turned
        inverse[turned] = value
    return bytes(box), bytes(inverse)


_SUBSTITUTION: Final[bytes] = _boxes()[0]
_INVERSE: Final[bytes] = _boxes()[1]
_TWICE: Final[bytes] = bytes(_times(value, 2) for value in range(256))
_NINE: Final[bytes] = bytes(_times(value, 9) for value in range(256))
_ELEVEN: Final[bytes] = bytes(_times(value, 11) for value in range(256))
_THIRTEEN: Final[bytes] = bytes(_times(value, 13) for value in range(256))
_FOURTEEN: Final[bytes] = bytes(_times(value, 14) for value in range(256))


@final
class Aes:
    """The cipher, with a key."""

    def __init__(self, key: bytes) -> None:
        """A key of 32 bytes."""
        schedule = bytearray(key)
        constant = 1
        for offset in range(KEY_BYTES, BLOCK * (_ROUNDS + 1), 4):
            word = bytearray(schedule[offset - 4 : offset])
            if offset % KEY_BYTES == 0:
                first = word[0]
                word[0] = _SUBSTITUTION[word[1]] ^ constant
                word[1] = _SUBSTITUTION[word[2]]
                word[2] = _SUBSTITUTION[word[3]]
                word[3] = _SUBSTITUTION[first]
                constant = _TWICE[constant]
            elif offset % KEY_BYTES == BLOCK:
                for index in range(4):
                    word[index] = _SUBSTITUTION[word[index]]
            for index in range(4):
                schedule.append(schedule[offset - KEY_BYTES + index] ^ word[index])
        self._schedule: bytes = bytes(schedule)

    def encrypt(self, data: bytes, start: bytes) -> bytes:
        """Whole blocks, chained from a first one on."""
        result = bytearray()
        before = start
        for offset in range(0, len(data), BLOCK):
            block = bytearray(data[offset : offset + BLOCK])
            for index in range(BLOCK):
                block[index] ^= before[index]
            before = self._encrypt_block(block)
            result.extend(before)
            pace(_COST)
        return bytes(result)

    def decrypt(self, data: bytes, start: bytes) -> bytes:
        """The reverse."""
        result = bytearray()
        before = start
        for offset in range(0, len(data), BLOCK):
            sealed = data[offset : offset + BLOCK]
            block = self._decrypt_block(bytearray(sealed))
            for index in range(BLOCK):
                block[index] ^= before[index]
            result.extend(block)
            before = sealed
            pace(_COST)
        return bytes(result)

    def _encrypt_block(self, block: bytearray) -> bytes:
        self._add_key(block, 0)
        for step in range(1, _ROUNDS + 1):
            moved = bytearray(BLOCK)
            for index in range(BLOCK):
                moved[index] = _SUBSTITUTION[block[(index + index % 4 * 4) % BLOCK]]
            if step < _ROUNDS:
                for column in range(0, BLOCK, 4):
                    _mix(moved, column)
            span_of(block).copy_from(span_of(moved))
            self._add_key(block, step)
        return bytes(block)

    def _decrypt_block(self, block: bytearray) -> bytearray:
        self._add_key(block, _ROUNDS)
        for step in range(_ROUNDS - 1, -1, -1):
            moved = bytearray(BLOCK)
            for index in range(BLOCK):
                moved[(index + index % 4 * 4) % BLOCK] = _INVERSE[block[index]]
            self._add_key(moved, step)
            if step > 0:
                for column in range(0, BLOCK, 4):
                    _unmix(moved, column)
            span_of(block).copy_from(span_of(moved))
        return block

    def _add_key(self, block: bytearray, step: int) -> None:
        for index in range(BLOCK):
            block[index] ^= self._schedule[BLOCK * step + index]


def _mix(block: bytearray, at: int) -> None:
    """Multiply a column by a polynomial (section 5.1.3)."""
    a, b, c, d = block[at], block[at + 1], block[at + 2], block[at + 3]
    everything = a ^ b ^ c ^ d
    block[at] = a ^ everything ^ _TWICE[a ^ b]
    block[at + 1] = b ^ everything ^ _TWICE[b ^ c]
    block[at + 2] = c ^ everything ^ _TWICE[c ^ d]
    block[at + 3] = d ^ everything ^ _TWICE[d ^ a]


def _unmix(block: bytearray, at: int) -> None:
    a, b, c, d = block[at], block[at + 1], block[at + 2], block[at + 3]
    block[at] = _FOURTEEN[a] ^ _ELEVEN[b] ^ _THIRTEEN[c] ^ _NINE[d]
    block[at + 1] = _NINE[a] ^ _FOURTEEN[b] ^ _ELEVEN[c] ^ _THIRTEEN[d]
    block[at + 2] = _THIRTEEN[a] ^ _NINE[b] ^ _FOURTEEN[c] ^ _ELEVEN[d]
    block[at + 3] = _ELEVEN[a] ^ _THIRTEEN[b] ^ _NINE[c] ^ _FOURTEEN[d]
