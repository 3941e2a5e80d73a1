"""Clocks by system calls (kernel/syscalls/clock_gettime.py, adjtimex.py, nanosleep.py), on a booted machine."""

import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

REALTIME, MONOTONIC, PROCESS_TIME, THREAD_TIME, RAW, REALTIME_COARSE = 0, 1, 2, 3, 4, 5
MONOTONIC_COARSE, BOOTTIME, REALTIME_ALARM, TAI = 6, 7, 8, 11
FAULTY = 16  # an address without memory
ABSOLUTE = 1
NS_PER_SECOND = 1_000_000_000
TIMEX_SIZE = 208
ADJ_SETOFFSET, ADJ_TICK, ADJ_FREQUENCY = 0x100, 0x4000, 2
NOBODY = 99_999
LATEST = 8_277_292_036  # seconds: from there on a clock cannot be set


def process_clock(pid: int) -> int:
    return (~pid << 3 | 2) & 0xFFFF_FFFF


def file_clock(descriptor: int) -> int:
    return (~descriptor << 3 | 3) & 0xFFFF_FFFF


def read_clock(program: Program, clock: int) -> int:
    out = bytearray(16)
    program.clock_gettime(clock, out)
    seconds, ns = struct.unpack("<qq", out)
    return int(seconds * NS_PER_SECOND + ns)


@booted
@pytest.mark.parametrize("clock", [REALTIME, MONOTONIC, PROCESS_TIME, THREAD_TIME, RAW, BOOTTIME, TAI])
def test_clocks_go_forward(machine: Machine, clock: int) -> None:
    before = read_clock(machine.host, clock)
    machine.host.getpid()
    assert read_clock(machine.host, clock) > before


@booted
def test_resolutions(machine: Machine) -> None:
    host = machine.host
    out = bytearray(16)
    for clock in (REALTIME, MONOTONIC, PROCESS_TIME, BOOTTIME, TAI):
        host.clock_getres(clock, out)
        assert struct.unpack("<qq", out) == (0, 1)
    host.clock_getres(MONOTONIC_COARSE, out)
    assert struct.unpack("<qq", out) > (0, 1)
    assert host.clock_getres(REALTIME_COARSE, None) == 0


@booted
def test_the_processor_time_of_another_process(machine: Machine) -> None:
    host = machine.host

    def child(program: Program) -> None:
        program.pause()

    pid = host.fork(child)
    host.nanosleep(struct.pack("<qq", 0, 1000), None)
    assert 0 < read_clock(host, process_clock(pid)) < read_clock(host, MONOTONIC)
    for clock in (process_clock(NOBODY), file_clock(0), file_clock(500), 10, 12, 99):
        with pytest.raises(OSError, match="EINVAL"):
            read_clock(host, clock)


@booted
def test_only_one_clock_can_be_set(machine: Machine) -> None:
    host = machine.host
    wrong = struct.pack("<qq", 0, -1)
    for clock in (MONOTONIC, PROCESS_TIME, BOOTTIME, REALTIME_ALARM, TAI, 99):
        with pytest.raises(OSError, match="EINVAL"):
            host.clock_settime(clock, FAULTY)
    for clock in (REALTIME, process_clock(0), process_clock(NOBODY), file_clock(0)):
        with pytest.raises(OSError, match="EFAULT"):
            host.clock_settime(clock, FAULTY)
    with pytest.raises(OSError, match="EPERM"):
        host.clock_settime(process_clock(0), wrong)
    for clock in (REALTIME, process_clock(NOBODY), file_clock(0)):
        with pytest.raises(OSError, match="EINVAL"):
            host.clock_settime(clock, wrong)


@booted
def test_the_wall_clock_is_set(machine: Machine) -> None:
    host = machine.host
    host.clock_settime(REALTIME, struct.pack("<qq", 2_000_000_000, 5))
    assert 0 <= read_clock(host, REALTIME) - 2_000_000_000 * NS_PER_SECOND < NS_PER_SECOND
    host.settimeofday(struct.pack("<qq", 2_100_000_000, 7), None)
    out = bytearray(16)
    host.gettimeofday(out, None)
    assert struct.unpack("<qq", out)[0] == 2_100_000_000
    assert host.time(None) == 2_100_000_000


