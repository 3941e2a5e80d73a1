"""Scheduling policies by system calls (kernel/syscalls/sched_setscheduler.py), on a booted machine."""

import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

ATTRIBUTES = struct.Struct("<IIQiIQQQII")  # struct sched_attr
SIZE = 56
OLD_SIZE = 48
OTHER, FIFO, ROUND_ROBIN, BATCH, IDLE, DEADLINE = 0, 1, 2, 3, 5, 6
RESET_ON_FORK = 1
KEEP_POLICY = 8
KEEP_PARAMETERS = 16
NOBODY = 99_999


def attributes(
    size: int = SIZE,
    policy: int = OTHER,
    flags: int = 0,
    nice: int = 0,
    priority: int = 0,
    times: tuple[int, int, int] = (0, 0, 0),
    more: bytes = b"",
) -> bytearray:
    return bytearray(ATTRIBUTES.pack(size, policy, flags, nice, priority, *times, 0, 0) + more)


def read_attributes(program: Program, size: int = SIZE) -> tuple[int, int, int, int, int]:
    """Size, policy, flags, nice value and priority."""
    out = bytearray(SIZE)
    program.sched_getattr(0, out, size, 0)
    found = ATTRIBUTES.unpack(out)
    return found[0], found[1], found[2], found[3], found[4]


def priority_of(program: Program) -> int:
    out = bytearray(4)
    program.sched_getparam(0, out)
    return int(struct.unpack("<i", out)[0])


@booted
def test_a_policy_and_a_priority_are_kept(machine: Machine) -> None:
    host = machine.host
    assert host.sched_setscheduler(0, FIFO, struct.pack("<i", 7)) == 0
    assert host.sched_getscheduler(0) == FIFO
    assert priority_of(host) == 7
    assert host.sched_setparam(0, struct.pack("<i", 9)) == 0
    assert priority_of(host) == 9
    assert read_attributes(host) == (SIZE, FIFO, 0, 0, 9)


@booted
def test_the_policy_of_another_process_is_changed(machine: Machine) -> None:
    host = machine.host

    def child(program: Program) -> None:
        program.pause()

    pid = host.fork(child)
    assert host.sched_setattr(pid, attributes(policy=BATCH, nice=5), 0) == 0
    assert host.sched_getscheduler(pid) == BATCH
    assert host.getpriority(0, pid) == 20 - 5
    assert host.sched_getscheduler(0) == OTHER


@booted
def test_a_zombie_still_has_a_policy(machine: Machine) -> None:
    host = machine.host
    pid = host.fork(lambda program: 0)
    host.waitid(1, pid, bytearray(128), 4 | 0x0100_0000, 0)  # P_PID, WEXITED | WNOWAIT
    assert host.sched_getscheduler(pid) == OTHER
    assert host.sched_setscheduler(pid, BATCH, bytes(4)) == 0
    assert host.sched_getscheduler(pid) == BATCH
    assert host.setpriority(0, pid, 3) == 0
    assert host.getpriority(0, pid) == 20 - 3
    assert machine.wait(pid) == 0
    with pytest.raises(OSError, match="ESRCH"):
        host.sched_getscheduler(pid)


@booted
def test_nice_values_are_brought_into_range(machine: Machine) -> None:
    host = machine.host
    host.sched_setattr(0, attributes(nice=1000), 0)
    assert read_attributes(host)[3] == 19
    host.sched_setattr(0, attributes(nice=-1000), 0)
    assert read_attributes(host)[3] == -20


@booted
def test_policy_or_parameters_can_be_kept(machine: Machine) -> None:
    host = machine.host
    host.sched_setattr(0, attributes(policy=BATCH, nice=4), 0)
    host.sched_setattr(0, attributes(policy=IDLE, flags=KEEP_POLICY, nice=6), 0)
    assert read_attributes(host)[1:4] == (BATCH, 0, 6)
    host.sched_setattr(0, attributes(policy=OTHER, flags=KEEP_PARAMETERS, nice=9), 0)
    assert read_attributes(host)[1:4] == (BATCH, 0, 6)
    host.sched_setattr(0, attributes(policy=ROUND_ROBIN, priority=3), 0)
    host.sched_setattr(0, attributes(flags=KEEP_POLICY | KEEP_PARAMETERS), 0)
    assert read_attributes(host)[4] == 3


@booted
def test_a_child_starts_anew_if_its_parent_said_so(machine: Machine) -> None:
    host = machine.host
    host.sched_setattr(0, attributes(policy=FIFO, priority=3, flags=RESET_ON_FORK), 0)
    assert read_attributes(host)[2] == RESET_ON_FORK

    def child(program: Program) -> None:
        assert program.sched_getscheduler(0) == OTHER

    assert machine.run(child) == 0


@booted
def test_keeping_the_policy_keeps_the_reset_as_well(machine: Machine) -> None:
    host = machine.host
    host.sched_setattr(0, attributes(flags=RESET_ON_FORK), 0)
    host.sched_setattr(0, attributes(flags=KEEP_POLICY), 0)
    assert read_attributes(host)[2] == RESET_ON_FORK
    host.sched_setattr(0, attributes(), 0)
    assert read_attributes(host)[2] == 0


@booted
@pytest.mark.parametrize("size", [1, 47, 4097, 0xFFFF_FFFF])
def test_a_wrong_size_is_answered_with_the_right_one(machine: Machine, size: int) -> None:
    given = attributes(size)
    with pytest.raises(OSError, match="E2BIG"):
        machine.host.sched_setattr(NOBODY, given, 0)
    assert struct.unpack_from("<I", given)[0] == SIZE


