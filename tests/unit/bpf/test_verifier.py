"""The verifier: a table of small programs, and what becomes of each."""

from __future__ import annotations

import random

import pytest

from kernel.bpf import verifier
from kernel.bpf.state import CONTEXT, Stack, Value
from kernel.lang import E2BIG, EACCES, EAGAIN, EINVAL, Errno
from kernel.lib.pace import PACE, Rest
from tests.unit.bpf.assembler import (
    ADD,
    AND,
    DW,
    JEQ,
    JGT,
    JLE,
    JLT,
    JNE,
    JSGE,
    JSGT,
    LEAVE,
    LSH,
    MOD,
    MUL,
    R0,
    R1,
    R2,
    R3,
    R6,
    R7,
    R10,
    SUB,
    B,
    H,
    W,
    alu,
    alu_r,
    atomic,
    call,
    check,
    go,
    jump,
    jump_r,
    last,
    load,
    map_,
    mov,
    mov_r,
    raw,
    store,
    store_constant,
    wide,
)

FEW_STEPS = 20_000
ALLOW = mov(R0, 1) + LEAVE
LOOKUP = (
    store_constant(W, R10, -4, 1) + map_(R1) + mov_r(R2, R10) + alu(ADD, R2, -4) + call(1)
)  # R0 is a value of 16 bytes, or 0

GOOD = {
    "a constant": ALLOW,
    "the context": load(W, R2, R1, 0) + load(W, R3, R1, 4) + load(W, R3, R1, 8) + ALLOW,
    "a part of the first word": load(B, R2, R1, 1) + load(H, R2, R1, 2) + ALLOW,
    "a word of the stack": mov(R2, 5) + store(DW, R10, -8, R2) + load(DW, R0, R10, -8) + mov(R0, 0) + LEAVE,
    "a pointer on the stack": store(DW, R10, -8, R1) + load(DW, R2, R10, -8) + load(W, R2, R2, 0) + ALLOW,
    "a bounded result": load(W, R0, R1, 0) + alu(AND, R0, 1) + LEAVE,
    "a result bounded by jumps": load(W, R0, R1, 4) + jump(JGT, R0, 1, 1) + LEAVE + mov(R0, 0) + LEAVE,
    "a value that was found": LOOKUP + jump(JEQ, R0, 0, 1) + load(DW, R3, R0, 8) + ALLOW,
    "the same, the other way round": LOOKUP + jump(JNE, R0, 0, 2) + ALLOW + store_constant(DW, R0, 0, 7) + ALLOW,
    "a copy of a lookup": LOOKUP + mov_r(R6, R0) + jump(JEQ, R0, 0, 1) + load(DW, R3, R6, 0) + ALLOW,
    "an index into a value": LOOKUP
    + jump(JEQ, R0, 0, 4)
    + load(B, R2, R0, 0)
    + alu(AND, R2, 7)
    + alu_r(ADD, R0, R2)
    + load(B, R3, R0, 8)
    + ALLOW,
    "a loop": mov(R2, 10) + alu(SUB, R2, 1) + jump(JNE, R2, 0, -2) + ALLOW,
    "a long loop": mov(R2, 0) + alu(ADD, R2, 1) + jump(JLT, R2, 50_000, -2) + ALLOW,
    "an atomic sum": store_constant(DW, R10, -8, 1) + mov(R2, 3) + atomic(DW, R10, -8, R2, 1) + ALLOW,
    "a register that is set on one way and not read": jump(JEQ, R1, 0, 1) + mov(R6, 1) + ALLOW,
    "a wide constant": wide(R2, 0x1234_5678_9ABC_DEF0) + ALLOW,
    "jumping back to code": go(1) + go(1) + go(-2) + ALLOW,
}

