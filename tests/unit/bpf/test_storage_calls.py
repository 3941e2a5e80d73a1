"""Helpers that reach the values of sockets: what the verifier demands, and what programs find."""

from __future__ import annotations

import pytest

from kernel.bpf.code import CGROUP_DEVICE, CGROUP_SOCK, CGROUP_SOCK_ADDR, Code
from kernel.bpf.interpreter import Machine
from kernel.bpf.kinds import make_map
from kernel.bpf.log import Log
from kernel.bpf.machine import SOCKET_POINTER, World
from kernel.bpf.maps import GROUP_STORAGE, SOCKET_STORAGE, TASK_STORAGE, Map
from kernel.bpf.program import Program
from kernel.bpf.storage import SOCKET_OWNERS, StorageMap
from kernel.bpf.subject import ADDRESS_CONTEXT, ADDRESS_SOCKET, SOCKET_CONTEXT, subject_of
from kernel.bpf.verifier import check_first, verify
from kernel.lang import EACCES, EINVAL, Errno, span_of, u64
from tests.unit.bpf.assembler import (
    ADD,
    AND,
    DW,
    JEQ,
    JNE,
    LEAVE,
    R0,
    R1,
    R2,
    R3,
    R4,
    R6,
    R7,
    R10,
    B,
    W,
    alu,
    call,
    jump,
    load,
    map_,
    mov,
    mov_r,
    new_map,
    store,
    store_constant,
)

GET, DELETE = 107, 108
PLACE = 11
"""Of the map among those of the fuzz test."""
BINDS, CREATED = 8, 2
COOKIE = 4711
ROOM = 4096

DONE = mov(R0, 1) + LEAVE
OR_DONE = jump(JNE, R0, 0, 2) + DONE


def get(value: bytes = mov(R3, 0), flags: int = 1, place: int = PLACE) -> bytes:
    """The socket, or the context, is in register 2."""
    return map_(R1, place) + value + mov(R4, flags) + call(GET)


SK = load(DW, R2, R1, ADDRESS_SOCKET)
COUNT = get() + OR_DONE + load(W, R6, R0, 0) + alu(ADD, R6, 1) + store(W, R0, 0, R6)
FIRST = store_constant(DW, R10, -8, 7) + mov_r(R3, R10) + alu(ADD, R3, -8)
STORING = {  # types, places, programs
    "counts": (CGROUP_SOCK_ADDR, BINDS, SK + COUNT + alu(AND, R6, 3) + mov_r(R0, R6) + LEAVE),
    "by its context": (CGROUP_SOCK, CREATED, mov_r(R2, R1) + COUNT + alu(AND, R6, 1) + mov_r(R0, R6) + LEAVE),
    "a first value": (
        CGROUP_SOCK_ADDR, BINDS, SK + get(FIRST) + OR_DONE + load(B, R0, R0, 0) + alu(AND, R0, 3) + LEAVE,
    ),
    "is it there": (CGROUP_SOCK, CREATED, mov_r(R2, R1) + get(flags=0) + OR_DONE + store_constant(DW, R0, 0, 1) + DONE),
    "takes it away": (CGROUP_SOCK_ADDR, BINDS, SK + map_(R1, PLACE) + call(DELETE) + alu(AND, R0, 3) + LEAVE),
    "on the stack": (
        CGROUP_SOCK_ADDR, BINDS, SK + store(DW, R10, -16, R2) + mov_r(R7, R1) + get() + load(DW, R2, R10, -16)
        + map_(R1, PLACE) + call(DELETE) + load(DW, R6, R7, ADDRESS_SOCKET) + jump(JEQ, R6, 0, 0) + DONE,
    ),
}  # fmt: skip
"""Sound programs, which the fuzz test changes as well."""


def a_storage() -> StorageMap:
    made = make_map(SOCKET_STORAGE, 4, 8, 0, 1)
    assert isinstance(made, StorageMap)
    made.users = 1
    return made


def among(storage: Map) -> list[Map]:
    return [*[new_map() for _ in range(PLACE)], storage]


@pytest.fixture(autouse=True)
def nobody_has_values() -> None:
    SOCKET_OWNERS.by_number.clear()


def check(kind: int, place: int, program: bytes, storage: Map | None = None, may_leak: bool = False) -> str:
    subject = subject_of(kind, place)
    assert subject is not None
    subject.may_leak = may_leak
    log = Log(1)
    maps = among(a_storage() if storage is None else storage)
    try:
        check_first(Code(program), log)
        verify(Code(program), maps, subject, log)
    except Errno as error:
        return f"{error.code} {b''.join(log.pieces).decode()}"
    return ""


def run(name: str, storage: StorageMap, cookie: int = COOKIE, room: int = ROOM) -> int:
    kind, _, text = STORING[name]
    program = Program(kind, b"", Code(text), among(storage))
    if kind == CGROUP_SOCK:
        answer = program.judge_socket(bytearray(SOCKET_CONTEXT), cookie, -1, World(), room)[0]
    else:
        answer = program.judge_address(bytearray(ADDRESS_CONTEXT), cookie, World(), room)
    assert program.warnings == 0
    return answer


@pytest.mark.parametrize("name", STORING)
def test_sound_programs_pass(name: str) -> None:
    kind, place, program = STORING[name]
    assert check(kind, place, program) == ""


