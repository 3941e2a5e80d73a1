"""The verifier's knowledge of numbers after arithmetic and comparisons.

Bounds are signed. A comparison of unsigned numbers narrows the signed bounds if both numbers are known not to
be negative, or if it bounds one from above by such a number.

Context: may raise MemoryError.
"""

from typing import Final

from kernel.bpf.arithmetic import LEAST, MOST, WORD_MASK, compute, compute_32, holds, holds_32
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
    JSLT,
    LSH,
    MOD,
    MUL,
    OR,
    RSH,
    SUB,
    XOR,
)
from kernel.bpf.state import ANY_NUMBER, Value, number

UNKNOWN: Final = 0
TAKEN: Final = 1
NOT_TAKEN: Final = 2

_FACTOR: Final = 1 << 31
_SMALL: Final = 1 << 62
_INT_MOST: Final = (1 << 31) - 1
_ANY_WORD: Final = number(0, WORD_MASK)


def after(operation: int, a: Value, b: Value) -> Value:
    """The possible results of ADD to ARSH of 64 bits on two numbers."""
    if a.least == a.most and b.least == b.most:
        result = compute(operation, a.least, b.least)
        return number(result, result)
    if operation == ADD or operation == SUB:
        if -_SMALL <= a.least and a.most < _SMALL and -_SMALL <= b.least and b.most < _SMALL:
            if operation == ADD:
                return number(a.least + b.least, a.most + b.most)
            return number(a.least - b.most, a.most - b.least)
        return ANY_NUMBER
    if operation == AND:
        if b.least >= 0:
            return number(0, min(a.most, b.most) if a.least >= 0 else b.most)
        return number(0, a.most) if a.least >= 0 else ANY_NUMBER
    if operation == ARSH and b.least == b.most:
        return number(a.least >> (b.least & 63), a.most >> (b.least & 63))
    if operation == RSH and b.least == b.most:
        count = b.least & 63
        if a.least >= 0:
            return number(a.least >> count, a.most >> count)
        return number(0, MOST >> (count - 1)) if count > 0 else a
    if a.least < 0 or b.least < 0:
        return ANY_NUMBER
    return _of_natural(operation, a, b)


def _of_natural(operation: int, a: Value, b: Value) -> Value:
    """The same if neither is negative."""
    if operation == OR or operation == XOR:
        return number(0, _all_ones(max(a.most, b.most)))
    if operation == MUL and a.most < _FACTOR and b.most < _FACTOR:
        return number(a.least * b.least, a.most * b.most)
    if operation == LSH and b.least == b.most and a.most <= MOST >> (b.least & 63):
        return number(a.least << (b.least & 63), a.most << (b.least & 63))
    if operation == DIV:
        return number(0, a.most)
    if operation == MOD:
        return number(0, a.most)
    return ANY_NUMBER


def _all_ones(most: int) -> int:
    """The least number 2**n - 1 that is not below one."""
    result = 1
    while result < most:
        result = result << 1 | 1
    return result


def low_word(value: Value) -> Value:
    """The low 32 bits of a number."""
    if 0 <= value.least and value.most <= WORD_MASK:
        return value
    if value.least == value.most:
        return number(value.least & WORD_MASK, value.least & WORD_MASK)
    return _ANY_WORD


def after_32(operation: int, a: Value, b: Value) -> Value:
    """The same as `after` with the low 32 bits."""
    low_a = low_word(a)
    low_b = low_word(b)
    if low_a.least == low_a.most and low_b.least == low_b.most:
        result = compute_32(operation, low_a.least, low_b.least)
        return number(result, result)
    if operation == ARSH:
        if low_a.most > _INT_MOST:
            return _ANY_WORD
        operation = RSH
    if operation == LSH or operation == RSH:
        if low_b.least != low_b.most:
            return _ANY_WORD
        low_b = number(low_b.least & 31, low_b.least & 31)
    result_64 = after(operation, low_a, low_b)
    if result_64.least < 0 or result_64.most > WORD_MASK:
        return _ANY_WORD
    return result_64


# ---- Comparisons ---------------------------------------------------------------------------------------------------


