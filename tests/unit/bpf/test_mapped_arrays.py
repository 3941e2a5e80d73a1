"""Arrays that processes may map: for programs and system calls they are arrays as any other."""

from __future__ import annotations

import random
import struct

import pytest

from kernel.bpf.code import Code
from kernel.bpf.interpreter import Machine
from kernel.bpf.kinds import make_map
from kernel.bpf.machine import World
from kernel.bpf.mapped_array import MappedArray
from kernel.bpf.maps import ARRAY, HASH, INNER_MAP, MAPPED, PERCPU_ARRAY, QUEUE, Map
from kernel.lang import EINVAL, Errno, span_of
from tests.unit.bpf.assembler import (
    ADD,
    AND,
    DW,
    JNE,
    LEAVE,
    R0,
    R1,
    R2,
    R3,
    R6,
    R7,
    R10,
    B,
    W,
    alu,
    atomic,
    call,
    check,
    jump,
    load,
    map_,
    mov,
    mov_r,
    new_map,
    store_constant,
)
from tests.unit.bpf.test_rings import PAGE, Bytes

PLACE = 9
"""Of such an array among the maps of the fuzz test."""
SIZE, MOST = 24, 400
ACROSS = 170
"""An element that crosses the end of a page."""


def a_mapped_array() -> MappedArray:
    made = make_map(ARRAY, 4, SIZE, MOST, MAPPED)
    assert isinstance(made, MappedArray)
    made.memory = Bytes(made.page_count())  # type: ignore[assignment]
    return made


def look_up(element: int) -> bytes:
    return (
        store_constant(W, R10, -4, element) + map_(R1, PLACE) + mov_r(R2, R10) + alu(ADD, R2, -4) + call(1)
        + jump(JNE, R0, 0, 2) + mov(R0, 0) + LEAVE
    )  # fmt: skip


ODD = alu(AND, R0, 1) + LEAVE
MAPPED_ARRAYS = {
    "stores": look_up(ACROSS) + store_constant(DW, R0, 0, 7) + store_constant(DW, R0, 16, -2)
    + store_constant(B, R0, 15, 3) + load(DW, R0, R0, 13) + ODD,
    "adds": look_up(ACROSS) + mov(R7, 5) + atomic(DW, R0, 16, R7, 1) + load(DW, R0, R0, 16) + ODD,
    "gets a name": look_up(ACROSS) + mov_r(R6, R0) + mov_r(R1, R6) + mov(R2, 20) + call(16) + load(W, R0, R6, 16)
    + ODD,
    "pops": look_up(ACROSS) + mov_r(R6, R0) + map_(R1, 3) + mov_r(R2, R6) + alu(ADD, R2, 14) + call(88)
    + load(W, R0, R6, 14) + ODD,
    "as a key": look_up(3) + mov_r(R6, R0) + map_(R1, 0) + mov_r(R2, R6) + call(1) + mov(R0, 1) + LEAVE,
    "updates": store_constant(W, R10, -4, ACROSS) + store_constant(DW, R10, -16, 1) + store_constant(DW, R10, -24, 2)
    + store_constant(DW, R10, -32, 3) + map_(R1, PLACE) + mov_r(R2, R10) + alu(ADD, R2, -4) + mov_r(R3, R10)
    + alu(ADD, R3, -32) + mov(4, 0) + call(2) + ODD,
}  # fmt: skip
"""Sound programs, which the fuzz test changes as well."""


def among(array: Map) -> list[Map]:
    line = new_map(QUEUE, 0, 4, 3)
    line.push(span_of(struct.pack("<I", 0x1234_5678)), 0)
    return [*[new_map() for _ in range(3)], line, *[new_map() for _ in range(4, PLACE)], array]


class Named(World):
    def command(self) -> bytes:
        return b"program"


@pytest.mark.parametrize("name", MAPPED_ARRAYS)
def test_a_program_finds_no_difference(name: str) -> None:
    plain, mapped = new_map(ARRAY, 4, SIZE, MOST), a_mapped_array()
    chance = random.Random(3)
    for element in range(0, MOST, 7):
        value = chance.randbytes(SIZE)
        for made in (plain, mapped):
            made.update(struct.pack("<I", element), span_of(value), 0)
    answers = []
    for made in (plain, mapped):
        check(MAPPED_ARRAYS[name], among=among(made))
        machine = Machine(Code(MAPPED_ARRAYS[name]), among(made), bytearray(12), Named())
        answers.append(machine.run())
        assert not machine.is_broken
    assert answers[0] == answers[1]
    for element in range(MOST):
        assert plain.look_up(struct.pack("<I", element)) == mapped.look_up(struct.pack("<I", element))


def test_values_lie_in_a_row() -> None:
    array = a_mapped_array()
    array.update(struct.pack("<I", ACROSS), span_of(bytes(range(SIZE))), 0)
    assert array.memory.bytes[ACROSS * SIZE : (ACROSS + 1) * SIZE] == bytes(range(SIZE))  # type: ignore[attr-defined]
    assert ACROSS * SIZE < PAGE < (ACROSS + 1) * SIZE and array.page_count() == 3


def test_a_program_outlives_the_memory() -> None:
    """As of a map that was found in another, and then left it."""
    array = a_mapped_array()
    array.clear()
    machine = Machine(Code(MAPPED_ARRAYS["stores"]), among(array), bytearray(12), World())
    assert machine.run() == 0


def test_which_maps_can_be_mapped() -> None:
    assert isinstance(make_map(ARRAY, 4, 8, 1, MAPPED | INNER_MAP), MappedArray)
    for kind in (HASH, PERCPU_ARRAY):
        with pytest.raises(Errno, match=str(EINVAL)):
            make_map(kind, 4, 8, 1, MAPPED)
