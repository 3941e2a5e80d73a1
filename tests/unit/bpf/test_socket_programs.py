"""Programs that hear of sockets: what each place lets them read and change."""

from __future__ import annotations

import pytest

from kernel.bpf.code import CGROUP_SOCK, Code
from kernel.bpf.log import Log
from kernel.bpf.machine import World
from kernel.bpf.program import UNBOUNDED, Program
from kernel.bpf.subject import (
    MOST_INSTRUCTIONS_AT_ONCE,
    SOCKET_BOUND4,
    SOCKET_BOUND6,
    SOCKET_CONTEXT,
    SOCKET_CREATED,
    SOCKET_PLACES,
    SOCKET_RELEASED,
    Subject,
    subject_of,
)
from kernel.bpf.verifier import check_first, verify
from kernel.lang import EINVAL, Errno
from tests.unit.bpf.assembler import ADD, JNE, LEAVE, R0, R1, R2, R6, W, alu, call, jump, load, mov, mov_r, store

COOKIE = 46
CHANGING = (SOCKET_CREATED, SOCKET_RELEASED)

HEARING = {
    "what it is": load(W, R2, R1, 4) + load(W, R2, R1, 8) + load(W, R2, R1, 12) + mov(R0, 1) + LEAVE,
    "changes": mov(R2, 7) + store(W, R1, 16, R2) + load(W, R0, R1, 20) + store(W, R1, 0, R0) + mov(R0, 1) + LEAVE,
    "its number": mov_r(R6, R1) + call(COOKIE) + alu(0x50, R0, 1) + LEAVE,
    "the peer": load(W, R2, R1, 48) + load(W, R2, R1, 52) + load(W, R2, R1, 68) + mov(R0, 0) + LEAVE,
}


def subject(place: int) -> Subject:
    found = subject_of(CGROUP_SOCK, place)
    assert found is not None
    return found


def check(program: bytes, place: int) -> None:
    check_first(Code(program), Log(1))
    verify(Code(program), [], subject(place), Log(1))


def test_known_programs() -> None:
    for program in HEARING.values():
        check(program, SOCKET_CREATED)
        check(program, SOCKET_RELEASED)
    with pytest.raises(Errno):
        check(HEARING["changes"], SOCKET_BOUND4)


@pytest.mark.parametrize("place", SOCKET_PLACES)
def test_answers(place: int) -> None:
    check(mov(R0, 1) + LEAVE, place)
    with pytest.raises(Errno) as raised:
        check(mov(R0, 2) + LEAVE, place)
    assert raised.value.code == EINVAL


@pytest.mark.parametrize("place", SOCKET_PLACES)
def test_what_may_be_changed(place: int) -> None:
    about = subject(place)
    for offset in range(-4, SOCKET_CONTEXT + 4):
        for size in (1, 2, 4, 8):
            may = place in CHANGING and offset in (0, 16, 20) and size == 4
            assert about.may_store(offset, size) == may
            if offset in (0, 16, 20):
                assert about.may_load(offset, size) == may
            if offset % size != 0 or size == 8 or not 0 <= offset < SOCKET_CONTEXT:
                assert not about.may_load(offset, size)


@pytest.mark.parametrize("place", SOCKET_PLACES)
def test_addresses(place: int) -> None:
    about = subject(place)
    assert about.may_load(24, 4) == about.may_load(27, 1) == (place == SOCKET_BOUND4)
    assert about.may_load(28, 4) == about.may_load(42, 2) == (place == SOCKET_BOUND6)
    assert about.may_load(44, 4) == about.may_load(44, 1) == (place in (SOCKET_BOUND4, SOCKET_BOUND6))
    assert about.may_load(48, 4) and about.may_load(48, 2) and about.may_load(49, 1) and not about.may_load(50, 2)
    assert about.may_load(52, 4) and about.may_load(71, 1) and about.may_load(72, 2) and not about.may_load(73, 1)


def test_where_others_reach_the_socket_programs_are_short() -> None:
    for place in SOCKET_PLACES:
        most = MOST_INSTRUCTIONS_AT_ONCE if place in (SOCKET_BOUND4, SOCKET_BOUND6) else 0
        assert subject(place).most_instructions == most


def test_a_run_changes_the_context() -> None:
    program = Program(CGROUP_SOCK, b"", Code(HEARING["changes"]), [])
    context = bytearray(SOCKET_CONTEXT)
    context[20] = 3
    answer, cost = program.judge_socket(context, 5, UNBOUNDED, World())
    assert answer == 1 and cost > 0 and context[0] == 3 and context[16] == 7
    long = Program(CGROUP_SOCK, b"", Code(mov(R0, 0) + alu(ADD, R0, 1) + jump(JNE, R0, 1 << 20, -2) + LEAVE), [])
    assert long.judge_socket(context, 5, 20_000, World())[0] == 0 and long.warnings == 1


def test_its_number() -> None:
    program = Program(CGROUP_SOCK, b"", Code(call(COOKIE) + LEAVE), [])
    assert program.judge_socket(bytearray(SOCKET_CONTEXT), 4711, UNBOUNDED, World())[0] == 4711
