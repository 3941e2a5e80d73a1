"""Calls that go through very many descriptors or processes: others run meanwhile, and some of these end."""

from __future__ import annotations

import signal

from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CLOSE_RANGE_CLOEXEC = 4
F_GETFD = 1
PRIO_USER = 2
IOPRIO_WHO_USER = 3


def pausing(program: Program) -> None:
    program.pause()


@booted
def test_descriptors_are_closed_while_a_range_is_marked(machine: Machine) -> None:
    host = machine.host
    for number in range(10, 40):
        host.dup2(0, number)
    with meanwhile(lambda: host.close(38), 20):
        assert host.close_range(10, 1 << 31, CLOSE_RANGE_CLOEXEC) == 0
    assert [number for number in range(10, 40) if number != 38 and host.fcntl(number, F_GETFD, 0) != 1] == []
    host.dup2(0, 38)
    assert host.fcntl(38, F_GETFD, 0) == 0


@booted
def test_processes_of_a_user_end_while_their_priorities_are_changed(machine: Machine) -> None:
    host = machine.host
    pids = [host.fork(pausing) for _ in range(6)]
    ended = list(pids)

    def end() -> None:
        pid = ended.pop()
        host.kill(pid, signal.SIGKILL)
        assert machine.wait(pid) == signal.SIGKILL

    with meanwhile(end, 3):
        host.setpriority(PRIO_USER, 0, 4)
    with meanwhile(end, 6):
        assert host.getpriority(PRIO_USER, 0) == 20 - 4
    with meanwhile(end, 3):
        host.ioprio_set(IOPRIO_WHO_USER, 0, 2 << 13 | 3)
    with meanwhile(end, 6):
        assert host.ioprio_get(IOPRIO_WHO_USER, 0) == 2 << 13 | 3
    for pid in ended:
        host.kill(pid, signal.SIGKILL)
        assert machine.wait(pid) == signal.SIGKILL
