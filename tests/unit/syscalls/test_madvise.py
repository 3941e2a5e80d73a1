"""Memory that is there already (kernel/syscalls/madvise.py, process_madvise.py), on a booted machine."""

import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096
FAULTY = 16  # an address without memory
FAR = 1 << 47  # no address of a program
PRIVATE, SHARED = 0x22, 0x21
DONTNEED, WIPEONFORK, KEEPONFORK, COLD = 4, 18, 19, 20


def pages(program: Program, count: int, flags: int = PRIVATE) -> int:
    return program.mmap(0, count * PAGE, 3, flags, -1, 0)


def vector(*pieces: tuple[int, int]) -> bytes:
    return b"".join(struct.pack("<Qq", *piece) for piece in pieces)


@booted
def test_which_pages_are_there(machine: Machine) -> None:
    host = machine.host
    place = pages(host, 4)
    host.store(place + PAGE, b"x")
    found = bytearray(4)
    host.mincore(place, 4 * PAGE, found)
    assert found == bytes([0, 1, 0, 0])


@booted
def test_what_lies_before_a_hole_is_told(machine: Machine) -> None:
    host = machine.host
    place = pages(host, 4)
    host.store(place, b"x")
    host.munmap(place + 2 * PAGE, PAGE)
    found = bytearray(b"\7" * 4)
    with pytest.raises(OSError, match="ENOMEM"):
        host.mincore(place, 4 * PAGE, found)
    assert found == bytes([1, 0, 7, 7])
    for arguments, error in (
        ((place + 1, PAGE, FAULTY), "EINVAL"),
        ((place, PAGE, FAULTY), "EFAULT"),
        ((place + 2 * PAGE, PAGE, found), "ENOMEM"),
        ((place, -1, found), "ENOMEM"),
    ):
        with pytest.raises(OSError, match=error):
            host.mincore(*arguments)


@booted
def test_pages_are_given_back(machine: Machine) -> None:
    host = machine.host
    place = pages(host, 1)
    host.store(place, b"x")
    host.madvise(place, PAGE, DONTNEED)
    assert host.load(place, 1) == b"\0"


@booted
def test_pages_that_a_child_does_not_get(machine: Machine) -> None:
    host = machine.host
    place = pages(host, 2)
    host.store(place, b"x")
    host.store(place + PAGE, b"y")
    host.madvise(place, 2 * PAGE, WIPEONFORK)
    host.madvise(place + PAGE, PAGE, KEEPONFORK)

    def child(program: Program) -> None:
        assert program.load(place, 1) == b"\0"
        assert program.load(place + PAGE, 1) == b"y"

    assert machine.run(child) == 0


@booted
def test_any_memory_may_be_kept_but_only_some_wiped(machine: Machine) -> None:
    host = machine.host
    place = pages(host, 1, SHARED)
    assert host.madvise(place, PAGE, KEEPONFORK) == 0
    with pytest.raises(OSError, match="EINVAL"):
        host.madvise(place, PAGE, WIPEONFORK)


@booted
def test_advice_about_another_process(machine: Machine) -> None:
    host = machine.host
    descriptor = host.pidfd_open(1, 0)
    place = pages(host, 2)
    assert host.process_madvise(descriptor, vector((place, PAGE), (place + PAGE, PAGE)), 2, COLD, 0) == 2 * PAGE
    for arguments, error in (
        ((999, FAULTY, 1, 99, 1), "EINVAL"),
        ((999, FAULTY, 1025, 99, 0), "EINVAL"),
        ((999, FAULTY, 1, 99, 0), "EFAULT"),
        ((999, vector((FAR, 1), (0, -1)), 2, 99, 0), "EINVAL"),
        ((999, vector((FAR, PAGE)), 1, 99, 0), "EFAULT"),
        ((999, vector((place, PAGE)), 1, 99, 0), "EBADF"),
        ((descriptor, vector((place, PAGE)), 1, 99, 0), "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            host.process_madvise(*arguments)
