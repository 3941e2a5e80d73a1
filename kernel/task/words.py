"""Signed 64-bit and 32-bit words in spans: for filling and reading structures of the system call interface."""

from kernel.lang import Span, u8, u64


def signed_32(value: int) -> int:
    """The low 32 bits as a signed number."""
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value >= 1 << 31 else value


def store_i32(target: Span[u8], offset: int, value: int) -> None:
    """The low 32 bits of `value`, little-endian."""
    target.store_u32(offset, value & 0xFFFF_FFFF)


def store_i64(target: Span[u8], offset: int, value: int) -> None:
    """64 bits, little-endian."""
    target.store_u64(offset, u64(value))


def load_i32(source: Span[u8], offset: int) -> int:
    """A signed 32-bit word."""
    return signed_32(source.load_u32(offset))


def load_i64(source: Span[u8], offset: int) -> int:
    """A 64-bit word as a signed number."""
    return source.load_u32(offset) | (signed_32(source.load_u32(offset + 4)) << 32)
