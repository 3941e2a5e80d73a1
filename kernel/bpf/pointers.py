"""Arithmetic as the verifier follows it, where one of the operands may be a pointer.

Context: may raise MemoryError. Refuses with EACCES, EINVAL.
"""

from typing import Final

from kernel.bpf.arithmetic import WORD_MASK, divide_signed, signed_of
from kernel.bpf.code import ADD, AND, DIV, END, MOD, MOV, NEG, OR, SUB, XOR
from kernel.bpf.look import Look
from kernel.bpf.ranges import after, after_32, low_word
from kernel.bpf.state import ANY_NUMBER, MAP, NAMES, NUMBER, SOCKET, STACK, Value, number
from kernel.lang import EACCES, EINVAL

_FARTHEST: Final = 1 << 29  # of a pointer from what it points into
_ANY_WORD: Final = number(0, WORD_MASK)
_ZERO: Final = number(0, 0)


def arithmetic(look: Look, what: int, is_wide: bool, offset: int, old: Value, source: Value, at: int) -> Value:
    """The result of ADD to END. `old` is the value of the destination; for MOV, of the source."""
    register = look.code.destination(at)
    if what == MOV:
        return _moved(look, look.code.source(at), is_wide, offset, source)
    if what == NEG or what == END:
        if old.is_pointer():
            return _as_number(look, f"R{register} pointer arithmetic prohibited", is_wide)
        if what == NEG:
            return after(SUB, _ZERO, old) if is_wide else after_32(SUB, _ZERO, old)
        bits = look.code.constant(at)
        return ANY_NUMBER if bits == 64 else number(0, (1 << bits) - 1)
    if old.is_pointer() or source.is_pointer():
        return _with_pointer(look, register, what, is_wide, old, source)
    if offset != 0 and (what == DIV or what == MOD):
        return _divided(what, is_wide, old, source)
    return after(what, old, source) if is_wide else after_32(what, old, source)


def _as_number(look: Look, text: str, is_wide: bool) -> Value:
    """The value of a pointer that may be used as a number."""
    if not look.subject.may_leak:
        look.refuse(text, EACCES)
    return ANY_NUMBER if is_wide else _ANY_WORD


def _moved(look: Look, register: int, is_wide: bool, offset: int, value: Value) -> Value:
    if offset == 0 and is_wide:
        return value
    if value.is_pointer():
        text = "partial copy of pointer" if offset == 0 else "sign-extension part of pointer"
        return _as_number(look, f"R{register} {text}", is_wide)
    if offset == 0:
        return low_word(value)
    if value.least == value.most:
        result = signed_of(value.least, offset)
        result = result if is_wide else result & WORD_MASK
        return number(result, result)
    if is_wide:
        return number(-(1 << (offset - 1)), (1 << (offset - 1)) - 1)
    return _ANY_WORD


def _divided(what: int, is_wide: bool, a: Value, b: Value) -> Value:
    """Signed division."""
    if a.least != a.most or b.least != b.most:
        return ANY_NUMBER if is_wide else _ANY_WORD
    if is_wide:
        result = divide_signed(what, a.least, b.least)
    else:
        result = divide_signed(what, signed_of(a.least, 32), signed_of(b.least, 32)) & WORD_MASK
    return number(result, result)


def _with_pointer(look: Look, register: int, what: int, is_wide: bool, old: Value, source: Value) -> Value:
    """ADD to ARSH with a pointer, or two."""
    if old.is_pointer() and source.is_pointer():
        if what == SUB and look.subject.may_leak:
            return ANY_NUMBER if is_wide else _ANY_WORD
        sign = "-=" if what == SUB else "+="
        look.refuse(f"R{register} pointer {sign} pointer prohibited", EACCES)
    if not is_wide:
        if what == SUB and look.subject.may_leak:
            return _ANY_WORD
        look.refuse(f"R{register} 32-bit pointer arithmetic prohibited", EACCES)
    pointer = old if old.is_pointer() else source
    distance = source if old.is_pointer() else old
    if pointer.is_maybe():
        look.refuse(f"R{register} pointer arithmetic on {NAMES[pointer.kind]} prohibited, null-check it first", EACCES)
    if pointer.kind == MAP or pointer.kind == SOCKET:
        look.refuse(f"R{register} pointer arithmetic on {NAMES[pointer.kind]} prohibited", EACCES)
    if what == AND or what == OR or what == XOR:
        look.refuse(f"R{register} bitwise operator on pointer prohibited", EACCES)
    if what != ADD and what != SUB:
        look.refuse(f"R{register} pointer arithmetic with this operator prohibited", EACCES)
    if what == SUB:
        if not old.is_pointer():
            look.refuse(f"R{register} tried to subtract pointer from scalar", EACCES)
        if pointer.kind == STACK:
            look.refuse(f"R{register} subtraction from stack pointer prohibited", EACCES)
    return _moved_by(look, pointer, distance, what)


def _moved_by(look: Look, pointer: Value, distance: Value, what: int) -> Value:
    """A pointer and a distance."""
    assert distance.kind == NUMBER
    if not -_FARTHEST < distance.least < _FARTHEST:
        look.refuse(f"math between {NAMES[pointer.kind]} pointer and {distance.text()} is not allowed", EINVAL)
    if distance.most >= _FARTHEST:
        look.refuse(f"{NAMES[pointer.kind]} pointer and an unbounded number make unbounded memory access", EACCES)
    moved = after(what, number(pointer.least, pointer.most), distance)
    if not (-_FARTHEST < moved.least and moved.most < _FARTHEST):
        look.refuse(f"{NAMES[pointer.kind]} pointer offset {moved.text()} is not allowed", EINVAL)
    return Value(pointer.kind, moved.least, moved.most, pointer.place, pointer.identity)
