"""What all fixed-width integers do under CPython."""

# ruff: noqa: ANN401  (this is a simulation of memory: its values have any type)

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


class i64(FixedWidth):
    """What `int` is in memory; not in the language, which says `int`."""

    bits, signed = 64, True
