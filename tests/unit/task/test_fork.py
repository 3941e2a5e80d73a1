"""Threads that are created while others of their process act, on a booted machine. Copying the descriptors sleeps: so
this is where the others act.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from kernel.fs.descriptors import FileTable
from kernel.lang import EEXIST, ERESTARTNOINTR, Errno
from kernel.lib.pid import Pid
from kernel.task.fork import CLONE_SIGHAND, CLONE_THREAD, CLONE_VM, CloneArguments, clone
from kernel.task.groups import ProcessGroup
from kernel.task.pids import register_task, unregister_task
from kernel.task.task import Task, current
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CHOSEN = Pid(999)


def another(task: Task) -> Task:
    return Task(CHOSEN, task.process, b"another", task.credentials)


def thread_while(act: Callable[[Task], None], numbers: list[int] | None = None) -> list[Task]:
    """Create a thread, and act while its descriptors are copied. The threads that were started. Raises Errno."""
    task = current()
    copy = FileTable.copy
    started: list[Task] = []
    arguments = CloneArguments(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, 0)
    arguments.numbers = numbers

    def late(self: FileTable) -> FileTable:
        act(task)
        return copy(self)

    def start(child: Task, parent: Task) -> None:
        started.append(child)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileTable, "copy", late)
        patch.setattr("kernel.task.fork.start_thread", start)
        clone(task, arguments)
    return started


@booted
def test_a_number_is_taken_meanwhile(machine: Machine) -> None:
    def child(program: Program) -> int:
        task = current()
        other = another(task)

        def take(parent: Task) -> None:
            register_task(other)
            task.process.threads[CHOSEN] = other

        with pytest.raises(Errno) as raised:
            thread_while(take, [int(CHOSEN)])
        assert raised.value.code == EEXIST
        assert task.process.threads.pop(CHOSEN) is other
        unregister_task(other)
        return 0

    assert machine.run(child) == 0


@booted
def test_another_thread_executes_a_program_meanwhile(machine: Machine) -> None:
    def child(program: Program) -> int:
        task = current()

        def execute(parent: Task) -> None:
            task.process.exec_task = another(task)

        with pytest.raises(Errno) as raised:
            thread_while(execute)
        assert raised.value.code == ERESTARTNOINTR
        task.process.exec_task = None
        return 0

    assert machine.run(child) == 0


@booted
def test_a_long_send_to_the_group_reaches_the_process_meanwhile(machine: Machine) -> None:
    """It began before: the child is to get the signal with its parent, and would count as one that has it."""

    def child(program: Program) -> int:
        process = current().process

        def reach(parent: Task) -> None:
            process.stop.group_send += 1

        with pytest.raises(Errno) as raised:
            thread_while(reach)
        assert raised.value.code == ERESTARTNOINTR
        return 0

    assert machine.run(child) == 0


@booted
def test_the_process_is_moved_to_another_group_meanwhile(machine: Machine) -> None:
    """Which may have got a signal before the child is there."""

    def child(program: Program) -> int:
        process = current().process
        group = process.job
        assert group is not None

        def move(parent: Task) -> None:
            process.job = ProcessGroup(CHOSEN, group.owner)

        with pytest.raises(Errno) as raised:
            thread_while(move)
        assert raised.value.code == ERESTARTNOINTR
        process.job = group
        return 0

    assert machine.run(child) == 0


@booted
def test_the_process_is_stopped_meanwhile(machine: Machine) -> None:
    def child(program: Program) -> int:
        task = current()

        def stop(parent: Task) -> None:
            task.process.stop.signal = signal.SIGSTOP

        (thread,) = thread_while(stop)
        task.process.stop.signal = 0
        assert thread.interrupted
        task.process.threads.pop(thread.tid)
        unregister_task(thread)
        return 0

    assert machine.run(child) == 0
