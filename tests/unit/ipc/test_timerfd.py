"""Timers as descriptors (timerfd_create(2)), on a booted machine."""

from __future__ import annotations

import os
import signal
import struct

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

WALL, MONOTONIC = 0, 1
ABSOLUTE, CANCEL_ON_SET = 1, 2
NS = 1_000_000_000
SET_TICKS = 0x4008_5400


def span(value_ns: int, interval_ns: int = 0) -> bytes:
    """struct itimerspec."""
    return struct.pack("<4q", interval_ns // NS, interval_ns % NS, value_ns // NS, value_ns % NS)


def left(program: Program, timer: int) -> tuple[int, int]:
    """Nanoseconds until it expires, and between expirations."""
    raw = bytearray(32)
    program.timerfd_gettime(timer, raw)
    interval_s, interval_ns, value_s, value_ns = struct.unpack("<4q", raw)
    return value_s * NS + value_ns, interval_s * NS + interval_ns


def count(program: Program, timer: int) -> int:
    raw = bytearray(8)
    assert program.read(timer, raw, 8) == 8
    return int.from_bytes(raw, "little")


def now(program: Program, clock: int) -> int:
    raw = bytearray(16)
    program.clock_gettime(clock, raw)
    return int.from_bytes(raw[:8], "little") * NS + int.from_bytes(raw[8:], "little")


def set_wall_clock(program: Program, time_ns: int) -> None:
    program.clock_settime(WALL, struct.pack("<qq", time_ns // NS, time_ns % NS))


def sleep(program: Program, time_ns: int) -> None:
    program.nanosleep(struct.pack("<qq", time_ns // NS, time_ns % NS), None)


@booted
def test_a_read_waits_for_the_first_expiration(machine: Machine) -> None:
    host = machine.host
    timer = host.timerfd_create(MONOTONIC, 0)
    start = now(host, MONOTONIC)
    host.timerfd_settime(timer, 0, span(3 * NS), None)
    assert 2 * NS < left(host, timer)[0] <= 3 * NS
    assert count(host, timer) == 1
    assert 3 * NS <= now(host, MONOTONIC) - start < 4 * NS
    assert left(host, timer) == (0, 0)


@booted
def test_expirations_add_up(machine: Machine) -> None:
    host = machine.host
    timer = host.timerfd_create(MONOTONIC, os.O_NONBLOCK)
    assert error_of(count, host, timer) == "EAGAIN"
    host.timerfd_settime(timer, 0, span(NS, 2 * NS), None)
    sleep(host, 8 * NS)  # after 1, 3, 5 and 7 seconds
    assert count(host, timer) == 4
    assert error_of(count, host, timer) == "EAGAIN"
    value, interval = left(host, timer)
    assert 0 < value <= NS and interval == 2 * NS


@booted
def test_a_time_that_has_passed_counts_what_was_missed(machine: Machine) -> None:
    host = machine.host
    timer = host.timerfd_create(MONOTONIC, 0)
    sleep(host, 10 * NS)
    begin = now(host, MONOTONIC) - 7 * NS
    host.timerfd_settime(timer, ABSOLUTE, span(begin, 2 * NS), None)
    assert count(host, timer) == 4  # at the beginning, and 2, 4 and 6 seconds later
    assert 0 < left(host, timer)[0] <= NS


@booted
def test_setting_returns_what_was_left_and_clears_the_count(machine: Machine) -> None:
    host = machine.host
    timer = host.timerfd_create(MONOTONIC, os.O_NONBLOCK)
    host.timerfd_settime(timer, 0, span(NS, 5 * NS), None)
    sleep(host, 2 * NS)
    old = bytearray(32)
    host.timerfd_settime(timer, 0, span(0, NS), old)
    interval_s, _, value_s, _ = struct.unpack("<4q", old)
    assert (interval_s, value_s) == (5, 3)  # and some nanoseconds
    assert error_of(count, host, timer) == "EAGAIN" and left(host, timer)[0] == 0


@booted
def test_bad_arguments(machine: Machine) -> None:
    host = machine.host
    assert error_of(host.timerfd_create, 2, 0) == "EINVAL"  # the clock of a process
    assert error_of(host.timerfd_create, MONOTONIC, 1) == "EINVAL"
    timer = host.timerfd_create(MONOTONIC, 0)
    assert error_of(host.timerfd_settime, timer, 4, span(NS), None) == "EINVAL"
    assert error_of(host.timerfd_settime, timer, 0, struct.pack("<4q", 0, 0, 0, NS), None) == "EINVAL"
    assert error_of(host.timerfd_settime, timer, 0, struct.pack("<4q", -1, 0, 1, 0), None) == "EINVAL"
    assert error_of(host.timerfd_settime, 0 if timer else 1, 0, span(NS), None) in ("EINVAL", "EBADF")
    assert error_of(lambda: host.read(timer, bytearray(7), 7)) == "EINVAL"
    assert error_of(lambda: host.write(timer, bytes(8), 8)) == "EINVAL"


@booted
def test_an_absolute_wall_time_follows_the_clock(machine: Machine) -> None:
    host = machine.host
    timer = host.timerfd_create(WALL, os.O_NONBLOCK)
    start = now(host, WALL)
    host.timerfd_settime(timer, ABSOLUTE, span(start + 100 * NS), None)
    set_wall_clock(host, start + 50 * NS)
    assert 49 * NS < left(host, timer)[0] <= 50 * NS
    set_wall_clock(host, start + 101 * NS)
    sleep(host, NS // 100)
    assert count(host, timer) == 1


@booted
def test_a_relative_wall_time_does_not(machine: Machine) -> None:
    host = machine.host
    timer = host.timerfd_create(WALL, 0)
    host.timerfd_settime(timer, 0, span(100 * NS), None)
    set_wall_clock(host, now(host, WALL) + 3600 * NS)
    assert 99 * NS < left(host, timer)[0] <= 100 * NS


@booted
def test_setting_the_clock_cancels(machine: Machine) -> None:
    host = machine.host
    timer = host.timerfd_create(WALL, os.O_NONBLOCK)
    start = now(host, WALL)
    host.timerfd_settime(timer, ABSOLUTE | CANCEL_ON_SET, span(start + 100 * NS), None)
    set_wall_clock(host, start + 10 * NS)
    assert error_of(count, host, timer) == "ECANCELED"
    assert error_of(count, host, timer) == "EAGAIN"  # it is reported once
    set_wall_clock(host, start + 20 * NS)
    new = span(start + 200 * NS)
    assert error_of(host.timerfd_settime, timer, ABSOLUTE | CANCEL_ON_SET, new, None) == "ECANCELED"
    assert 100 * NS < left(host, timer)[0] <= 200 * NS  # armed nevertheless


@booted
def test_a_signal_ends_a_read(machine: Machine) -> None:
    host = machine.host
    timer = host.timerfd_create(MONOTONIC, 0)
    errors: list[str] = []

    def reader(program: Program) -> None:
        program.handle(signal.SIGUSR1, lambda program, signo: None)
        errors.append(error_of(count, program, timer))

    child = host.fork(reader)
    sleep(host, NS)
    host.kill(child, signal.SIGUSR1)
    assert machine.wait(child) == 0 and errors == ["EINTR"]


@booted
def test_a_checkpoint_restores_the_count(machine: Machine) -> None:
    host = machine.host
    timer = host.timerfd_create(MONOTONIC, os.O_NONBLOCK)
    assert error_of(host.ioctl, timer, SET_TICKS, bytes(8)) == "EINVAL"
    host.ioctl(timer, SET_TICKS, (7).to_bytes(8, "little"))
    assert count(host, timer) == 7
