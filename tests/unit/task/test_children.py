"""Waiting for children, while others act where it sleeps; on a booted machine."""

from __future__ import annotations

import os
import signal

import pytest

from kernel.lib.pid import Pid
from kernel.sched.wait import WaitQueue
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.pids import find_process
from kernel.task.task import Task, current
from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tools.simulated.machine import Machine
from tools.simulated.program import Program

P_ALL = 0
P_PID = 1
P_PGID = 2
P_PIDFD = 3
WNOHANG = 1
WSTOPPED = 2
WEXITED = 4
WNOTHREAD = 0x2000_0000


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
    process = find_process(Pid(pid))
    assert process is not None
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


def let_run(machine: Machine) -> None:
    machine.host.nanosleep(bytes(8) + (1_000_000).to_bytes(8, "little"), None)


def found_by_wait(machine: Machine, kind: int, number: int, options: int) -> int:
    """The number of the process that waitid(2) reports, which is reaped if it has ended; 0 for none."""
    information = bytearray(128)
    machine.host.waitid(kind, number, information, options, 0)
    return int.from_bytes(information[16:20], "little")


def searches(machine: Machine) -> list[tuple[int, int, int]]:
    """Calls that look at all children: by group, for stops, and for those of one thread."""
    group = machine.host.getpgid(0)
    return [(P_PGID, group, WEXITED), (P_ALL, 0, WEXITED | WSTOPPED), (P_ALL, 0, WEXITED | WNOTHREAD)]


@booted
def test_a_search_goes_on_where_children_leave(machine: Machine) -> None:
    host = machine.host
    for kind, number, options in searches(machine):
        for left_behind in range(3):
            children = [host.fork(pausing) for _ in range(4)]
            last = children.pop()
            ended = children.pop(left_behind)
            let_run(machine)

            def leave() -> None:
                host.kill(ended, signal.SIGKILL)  # noqa: B023
                assert machine.wait(ended) == signal.SIGKILL  # noqa: B023
                host.kill(last, signal.SIGKILL)  # noqa: B023
                let_run(machine)

            current().process.stop.has_news = True
            with meanwhile(leave, 2):
                assert found_by_wait(machine, kind, number, options) == last
            for pid in children:
                host.kill(pid, signal.SIGKILL)
                assert machine.wait(pid) == signal.SIGKILL


@booted
def test_a_child_that_ends_after_it_was_looked_at_is_found(machine: Machine) -> None:
    """It told of its end while the search went on, so the caller does not sleep."""
    host = machine.host
    for kind, number, options in searches(machine):
        children = [host.fork(pausing) for _ in range(4)]
        let_run(machine)

        def end() -> None:
            host.kill(children[0], signal.SIGKILL)  # noqa: B023
            let_run(machine)

        current().process.stop.has_news = True
        with meanwhile(end, 3):
            assert found_by_wait(machine, kind, number, options) == children[0]
        for pid in children[1:]:
            host.kill(pid, signal.SIGKILL)
            assert machine.wait(pid) == signal.SIGKILL


@booted
def test_a_search_sees_all_children_leave(machine: Machine) -> None:
    host = machine.host
    for kind, number, options in searches(machine):
        children = [host.fork(pausing) for _ in range(3)]
        let_run(machine)

        def reap_all() -> None:
            for pid in children:  # noqa: B023
                host.kill(pid, signal.SIGKILL)
                assert machine.wait(pid) == signal.SIGKILL

        current().process.stop.has_news = True
        with meanwhile(reap_all, 3), pytest.raises(OSError, match="ECHILD"):
            found_by_wait(machine, kind, number, options)
