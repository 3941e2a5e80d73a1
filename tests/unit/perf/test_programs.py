"""Programs of bpf(2) at tracepoints, and for samples, on a booted machine."""

from __future__ import annotations

import errno
import struct

import pytest

from kernel.bpf.program import KEPT
from kernel.perf.programs import PROGRAMS
from kernel.sched.processor import RUNNING
from kernel.task.task import TRACING
from tests.unit.booted import booted
from tests.unit.bpf.assembler import (
    ADD,
    DW,
    JNE,
    LEAVE,
    LSH,
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R10,
    RSH,
    W,
    alu,
    atomic,
    call,
    jump,
    jump_r,
    load,
    map_,
    mov,
    mov_r,
    store,
    store_constant,
    wide,
)
from tests.unit.perf.test_events import (
    DISABLED,
    ENABLE,
    FAULTS,
    PAGE,
    SAMPLE,
    SOFTWARE,
    TRACEPOINT,
    attributes,
    fresh_pages,
    opened,
    records,
    touch,
    words,
)
from tests.unit.syscalls.test_bpf import Calls
from tools.simulated.machine import Machine

SET_BPF, QUERY_BPF = 0x40042408, 0xC008240A
OF_POINT, OF_EVENT, OF_DEVICES = 5, 7, 15
HASH, ARRAY, EVENTS = 1, 2, 4
GETPPID = 110
ENTER_GETPPID, EXIT_GETPPID, RAW_ENTER = 1024 + 2 * GETPPID + 1, 1024 + 2 * GETPPID, 2
BPF_OUTPUT = 10
PASS, DROP = mov(R0, 1) + LEAVE, mov(R0, 0) + LEAVE
WRITE = (
    mov_r(R6, R1) + store_constant(DW, R10, -8, 0x1234) + map_(R2) + wide(R3, 0xFFFF_FFFF) + mov_r(R4, R10)
    + alu(ADD, R4, -8) + mov(R5, 8) + call(25) + LEAVE
)  # fmt: skip


