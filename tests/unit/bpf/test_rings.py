"""Rings of records: what the verifier demands of programs that write them, and what their readers find."""

from __future__ import annotations

import random
import struct

import pytest

from kernel.bpf.code import Code
from kernel.bpf.interpreter import Machine
from kernel.bpf.kinds import make_map
from kernel.bpf.machine import World
from kernel.bpf.maps import NOT_SUPPORTED, RING, Map
from kernel.bpf.ring import FORCE_WAKEUP, FULL, NO_WAKEUP, RingMap
from kernel.lang import E2BIG, EACCES, EAGAIN, EINVAL, Errno, Span, span_of, u8
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
    R7,
    R10,
    B,
    W,
    alu,
    atomic,
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
    store,
    store_constant,
)

PAGE = 4096
BUSY, PASSED_OVER = 1 << 31, 1 << 30
OUTPUT, RESERVE, SUBMIT, DISCARD, QUERY = range(130, 135)
PLACE = 8
"""Of the ring among the maps of the fuzz test."""


class Bytes:
    """In place of the frames of a ring."""

    def __init__(self, pages: int) -> None:
        self.frames = list(range(pages))
        self.bytes = bytearray(pages * PAGE)

    def load(self, at: int) -> int:
        return span_of(self.bytes).load_u32(at)

    def store(self, at: int, word: int) -> None:
        span_of(self.bytes).store_u32(at, word)

    def write(self, at: int, data: Span[u8]) -> None:
        assert at + len(data) <= len(self.bytes)
        span_of(self.bytes)[at : at + len(data)].copy_from(data)

    def read(self, at: int, data: Span[u8]) -> None:
        assert at + len(data) <= len(self.bytes)
        data.copy_from(span_of(self.bytes)[at : at + len(data)])

    def size_bytes(self) -> int:
        return len(self.bytes)

    def free(self) -> None:
        self.frames.clear()
        self.bytes.clear()


class Ring(RingMap):  # type: ignore[misc]  # final for the compiler
    """A ring that says what its reader would see."""

    def is_settled(self) -> bool:
        return not self.unfinished and self.busy() == 0

    def headers(self) -> list[tuple[int, int, bytes]]:
        """Length, bits and bytes of each record that was not read."""
        found, at = [], self.read_position()
        data = bytes(self.memory.bytes[2 * PAGE :]) * 2  # type: ignore[attr-defined]
        while at < self.produced:
            place = at % self.most
            word, pages = struct.unpack_from("<II", data, place)
            assert pages == 3 + place // PAGE
            length = word & (PASSED_OVER - 1)
            found.append((length, word & (BUSY | PASSED_OVER), data[place + 8 : place + 8 + length]))
            at += (length + 15) & ~7
        assert at == self.produced
        return found

    def busy(self) -> int:
        return sum(bits & BUSY != 0 for _, bits, _ in self.headers())

    def read(self, position: int) -> None:
        """The reader says how far it has read."""
        struct.pack_into("<Q", self.memory.bytes, 0, position & (1 << 64) - 1)  # type: ignore[attr-defined]


