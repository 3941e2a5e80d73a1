"""sched_setattr(2), sched_getattr(2), on a booted machine."""

from __future__ import annotations

import struct

import pytest

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

OTHER, FIFO, ROUND_ROBIN, BATCH, IDLE, DEADLINE = 0, 1, 2, 3, 5, 6
RESET_ON_FORK, KEEP_POLICY, KEEP_PARAMETERS, CLAMP = 1, 8, 16, 32
MS = 1_000_000
SIZE = 48


def attributes(
    policy: int = 0, *, flags: int = 0, nice: int = 0, priority: int = 0, times: tuple[int, int, int] = (0, 0, 0),
    size: int = SIZE, more: bytes = b"",
) -> bytearray:  # fmt: skip
    return bytearray(struct.pack("<IIQiIQQQ", size, policy, flags, nice, priority, *times) + more)


def state(program: Program, pid: int = 0) -> dict[str, int]:
    raw = bytearray(SIZE)
    program.sched_getattr(pid, raw, SIZE, 0)
    names = ("size", "policy", "flags", "nice", "priority", "runtime", "deadline", "period")
    return dict(zip(names, struct.unpack("<IIQiIQQQ", raw), strict=True))


def put(program: Program, raw: bytearray, pid: int = 0) -> int:
    return program.sched_setattr(pid, raw, 0)


@pytest.mark.parametrize(("policy", "nice", "priority"), [
    (OTHER, 7, 0), (BATCH, -20, 0), (IDLE, 0, 0), (FIFO, 0, 99), (ROUND_ROBIN, 0, 1),
])  # fmt: skip
@booted
def test_what_was_set_is_reported(machine: Machine, policy: int, nice: int, priority: int) -> None:
    def main(program: Program) -> None:
        put(program, attributes(policy, nice=nice, priority=priority))
        found = state(program)
        assert (found["policy"], found["nice"], found["priority"]) == (policy, nice, priority)
        assert found["size"] == SIZE and program.sched_getscheduler(0) == policy

    assert machine.run(main) == 0


@booted
def test_nice_values_are_bounded(machine: Machine) -> None:
    def main(program: Program) -> None:
        for nice, kept in ((100, 19), (-100, -20)):
            put(program, attributes(nice=nice))
            assert state(program)["nice"] == kept

    assert machine.run(main) == 0


@booted
def test_deadlines_are_in_order(machine: Machine) -> None:
    def main(program: Program) -> None:
        put(program, attributes(DEADLINE, times=(MS, 5 * MS, 10 * MS)))
        found = state(program)
        assert (found["runtime"], found["deadline"], found["period"]) == (MS, 5 * MS, 10 * MS)
        put(program, attributes(DEADLINE, times=(MS, 4 * MS, 0)))
        assert state(program)["period"] == 4 * MS, "without one it is the deadline"
        for times in ((1023, MS, MS), (2 * MS, MS, MS), (MS, 2 * MS, MS), (MS, 1 << 63, 1 << 63), (1024, 2048, 2048)):
            assert error_of(put, program, attributes(DEADLINE, times=times)) == "EINVAL", times
        assert state(program)["deadline"] == 4 * MS
        put(program, attributes(OTHER))

    assert machine.run(main) == 0


@booted
def test_there_is_not_more_time_than_there_is(machine: Machine) -> None:
    def main(program: Program) -> None:
        assert error_of(put, program, attributes(DEADLINE, times=(99 * MS, 100 * MS, 100 * MS))) == "EBUSY"
        put(program, attributes(DEADLINE, times=(90 * MS, 100 * MS, 100 * MS)))
        put(program, attributes(OTHER))

    assert machine.run(main) == 0


@booted
def test_parts_are_kept(machine: Machine) -> None:
    def main(program: Program) -> None:
        put(program, attributes(FIFO, priority=5))
        put(program, attributes(OTHER, flags=KEEP_POLICY, priority=9))
        assert (state(program)["policy"], state(program)["priority"]) == (FIFO, 9)
        put(program, attributes(OTHER, flags=KEEP_POLICY | KEEP_PARAMETERS | RESET_ON_FORK, priority=3))
        found = state(program)
        assert (found["policy"], found["priority"]) == (FIFO, 9)

    assert machine.run(main) == 0


@booted
def test_children_start_anew_where_that_is_asked_for(machine: Machine) -> None:
    def main(program: Program) -> None:
        put(program, attributes(FIFO, priority=5, flags=RESET_ON_FORK))
        assert state(program)["flags"] == RESET_ON_FORK
        child = program.fork(lambda program: state(program)["policy"] + state(program)["flags"])
        status = bytearray(4)
        assert program.wait4(child, status, 0, 0) == child and status == bytes(4)

    assert machine.run(main) == 0


@booted
def test_sizes_of_the_structure(machine: Machine) -> None:
    host = machine.host
    put(host, attributes(size=0))  # the first one that there was
    short = attributes(size=47)
    assert error_of(host.sched_setattr, 0, short, 0) == "E2BIG"
    assert struct.unpack_from("<I", short)[0] == 56, "the size that is known"
    assert error_of(put, host, attributes(size=4097)) == "E2BIG"
    put(host, attributes(size=64, more=bytes(16)))
    assert error_of(put, host, attributes(size=64, more=bytes(15) + b"x")) == "E2BIG"
    longer = bytearray(64)
    host.sched_getattr(0, longer, 64, 0)
    assert struct.unpack_from("<I", longer)[0] == 56
    for size in (47, 4097):
        assert error_of(host.sched_getattr, 0, bytearray(4100), size, 0) == "EINVAL"


@booted
def test_arguments(machine: Machine) -> None:
    host = machine.host
    for raw in (attributes(4), attributes(-1 & 0xFFFF_FFFF), attributes(FIFO), attributes(FIFO, priority=100),
                attributes(OTHER, priority=1), attributes(flags=0x80), attributes(flags=CLAMP)):  # fmt: skip
        assert error_of(put, host, raw) == "EINVAL", raw
    assert error_of(put, host, attributes(flags=CLAMP, size=56, more=bytes(8))) == "EOPNOTSUPP"
    assert error_of(host.sched_setattr, 0, attributes(), 1) == "EINVAL"
    assert error_of(host.sched_setattr, -1, attributes(), 0) == "EINVAL"
    assert error_of(host.sched_setattr, 0, None, 0) == "EINVAL"
    assert error_of(host.sched_setattr, 0, 16, 0) == "EFAULT"
    assert error_of(put, host, attributes(), 30000) == "ESRCH" == error_of(state, host, 30000)


@booted
def test_who_may(machine: Machine) -> None:
    def plain(program: Program) -> None:
        other = program.getppid()
        program.setresuid(1000, 1000, 1000)
        put(program, attributes(nice=5))
        assert error_of(put, program, attributes(nice=4)) == "EPERM"  # RLIMIT_NICE
        assert error_of(put, program, attributes(FIFO, priority=1)) == "EPERM"
        assert error_of(put, program, attributes(DEADLINE, times=(MS, MS, MS))) == "EPERM"
        assert error_of(put, program, attributes(nice=9), other) == "EPERM"
        put(program, attributes(BATCH, nice=5))

    assert machine.run(plain) == 0
