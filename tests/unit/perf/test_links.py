"""Links of bpf(2) to events and to raw tracepoints, on a booted machine."""

from __future__ import annotations

import errno
import struct

from kernel.bpf.link import LINKS
from kernel.bpf.program import KEPT
from kernel.perf.programs import PROGRAMS
from kernel.task.task import TRACING
from tests.unit.booted import booted
from tests.unit.bpf.assembler import (
    ADD,
    DW,
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
    call,
    load,
    map_,
    mov,
    mov_r,
    store,
    store_constant,
)
from tests.unit.perf.test_events import words
from tests.unit.perf.test_programs import (
    ARRAY,
    DROP,
    ENTER_GETPPID,
    HASH,
    OF_EVENT,
    OF_POINT,
    PASS,
    TracingCalls,
    counting,
)
from tools.simulated.machine import Machine

CREATE, UPDATE, DETACH, INFO, RAW_OPEN = 28, 29, 34, 15, 17
FOR_EVENT, OF_RAW = 41, 17


class LinkCalls(TracingCalls):
    """bpf(2) of a program that has links."""

    def link(self, program: int, event: int, purpose: int = FOR_EVENT, flags: int = 0, cookie: int = 0) -> int:
        return self.answers.bpf(CREATE, struct.pack("<2i2IQ", program, event, purpose, flags, cookie), 24)

    def raw(self, name: bytes, program: int, cookie: int = 0) -> int:
        where = self.at(3000, name + b"\0")
        return self.answers.bpf(RAW_OPEN, struct.pack("<QiIQ", where, program, 0, cookie), 24)

    def about(self, link: int, room: int = 0) -> tuple[int, bytes, bytes]:
        given = bytearray(64)
        if room:
            struct.pack_into("<QI", given, 24, self.at(14000, b"." * 40), room)
        where = self.at(12288, bytes(given))
        result = self.answers.bpf(INFO, bytearray(struct.pack("<iIQ", link, 64, where)), 16)
        return result, self.program.load(where, 64), self.program.load(self.memory + 14000, 20)

    def array_value(self, array: int) -> int:
        assert self.element(1, array, bytes(4)) == 0
        return int(struct.unpack("<q", self.value(8))[0])


def storing(instructions: bytes) -> bytes:
    """Puts register 6 into an array."""
    return (
        instructions + store(DW, R10, -8, R6) + store_constant(W, R10, -12, 0) + map_(R1) + mov_r(R2, R10)
        + alu(ADD, R2, -12) + mov_r(R3, R10) + alu(ADD, R3, -8) + mov(R4, 0) + call(2) + PASS
    )  # fmt: skip


@booted
def test_a_link_to_an_event(machine: Machine) -> None:
    host = machine.host
    calls = LinkCalls(host)
    table = calls.create(HASH, 4, 8, 16)
    program, event = calls.load_kind(OF_POINT, counting(), table), calls.point(ENTER_GETPPID)
    for purpose, flags in ((40, 0), (0, 0), (FOR_EVENT, 1)):
        assert calls.link(program, event, purpose, flags) == -errno.EINVAL
    assert calls.link(program, program) == calls.link(program, 999) == -errno.EBADF
    assert calls.link(calls.load_kind(OF_EVENT, PASS), event) == -errno.EINVAL
    before = len(LINKS.by_number)
    link = calls.link(program, event)
    assert link > 0 and calls.link(program, event) == calls.set(event, program) == -errno.EEXIST
    assert len(LINKS.by_number) == before + 1
    host.close(event)
    host.close(program)
    host.call("getppid")
    assert calls.element(1, table, struct.pack("<I", host.call("getpid"))) == 0
    assert calls.answers.bpf(UPDATE, struct.pack("<iiIi", link, link, 0, 0), 16) == -errno.EINVAL
    assert calls.answers.bpf(DETACH, struct.pack("<i", link), 4) == -errno.EOPNOTSUPP
    host.close(link)
    assert len(LINKS.by_number) == before and len(PROGRAMS.by_point) == 0 and not TRACING.observes_all


@booted
def test_cookies(machine: Machine) -> None:
    host = machine.host
    calls = LinkCalls(host)
    array = calls.create(ARRAY, 4, 8, 1)
    program = calls.load_kind(OF_POINT, storing(call(174) + mov_r(R6, R0)), array)
    link = calls.link(program, calls.point(ENTER_GETPPID), cookie=1 << 40)
    host.call("getppid")
    assert calls.array_value(array) == 1 << 40
    host.close(link)


@booted
def test_raw_tracepoints(machine: Machine) -> None:
    host = machine.host
    calls = LinkCalls(host)
    array = calls.create(ARRAY, 4, 8, 1)
    ends = calls.load_kind(OF_RAW, storing(load(DW, R6, R1, 8)), array)
    link = calls.raw(b"sys_exit", ends)
    assert link > 0
    pid = host.call("getpid")
    host.close(link)  # whose end is not seen
    assert calls.array_value(array) == pid
    registers = mov_r(R6, R1) + load(DW, R3, R1, 0) + alu(ADD, R3, 112) + mov_r(R1, R10) + alu(ADD, R1, -8)
    begins = calls.load_kind(OF_RAW, storing(registers + mov(R2, 8) + call(113) + load(DW, R6, R10, -8)), array)
    assert begins > 0, calls.log()
    link = calls.raw(b"sys_enter", begins)
    calls.answers.kill(77_777, 0)
    calls.answers.close(link)
    assert calls.array_value(array) == link  # its first argument, rdi
    assert calls.raw(b"sched_nothing", begins) == -errno.ENOENT
    assert calls.raw(b"sys_exit", calls.load_kind(OF_POINT, PASS)) == -errno.EINVAL
    assert calls.raw(b"sys_exit", calls.load_kind(OF_RAW, load(DW, R0, R1, 16) + LEAVE)) == -errno.EINVAL
    assert len(PROGRAMS.by_point) == 0


@booted
def test_a_raw_program_drops_nothing(machine: Machine) -> None:
    host = machine.host
    calls = LinkCalls(host)
    link = calls.raw(b"sys_enter", calls.load_kind(OF_RAW, DROP))
    event = calls.point(ENTER_GETPPID)
    host.call("getppid")
    assert words(host, event) == (1,)
    host.close(link)
    host.close(event)
    assert len(KEPT.programs) >= 1