@booted
def test_times_that_cannot_be_set_come_before_a_lack_of_privilege(machine: Machine) -> None:
    def child(program: Program) -> None:
        program.setuid(1000)
        for seconds in (-1, LATEST):
            with pytest.raises(OSError, match="EINVAL"):
                program.clock_settime(REALTIME, struct.pack("<qq", seconds, 0))
            with pytest.raises(OSError, match="EINVAL"):
                program.settimeofday(struct.pack("<qq", seconds, 0), None)
            with pytest.raises(OSError, match="EFAULT"):
                program.settimeofday(struct.pack("<qq", seconds, 0), FAULTY)
        with pytest.raises(OSError, match="EPERM"):
            program.clock_settime(REALTIME, struct.pack("<qq", LATEST - 1, 0))
        with pytest.raises(OSError, match="EINVAL"):
            program.settimeofday(struct.pack("<qq", 0, 1_000_000), FAULTY)
        with pytest.raises(OSError, match="EPERM"):
            program.settimeofday(struct.pack("<qq", 1, 0), struct.pack("<ii", 5000, 0))

    assert machine.run(child) == 0


@booted
def test_a_clock_that_cannot_be_steered_is_told_from_one_that_is_none(machine: Machine) -> None:
    host = machine.host
    for clock in (MONOTONIC, RAW, PROCESS_TIME, REALTIME_COARSE, TAI, process_clock(0), process_clock(NOBODY)):
        with pytest.raises(OSError, match="ENOTSUP"):
            host.clock_adjtime(clock, bytearray(TIMEX_SIZE))
    for clock in (10, 12, file_clock(0)):
        with pytest.raises(OSError, match="EINVAL"):
            host.clock_adjtime(clock, bytearray(TIMEX_SIZE))
        with pytest.raises(OSError, match="EFAULT"):
            host.clock_adjtime(clock, FAULTY)


@booted
def test_the_tick_of_the_wall_clock_is_read_and_set(machine: Machine) -> None:
    host = machine.host
    state = bytearray(TIMEX_SIZE)
    host.adjtimex(state)
    assert struct.unpack_from("<q", state, 88)[0] == 10_000
    struct.pack_into("<I", state, 0, ADJ_TICK)
    struct.pack_into("<q", state, 88, 10_001)
    host.clock_adjtime(REALTIME, state)
    state = bytearray(TIMEX_SIZE)
    host.adjtimex(state)
    assert struct.unpack_from("<q", state, 88)[0] == 10_001
    for modes, place, value in ((ADJ_TICK, 88, 8999), (ADJ_SETOFFSET, 80, -1), (ADJ_FREQUENCY, 16, 1 << 62)):
        wrong = bytearray(TIMEX_SIZE)
        struct.pack_into("<I", wrong, 0, modes)
        struct.pack_into("<q", wrong, place, value)
        with pytest.raises(OSError, match="EINVAL"):
            host.adjtimex(wrong)


@booted
def test_a_sleep_lasts(machine: Machine) -> None:
    host = machine.host
    before = read_clock(host, MONOTONIC)
    host.nanosleep(struct.pack("<qq", 2, 0), None)
    assert read_clock(host, MONOTONIC) - before >= 2 * NS_PER_SECOND
    until = read_clock(host, BOOTTIME) + NS_PER_SECOND
    host.clock_nanosleep(BOOTTIME, ABSOLUTE, struct.pack("<qq", *divmod(until, NS_PER_SECOND)), None)
    assert read_clock(host, BOOTTIME) >= until
    host.clock_nanosleep(REALTIME, ABSOLUTE, struct.pack("<qq", 0, 0), None)  # which has passed


@booted
def test_sleeps_that_cannot_be(machine: Machine) -> None:
    host = machine.host
    for clock in (THREAD_TIME, RAW, REALTIME_COARSE, MONOTONIC_COARSE, file_clock(0)):
        with pytest.raises(OSError, match="ENOTSUP"):
            host.clock_nanosleep(clock, 0, FAULTY, None)
    for clock in (10, 12):
        with pytest.raises(OSError, match="EINVAL"):
            host.clock_nanosleep(clock, 0, FAULTY, None)
    for clock in (REALTIME, PROCESS_TIME, process_clock(NOBODY), REALTIME_ALARM):
        with pytest.raises(OSError, match="EFAULT"):
            host.clock_nanosleep(clock, 0, FAULTY, None)
        with pytest.raises(OSError, match="EINVAL"):
            host.clock_nanosleep(clock, 0, struct.pack("<qq", 0, NS_PER_SECOND), None)
    with pytest.raises(OSError, match="EINVAL"):
        host.clock_nanosleep(process_clock(NOBODY), 0, struct.pack("<qq", 1, 0), None)


@booted
def test_only_alarm_clocks_look_at_unknown_flags(machine: Machine) -> None:
    host = machine.host
    soon = struct.pack("<qq", 0, 1)
    assert host.clock_nanosleep(MONOTONIC, 2, soon, None) == 0
    with pytest.raises(OSError, match="EINVAL"):
        host.clock_nanosleep(REALTIME_ALARM, 2, soon, None)
    assert host.clock_nanosleep(REALTIME_ALARM, 0, soon, None) == 0
