"""Programs that judge packets: what they may read, that they are short, how they look into a packet."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kernel.bpf.code import CGROUP_SKB, Code
from kernel.bpf.interpreter import Machine
from kernel.bpf.log import Log
from kernel.bpf.machine import World
from kernel.bpf.maps import HASH, Map
from kernel.bpf.packet_view import PacketView
from kernel.bpf.program import Program
from kernel.bpf.subject import MOST_INSTRUCTIONS_AT_ONCE, PACKET_CONTEXT, Subject, subject_of
from kernel.bpf.verifier import check_first, check_short, verify
from kernel.lang import E2BIG, EFAULT, EINVAL, Errno
from kernel.lib.pace import PACE, PACE_BUDGET
from tests.unit.bpf.assembler import (
    ADD,
    JNE,
    LEAVE,
    R0,
    R1,
    R2,
    R3,
    R4,
    R10,
    B,
    W,
    alu,
    call,
    go,
    jump,
    load,
    map_,
    mov,
    mov_r,
    new_map,
)

LOAD_BYTES = 26


def subject(place: int = 0) -> Subject:
    found = subject_of(CGROUP_SKB, place)
    assert found is not None
    return found


def check(*instructions: bytes, place: int = 0) -> Subject:
    code = Code(b"".join(instructions))
    about = subject(place)
    log = Log(1)
    check_first(code, log)
    check_short(code, about.most_instructions, log)
    verify(code, [], about, log)
    return about


def refusal(*instructions: bytes, place: int = 0) -> int:
    with pytest.raises(Errno) as raised:
        check(*instructions, place=place)
    return raised.value.code


def look_at(offset: int, size: int) -> list[bytes]:
    """Load bytes onto the stack, and answer with the first."""
    return [mov(R2, offset), mov_r(R3, R10), alu(ADD, R3, -8), mov(R4, size), call(LOAD_BYTES)]


def judged(instructions: list[bytes], packet: bytes, most: int = 1 << 20, maps: Sequence[Map] = ()) -> Machine:
    machine = Machine(Code(b"".join(instructions)), list(maps), bytearray(PACKET_CONTEXT), World())
    machine.packet = PacketView(bytearray(b"??" + packet + b"??"), 2, 2 + len(packet))
    machine.run_at_once(most)
    return machine


def test_short_and_straight() -> None:
    assert refusal(*([mov(R0, 1)] * MOST_INSTRUCTIONS_AT_ONCE), LEAVE) == E2BIG
    check(*([mov(R0, 1)] * (MOST_INSTRUCTIONS_AT_ONCE - 1)), LEAVE)
    assert refusal(mov(R0, 1), go(-2), LEAVE) == EINVAL
    assert refusal(mov(R0, 0), alu(ADD, R0, 1), jump(JNE, R0, 9, -2), mov(R0, 1), LEAVE) == EINVAL


def test_answers_by_place() -> None:
    assert refusal(mov(R0, 2), LEAVE) == EINVAL
    assert check(mov(R0, 2), LEAVE, place=1).is_for_place
    assert not check(mov(R0, 1), LEAVE, place=1).is_for_place
    assert not check(load(B, R0, R1, 0), alu(0x50, R0, 3), LEAVE, place=1).is_for_place
    assert refusal(mov(R0, 4), LEAVE, place=1) == EINVAL


def test_a_look_into_the_packet() -> None:
    program = [*look_at(1, 2), load(B, R0, R10, -8), LEAVE]
    check(*program[:-2], mov(R0, 1), LEAVE)
    machine = judged(program, b"abcd")
    assert not machine.is_broken and machine.registers[0] == ord("b")
    for offset, size in ((3, 2), (4, 1), (-1, 1), (-5, 8)):
        machine = judged([*look_at(offset, size), LEAVE], b"abcd")
        assert not machine.is_broken and machine.registers[0] == -EFAULT
        assert machine.stacks[0][-8 : -8 + size or None] == bytearray(size)
    machine = judged([mov(R1, 5), *look_at(0, 1), LEAVE], b"abcd")
    assert machine.is_broken


def test_what_costs_too_much_ends() -> None:
    program = [mov(R0, 1)] * 100 + [LEAVE]
    assert not judged(program, b"").is_broken
    assert judged(program, b"", most=20_000).is_broken
    view = PacketView(bytearray(4), 0, 4)
    kept = Program(CGROUP_SKB, b"", Code(b"".join(program)), [])
    assert kept.judge_packet(bytearray(PACKET_CONTEXT), view, 20_000, World())[0] == 0
    assert kept.warnings == 1
    answer, cost = kept.judge_packet(bytearray(PACKET_CONTEXT), view, 1 << 20, World())
    assert answer == 1 and cost > 20_000


@pytest.mark.parametrize(("helper", "hashes"), [(1, 1), (2, 3), (3, 1)])
def test_hashes_of_long_keys_cost_what_they_take(helper: int, hashes: int) -> None:
    known = new_map(HASH, 512, 8)
    arguments = [map_(R1, 0), mov_r(R2, R10), alu(ADD, R2, -512), mov_r(R3, R2), mov(R4, 0)]
    program = [*arguments, call(helper), mov(R0, 1), LEAVE]
    steps = len(b"".join(program)) // 8 - 1  # the address is one, and has two places
    PACE.left = PACE_BUDGET
    machine = judged(program, b"", maps=[known])
    assert not machine.is_broken and machine.steps == steps
    assert machine.cost() >= steps * 300 + hashes * 35 * 512
    assert machine.cost() - steps * 300 == PACE_BUDGET - PACE.left  # what the next safe point hears of
    assert judged(program, b"", hashes * 35 * 512, [known]).is_broken


def test_fields() -> None:
    about = subject()
    assert about.may_load(0, 4) and about.may_load(1, 1) and about.may_load(18, 2) and about.may_load(64, 4)
    assert about.may_load(8, 4) and about.may_load(68, 4)
    assert not about.may_load(0, 8) and not about.may_load(72, 4) and not about.may_load(180, 4)
    assert about.may_load(48, 8) and about.may_load(56, 8) and not about.may_load(64, 8) and not about.may_load(40, 8)
    assert not about.may_load(2, 4) and not about.may_load(-4, 4)
    check(load(W, R2, R1, 16), mov(R0, 1), LEAVE)
