"""A system call that looks at its caller's address space."""

import errno

import pytest

from tools.project_tests import Machine
from tools.simulated.program import Program

PAGE = 4096
MAP_PRIVATE_ANONYMOUS = 0x22


def pages(program: Program) -> tuple[int, int]:
    """Those in memory, and all."""
    buffer = bytearray(8)
    present = program.call("resident", buffer)
    return present, int.from_bytes(buffer, "little")


def test_pages_come_when_they_are_touched(machine: Machine) -> None:
    def child(program: Program) -> int:
        pages(program)  # so that the stack is there
        present, mapped = pages(program)
        place = program.call("mmap", 0, 100 * PAGE, 3, MAP_PRIVATE_ANONYMOUS, -1, 0)
        assert pages(program) == (present, mapped + 100)
        for number in (0, 7, 99):
            program.store(place + number * PAGE, b"x")
        assert pages(program) == (present + 3, mapped + 100)
        program.call("munmap", place + 7 * PAGE, PAGE)
        assert pages(program) == (present + 2, mapped + 99)
        return 0

    assert machine.run(child) == 0


def test_a_bad_place(machine: Machine) -> None:
    with pytest.raises(OSError) as caught:
        machine.host.call("resident", 1 << 40)
    assert caught.value.errno == errno.EFAULT
