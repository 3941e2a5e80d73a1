"""Words of 64 bits in memory that programs read, as the signed numbers that the kernel reckons with."""

from kernel.lang import Span, inline, u8


@inline
def load_word(data: Span[u8], at: int) -> int:
    """A word; those from 2**63 on are negative."""
    high = data.load_u32(at + 4)
    return (high - (1 << 32) if high >= 1 << 31 else high) << 32 | data.load_u32(at)


@inline
def store_word(data: Span[u8], at: int, value: int) -> None:
    data.store_u32(at, value & 0xFFFF_FFFF)
    data.store_u32(at + 4, value >> 32 & 0xFFFF_FFFF)
