"""Waiting for children, while others act where it sleeps; on a booted machine."""

from __future__ import annotations

import os
import signal

import pytest

from kernel.lib.pid import Pid
from kernel.sched.wait import WaitQueue
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.task import Task, current
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

P_PID = 1
P_PIDFD = 3
WNOHANG = 1
WEXITED = 4


def pausing(program: Program) -> None:
    program.pause()


def ending(program: Program) -> int:
    return 5


def outlive_its_number(machine: Machine, kind: int, first: int, named: int) -> None:
    """Wait for a child, which another thread reaps meanwhile; then another child gets its number."""
    host = machine.host
    sleep = WaitQueue.sleep

    def others(queue: WaitQueue, interruptible: bool = True) -> None:
        patch.undo()
        host.kill(first, signal.SIGKILL)
        assert machine.wait(first) == signal.SIGKILL
        FIRST_PID.last = first - 1
        assert host.fork(ending) == first

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WaitQueue, "sleep", others)
        with pytest.raises(OSError, match="ECHILD"):
            host.waitid(kind, named, bytearray(128), WEXITED, 0)
    assert WaitQueue.sleep is sleep
    assert os.WEXITSTATUS(machine.wait(first)) == 5


@booted
def test_a_wait_by_a_descriptor_reaps_no_later_child_of_the_number(machine: Machine) -> None:
    first = machine.host.fork(pausing)
    outlive_its_number(machine, P_PIDFD, first, machine.host.pidfd_open(first, 0))


@booted
def test_a_wait_by_a_number_reaps_no_later_child_that_gets_it(machine: Machine) -> None:
    first = machine.host.fork(pausing)
    outlive_its_number(machine, P_PID, first, first)


@booted
def test_only_a_tracer_waits_for_a_thread_that_is_not_the_first(machine: Machine) -> None:
    host = machine.host
    pid = host.fork(ending)
    host.nanosleep(bytes(8) + (1_000_000).to_bytes(8, "little"), None)
    process = current().process.family.children[Pid(pid)]
    other = Task(Pid(999), process, b"other", current().credentials)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kernel.syscalls.wait.find_task", lambda tid: other)
        patch.setattr("kernel.task.pidfd.PidFile.living", lambda file: process)
        descriptor = host.pidfd_open(pid, 0)
        file = current().files.find(descriptor)
        assert file is not None
        vars(file)["thread"] = other
        with pytest.raises(OSError, match="ECHILD"):
            host.waitid(P_PIDFD, descriptor, bytearray(128), WEXITED | WNOHANG, 0)
    assert os.WEXITSTATUS(machine.wait(pid)) == 5
