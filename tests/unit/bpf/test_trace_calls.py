"""Helpers of programs that trace: what the verifier wants of them, and what they do."""

from __future__ import annotations

import errno
import struct

import pytest

from kernel.bpf.code import CGROUP_DEVICE, PERF_EVENT, RAW_TRACEPOINT, TRACEPOINT, Code
from kernel.bpf.held import Held
from kernel.bpf.interpreter import Machine
from kernel.bpf.kinds import make_map
from kernel.bpf.log import Log
from kernel.bpf.machine import World
from kernel.bpf.maps import EVENT_ARRAY, Map
from kernel.bpf.subject import EVENT_CONTEXT, RAW_CONTEXT, RECORD_CONTEXT, subject_of
from kernel.bpf.verifier import check_first, verify
from kernel.lang import Errno, Span, span_of, u8, u64
from tests.unit.bpf.assembler import (
    ADD,
    AND,
    DW,
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
    W,
    alu,
    alu_r,
    call,
    load,
    map_,
    mov,
    mov_r,
    new_map,
    store,
    store_constant,
    wide,
)

ARRAY_PLACE, EVENTS_PLACE = 0, 10
ROOM = mov_r(R1, R10) + alu(ADD, R1, -16)
ZEROS = store_constant(DW, R10, -16, 0) + store_constant(DW, R10, -8, 0)
TRACED = {
    "bytes": ROOM + mov(R2, 16) + mov(R3, 0x1000) + call(112) + load(DW, R0, R10, -16) + LEAVE,
    "no bytes": ROOM + mov(R2, 0) + mov(R3, 0x1000) + call(112) + LEAVE,
    "text": ROOM + mov(R2, 16) + mov(R3, 0x1000) + call(114) + LEAVE,
    "kernel": ZEROS + mov_r(R6, R10) + alu(ADD, R6, -8) + store_constant(W, R10, -8, 7) + ROOM + mov(R2, 8)
    + mov_r(R3, R6) + call(113) + load(DW, R0, R10, -16) + LEAVE,
    "kernel text": ROOM + mov(R2, 8) + mov(R3, -1) + call(115) + LEAVE,
    "either": ROOM + mov(R2, 8) + mov_r(R3, R1) + call(4) + load(B, R0, R10, -9) + LEAVE,
    "either text": ROOM + mov(R2, 5) + mov(R3, 0) + call(45) + LEAVE,
    "some bytes": ZEROS + call(7) + mov_r(R2, R0) + alu(AND, R2, 15) + ROOM + mov(R3, 9) + call(112) + LEAVE,
    "into a value": store_constant(W, R10, -4, 1) + map_(R1) + mov_r(R2, R10) + alu(ADD, R2, -4) + call(1)
    + struct.pack("<BBhi", 0x55, R0, 2, 0) + mov(R0, 1) + LEAVE + mov_r(R1, R0) + mov(R2, 16) + mov(R3, 5) + call(112)
    + LEAVE,
    "sample": mov_r(R6, R1) + ZEROS + map_(R2, EVENTS_PLACE) + wide(R3, 0xFFFF_FFFF) + mov_r(R4, R10)
    + alu(ADD, R4, -16) + mov(R5, 16) + call(25) + LEAVE,
    "empty sample": map_(R2, EVENTS_PLACE) + mov(R3, 1) + mov_r(R4, R10) + alu(ADD, R4, -16) + mov(R5, 0) + call(25)
    + LEAVE,
    "count": map_(R1, EVENTS_PLACE) + mov(R2, 1) + call(22) + LEAVE,
    "counts": map_(R1, EVENTS_PLACE) + mov(R2, 1) + mov_r(R3, R10) + alu(ADD, R3, -24) + mov(R4, 24) + call(55)
    + load(DW, R6, R10, -24) + load(DW, R7, R10, -8) + alu_r(ADD, R0, R7) + LEAVE,
    "message": store_constant(DW, R10, -8, 0x642520) + mov_r(R1, R10) + alu(ADD, R1, -8) + mov(R2, 8) + mov(R3, 77)
    + call(6) + LEAVE,
    "ticks": call(118) + LEAVE,
    "cookie": call(174) + LEAVE,
}  # fmt: skip
"""For all types that trace."""
OF_EVENTS = {
    "own counts": mov_r(R2, R10) + alu(ADD, R2, -24) + mov(R3, 24) + call(56) + load(DW, R0, R10, -24) + LEAVE,
    "where": load(DW, R6, R1, 128) + load(DW, R0, R1, 176) + alu_r(ADD, R0, R6) + LEAVE,
}
"""… and those for samples."""


