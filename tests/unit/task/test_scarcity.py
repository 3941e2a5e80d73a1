"""Calls about processes that find no memory, at whatever place, change nothing and lose nothing."""

from __future__ import annotations

import errno
import signal

import pytest

from kernel.lib.pid import Pid
from kernel.task.pids import find_task
from kernel.task.task import Task
from tests.unit.booted import booted
from tests.unit.scarcity import Scarcity, check_each, each_place
from tools.simulated.code import Main
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CLONE_VM = 0x100
CLONE_FS = 0x200
CLONE_FILES = 0x400
NAMESPACES = {
    "uts": 0x400_0000,
    "ipc": 0x800_0000,
    "mount": 0x2_0000,
    "cgroup": 0x200_0000,
    "time": 0x80,
    "pid": 0x2000_0000,
    "user": 0x1000_0000,
}
P_PID = 1
WEXITED = 4
WNOWAIT = 0x0100_0000
SIG_BLOCK = 0


def task_of(program: Program) -> Task:
    task = find_task(Pid(program.gettid()))
    assert task is not None
    return task


def clone(program: Program, main: Main, flags: int) -> int:
    """clone(2) of a child that goes on with `main`, and ends with its result as its status."""
    program.frame.r15 = program.code.add_main(main)
    try:
        return program.call("clone", flags | signal.SIGCHLD, 0, 0, 0, 0)
    finally:
        program.frame.r15 = 0


def ends(_: Program) -> int:
    return 0


FLAGS = {
    "fork": 0,
    "files": CLONE_FILES | CLONE_FS,
    "memory": CLONE_VM,
}


@pytest.mark.parametrize("name", FLAGS)
@booted
def test_a_child(machine: Machine, name: str) -> None:
    check_each(lambda: clone(machine.host, ends, FLAGS[name]), machine.wait, fewest=20)


@booted
def test_a_session(machine: Machine) -> None:
    """A process that cannot start one is where it was, and can later."""

    def attempt(scarcity: Scarcity) -> None:
        def child(program: Program) -> None:
            before = program.getsid(0), program.getpgid(0)
            try:
                with scarcity:
                    program.setsid()
            except OSError as error:
                assert error.errno == errno.ENOMEM
                assert (program.getsid(0), program.getpgid(0)) == before
                program.setsid()
            assert program.getsid(0) == program.getpgid(0) == program.getpid()

        assert machine.run(child) == 0

    each_place(attempt, fewest=3)


@booted
def test_a_group(machine: Machine) -> None:
    def attempt(scarcity: Scarcity) -> None:
        def child(program: Program) -> None:
            own = program.setsid()
            waits = program.fork(lambda other: other.pause())
            for target in (waits, own):
                before = program.getpgid(waits)
                try:
                    with scarcity:
                        program.setpgid(waits, target)
                except OSError as error:
                    assert error.errno == errno.ENOMEM
                    assert program.getpgid(waits) == before
                    program.setpgid(waits, target)
                assert program.getpgid(waits) == target
            program.kill(waits, signal.SIGKILL)
            program.wait4(waits, 0, 0, 0)

        assert machine.run(child) == 0

    each_place(attempt, fewest=2)


@pytest.mark.parametrize("name", ["wait4", "waitid"])
@booted
def test_a_wait(machine: Machine, name: str) -> None:
    """A child that could not be reported to its parent is still there."""

    def attempt(scarcity: Scarcity) -> None:
        host = machine.host
        pid = host.fork(lambda _: 3)
        host.waitid(P_PID, pid, bytearray(128), WEXITED | WNOWAIT, 0)
        status, usage, report = bytearray(4), bytearray(144), bytearray(128)
        try:
            with scarcity:
                if name == "wait4":
                    assert host.wait4(pid, status, 0, usage) == pid
                else:
                    host.waitid(P_PID, pid, report, WEXITED, usage)
        except OSError as error:
            assert error.errno == errno.ENOMEM
            assert host.wait4(pid, status, 1, 0) == pid, scarcity.where

    each_place(attempt, fewest=2)


