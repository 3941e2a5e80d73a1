"""Copying between files in the kernel (kernel/syscalls/sendfile.py, splice.py), on a booted machine."""

import os
import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

FAULTY = 16  # an address without memory
NONBLOCK = 2
UNKNOWN = 16
DATA = b"0123456789"
BEFORE = struct.pack("<q", -1)
LAST = struct.pack("<q", (1 << 63) - 1)


def new_file(program: Program, path: str = "/tmp/source", flags: int = os.O_RDWR) -> int:
    made = program.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    program.write(made, DATA, len(DATA))
    program.close(made)
    return program.open(path, flags)


def pipe(program: Program, data: bytes = b"") -> tuple[int, int]:
    ends = bytearray(8)
    program.pipe2(ends, os.O_NONBLOCK)
    reader, writer = struct.unpack("<ii", ends)
    if data:
        program.write(writer, data, len(data))
    return reader, writer


def receive(program: Program, descriptor: int) -> bytes:
    out = bytearray(100)
    return bytes(out[: program.read(descriptor, out, 100)])


@booted
def test_sendfile_moves_the_offset_that_it_is_given(machine: Machine) -> None:
    host = machine.host
    source = new_file(host)
    reader, writer = pipe(host)
    offset = bytearray(struct.pack("<q", 3))
    assert host.sendfile(writer, source, offset, 4) == 4
    assert struct.unpack("<q", offset)[0] == 7
    assert host.lseek(source, 0, os.SEEK_CUR) == 0
    assert host.sendfile(writer, source, None, 2) == 2
    assert host.lseek(source, 0, os.SEEK_CUR) == 2
    assert receive(host, reader) == b"345601"


@booted
def test_errors_of_sendfile_come_in_the_order_of_linux(machine: Machine) -> None:
    host = machine.host
    source = new_file(host)
    reader, writer = pipe(host)
    for arguments, error in (
        ((999, 999, FAULTY, 1), "EFAULT"),
        ((999, 999, BEFORE, 1), "EBADF"),
        ((999, source, BEFORE, 1), "EINVAL"),
        ((999, source, LAST, 2), "EINVAL"),
        ((999, source, None, -1), "EINVAL"),
        ((999, reader, BEFORE, 1), "ESPIPE"),
        ((999, source, None, 1), "EBADF"),
        ((reader, source, None, 1), "EBADF"),
        ((new_file(host, "/tmp/target", os.O_RDWR | os.O_APPEND), source, None, 1), "EINVAL"),
        ((writer, reader, None, 1), "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            host.sendfile(*arguments)
    assert host.sendfile(writer, reader, None, 0) == 0  # nothing can be moved from anywhere to a pipe
    directory = host.open("/tmp", os.O_RDONLY)
    target = new_file(host, "/tmp/other")
    assert host.sendfile(target, directory, None, 0) == 0  # … and from a directory to anywhere
    with pytest.raises(OSError, match="EINVAL"):
        host.sendfile(target, directory, None, 1)


@booted
def test_files_are_copied(machine: Machine) -> None:
    host = machine.host
    source = new_file(host)
    target = new_file(host, "/tmp/target")
    offset = bytearray(struct.pack("<q", 8))
    assert host.copy_file_range(source, offset, target, None, 100, 0) == 2
    assert struct.unpack("<q", offset)[0] == 10
    assert receive(host, target) == DATA[2:]
    host.lseek(target, 0, os.SEEK_SET)
    assert receive(host, target) == b"89" + DATA[2:]


@booted
def test_errors_of_copying_come_in_the_order_of_linux(machine: Machine) -> None:
    host = machine.host
    source = new_file(host)
    target = new_file(host, "/tmp/target")
    for arguments, error in (
        ((999, FAULTY, target, FAULTY, 1, 1), "EBADF"),
        ((source, FAULTY, 999, FAULTY, 1, 1), "EBADF"),
        ((source, FAULTY, target, None, 1, 1), "EFAULT"),
        ((source, None, target, FAULTY, 1, 1), "EFAULT"),
        ((source, BEFORE, target, None, 1, 1), "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            host.copy_file_range(*arguments)


@booted
def test_splice_moves_through_a_pipe(machine: Machine) -> None:
    host = machine.host
    source = new_file(host)
    target = new_file(host, "/tmp/target")
    reader, writer = pipe(host)
    assert host.splice(source, bytearray(struct.pack("<q", 4)), writer, None, 3, 0) == 3
    assert host.splice(reader, None, target, None, 99, 0) == 3
    host.lseek(target, 0, os.SEEK_SET)
    assert receive(host, target) == b"456" + DATA[3:]


@booted
def test_a_size_between_pipes_has_no_sign(machine: Machine) -> None:
    host = machine.host
    reader, writer = pipe(host, b"abc")
    other_reader, other_writer = pipe(host)
    assert host.tee(reader, other_writer, -1, 0) == 3
    assert receive(host, other_reader) == b"abc"
    assert host.splice(reader, None, other_writer, None, -1, 0) == 3
    assert receive(host, other_reader) == b"abc"
    with pytest.raises(OSError, match="EINVAL"):
        host.splice(new_file(host), None, writer, None, -1, 0)


@booted
def test_errors_of_splice_come_in_the_order_of_linux(machine: Machine) -> None:
    host = machine.host
    source = new_file(host)
    reader, writer = pipe(host)
    appending = new_file(host, "/tmp/target", os.O_RDWR | os.O_APPEND)
    event = host.eventfd2(0, 0)
    assert host.splice(999, FAULTY, 999, FAULTY, 0, UNKNOWN) == 0
    for arguments, error in (
        ((999, FAULTY, 999, FAULTY, 1, UNKNOWN), "EINVAL"),
        ((999, FAULTY, 999, FAULTY, -1, 0), "EBADF"),
        ((writer, FAULTY, reader, None, 1, 0), "ESPIPE"),
        ((source, FAULTY, reader, FAULTY, 1, 0), "ESPIPE"),
        ((source, FAULTY, source, None, 1, 0), "EFAULT"),
        ((source, None, source, FAULTY, -1, 0), "EFAULT"),
        ((writer, None, source, BEFORE, -1, 0), "EBADF"),
        ((source, None, reader, None, -1, 0), "EBADF"),
        ((source, None, source, None, 1, 0), "EINVAL"),
        ((reader, None, writer, None, 1, 0), "EINVAL"),
        ((reader, None, appending, None, 1, NONBLOCK), "EINVAL"),
        ((source, BEFORE, writer, None, 1, NONBLOCK), "EINVAL"),
        ((source, LAST, writer, None, 2, NONBLOCK), "EINVAL"),
        ((reader, None, source, LAST, 2, NONBLOCK), "EINVAL"),
        ((reader, None, event, bytes(8), 1, NONBLOCK), "EINVAL"),
        ((reader, None, source, None, 1, NONBLOCK), "EAGAIN"),
    ):
        with pytest.raises(OSError, match=error):
            host.splice(*arguments)


@booted
def test_errors_of_tee_come_in_the_order_of_linux(machine: Machine) -> None:
    host = machine.host
    source = new_file(host)
    reader, writer = pipe(host)
    assert host.tee(999, 999, 0, 0) == 0
    for arguments, error in (
        ((999, 999, 0, UNKNOWN), "EINVAL"),
        ((999, 999, 1, 0), "EBADF"),
        ((writer, reader, 1, 0), "EBADF"),
        ((source, reader, 1, 0), "EBADF"),
        ((source, writer, 1, 0), "EINVAL"),
        ((reader, writer, 1, 0), "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            host.tee(*arguments)