class Told(World):
    """A world with a little memory from 0x1000 on, and an event."""

    def __init__(self) -> None:
        self.samples: list[bytes] = []

    def read_memory(self, address: int, target: Span[u8]) -> bool:
        if address != 0x1000:
            return False
        target.copy_from(span_of(bytearray(b"memory of it\0....")[: len(target)]))
        return True

    def read_text(self, address: int, target: Span[u8]) -> int:
        if address != 0x1000:
            return -1
        text = b"memory\0"
        target[0:7].copy_from(span_of(bytearray(text)))
        return len(text)

    def write_event(self, held: Held | None, data: Span[u8]) -> int:
        self.samples.append(data.to_bytes())
        return 0

    def read_event(self, held: Held | None, counts: Span[u8]) -> int:
        for place, value in ((0, 11), (8, 12), (16, 13)):
            counts.store_u64(place, u64(value))
        return 0


def some_maps() -> list[Map]:
    events = make_map(EVENT_ARRAY, 4, 4, 2, 0)
    for number in range(2):
        events.put(struct.pack("<I", number), Held(), 0)
    return [*(new_map() for _ in range(EVENTS_PLACE)), events]


def traced(program: bytes, kind: int = TRACEPOINT, is_free: bool = True) -> tuple[int, Machine, Told]:
    code, maps, world = Code(program), some_maps(), Told()
    subject = subject_of(kind)
    assert subject is not None
    subject.may_leak = True
    subject.is_free = is_free
    check_first(code, Log(0))
    verify(code, maps, subject, Log(0))
    size = RECORD_CONTEXT if kind == TRACEPOINT else EVENT_CONTEXT if kind == PERF_EVENT else RAW_CONTEXT
    machine = Machine(code, maps, bytearray(size), world)
    machine.cookie = 99
    answer = machine.run_at_once(1 << 30)
    assert not machine.is_broken
    return answer, machine, world


def signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("bytes", int.from_bytes(b"memo", "little")), ("no bytes", 0), ("text", 7), ("kernel", 7),
        ("kernel text", -errno.EFAULT), ("either", 0), ("either text", -errno.EFAULT), ("into a value", -errno.EFAULT),
        ("sample", 0), ("empty sample", 0), ("count", 11), ("counts", 13), ("message", 3), ("ticks", 0), ("cookie", 99),
    ],
)  # fmt: skip
def test_what_helpers_answer(name: str, answer: int) -> None:
    for kind in (TRACEPOINT, PERF_EVENT, RAW_TRACEPOINT):
        assert signed(traced(TRACED[name], kind)[0]) == answer


def test_samples_are_written() -> None:
    assert traced(TRACED["sample"])[2].samples == [bytes(16)]
    assert traced(TRACED["empty sample"])[2].samples == [b""]


def test_what_cannot_be_read_is_zeros() -> None:
    _, machine, _ = traced(store_constant(DW, R10, -16, -1) + ROOM + mov(R2, 4) + mov(R3, 5) + call(112) + LEAVE)
    assert machine.stacks[0][-16:-8] == bytes(4) + b"\xff" * 4