def decided(comparison: int, a: Value, b: Value) -> int:
    """Whether a jump of 64 bits is known to be taken, or not, by the bounds of both numbers."""
    if a.least == a.most and b.least == b.most:
        return TAKEN if holds(comparison, a.least, b.least) else NOT_TAKEN
    if comparison == JSET:
        return NOT_TAKEN if (b.least == 0 and b.most == 0) or (a.least == 0 and a.most == 0) else UNKNOWN
    if comparison == JEQ or comparison == JNE:
        if a.most < b.least or b.most < a.least:
            return TAKEN if comparison == JNE else NOT_TAKEN
        return UNKNOWN
    form = comparison
    if _is_unsigned(comparison):
        if a.least < 0 or b.least < 0:
            return UNKNOWN
        form = _signed_form(comparison)
    if form == JSGT:
        return _order(a.least > b.most, a.most <= b.least)
    if form == JSGE:
        return _order(a.least >= b.most, a.most < b.least)
    if form == JSLT:
        return _order(a.most < b.least, a.least >= b.most)
    return _order(a.most <= b.least, a.least > b.most)


def _order(always: bool, never: bool) -> int:
    if always:
        return TAKEN
    return NOT_TAKEN if never else UNKNOWN


def _is_unsigned(comparison: int) -> bool:
    return comparison == JGT or comparison == JGE or comparison == JLT or comparison == JLE


def _signed_form(comparison: int) -> int:
    if comparison == JGT:
        return JSGT
    if comparison == JGE:
        return JSGE
    return JSLT if comparison == JLT else JSLE


def opposite(comparison: int) -> int:
    """The comparison that holds when another does not; JSET has none, and stays."""
    if comparison == JEQ:
        return JNE
    if comparison == JNE:
        return JEQ
    if comparison == JGT:
        return JLE
    if comparison == JLE:
        return JGT
    if comparison == JGE:
        return JLT
    if comparison == JLT:
        return JGE
    if comparison == JSGT:
        return JSLE
    if comparison == JSLE:
        return JSGT
    if comparison == JSGE:
        return JSLT
    return JSGE if comparison == JSLT else comparison


def mirrored(comparison: int) -> int:
    """The comparison with its sides exchanged."""
    if comparison == JGT:
        return JLT
    if comparison == JLT:
        return JGT
    if comparison == JGE:
        return JLE
    if comparison == JLE:
        return JGE
    if comparison == JSGT:
        return JSLT
    if comparison == JSLT:
        return JSGT
    if comparison == JSGE:
        return JSLE
    return JSGE if comparison == JSLE else comparison


def narrowed(comparison: int, a: Value, b: Value) -> Value:
    """The possible values of `a` where a comparison with `b`, which may hold, does. No bound becomes wider."""
    least = a.least
    most = a.most
    if comparison == JEQ:
        least = max(least, b.least)
        most = min(most, b.most)
    elif comparison == JNE:
        if b.least == b.most:
            if least == b.least and least < MOST:
                least += 1
            elif most == b.least and most > LEAST:
                most -= 1
    elif comparison == JSET:
        return a
    elif _is_unsigned(comparison):
        if comparison == JLT or comparison == JLE:
            if b.least < 0:
                return a
            # b is not negative as a whole, so neither is a
            least = max(least, 0)
            most = min(most, b.most if comparison == JLE else max(b.most - 1, 0))
        else:
            if a.least < 0 or b.least < 0:
                return a
            least = max(least, b.least if comparison == JGE else min(b.least, MOST - 1) + 1)
    elif comparison == JSGT:
        least = max(least, min(b.least, MOST - 1) + 1)
    elif comparison == JSGE:
        least = max(least, b.least)
    elif comparison == JSLT:
        most = min(most, max(b.most, LEAST + 1) - 1)
    else:
        most = min(most, b.most)
    if least > most:
        return a  # this branch is never taken; nothing is lost by not knowing it
    return number(least, most)


def same_as_64(comparison: int, a: Value, b: Value) -> bool:
    """Whether a comparison of the low 32 bits of these gives the same result as one of all bits."""
    if a.least < 0 or b.least < 0:
        return False
    if comparison in (JSGT, JSGE, JSLT, JSLE):
        return a.most <= _INT_MOST and b.most <= _INT_MOST
    return a.most <= WORD_MASK and b.most <= WORD_MASK


def decided_32(comparison: int, a: Value, b: Value) -> int:
    """The same as `decided` with the low 32 bits."""
    if a.least == a.most and b.least == b.most:
        return TAKEN if holds_32(comparison, a.least, b.least) else NOT_TAKEN
    return decided(comparison, a, b) if same_as_64(comparison, a, b) else UNKNOWN
