"""A program's tag: the first eight bytes of the SHA-1 of its instructions, in which descriptors of maps are 0.

Context: takes safe points; may raise MemoryError.
Source: RFC 3174; bpf(2).
"""

from typing import Final, Literal

from kernel.bpf.code import INSTRUCTION_SIZE, LOAD_CONSTANT, PLAIN, Code
from kernel.lang import Array, span_of, u32
from kernel.lib.pace import pace

TAG_SIZE: Final = 8
_BLOCK: Final = 64
_ROUND_COST: Final = 3000  # instructions for a block
_LOOK_COST: Final = 100  # … for one of the program's


def _turned(value: int, count: int) -> int:
    return u32(value << count) | value >> (32 - count)


def tag_of(instructions: bytes) -> bytes:
    """The tag of instructions; at most 1 MiB of them."""
    length = len(instructions)
    text = bytearray((length + 9 + _BLOCK - 1) // _BLOCK * _BLOCK)
    whole = span_of(text)
    whole[0:length].copy_from(span_of(instructions))
    text[length] = 0x80
    for index in range(4):
        text[len(text) - 1 - index] = (length * 8) >> (8 * index) & 0xFF
    h0, h1, h2, h3, h4 = 0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0
    words: Array[u32, Literal[80]] = Array()
    for block in range(0, len(text), _BLOCK):
        pace(_ROUND_COST)
        for index in range(16):
            words[index] = whole.load_be32(block + 4 * index)
        for index in range(16, 80):
            words[index] = _turned(words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16], 1)
        a, b, c, d, e = h0, h1, h2, h3, h4
        for index in range(80):
            if index < 20:
                mixed = u32((b & c) | (u32(~b) & d)) + 0x5A827999
            elif index < 40:
                mixed = (b ^ c ^ d) + 0x6ED9EBA1
            elif index < 60:
                mixed = ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDC
            else:
                mixed = (b ^ c ^ d) + 0xCA62C1D6
            following = (_turned(a, 5) + mixed + e + words[index]) & 0xFFFF_FFFF
            a, b, c, d, e = following, a, _turned(b, 30), c, d
        h0 = (h0 + a) & 0xFFFF_FFFF
        h1 = (h1 + b) & 0xFFFF_FFFF
        h2 = (h2 + c) & 0xFFFF_FFFF
        h3 = (h3 + d) & 0xFFFF_FFFF
        h4 = (h4 + e) & 0xFFFF_FFFF
    result = bytearray(TAG_SIZE)
    for index in range(4):
        result[index] = h0 >> (24 - 8 * index) & 0xFF
        result[4 + index] = h1 >> (24 - 8 * index) & 0xFF
    return bytes(result)


def without_maps(text: bytes) -> bytes:
    """The instructions that the tag is of: descriptors of maps are 0. Raises MemoryError; takes safe points."""
    code = Code(text)
    plain = bytearray(text)
    at = 0
    while at < code.count:
        if code.operation(at) == LOAD_CONSTANT:
            if code.source(at) != PLAIN:
                span_of(plain).store_u32(at * INSTRUCTION_SIZE + 4, 0)
                span_of(plain).store_u32(at * INSTRUCTION_SIZE + 12, 0)
            at += 1
        at += 1
        pace(_LOOK_COST)
    return bytes(plain)