def counting() -> bytes:
    """Counts hits by process, in a hash table."""
    key = mov_r(R2, R10) + alu(ADD, R2, -4)
    first = map_(R1) + key + mov_r(R3, R10) + alu(ADD, R3, -16) + mov(R4, 1) + call(2) + DROP
    again = mov(R1, 1) + atomic(DW, R0, 0, R1, 0) + DROP
    head = call(14) + alu(RSH, R0, 32) + store(W, R10, -4, R0) + store_constant(DW, R10, -16, 1)
    return head + map_(R1) + key + call(1) + jump(JNE, R0, 0, len(first) // 8) + first + again


class TracingCalls(Calls):
    """bpf(2) of a program that traces."""

    def load_kind(self, kind: int, instructions: bytes, fd: int = 0, licence: bytes = b"GPL\0") -> int:
        code = bytearray(instructions)
        for at in range(0, len(code), 8):
            if code[at] == 0x18 and code[at + 1] >> 4 == 1:
                struct.pack_into("<i", code, at + 4, fd)
        data = struct.pack(
            "<IIQQIIQII", kind, len(code) // 8, self.at(4096, bytes(code)), self.at(0, licence),
            1, 4096, self.memory + 8192, 0, 0,
        )  # fmt: skip
        return self.answers.bpf(5, data, len(data))

    def point(self, number: int, period: int = 0, samples: int = 0, flags: int = 0, processor: int = -1) -> int:
        data = attributes(number, flags, TRACEPOINT, period, samples)
        return opened(self.program, data, 0 if processor < 0 else -1, processor)

    def set(self, event: int, program: int) -> int:
        return self.answers.ioctl(event, SET_BPF, program)

    def queried(self, event: int, room: int) -> tuple[int, tuple[int, ...]]:
        where = self.at(2000, struct.pack("<II", room, 77) + bytes(4 * 70))
        result = self.answers.ioctl(event, QUERY_BPF, where)
        return result, struct.unpack(f"<{1 + min(room, 8)}I", self.program.load(where + 4, 4 + 4 * min(room, 8)))


@booted
def test_calls_are_counted_in_a_hash_table(machine: Machine) -> None:
    host = machine.host
    calls = TracingCalls(host)
    table = calls.create(HASH, 4, 8, 16)
    program = calls.load_kind(OF_POINT, counting(), table)
    assert program > 0, calls.log()
    event = calls.point(ENTER_GETPPID, flags=DISABLED)
    assert calls.set(event, program) == 0
    for _ in range(5):
        host.call("getppid")
    host.call("getpid")
    assert calls.element(1, table, struct.pack("<I", host.call("getpid"))) == 0
    assert struct.unpack("<Q", calls.value(8)) == (5,)
    host.close(program)
    host.close(event)
    assert not RUNNING.is_observed and not TRACING.observes_all and len(PROGRAMS.by_point) == 0
    host.call("getppid")
    assert calls.element(1, table, struct.pack("<I", host.call("getpid"))) == 0
    assert struct.unpack("<Q", calls.value(8)) == (5,)


@booted
@pytest.mark.parametrize(("program", "count"), [(PASS, 3), (DROP, 0), (mov(R0, 2) + LEAVE, 0)])
def test_what_returns_an_even_number_drops_the_record(machine: Machine, program: bytes, count: int) -> None:
    host = machine.host
    calls = TracingCalls(host)
    event = calls.point(ENTER_GETPPID, period=1, samples=1 << 10, flags=DISABLED)
    ring = host.call("mmap", 0, 2 * PAGE, 3, 1, event, 0)
    assert calls.set(event, calls.load_kind(OF_POINT, program)) == 0
    host.ioctl(event, ENABLE, 0)
    for _ in range(3):
        host.call("getppid")
    assert len(records(host, ring, PAGE)) == count and words(host, event) == (count,)
    host.close(event)


@booted
def test_what_a_program_reads_of_a_record(machine: Machine) -> None:
    host = machine.host
    calls = TracingCalls(host)
    array = calls.create(ARRAY, 4, 8, 1)
    see = (
        load(DW, R6, R1, 24) + store_constant(W, R10, -4, 0) + store(DW, R10, -16, R6) + map_(R1) + mov_r(R2, R10)
        + alu(ADD, R2, -4) + mov_r(R3, R10) + alu(ADD, R3, -16) + mov(R4, 0) + call(2) + PASS
    )  # fmt: skip
    event = calls.point(1024 + 2 * 9 + 1)  # mmap
    assert calls.set(event, calls.load_kind(OF_POINT, see, array)) == 0
    host.call("mmap", 0, 5 * PAGE, 3, 0x22, -1, 0)
    assert calls.element(1, array, bytes(4)) == 0 and struct.unpack("<Q", calls.value(8)) == (5 * PAGE,)
    host.close(event)


@booted
def test_which_programs_may_be_attached(machine: Machine) -> None:
    host = machine.host
    calls = TracingCalls(host)
    point, of_event = calls.load_kind(OF_POINT, PASS), calls.load_kind(OF_EVENT, PASS)
    far, near = (calls.load_kind(OF_POINT, load(DW, R0, R1, place) + LEAVE) for place in (64, 56))
    event, getppid, software = calls.point(RAW_ENTER), calls.point(ENTER_GETPPID), opened(host, attributes(FAULTS))
    assert calls.set(event, of_event) == calls.set(event, event) == calls.set(software, point) == -errno.EINVAL
    assert calls.set(event, 999) == -errno.EBADF and calls.set(event, calls.load(PASS)) == -errno.EINVAL
    assert calls.set(event, far) == calls.set(getppid, near) == -errno.EACCES
    assert calls.set(event, near) == 0 and calls.set(event, point) == -errno.EEXIST
    assert calls.set(software, of_event) == 0 and calls.set(software, of_event) == -errno.EEXIST
    assert calls.set(software, point) == -errno.EEXIST
    before = len(KEPT.programs)
    for fd in (point, of_event, far, near, event, getppid, software):
        host.close(fd)
    assert len(KEPT.programs) == before - 4


@booted
def test_which_programs_there_are(machine: Machine) -> None:
    host = machine.host
    calls = TracingCalls(host)
    program, other = calls.load_kind(OF_POINT, PASS), calls.load_kind(OF_POINT, PASS)
    events = [calls.point(ENTER_GETPPID) for _ in range(3)]
    assert calls.queried(events[0], 0) == (0, (0,))
    assert calls.set(events[0], program) == 0 and calls.set(events[1], program) == -errno.EEXIST
    assert calls.set(events[1], other) == 0
    number = max(KEPT.programs)
    assert calls.queried(events[2], 0) == (0, (2,))
    assert calls.queried(events[2], 1) == (-errno.ENOSPC, (2, number - 1))
    assert calls.queried(events[2], 3) == (0, (2, number - 1, number, 0))
    assert calls.queried(events[2], 65)[0] == -errno.E2BIG
    assert calls.queried(opened(host, attributes(FAULTS)), 0)[0] == -errno.EINVAL


@booted
def test_samples_that_a_program_drops(machine: Machine) -> None:
    host = machine.host
    calls = TracingCalls(host)
    pages = fresh_pages(host, 4)
    chosen = load(DW, R6, R1, 176) + alu(RSH, R6, 12) + wide(R2, pages + 2 * PAGE >> 12) + mov(R0, 0)
    chosen += jump_r(JNE, R6, R2, 1) + mov(R0, 1) + LEAVE  # those in the third page
    event = opened(host, attributes(FAULTS, DISABLED, SOFTWARE, 1, 8))
    ring = host.call("mmap", 0, 2 * PAGE, 3, 1, event, 0)
    program = calls.load_kind(OF_EVENT, chosen)
    assert program > 0, calls.log()
    assert calls.set(event, program) == 0
    host.ioctl(event, ENABLE, 0)
    touch(host, pages, 4)
    addresses = [struct.unpack("<Q", data)[0] & -PAGE for kind, data in records(host, ring, PAGE) if kind == SAMPLE]
    assert addresses == [pages + 2 * PAGE] and words(host, event)[0] >= 4
    host.close(event)


@booted
def test_a_program_writes_samples(machine: Machine) -> None:
    host = machine.host
    calls = TracingCalls(host)
    events = calls.create(EVENTS, 4, 4, 2)
    output = opened(host, attributes(BPF_OUTPUT, DISABLED, SOFTWARE, 1, 1 << 10), -1, 0)
    ring = host.call("mmap", 0, 2 * PAGE, 3, 1, output, 0)
    assert calls.element(2, events, bytes(4), struct.pack("<I", output)) == 0
    assert calls.element(1, events, bytes(4)) == -524
    program = calls.load_kind(OF_POINT, WRITE, events)
    assert program > 0, calls.log()
    event = calls.point(ENTER_GETPPID)
    assert calls.set(event, program) == 0
    host.call("getppid")
    assert records(host, ring, PAGE) == []
    host.ioctl(output, ENABLE, 0)
    host.call("getppid")
    assert records(host, ring, PAGE) == [(SAMPLE, struct.pack("<IQI", 12, 0x1234, 0))]
    for fd in (program, event, events, output):
        host.close(fd)


@booted
def test_rights_and_licences(machine: Machine) -> None:
    calls = TracingCalls(machine.host)
    assert calls.load_kind(OF_POINT, load(DW, R0, R1, 0) + LEAVE) == -errno.EACCES
    assert calls.load_kind(OF_POINT, mov(R2, 0) + mov(R3, 0) + store(DW, R1, 8, R2) + PASS) == -errno.EACCES
    assert calls.load_kind(OF_EVENT, load(W, R0, R1, 8) + LEAVE) == -errno.EACCES
    assert calls.load_kind(OF_EVENT, load(W, R0, R1, 172) + LEAVE) > 0
    assert calls.load_kind(OF_EVENT, load(DW, R0, R1, 184) + LEAVE) == -errno.EACCES
    events = calls.create(EVENTS, 4, 4, 2)
    assert calls.load_kind(OF_POINT, WRITE, events, b"mine\0") == -errno.EINVAL


@booted
def test_memory_of_the_program(machine: Machine) -> None:
    host = machine.host
    calls = TracingCalls(host)
    array = calls.create(ARRAY, 4, 24, 1)
    name = calls.at(3000, b"/nowhere\0")
    pages = fresh_pages(host, 1)

    def probe(helper: int, size: int, shift: int = 0) -> tuple[int, bytes]:
        program = (
            load(DW, R3, R1, 16) + alu(ADD, R3, 0) + alu(LSH, R3, shift) + mov_r(R1, R10) + alu(ADD, R1, -16)
            + mov(R2, size) + store_constant(DW, R10, -16, -1) + store_constant(DW, R10, -8, -1) + call(helper)
            + store(DW, R10, -24, R0) + store_constant(W, R10, -28, 0) + map_(R1) + mov_r(R2, R10) + alu(ADD, R2, -28)
            + mov_r(R3, R10) + alu(ADD, R3, -24) + mov(R4, 0) + call(2) + PASS
        )  # fmt: skip
        loaded = calls.load_kind(OF_POINT, program, array)
        assert loaded > 0, calls.log()
        event = calls.point(1024 + 2 * 87 + 1)  # unlink
        assert calls.set(event, loaded) == 0
        assert calls.answers.unlink(calls.at(3000, b"/nowhere\0") if size != 7 else pages) < 0
        host.close(event)
        assert calls.element(1, array, bytes(4)) == 0
        found = calls.value(24)
        return struct.unpack("<q", found[:8])[0], found[8:]

    assert name > 0
    assert probe(112, 4) == (0, b"/now" + b"\xff" * 12)
    assert probe(114, 16) == (9, b"/nowhere\0" + b"\xff" * 7)
    assert probe(114, 4) == (4, b"/no\0" + b"\xff" * 12)
    assert probe(4, 8) == (0, b"/nowhere" + b"\xff" * 8)
    assert probe(113, 8) == (-errno.ERANGE, bytes(8) + b"\xff" * 8)
    assert probe(112, 8, 16) == (-errno.EFAULT, bytes(8) + b"\xff" * 8)
    assert probe(112, 7) == (-errno.EFAULT, bytes(7) + b"\xff" * 9)  # a page that was never touched
    assert probe(112, 0) == (0, b"\xff" * 16)


@booted
def test_a_program_at_a_tracepoint_outlives_the_task_of_its_event(machine: Machine) -> None:
    host = machine.host
    calls = TracingCalls(host)
    table = calls.create(HASH, 4, 8, 16)
    pid = host.fork(lambda program: program.pause())
    event = opened(host, attributes(ENTER_GETPPID, DISABLED, TRACEPOINT), pid)
    assert calls.set(event, calls.load_kind(OF_POINT, counting(), table)) == 0
    host.kill(pid, 9)
    host.wait4(pid, None, 0, None)
    host.call("getppid")
    assert calls.element(1, table, struct.pack("<I", host.call("getpid"))) == 0
    assert struct.unpack("<Q", calls.value(8)) == (1,)
    host.close(event)
    assert not RUNNING.is_observed and not TRACING.observes_all and len(PROGRAMS.by_point) == 0
