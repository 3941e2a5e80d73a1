"""Fixed-width integers under CPython: casts that wrap, and names for annotations.

`u32(x)` gives the ordinary int `x` modulo 2**32, so nothing is ever an instance of these classes. Their meaning for the
type checker is in `ints.pyi`; the ranges of stores are checked by compiled code, and here by structs and Arrays.
"""

from __future__ import annotations

from kernel.lang.widths import FixedWidth


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


class be16(FixedWidth):
    bits, signed, byte_order = 16, False, "big"


class be32(FixedWidth):
    bits, signed, byte_order = 32, False, "big"


class be64(FixedWidth):
    bits, signed, byte_order = 64, False, "big"
