"""The last steps of a process, while others act where it sleeps; on a booted machine."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest

from kernel.lib.pid import Pid
from kernel.sched import ThreadState
from kernel.sched.scheduler import yield_now
from kernel.task.exit import _GIVE_COST, _KILL_COST, _TOLD_AT_ONCE, exit_task, tell_to_end
from kernel.task.pids import find_process
from kernel.task.process import Process
from kernel.task.send import _WOKEN_AT_ONCE, send_from_kernel, send_to_task
from kernel.task.siginfo import from_kernel
from kernel.task.task import Task, current
from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tools.simulated.machine import Machine
from tools.simulated.program import Program

if TYPE_CHECKING:
    from kernel.fs.file import File


@booted
def test_one_of_two_threads_that_end_at_a_time_is_the_last(machine: Machine) -> None:
    """The other one sleeps on its way: whoever comes later sees to what the process leaves."""
    host = machine.host
    noted: list[Task] = []
    other_tid = Pid(999)

    def note(task: Task) -> None:
        noted.append(task)
        task.process.threads.pop(other_tid)  # the other one has gone on meanwhile
        task.process.ending.leaving -= 1

    def child(program: Program) -> int:
        task = current()
        other = Task(other_tid, task.process, b"other", task.credentials)
        other.is_exiting = True
        task.process.threads[other_tid] = other
        task.process.ending.leaving += 1
        return 3

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kernel.task.exit.note_end", note)
        assert machine.wait(host.fork(child)) == 3 << 8
    assert len(noted) == 1


@booted
def test_the_program_s_file_is_closed_before_the_process_is_a_zombie(machine: Machine) -> None:
    """That may sleep, and a zombie may be reaped at once."""
    seen: list[tuple[bool, bool]] = []

    def child(program: Program) -> None:
        process = current().process

        class Executable:
            def release(self) -> None:
                seen.append((process.ending.is_zombie, process.job is None))

        old = process.executable
        process.executable = cast("File", Executable())
        if old is not None:
            old.release()

    assert machine.run(child) == 0
    assert seen == [(False, False)]


PR_SET_CHILD_SUBREAPER = 36
PTRACE_SEIZE = 0x4206
PTRACE_O_TRACEFORK = 2


def rests_of(patch: pytest.MonkeyPatch, cost: int, act: Callable[[], None]) -> list[int]:
    """The safe points of a loop of the end of a process, by its cost. Others run then, and `act` comes before."""
    rests: list[int] = []

    def rest(instructions: int) -> None:
        if instructions == cost:
            rests.append(instructions)
            if len(rests) == 1:
                act()
            yield_now()

    patch.setattr("kernel.task.exit.pace", rest)
    return rests


def sleeper(program: Program) -> None:
    while True:
        program.pause()


def children_of(program: Program, count: int, into: list[int]) -> None:
    into.extend(program.fork(sleeper) for _ in range(count))


def kill(pid: int) -> None:
    process = find_process(Pid(pid))
    assert process is not None
    send_from_kernel(process, from_kernel(signal.SIGKILL))


def reap(machine: Machine, children: list[int]) -> None:
    for child in children:
        machine.host.kill(child, signal.SIGKILL)
        assert machine.wait(child) == signal.SIGKILL


@booted
def test_a_child_ends_while_its_parent_leaves_the_children(machine: Machine) -> None:
    children: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        rests = rests_of(patch, _GIVE_COST, lambda: kill(children[1]))
        assert machine.wait(machine.host.fork(lambda program: children_of(program, 3, children))) == 0
    assert len(rests) == 3
    reap(machine, children)


@booted
def test_the_new_parent_ends_while_it_gets_the_children(machine: Machine) -> None:
    children: list[int] = []

    def reaper(program: Program) -> None:
        program.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        program.fork(lambda other: children_of(other, 3, children))
        program.pause()

    with pytest.MonkeyPatch.context() as patch:
        first = machine.host.fork(reaper)
        rests = rests_of(patch, _GIVE_COST, lambda: kill(first))
        assert machine.wait(first) == signal.SIGKILL
        assert os.WEXITSTATUS(machine.wait(first + 1)) == 0
    assert len(rests) == 7  # of the middle process, and of the reaper: it passes on that one and what it got
    reap(machine, children)


@booted
def test_a_child_comes_to_a_process_that_leaves_its_children(machine: Machine) -> None:
    """It is a subreaper: the child of a child that ends meanwhile comes to it."""
    children: list[int] = []

    def middle(program: Program) -> None:
        children_of(program, 1, children)
        program.pause()

    def parent(program: Program) -> None:
        program.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        children_of(program, 1, children)
        children.append(program.fork(middle))
        program.nanosleep(struct.pack("<QQ", 0, 10_000_000), None)

    with pytest.MonkeyPatch.context() as patch:
        rests = rests_of(patch, _GIVE_COST, lambda: kill(children[1]))
        assert machine.wait(machine.host.fork(parent)) == 0
    assert len(rests) == 4 and len(children) == 3
    reap(machine, children)


@booted
def test_a_tracee_ends_while_its_tracer_leaves_the_others(machine: Machine) -> None:
    """And what a tracee creates meanwhile has no tracer any more."""
    children: list[int] = []
    host = machine.host
    children_of(host, 3, children)

    def tracer(program: Program) -> None:
        for child in children:
            program.ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACEFORK)

    with pytest.MonkeyPatch.context() as patch:
        rests = rests_of(patch, _KILL_COST, lambda: kill(children[1]))
        assert machine.wait(host.fork(tracer)) == 0
    assert len(rests) in (2, 3)
    for child in children:
        process = find_process(Pid(child))
        assert process is not None and process.leader is not None and process.leader.tracee is None
    reap(machine, children)


@booted
def test_the_last_of_two_threads_leaves_the_relatives(machine: Machine) -> None:
    """The other one has gone while this one left its tracees. An init's namespace ends with it."""
    done: list[str] = []

    def child(program: Program) -> int:
        process = current().process
        process.origin.is_init = True
        (other,) = crowd(process, 1000, 1)
        other.is_exiting = True
        process.ending.leaving += 1

        def release(tracer: Task) -> None:
            if process.threads.pop(other.tid, None) is other:
                process.ending.leaving -= 1
            elif "tracees" not in done:
                done.append("tracees")

        patch.setattr("kernel.task.exit._release_tracees", release)
        patch.setattr("kernel.task.exit.end_with_init", lambda task: done.append("namespace"))
        patch.setattr("kernel.task.exit._hang_up", lambda process: done.append("terminal"))
        return 0

    with pytest.MonkeyPatch.context() as patch:
        assert machine.wait(machine.host.fork(child)) == 0
    assert done == ["namespace", "terminal", "tracees"]


