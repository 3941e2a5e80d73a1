"""How instructions of programs follow each other, before the verifier explores them."""

from __future__ import annotations

import pytest

from kernel.bpf.code import Code
from kernel.bpf.flow import Flow, check_encoding, check_fields
from kernel.bpf.log import Log
from kernel.lang import EINVAL, Errno
from tests.unit.bpf.assembler import (
    ADD,
    DIV,
    JEQ,
    LEAVE,
    LSH,
    R0,
    R1,
    R2,
    R6,
    R7,
    R10,
    W,
    alu,
    alu_r,
    call,
    go,
    jump,
    load,
    mov,
    mov_r,
    raw,
    store,
    wide,
)


def flow_of(*instructions: bytes) -> Flow:
    flow = Flow(Code(b"".join(instructions)))
    flow.mark_seconds()
    return flow


def registers(live: int) -> list[int]:
    return [register for register in range(11) if live & 1 << register]


def refusal(flow: Flow) -> str:
    log = Log(1)
    with pytest.raises(Errno) as raised:
        flow.check_reach(log)
    assert raised.value.code == EINVAL
    return b"".join(log.pieces).decode()


def test_registers_are_live_from_their_setting_to_their_last_use() -> None:
    flow = flow_of(mov_r(R6, R1), load(W, R7, R6, 0), alu_r(ADD, R7, R6), mov_r(R0, R7), LEAVE)
    flow.find_live()
    assert [registers(live) for live in flow.live] == [[R1], [R6], [R6, R7], [R7], [R0]]


def test_both_ways_of_a_jump_count() -> None:
    flow = flow_of(mov(R0, 0), jump(JEQ, R1, 0, 1), mov_r(R0, R6), LEAVE)
    flow.find_live()
    assert registers(flow.live[1]) == [R0, R1, R6]


def test_what_a_call_clobbers_is_not_live_before_it() -> None:
    flow = flow_of(mov(R1, 0), call(5), alu_r(ADD, R0, R2), LEAVE)
    flow.find_live()
    assert registers(flow.live[1]) == [1, 2, 3, 4, 5] and registers(flow.live[2]) == [R0, R2]


def test_a_store_reads_both_registers() -> None:
    flow = flow_of(store(W, R10, -4, R6), mov(R0, 0), LEAVE)
    flow.find_live()
    assert {R6, R10} <= set(registers(flow.live[0]))


@pytest.mark.parametrize(("jumps", "live"), [(3, [R6]), (12, list(range(11)))])
def test_what_takes_long_to_follow_makes_everything_live(jumps: int, live: list[int]) -> None:
    """Each jump backwards takes another round. Too much is safe: states that differ in it are only told apart."""
    flow = flow_of(mov_r(R0, R6), LEAVE, go(-3), *(go(-2) for _ in range(jumps - 1)))
    flow.find_live()
    assert registers(flow.live[jumps + 1]) == live


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ((go(1), mov(R0, 1), LEAVE), "unreachable insn 1"),
        ((mov(R0, 0), LEAVE, LEAVE), "unreachable insn 2"),
        ((go(1), wide(R0, 5), LEAVE), "jump into the middle of ldimm64 insn 1"),
        ((jump(JEQ, R1, 0, 1), wide(R0, 5), LEAVE), "jump into the middle of ldimm64 insn 1"),
    ],
)
def test_what_cannot_be_reached_is_refused(program: tuple[bytes, ...], text: str) -> None:
    assert text in refusal(flow_of(*program))


def test_states_are_compared_where_ways_meet() -> None:
    flow = flow_of(jump(JEQ, R1, 0, 1), mov(R0, 0), mov(R0, 1), LEAVE)
    flow.check_reach(Log(1))
    assert list(flow.joins) == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("instruction", "text"),
    [
        (alu(DIV, R0, 0), "div by zero"),
        (alu(LSH, R0, 64), "invalid shift 64"),
        (alu(LSH, R0, 32, wide=False), "invalid shift 32"),
        (raw(0x87, R0, constant=1), "BPF_NEG uses reserved fields"),
        (raw(0xD4, R0, constant=8), "BPF_END uses reserved fields"),
        (raw(0xBF, R0, R1, constant=1), "BPF_MOV uses reserved fields"),
        (raw(0x0F, R0, R1, offset=1), "BPF_ALU uses reserved fields"),
        (raw(0xE7, R0), "invalid BPF_ALU opcode e7"),
    ],
)
def test_unused_fields_are_zero(instruction: bytes, text: str) -> None:
    log = Log(1)
    with pytest.raises(Errno):
        check_fields(Code(instruction), 0, log)
    assert text in b"".join(log.pieces).decode()


@pytest.mark.parametrize("instruction", [alu(LSH, R0, 63), alu(DIV, R0, 1), raw(0x3F, R0, R1, offset=1), raw(0x87, R0)])
def test_sound_fields_pass(instruction: bytes) -> None:
    check_fields(Code(instruction), 0, Log(1))


@pytest.mark.parametrize(
    ("program", "text"),
    [
        (raw(0x18, R0), "invalid bpf_ld_imm64 insn"),
        (raw(0x18, R0) + raw(1), "invalid bpf_ld_imm64 insn"),
        (raw(0x18, R0, offset=1) + raw(0), "unrecognized bpf_ld_imm64 insn"),
        (raw(0x61, R0, R1, constant=1), "BPF_LDX uses reserved fields"),
        (raw(0x00), "unknown opcode 00"),
    ],
)
def test_encodings_are_known(program: bytes, text: str) -> None:
    log = Log(1)
    with pytest.raises(Errno):
        check_encoding(Code(program), log)
    assert text in b"".join(log.pieces).decode()
