"""Calls about very many signals, processes or locks let others run in between (kernel/lib/pace.py)."""

import importlib
import os
import signal
import struct
from collections.abc import Callable

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

BLOCK = 0
USER1 = struct.pack("<Q", 1 << signal.SIGUSR1 - 1)
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_PEEKSIGINFO = 0x4206, 0x4207, 0x4209
SHARED = 1
OF_USER = 2
SETLK = 6
WRITE = 1


def nice_values(host: Program) -> None:
    host.getpriority(OF_USER, 0)


def wait_by_descriptor(host: Program) -> None:
    host.rt_sigprocmask(BLOCK, USER1, None, 8)
    signals = host.signalfd4(-1, USER1, 8, 0)
    host.kill(host.getpid(), signal.SIGUSR1)
    assert host.read(signals, bytearray(128), 128) == 128


def signals_of_others(host: Program) -> None:
    def wait(program: Program) -> None:
        program.rt_sigprocmask(BLOCK, USER1, None, 8)
        program.pause()

    child = host.fork(wait)
    host.nanosleep(struct.pack("<QQ", 0, 10_000_000), None)
    host.ptrace(PTRACE_SEIZE, child, 0, 0)
    host.kill(child, signal.SIGUSR1)
    host.ptrace(PTRACE_INTERRUPT, child, 0, 0)
    host.wait4(child, bytearray(4), 0x40000000, None)
    place = host.mmap(0, 4096, 3, 0x22, -1, 0)
    assert host.ptrace(PTRACE_PEEKSIGINFO, child, struct.pack("<QIi", 0, SHARED, 4), place) == 1


def lock_twice(host: Program) -> None:
    file = host.open("/tmp/locked", os.O_CREAT | os.O_RDWR, 0o600)
    for start in (0, 10):
        host.fcntl(file, SETLK, struct.pack("<hhqqi", WRITE, 0, start, 1, 0))


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("kernel.task.pids", nice_values),
        ("kernel.syscalls.signalfd", wait_by_descriptor),
        ("kernel.syscalls.ptrace_records", signals_of_others),
        ("kernel.fs.locks", lock_twice),
    ],
)
@booted
def test_safe_points(machine: Machine, module: str, call: Callable[[Program], None]) -> None:
    costs: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module(module), "pace", costs.append)
        call(machine.host)
    assert costs