def a_ring(size: int = PAGE) -> Ring:
    ring = Ring(size, 0)
    ring.memory = Bytes(2 + size // PAGE)  # type: ignore[assignment]
    return ring


def reserve(size: int, flags: int = 0, place: int = PLACE) -> bytes:
    return map_(R1, place) + mov(R2, size) + mov(R3, flags) + call(RESERVE)


def give(helper: int, register: int, flags: int = 0) -> bytes:
    return mov_r(R1, register) + mov(R2, flags) + call(helper)


DONE = mov(R0, 1) + LEAVE
OR_DONE = jump(JNE, R0, 0, 2) + DONE
RINGS = {
    "a record": reserve(16) + OR_DONE + store_constant(DW, R0, 8, 5) + give(SUBMIT, R0) + DONE,
    "one that is dropped": reserve(8) + OR_DONE + mov_r(R6, R0) + load(B, R7, R6, 7) + give(DISCARD, R6) + DONE,
    "two at once": reserve(24) + OR_DONE + mov_r(R6, R0) + reserve(8) + mov_r(R7, R0)
    + jump(JNE, R7, 0, 5) + give(SUBMIT, R6) + DONE + store(DW, R6, 16, R10)
    + give(DISCARD, R7) + give(SUBMIT, R6, 1) + DONE,
    "on the stack": reserve(16) + store(DW, R10, -8, R0) + load(DW, R6, R10, -8) + jump(JEQ, R6, 0, 6)
    + store_constant(W, R6, 12, 7) + mov(R7, 4) + atomic(W, R6, 12, R7, 0) + give(SUBMIT, R6) + DONE,
    "as a key": reserve(4) + OR_DONE + mov_r(R6, R0) + store_constant(W, R6, 0, 1) + map_(R1, 0) + mov_r(R2, R6)
    + call(1) + give(SUBMIT, R6) + DONE,
    "as a buffer": reserve(16) + OR_DONE + mov_r(R6, R0) + mov_r(R1, R6) + mov(R2, 16) + call(16) + give(SUBMIT, R6)
    + DONE,
    "output": store_constant(DW, R10, -8, 3) + map_(R1, PLACE) + mov_r(R2, R10) + alu(ADD, R2, -8) + mov(R3, 8)
    + mov(R4, 0) + call(OUTPUT) + DONE,
    "a question": map_(R1, PLACE) + mov(R2, 3) + call(QUERY) + DONE,
    "in a loop": mov(R7, 3) + reserve(8) + jump(JEQ, R0, 0, 6) + store_constant(B, R0, 0, 1) + give(SUBMIT, R0)
    + alu(ADD, R7, -1) + jump(JNE, R7, 0, -12) + DONE,
    "by a function": reserve(8) + OR_DONE + mov_r(R1, R0) + raw(0x85, 0, 1, constant=2) + DONE
    + mov(R2, 0) + call(SUBMIT) + LEAVE,
}  # fmt: skip
"""Sound programs, which the fuzz test changes as well."""


def among(ring: Map | None = None) -> list[Map]:
    maps = [new_map() for _ in range(PLACE)]
    return [*maps, a_ring() if ring is None else ring]


@pytest.mark.parametrize("name", RINGS)
def test_sound_programs_pass_and_leave_nothing_unfinished(name: str) -> None:
    ring = a_ring()
    maps = among(ring)
    check(RINGS[name], among=maps)
    for _ in range(300):  # past the end of the ring
        machine = Machine(Code(RINGS[name]), maps, bytearray(12), World())
        machine.run()
        assert not machine.is_broken and ring.is_settled()
    ring.read(ring.produced)
    machine = Machine(Code(RINGS[name]), maps, bytearray(12), World())
    machine.run()
    assert name == "a question" or ring.headers() != []


BAD = {
    "never given back": (reserve(8) + OR_DONE + DONE, EINVAL, "Unreleased reference"),
    "given back on one path": (
        reserve(8) + OR_DONE + load(B, R6, R0, 0) + jump(JEQ, R6, 0, 3) + give(SUBMIT, R0) + DONE,
        EINVAL,
        "Unreleased reference",
    ),
    "not tested": (reserve(8) + give(SUBMIT, R0) + DONE, EACCES, "expected=ringbuf_mem"),
    "written untested": (reserve(8) + store_constant(B, R0, 0, 1) + DONE, EACCES, "ringbuf_mem_or_null"),
    "twice": (reserve(8) + OR_DONE + mov_r(R6, R0) + give(SUBMIT, R6) + give(SUBMIT, R6) + DONE, EACCES, "R1 type"),
    "used afterwards": (
        reserve(8) + OR_DONE + mov_r(R6, R0) + give(SUBMIT, R6) + load(B, R0, R6, 0) + DONE,
        EACCES,
        "invalid mem access",
    ),
    "a copy on the stack": (
        reserve(8) + OR_DONE + store(DW, R10, -8, R0) + give(DISCARD, R0) + load(DW, R6, R10, -8)
        + store_constant(B, R6, 0, 1) + DONE,
        EACCES,
        "invalid mem access",
    ),
    "beyond it": (reserve(8) + OR_DONE + store_constant(W, R0, 6, 1) + DONE, EACCES, "mem_size=8 off=6 size=4"),
    "before it": (reserve(8) + OR_DONE + store_constant(W, R0, -4, 1) + DONE, EACCES, "min value is negative"),
    "a place inside": (
        reserve(8) + OR_DONE + alu(ADD, R0, 4) + give(SUBMIT, R0) + DONE,
        EINVAL,
        "must have zero offset",
    ),
    "an unknown size": (
        map_(R1, PLACE) + load(W, R2, R1, 0) + mov(R3, 0) + call(RESERVE) + DONE,
        EACCES,
        "",
    ),
    "of a size that varies": (
        load(W, R2, R1, 4) + map_(R1, PLACE) + mov(R3, 0) + call(RESERVE) + DONE,
        EACCES,
        "not a known constant",
    ),
    "from an array": (reserve(8, place=0) + DONE, EINVAL, "cannot pass map_type 2"),
    "of a ring": (
        map_(R1, PLACE) + mov_r(R2, R10) + alu(ADD, R2, -8) + call(1) + DONE,
        EACCES,
        "zero-sized read",
    ),
    "with a tail call": (
        mov_r(R6, R1) + reserve(8) + OR_DONE + mov_r(R1, R6) + map_(R2, 0) + mov(R3, 0) + call(12) + DONE,
        EINVAL,
        "",
    ),
    "nothing at the end of the stack": (
        map_(R1, PLACE) + mov_r(R2, R10) + mov(R3, 0) + mov(R4, 0) + call(OUTPUT) + LEAVE,
        EACCES,
        "invalid access to stack",
    ),
    "another's memory": (mov_r(R1, R10) + mov(R2, 0) + call(SUBMIT) + DONE, EACCES, "expected=ringbuf_mem"),
    "too many": (b"".join(reserve(8) + jump(JNE, R0, 0, 2) + mov(R0, 1) + LEAVE for _ in range(66)), E2BIG, ""),
    "without end": (reserve(8) + go(-6), EINVAL, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_others_are_refused(name: str) -> None:
    program, code, text = BAD[name]
    with pytest.raises(Errno) as caught:
        check(program, among=among())
    said = last[-1]
    if name not in ("too many", "without end"):
        assert caught.value.code == code, said
    assert text in said


def test_who_may_not_see_pointers_puts_none_into_records() -> None:
    program = reserve(8) + OR_DONE + store(DW, R0, 0, R10) + give(SUBMIT, R0) + DONE
    check(program, among=among())
    with pytest.raises(Errno, match=str(EACCES)):
        check(program, among=among(), may_leak=False)
    assert "leaks addr into mem" in last[-1]


def test_after_it_was_given_back_a_pointer_is_a_number_or_nothing() -> None:
    program = reserve(8) + OR_DONE + mov_r(R6, R0) + give(SUBMIT, R6) + mov_r(R7, R6) + DONE
    check(program, among=among())
    with pytest.raises(Errno, match=str(EACCES)):
        check(program, among=among(), may_leak=False)
    assert "R6 !read_ok" in last[-1]


def test_a_ring_is_never_fuller_than_it_is_long() -> None:
    chance = random.Random(5)
    ring = a_ring(2 * PAGE)
    model: list[tuple[int, bytes | None]] = []
    busy: list[tuple[int, bytes]] = []
    for _ in range(20_000):
        what = chance.random()
        if what < 0.5:
            size = chance.choice([0, 1, 7, 8, 9, 100, 1000, 5000, 8184, 8185, 9000])
            start = ring.reserve(size)
            length = (size + 15) & ~7
            oldest = min(busy[0][0] if busy else ring.produced, ring.read_position())
            if start == FULL:
                assert ring.produced + length - oldest >= ring.most
                continue
            assert start + length - oldest < ring.most and start % 8 == 0
            busy.append((start, chance.randbytes(size)))
            model.append(busy[-1])
        elif what < 0.9 and busy:
            start, written = busy.pop(chance.randrange(len(busy)))
            discards = chance.random() < 0.3
            ring.finish(start, span_of(written), 0, discards=discards)
            if discards:
                model[[found[0] for found in model].index(start)] = (start, None)
        else:
            for (start, data), (length, bits, found) in zip(model, ring.headers(), strict=True):
                if bits & BUSY:
                    break
                assert (bits & PASSED_OVER != 0) == (data is None) and (data is None or found == data)
                ring.read(start + ((length + 15) & ~7))
            model = [found for found in model if found[0] >= ring.read_position()]
    assert ring.produced > 50 * ring.most


@pytest.mark.parametrize("position", [-1, 1 << 63, (1 << 63) - 1, 4095, 4097, 1 << 40])
def test_a_reader_that_lies_harms_nobody(position: int) -> None:
    ring = a_ring()
    ring.read(position)
    for size in (0, 8, 4000):
        start = ring.reserve(size)
        if start != FULL:
            ring.finish(start, span_of(bytes(size)), 0, discards=False)
    assert ring.unread() != 0 and ring.produced <= 8192


def test_who_is_woken() -> None:
    ring = a_ring()

    def wakes(flags: int, *, read: bool) -> bool:
        start = ring.reserve(8)
        if read:
            ring.read(start)
        ring.news.is_listed = False
        ring.finish(start, span_of(bytes(8)), flags, discards=False)
        return ring.news.is_listed

    assert wakes(0, read=True)
    assert not wakes(0, read=False)
    assert not wakes(NO_WAKEUP, read=True)
    assert wakes(FORCE_WAKEUP, read=False)


def test_output_says_what_is_wrong() -> None:
    def output(size: int, flags: int, ring: Ring) -> int:
        program = map_(R1, PLACE) + mov_r(R2, R10) + alu(ADD, R2, -512) + mov(R3, size) + mov(R4, flags) + call(OUTPUT)
        machine = Machine(Code(program + LEAVE), among(ring), bytearray(12), World())
        answer = machine.run()
        return answer - (1 << 32) if answer >> 31 else answer

    ring = a_ring()
    assert output(512, 0, ring) == 0 and output(0, 3, ring) == 0
    assert output(8, 4, ring) == -EINVAL
    for _ in range(6):
        output(512, 0, ring)
    assert output(512, 0, ring) == -EAGAIN
    assert output(8, 0, ring) == 0


def test_a_run_that_breaks_off_leaves_no_record_busy() -> None:
    ring = a_ring()
    machine = Machine(Code(reserve(8) + load(DW, R0, R10, 100) + DONE), among(ring), bytearray(12), World())
    assert machine.run() == 0 and machine.is_broken
    assert ring.is_settled() and ring.headers()[0][1] == PASSED_OVER


@pytest.mark.parametrize(
    ("key", "value", "most", "flags", "code"),
    [
        (0, 0, 4096, 0, 0), (4, 0, 4096, 0, EINVAL), (0, 8, 4096, 0, EINVAL), (0, 0, 4095, 0, EINVAL),
        (0, 0, 12288, 0, EINVAL), (0, 0, 0, 0, EINVAL), (0, 0, 2048, 0, EINVAL), (0, 0, 4096, 8, EINVAL),
        (0, 0, 4096, 1, EINVAL), (0, 0, 1 << 31, 0, E2BIG),
    ],
)  # fmt: skip
def test_how_rings_are_made(key: int, value: int, most: int, flags: int, code: int) -> None:
    if code == 0:
        assert make_map(RING, key, value, most, flags).kind == RING
        return
    with pytest.raises(Errno) as caught:
        make_map(RING, key, value, most, flags)
    assert caught.value.code == code


def test_system_calls_find_no_elements() -> None:
    ring = a_ring()
    for ask in (
        lambda: ring.look_up(b""),
        lambda: ring.update(b"", span_of(b""), 0),
        lambda: ring.remove(b""),
        lambda: ring.next_key(None),
    ):
        with pytest.raises(Errno) as caught:
            ask()
        assert caught.value.code == NOT_SUPPORTED
