"""Inspecting a process that has ended and was not waited for, on a booted machine."""

import os
import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PROCESS, ENDED_AND_LEFT = 1, 0x1000004  # P_PID, WEXITED | WNOWAIT
NEW_NAMES = 0x4000000  # CLONE_NEWUTS
MEMORY = 1  # KCMP_VM


def ended_child(program: Program) -> int:
    child = program.fork(lambda _: 0)
    program.waitid(PROCESS, child, bytearray(128), ENDED_AND_LEFT, None)
    return child


def check(program: Program, child: int, expected: str) -> None:
    descriptor = program.pidfd_open(child, 0)
    for kinds, error in ((0, "EINVAL"), (1, "EINVAL"), (NEW_NAMES, expected)):
        with pytest.raises(OSError, match=error):
            program.setns(descriptor, kinds)
    with pytest.raises(OSError, match=expected):
        program.pidfd_getfd(descriptor, 0, 0)


@booted
def test_root_finds_nothing_left(machine: Machine) -> None:
    child = ended_child(machine.host)
    check(machine.host, child, "ESRCH")
    assert machine.host.kcmp(child, child, MEMORY, 0, 0) == 0
    assert machine.wait(child) == 0


@booted
def test_what_was_closed_to_its_user_stays_closed(machine: Machine) -> None:
    def child(program: Program) -> None:
        program.setuid(1000)  # from here on it cannot be inspected, nor can its children
        ended = ended_child(program)
        check(program, ended, "EPERM")
        with pytest.raises(OSError, match="EPERM"):
            program.kcmp(ended, ended, MEMORY, 0, 0)
        piece = struct.pack("<QQ", program.frame.rsp - 4096, 1)
        with pytest.raises(OSError, match="ESRCH"):  # there is no memory to forbid
            program.process_vm_readv(ended, piece, 1, piece, 1, 0)
        program.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE
        ended = ended_child(program)
        check(program, ended, "ESRCH")
        assert program.kcmp(ended, ended, MEMORY, 0, 0) == 0

    assert os.waitstatus_to_exitcode(machine.run(child)) == 0
