"""A system call that follows a chain of objects and writes to a program's memory."""

import errno
import struct

import pytest

from tools.project_tests import Machine
from tools.simulated.program import Program


def ancestors(program: Program, room: int) -> tuple[int, list[int]]:
    buffer = bytearray(4 * room)
    count = program.call("ancestors", buffer, room)
    return count, list(struct.unpack(f"<{room}I", buffer))


def test_process_1_has_none(machine: Machine) -> None:
    assert ancestors(machine.host, 2) == (0, [0, 0])


def test_a_grandchild(machine: Machine) -> None:
    seen: list[tuple[int, list[int]]] = []
    parents: list[int] = []

    def child(program: Program) -> int:
        parents.append(program.getpid())
        pid = program.fork(grandchild)
        program.call("wait4", pid, None, 0, None)
        return 0

    def grandchild(program: Program) -> int:
        seen.append(ancestors(program, 3))
        seen.append(ancestors(program, 1))
        return 0

    assert machine.run(child) == 0
    assert seen == [(2, [parents[0], 1, 0]), (2, [parents[0]])]


def test_a_bad_place(machine: Machine) -> None:
    def child(program: Program) -> int:
        for buffer, count, error in ((0, 1, errno.EFAULT), (0, -1, errno.EINVAL)):
            with pytest.raises(OSError) as caught:
                program.call("ancestors", buffer, count)
            assert caught.value.errno == error
        return program.call("ancestors", 0, 0)  # nothing is written

    assert machine.run(child) == 1 << 8