def test_a_value_stays_with_its_socket() -> None:
    storage = a_storage()
    assert [run("counts", storage) for _ in range(3)] == [1, 2, 3]
    assert run("counts", storage, 5) == 1
    assert run("by its context", storage) == 0  # the fourth
    slot = storage.slot_for(COOKIE)
    assert span_of(storage.value(slot)).load_u32(0) == 4
    assert run("takes it away", storage) == 0 and storage.slot_for(COOKIE) < 0
    assert run("takes it away", storage) == -2 & 3  # ENOENT
    assert run("a first value", storage) == 3 and run("counts", storage) == 0
    assert run("on the stack", storage) == 1 and storage.slot_for(COOKIE) < 0
    assert run("is it there", storage) == 1 and storage.slot_for(COOKIE) < 0


def test_no_room() -> None:
    storage = a_storage()
    assert run("counts", storage, room=256) == 1 and storage.owners == {}
    assert run("counts", storage, room=257) == 1 and len(storage.owners) == 1


def test_a_map_that_has_ended_gets_no_value() -> None:
    storage = a_storage()
    storage.users = 0
    assert run("counts", storage) == 1 and storage.owners == {} and SOCKET_OWNERS.by_number == {}


BAD = {
    "another kind of program": (CGROUP_DEVICE, 6, mov_r(R2, R1) + get() + DONE, EINVAL, "cannot use helper #107"),
    "no deleting there": (CGROUP_SOCK, CREATED, mov_r(R2, R1) + map_(R1, PLACE) + call(DELETE) + DONE, EINVAL, "#108"),
    "another kind of map": (CGROUP_SOCK_ADDR, BINDS, SK + get(place=0) + DONE, EINVAL, "cannot pass map_type 2"),
    "not the socket": (CGROUP_SOCK_ADDR, BINDS, mov_r(R2, R1) + get() + DONE, EACCES, "R2 type=ctx expected=sock"),
    "a number": (CGROUP_SOCK_ADDR, BINDS, mov(R2, 5) + get() + DONE, EACCES, "R2 type=scalar"),
    "untested": (CGROUP_SOCK_ADDR, BINDS, SK + get() + load(W, R6, R0, 0) + DONE, EACCES, "map_value_or_null"),
    "beyond the value": (CGROUP_SOCK_ADDR, BINDS, SK + get() + OR_DONE + load(W, R6, R0, 6) + DONE, EACCES, "off=6"),
    "no value": (CGROUP_SOCK_ADDR, BINDS, SK + get(mov(R3, 1)) + DONE, EACCES, "R3 type=scalar"),
    "unset value": (
        CGROUP_SOCK_ADDR, BINDS, SK + get(mov_r(R3, R10) + alu(ADD, R3, -8)) + DONE, EACCES, "indirect read",
    ),
    "looked up": (
        CGROUP_SOCK_ADDR, BINDS, store_constant(W, R10, -4, 1) + mov_r(R2, R10) + alu(ADD, R2, -4) + map_(R1, PLACE)
        + call(1) + DONE, EINVAL, "cannot pass map_type 24",
    ),
    "into the socket": (CGROUP_SOCK_ADDR, BINDS, SK + load(W, R6, R2, 0) + DONE, EACCES, "invalid mem access 'sock'"),
    "changed": (CGROUP_SOCK_ADDR, BINDS, SK + store_constant(W, R2, 0, 1) + DONE, EACCES, "invalid mem access 'sock'"),
    "moved": (CGROUP_SOCK_ADDR, BINDS, SK + alu(ADD, R2, 1) + DONE, EACCES, "arithmetic on sock prohibited"),
    "half of it": (CGROUP_SOCK_ADDR, BINDS, load(W, R2, R1, ADDRESS_SOCKET) + DONE, EACCES, "bpf_context access"),
    "overwritten": (CGROUP_SOCK_ADDR, BINDS, mov(R2, 0) + store(DW, R1, ADDRESS_SOCKET, R2) + DONE, EACCES, "context"),
    "elsewhere": (CGROUP_SOCK, CREATED, load(DW, R2, R1, ADDRESS_SOCKET) + DONE, EACCES, "bpf_context access"),
    "returned": (CGROUP_SOCK_ADDR, BINDS, SK + mov_r(R0, R2) + LEAVE, EACCES, "R0 leaks addr"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_programs_are_refused(name: str) -> None:
    kind, place, program, code, reason = BAD[name]
    said = check(kind, place, program)
    assert said.startswith(f"{code} ") and reason in said, said


@pytest.mark.parametrize("kind", [TASK_STORAGE, GROUP_STORAGE])
def test_others_are_not_for_them(kind: int) -> None:
    said = check(CGROUP_SOCK_ADDR, BINDS, STORING["counts"][2], make_map(kind, 4, 8, 0, 1))
    assert said.startswith(f"{EINVAL} ") and f"map_type {kind}" in said


def test_the_second_line_of_defence() -> None:
    """Nothing but the socket's own pointer leads to values, whatever the verifier let through."""
    for text in (mov(R2, 5) + get() + DONE, SK + alu(ADD, R2, 4) + get() + DONE, SK + get(place=0) + DONE):
        machine = Machine(Code(text), among(a_storage()), bytearray(ADDRESS_CONTEXT), World())
        machine.cookie = COOKIE
        span_of(machine.context).store_u64(ADDRESS_SOCKET, u64(SOCKET_POINTER))
        machine.run()
        assert machine.is_broken
    for operation in (load(W, R6, R2, 0), store_constant(W, R2, 0, 1)):
        machine = Machine(Code(SK + operation + DONE), [], bytearray(ADDRESS_CONTEXT), World())
        span_of(machine.context).store_u64(ADDRESS_SOCKET, u64(SOCKET_POINTER))
        machine.run()
        assert machine.is_broken
