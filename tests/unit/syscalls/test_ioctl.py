"""Commands of ioctl(2) that all files know (kernel/syscalls/ioctl_any_file.py), on a booted machine."""

import os
import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

FAULTY = 16  # an address without memory
CLONE, CLONE_RANGE, JOIN_EQUAL = 0x40049409, 0x4020940D, 0xC0189436
BLOCK_SIZE, SET_FLAGS, MAP_EXTENTS, IDENTITY = 2, 0x40086602, 0xC020660B, 0x80111500
RESERVE, PUNCH, ZERO = 0x4030582A, 0x4030582B, 0x40305839


def new_file(program: Program, path: str = "/tmp/file") -> int:
    descriptor = program.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    program.write(descriptor, b"0123456789", 10)
    return descriptor


def pipe(program: Program) -> tuple[int, int]:
    ends = bytearray(8)
    program.pipe2(ends, 0)
    reader, writer = struct.unpack("<ii", ends)
    return reader, writer


@booted
def test_arguments_are_checked_before_the_kind_of_file(machine: Machine) -> None:
    host = machine.host
    reader, _ = pipe(host)
    for command, argument, error in (
        (BLOCK_SIZE, FAULTY, "EFAULT"),
        (SET_FLAGS, FAULTY, "EFAULT"),
        (SET_FLAGS, struct.pack("<Q", 0), "ENOTTY"),
        (MAP_EXTENTS, FAULTY, "ENOTSUP"),
        (IDENTITY, FAULTY, "ENOTTY"),
        (CLONE, 999, "EBADF"),
        (CLONE, reader, "EINVAL"),
        (CLONE_RANGE, FAULTY, "EFAULT"),
        (JOIN_EQUAL, FAULTY, "EFAULT"),
        (JOIN_EQUAL, bytes(24), "EINVAL"),
        (ZERO, FAULTY, "ENOTTY"),
    ):
        with pytest.raises(OSError, match=error):
            host.ioctl(reader, command, argument)
    size = bytearray(4)
    assert host.ioctl(reader, BLOCK_SIZE, size) == 0
    assert struct.unpack("<i", size)[0] == 4096


@booted
def test_no_file_system_shares_blocks(machine: Machine) -> None:
    host = machine.host
    file = new_file(host)
    directory = host.open("/tmp", os.O_RDONLY)
    reading = host.open("/tmp/file", os.O_RDONLY)
    for target, command, argument, error in (
        (file, CLONE, 999, "EBADF"),
        (file, CLONE, pipe(host)[0], "EXDEV"),
        (file, CLONE, directory, "EISDIR"),
        (directory, CLONE, file, "EISDIR"),
        (reading, CLONE, file, "EBADF"),
        (file, CLONE, reading, "ENOTSUP"),
        (file, CLONE_RANGE, struct.pack("<qQQQ", 999, 0, 0, 0), "EBADF"),
        (file, CLONE_RANGE, struct.pack("<qQQQ", reading, 0, 0, 0), "ENOTSUP"),
        (file, JOIN_EQUAL, struct.pack("<QQHHI", 0, 0, 1000, 0, 0), "ENOMEM"),
        (file, JOIN_EQUAL, struct.pack("<QQHHI", 0, 0, 0, 1, 0), "EINVAL"),
        (file, JOIN_EQUAL, struct.pack("<QQHHI", 0, 0, 0, 0, 1), "EINVAL"),
        (directory, JOIN_EQUAL, bytes(24), "EISDIR"),
        (file, JOIN_EQUAL, bytes(24), "ENOTSUP"),
    ):
        with pytest.raises(OSError, match=error):
            host.ioctl(target, command, argument)


@booted
def test_space_is_reserved_as_by_fallocate(machine: Machine) -> None:
    host = machine.host
    file = new_file(host)
    for command, argument, error in (
        (ZERO, FAULTY, "EFAULT"),
        (ZERO, struct.pack("<hhqq24x", 0, 9, 0, 4), "EINVAL"),
        (ZERO, struct.pack("<hh4xqq24x", 0, 0, 0, 0), "EINVAL"),
        (ZERO, struct.pack("<hh4xqq24x", 0, 2, -11, 4), "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            host.ioctl(file, command, argument)
    host.ioctl(file, RESERVE, struct.pack("<hh4xqq24x", 0, 2, 0, 4096))
    assert host.lseek(file, 0, os.SEEK_END) == 10
    host.ioctl(file, PUNCH, struct.pack("<hh4xqq24x", 0, 2, -8, 4))
    with pytest.raises(OSError, match="ENOTSUP"):  # of this file system
        host.ioctl(file, ZERO, struct.pack("<hh4xqq24x", 0, 0, 8, 1))
    found = bytearray(10)
    assert host.pread64(file, found, 10, 0) == 10
    assert found == b"01\0\0\0\0" + b"6789"


@booted
def test_an_instance_of_tmpfs_keeps_its_identity(machine: Machine) -> None:
    host = machine.host
    first, again = bytearray(17), bytearray(17)
    host.ioctl(new_file(host), IDENTITY, first)
    host.ioctl(host.open("/tmp", os.O_RDONLY), IDENTITY, again)
    assert first == again
    assert first[0] == 16
    assert any(first[1:])


@booted
def test_directories_in_memory_are_sought_by_offset_only(machine: Machine) -> None:
    host = machine.host
    directory = host.open("/tmp", os.O_RDONLY)
    assert host.lseek(directory, 0, os.SEEK_CUR) == 0
    for whence in (os.SEEK_END, os.SEEK_DATA, os.SEEK_HOLE):
        with pytest.raises(OSError, match="EINVAL"):
            host.lseek(directory, 0, whence)
