"""The interpreter: what instructions compute, and that nothing outside regions is touched."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.bpf import helper_calls
from kernel.bpf.arithmetic import compute, compute_32, divide_signed, holds, holds_32, swap_bytes
from kernel.bpf.code import Code
from kernel.bpf.hash_map import HashMap
from kernel.bpf.interpreter import MOST_STEPS, Machine
from kernel.bpf.machine import World
from kernel.lang import ENOENT, ENOMEM, span_of
from kernel.lib.pace import PACE, Rest
from tests.unit.bpf.assembler import (
    ADD,
    AND,
    ARSH,
    DIV,
    DW,
    JEQ,
    LEAVE,
    LSH,
    MOD,
    MUL,
    R0,
    R1,
    R2,
    R3,
    R4,
    R6,
    R10,
    RSH,
    SUB,
    XOR,
    B,
    W,
    alu,
    alu_r,
    atomic,
    call,
    go,
    jump,
    load,
    load_signed,
    map_,
    maps,
    mov,
    mov_r,
    raw,
    run,
    store,
    store_constant,
    wide,
)

WORDS = st.integers(-(1 << 63), (1 << 63) - 1)
MASK = (1 << 64) - 1


def signed(value: int, bits: int = 64) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def truth(what: int, a: int, b: int, bits: int) -> int:
    """The same by Python's numbers, which have no end. Unsigned."""
    mask = (1 << bits) - 1
    a &= mask
    b &= mask
    count = b & (bits - 1)
    answers = {
        ADD: a + b, SUB: a - b, MUL: a * b, DIV: a // b if b else 0, MOD: a % b if b else a, AND: a & b, XOR: a ^ b,
        LSH: a << count, RSH: a >> count, ARSH: signed(a, bits) >> count,
    }  # fmt: skip
    return answers[what] & mask


@given(st.sampled_from([ADD, SUB, MUL, DIV, MOD, AND, XOR, LSH, RSH, ARSH]), WORDS, WORDS)
def test_arithmetic(what: int, a: int, b: int) -> None:
    assert compute(what, a, b) & MASK == truth(what, a, b, 64)
    assert compute_32(what, a, b) == truth(what, a, b, 32)


@given(WORDS, WORDS)
def test_signed_division_rounds_towards_zero(a: int, b: int) -> None:
    quotient = 0 if b == 0 else signed(abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1))
    assert divide_signed(DIV, a, b) == quotient
    assert divide_signed(MOD, a, b) == (a if b == 0 else signed(a - quotient * b))


