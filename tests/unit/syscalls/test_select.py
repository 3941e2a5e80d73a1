"""select(2), pselect(2), on a booted machine."""

from __future__ import annotations

import signal
import struct

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

SECOND = struct.pack("<qq", 1, 0)


def pipe(program: Program) -> tuple[int, int]:
    raw = bytearray(8)
    program.pipe2(raw, 0)
    ends: tuple[int, int] = struct.unpack("<ii", raw)
    return ends


def set_of(*descriptors: int, size: int = 128) -> bytearray:
    return bytearray(sum(1 << each for each in descriptors).to_bytes(size, "little"))


def members(raw: bytearray) -> list[int]:
    bits = int.from_bytes(raw, "little")
    return [number for number in range(bits.bit_length()) if bits >> number & 1]


def timeval(seconds: int, microseconds: int = 0) -> bytearray:
    return bytearray(struct.pack("<qq", seconds, microseconds))


@booted
def test_ready_descriptors_stay_in_their_sets(machine: Machine) -> None:
    host = machine.host
    (inner, outer), (other_inner, other_outer) = pipe(host), pipe(host)
    host.write(outer, b"x", 1)
    reads, writes = set_of(inner, other_inner), set_of(outer, other_outer)
    assert host.select(other_outer + 1, reads, writes, None, timeval(9)) == 3
    assert members(reads) == [inner] and members(writes) == [outer, other_outer]
    host.close(other_outer)
    reads = set_of(other_inner)
    assert host.select(other_inner + 1, reads, None, None, None) == 1, "its end can be read at once"


@booted
def test_descriptors_from_the_count_on_are_not_asked(machine: Machine) -> None:
    host = machine.host
    inner, outer = pipe(host)
    reads, writes = set_of(inner), set_of(inner, outer, 40)
    assert host.select(outer, reads, writes, None, timeval(0)) == 0
    assert members(reads) == [] and members(writes) == [], "bits past the count are cleared up to the word's end"
    writes = set_of(outer, 70)
    assert host.select(outer + 1, None, writes, None, timeval(0)) == 1
    assert members(writes) == [outer, 70], "the next word is not touched"


@booted
def test_closed_descriptors_and_wrong_counts(machine: Machine) -> None:
    host = machine.host
    _, outer = pipe(host)
    assert error_of(lambda: host.select(outer + 2, set_of(outer + 1), None, None, timeval(0))) == "EBADF"
    assert error_of(lambda: host.select(-1, None, None, None, timeval(0))) == "EINVAL"
    assert error_of(lambda: host.select(1, 16, None, None, timeval(0))) == "EFAULT"
    far = set_of(1000, size=136)
    assert host.select(1 << 20, far, None, None, timeval(0)) == 0, "the table of descriptors ends before that"


@booted
def test_one_descriptor_counts_in_each_set(machine: Machine) -> None:
    host = machine.host
    raw = bytearray(8)
    host.socketpair(1, 1, 0, raw)
    first, second = struct.unpack("<ii", raw)
    host.write(second, b"x", 1)
    reads, writes, excepts = set_of(first), set_of(first), set_of(first)
    assert host.select(first + 1, reads, writes, excepts, timeval(0)) == 2
    assert (members(reads), members(writes), members(excepts)) == ([first], [first], [])


@booted
def test_the_time_that_was_left_is_reported(machine: Machine) -> None:
    host = machine.host
    inner, outer = pipe(host)
    timeout, reads = timeval(3), set_of(inner)
    assert host.select(inner + 1, reads, None, None, timeout) == 0
    assert timeout == timeval(0) and members(reads) == []

    def writer(program: Program) -> None:
        program.nanosleep(SECOND, None)
        program.write(outer, b"x", 1)

    child = host.fork(writer)
    timeout = timeval(9)
    assert host.select(inner + 1, set_of(inner), None, None, timeout) == 1
    assert 7 <= struct.unpack("<qq", timeout)[0] <= 8
    assert machine.wait(child) == 0


@booted
def test_times(machine: Machine) -> None:
    host = machine.host
    assert error_of(lambda: host.select(0, None, None, None, timeval(-1))) == "EINVAL"
    assert error_of(lambda: host.select(0, None, None, None, timeval(1, -1))) == "EINVAL"
    begin = bytearray(16)
    host.clock_gettime(1, begin)
    assert host.select(0, None, None, None, timeval(1, 2_500_000)) == 0  # whole seconds among the microseconds
    end = bytearray(16)
    host.clock_gettime(1, end)
    (begin_s, begin_ns), (end_s, end_ns) = struct.unpack("<qq", begin), struct.unpack("<qq", end)
    assert 3_500_000_000 <= (end_s - begin_s) * 10**9 + end_ns - begin_ns < 3_600_000_000


@booted
def test_a_mask_holds_for_the_wait_alone(machine: Machine) -> None:
    host = machine.host
    inner, _ = pipe(host)
    seen: list[int] = []

    def waiter(program: Program) -> None:
        program.handle(signal.SIGUSR1, lambda program, signo: seen.append(signo))
        usr1 = (1 << signal.SIGUSR1 - 1).to_bytes(8, "little")
        program.rt_sigprocmask(0, usr1, None, 8)
        program.kill(program.getpid(), signal.SIGUSR1)
        assert program.select(0, None, None, None, timeval(1)) == 0 and seen == []
        nothing = program.frame.rsp - 4096
        program.store(nothing, bytes(8))
        words = struct.pack("<QQ", nothing, 8)
        assert error_of(lambda: program.pselect6(inner + 1, set_of(inner), None, None, None, words)) == "EINTR"
        assert seen == [signal.SIGUSR1]
        before = bytearray(8)
        program.rt_sigprocmask(0, None, before, 8)
        assert before == usr1

    assert machine.run(waiter) == 0
