"""What hash algorithms have in common.

Context: takes safe points.
"""

from collections.abc import Callable
from typing import TypeVar

from kernel.lang import EINVAL, Errno, Span, span_of, u8
from kernel.lib.pace import pace

T = TypeVar("T")


class Hash:
    """A hash algorithm. Base class."""

    def __init__(self, name: bytes, size: int, block_bytes: int) -> None:
        self.name: bytes = name
        self.size: int = size  # bytes of a hash
        self.block_bytes: int = block_bytes

    def compute(self, data: bytes) -> bytes:
        """The hash of all of the data."""
        raise Errno(EINVAL)


def take_all(
    state: list[T],
    data: bytes,
    block_bytes: int,
    take: Callable[[list[T], Span[u8]], None],
    *,
    cost: int,
    is_big_endian: bool,
) -> None:
    """Let a state take all of the data and its padding, block by block. `cost`: instructions for a block."""
    for offset in range(0, len(data) - block_bytes + 1, block_bytes):
        take(state, span_of(data)[offset : offset + block_bytes])
        pace(cost)
    tail = _padded_tail(data, block_bytes, is_big_endian=is_big_endian)
    for offset in range(0, len(tail), block_bytes):
        take(state, span_of(tail)[offset : offset + block_bytes])


def _padded_tail(data: bytes, block_bytes: int, *, is_big_endian: bool) -> bytes:
    """What follows the last whole block: the rest of the data, a bit, and the number of bits (FIPS 180-4, 5.1)."""
    rest = len(data) % block_bytes
    length_bytes = block_bytes // 8
    whole = block_bytes if rest < block_bytes - length_bytes else 2 * block_bytes
    tail = bytearray(whole)
    span_of(tail)[:rest].copy_from(span_of(data)[len(data) - rest :])
    tail[rest] = 0x80
    bits = len(data) * 8
    if is_big_endian:
        span_of(tail).store_be32(whole - 8, bits >> 32)
        span_of(tail).store_be32(whole - 4, bits & 0xFFFF_FFFF)
    else:
        span_of(tail).store_u32(whole - 8, bits & 0xFFFF_FFFF)
        span_of(tail).store_u32(whole - 4, bits >> 32)
    return bytes(tail)


def hmac(algorithm: Hash, key: bytes, data: bytes) -> bytes:
    """A keyed hash (RFC 2104)."""
    if len(key) > algorithm.block_bytes:
        key = algorithm.compute(key)
    inner = bytearray(algorithm.block_bytes)
    outer = bytearray(algorithm.block_bytes)
    for index in range(algorithm.block_bytes):
        byte = key[index] if index < len(key) else 0
        inner[index] = byte ^ 0x36
        outer[index] = byte ^ 0x5C
    inner.extend(data)
    outer.extend(algorithm.compute(bytes(inner)))
    return algorithm.compute(bytes(outer))


def text_of_words(words: list[int], size: int, is_big_endian: bool) -> bytes:
    """The first bytes of words of 32 bits."""
    storage = bytearray(4 * len(words))
    view: Span[u8] = span_of(storage)
    for index in range(len(words)):
        if is_big_endian:
            view.store_be32(4 * index, words[index])
        else:
            view.store_u32(4 * index, words[index])
    return bytes(storage[:size])
