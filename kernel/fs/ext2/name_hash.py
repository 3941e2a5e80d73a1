"""The hashes of names by which hash trees of directories (dir_index) are sorted, and in whose order they are listed.

Three functions are in use: half of MD4 (the default), the TEA cipher as a hash, and the first one of all, "legacy".
Each takes a name's bytes as signed or as unsigned numbers. A hash has two parts: the major one is even, and the upper
31 bits of a name's place in the order; the minor one is the lower 32.

Pure functions. Source: "Hash Tree Directories" in the ext4 disk layout; RFC 1320 for MD4's three rounds.
"""

from typing import Final, Literal

from kernel.lang import Array, u32

UNKNOWN: Final = -1
LEGACY: Final = 0
HALF_MD4: Final = 1
TEA: Final = 2
UNSIGNED: Final = 3  # added to one of the three: bytes from 0x80 on count as positive

END_POSITION: Final = (1 << 63) - 1  # after all names

_MASK: Final = 0xFFFFFFFF
_LAST_MAJOR: Final = 0xFFFFFFFE  # means the end; no name has it
_ROTATIONS: Final = ((3, 7, 11, 19), (3, 5, 9, 13), (3, 9, 11, 15))
_ORDERS: Final = ((0, 1, 2, 3, 4, 5, 6, 7), (1, 3, 5, 7, 0, 2, 4, 6), (3, 7, 2, 6, 1, 5, 0, 4))


def _steps() -> list[int]:
    """For each of MD4's 24 steps the word that it takes and how far it rotates. Runs at build time."""
    result: list[int] = []
    for turn in range(3):
        for step in range(8):
            result += [_ORDERS[turn][step], _ROTATIONS[turn][step & 3]]
    return result


_STEPS: Final = _steps()
_MD4_CONSTANTS: Final = [0, 0x5A827999, 0x6ED9EBA1]
_TEA_DELTA: Final = 0x9E3779B9
_LEGACY_FACTOR: Final = 7152373

Words = Array[u32, Literal[8]]
Seed = Array[u32, Literal[4]]


def position_of(major: int, minor: int) -> int:
    """A hash as a position for seek: 63 bits."""
    return (major >> 1) << 32 | minor


def hash_position(name: bytes, version: int, seed: Seed) -> int:
    """Where a name stands in its directory. `version`: one of the functions, perhaps with UNSIGNED; `seed`: the super
    block's, all zeros for the usual one.
    """
    is_signed = version < UNSIGNED
    function = version if is_signed else version - UNSIGNED
    minor = 0
    if function == LEGACY:
        major = _legacy(name, is_signed)
    else:
        state = _start(seed)
        if function == HALF_MD4:
            for start in range(0, len(name), 32):
                words = _words(name, start, 8, is_signed)
                _mix_md4(state, words)
            major = state[1]
            minor = state[2]
        else:
            for start in range(0, len(name), 16):
                words = _words(name, start, 4, is_signed)
                _mix_tea(state, words)
            major = state[0]
            minor = state[1]
    major &= ~1
    if major == _LAST_MAJOR:
        major -= 2
    return position_of(major, minor)


def _start(seed: Seed) -> Seed:
    """What a hash begins with."""
    state = Seed()
    for index in range(4):
        state[index] = seed[index]
    if seed[0] | seed[1] | seed[2] | seed[3] == 0:
        state[0] = 0x67452301
        state[1] = 0xEFCDAB89
        state[2] = 0x98BADCFE
        state[3] = 0x10325476
    return state


def _number(byte: int, is_signed: bool) -> int:
    return byte - 256 if is_signed and byte >= 128 else byte


def _words(name: bytes, start: int, count: int, is_signed: bool) -> Words:
    """`count` words of the name from `start` on; where it is too short, words of its remaining length, four times
    each.
    """
    length = len(name) - start
    padding = u32((length & 0xFF) * 0x01010101)
    words = Words()
    word = padding
    place = 0
    for index in range(min(length, 4 * count)):
        word = u32((word << 8) + _number(name[start + index], is_signed))
        if index & 3 == 3:
            words[place] = word
            place += 1
            word = padding
    if place < count:
        words[place] = word
        for index in range(place + 1, count):
            words[index] = padding
    return words


def _mix_md4(state: Seed, words: Words) -> None:
    a = state[0]
    b = state[1]
    c = state[2]
    d = state[3]
    for step in range(24):
        turn = step >> 3
        if turn == 0:
            mixed = d ^ (b & (c ^ d))
        elif turn == 1:
            mixed = (b & c) | (d & (b | c))
        else:
            mixed = b ^ c ^ d
        total = (a + mixed + words[_STEPS[2 * step]] + _MD4_CONSTANTS[turn]) & _MASK
        rotation = _STEPS[2 * step + 1]
        a = d
        d = c
        c = b
        b = (total << rotation | total >> 32 - rotation) & _MASK
    state[0] = (state[0] + a) & _MASK
    state[1] = (state[1] + b) & _MASK
    state[2] = (state[2] + c) & _MASK
    state[3] = (state[3] + d) & _MASK


def _mix_tea(state: Seed, words: Words) -> None:
    x = state[0]
    y = state[1]
    total = 0
    for _ in range(16):
        total = (total + _TEA_DELTA) & _MASK
        x = (x + (((y << 4) + words[0]) ^ (y + total) ^ ((y >> 5) + words[1]))) & _MASK
        y = (y + (((x << 4) + words[2]) ^ (x + total) ^ ((x >> 5) + words[3]))) & _MASK
    state[0] = (state[0] + x) & _MASK
    state[1] = (state[1] + y) & _MASK


def _legacy(name: bytes, is_signed: bool) -> int:
    newer = 0x12A3FE2D
    older = 0x37ABE8F9
    for byte in name:
        product = _number(byte, is_signed) * _LEGACY_FACTOR & _MASK
        mixed = (older + (newer ^ product)) & _MASK
        if mixed & 0x80000000 != 0:
            mixed = (mixed - 0x7FFFFFFF) & _MASK
        older = newer
        newer = mixed
    return newer << 1 & _MASK
