"""Loop devices by their commands (loop(4)): binding, parts of a file, what is written where, and what is refused."""

from __future__ import annotations

import os
import struct

import pytest

from kernel.fs.disks import loop_control
from kernel.fs.disks.loop import FIRST_DEVICES, LO_FLAGS_AUTOCLEAR, LO_FLAGS_PARTSCAN, LO_FLAGS_READ_ONLY, loop_device
from kernel.fs.disks.loop_control import (
    LOOP_CHANGE_FD,
    LOOP_CLR_FD,
    LOOP_CONFIGURE,
    LOOP_CTL_ADD,
    LOOP_CTL_GET_FREE,
    LOOP_CTL_REMOVE,
    LOOP_GET_STATUS64,
    LOOP_SET_BLOCK_SIZE,
    LOOP_SET_CAPACITY,
    LOOP_SET_DIRECT_IO,
    LOOP_SET_FD,
    LOOP_SET_STATUS64,
)
from tests.unit.booted import booted
from tests.unit.syscalls.test_files import read_all, write_new
from tools.simulated.machine import Machine
from tools.simulated.program import Program

SIZE = 64 << 10
BLKGETSIZE64 = 0x8008_1272
INFO = struct.Struct("<QQQQQIIII64s64s32s16s")  # struct loop_info64


