"""Calls of ptrace(2) whose tracee is killed while the tracer's memory is read, on a booted machine."""

import signal
import struct

import pytest

from kernel.lang import Span, UserAddr, u8
from kernel.lib import user
from kernel.sched import sleep_until
from kernel.task.pids import find_task
from kernel.task.send import send_from_kernel
from kernel.task.siginfo import from_kernel
from kernel.time.clock import monotonic_ns
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

TRACEME, SETREGS, GETREGSET, SETREGSET = 0, 13, 0x4204, 0x4205
GENERAL = 1
REGISTERS_SIZE = 216
WALL = 0x4000_0000


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