@booted
def test_a_thread_that_is_not_the_last_keeps_the_relatives(machine: Machine) -> None:
    """Though the last one ends, too."""
    done: list[Process] = []

    def child(program: Program) -> int:
        process = current().process
        (other,) = crowd(process, 1000, 1)
        other.is_exiting = True
        process.ending.leaving += 1
        patch.setattr("kernel.task.exit._hang_up", done.append)

        def end(task: Task) -> None:  # the next step
            process.threads.pop(other.tid)
            process.ending.leaving -= 1

        patch.setattr("kernel.task.exit._leave_rules", end)
        return 0

    with pytest.MonkeyPatch.context() as patch:
        assert machine.wait(machine.host.fork(child)) == 0
    assert done == []


def crowd(process: Process, first: int, count: int, state: ThreadState = ThreadState.SLEEPING) -> list[Task]:
    """More threads for a process, which never run."""
    made = []
    for number in range(first, first + count):
        task = Task(Pid(number), process, b"other", current().credentials)
        task.state = state
        process.threads[task.tid] = task
        made.append(task)
    return made


class Wakes:
    """Who is woken to die, and then is ready to run."""

    def __init__(self, patch: pytest.MonkeyPatch, module: str) -> None:
        self.woken: list[Task] = []
        patch.setattr(f"kernel.task.{module}.wake_to_die", self.wake)

    def wake(self, task: Task) -> None:
        task.interrupted = True
        if task.state == ThreadState.SLEEPING:
            task.state = ThreadState.READY
        self.woken.append(task)


