"""Calls of ptrace(2) whose tracee is killed or continued by others meanwhile, on a booted machine."""

import signal
import struct

import pytest

from kernel.lang import Span, UserAddr, u8
from kernel.lib import user
from kernel.sched import Thread, sleep_until
from kernel.sched.scheduler import make_ready
from kernel.task.pids import find_task
from kernel.task.send import send_from_kernel
from kernel.task.siginfo import from_kernel
from kernel.time.clock import monotonic_ns
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

TRACEME, SETREGS, ATTACH, GETREGSET, SETREGSET = 0, 13, 16, 0x4204, 0x4205
GENERAL = 1
REGISTERS_SIZE = 216
WALL = 0x4000_0000
UNTRACED = 2


def stopped_child(host: Program) -> int:
    def child(program: Program) -> None:
        program.ptrace(TRACEME, 0, 0, 0)
        program.kill(program.getpid(), signal.SIGSTOP)

    pid = host.fork(child)
    status = bytearray(4)
    assert host.wait4(pid, status, WALL, None) == pid and status[0] == 0x7F
    return pid


@booted
@pytest.mark.parametrize(
    ("command", "name"),
    [(SETREGS, "read_into"), (SETREGSET, "read_into"), (SETREGSET, "read_i64"), (GETREGSET, "read_i64")],
)
def test_registers_of_a_tracee_that_is_killed(machine: Machine, command: int, name: str) -> None:
    host = machine.host
    pid = stopped_child(host)
    task = find_task(host.task.pids.resolve(pid))
    assert task is not None
    place = host.mmap(0, 4096, 3, 0x22, -1, 0)
    host.store(place, struct.pack("<QQ", place + 64, REGISTERS_SIZE))
    read = getattr(user, name)

    def late(first: Span[u8] | UserAddr, *rest: UserAddr) -> object:
        """The page has to be waited for; meanwhile somebody else kills the tracee."""
        found = read(first, *rest)
        if not task.process.ending.is_exiting:
            send_from_kernel(task.process, from_kernel(signal.SIGKILL))
            while task.stack is not None:
                sleep_until(monotonic_ns() + 1_000_000, interruptible=False)
        return found

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="ESRCH"):
        patch.setattr(user, name, late)
        host.ptrace(command, pid, GENERAL, place)
    status = bytearray(4)
    assert host.wait4(pid, status, WALL, None) == pid and status[0] == signal.SIGKILL


@booted
def test_a_stop_ends_before_its_thread_has_stopped_for_the_tracer(machine: Machine) -> None:
    """`attach` waits for the stop, and nothing else tells it that there will be none: SIGCONT is blocked."""
    host = machine.host

    def child(program: Program) -> None:
        program.rt_sigprocmask(0, struct.pack("<Q", 1 << signal.SIGCONT - 1), None, 8)
        program.kill(program.getpid(), signal.SIGSTOP)
        program.nanosleep(struct.pack("<qq", 1, 0), None)

    pid = host.fork(child)
    status = bytearray(4)
    assert host.wait4(pid, status, UNTRACED, None) == pid and status[0] == 0x7F
    task = find_task(host.task.pids.resolve(pid))
    assert task is not None

    def continue_it(thread: Thread) -> None:
        make_ready(thread)
        send_from_kernel(task.process, from_kernel(signal.SIGCONT))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kernel.task.tracer.make_ready", continue_it)
        host.ptrace(ATTACH, pid, 0, 0)
    assert not task.is_exiting
    assert machine.wait(pid) == 0
