"""Functions of programs, tail calls, and maps that programs find in maps or use without keys."""

from __future__ import annotations

import struct

import pytest

from kernel.bpf.code import Code
from kernel.bpf.interpreter import MOST_TAIL_CALLS, Machine
from kernel.bpf.kept_maps import HeldMap
from kernel.bpf.kinds import make_map
from kernel.bpf.log import Log
from kernel.bpf.machine import World
from kernel.bpf.maps import ARRAY, ARRAY_OF_MAPS, BLOOM, PERCPU_ARRAY, PROGRAM_ARRAY, QUEUE, STACK, Map
from kernel.bpf.program import Program, claim
from kernel.bpf.verifier import check_first, check_short
from kernel.lang import E2BIG, EACCES, EINVAL, EPERM, Errno, span_of
from tests.unit.bpf.assembler import (
    ADD,
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
    R10,
    W,
    alu,
    alu_r,
    call,
    check,
    go,
    jump,
    last,
    load,
    map_,
    mov,
    mov_r,
    new_map,
    raw,
    run,
    store,
    store_constant,
)


def function(distance: int) -> bytes:
    """A call of a function of the program."""
    return raw(0x85, 0, 1, constant=distance)


def refused(*instructions: bytes, among: list[Map] | None = None, may_leak: bool = True) -> int:
    with pytest.raises(Errno) as raised:
        check(*instructions, among=among, may_leak=may_leak)
    return raised.value.code


def test_a_function_returns_to_its_caller() -> None:
    program = [mov(R6, 5), mov(R1, 7), function(2), alu_r(ADD, R0, R6), LEAVE, mov_r(R0, R1), alu(ADD, R0, 1), LEAVE]
    code = Code(b"".join(program))
    machine = Machine(code, [], bytearray(12), World())
    assert machine.run() == 13 and not machine.is_broken


def test_a_function_has_a_stack_of_its_own() -> None:
    assert run(
        store_constant(DW, R10, -8, 1), mov_r(R1, R10), function(2), load(DW, R0, R10, -8), LEAVE,
        store_constant(DW, R10, -8, 0), mov(R0, 9), LEAVE,
    ) == 1  # fmt: skip


def test_a_function_writes_to_its_callers_stack() -> None:
    assert run(
        store_constant(DW, R10, -8, 0), mov_r(R1, R10), alu(ADD, R1, -8), function(2), load(DW, R0, R10, -8), LEAVE,
        store_constant(DW, R1, 0, 1), mov(R0, 9), LEAVE,
    ) == 1  # fmt: skip


def test_what_functions_must_not_do() -> None:
    assert refused(mov_r(R1, R10), function(2), mov(R0, 0), LEAVE, mov_r(R0, R10), LEAVE) == EINVAL
    assert "cannot return stack pointer" in last[0]
    below = [mov_r(R1, R10), alu(ADD, R1, -8), store_constant(DW, R1, 0, 0), function(2), mov(R0, 0), LEAVE]
    assert refused(*below, store(DW, R1, 0, R10), mov(R0, 0), LEAVE) == EINVAL
    assert "cannot spill pointers to stack" in last[0]
    assert refused(mov(R6, 1), function(1), LEAVE, mov_r(R0, R6), LEAVE) == EACCES
    assert "R6 !read_ok" in last[0]
    assert refused(mov(R1, 1), function(2), mov_r(R0, R1), LEAVE, mov(R0, 0), LEAVE) == EACCES
    assert "R1 !read_ok" in last[0]


def test_jumps_stay_in_their_function() -> None:
    assert refused(function(2), mov(R0, 0), LEAVE, go(-2), LEAVE) == EINVAL
    assert "jump out of range" in last[0]
    assert refused(function(1), LEAVE, mov(R0, 0)) == EINVAL
    assert refused(function(9), mov(R0, 0), LEAVE) == EINVAL
    assert "call to invalid destination" in last[0]
    assert refused(mov(R0, 0), function(1), mov(R0, 1), mov(R0, 0), LEAVE) == EINVAL  # it runs into the function


def test_recursion_is_refused() -> None:
    assert refused(function(1), LEAVE, mov(R0, 0), function(-2), LEAVE) == E2BIG
    # Never taken, so that only the order of the functions tells.
    assert refused(function(2), mov(R0, 0), LEAVE, mov(R0, 0), jump(JEQ, R0, 0, 1), function(-3), LEAVE) in (
        E2BIG,
        EINVAL,
    )


def chain(count: int) -> list[bytes]:
    """Functions that call each other, one after the other."""
    made: list[bytes] = []
    for _ in range(count - 1):
        made += [function(1), LEAVE]
    return [*made, mov(R0, 1), LEAVE]


