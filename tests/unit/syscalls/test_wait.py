"""wait4(2), waitid(2), on a booted machine."""

from __future__ import annotations

import os
import signal
import struct

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

P_ALL, P_PID, P_PGID, P_PIDFD = range(4)
EXITED, KILLED, STOPPED, CONTINUED = 1, 2, 5, 6  # CLD_*
SECOND = struct.pack("<qq", 1, 0)
NO_SUCH = 30000


def wait(program: Program, pid: int, options: int = 0) -> tuple[int, int]:
    raw = bytearray(4)
    found = program.wait4(pid, raw, options, 0)
    return found, int.from_bytes(raw, "little")


def wait_id(program: Program, kind: int, number: int, options: int) -> tuple[int, int, int]:
    """The child, why (CLD_*), and its status or signal."""
    raw = bytearray(128)
    program.waitid(kind, number, raw, options, 0)
    code, pid, value = (struct.unpack_from("<i", raw, at)[0] for at in (8, 16, 24))
    return pid, code, value


def sleeper(program: Program) -> None:
    program.pause()


@booted
def test_whom_a_number_means(machine: Machine) -> None:
    host = machine.host
    host.setsid()
    first, second = host.fork(lambda program: 1), host.fork(lambda program: 2)
    host.setpgid(second, second)
    host.nanosleep(SECOND, None)
    assert error_of(wait, host, NO_SUCH) == "ECHILD"
    assert error_of(wait, host, -NO_SUCH) == "ECHILD"
    assert error_of(wait, host, -(1 << 31)) == "ESRCH"
    assert wait(host, 0) == (first, 1 << 8)  # of the caller's own group
    assert error_of(wait, host, 0) == "ECHILD"
    assert wait(host, -second) == (second, 2 << 8)
    assert error_of(wait, host, -1) == "ECHILD"
    assert error_of(wait, host, -1, 0x10) == "EINVAL"


@booted
def test_not_to_wait(machine: Machine) -> None:
    host = machine.host
    child = host.fork(sleeper)
    assert wait(host, child, os.WNOHANG) == (0, 0)
    assert wait_id(host, P_PID, child, os.WEXITED | os.WNOHANG) == (0, 0, 0)
    host.kill(child, signal.SIGKILL)
    assert wait(host, child) == (child, signal.SIGKILL)


@booted
def test_stops_and_continuations(machine: Machine) -> None:
    host = machine.host
    child = host.fork(sleeper)
    host.kill(child, signal.SIGSTOP)
    host.nanosleep(SECOND, None)
    assert wait(host, child, os.WNOHANG) == (0, 0), "nobody asked for stops"
    assert wait_id(host, P_ALL, 0, os.WSTOPPED | os.WNOWAIT) == (child, STOPPED, signal.SIGSTOP)
    assert wait(host, child, os.WUNTRACED) == (child, signal.SIGSTOP << 8 | 0x7F)
    assert wait(host, child, os.WUNTRACED | os.WNOHANG) == (0, 0), "it is reported once"
    host.kill(child, signal.SIGCONT)
    assert wait_id(host, P_PID, child, os.WCONTINUED | os.WNOWAIT) == (child, CONTINUED, signal.SIGCONT)
    assert wait(host, child, os.WCONTINUED) == (child, 0xFFFF)
    host.kill(child, signal.SIGKILL)
    assert wait_id(host, P_PID, child, os.WEXITED) == (child, KILLED, signal.SIGKILL)


@booted
def test_a_look_leaves_the_child(machine: Machine) -> None:
    host = machine.host
    child = host.fork(lambda program: 7)
    for _ in range(2):
        assert wait_id(host, P_PID, child, os.WEXITED | os.WNOWAIT) == (child, EXITED, 7)
    assert wait(host, child) == (child, 7 << 8)
    assert error_of(wait_id, host, P_PID, child, os.WEXITED) == "ECHILD"


@booted
def test_groups_and_descriptors(machine: Machine) -> None:
    host = machine.host
    host.setsid()
    child, other = host.fork(lambda program: 3), host.fork(lambda program: 4)
    host.setpgid(other, other)
    assert wait_id(host, P_PGID, other, os.WEXITED) == (other, EXITED, 4)
    descriptor = host.pidfd_open(child, os.O_NONBLOCK)
    host.nanosleep(SECOND, None)
    assert wait_id(host, P_PIDFD, descriptor, os.WEXITED) == (child, EXITED, 3)
    assert error_of(wait_id, host, P_PIDFD, descriptor, os.WEXITED) == "ECHILD"
    late = host.fork(sleeper)
    descriptor = host.pidfd_open(late, os.O_NONBLOCK)
    assert error_of(wait_id, host, P_PIDFD, descriptor, os.WEXITED) == "EAGAIN"
    assert wait_id(host, P_PIDFD, descriptor, os.WEXITED | os.WNOHANG) == (0, 0, 0)
    host.kill(late, signal.SIGKILL)
    assert wait_id(host, P_PGID, 0, os.WEXITED) == (late, KILLED, signal.SIGKILL)


@booted
def test_arguments_that_mean_nothing(machine: Machine) -> None:
    host = machine.host
    for kind, number, options in (
        (P_ALL, 0, 0), (P_ALL, 0, os.WNOHANG), (P_ALL, 0, os.WEXITED | 0x10), (4, 0, os.WEXITED),
        (P_PID, 0, os.WEXITED), (P_PID, -1, os.WEXITED), (P_PGID, -1, os.WEXITED), (P_PIDFD, -1, os.WEXITED),
    ):  # fmt: skip
        assert error_of(wait_id, host, kind, number, options) == "EINVAL", (kind, number, options)
    assert error_of(wait_id, host, P_PIDFD, 99, os.WEXITED) == "EBADF"
    raw = bytearray(8)
    host.pipe2(raw, 0)
    assert error_of(wait_id, host, P_PIDFD, raw[0], os.WEXITED) == "EBADF"  # no descriptor of a process


@booted
def test_usage_of_the_child_comes_with_it(machine: Machine) -> None:
    host = machine.host

    def busy(program: Program) -> None:
        for _ in range(50):
            program.getpid()

    child = host.fork(busy)
    status, usage = bytearray(4), bytearray(144)
    assert host.wait4(child, status, 0, usage) == child
    seconds_and_micros = struct.unpack_from("<4q", usage)
    assert sum(seconds_and_micros) > 0
    assert error_of(lambda: host.wait4(host.fork(lambda program: 0), 16, 0, 0)) == "EFAULT"


@booted
def test_a_signal_ends_a_wait_and_a_child_that_nobody_asks_for_does_not(machine: Machine) -> None:
    host = machine.host
    outcomes: list[str] = []

    def parent(program: Program) -> None:
        program.handle(signal.SIGUSR1, lambda program, signo: None)
        quick, slow = program.fork(lambda program: 1), program.fork(sleeper)
        outcomes.append(error_of(wait, program, slow))
        program.kill(slow, signal.SIGKILL)
        assert wait(program, slow) == (slow, signal.SIGKILL) and wait(program, quick) == (quick, 1 << 8)

    child = host.fork(parent)
    host.nanosleep(SECOND, None)
    assert outcomes == []
    host.kill(child, signal.SIGUSR1)
    assert machine.wait(child) == 0 and outcomes == ["EINTR"]
