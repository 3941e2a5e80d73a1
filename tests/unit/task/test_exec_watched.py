"""execve(2) of a program with privilege, while others begin to trace the thread, to filter its calls, or to share its
directory. On a booted machine.
"""

import os
import struct
from collections.abc import Callable

import pytest

from kernel.lib.pid import Pid
from kernel.mm.space import AddressSpace
from kernel.mm.userfault import Births
from kernel.task import exec as execution
from kernel.task import futex_exit
from kernel.task.pids import find_task
from kernel.task.seccomp import FLAG_SYNCHRONIZE, add_filter
from kernel.task.task import Task, current
from kernel.task.tracer import attach
from tests.unit.booted import booted
from tests.unit.task.test_seccomp_threads import ALLOW_ALL, filters_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

NOBODY = 65534
AT_EUID = 12
AT_SECURE = 23
PR_SET_DUMPABLE = 4
CLONE_FS = 0x200
SIGCHLD = 17

# Where execve may sleep once it has read what the file gives
WINDOWS: dict[str, tuple[object, str]] = {
    "lay_out": (execution, "lay_out"),
    "stop_other_threads": (execution, "_stop_other_threads"),
    "separate": (execution, "Separate"),
    "leave_locks": (futex_exit, "leave_locks"),
}
Meanwhile = Callable[[Task, Task], None]  # of the thread in execve and its parent


class Seen:
    """What the program with privilege found."""

    def __init__(self) -> None:
        self.euid: int = -1
        self.vector: dict[int, int] = {}
        self.is_dumpable: bool = False
        self.is_traced: bool = False
        self.filters: int = 0


def run_in_window(machine: Machine, window: str, meanwhile: Meanwhile) -> Seen:
    """Nobody runs root's program, as a child of nobody's."""
    seen = Seen()
    happened: list[str] = []
    owner, name = WINDOWS[window]
    real = getattr(owner, name)

    def other(program: Program) -> int:
        task = current()
        words = struct.unpack(f"<{len(task.space.auxiliary_vector) // 8}Q", task.space.auxiliary_vector)
        seen.euid = program.geteuid()
        seen.vector = dict(zip(words[::2], words[1::2], strict=True))
        seen.is_dumpable = task.process.is_dumpable
        seen.is_traced = task.tracee is not None
        seen.filters = filters_of(task)
        return 5

    machine.install("/bin/other", other)
    machine.host.chmod("/bin/other", 0o4755)

    def grandchild(program: Program) -> None:
        program.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        parent = find_task(Pid(program.getppid()))
        assert parent is not None
        task = current()

        def interrupted(*arguments: object) -> object:
            meanwhile(task, parent)
            happened.append(window)
            return real(*arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, interrupted)
            program.execve("/bin/other", [b"other"], [])

    def child(program: Program) -> int:
        program.setresuid(NOBODY, NOBODY, NOBODY)
        pid = program.fork(grandchild)
        status = bytearray(4)
        assert program.wait4(pid, status, 0, 0) == pid
        return os.waitstatus_to_exitcode(int.from_bytes(status, "little"))

    assert os.waitstatus_to_exitcode(machine.run(child)) == 5
    assert happened == [window]
    return seen


@pytest.mark.parametrize("window", WINDOWS)
@booted
def test_who_is_traced_meanwhile_gets_nothing(machine: Machine, window: str) -> None:
    seen = run_in_window(machine, window, lambda task, parent: attach(parent, task, is_seized=True, options=0))
    assert seen.is_traced and seen.euid == seen.vector[AT_EUID] == NOBODY
    assert seen.vector[AT_SECURE] == 1  # as on Linux: the file asked for more
    assert seen.is_dumpable


@pytest.mark.parametrize("window", ["lay_out", "stop_other_threads"])
@booted
def test_who_is_filtered_meanwhile_gets_nothing(machine: Machine, window: str) -> None:
    """Another thread of the process synchronizes its filters, and has no_new_privs."""

    def synchronize(task: Task, _: Task) -> None:
        other = Task(task.tid, task.process, b"other", task.credentials)
        other.settings.no_new_privileges = True
        task.process.threads[Pid(999)] = other
        try:
            add_filter(other, ALLOW_ALL, FLAG_SYNCHRONIZE)
        finally:
            task.process.threads.pop(Pid(999))

    seen = run_in_window(machine, window, synchronize)
    assert seen.filters == 1 and seen.euid == seen.vector[AT_EUID] == NOBODY
    assert seen.vector[AT_SECURE] == 0
    assert seen.is_dumpable


@pytest.mark.parametrize("window", WINDOWS)
@booted
def test_who_is_left_alone_gets_it(machine: Machine, window: str) -> None:
    seen = run_in_window(machine, window, lambda task, parent: None)
    assert seen.euid == seen.vector[AT_EUID] == 0 and seen.vector[AT_SECURE] == 1
    assert not seen.is_dumpable


@booted
def test_nobody_begins_to_share_the_directory_meanwhile(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread's execve(2) begins while clone(2) copies memory."""
    fork = AddressSpace.fork

    def child(program: Program) -> int:
        def begins(space: AddressSpace, births: Births | None) -> AddressSpace:
            current().fs.executions += 1
            return fork(space, births)

        monkeypatch.setattr(AddressSpace, "fork", begins)
        with pytest.raises(BlockingIOError):
            program.clone(CLONE_FS | SIGCHLD, 0, 0, 0, 0)
        assert current().fs.users == 1
        return 0

    assert machine.run(child) == 0
