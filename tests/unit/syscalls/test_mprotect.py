"""mprotect(2), pkey_mprotect(2), on a booted machine."""

from __future__ import annotations

import signal

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

READ, WRITE = 1, 2
PRIVATE, ANONYMOUS, GROWS_DOWN = 2, 0x20, 0x100
DOWN_TOO, UP_TOO = 0x0100_0000, 0x0200_0000
PAGE = 4096
USER_END = (1 << 47) - PAGE


def memory(program: Program, pages: int, flags: int = 0) -> int:
    return program.mmap(0, pages * PAGE, READ | WRITE, PRIVATE | ANONYMOUS | flags, -1, 0)


@booted
def test_rights_are_of_whole_pages(machine: Machine) -> None:
    def child(program: Program) -> int:
        start = memory(program, 3)
        program.mprotect(start + PAGE, 1, READ)
        program.store(start, b"before")
        program.store(start + 2 * PAGE, b"after")
        program.store(start + PAGE, b"within")
        return 0

    assert machine.run(child) == signal.SIGSEGV


@booted
def test_what_is_no_range(machine: Machine) -> None:
    host = machine.host
    start = memory(host, 2)
    assert error_of(host.mprotect, start + 1, PAGE, READ) == "EINVAL"
    assert host.mprotect(start, 0, 1 << 20) == 0  # nothing is looked at
    assert error_of(host.mprotect, start, PAGE, 1 << 20) == "EINVAL"
    assert error_of(host.mprotect, start, -1, READ) == "ENOMEM"
    assert error_of(host.mprotect, USER_END, 2 * PAGE, READ) == "ENOMEM"
    assert error_of(host.pkey_mprotect, start, PAGE, READ, 15) == "EINVAL"


@booted
def test_a_range_from_the_start_of_what_grows(machine: Machine) -> None:
    host = machine.host
    plain = memory(host, 2)
    assert error_of(host.mprotect, plain, PAGE, READ | DOWN_TOO) == "EINVAL"
    assert error_of(host.mprotect, plain, PAGE, READ | UP_TOO) == "EINVAL"
    assert error_of(host.mprotect, plain, PAGE, READ | DOWN_TOO | UP_TOO) == "EINVAL"
    whole = memory(host, 8)
    host.munmap(whole, 4 * PAGE)
    assert error_of(host.mprotect, whole, PAGE, READ | DOWN_TOO) == "ENOMEM"  # nothing there
    assert error_of(host.mprotect, whole + 3 * PAGE, 2 * PAGE, READ | UP_TOO) == "ENOMEM"  # nothing at its start
    assert error_of(host.mprotect, whole + 3 * PAGE, 2 * PAGE, READ | DOWN_TOO) == "EINVAL"  # that does not grow
    assert error_of(host.mprotect, USER_END + PAGE, PAGE, READ | DOWN_TOO) == "ENOMEM"
    stack = memory(host, 4, GROWS_DOWN)
    assert host.mprotect(stack + 2 * PAGE, PAGE, READ | DOWN_TOO) == 0

    def write_at(address: int) -> int:
        def child(program: Program) -> int:
            program.store(address, b"x")
            return 0

        return machine.run(child)

    assert write_at(stack + 3 * PAGE) != signal.SIGSEGV
    assert write_at(stack) == write_at(stack + 2 * PAGE) == signal.SIGSEGV
