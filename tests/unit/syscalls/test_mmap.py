"""mmap(2), munmap(2), mprotect(2), brk(2), on a booted machine."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Callable

import pytest

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

NONE, READ, WRITE, EXECUTE = 0, 1, 2, 4
SHARED, PRIVATE, SHARED_VALIDATE = 1, 2, 3
FIXED, ANONYMOUS, GROWS_DOWN, LOCKED, HUGE, FIXED_NEW = 0x10, 0x20, 0x100, 0x2000, 0x40000, 0x10_0000
GROWS_DOWN_TOO, GROWS_UP_TOO = 0x0100_0000, 0x0200_0000
PAGE = 4096
USER_END = (1 << 47) - PAGE


def memory(program: Program, pages: int = 4, prot: int = READ | WRITE, flags: int = PRIVATE, where: int = 0) -> int:
    return program.mmap(where, pages * PAGE, prot, flags | ANONYMOUS, -1, 0)


def file_of(program: Program, text: bytes, mode: int = os.O_RDWR) -> int:
    descriptor = program.open("/tmp/mapped", os.O_RDWR | os.O_CREAT, 0o600)
    program.write(descriptor, text, len(text))
    program.close(descriptor)
    return program.open("/tmp/mapped", mode)


def dies_by(machine: Machine, act: Callable[[Program], object]) -> int:
    """The signal that ends a child which does this."""
    return machine.run(lambda program: int(act(program) is None))


@booted
def test_memory_is_zero_and_its_own(machine: Machine) -> None:
    host = machine.host
    private, shared = memory(host), memory(host, flags=SHARED)
    assert host.load(private, PAGE) == bytes(PAGE)

    def child(program: Program) -> None:
        program.store(private, b"child")
        program.store(shared, b"child")

    assert machine.run(child) == 0
    assert host.load(private, 5) == bytes(5) and host.load(shared, 5) == b"child"


@booted
def test_a_file_is_shared_or_copied(machine: Machine) -> None:
    host = machine.host
    text = bytes(range(256)) * 20
    descriptor = file_of(host, text)
    shared = host.mmap(0, len(text), READ | WRITE, SHARED, descriptor, 0)
    private = host.mmap(0, PAGE, READ | WRITE, PRIVATE, descriptor, PAGE)
    assert host.load(shared, len(text)) == text and host.load(private, 1024) == text[PAGE:]
    host.store(private, b"private")
    host.store(shared, b"shared")
    raw = bytearray(len(text))
    host.pread64(descriptor, raw, len(raw), 0)
    assert raw == b"shared" + text[6:]
    assert host.load(shared + len(text), 8) == bytes(8), "the rest of the last page is zero"

    def beyond(program: Program) -> None:
        program.load(program.mmap(0, 2 * PAGE, READ, SHARED, descriptor, 2 * PAGE), 1)

    assert dies_by(machine, beyond) == signal.SIGBUS


@booted
def test_the_way_of_opening_bounds_a_mapping(machine: Machine) -> None:
    host = machine.host
    reading, writing = file_of(host, b"text", os.O_RDONLY), file_of(host, b"text", os.O_WRONLY)
    assert error_of(host.mmap, 0, PAGE, READ | WRITE, SHARED, reading, 0) == "EACCES"
    assert error_of(host.mmap, 0, PAGE, WRITE, SHARED, writing, 0) == "EACCES"
    address = host.mmap(0, PAGE, READ, SHARED, reading, 0)
    assert error_of(host.mprotect, address, PAGE, READ | WRITE) == "EACCES"
    address = host.mmap(0, PAGE, READ | WRITE, PRIVATE, reading, 0)
    host.store(address, b"mine")
    raw = bytearray(8)
    host.pipe2(raw, 0)
    assert error_of(host.mmap, 0, PAGE, READ, SHARED, raw[0], 0) == "ENODEV"
    assert error_of(host.mmap, 0, PAGE, READ, SHARED, 99, 0) == "EBADF"


@booted
def test_numbers_out_of_range(machine: Machine) -> None:
    host = machine.host
    descriptor = file_of(host, b"text")
    assert error_of(host.mmap, 0, 0, READ, PRIVATE | ANONYMOUS, -1, 0) == "EINVAL"
    assert error_of(host.mmap, 0, -1, READ, PRIVATE | ANONYMOUS, -1, 0) == "ENOMEM"
    assert error_of(host.mmap, 0, 1 << 48, READ, PRIVATE | ANONYMOUS, -1, 0) == "ENOMEM"
    assert error_of(host.mmap, 0, PAGE, READ, PRIVATE, descriptor, 1) == "EINVAL"
    assert error_of(host.mmap, 0, PAGE, READ, ANONYMOUS, -1, 0) == "EINVAL"  # neither shared nor private
    assert error_of(host.mmap, 0, PAGE, READ, SHARED | ANONYMOUS | GROWS_DOWN, -1, 0) == "EINVAL"
    assert error_of(host.mmap, 0, PAGE, READ, SHARED_VALIDATE | 1 << 31, descriptor, 0) == "EOPNOTSUPP"
    assert error_of(host.mmap, 0, PAGE, READ, PRIVATE | HUGE, descriptor, 0) == "EINVAL"


@booted
def test_fixed_places(machine: Machine) -> None:
    host = machine.host
    address = memory(host, 4)
    host.store(address, b"old")
    assert memory(host, 1, where=address, flags=PRIVATE | FIXED) == address
    assert host.load(address, 3) == bytes(3), "what was there is gone"
    assert error_of(memory, host, 1, READ, PRIVATE | FIXED_NEW, address + PAGE) == "EEXIST"
    assert error_of(memory, host, 1, READ, PRIVATE | FIXED, address + 1) == "EINVAL"
    assert error_of(memory, host, 1, READ, PRIVATE | FIXED, USER_END + PAGE) == "ENOMEM"
    host.munmap(address + PAGE, PAGE)
    assert memory(host, 1, READ, PRIVATE | FIXED_NEW, address + PAGE) == address + PAGE
    assert memory(host, 1, where=address) not in range(address, address + 4 * PAGE), "a hint gives way"


@booted
def test_a_hole_in_the_middle(machine: Machine) -> None:
    host = machine.host
    address = memory(host, 3)
    for page in range(3):
        host.store(address + page * PAGE, bytes([page + 1]))
    host.munmap(address + PAGE, 1)
    assert host.load(address, 1) == b"\1" and host.load(address + 2 * PAGE, 1) == b"\3"
    assert dies_by(machine, lambda program: program.load(address + PAGE, 1)) == signal.SIGSEGV
    assert host.munmap(address, 3 * PAGE) == 0, "holes do not matter"
    assert error_of(host.munmap, address + 1, PAGE) == "EINVAL"
    assert error_of(host.munmap, address, 0) == "EINVAL"
    assert error_of(host.munmap, USER_END, 2 * PAGE) == "EINVAL"


@booted
def test_protection_changes_whole_pages(machine: Machine) -> None:
    host = machine.host
    address = memory(host, 3)
    host.store(address, b"kept")
    assert host.mprotect(address + PAGE, 1, READ) == 0
    host.store(address + 2 * PAGE, b"x")
    assert dies_by(machine, lambda program: program.store(address + PAGE, b"x")) == signal.SIGSEGV
    host.mprotect(address, PAGE, NONE)
    assert dies_by(machine, lambda program: program.load(address, 1)) == signal.SIGSEGV
    host.mprotect(address, PAGE, READ)
    assert host.load(address, 4) == b"kept"


@booted
def test_protection_of_what_is_not_there(machine: Machine) -> None:
    host = machine.host
    address = memory(host, 3)
    host.munmap(address + 2 * PAGE, PAGE)
    assert error_of(host.mprotect, address, 3 * PAGE, READ) == "ENOMEM"
    assert dies_by(machine, lambda program: program.store(address, b"x")) == signal.SIGSEGV, "up to the hole it is done"
    assert error_of(host.mprotect, address + 1, PAGE, READ) == "EINVAL"
    assert host.mprotect(address, 0, READ) == 0
    assert error_of(host.mprotect, address, PAGE, 0x10) == "EINVAL"
    assert error_of(host.mprotect, address, PAGE, READ | GROWS_DOWN_TOO) == "EINVAL"  # the area does not grow
    assert error_of(host.mprotect, address, PAGE, READ | GROWS_DOWN_TOO | GROWS_UP_TOO) == "EINVAL"
    assert error_of(host.mprotect, address, -PAGE, READ) == "ENOMEM"


@booted
def test_the_heap_moves_only_where_there_is_room(machine: Machine) -> None:
    host = machine.host
    end = host.brk(0)
    assert host.brk(end + 3 * PAGE) == end + 3 * PAGE
    host.store(end, b"heap")
    assert host.brk(1) == end + 3 * PAGE, "it cannot end before its start"
    assert host.brk(end + PAGE) == end + PAGE
    memory(host, 1, where=(end + 8 * PAGE) & -PAGE, flags=PRIVATE | FIXED)
    assert host.brk(end + 12 * PAGE) == end + PAGE, "another mapping is in its way"
    assert host.load(end, 4) == b"heap"


@pytest.mark.parametrize(("limit", "error"), [(0, "EPERM"), (2 * PAGE, "EAGAIN"), (4 * PAGE, "")])
@booted
def test_locked_memory_has_a_limit(machine: Machine, limit: int, error: str) -> None:
    def plain(program: Program) -> None:
        program.prlimit64(0, 8, struct.pack("<QQ", limit, limit), None)  # RLIMIT_MEMLOCK
        program.setresuid(1000, 1000, 1000)
        assert error_of(memory, program, 4, READ, PRIVATE | LOCKED) == error

    assert machine.run(plain) == 0