def test_eight_functions_are_at_work_at_once() -> None:
    assert run(*chain(8)) == 1
    assert refused(*chain(9)) == E2BIG


def test_functions_share_the_size_of_the_stack() -> None:
    def using(first: int, second: int) -> list[bytes]:
        return [
            store_constant(DW, R10, -first, 0), function(2), mov(R0, 0), LEAVE,
            store_constant(DW, R10, -second, 0), mov(R0, 0), LEAVE,
        ]  # fmt: skip

    run(*using(256, 256))
    assert refused(*using(264, 256)) == EACCES
    assert "combined stack size" in last[0]


def test_functions_need_a_right() -> None:
    log = Log(1)
    with pytest.raises(Errno) as raised:
        check_first(Code(b"".join([function(1), LEAVE, mov(R0, 0), LEAVE])), log, may_program=False)
    assert raised.value.code == EPERM


def test_paths_of_short_programs() -> None:
    def length_ok(*instructions: bytes, most: int) -> bool:
        try:
            check_short(Code(b"".join(instructions)), most, Log(1))
        except Errno as error:
            assert error.code == E2BIG
            return False
        return True

    twice = [function(2), function(1), LEAVE, mov(R0, 0), LEAVE]
    assert length_ok(*twice, most=7) and not length_ok(*twice, most=6)
    with pytest.raises(Errno) as raised:
        check_short(Code(b"".join([mov(R0, 0), function(-2), LEAVE])), 100, Log(1))
    assert raised.value.code == E2BIG


def test_a_state_in_a_function_is_not_taken_for_another_callers() -> None:
    """The function reads its argument's memory; only one of the callers gave it some."""
    assert refused(
        store_constant(DW, R10, -8, 0), mov_r(R1, R10), alu(ADD, R1, -8), function(4),
        mov(R1, 0), function(2), mov(R0, 0), LEAVE,
        load(DW, R0, R1, 0), mov(R0, 0), LEAVE,
    ) == EACCES  # fmt: skip


# ---- Tail calls ----------------------------------------------------------------------------------------------------


def program(*instructions: bytes, among: list[Map] | None = None) -> Program:
    return Program(15, b"", Code(b"".join(instructions)), [] if among is None else among)


def to_another(number: int) -> list[bytes]:
    return [map_(R2), mov(R3, number), call(12)]


def test_another_program_takes_over() -> None:
    array = make_map(PROGRAM_ARRAY, 4, 4, 3, 0)
    array.put(struct.pack("<I", 1), program(load(W, R0, R1, 0), LEAVE), 0)
    context = struct.pack("<III", 1, 2, 3)
    assert run(*to_another(1), mov(R0, 0), LEAVE, among=[array], context=context) == 1
    for missing in (0, 3, -1):
        assert run(*to_another(missing), mov(R0, 0), LEAVE, among=[array], context=context) == 0


def test_tail_calls_come_to_an_end() -> None:
    array = make_map(PROGRAM_ARRAY, 4, 4, 1, 0)
    again = [*to_another(0), mov(R0, 1), LEAVE]
    array.put(struct.pack("<I", 0), program(*again, among=[array]), 0)
    check(*again, among=[array])
    machine = Machine(Code(b"".join(again)), [array], bytearray(12), World())
    assert machine.run() == 1 and machine.tail_calls == MOST_TAIL_CALLS


def test_what_tail_calls_need() -> None:
    array = make_map(PROGRAM_ARRAY, 4, 4, 1, 0)
    assert refused(map_(R2), mov(R3, 0), mov(R1, 0), call(12), mov(R0, 0), LEAVE, among=[array]) == EACCES
    assert refused(*to_another(0), mov(R0, 0), LEAVE, among=[new_map()]) == EINVAL
    assert "cannot pass map_type 2" in last[0]
    assert refused(*to_another(0), LEAVE, among=[array]) == EACCES  # nothing is returned
    assert refused(function(2), mov(R0, 0), LEAVE, *to_another(0), mov(R0, 0), LEAVE, among=[array]) == EINVAL
    assert "tail_call is not allowed in subprogs" in last[0]


def test_an_array_is_for_one_type_of_programs() -> None:
    array = make_map(PROGRAM_ARRAY, 4, 4, 1, 0)
    claim(array, program(mov(R0, 0), LEAVE))
    claim(array, program(mov(R0, 1), LEAVE))
    other = Program(8, b"", Code(mov(R0, 0) + LEAVE), [])
    with pytest.raises(Errno) as raised:
        claim(array, other)
    assert raised.value.code == EINVAL
    elsewhere = program(mov(R0, 0), LEAVE)
    elsewhere.asked_place = 1
    with pytest.raises(Errno):
        claim(array, elsewhere)


