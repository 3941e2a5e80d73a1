"""Signals from the kernel to large groups, while others act at the safe points; on a booted machine."""

from __future__ import annotations

import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kernel.lib.pid import Pid
from kernel.sched.wait import WaitQueue
from kernel.task import send as send_module
from kernel.task.groups import ProcessGroup, find_group, join, leave
from kernel.task.pids import find_process
from kernel.task.process import Process
from kernel.task.send import GROUP_SENDS, send_to_group
from kernel.task.siginfo import from_kernel
from kernel.task.task import Task, current
from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tools.simulated.machine import Machine
from tools.simulated.program import Program


@contextmanager
def few(count: int) -> Iterator[None]:
    """Let groups be large from fewer members on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(send_module, "_FEW_MEMBERS", count)
        yield


def let_run(machine: Machine) -> None:
    machine.host.nanosleep(struct.pack("<QQ", 0, 10_000_000), None)


def group_of(machine: Machine, count: int) -> tuple[ProcessGroup, list[Process]]:
    host = machine.host
    found: list[Process] = []
    for _ in range(count):
        pid = host.fork(blocking)
        host.setpgid(pid, int(found[0].pid) if found else 0)
        process = find_process(Pid(pid))
        assert process is not None
        found.append(process)
    let_run(machine)
    group = find_group(found[0].pid)
    assert group is not None and group.count == count
    return group, found


def blocking(program: Program) -> None:
    """Sleeps with the signals blocked, so that they stay pending."""
    blocked = 1 << signal.SIGUSR1 - 1 | 1 << signal.SIGUSR2 - 1
    program.rt_sigprocmask(signal.SIG_BLOCK, blocked.to_bytes(8, "little"), None, 8)
    while True:
        program.pause()


def has_it(process: Process, signo: int = signal.SIGUSR1) -> bool:
    return process.pending.mask & 1 << signo - 1 != 0


def end(machine: Machine, processes: list[Process]) -> None:
    for process in processes:
        pid = int(process.pid)
        machine.host.kill(pid, signal.SIGKILL)
        assert machine.wait(pid) == signal.SIGKILL


@booted
def test_all_members_get_it_though_one_leaves_meanwhile(machine: Machine) -> None:
    group, members = group_of(machine, 5)
    with few(2), meanwhile(lambda: end(machine, members[1:3]), 2):
        send_to_group(group, from_kernel(signal.SIGUSR1))
    assert [has_it(process) for process in (members[0], *members[3:])] == [True] * 3
    end(machine, [members[0], *members[3:]])


@booted
def test_a_process_that_joins_meanwhile_gets_it(machine: Machine) -> None:
    group, members = group_of(machine, 4)
    other, (newcomer,) = group_of(machine, 1)
    with few(2), meanwhile(lambda: machine.host.setpgid(int(newcomer.pid), int(group.pgid))):
        send_to_group(group, from_kernel(signal.SIGUSR1))
    assert has_it(newcomer) and other.count == 0
    end(machine, [*members, newcomer])


@booted
def test_a_child_created_meanwhile_gets_what_its_parent_gets_later(machine: Machine) -> None:
    """The running process forks twice: before the signal comes to it, and after."""
    group, members = group_of(machine, 3)
    own = current().process
    old = own.job
    assert old is not None
    children: list[Process] = []

    def fork() -> None:
        process = find_process(Pid(machine.host.fork(blocking)))
        assert process is not None
        children.append(process)
        let_run(machine)

    own.actions.ignored |= 1 << signal.SIGUSR1 - 1 | 1 << signal.SIGUSR2 - 1
    leave(own)
    join(own, group)  # the fourth of four
    with few(2):
        with meanwhile(fork):
            send_to_group(group, from_kernel(signal.SIGUSR1))
        with meanwhile(fork, 4):
            send_to_group(group, from_kernel(signal.SIGUSR2))
    leave(own)
    join(own, old)
    before, after = children
    assert has_it(before) and has_it(before, signal.SIGUSR2) and not has_it(after, signal.SIGUSR2)
    end(machine, [*members, *children])


@booted
def test_one_long_send_at_a_time(machine: Machine) -> None:
    """Numbers tell who has got a signal: the next one waits."""
    group, members = group_of(machine, 3)
    waits: list[bool] = []

    def wait(queue: WaitQueue) -> None:
        assert queue is GROUP_SENDS.others
        waits.append(GROUP_SENDS.is_under_way)
        GROUP_SENDS.end()  # as the other one does

    GROUP_SENDS.begin()
    with few(2), pytest.MonkeyPatch.context() as patch:
        patch.setattr(WaitQueue, "wait", wait)
        send_to_group(group, from_kernel(signal.SIGUSR1))
    assert waits == [True] and not GROUP_SENDS.is_under_way
    assert all(has_it(process) for process in members)
    end(machine, members)


def kill(machine: Machine, group: ProcessGroup) -> None:
    machine.host.kill(-int(group.pgid), signal.SIGUSR1)


def kill_all(machine: Machine, group: ProcessGroup) -> None:
    machine.host.kill(-1, signal.SIGUSR1)


@booted
@pytest.mark.parametrize("send", [kill, kill_all])
def test_kill_reaches_all_though_some_leave_and_come(
    machine: Machine, send: Callable[[Machine, ProcessGroup], None]
) -> None:
    for number in (1, 2, 3):
        group, members = group_of(machine, 5)
        _, (newcomer,) = group_of(machine, 1)

        def act() -> None:
            end(machine, [members[number - 1]])  # noqa: B023
            machine.host.setpgid(int(newcomer.pid), int(group.pgid))  # noqa: B023

        with few(2), meanwhile(act, number):
            send(machine, group)
        rest = [member for member in members if member is not members[number - 1]]
        assert all(has_it(process) for process in (*rest, newcomer))
        assert not GROUP_SENDS.is_under_way
        end(machine, [*rest, newcomer])


@booted
def test_one_that_leaves_and_comes_again_hides_nobody(machine: Machine) -> None:
    """It is the last one then."""
    group, members = group_of(machine, 5)
    other, (newcomer,) = group_of(machine, 1)

    def act() -> None:
        machine.host.setpgid(int(members[1].pid), int(other.pgid))
        machine.host.setpgid(int(members[1].pid), int(group.pgid))

    for is_kill in (False, True):
        with few(2), meanwhile(act, 2):
            if is_kill:
                kill(machine, group)
            else:
                send_to_group(group, from_kernel(signal.SIGUSR1))
        assert all(has_it(process) for process in members)
        for process in members:
            process.pending.clear()
    end(machine, [*members, newcomer])


@booted
def test_kill_fails_only_where_it_reached_nobody(machine: Machine) -> None:
    group, members = group_of(machine, 4)
    refused: list[int] = []

    def may(sender: Task, target: Process, signo: int) -> bool:
        return int(target.pid) not in refused

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(send_module, "may_signal", may)
        for limit in (2, 100):
            with few(limit):
                refused[:] = [int(process.pid) for process in members[1:]]
                kill(machine, group)
                refused.append(int(members[0].pid))
                with pytest.raises(OSError, match="EPERM"):
                    kill(machine, group)
    end(machine, members)
