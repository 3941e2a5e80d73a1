"""Rings of bpf(2) on a booted machine: as they are mapped, polled and written by a program. What is expected is what
Linux answers (the case bpf_rings).
"""

from __future__ import annotations

import errno
import struct

from kernel.bpf.kept_maps import MAPS
from kernel.mm.frames import free_frame_count
from tests.unit.booted import booted
from tests.unit.bpf.assembler import ADD, DW, LEAVE, R1, R2, R3, R4, R10, alu, call, map_, mov, mov_r, store_constant
from tests.unit.bpf.test_rings import OUTPUT
from tests.unit.syscalls.test_bpf import Calls
from tests.unit.syscalls.test_bpf_test_run import FRAME, SOCKET_FILTER, load_program, trial
from tools.simulated.machine import Machine

RING, ARRAY = 27, 2
PAGE = 4096
READ, WRITE, EXECUTE = 1, 2, 4
SHARED, PRIVATE = 1, 2
UNSUPPORTED = 524


def mapped(calls: Calls, fd: int, pages: int, prot: int, first: int = 0, flags: int = SHARED) -> int:
    return calls.answers.mmap(0, pages * PAGE, prot, flags, fd, first * PAGE)


def readiness(calls: Calls, fd: int) -> int:
    place = calls.at(500, struct.pack("<ihh", fd, 5, 0))
    calls.answers.poll(place, 1, 0)
    return int(struct.unpack("<h", calls.program.load(place + 6, 2))[0])


@booted
def test_what_can_be_mapped(machine: Machine) -> None:
    calls = Calls(machine.host)
    ring = calls.create(RING, 0, 0, 2 * PAGE)
    array, table = calls.create(ARRAY, 4, 8, 1), calls.create(1, 4, 8, 1)
    assert mapped(calls, array, 1, READ) == -errno.EINVAL
    assert mapped(calls, table, 1, READ) == -UNSUPPORTED
    assert mapped(calls, table, 1, READ, flags=PRIVATE) == -UNSUPPORTED
    assert mapped(calls, ring, 1, READ, flags=PRIVATE) == -errno.EINVAL
    assert mapped(calls, ring, 1, READ | WRITE, 1) == -errno.EPERM
    assert mapped(calls, ring, 2, READ | WRITE) == -errno.EPERM
    assert mapped(calls, ring, 7, READ) == -errno.EINVAL
    assert mapped(calls, ring, 6, READ, 1) == -errno.EINVAL
    everything = mapped(calls, ring, 6, READ)
    assert everything > 0
    assert calls.answers.mprotect(everything, PAGE, READ | WRITE) == -errno.EACCES
    assert calls.answers.mprotect(everything, PAGE, READ | EXECUTE) == -errno.EACCES
    first = mapped(calls, ring, 1, READ | WRITE)
    assert calls.answers.bpf(22, struct.pack("<I", ring), 4) == -errno.EBUSY
    assert calls.answers.munmap(first, PAGE) == 0
    assert calls.answers.bpf(22, struct.pack("<I", ring), 4) == 0
    assert mapped(calls, ring, 1, READ | WRITE) == -errno.EPERM


@booted
def test_a_record_from_a_program(machine: Machine) -> None:
    calls = Calls(machine.host)
    ring = calls.create(RING, 0, 0, PAGE)
    output = (
        store_constant(DW, R10, -8, 0x1122) + map_(R1, ring) + mov_r(R2, R10) + alu(ADD, R2, -8) + mov(R3, 8)
        + mov(R4, 0) + call(OUTPUT) + LEAVE
    )  # fmt: skip
    program = load_program(calls, SOCKET_FILTER, output)
    assert program > 0 and readiness(calls, ring) == 0
    assert trial(calls, program, FRAME)[:2] == (0, 0)
    assert readiness(calls, ring) & 1 != 0
    first, rest = mapped(calls, ring, 1, READ | WRITE), mapped(calls, ring, 3, READ, 1)
    assert struct.unpack("<Q", calls.program.load(rest, 8)) == (32,)  # it ran twice
    assert struct.unpack("<IIQ", calls.program.load(rest + PAGE, 16)) == (8, 3, 0x1122)
    assert calls.program.load(rest + 2 * PAGE, 16) == calls.program.load(rest + PAGE, 16)
    calls.program.store(first, struct.pack("<Q", 32))
    assert readiness(calls, ring) == 0


@booted
def test_an_array_that_is_shared(machine: Machine) -> None:
    calls = Calls(machine.host)
    array = calls.create(ARRAY, 4, 24, 400, 0x400)
    place = mapped(calls, array, 3, READ | WRITE)
    assert place > 0 and mapped(calls, array, 4, READ) == -errno.EINVAL
    assert mapped(calls, array, 1, READ, 3) == -errno.EINVAL and mapped(calls, array, 1, READ, 2) > 0
    calls.program.store(place + 24 * 170, bytes(range(24)))
    assert calls.element(1, array, struct.pack("<I", 170), bytes(24)) == 0 and calls.value(24) == bytes(range(24))
    assert calls.element(2, array, struct.pack("<I", 171), b"x" * 24) == 0
    assert calls.program.load(place + 24 * 171, 24) == b"x" * 24
    assert calls.answers.bpf(22, struct.pack("<I", array), 4) == -errno.EBUSY
    calls.answers.munmap(place, 3 * PAGE)
    assert calls.answers.bpf(22, struct.pack("<I", array), 4) == 0
    assert mapped(calls, array, 1, READ | WRITE) == -errno.EPERM and mapped(calls, array, 1, READ) > 0
    by_reader = calls.create(ARRAY, 4, 8, 1, 0x400 | 8)
    assert mapped(calls, by_reader, 1, READ) == -errno.EINVAL
    only_read = calls.create(ARRAY, 4, 8, 1, 0x400 | 128)
    assert mapped(calls, only_read, 1, READ | WRITE) == -errno.EACCES


@booted
def test_the_pages_go_with_the_last_user(machine: Machine) -> None:
    calls = Calls(machine.host)
    calls.answers.close(calls.create(RING, 0, 0, PAGE))
    before, maps = free_frame_count(), len(MAPS.by_number)
    ring = calls.create(RING, 0, 0, 16 * PAGE)
    place = mapped(calls, ring, 18, READ)
    assert calls.program.load(place + 17 * PAGE, 8) == bytes(8)
    calls.answers.close(ring)
    assert calls.program.load(place + 16 * PAGE, 8) == bytes(8) and free_frame_count() <= before - 18
    assert len(MAPS.by_number) == maps + 1
    calls.answers.munmap(place, 18 * PAGE)
    assert len(MAPS.by_number) == maps and free_frame_count() > before - 18
    great = calls.create(RING, 0, 0, 256 * PAGE)
    assert free_frame_count() <= before - 258
    calls.answers.close(great)
    for _ in range(3):
        calls.answers.nanosleep(calls.at(0, struct.pack("<qq", 0, 1_000_000)), 0)
    assert free_frame_count() > before - 18
