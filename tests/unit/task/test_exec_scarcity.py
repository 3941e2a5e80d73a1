"""execve(2) where memory runs out when there is no way back: the process is killed."""

import os
import signal
from typing import NoReturn

import pytest

from kernel.fs.descriptors import FileTable
from kernel.lib.pid import Pid
from kernel.task import exec as execution
from kernel.task.actions import SignalActions
from kernel.task.namespace_set import NamespaceSet
from kernel.task.pids import find_task
from kernel.task.task import Task
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CLONE_NEWTIME = 0x80
NOBODY = 65534

COPIES: dict[str, tuple[object, str]] = {
    "files": (FileTable, "copy"),
    "namespaces": (NamespaceSet, "copy"),
    "actions": (SignalActions, "copy"),
}
STEPS = ("note_peak", "enter_time", "forget_dispatch", "update_interrupted", "write_stack")
PLACES = COPIES | {step: (execution, step) for step in STEPS}


@pytest.mark.parametrize("place", PLACES)
@booted
def test_who_cannot_become_another_program_is_killed(machine: Machine, place: str) -> None:
    """It does not go on, least of all with the rights of the program that it was to become."""
    machine.install("/bin/other", lambda program: 5)
    machine.host.chmod("/bin/other", 0o4755)
    tasks: list[Task] = []
    failures: list[str] = []
    came_back: list[int] = []

    def fail(*_: object) -> None:
        failures.append(place)
        raise MemoryError

    def child(program: Program) -> None:
        program.unshare(CLONE_NEWTIME)
        program.setresuid(NOBODY, NOBODY, NOBODY)
        task = find_task(Pid(program.getpid()))
        assert task is not None
        tasks.append(task)
        task.files.users += 1  # as if another process had them, too
        owner, name = PLACES[place]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, fail)
            program.execve("/bin/other", [b"other"], [])
        came_back.append(program.geteuid())

    status = machine.run(child)
    assert failures == [place] and came_back == []
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert (int(tasks[0].credentials.euid) == NOBODY) == (place in COPIES)


@booted
def test_without_want_it_begins(machine: Machine) -> None:
    """The same with memory: it has the rights of its file, and is in the namespace that it made."""
    seen: list[tuple[int, bool]] = []

    def other(program: Program) -> int:
        task = find_task(Pid(program.getpid()))
        assert task is not None
        namespaces = task.namespaces
        seen.append((program.geteuid(), namespaces.time is namespaces.time_for_children))
        return 5

    machine.install("/bin/other", other)
    machine.host.chmod("/bin/other", 0o4755)

    def child(program: Program) -> None:
        program.unshare(CLONE_NEWTIME)
        program.setresuid(NOBODY, NOBODY, NOBODY)
        program.execve("/bin/other", [b"other"], [])

    assert os.waitstatus_to_exitcode(machine.run(child)) == 5
    assert seen == [(0, True)]


@booted
def test_the_file_of_a_program_for_which_there_is_no_memory_is_closed(machine: Machine) -> None:
    """It can be written afterwards."""
    host = machine.host
    machine.install("/bin/other", lambda program: 5)

    def fail(path: bytes) -> NoReturn:
        raise MemoryError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="ENOMEM"):
        patch.setattr(execution, "program_name", fail)
        host.execve("/bin/other", [b"other"], [])
    host.close(host.open("/bin/other", os.O_WRONLY, 0))
