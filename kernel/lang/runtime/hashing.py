"""Hashes of dictionary keys: pure functions, the same in the image and in the compiler, which lays out frozen
dictionaries.

Every hash is 31 bits. Keys are trusted not to be an attack: a table is never longer than the kernel's own limits make
it.
"""

from __future__ import annotations

from typing import Final

from kernel.lang import inline, u32, u64
from kernel.lang.raw import byte_at, text_bytes, word_at

GOLDEN: Final = 0x9E3779B1  # 2**32 divided by the golden ratio: odd, its bits spread well
SEED: Final = 0x2545F491
MASK: Final = 0x7FFF_FFFF


def hash_int(value: int) -> int:
    """The hash of an int, an enum's value, or an object's address."""
    folded = value ^ (value >> 32)
    return finish(int(u32(folded * GOLDEN)))


@inline
def finish(mixed: int) -> int:
    """Let the upper bits of 32 reach the lower ones."""
    spread = int(u32((mixed ^ (mixed >> 16)) * GOLDEN))
    return (spread ^ (spread >> 15)) & MASK


def hash_bytes(data: bytes) -> int:
    """The hash of a byte string."""
    return hash_part(data, 0, len(data))


def hash_part(data: bytes, start: int, stop: int) -> int:
    """The hash of `data[start:stop]`, eight bytes a step. Safety: the part lies inside."""
    mixed = SEED ^ (stop - start)
    place = start
    while place + 8 <= stop:
        word = word_at(data, place)
        folded = word ^ (word >> 29) ^ mixed
        mixed = int(u32(folded * GOLDEN))
        mixed = mixed ^ (mixed >> 15)
        place += 8
    if place < stop:
        rest = u64(0)
        while place < stop:
            rest = u64((rest << 8) | byte_at(data, place))
            place += 1
        word = int(rest)  # seven bytes at most
        folded = word ^ (word >> 29) ^ mixed
        mixed = int(u32(folded * GOLDEN))
    return finish(mixed)


def hash_str(text: str) -> int:
    """The hash of a text: that of its UTF-8 form."""
    return hash_bytes(text_bytes(text))