# ---- Maps ----------------------------------------------------------------------------------------------------------


def keyed(number: int) -> list[bytes]:
    return [store_constant(W, R10, -4, number), mov_r(R2, R10), alu(ADD, R2, -4)]


def of_maps(inner: Map) -> Map:
    outer = make_map(ARRAY_OF_MAPS, 4, 4, 2, 0)
    outer.inner = make_map(ARRAY, 4, 16, 4, 0)
    outer.put(struct.pack("<I", 1), HeldMap(inner), 0)
    return outer


def through(number: int) -> list[bytes]:
    """Look up the element 2 of the map at a number of the map of maps."""
    return [
        map_(R1), *keyed(number), call(1), jump(JNE, R0, 0, 2), mov(R0, 0), LEAVE,
        mov_r(R1, R0), *keyed(2), call(1), jump(JNE, R0, 0, 2), mov(R0, 0), LEAVE,
        load(W, R0, R0, 4), alu(0x50, R0, 1), LEAVE,
    ]  # fmt: skip


def test_a_map_in_a_map() -> None:
    inner = new_map()
    inner.update(struct.pack("<I", 2), span_of(struct.pack("<IIII", 0, 1, 0, 0)), 0)
    outer = of_maps(inner)
    assert run(*through(1), among=[outer]) == 1
    assert run(*through(0), among=[outer]) == 0
    assert run(*through(7), among=[outer]) == 0


def test_what_a_map_of_maps_is_not_for() -> None:
    outer = of_maps(new_map())
    text = [map_(R1), *keyed(1), call(1), mov_r(R1, R0), *keyed(2), call(1), mov(R0, 0), LEAVE]
    assert refused(*text, among=[outer]) == EACCES
    text = [map_(R1), *keyed(1), call(1), jump(JEQ, R0, 0, 1), load(W, R0, R0, 0), mov(R0, 0), LEAVE]
    assert refused(*text, among=[outer]) == EACCES
    assert refused(map_(R1), *keyed(1), mov_r(R3, R2), mov(R4, 0), call(2), mov(R0, 0), LEAVE, among=[outer]) == EINVAL


@pytest.mark.parametrize(("kind", "first"), [(QUEUE, 3), (STACK, 4)])
def test_values_without_keys(kind: int, first: int) -> None:
    line = make_map(kind, 0, 4, 4, 0)
    while line.grow():
        pass

    def push(number: int) -> list[bytes]:
        return [map_(R1), *keyed(number), mov(R3, 0), call(87)]

    popping = [map_(R1), mov_r(R2, R10), alu(ADD, R2, -8), call(88), load(W, R0, R10, -8), alu(ADD, R0, -first)]
    answer = [jump(JEQ, R0, 0, 2), mov(R0, 0), LEAVE, mov(R0, 1), LEAVE]
    assert run(*push(3), *push(4), *popping, *answer, among=[line]) == 1


def test_filters_in_programs() -> None:
    bloom = make_map(BLOOM, 0, 4, 10, 0)
    while bloom.grow():
        pass
    asking = [map_(R1), *keyed(3), call(89)]
    answer = [jump(JEQ, R0, 0, 2), mov(R0, 0), LEAVE, mov(R0, 1), LEAVE]
    assert run(*asking, *answer, among=[bloom]) == 0
    bloom.push(span_of(struct.pack("<I", 3)), 0)
    assert run(*asking, *answer, among=[bloom]) == 1
    assert refused(map_(R1), mov_r(R2, R10), alu(ADD, R2, -8), call(88), mov(R0, 0), LEAVE, among=[bloom]) == EINVAL


class OnProcessor(World):
    def processor(self) -> int:
        return 1


def test_a_program_sees_the_value_of_its_processor() -> None:
    each = make_map(PERCPU_ARRAY, 4, 4, 2, 0, 0, 2)
    while each.grow():
        pass
    each.update(struct.pack("<I", 1), span_of(struct.pack("<II", 5, 0) + struct.pack("<II", 1, 0)), 0)
    answer = [jump(JNE, R0, 0, 2), mov(R0, 0), LEAVE, load(W, R0, R0, 0), alu(0x50, R0, 7), LEAVE]
    own = [map_(R1), *keyed(1), call(1), *answer]
    others = [map_(R1), *keyed(1), mov(R3, 0), call(195), *answer]
    for text, expected in ((own, 1), (others, 5)):
        machine = Machine(Code(b"".join(text)), [each], bytearray(12), OnProcessor())
        assert machine.run() == expected and not machine.is_broken