@booted
def test_very_many_threads_are_told_to_end_with_safe_points(machine: Machine) -> None:
    """Meanwhile one has gone, another one has begun to end without being told, and one has come."""
    process = current().process
    others = crowd(process, 1000, 4 * _TOLD_AT_ONCE)
    newcomers: list[Task] = []

    def act() -> None:
        process.threads.pop(others[-1].tid)
        others[-2].signals.end_round = process.ending.round
        newcomers.extend(crowd(process, 9000, 1))

    with pytest.MonkeyPatch.context() as patch, meanwhile(act, 2):
        wakes = Wakes(patch, "exit")
        tell_to_end(process, current())
    assert wakes.woken == [*others[:-2], *newcomers]


@booted
def test_threads_are_told_anew_while_they_are_told(machine: Machine) -> None:
    """An execve has others end, and then the process must: those that know are notified again, and none twice."""
    process = current().process
    others = crowd(process, 1000, 4 * _TOLD_AT_ONCE)
    with pytest.MonkeyPatch.context() as patch:
        wakes = Wakes(patch, "exit")
        with meanwhile(lambda: tell_to_end(process, None), 2):
            tell_to_end(process, current())
    assert wakes.woken[2 * _TOLD_AT_ONCE - 1 :] == [current(), *others]


@booted
def test_a_kill_wakes_only_some_of_very_many_threads(machine: Machine) -> None:
    """All notice. Those that no signal wakes do not count: the others end the process."""
    process = find_process(Pid(machine.host.fork(sleeper)))
    assert process is not None
    busy = crowd(process, 1000, 2 * _WOKEN_AT_ONCE, ThreadState.WAITING)
    others = crowd(process, 3000, 2 * _WOKEN_AT_ONCE)
    with pytest.MonkeyPatch.context() as patch:
        wakes = Wakes(patch, "send")
        send_from_kernel(process, from_kernel(signal.SIGKILL))
    assert wakes.woken == [process.leader, *busy, *others[: _WOKEN_AT_ONCE - 1]]
    assert all(task.interrupted for task in [*busy, *others])


@booted
def test_a_kill_of_one_of_very_many_threads_wakes_that_one(machine: Machine) -> None:
    """It alone finds the signal."""
    process = find_process(Pid(machine.host.fork(sleeper)))
    assert process is not None
    others = crowd(process, 1000, 2 * _WOKEN_AT_ONCE)
    with pytest.MonkeyPatch.context() as patch:
        wakes = Wakes(patch, "send")
        send_to_task(others[-1], from_kernel(signal.SIGKILL))
    assert wakes.woken == [others[-1], process.leader, *others[: _WOKEN_AT_ONCE - 1]]


@booted
def test_a_thread_that_ends_with_a_kill_pending_ends_the_process(machine: Machine) -> None:
    """It was woken to take the signal, and others were not."""
    told: list[tuple[Process, int]] = []

    def child(program: Program) -> None:
        process = current().process
        (other,) = crowd(process, 1000, 1)
        other.is_exiting = True
        process.pending.mask |= 1 << signal.SIGKILL - 1
        patch.setattr("kernel.task.exit.end_process", lambda process, status: told.append((process, status)))

        def note(task: Task) -> None:
            process.threads.pop(other.tid, other)

        patch.setattr("kernel.task.exit.finish_vfork", note)
        exit_task(current())

    with pytest.MonkeyPatch.context() as patch:
        pid = machine.host.fork(child)
        process = find_process(Pid(pid))
        machine.wait(pid)
    assert told == [(process, signal.SIGKILL)]
