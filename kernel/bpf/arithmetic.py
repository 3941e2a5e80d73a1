"""The arithmetic of BPF's instructions. A register's 64 bits are an `int`, negative if the highest bit is set.

Nothing traps: sums wrap, shift counts are masked, division by 0 gives 0, and a remainder by it the dividend.

Context: any; nothing raises or allocates.
Source: RFC 9669, section 4.
"""

from typing import Final

from kernel.bpf.code import (
    ADD,
    AND,
    ARSH,
    DIV,
    JEQ,
    JGE,
    JGT,
    JLE,
    JLT,
    JNE,
    JSET,
    JSGE,
    JSGT,
    JSLE,
    LSH,
    MOD,
    MUL,
    OR,
    RSH,
    SUB,
    XOR,
)
from kernel.lang import u64

MOST: Final = (1 << 63) - 1
LEAST: Final = -(1 << 63)
WORD_MASK: Final = 0xFFFF_FFFF


def signed(value: u64) -> int:
    """64 bits as a signed number."""
    low = int(value & MOST)
    return low if value >> 63 == u64(0) else low + LEAST


def signed_of(value: int, bits: int) -> int:
    """The low 8, 16 or 32 bits as a signed number."""
    if bits >= 64:
        return value
    low = value & ((1 << bits) - 1)
    return low - (1 << bits) if low >> (bits - 1) != 0 else low


def compute(operation: int, a: int, b: int) -> int:
    """ADD to ARSH of 64 bits; DIV and MOD are unsigned."""
    if operation == ADD:
        return signed(u64(u64(a) + u64(b)))
    if operation == SUB:
        return signed(u64(u64(a) - u64(b)))
    if operation == MUL:
        return signed(u64(u64(a) * u64(b)))
    if operation == OR:
        return a | b
    if operation == AND:
        return a & b
    if operation == XOR:
        return a ^ b
    if operation == LSH:
        return signed(u64(u64(a) << (b & 63)))
    if operation == RSH:
        return signed(u64(a) >> (b & 63))
    if operation == ARSH:
        return a >> (b & 63)
    if operation == DIV:
        return 0 if b == 0 else signed(u64(a) // u64(b))
    if operation == MOD:
        return a if b == 0 else signed(u64(a) % u64(b))
    return b  # MOV


def compute_32(operation: int, a: int, b: int) -> int:
    """The same of the low 32 bits; the upper half of the result is 0."""
    a &= WORD_MASK
    b &= WORD_MASK
    if operation == LSH:
        return (a << (b & 31)) & WORD_MASK
    if operation == RSH:
        return a >> (b & 31)
    if operation == ARSH:
        return (signed_of(a, 32) >> (b & 31)) & WORD_MASK
    return compute(operation, a, b) & WORD_MASK


def divide_signed(operation: int, a: int, b: int) -> int:
    """DIV and MOD of signed numbers, rounded towards 0."""
    if b == 0:
        return 0 if operation == DIV else a
    if b == -1:  # the least number has no negation
        return signed(u64(u64(0) - u64(a))) if operation == DIV else 0
    quotient = a // b
    if quotient < 0 and a % b != 0:  # rounded down, `quotient * b` may be past what 64 bits hold
        quotient += 1
    return quotient if operation == DIV else a - quotient * b


def swap_bytes(value: int, bits: int) -> int:
    """The low 16, 32 or 64 bits in reversed byte order, the rest 0."""
    result = u64(0)
    rest = u64(value)
    for _ in range(bits >> 3):
        result = u64(u64(result << 8) | (rest & 0xFF))
        rest = rest >> 8
    return signed(result)


def holds(comparison: int, a: int, b: int) -> bool:
    """Whether a jump of 64 bits is taken."""
    if comparison == JEQ:
        return a == b
    if comparison == JNE:
        return a != b
    if comparison == JSET:
        return a & b != 0
    if comparison == JGT:
        return u64(a) > u64(b)
    if comparison == JGE:
        return u64(a) >= u64(b)
    if comparison == JLT:
        return u64(a) < u64(b)
    if comparison == JLE:
        return u64(a) <= u64(b)
    if comparison == JSGT:
        return a > b
    if comparison == JSGE:
        return a >= b
    return a <= b if comparison == JSLE else a < b


def holds_32(comparison: int, a: int, b: int) -> bool:
    """The same of the low 32 bits."""
    return holds(comparison, signed_of(a, 32), signed_of(b, 32))