@booted
def test_what_is_not_known_must_be_zero(machine: Machine) -> None:
    host = machine.host
    assert host.sched_setattr(0, attributes(64, more=bytes(8)), 0) == 0
    given = attributes(64, more=bytes(7) + b"x")
    with pytest.raises(OSError, match="E2BIG"):
        host.sched_setattr(0, given, 0)
    assert struct.unpack_from("<I", given)[0] == SIZE


@booted
def test_errors_come_in_the_order_of_linux(machine: Machine) -> None:
    host = machine.host
    with pytest.raises(OSError, match="EINVAL"):
        host.sched_setattr(NOBODY, attributes(policy=1 << 31), 0)  # before the thread is looked for
    with pytest.raises(OSError, match="EINVAL"):
        host.sched_setattr(NOBODY, attributes(OLD_SIZE, flags=0x20), 0)  # clamps, which it has no room for
    with pytest.raises(OSError, match="ESRCH"):
        host.sched_setattr(NOBODY, attributes(policy=77, flags=1 << 40), 0)
    with pytest.raises(OSError, match="EINVAL"):
        host.sched_setattr(0, attributes(flags=1 << 40), 0)
    with pytest.raises(OSError, match="EINVAL"):
        host.sched_setattr(0, attributes(flags=KEEP_PARAMETERS, priority=3), 0)


@booted
def test_a_deadline_is_kept(machine: Machine) -> None:
    def child(program: Program) -> None:
        times = (10_000_000, 20_000_000, 40_000_000)
        program.sched_setattr(0, attributes(policy=DEADLINE, flags=RESET_ON_FORK | 6, times=times), 0)
        out = bytearray(SIZE)
        program.sched_getattr(0, out, SIZE, 0)
        assert ATTRIBUTES.unpack(out) == (SIZE, DEADLINE, RESET_ON_FORK | 6, 0, 0, *times, 0, 0)
        assert program.sched_getscheduler(0) == DEADLINE | 0x4000_0000
        assert priority_of(program) == 0
        program.sched_setattr(0, attributes(policy=DEADLINE, times=(10_000_000, 20_000_000, 0)), 0)
        program.sched_getattr(0, out, SIZE, 0)
        assert ATTRIBUTES.unpack(out) == (SIZE, DEADLINE, 0, 0, 0, 10_000_000, 20_000_000, 20_000_000, 0, 0)
        with pytest.raises(OSError, match="EINVAL"):
            program.sched_setparam(0, struct.pack("<i", 0))
        with pytest.raises(OSError, match="EAGAIN"):
            program.fork(lambda other: None)
        with pytest.raises(OSError, match="EBUSY"):
            program.sched_setattr(0, attributes(policy=DEADLINE, times=(91_000_000, 100_000_000, 0)), 0)
        program.sched_setattr(0, attributes(policy=OTHER), 0)
        assert program.sched_getscheduler(0) == OTHER

    assert machine.run(child) == 0


@booted
def test_a_deadline_is_refused_for_the_first_reason(machine: Machine) -> None:
    times = (10_000_000, 20_000_000, 20_000_000)

    def child(program: Program) -> None:
        with pytest.raises(OSError, match="EINVAL"):
            program.sched_setattr(0, attributes(policy=DEADLINE), 0)
        program.setuid(1000)
        with pytest.raises(OSError, match="EPERM"):
            program.sched_setattr(0, attributes(policy=DEADLINE, times=times), 0)
        with pytest.raises(OSError, match="EINVAL"):
            program.sched_setattr(0, attributes(policy=DEADLINE, times=(times[1], times[0], times[1])), 0)

    assert machine.run(child) == 0


@booted
def test_a_user_may_only_become_less_urgent(machine: Machine) -> None:
    def child(program: Program) -> None:
        program.setuid(1000)
        program.sched_setattr(0, attributes(nice=3), 0)
        with pytest.raises(OSError, match="EPERM"):
            program.sched_setattr(0, attributes(nice=2), 0)
        with pytest.raises(OSError, match="EPERM"):
            program.sched_setscheduler(0, FIFO, struct.pack("<i", 1))
        with pytest.raises(OSError, match="EPERM"):
            program.sched_setscheduler(1, BATCH, bytes(4))
        assert program.sched_setscheduler(0, IDLE, bytes(4)) == 0

    assert machine.run(child) == 0


@booted
def test_bounds_of_priorities(machine: Machine) -> None:
    host = machine.host
    assert [host.sched_get_priority_max(policy) for policy in (OTHER, FIFO, ROUND_ROBIN, BATCH)] == [0, 99, 99, 0]
    assert [host.sched_get_priority_min(policy) for policy in (OTHER, FIFO, ROUND_ROBIN, BATCH)] == [0, 1, 1, 0]
    with pytest.raises(OSError, match="EINVAL"):
        host.sched_get_priority_max(4)
    for priority in (0, 100, -1):
        with pytest.raises(OSError, match="EINVAL"):
            host.sched_setscheduler(0, FIFO, struct.pack("<i", priority))


@booted
def test_only_threads_that_take_turns_have_an_interval(machine: Machine) -> None:
    host = machine.host
    out = bytearray(16)
    host.sched_setscheduler(0, ROUND_ROBIN, struct.pack("<i", 1))
    host.sched_rr_get_interval(0, out)
    assert struct.unpack("<qq", out) > (0, 0)
    host.sched_setscheduler(0, FIFO, struct.pack("<i", 1))
    host.sched_rr_get_interval(0, out)
    assert struct.unpack("<qq", out) == (0, 0)
