"""Programs that filter a socket's packets: loads as classic BPF has them, the context, how they look into headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.bpf.code import CGROUP_SKB, SOCKET_FILTER, Code
from kernel.bpf.helpers import arguments_of
from kernel.bpf.interpreter import Machine
from kernel.bpf.log import Log
from kernel.bpf.machine import World
from kernel.bpf.packet_view import NOBODY, NOWHERE, PacketView
from kernel.bpf.subject import PACKET_CONTEXT, Subject, subject_of
from kernel.bpf.verifier import check_first, check_short, verify
from kernel.lang import EACCES, EFAULT, EINVAL, Errno
from tests.unit.bpf.assembler import (
    ADD,
    DW,
    JEQ,
    LEAVE,
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R10,
    B,
    H,
    W,
    alu,
    atomic,
    call,
    jump,
    load,
    mov,
    mov_r,
    raw,
    store,
    store_constant,
)

LOAD_BYTES, COOKIE, OWNER, LOAD_BYTES_RELATIVE = 26, 46, 47, 68
BEGIN = mov_r(R6, R1)


def absolute(size: int, offset: int) -> bytes:
    return raw(0x20 | size, constant=offset)


def indirect(size: int, source: int, offset: int) -> bytes:
    return raw(0x40 | size, 0, source, constant=offset)


def bytes_of(offset: int, size: int, header: int) -> bytes:
    to = mov_r(R1, R6) + mov(R2, offset) + mov_r(R3, R10) + alu(ADD, R3, -8) + mov(R4, size)
    return to + mov(R5, header) + call(LOAD_BYTES_RELATIVE)


FILTERS = {
    "a word": BEGIN + absolute(W, 4) + LEAVE,
    "a port": BEGIN + absolute(H, 2) + jump(JEQ, R0, 0x0203, 1) + mov(R0, 0) + LEAVE,
    "by a register": BEGIN + mov(R7, 1) + indirect(B, R7, 2) + LEAVE,
    "the network's header": BEGIN + absolute(B, -0x100000) + LEAVE,
    "words left": store_constant(W, R1, 48, 5) + mov(R2, 7) + store(DW, R1, 56, R2) + load(B, R0, R1, 57) + LEAVE,
    "bytes of a header": BEGIN + bytes_of(1, 4, 1) + load(W, R0, R10, -8) + LEAVE,
    "whose": BEGIN + call(COOKIE) + mov_r(R7, R0) + mov_r(R1, R6) + call(OWNER) + LEAVE,
}

REFUSED = {
    "double words": (BEGIN + absolute(DW, 0) + LEAVE, EINVAL),
    "no context in R6": (mov(R6, 1) + absolute(W, 0) + LEAVE, EINVAL),
    "nothing in R6": (absolute(W, 0) + LEAVE, EACCES),
    "a moved context": (BEGIN + alu(ADD, R6, 4) + absolute(W, 0) + LEAVE, EACCES),
    "an unset register": (BEGIN + indirect(W, R7, 0) + LEAVE, EACCES),
    "another target": (BEGIN + raw(0x20, 2) + LEAVE, EINVAL),
    "a source": (BEGIN + raw(0x20, 0, 2) + LEAVE, EINVAL),
    "an offset": (BEGIN + raw(0x20, 0, 0, 4) + LEAVE, EINVAL),
    "R1 afterwards": (BEGIN + absolute(W, 0) + load(W, R0, R1, 0) + LEAVE, EACCES),
    "a field": (store_constant(W, R1, 0, 5) + mov(R0, 0) + LEAVE, EACCES),
    "half of a field": (store_constant(DW, R1, 52, 5) + mov(R0, 0) + LEAVE, EACCES),
    "an atomic one": (mov(R2, 1) + atomic(W, R1, 48, R2, 0) + mov(R0, 0) + LEAVE, EACCES),
    "a pointer": (store(DW, R1, 48, R10) + mov(R0, 0) + LEAVE, EACCES),
    "a pointer as the answer": (mov_r(R0, R10) + LEAVE, EACCES),
}


def subject(kind: int = SOCKET_FILTER) -> Subject:
    found = subject_of(kind)
    assert found is not None
    return found


def check(program: bytes, kind: int = SOCKET_FILTER) -> None:
    code = Code(program)
    about = subject(kind)
    check_first(code, Log(1))
    check_short(code, about.most_instructions, Log(1))
    verify(code, [], about, Log(1))


def view() -> PacketView:
    """14 bytes of a link's header, 4 of the network's, and 8 that the program sees; something lies around them."""
    made = PacketView(bytearray(b"?" * 2 + b"L" * 14 + b"NETW" + bytes(range(8)) + b"?" * 4), 20, 28)
    made.link_start, made.network_start = 2, 16
    return made


def judged(program: bytes, packet: PacketView | None = None) -> Machine:
    machine = Machine(Code(program), [], bytearray(PACKET_CONTEXT), World())
    machine.may_change_context = True
    machine.packet = view() if packet is None else packet
    machine.run_at_once(1 << 20)
    assert not machine.is_broken
    return machine


@pytest.mark.parametrize("name", FILTERS)
def test_what_may_run(name: str) -> None:
    check(FILTERS[name])


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_not(name: str) -> None:
    program, code = REFUSED[name]
    with pytest.raises(Errno) as raised:
        check(program)
    assert raised.value.code == code


def test_programs_of_groups_have_no_such_loads() -> None:
    with pytest.raises(Errno) as raised:
        check(BEGIN + absolute(W, 0) + mov(R0, 1) + LEAVE, CGROUP_SKB)
    assert raised.value.code == EINVAL


@pytest.mark.parametrize(
    ("load_", "answer"),
    [
        (absolute(W, 0), 0x00010203),
        (absolute(W, 4), 0x04050607),
        (absolute(H, 6), 0x0607),
        (absolute(B, 7), 7),
        (absolute(B, -0x100000), ord("N")),
        (absolute(W, -0x100000 + 4), 0x00010203),
        (absolute(B, -0x200000 + 13), ord("L")),
        (mov(R7, 2) + indirect(H, R7, 1), 0x0304),
        (mov(R7, -2) + indirect(H, R7, 3), 0x0102),
    ],
)
def test_loads_of_classic_programs(load_: bytes, answer: int) -> None:
    machine = judged(BEGIN + load_ + LEAVE)
    assert machine.registers[0] == answer and not machine.is_over


@pytest.mark.parametrize(
    "load_",
    [
        absolute(W, 5),
        absolute(B, 8),
        absolute(B, 0x7FFF_FFFF),
        absolute(B, -1),
        absolute(W, -0x1000),
        absolute(B, -0x100000 + 12),
        absolute(B, -0x200001),
        mov(R7, -9) + indirect(B, R7, 3),
    ],
)
def test_one_from_outside_ends_the_program_with_0(load_: bytes) -> None:
    machine = judged(BEGIN + load_ + mov(R0, 5) + LEAVE)
    assert machine.is_over and machine.registers[0] == 0


def test_a_packet_may_have_no_headers() -> None:
    bare = PacketView(bytearray(4), 0, 4)
    for program in (absolute(B, -0x100000), absolute(B, -0x200000)):
        assert judged(BEGIN + program + LEAVE, bare).is_over
    assert judged(BEGIN + bytes_of(0, 1, 0) + LEAVE, bare).registers[0] == -EFAULT


@pytest.mark.parametrize(
    ("offset", "size", "header", "found"),
    [
        (0, 4, 1, b"NETW"),
        (2, 4, 1, b"TW\0\1"),
        (12, 2, 0, b"LL"),
        (0, 1, 2, b""),
        (9, 4, 1, b""),
        (0x10000, 1, 1, b""),
        (-1, 1, 1, b""),
        (0, 1, -1, b""),
    ],
)
def test_bytes_from_a_header_on(offset: int, size: int, header: int, found: bytes) -> None:
    machine = judged(BEGIN + store_constant(DW, R10, -8, -1) + bytes_of(offset, size, header) + LEAVE)
    assert machine.registers[0] == (0 if found else -EFAULT)
    assert machine.stacks[0][-8 : size - 8] == (found or bytes(size))


def test_whose_it_is() -> None:
    packet = view()
    assert packet.uid == NOBODY and packet.cookie == 0
    packet.cookie, packet.uid = 77, 1000
    assert judged(FILTERS["whose"], packet).registers[0] == 1000
    assert judged(FILTERS["whose"], packet).registers[7] == 77


def test_words_are_left_for_the_run_alone() -> None:
    machine = judged(FILTERS["words left"])
    assert machine.context[48:64] == bytes([5, *bytes(7), 7, *bytes(7)])


def test_which_helpers_there_are() -> None:
    for number in (1, 2, 3, 5, 7, 8, 14, 26, 42, 46, 47, 68, 125):
        assert arguments_of(number, SOCKET_FILTER, may_program=False, may_leak=False) is not None
    for number in (15, 16, 80):
        assert arguments_of(number, SOCKET_FILTER, may_program=False, may_leak=False) is None
    assert arguments_of(80, SOCKET_FILTER, may_program=True, may_leak=False) is not None


@given(st.integers(-(1 << 31), (1 << 31) - 1), st.sampled_from([1, 2, 4]))
def test_no_load_is_from_outside(offset: int, size: int) -> None:
    packet = view()
    for place in (packet.place_of(offset, size), packet.place_in_header(offset & 3, offset & 0xFFFF_FFFF, size)):
        assert place == NOWHERE or (2 <= place and place + size <= packet.end)
