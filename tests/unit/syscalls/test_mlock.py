"""mlock(2), munlock(2), mlockall(2), on a booted machine."""

from __future__ import annotations

import re
import struct

import pytest

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096
CURRENT, FUTURE, ON_FAULT = 1, 2, 4
PRIVATE_ANONYMOUS = 0x22


def memory(program: Program, pages: int) -> int:
    return program.mmap(0, pages * PAGE, 3, PRIVATE_ANONYMOUS, -1, 0)


def resident(program: Program, address: int, pages: int) -> list[bool]:
    """mincore(2)."""
    raw = bytearray(pages)
    program.mincore(address, pages * PAGE, raw)
    return [each & 1 == 1 for each in raw]


def locked_pages(program: Program) -> int:
    """VmLck of /proc/self/status."""
    descriptor = program.open("/proc/self/status", 0)
    raw = bytearray(4000)
    text = bytes(raw[: program.read(descriptor, raw, 4000)])
    program.close(descriptor)
    found = re.search(rb"VmLck:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) // 4


def with_proc(machine: Machine) -> Program:
    machine.host.mkdir("/proc", 0o755)
    machine.host.mount("proc", "/proc", "proc", 0, None)
    return machine.host


@booted
def test_locked_pages_are_there(machine: Machine) -> None:
    host = with_proc(machine)
    address = memory(host, 4)
    assert resident(host, address, 4) == [False] * 4
    host.mlock(address + PAGE + 5, PAGE)  # of two pages it names a part
    assert resident(host, address, 4) == [False, True, True, False]
    assert locked_pages(host) == 2
    host.munlock(address + PAGE, PAGE)
    assert locked_pages(host) == 1 and resident(host, address, 4) == [False, True, True, False]
    host.munmap(address, 4 * PAGE)
    assert locked_pages(host) == 0


@booted
def test_locked_when_they_are_touched(machine: Machine) -> None:
    host = with_proc(machine)
    address = memory(host, 2)
    host.mlock2(address, 2 * PAGE, 1)
    assert resident(host, address, 2) == [False] * 2 and locked_pages(host) == 2
    assert error_of(host.mlock2, address, PAGE, 2) == "EINVAL"


@booted
def test_holes(machine: Machine) -> None:
    host = with_proc(machine)
    address = memory(host, 3)
    host.munmap(address + PAGE, PAGE)
    assert error_of(host.mlock, address, 3 * PAGE) == "ENOMEM"
    assert error_of(host.munlock, address, 3 * PAGE) == "ENOMEM"
    assert host.mlock(address, 0) == 0
    assert error_of(host.mlock, -PAGE, 2 * PAGE) == "EINVAL"  # it wraps


@booted
def test_everything_now_and_from_now_on(machine: Machine) -> None:
    host = with_proc(machine)
    before = memory(host, 2)
    for flags in (0, ON_FAULT, 8):
        assert error_of(host.mlockall, flags) == "EINVAL"
    host.mlockall(FUTURE)
    assert resident(host, before, 2) == [False] * 2
    assert resident(host, memory(host, 2), 2) == [True] * 2
    host.mlockall(FUTURE | ON_FAULT)
    assert resident(host, memory(host, 2), 2) == [False] * 2
    host.mlockall(CURRENT)
    assert resident(host, before, 2) == [True] * 2
    some = locked_pages(host)
    assert some >= 6
    memory(host, 2)
    assert locked_pages(host) == some, "the last call did not ask for future ones"
    host.munlockall()
    assert locked_pages(host) == 0


@booted
def test_a_child_inherits_no_locks(machine: Machine) -> None:
    host = with_proc(machine)
    host.mlock(memory(host, 3), 3 * PAGE)
    assert machine.run(locked_pages) == 0
    assert locked_pages(host) == 3


@pytest.mark.parametrize(("limit", "error"), [(0, "EPERM"), (2 * PAGE, "ENOMEM"), (3 * PAGE, "")])
@booted
def test_the_limit_of_users(machine: Machine, limit: int, error: str) -> None:
    def plain(program: Program) -> None:
        address = memory(program, 3)
        program.prlimit64(0, 8, struct.pack("<QQ", limit, limit), None)  # RLIMIT_MEMLOCK
        program.setresuid(1000, 1000, 1000)
        assert error_of(program.mlock, address, 3 * PAGE) == error
        assert error_of(program.mlockall, CURRENT) == ("EPERM" if limit == 0 else "ENOMEM")
        if limit > 0:
            assert program.mlock(address, 2 * PAGE) == 0
            assert program.mlock(address + PAGE, PAGE) == 0, "what is locked already does not count twice"

    assert machine.run(plain) == 0
