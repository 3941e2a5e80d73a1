"""Programs that see addresses of sockets: what each place lets them read, change and answer."""

from __future__ import annotations

import pytest

from kernel.bpf.code import CGROUP_SOCK_ADDR, Code
from kernel.bpf.log import Log
from kernel.bpf.machine import World
from kernel.bpf.program import Program
from kernel.bpf.subject import ADDRESS_CONTEXT, ADDRESS_PLACES, AddressSubject, subject_of
from kernel.bpf.verifier import check_first, verify
from kernel.lang import EINVAL, Errno
from tests.unit.bpf.assembler import (
    DW,
    LEAVE,
    R0,
    R1,
    R2,
    R6,
    H,
    W,
    alu,
    call,
    load,
    mov,
    mov_r,
    store,
    store_constant,
)

COOKIE = 46
BIND4, BIND6, CONNECT4, SEND4, SEND6, RECEIVE4, PEER6 = 8, 9, 10, 14, 15, 19, 30
IP4 = (8, 10, 14, 19, 29, 31)

ADDRESSED = {  # places, programs
    "a port": (BIND4, load(H, R2, R1, 24) + store_constant(W, R1, 24, 0x1234) + mov(R0, 3) + LEAVE),
    "an address": (CONNECT4, load(W, R2, R1, 4) + alu(0, R2, 1) + store(W, R1, 4, R2) + mov(R0, 1) + LEAVE),
    "wide": (SEND6, load(DW, R2, R1, 8) + store(DW, R1, 48, R2) + store(W, R1, 44, R2) + mov(R0, 0) + LEAVE),
    "what it is": (PEER6, load(W, R2, R1, 0) + load(W, R2, R1, 28) + load(W, R2, R1, 36) + mov(R0, 1) + LEAVE),
    "its number": (SEND4, mov_r(R6, R1) + call(COOKIE) + alu(0x50, R0, 1) + LEAVE),
}


def subject(place: int) -> AddressSubject:
    found = subject_of(CGROUP_SOCK_ADDR, place)
    assert isinstance(found, AddressSubject)
    return found


def check(program: bytes, place: int) -> None:
    check_first(Code(program), Log(1))
    verify(Code(program), [], subject(place), Log(1))


def test_known_programs() -> None:
    for place, program in ADDRESSED.values():
        check(program, place)
    for name, place in (("an address", BIND6), ("wide", BIND6), ("its number", RECEIVE4), ("a port", CONNECT4)):
        with pytest.raises(Errno):
            check(ADDRESSED[name][1], place)


@pytest.mark.parametrize("place", ADDRESS_PLACES)
def test_answers(place: int) -> None:
    least, most = (0, 3) if place in (8, 9) else (1, 1) if place >= 19 else (0, 1)
    for answer in range(-1, 5):
        if least <= answer <= most:
            check(mov(R0, answer) + LEAVE, place)
        else:
            with pytest.raises(Errno) as raised:
                check(mov(R0, answer) + LEAVE, place)
            assert raised.value.code == EINVAL


@pytest.mark.parametrize("place", ADDRESS_PLACES)
def test_what_may_be_read_and_changed(place: int) -> None:
    about = subject(place)
    words = {24}
    words |= {4} if place in IP4 else {8, 12, 16, 20}
    words |= {40} if place == SEND4 else {44, 48, 52, 56} if place == SEND6 else set()
    wide = {8, 16} if place not in IP4 else set()
    wide |= {48} if place == SEND6 else set()
    for offset in range(-8, ADDRESS_CONTEXT + 16):
        for size in (1, 2, 4, 8):
            narrow = offset % size == 0 and size <= 4 and offset - offset % 4 in words
            is_fixed = size == 4 and offset in (0, 28, 32, 36)
            is_wide = size == 8 and offset in wide
            assert about.may_load(offset, size) == (narrow or is_fixed or is_wide), (offset, size)
            assert about.may_store(offset, size) == ((narrow and size == 4) or is_wide), (offset, size)


def test_a_run_changes_the_address() -> None:
    program = Program(CGROUP_SOCK_ADDR, b"", Code(ADDRESSED["an address"][1]), [])
    context = bytearray(ADDRESS_CONTEXT)
    context[4:8] = b"\x7f\0\0\1"
    assert program.judge_address(context, 5, World()) == 1 and context[4:8] == b"\x80\0\0\1"


def test_a_port_has_two_bytes() -> None:
    text = store_constant(W, R1, 24, 0x12345678) + load(W, R0, R1, 24) + LEAVE
    context = bytearray(ADDRESS_CONTEXT)
    assert Program(CGROUP_SOCK_ADDR, b"", Code(text), []).judge_address(context, 5, World()) == 0x5678
    assert context[24:28] == b"\x78\x56\0\0"


def test_its_number() -> None:
    program = Program(CGROUP_SOCK_ADDR, b"", Code(call(COOKIE) + LEAVE), [])
    assert program.judge_address(bytearray(ADDRESS_CONTEXT), 4711, World()) == 4711


def test_a_broken_run_refuses() -> None:
    endless = Program(CGROUP_SOCK_ADDR, b"", Code(mov(R2, 0) + load(W, R0, R2, 0) + LEAVE), [])
    assert endless.judge_address(bytearray(ADDRESS_CONTEXT), 1, World()) == 0 and endless.warnings == 1