BAD = {
    "nothing is set": (LEAVE, EACCES, "R0 !read_ok"),
    "no end": (mov(R0, 0), EINVAL, "last insn is not an exit or jmp"),
    "a jump out": (go(5) + ALLOW, EINVAL, "jump out of range from insn 0 to 6"),
    "a jump before the start": (go(-2) + ALLOW, EINVAL, "jump out of range from insn 0 to -1"),
    "what cannot be reached": (ALLOW + ALLOW, EINVAL, "unreachable insn 2"),
    "into the middle": (jump(JEQ, R1, 0, 1) + wide(R2, 1) + ALLOW, EINVAL, "jump into the middle"),
    "half a wide constant": (mov(R0, 0) + LEAVE + raw(0x18, R0), EINVAL, "last insn"),
    "an endless loop": (mov(R0, 0) + go(-1), EINVAL, "infinite loop detected at insn 1"),
    "a loop without a bound": (mov(R2, 0) + alu(ADD, R2, 1) + go(-2), E2BIG, "too large. Processed 20001 insn"),
    "an unknown operation": (raw(0xE7) + ALLOW, EINVAL, "invalid BPF_ALU opcode"),
    "a register too many": (mov(11, 0) + ALLOW, EINVAL, "R11 is invalid"),
    "the frame pointer": (mov(R10, 0) + ALLOW, EACCES, "frame pointer is read only"),
    "past the context": (load(W, R2, R1, 12) + ALLOW, EACCES, "invalid bpf_context access off=12 size=4"),
    "before the context": (load(W, R2, R1, -4) + ALLOW, EACCES, "invalid bpf_context access"),
    "a crooked place of the context": (load(W, R2, R1, 2) + ALLOW, EACCES, "invalid bpf_context access"),
    "half of major": (load(H, R2, R1, 4) + ALLOW, EACCES, "invalid bpf_context access"),
    "writing the context": (store_constant(W, R1, 0, 1) + ALLOW, EACCES, "invalid bpf_context access"),
    "a moved context": (alu(ADD, R1, 4) + load(W, R2, R1, 0) + ALLOW, EACCES, "dereference of modified ctx ptr"),
    "above the stack": (store_constant(DW, R10, 0, 1) + ALLOW, EACCES, "invalid access to stack"),
    "below the stack": (store_constant(DW, R10, -520, 1) + ALLOW, EACCES, "invalid access to stack"),
    "a crooked place of the stack": (store_constant(DW, R10, -12, 1) + ALLOW, EACCES, "misaligned stack access"),
    "a number as a pointer": (mov(R2, 5) + load(W, R2, R2, 0) + ALLOW, EACCES, "R2 invalid mem access 'scalar'"),
    "a map as a pointer": (map_(R2) + load(W, R2, R2, 0) + ALLOW, EACCES, "invalid mem access 'map_ptr'"),
    "a lookup that was not tested": (LOOKUP + load(W, R2, R0, 0) + ALLOW, EACCES, "map_value_or_null"),
    "a lookup that failed": (
        LOOKUP + jump(JNE, R0, 0, 2) + load(W, R2, R0, 0) + mov(R0, 0) + ALLOW, EACCES, "invalid mem access 'scalar'",
    ),
    "arithmetic before the test": (LOOKUP + alu(ADD, R0, 4) + ALLOW, EACCES, "null-check it first"),
    "past a value": (
        LOOKUP + jump(JEQ, R0, 0, 1) + load(DW, R3, R0, 16) + ALLOW, EACCES, "invalid access to map value",
    ),
    "before a value": (
        LOOKUP + jump(JEQ, R0, 0, 1) + load(DW, R3, R0, -8) + ALLOW, EACCES, "min value is negative",
    ),
    "an index too large": (
        LOOKUP + jump(JEQ, R0, 0, 4) + load(B, R2, R0, 0) + alu(AND, R2, 15) + alu_r(ADD, R0, R2) + load(DW, R3, R0, 8)
        + ALLOW, EACCES, "invalid access to map value",
    ),
    "an index that may be negative": (
        LOOKUP + jump(JEQ, R0, 0, 4) + load(DW, R2, R0, 0) + jump(JSGT, R2, 7, 2) + alu_r(ADD, R0, R2)
        + load(B, R3, R0, 0) + ALLOW, EINVAL, "not allowed",
    ),
    "an index that is bounded in its low half alone": (
        LOOKUP + jump(JEQ, R0, 0, 4) + load(DW, R2, R0, 0) + jump(JGT, R2, 7, 2, is_wide=False) + alu_r(ADD, R0, R2)
        + load(B, R3, R0, 0) + ALLOW, EINVAL, "not allowed",
    ),
    "two pointers added": (alu_r(ADD, R1, R10) + ALLOW, EACCES, "pointer += pointer prohibited"),
    "a pointer multiplied": (mov_r(R2, R10) + alu(MUL, R2, 2) + ALLOW, EACCES, "prohibited"),
    "a pointer masked": (mov_r(R2, R10) + alu(AND, R2, -8) + ALLOW, EACCES, "bitwise operator on pointer"),
    "a result too large": (mov(R0, 2) + LEAVE, EINVAL, "should have been in [0, 1]"),
    "a result that may be too large": (load(W, R0, R1, 0) + LEAVE, EINVAL, "should have been in [0, 1]"),
    "a pointer as the result": (mov_r(R0, R1) + LEAVE, EINVAL, "not a known value"),
    "an unknown helper": (call(9999) + ALLOW, EINVAL, "cannot use helper"),
    "a lookup in no map": (mov(R1, 0) + mov_r(R2, R10) + call(1) + ALLOW, EACCES, "expected=map_ptr"),
    "a key that is no memory": (map_(R1) + mov(R2, 0) + call(1) + ALLOW, EACCES, "expected=fp"),
    "a key out of the stack": (map_(R1) + mov_r(R2, R10) + call(1) + ALLOW, EACCES, "invalid access to stack"),
    "an argument that a call left": (LOOKUP + mov_r(R2, R1) + ALLOW, EACCES, "R1 !read_ok"),
    "a division by 0": (mov(R2, 1) + alu(MOD, R2, 0) + ALLOW, EINVAL, "div by zero"),
    "a shift too far": (mov(R2, 1) + alu(LSH, R2, 64) + ALLOW, EINVAL, "invalid shift 64"),
    "a shift too far of a word": (mov(R2, 1) + alu(LSH, R2, 32, wide=False) + ALLOW, EINVAL, "invalid shift 32"),
    "unused fields": (raw(0xB7, R2, 1) + ALLOW, EINVAL, "uses reserved fields"),
    "unused fields of an end": (mov(R0, 0) + raw(0x95, 1), EINVAL, "uses reserved fields"),
    "half a pointer": (store(DW, R10, -8, R1) + load(W, R2, R10, -8) + ALLOW, EACCES, "invalid size of register fill"),
    "a pointer in half a word": (store(W, R10, -4, R1) + ALLOW, EACCES, "invalid size of register spill"),
    "an atomic sum in the context": (mov(R2, 1) + atomic(W, R1, 0, R2, 0) + ALLOW, EACCES, "is not allowed"),
    "an atomic sum of a byte": (mov(R2, 1) + atomic(B, R10, -8, R2, 0) + ALLOW, EINVAL, "invalid atomic operand size"),
    "an unknown atomic operation": (mov(R2, 1) + atomic(DW, R10, -8, R2, 0x20) + ALLOW, EINVAL, "invalid atomic"),
    "a register that is set on one way alone": (
        load(W, R2, R1, 0) + jump(JEQ, R2, 0, 1) + mov(R6, 1) + mov_r(R7, R6) + ALLOW, EACCES, "R6 !read_ok",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_sound_programs_pass(name: str) -> None:
    check(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_unsound_programs_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a limit that CPython reaches in a moment."""
    assert verifier.MOST_STEPS == 1_000_000
    monkeypatch.setattr(verifier, "MOST_STEPS", FEW_STEPS)
    program, code, text = BAD[name]
    with pytest.raises(Errno) as raised:
        check(program)
    assert raised.value.code == code
    assert text in last[0]


PRIVATE = {
    "a comparison of pointers": jump_r(JEQ, R1, R10, 0) + ALLOW,
    "a difference of pointers": mov_r(R2, R10) + alu_r(SUB, R2, R10) + ALLOW,
    "stack that was not stored": load(DW, R2, R10, -8) + ALLOW,
    "half of a pointer's bits": alu_r(0xB0, R2, R1, wide=False) + ALLOW,
    "a pointer in a map": LOOKUP + jump(JEQ, R0, 0, 1) + store(DW, R0, 0, R10) + ALLOW,
}


@pytest.mark.parametrize("name", PRIVATE)
def test_what_may_leak_is_for_the_privileged(name: str) -> None:
    check(PRIVATE[name])
    with pytest.raises(Errno) as raised:
        check(PRIVATE[name], may_leak=False)
    assert raised.value.code == EACCES


def test_a_covered_state_ends_a_way() -> None:
    """Two to the 30 ways meet again after each branch."""
    branches = b"".join(load(W, R2, R1, 4) + jump(JLE, R2, 5, 0) for _ in range(30))
    check(branches + ALLOW)


def test_a_state_is_not_covered_by_a_narrower_one() -> None:
    """The first way has R2 = 0, the second up to 100: what follows is checked again."""
    program = LOOKUP + jump(JEQ, R0, 0, 6) + load(B, R3, R0, 0) + mov(R2, 0) + jump(JSGE, R3, 100, 1)
    program += mov_r(R2, R3) + alu_r(ADD, R0, R2) + load(B, R3, R0, 15) + ALLOW
    with pytest.raises(Errno) as raised:
        check(program)
    assert raised.value.code == EACCES


def test_a_word_comparison_says_nothing_of_the_upper_half() -> None:
    """R2 is known and its low half is compared: it keeps its upper half."""
    program = wide(R2, 0x1_0000_0003) + load(W, R3, R1, 0) + alu(AND, R3, 7) + jump_r(JLE, R3, R2, 0, is_wide=False)
    program += LOOKUP + jump(JEQ, R0, 0, 2) + alu_r(ADD, R0, R6) + load(B, R3, R0, 0) + ALLOW
    program = mov(R6, 0) + program.replace(LOOKUP, mov_r(R6, R2) + LOOKUP)
    with pytest.raises(Errno):
        check(program)


def test_bytes_of_the_stack() -> None:
    """Against a byte at a time."""
    chance = random.Random(5)
    for _ in range(2000):
        state = Stack()
        stored: set[int] = set()
        for _ in range(3):
            place, size = random_piece(chance)
            state.store_bytes(place, size)
            stored.update(range(place, place + size))
        pointer = -8 * chance.randrange(1, 65)
        state.store_whole(pointer, Value(CONTEXT, 0, 0))
        stored.update(range(pointer, pointer + 8))
        place, size = random_piece(chance)
        assert state.are_stored(place, size) == (set(range(place, place + size)) <= stored)
        assert state.has_pointer(place, size) == (place < pointer + 8 and pointer < place + size)
        state.forget(place, size)
        assert not state.has_pointer(place, size)


def random_piece(chance: random.Random) -> tuple[int, int]:
    place = -chance.randrange(1, 513)
    return place, chance.randrange(1, min(-place, chance.choice([4, 20, 512])) + 1)


@pytest.mark.parametrize(
    "program",
    [
        # A pointer that is partly overwritten by a helper, and whose rest is read.
        store(DW, R10, -8, R1) + mov_r(R1, R10) + alu(ADD, R1, -8) + mov(R2, 4) + call(16) + load(W, R6, R10, -4),
        # Bytes that a helper may not have written: the size is 1 to 8.
        load(W, R2, R1, 4) + alu(AND, R2, 7) + alu(ADD, R2, 1) + mov_r(R1, R10) + alu(ADD, R1, -8) + call(16)
        + load(DW, R6, R10, -8),
    ],
)  # fmt: skip
def test_buffers_of_helpers_leak_nothing(program: bytes) -> None:
    check(program, ALLOW, may_leak=True)
    with pytest.raises(Errno) as raised:
        check(program, ALLOW, may_leak=False)
    assert raised.value.code == EACCES


def test_a_signal_ends_the_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Rest):
        def is_interrupted(self) -> bool:
            return True

    monkeypatch.setattr(PACE, "rest", Interrupted())
    with pytest.raises(Errno) as raised:
        check(ALLOW)
    assert raised.value.code == EAGAIN


def test_the_verifier_asks_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise MemoryError

    monkeypatch.setattr(verifier, "check_room_to_keep", refuse)
    check(ALLOW)
    with pytest.raises(MemoryError):
        check(load(W, R2, R1, 4), jump(JEQ, R2, 1, 0), ALLOW)
