"""Interval timers and timer descriptors (kernel/syscalls/setitimer.py, timerfd_create.py), on a booted machine."""

import os
import signal
import struct

import pytest

from kernel.lib.pid import Pid
from kernel.task.interval_timers import timers_of
from kernel.task.pids import find_task
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

REAL, VIRTUAL, PROFILE = 0, 1, 2
MONOTONIC, REALTIME_ALARM = 1, 8
FAULTY = 16  # an address without memory
SET_TICKS = 0x4008_5400
ABSOLUTE, CANCEL_ON_SET = 1, 2


def timer_of(program: Program, which: int) -> tuple[int, ...]:
    """Interval and remaining time: seconds and microseconds of each."""
    out = bytearray(32)
    program.getitimer(which, out)
    return struct.unpack("<qqqq", out)


def ticks(program: Program, descriptor: int) -> int:
    out = bytearray(8)
    program.read(descriptor, out, 8)
    return int(struct.unpack("<Q", out)[0])


@booted
def test_an_alarm_comes_and_comes_again(machine: Machine) -> None:
    seen: list[int] = []

    def child(program: Program) -> None:
        program.handle(signal.SIGALRM, lambda _, signo: seen.append(signo))
        program.setitimer(REAL, struct.pack("<qqqq", 0, 5000, 0, 5000), None)
        for _ in range(2):
            with pytest.raises(OSError, match="EINTR"):
                program.pause()

    assert machine.run(child) == 0
    assert seen == [signal.SIGALRM] * 2


@booted
def test_the_old_timer_is_told(machine: Machine) -> None:
    host = machine.host
    for which in (REAL, VIRTUAL, PROFILE):
        host.setitimer(which, struct.pack("<qqqq", 7, 5, 5000, 0), None)
        assert timer_of(host, which)[:2] == (7, 5)
        assert 4000 < timer_of(host, which)[2] <= 5000
        old = bytearray(32)
        host.setitimer(which, struct.pack("<qqqq", 0, 0, 0, 0), old)
        assert struct.unpack("<qqqq", old)[:2] == (7, 5)
        assert timer_of(host, which) == (0, 0, 0, 0)


@booted
def test_a_timer_that_is_due_has_a_tick_left(machine: Machine) -> None:
    """Not nothing: that is what a disarmed one has."""

    def child(program: Program) -> None:
        task = find_task(Pid(program.gettid()))
        assert task is not None
        program.setitimer(PROFILE, struct.pack("<qqqq", 0, 40_000, 0, 40_000), None)
        timers = timers_of(task.process)
        assert timer_of(program, PROFILE)[3] > 0
        timers.profile.due_ns = -1
        assert timer_of(program, PROFILE) == (0, 40_000, 0, 4_000)

    assert machine.run(child) == 0


@booted
def test_only_the_real_timer_forgets_its_interval_when_it_is_disarmed(machine: Machine) -> None:
    host = machine.host
    for which, kept in ((REAL, 0), (VIRTUAL, 7), (PROFILE, 7)):
        host.setitimer(which, struct.pack("<qqqq", 7, 0, 0, 0), None)
        assert timer_of(host, which) == (kept, 0, 0, 0)


@booted
def test_errors_of_interval_timers(machine: Machine) -> None:
    host = machine.host
    wrong = struct.pack("<qqqq", 0, 1_000_000, 0, 0)
    for arguments, error in (
        ((3, FAULTY, FAULTY), "EFAULT"),
        ((3, wrong, FAULTY), "EINVAL"),
        ((3, bytes(32), FAULTY), "EINVAL"),
        ((REAL, wrong, FAULTY), "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            host.setitimer(*arguments)
    with pytest.raises(OSError, match="EFAULT"):
        host.setitimer(PROFILE, struct.pack("<qqqq", 0, 0, 9, 0), FAULTY)
    assert timer_of(host, PROFILE)[2] > 0  # it has been set nevertheless


@booted
def test_a_timer_is_read(machine: Machine) -> None:
    host = machine.host
    descriptor = host.timerfd_create(MONOTONIC, 0)
    host.timerfd_settime(descriptor, 0, struct.pack("<qqqq", 0, 0, 0, 1000), None)
    assert ticks(host, descriptor) == 1
    host.timerfd_settime(descriptor, 0, struct.pack("<qqqq", 9, 0, 5000, 0), None)
    out = bytearray(32)
    host.timerfd_gettime(descriptor, out)
    assert struct.unpack("<qqqq", out)[0] == 9
    assert struct.unpack("<qqqq", out)[2] > 4000


@booted
def test_a_checkpoint_restores_the_count(machine: Machine) -> None:
    host = machine.host
    descriptor = host.timerfd_create(MONOTONIC, os.O_NONBLOCK)
    for count in (3, 1 << 63, (1 << 64) - 1):
        host.ioctl(descriptor, SET_TICKS, struct.pack("<Q", count))
        assert ticks(host, descriptor) == count
        with pytest.raises(OSError, match="EAGAIN"):
            ticks(host, descriptor)
    with pytest.raises(OSError, match="EINVAL"):
        host.ioctl(descriptor, SET_TICKS, bytes(8))
    with pytest.raises(OSError, match="EFAULT"):
        host.ioctl(descriptor, SET_TICKS, FAULTY)
    with pytest.raises(OSError, match="ENOTTY"):
        host.ioctl(descriptor, SET_TICKS + 1, bytes(8))


@booted
def test_errors_of_timer_descriptors(machine: Machine) -> None:
    host = machine.host
    descriptor = host.timerfd_create(MONOTONIC, 0)
    wrong = struct.pack("<qqqq", 0, -1, 0, 0)
    other = host.eventfd2(0, 0)
    for arguments, error in (
        ((999, -1, FAULTY, None), "EFAULT"),
        ((999, 4, bytes(32), None), "EINVAL"),
        ((999, 0, wrong, None), "EINVAL"),
        ((999, 0, bytes(32), None), "EBADF"),
        ((other, 0, bytes(32), None), "EINVAL"),
        ((descriptor, 0, bytes(32), FAULTY), "EFAULT"),
    ):
        with pytest.raises(OSError, match=error):
            host.timerfd_settime(*arguments)
    assert host.timerfd_settime(descriptor, ABSOLUTE | CANCEL_ON_SET, bytes(32), None) == 0
    with pytest.raises(OSError, match="EINVAL"):
        host.timerfd_create(MONOTONIC, 1)

    def child(program: Program) -> None:
        program.setuid(1000)
        with pytest.raises(OSError, match="EPERM"):
            program.timerfd_create(REALTIME_ALARM, 0)

    assert machine.run(child) == 0
