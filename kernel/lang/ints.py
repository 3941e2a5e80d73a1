"""Fixed-width integers under CPython: casts that wrap, and names for annotations.

`u32(x)` gives the ordinary int `x` modulo 2**32, so nothing is ever an instance of these classes. What they mean to the type
checker stands in `ints.pyi`; the ranges of stores are checked by compiled code, and here by structs and Arrays.
"""

from __future__ import annotations

from typing import Any


class FixedWidth(int):
    """Base of the fixed-width integers: calling one wraps its argument."""

    bits: int
    signed: bool
    byte_order: Any = "little"

    def __new__(cls, value: Any = 0) -> Any:
        wrapped = int(value) & ((1 << cls.bits) - 1)
        return wrapped - (1 << cls.bits) if cls.signed and wrapped >> (cls.bits - 1) else wrapped

    @classmethod
    def encode(cls, value: int) -> bytes:
        """The bytes of a value; OverflowError when it is out of range."""
        return int(value).to_bytes(cls.bits // 8, cls.byte_order, signed=cls.signed)

    @classmethod
    def decode(cls, data: bytes) -> int:
        return int.from_bytes(data, cls.byte_order, signed=cls.signed)


class u8(FixedWidth):
    bits, signed = 8, False


class u16(FixedWidth):
    bits, signed = 16, False


class u32(FixedWidth):
    bits, signed = 32, False


class u64(FixedWidth):
    bits, signed = 64, False


class i8(FixedWidth):
    bits, signed = 8, True


class i16(FixedWidth):
    bits, signed = 16, True


class i32(FixedWidth):
    bits, signed = 32, True


class i64(FixedWidth):
    """What `int` is in memory; not in the language, which says `int`."""

    bits, signed = 64, True


class be16(FixedWidth):
    bits, signed, byte_order = 16, False, "big"


class be32(FixedWidth):
    bits, signed, byte_order = 32, False, "big"


class be64(FixedWidth):
    bits, signed, byte_order = 64, False, "big"