class _Narrow(int):
    """A number of the kernel's: a product past 64 bits stops it."""

    def __floordiv__(self, other: int) -> _Narrow:
        return _Narrow(int(self) // other)

    def __add__(self, other: int) -> _Narrow:
        return _Narrow(int(self) + other)

    def __mul__(self, other: int) -> _Narrow:
        product = int(self) * other
        assert -(1 << 63) <= product < 1 << 63
        return _Narrow(product)


@pytest.mark.parametrize(("a", "b"), [(-(1 << 63), 3), ((1 << 63) - 1, -2), (-(1 << 63) + 1, 1 << 62)])
def test_no_step_of_a_signed_division_is_past_64_bits(a: int, b: int) -> None:
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    assert divide_signed(DIV, _Narrow(a), b) == quotient
    assert divide_signed(MOD, _Narrow(a), b) == a - quotient * b


@given(WORDS, WORDS)
def test_comparisons(a: int, b: int) -> None:
    ua, ub = a & MASK, b & MASK
    wanted = [a == b, ua > ub, ua >= ub, a & b != 0, a != b, a > b, a >= b]
    assert [holds(what << 4, a, b) for what in range(1, 8)] == wanted
    assert [holds(what << 4, a, b) for what in range(10, 14)] == [ua < ub, ua <= ub, a < b, a <= b]
    assert holds_32(0x20, a, b) == (a & 0xFFFF_FFFF > b & 0xFFFF_FFFF)
    assert holds_32(0x60, a, b) == (signed(a, 32) > signed(b, 32))


def test_bytes_are_swapped() -> None:
    assert swap_bytes(0x1122_3344_5566_7788, 16) == 0x8877
    assert swap_bytes(0x1122_3344_5566_7788, 32) == 0x8877_6655
    assert swap_bytes(0x1122_3344_5566_7788, 64) & MASK == 0x8877_6655_4433_2211


def test_the_context_is_read() -> None:
    context = struct.pack("<III", 4 << 16 | 2, 1, 1)
    assert run(load(W, R0, R1, 4), LEAVE[:0], alu(AND, R0, 1), LEAVE, context=context) == 1


def test_signs_are_extended() -> None:
    program = store_constant(B, R10, -8, 0x80) + load_signed(B, R2, R10, -8) + alu(ADD, R2, 0x81)
    assert run(program, mov_r(R0, R2), alu(AND, R0, 1), LEAVE) == 1
    assert run(mov(R2, 0x80) + alu_r(0xB0, R2, R2, offset=8) + mov(R0, 0) + jump(JEQ, R2, -128, 1) + LEAVE
               + mov(R0, 1) + LEAVE) == 1  # fmt: skip


@pytest.mark.parametrize(("what", "left", "got"), [(0x00, 15, None), (0x01, 15, 12), (0xE1, 3, 12), (0x41, 15, 12)])
def test_atomic_operations(what: int, left: int, got: int | None) -> None:
    program = store_constant(DW, R10, -8, 12) + mov(R2, 3) + atomic(DW, R10, -8, R2, what) + load(DW, R3, R10, -8)
    expected = 3 if got is None else got
    tests = mov(R0, 0) + raw(0x55, R3, 0, 2, left) + raw(0x55, R2, 0, 1, expected) + mov(R0, 1) + LEAVE
    assert run(program, tests) == 1


def test_compare_and_exchange() -> None:
    start = store_constant(DW, R10, -8, 12) + mov(R2, 3) + mov(R0, 12) + atomic(DW, R10, -8, R2, 0xF1)
    assert run(start, load(DW, R3, R10, -8), mov(R0, 0), raw(0x55, R3, 0, 1, 3), mov(R0, 1), LEAVE) == 1


KEY = store_constant(W, R10, -4, 1) + map_(R1) + mov_r(R2, R10) + alu(ADD, R2, -4)


def test_a_map_is_written_and_read() -> None:
    known = maps()
    program = KEY + call(1) + mov_r(R6, R0) + mov(R0, 0) + jump(JEQ, R6, 0, 2)
    program += store_constant(DW, R6, 8, 77) + mov(R0, 1) + LEAVE
    assert run(program, among=known) == 1
    assert known[0].value(1) == bytes(8) + struct.pack("<Q", 77)


def test_a_key_that_is_not_there() -> None:
    assert run(KEY.replace(raw(0x62, R10, 0, -4, 1), raw(0x62, R10, 0, -4, 9)), call(1), mov_r(R6, R0), mov(R0, 0),
               jump(JEQ, R6, 0, 1), mov(R0, 1), LEAVE) == 0  # fmt: skip


def test_a_hash_is_updated_and_deleted() -> None:
    known = maps()
    key = store_constant(DW, R10, -8, 5) + map_(R1, 1) + mov_r(R2, R10) + alu(ADD, R2, -8)
    value = mov_r(R3, R2) + mov(R4, 0)
    end = mov(R0, 0) + LEAVE
    assert run(key, value, call(2), end, among=known) == 0
    assert known[1].find(struct.pack("<Q", 5)) == 0
    run(key, call(3), end, among=known)
    assert known[1].find(struct.pack("<Q", 5)) == -1
    again = key + call(3) + mov_r(R6, R0) + mov(R0, 0) + raw(0x55, R6, 0, 1, -ENOENT) + mov(R0, 1) + LEAVE
    assert run(again, among=known) == 1


@pytest.mark.parametrize(
    "program",
    [
        load(DW, R0, R10, 0),
        load(DW, R0, R10, -516),
        store(W, R1, 0, R1),
        load(W, R0, R1, 12),
        wide(R2, 0x1000 << 32 | 16 * 4) + load(B, R0, R2, 0),
        wide(R2, 0x1000 << 32 | 12) + load(DW, R0, R2, 0),
        wide(R2, 0x1002 << 32) + load(B, R0, R2, 0),
        wide(R2, -0x8000_0000_0000) + load(B, R0, R2, 0),
        mov(R2, 0) + store(DW, R2, 0, R2),
        go(-2),
        go(100),
        go(-1),
        call(77),
        mov(R1, 0) + call(1),
        raw(0x18),
        raw(0xBF, 15, 15),
        raw(0xD7, R0, constant=-8),
        raw(0xD7, R0, constant=0x7FFF_FFFF),
        raw(0xD4, R0, constant=-1),
        raw(0xDC, R0, constant=8),
        raw(0xBF, R0, R1, -1),
        raw(0xBC, R0, R1, 32),
    ],
)
def test_what_the_verifier_would_refuse_ends_the_run(program: bytes) -> None:
    code = Code(program + (LEAVE if program[0] != 0x18 or len(program) > 8 else b""))
    machine = Machine(code, maps(), bytearray(12), World())
    assert machine.run() == 0
    assert machine.is_broken
    assert machine.steps <= MOST_STEPS


def test_a_kill_ends_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(Rest):
        def is_dying(self) -> bool:
            return True

    monkeypatch.setattr(PACE, "rest", Killed())
    machine = Machine(Code(go(-1)), [], bytearray(12), World())
    assert machine.run() == 0
    assert machine.steps == 4096 and not machine.is_broken


NEW_KEY = map_(R1, 1) + mov_r(R2, R10) + alu(ADD, R2, -8) + mov_r(R3, R2) + mov(R4, 0) + call(2)
OUT_OF_MEMORY = mov_r(R6, R0) + mov(R0, 0) + raw(0x55, R6, 0, 1, -ENOMEM) + mov(R0, 1) + LEAVE


def test_a_new_key_asks_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    known = maps()
    monkeypatch.setattr(helper_calls, "has_room_to_keep", lambda: False)
    assert run(store_constant(DW, R10, -8, 5), NEW_KEY, OUT_OF_MEMORY, among=known) == 1
    assert known[1].find(struct.pack("<Q", 5)) == -1
    known[1].update(struct.pack("<Q", 5), span_of(bytes(8)), 0)
    assert run(store_constant(DW, R10, -8, 5), NEW_KEY, OUT_OF_MEMORY, among=known) == 0


def test_a_helper_returns_that_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: HashMap) -> int:
        raise MemoryError

    monkeypatch.setattr(HashMap, "take", fail)
    assert run(store_constant(DW, R10, -8, 5), NEW_KEY, OUT_OF_MEMORY) == 1


def test_values_keep_apart() -> None:
    known = maps()
    known[0].set_value(2, span_of(bytes(range(16))))
    assert known[0].value(1) == bytes(16)
    assert known[0].value(2) == bytes(range(16))
