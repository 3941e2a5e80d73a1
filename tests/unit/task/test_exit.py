"""The last steps of a process, while others act where it sleeps; on a booted machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from kernel.lib.pid import Pid
from kernel.task.task import Task, current
from tests.unit.booted import booted
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