def ready(machine: Machine) -> Program:
    """A host with /dev, the first loop devices, and a file /back of letters."""
    host = machine.host
    host.mount("none", "/dev", "devtmpfs", 0, None)
    if loop_device(0) is None:
        loop_control.start()
    write_new(host, "/back", b"abcdefgh" * (SIZE // 8))
    return host


def bound(host: Program, flags: int = os.O_RDWR) -> int:
    """/dev/loop0, which stands for /back."""
    device, back = host.open("/dev/loop0", os.O_RDWR, 0), host.open("/back", flags, 0)
    host.ioctl(device, LOOP_SET_FD, back)
    host.close(back)
    return device


def size_of(host: Program, device: int) -> int:
    answer = bytearray(8)
    host.ioctl(device, BLKGETSIZE64, answer)
    return int.from_bytes(answer, "little")


def info(offset: int = 0, limit: int = 0, flags: int = 0, name: bytes = b"", encryption: int = 0) -> bytearray:
    return bytearray(INFO.pack(0, 0, 0, offset, limit, 0, encryption, 0, flags, name, b"", b"", b""))


def status(host: Program, device: int) -> tuple[int, int, int, int, bytes]:
    """Offset, limit, number, flags and name of a device."""
    answer = bytearray(INFO.size)
    host.ioctl(device, LOOP_GET_STATUS64, answer)
    fields = INFO.unpack(answer)
    return fields[3], fields[4], fields[5], fields[8], fields[9].rstrip(b"\0")


@booted
def test_a_device_stands_for_a_file(machine: Machine) -> None:
    host = ready(machine)
    device = bound(host)
    assert size_of(host, device) == SIZE
    data = bytearray(16)
    assert host.pread64(device, data, 16, 8) == 16 and data == b"abcdefgh" * 2
    host.pwrite64(device, b"WRITTEN!", 8, 4096)
    host.fsync(device)
    assert read_all(host, "/back")[4088:4112] == b"abcdefghWRITTEN!abcdefgh"


@booted
def test_a_part_of_the_file(machine: Machine) -> None:
    host = ready(machine)
    device = bound(host)
    host.ioctl(device, LOOP_SET_STATUS64, info(4096, 8192, name=b"part"))
    assert size_of(host, device) == 8192
    assert status(host, device) == (4096, 8192, 0, 0, b"part")
    host.pwrite64(device, b"X" * 512, 512, 0)
    host.fsync(device)
    assert read_all(host, "/back")[4095:4097] == b"hX"
    with pytest.raises(OSError, match="EINVAL"):
        host.ioctl(device, LOOP_SET_STATUS64, info(encryption=1))


@booted
def test_a_file_that_grows(machine: Machine) -> None:
    host = ready(machine)
    device = bound(host)
    host.truncate("/back", 2 * SIZE)
    assert size_of(host, device) == SIZE
    host.ioctl(device, LOOP_SET_CAPACITY, 0)
    assert size_of(host, device) == 2 * SIZE


@booted
def test_a_file_that_has_become_shorter_reads_as_zeros(machine: Machine) -> None:
    host = ready(machine)
    device = bound(host)
    host.truncate("/back", 4096)
    data = bytearray(8)
    assert host.pread64(device, data, 8, 8192) == 8 and data == bytes(8)


@booted
def test_who_may_write(machine: Machine) -> None:
    host = ready(machine)
    device = bound(host, os.O_RDONLY)
    assert status(host, device)[3] == LO_FLAGS_READ_ONLY
    with pytest.raises(OSError, match="EPERM"):
        host.pwrite64(device, b"X" * 512, 512, 0)


@booted
def test_a_bound_device_is_busy(machine: Machine) -> None:
    host = ready(machine)
    device = bound(host)
    back = host.open("/back", os.O_RDWR, 0)
    with pytest.raises(OSError, match="EBUSY"):
        host.ioctl(device, LOOP_SET_FD, back)
    host.ioctl(device, LOOP_CLR_FD, 0)
    with pytest.raises(OSError, match="ENXIO"):
        host.ioctl(device, LOOP_GET_STATUS64, bytearray(INFO.size))
    host.close(device)
    device = host.open("/dev/loop0", os.O_RDWR, 0)
    assert size_of(host, device) == 0
    host.ioctl(device, LOOP_SET_FD, back)
    assert size_of(host, device) == SIZE


@booted
def test_autoclear_unbinds_with_the_last_user(machine: Machine) -> None:
    host = ready(machine)
    device = bound(host)
    other = host.open("/dev/loop0", os.O_RDWR, 0)
    host.ioctl(device, LOOP_CLR_FD, 0)
    assert status(host, device)[3] == LO_FLAGS_AUTOCLEAR
    host.pwrite64(device, b"LAST" * 128, 512, 0)
    host.close(device)
    assert status(host, other)[3] == LO_FLAGS_AUTOCLEAR
    host.close(other)
    found = loop_device(0)
    assert found is not None and found.file is None
    assert read_all(host, "/back")[:4] == b"LAST", "what was dirty has gone to the file"


@booted
def test_another_file_takes_its_place(machine: Machine) -> None:
    host = ready(machine)
    write_new(host, "/same", b"12345678" * (SIZE // 8))
    write_new(host, "/other", b"12345678")
    same, other = host.open("/same", os.O_RDONLY, 0), host.open("/other", os.O_RDONLY, 0)
    device = bound(host, os.O_RDONLY)
    with pytest.raises(OSError, match="EINVAL"):
        host.ioctl(device, LOOP_CHANGE_FD, other)
    data = bytearray(8)
    host.pread64(device, data, 8, 0)
    host.ioctl(device, LOOP_CHANGE_FD, same)
    host.pread64(device, data, 8, 0)
    assert data == b"12345678", "nothing is left of what was cached"


@booted
def test_a_writable_device_keeps_its_file(machine: Machine) -> None:
    host = ready(machine)
    device = bound(host)
    back = host.open("/back", os.O_RDONLY, 0)
    with pytest.raises(OSError, match="EINVAL"):
        host.ioctl(device, LOOP_CHANGE_FD, back)


@booted
def test_no_device_leads_to_itself(machine: Machine) -> None:
    host = ready(machine)
    device = bound(host)
    second = host.open("/dev/loop1", os.O_RDWR, 0)
    host.ioctl(second, LOOP_SET_FD, device)
    assert size_of(host, second) == SIZE
    third = host.open("/dev/loop2", os.O_RDWR, 0)
    with pytest.raises(OSError, match="EBADF"):
        host.ioctl(third, LOOP_SET_FD, third)
    folder = host.open("/", os.O_RDONLY, 0)
    with pytest.raises(OSError, match="EINVAL"):
        host.ioctl(third, LOOP_SET_FD, folder)


@booted
@pytest.mark.parametrize(("size", "is_right"), [(256, False), (512, True), (3000, False), (4096, True), (8192, False)])
def test_sizes_of_blocks(machine: Machine, size: int, is_right: bool) -> None:
    host = ready(machine)
    device = bound(host)
    if is_right:
        host.ioctl(device, LOOP_SET_BLOCK_SIZE, size)
        found = loop_device(0)
        assert found is not None and found.logical_block_size == size
    else:
        with pytest.raises(OSError, match="EINVAL"):
            host.ioctl(device, LOOP_SET_BLOCK_SIZE, size)


@booted
def test_memory_has_no_way_past_its_cache(machine: Machine) -> None:
    """The file lies in memory: there is no device below."""
    host = ready(machine)
    device = bound(host)
    host.ioctl(device, LOOP_SET_DIRECT_IO, 0)
    with pytest.raises(OSError, match="EINVAL"):
        host.ioctl(device, LOOP_SET_DIRECT_IO, 1)


@booted
def test_configure_does_all_at_once(machine: Machine) -> None:
    host = ready(machine)
    device, back = host.open("/dev/loop0", os.O_RDWR, 0), host.open("/back", os.O_RDWR, 0)

    def configure(block_size: int, fields: bytearray) -> None:
        host.ioctl(device, LOOP_CONFIGURE, bytearray(struct.pack("<II", back, block_size) + fields + bytes(64)))

    for block_size, fields in ((100, info()), (512, info(flags=2)), (512, info(encryption=1))):
        with pytest.raises(OSError, match="EINVAL"):
            configure(block_size, fields)
        found = loop_device(0)
        assert found is not None and found.file is None, "a refused one binds nothing"
    configure(4096, info(8192, 0, LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR, b"name"))
    assert status(host, device) == (8192, 0, 0, LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR, b"name")
    assert size_of(host, device) == SIZE - 8192


@booted
def test_partitions_are_found(machine: Machine) -> None:
    host = ready(machine)
    table = bytearray(512)
    table[446:462] = struct.pack("<B3sB3sII", 0, b"", 0x83, b"", 8, 16)
    table[510:] = b"\x55\xaa"
    write_new(host, "/disk", bytes(table) + b"." * (SIZE - 512))
    device, back = host.open("/dev/loop0", os.O_RDWR, 0), host.open("/disk", os.O_RDWR, 0)
    host.ioctl(device, LOOP_SET_FD, back)
    with pytest.raises(OSError, match="ENOENT"):
        host.open("/dev/loop0p1", os.O_RDONLY, 0)
    host.ioctl(device, LOOP_SET_STATUS64, info(flags=LO_FLAGS_PARTSCAN))
    part = host.open("/dev/loop0p1", os.O_RDONLY, 0)
    assert size_of(host, part) == 16 << 9


@booted
def test_the_control_device(machine: Machine) -> None:
    host = ready(machine)
    control = host.open("/dev/loop-control", os.O_RDWR, 0)
    assert host.ioctl(control, LOOP_CTL_GET_FREE, 0) == 0
    device = bound(host)
    assert host.ioctl(control, LOOP_CTL_GET_FREE, 0) == 1
    assert host.ioctl(control, LOOP_CTL_ADD, 40) == 40
    assert size_of(host, host.open("/dev/loop40", os.O_RDONLY, 0)) == 0
    for command, argument, error in (
        (LOOP_CTL_ADD, 40, "EEXIST"),
        (LOOP_CTL_ADD, 256, "EINVAL"),
        (LOOP_CTL_REMOVE, 99, "ENODEV"),
        (LOOP_CTL_REMOVE, 0, "EBUSY"),
        (LOOP_CTL_REMOVE, 40, "EBUSY"),
        (0x4C90, 0, "ENOTTY"),
    ):
        with pytest.raises(OSError, match=error):
            host.ioctl(control, command, argument)
    assert host.ioctl(control, LOOP_CTL_REMOVE, FIRST_DEVICES - 1) == 0
    with pytest.raises(OSError, match="ENOENT"):
        host.open(f"/dev/loop{FIRST_DEVICES - 1}", os.O_RDONLY, 0)
    host.close(device)


@booted
def test_commands_that_are_none(machine: Machine) -> None:
    host = ready(machine)
    device = host.open("/dev/loop0", os.O_RDWR, 0)
    for command, error in ((0x4C44, "EINVAL"), (0x1234, "ENOTTY"), (LOOP_CLR_FD, "ENXIO")):
        with pytest.raises(OSError, match=error):
            host.ioctl(device, command, 0)