@pytest.mark.parametrize("name", ["rt_sigtimedwait", "read"])
@booted
def test_a_signal(machine: Machine, name: str) -> None:
    """What could not be reported is still pending."""
    mask = (1 << signal.SIGUSR1 - 1).to_bytes(8, "little")

    def child(program: Program) -> None:
        program.rt_sigprocmask(SIG_BLOCK, mask, 0, 8)
        descriptor = program.signalfd4(-1, mask, 8, 0)

        def take() -> None:
            if name == "read":
                program.read(descriptor, bytearray(128), 128)
            else:
                program.rt_sigtimedwait(mask, bytearray(128), 0, 8)

        def attempt(scarcity: Scarcity) -> None:
            program.kill(program.getpid(), signal.SIGUSR1)
            try:
                with scarcity:
                    take()
            except OSError as error:
                assert error.errno == errno.ENOMEM
                pending = bytearray(8)
                program.rt_sigpending(pending, 8)
                assert bytes(pending) == mask, scarcity.where
                take()

        each_place(attempt)

    assert machine.run(child) == 0


@pytest.mark.parametrize("kind", NAMESPACES)
@booted
def test_unshare(machine: Machine, kind: str) -> None:
    """A process that cannot leave its namespaces is in all of them."""
    flags = NAMESPACES[kind]

    def attempt(scarcity: Scarcity) -> None:
        def child(program: Program) -> None:
            task = task_of(program)
            before = task.namespaces, task.credentials, task.fs.namespace
            try:
                with scarcity:
                    program.unshare(flags)
            except OSError as error:
                assert error.errno == errno.ENOMEM
                assert (task.namespaces, task.credentials, task.fs.namespace) == before
                program.unshare(flags)

        assert machine.run(child) == 0

    each_place(attempt, fewest=2)


@pytest.mark.parametrize("kind", [kind for kind in NAMESPACES if kind != "pid"])
@booted
def test_setns(machine: Machine, kind: str) -> None:
    """A process that cannot enter another namespace is where it was."""
    machine.host.mkdir("/tmp/proc", 0o755)
    machine.host.mount("none", "/tmp/proc", "proc", 0, 0)
    name = {"mount": "mnt", "time": "time_for_children"}.get(kind, kind)

    def attempt(scarcity: Scarcity) -> None:
        def child(program: Program) -> None:
            task = task_of(program)
            array = bytearray(8)
            program.pipe2(array, 0)
            reading, writing = (int.from_bytes(array[i : i + 4], "little") for i in (0, 4))

            def other(neighbour: Program) -> None:
                neighbour.unshare(NAMESPACES[kind])
                neighbour.close(writing)
                neighbour.pause()

            pid = program.fork(other)
            program.close(writing)
            program.read(reading, bytearray(1), 1)  # until the other has left
            descriptor = program.open(f"/tmp/proc/{pid}/ns/{name}", 0)
            before = task.namespaces, task.credentials, task.fs.namespace
            try:
                with scarcity:
                    program.setns(descriptor, 0)
            except OSError as error:
                assert error.errno == errno.ENOMEM
                assert (task.namespaces, task.credentials, task.fs.namespace) == before
            program.kill(pid, signal.SIGKILL)
            program.wait4(pid, 0, 0, 0)

        assert machine.run(child) == 0

    each_place(attempt, fewest=1)


@booted
def test_a_wait_for_a_signal(machine: Machine) -> None:
    """A thread that cannot wait has its own mask again."""
    mask = (1 << signal.SIGUSR1 - 1).to_bytes(8, "little")
    briefly = bytes(8) + (1000).to_bytes(8, "little")

    def child(program: Program) -> None:
        program.rt_sigprocmask(SIG_BLOCK, mask, 0, 8)

        def attempt(scarcity: Scarcity) -> None:
            with pytest.raises(OSError) as caught, scarcity:
                program.rt_sigtimedwait(mask, 0, briefly, 8)
            assert caught.value.errno == (errno.ENOMEM if scarcity.where else errno.EAGAIN)
            blocked = bytearray(8)
            program.rt_sigprocmask(SIG_BLOCK, 0, blocked, 8)
            assert bytes(blocked) == mask

        each_place(attempt)

    assert machine.run(child) == 0
