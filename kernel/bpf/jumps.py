"""Conditional jumps as the verifier follows them: the possible branches, and what is known on each.

Context: may raise MemoryError. Refuses with EACCES, EINVAL, E2BIG.
"""

from kernel.bpf.code import FROM_REGISTER, JEQ, JMP, JNE
from kernel.bpf.look import Look
from kernel.bpf.ranges import (
    NOT_TAKEN,
    TAKEN,
    decided,
    decided_32,
    low_word,
    mirrored,
    narrowed,
    opposite,
    same_as_64,
)
from kernel.bpf.state import NUMBER, State, Value, number
from kernel.lang import EACCES, EINVAL


def branch(look: Look, at: int) -> int:
    """Follow a conditional jump. Returns the next place; the other branch, if there are two, waits."""
    code = look.code
    operation = code.operation(at)
    comparison = operation & 0xF0
    is_wide = operation & 7 == JMP
    target = code.target(at)
    if operation & FROM_REGISTER != 0:
        if code.constant(at) != 0:
            look.refuse("BPF_JMP/JMP32 uses reserved fields", EINVAL)
        b = look.read(code.source(at))
    else:
        if code.source(at) != 0:
            look.refuse("BPF_JMP/JMP32 uses reserved fields", EINVAL)
        b = number(code.constant(at), code.constant(at))
    a = look.read(code.destination(at))
    if a.is_pointer() or b.is_pointer():
        return _of_pointers(look, at, a, b, is_wide)
    tells = True  # whether the comparison tells anything about the registers themselves
    if not is_wide:
        low_a = low_word(a)
        low_b = low_word(b)
        tells = low_a is a and (low_b is b or operation & FROM_REGISTER == 0) and same_as_64(comparison, a, low_b)
        a = low_a
        b = low_b
    known = decided(comparison, a, b) if is_wide else decided_32(comparison, a, b)
    if known == TAKEN:
        return target
    if known == NOT_TAKEN:
        return at + 1
    other = look.state.copy()
    if tells:
        _narrow(other, look, at, comparison, a, b)
        not_so = opposite(comparison)
        if not_so != comparison:
            _narrow(look.state, look, at, not_so, a, b)
    look.wait(other, target)
    return at + 1


def _narrow(state: State, look: Look, at: int, comparison: int, a: Value, b: Value) -> None:
    """Narrow both operands to the values for which a comparison holds."""
    code = look.code
    destination = code.destination(at)
    state.registers[destination] = narrowed(comparison, a, b)
    if code.operation(at) & FROM_REGISTER != 0 and code.source(at) != destination:
        state.registers[code.source(at)] = narrowed(mirrored(comparison), b, a)


def _of_pointers(look: Look, at: int, a: Value, b: Value, is_wide: bool) -> int:
    """A comparison with a pointer."""
    code = look.code
    target = code.target(at)
    comparison = code.operation(at) & 0xF0
    is_equality = comparison == JEQ or comparison == JNE
    is_null_test = is_wide and is_equality and b.kind == NUMBER and b.least == 0 and b.most == 0
    if is_null_test and not a.is_maybe():
        return target if comparison == JNE else at + 1
    if is_null_test:
        other = look.state.copy()
        other.settle(a.identity, is_there=comparison == JNE)
        look.state.settle(a.identity, is_there=comparison == JEQ)
        look.wait(other, target)
        return at + 1
    if not look.subject.may_leak:
        look.refuse(f"R{code.destination(at)} pointer comparison prohibited", EACCES)
    look.wait(look.state.copy(), target)
    return at + 1