def test_a_text_costs_by_the_byte() -> None:
    text, fails = traced(TRACED["text"])[1], traced(ROOM + mov(R2, 16) + mov(R3, 5) + call(114) + LEAVE)[1]
    for machine, looked_at in ((text, 7), (fails, 16)):
        assert machine.helped == 500 + 16 + looked_at * 10


def test_the_event_itself() -> None:
    assert traced(OF_EVENTS["own counts"], PERF_EVENT)[0] == 11
    with pytest.raises(Errno):
        traced(OF_EVENTS["own counts"], TRACEPOINT)


@pytest.mark.parametrize("flags", [1 << 32, 2, 0xFFFF_FFFE])
def test_elements_that_are_not_there(flags: int) -> None:
    program = map_(R1, EVENTS_PLACE) + wide(R2, flags) + call(22) + LEAVE
    assert signed(traced(program)[0]) == (-errno.EINVAL if flags >> 32 else -errno.E2BIG)


def test_only_free_programs_read_memory() -> None:
    traced(TRACED["ticks"], is_free=False)
    for name in ("bytes", "sample", "message", "count"):
        with pytest.raises(Errno) as caught:
            traced(TRACED[name], is_free=False)
        assert caught.value.code == errno.EINVAL


def test_other_programs_write_no_samples() -> None:
    for name, passes in (("sample", False), ("either", False), ("bytes", True), ("message", True), ("cookie", False)):
        subject = subject_of(CGROUP_DEVICE)
        assert subject is not None
        subject.may_leak = True
        program = TRACED[name][:-8] + mov(R0, 0) + LEAVE
        if passes:
            verify(Code(program), some_maps(), subject, Log(0))
        else:
            with pytest.raises(Errno):
                verify(Code(program), some_maps(), subject, Log(0))


@pytest.mark.parametrize(
    "program",
    [
        ROOM + mov(R2, 17) + mov(R3, 0) + call(112), mov_r(R2, R1) + mov(R2, 8) + mov(R3, 0) + call(112),
        ROOM + mov_r(R2, R10) + mov(R3, 0) + call(112), ROOM + mov(R2, -1) + mov(R3, 0) + call(112),
        ZEROS + ROOM + mov(R2, 0) + call(6),
        map_(R1) + mov(R2, 0) + call(22), map_(R1, EVENTS_PLACE) + mov_r(R2, R10) + call(1),
        map_(R1, EVENTS_PLACE) + mov(R2, 0) + mov_r(R3, R10) + alu(ADD, R3, -8) + mov(R4, 24) + call(55),
    ],
)  # fmt: skip
def test_what_is_refused(program: bytes) -> None:
    with pytest.raises(Errno):
        traced(program + mov(R0, 0) + LEAVE)


@pytest.mark.parametrize(
    ("kind", "offset", "size", "passes"),
    [
        (TRACEPOINT, 0, DW, False), (TRACEPOINT, 4, W, False), (TRACEPOINT, 8, W, True), (TRACEPOINT, 10, W, False),
        (TRACEPOINT, 8184, DW, True), (TRACEPOINT, 8188, W, True), (TRACEPOINT, 8192, B, False),
        (PERF_EVENT, 0, DW, True), (PERF_EVENT, 0, W, False), (PERF_EVENT, 160, DW, True), (PERF_EVENT, 168, B, True),
        (PERF_EVENT, 183, B, True), (PERF_EVENT, 184, B, False), (PERF_EVENT, -8, DW, False),
        (RAW_TRACEPOINT, 0, B, True), (RAW_TRACEPOINT, 88, DW, True), (RAW_TRACEPOINT, 96, B, False),
    ],
)  # fmt: skip
def test_the_edges_of_contexts(kind: int, offset: int, size: int, passes: bool) -> None:
    program = load(size, R0, R1, offset) + LEAVE
    if passes:
        traced(program, kind)
    else:
        with pytest.raises(Errno):
            traced(program, kind)
    with pytest.raises(Errno):
        traced(mov(R0, 0) + store(size, R1, offset, R0) + LEAVE, kind)
