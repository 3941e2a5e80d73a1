"""Shared memory segments of System V (shmget(2), shmat(2), shmctl(2)), on a booted machine."""

from __future__ import annotations

import signal
import struct

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CREATE, EXCLUSIVE = 0o1000, 0o2000
READ_ONLY, ROUND, REPLACE, EXECUTE = 0o10000, 0o20000, 0o40000, 0o100000
REMOVE, SET, STATUS, LOCK, UNLOCK, STATUS_AT, USAGE = 0, 1, 2, 11, 12, 13, 14
REMOVED, LOCKED = 0o1000, 0o2000
PAGE = 4096


def make(program: Program, size: int = 2 * PAGE, mode: int = 0o600, key: int = 0) -> int:
    return program.shmget(key, size, CREATE | mode)


def status(program: Program, segment: int) -> dict[str, int]:
    raw = bytearray(112)
    program.shmctl(segment, STATUS, raw)
    found = {"mode": struct.unpack_from("<I", raw, 20)[0], "size": struct.unpack_from("<Q", raw, 48)[0]}
    found["creator"], found["last"], found["attached"] = struct.unpack_from("<iiQ", raw, 80)
    return found


@booted
def test_attachments_see_the_same_memory(machine: Machine) -> None:
    host = machine.host
    segment = make(host)
    first, second = host.shmat(segment, 0, 0), host.shmat(segment, 0, READ_ONLY)
    host.store(first + PAGE, b"seen")
    assert host.load(second + PAGE, 4) == b"seen" and host.load(second, 4) == bytes(4)

    def writer(program: Program) -> None:
        program.store(second, b"x")

    assert machine.run(writer) == signal.SIGSEGV
    assert status(host, segment)["attached"] == 2
    host.shmdt(first)
    assert status(host, segment)["attached"] == 1 and host.load(second + PAGE, 4) == b"seen"
    assert error_of(host.shmdt, first) == "EINVAL"
    assert error_of(host.shmdt, second + PAGE) == "EINVAL"  # it does not begin there


@booted
def test_a_child_inherits_attachments_and_gives_them_back(machine: Machine) -> None:
    host = machine.host
    segment = make(host)
    host.shmat(segment, 0, 0)
    seen: list[int] = []
    child = host.fork(lambda program: seen.append(status(program, segment)["attached"]))
    assert machine.wait(child) == 0 and seen == [2]
    assert status(host, segment)["attached"] == 1


@booted
def test_a_removed_segment_lives_until_its_last_attachment_goes(machine: Machine) -> None:
    host = machine.host
    segment = make(host, key=7)
    address = host.shmat(segment, 0, 0)
    host.store(address, b"kept")
    host.shmctl(segment, REMOVE, 0)
    assert status(host, segment)["mode"] == 0o600 | REMOVED
    assert error_of(host.shmget, 7, 0, 0) == "ENOENT", "its key is free"
    other = host.shmat(segment, 0, 0)  # by its number it is still found
    host.shmdt(address)
    assert host.load(other, 4) == b"kept"
    host.shmdt(other)
    assert error_of(host.shmat, segment, 0, 0) == "EINVAL"
    raw = bytearray(48)
    host.shmctl(0, USAGE, raw)
    assert struct.unpack_from("<i", raw)[0] == 0 and struct.unpack_from("<q", raw, 8)[0] == 0


@booted
def test_sizes_and_keys(machine: Machine) -> None:
    host = machine.host
    for size in (0, -1):
        assert error_of(make, host, size) == "EINVAL"
    assert error_of(make, host, (1 << 46) + 1) == "ENOMEM"  # less than shmmax, more than can be mapped
    segment = make(host, 5000, key=9)
    assert status(host, segment)["size"] == 5000
    assert host.shmget(9, 5000, 0) == segment == host.shmget(9, 0, 0)
    assert error_of(host.shmget, 9, 5001, 0) == "EINVAL"
    assert error_of(host.shmget, 9, 0, CREATE | EXCLUSIVE) == "EEXIST"
    assert error_of(host.shmget, 10, PAGE, 0o600) == "ENOENT"
    raw = bytearray(48)
    host.shmctl(0, USAGE, raw)
    assert struct.unpack_from("<q", raw, 8)[0] == 2, "pages, whole ones"


@booted
def test_places(machine: Machine) -> None:
    host = machine.host
    segment = make(host)
    taken = host.mmap(0, 4 * PAGE, 3, 0x22, -1, 0)
    assert error_of(host.shmat, segment, taken + 1, 0) == "EINVAL"
    assert error_of(host.shmat, segment, taken, 0) == "EINVAL"  # something is there
    assert host.shmat(segment, taken + PAGE + 1, ROUND | REPLACE) == taken + PAGE
    assert error_of(host.shmat, segment, 0, REPLACE) == "EINVAL"
    assert error_of(host.shmat, segment, 1, ROUND | REPLACE) == "EINVAL"  # rounded to nothing
    assert error_of(host.shmat, segment, 1 << 47, REPLACE) == "ENOMEM"
    assert error_of(host.shmat, -1, 0, 0) == "EINVAL" == error_of(host.shmat, segment + 1, 0, 0)


@booted
def test_an_attachment_in_pieces_goes_as_one(machine: Machine) -> None:
    host = machine.host
    segment = make(host, 3 * PAGE)
    address = host.shmat(segment, 0, 0)
    host.munmap(address + PAGE, PAGE)
    assert status(host, segment)["attached"] == 2, "each area is one"
    host.shmdt(address)
    assert status(host, segment)["attached"] == 0
    assert error_of(host.munmap, address, PAGE) == "" and error_of(host.shmdt, address) == "EINVAL"


@booted
def test_who_may(machine: Machine) -> None:
    host = machine.host
    segment = make(host, mode=0o604)
    locked = status(host, segment)["mode"] | LOCKED
    host.shmctl(segment, LOCK, 0)
    assert status(host, segment)["mode"] == locked

    def stranger(program: Program) -> None:
        program.setresgid(1000, 1000, 1000)
        program.setresuid(1000, 1000, 1000)
        assert error_of(program.shmat, segment, 0, 0) == "EACCES"
        assert program.shmat(segment, 0, READ_ONLY) > 0
        for command in (REMOVE, LOCK, UNLOCK):
            assert error_of(program.shmctl, segment, command, 0) == "EPERM"
        assert error_of(program.shmctl, segment, SET, bytes(112)) == "EPERM"

    assert machine.run(stranger) == 0
    assert status(host, segment)["last"] != host.getpid(), "the stranger detached it last, by its end"
    raw = bytearray(112)
    host.shmctl(segment, STATUS, raw)
    struct.pack_into("<I", raw, 4, 1000)
    struct.pack_into("<I", raw, 20, 0o400)
    host.shmctl(segment, SET, raw)

    def owner(program: Program) -> None:
        program.setresuid(1000, 1000, 1000)
        assert error_of(program.shmat, segment, 0, 0) == "EACCES"
        program.shmctl(segment, UNLOCK, 0)
        program.shmctl(segment, REMOVE, 0)

    assert machine.run(owner) == 0
    assert error_of(host.shmctl, segment, STATUS, raw) == "EINVAL"
