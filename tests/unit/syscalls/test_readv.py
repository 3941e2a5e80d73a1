"""Transfers in pieces and at offsets (kernel/syscalls/readv.py, read_write.py), on a booted machine."""

import os
import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

FAULTY = 16  # an address without memory
FAR = 1 << 47  # no address of a program
MOST = (1 << 63) - 1
APPEND, NOAPPEND, DSYNC, UNKNOWN = 16, 32, 2, 0x1000
PAGE = 4096
NULL_DEVICE = 0x103
NOWAIT = 8
FULL_DEVICE = 1 << 8 | 7


def vector(*pieces: tuple[int, int]) -> bytes:
    return b"".join(struct.pack("<Qq", *piece) for piece in pieces)


def new_file(program: Program, data: bytes = b"0123456789", flags: int = os.O_RDWR) -> int:
    made = program.open("/tmp/file", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    program.write(made, data, len(data))
    program.close(made)
    return program.open("/tmp/file", flags)


def content(program: Program, descriptor: int) -> bytes:
    out = bytearray(100)
    return bytes(out[: program.pread64(descriptor, out, 100, 0)])


def memory(program: Program, data: bytes = b"") -> int:
    place = program.mmap(0, PAGE, 3, 0x22, -1, 0)
    program.store(place, data)
    return place


def pipe(program: Program) -> tuple[int, int]:
    ends = bytearray(8)
    program.pipe2(ends, os.O_NONBLOCK)
    reader, writer = struct.unpack("<ii", ends)
    return reader, writer


@booted
def test_pieces_are_filled_in_their_order(machine: Machine) -> None:
    host = machine.host
    descriptor = new_file(host)
    place = memory(host)
    assert host.readv(descriptor, vector((place + 8, 3), (place, 0), (place, 4)), 3) == 7
    assert host.load(place, 4) == b"3456"
    assert host.load(place + 8, 3) == b"012"
    assert host.preadv(descriptor, vector((place, 2)), 1, 8, 0) == 2
    assert host.load(place, 2) == b"89"


@booted
def test_pieces_are_written_in_their_order(machine: Machine) -> None:
    host = machine.host
    descriptor = new_file(host)
    place = memory(host, b"abcdef")
    assert host.writev(descriptor, vector((place + 4, 2), (place, 2)), 2) == 4
    assert host.pwritev(descriptor, vector((place + 2, 2)), 1, 8, 0) == 2
    assert content(host, descriptor) == b"efab4567cd"


@booted
def test_flags_of_a_write(machine: Machine) -> None:
    host = machine.host
    descriptor = new_file(host, flags=os.O_RDWR | os.O_APPEND)
    place = memory(host, b"x")
    one = vector((place, 1))
    assert host.pwritev2(descriptor, one, 1, 0, 0, NOAPPEND | DSYNC) == 1
    assert content(host, descriptor) == b"x123456789"
    descriptor = new_file(host)
    assert host.pwritev2(descriptor, one, 1, 0, 0, APPEND) == 1
    assert content(host, descriptor) == b"0123456789x"
    for flags, error in ((UNKNOWN, "ENOTSUP"), (APPEND | NOAPPEND, "EINVAL")):
        with pytest.raises(OSError, match=error):
            host.pwritev2(descriptor, one, 1, 0, 0, flags)
    with pytest.raises(OSError, match="ENOTSUP"):
        host.preadv2(descriptor, one, 1, -1, 0, UNKNOWN)


@booted
def test_what_moves_nothing_is_not_looked_at_further(machine: Machine) -> None:
    host = machine.host
    nothing = vector((0, 0))
    directory = host.open("/tmp", os.O_RDONLY | os.O_DIRECTORY)
    assert host.readv(directory, nothing, 1) == 0
    assert host.preadv(directory, nothing, 1, 0, 0) == 0
    assert host.preadv2(directory, nothing, 1, -1, 0, UNKNOWN) == 0
    event = host.eventfd2(0, os.O_NONBLOCK)
    assert host.readv(event, nothing, 1) == 0
    assert host.writev(event, FAULTY, 0) == 0
    assert host.pwritev2(new_file(host), nothing, 1, 0, 0, UNKNOWN) == 0
    with pytest.raises(OSError, match="EISDIR"):
        host.read(directory, FAULTY, 0)


@booted
def test_lengths_are_checked_before_addresses(machine: Machine) -> None:
    host = machine.host
    descriptor = new_file(host)
    for call in (host.readv, host.writev):
        with pytest.raises(OSError, match="EINVAL"):
            call(descriptor, vector((FAR, 1), (0, -1)), 2)
        with pytest.raises(OSError, match="EFAULT"):
            call(descriptor, vector((FAR, 1)), 1)
        with pytest.raises(OSError, match="EINVAL"):
            call(descriptor, FAULTY, 1025)
        with pytest.raises(OSError, match="EFAULT"):
            call(descriptor, FAULTY, 1)


@booted
def test_no_memory_is_as_large_as_a_length_below_zero(machine: Machine) -> None:
    host = machine.host
    descriptor = new_file(host)
    for length in (-1, -MOST):
        with pytest.raises(OSError, match="EFAULT"):
            host.read(descriptor, FAULTY, length)
        with pytest.raises(OSError, match="EFAULT"):
            host.write(descriptor, FAULTY, length)
        with pytest.raises(OSError, match="EFAULT"):
            host.pread64(descriptor, FAULTY, length, 0)


@booted
def test_streams_have_no_offsets(machine: Machine) -> None:
    """That comes even before the question whether they may be read."""
    host = machine.host
    reader, writer = pipe(host)
    for descriptor in (reader, writer, host.eventfd2(0, 0), host.socket(1, 1, 0), host.epoll_create1(0)):
        for call in (host.pread64, host.pwrite64, host.preadv, host.pwritev):
            with pytest.raises(OSError, match="ESPIPE"):
                call(descriptor, FAULTY, 99_999, 0)
            with pytest.raises(OSError, match="EINVAL"):
                call(descriptor, FAULTY, 99_999, -1)
        for other in (host.preadv2, host.pwritev2):
            with pytest.raises(OSError, match="ESPIPE"):
                other(descriptor, FAULTY, 99_999, 0, 0, UNKNOWN)
    with pytest.raises(OSError, match="EBADF"):
        host.preadv2(writer, FAULTY, 1, -1, 0, UNKNOWN)


@booted
def test_who_may_not_read_or_write(machine: Machine) -> None:
    host = machine.host
    writer = new_file(host, flags=os.O_WRONLY)
    reader = new_file(host, flags=os.O_RDONLY)
    for descriptor in (writer, 999, host.open("/tmp/file", os.O_PATH)):
        for call in (host.pread64, host.preadv):
            with pytest.raises(OSError, match="EBADF"):
                call(descriptor, FAULTY, 1, 0)
    for descriptor in (reader, 999):
        for call in (host.pwrite64, host.pwritev):
            with pytest.raises(OSError, match="EBADF"):
                call(descriptor, FAULTY, 1, 0)


@booted
def test_the_last_position(machine: Machine) -> None:
    host = machine.host
    descriptor = new_file(host)
    for count in (1, 2):
        with pytest.raises(OSError, match="EINVAL"):
            host.pread64(descriptor, bytearray(2), count, MOST)
    assert host.pread64(descriptor, bytearray(2), 0, MOST) == 0


@booted
def test_devices_ignore_the_offset(machine: Machine) -> None:
    host = machine.host
    host.mknod("/tmp/null", 0o020666, NULL_DEVICE)
    null = host.open("/tmp/null", os.O_RDWR)
    assert host.pread64(null, bytearray(1), 1, 5) == 0
    assert host.pwrite64(null, b"x", 1, 5) == 1
    assert host.pwritev2(null, vector((memory(host), 1)), 1, 5, 0, 0) == 1
    assert host.preadv2(null, vector((memory(host), 1)), 1, 5, 0, NOWAIT) == 0
    assert host.pwritev2(null, vector((memory(host), 1)), 1, 5, 0, NOWAIT) == 1
    host.mknod("/tmp/full", 0o020666, FULL_DEVICE)
    full = host.open("/tmp/full", os.O_RDWR)
    for call in (host.preadv2, host.pwritev2):
        with pytest.raises(OSError, match="ENOTSUP"):
            call(full, vector((memory(host), 1)), 1, 5, 0, NOWAIT)
