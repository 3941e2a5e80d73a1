"""BLKPG: partitions that programs add, resize and delete, one by one."""

from __future__ import annotations

import os
import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.disk import attach_disk
from tools.simulated.machine import Machine
from tools.simulated.program import Program

BLKPG = 0x1269
BLKGETSIZE64 = 0x8008_1272
ADD, DELETE, RESIZE = 1, 2, 3
SECTORS = 256


class Disk:
    """/dev/vda of 128 KiB, whose sectors are filled with their numbers."""

    def __init__(self, host: Program) -> None:
        self.host = host
        attach_disk(bytearray(b"".join(bytes([number]) * 512 for number in range(SECTORS))))
        host.mount("none", "/dev", "devtmpfs", 0, None)
        self.file = host.open("/dev/vda", os.O_RDWR, 0)
        self.place = host.mmap(0, 4096, 3, 0x22, -1, 0)  # private and anonymous memory, to be read and written

    def change(self, operation: int, number: int, start: int = 0, count: int = 8) -> None:
        """One command, with a start and a length in sectors."""
        raw = struct.pack("<qqi4x64s64s", start * 512, count * 512, number, b"", b"")
        self.host.store(self.place, raw)
        self.host.ioctl(self.file, BLKPG, bytearray(struct.pack("<iiiiQ", operation, 0, len(raw), 0, self.place)))

    def refuses(self, error: str, operation: int, number: int, start: int = 0, count: int = 8) -> None:
        with pytest.raises(OSError, match=error):
            self.change(operation, number, start, count)

    def size(self, number: int) -> int:
        """Sectors of a partition."""
        file, answer = self.open(number), bytearray(8)
        self.host.ioctl(file, BLKGETSIZE64, answer)
        self.host.close(file)
        return int.from_bytes(answer, "little") >> 9

    def open(self, number: int) -> int:
        return self.host.open(f"/dev/vda{number}", os.O_RDONLY, 0)


@booted
def test_a_partition_is_a_part_of_the_disk(machine: Machine) -> None:
    disk = Disk(machine.host)
    disk.change(ADD, 3, start=16, count=8)
    assert disk.size(3) == 8
    data = bytearray(512)
    disk.host.pread64(disk.open(3), data, 512, 512)
    assert data == bytes([17]) * 512


@booted
def test_what_cannot_be_added(machine: Machine) -> None:
    disk = Disk(machine.host)
    disk.change(ADD, 1, start=16, count=16)
    disk.refuses("EBUSY", ADD, 1, start=64)
    for start, count in ((16, 1), (31, 8), (8, 9), (0, SECTORS)):
        disk.refuses("EBUSY", ADD, 2, start, count)
    for start, count in ((SECTORS, 8), (SECTORS - 4, 8), (-8, 8), (64, 0), (64, -8), ((1 << 53) - 8, 1 << 52)):
        disk.refuses("EINVAL", ADD, 2, start, count)
    for number in (0, -1):
        disk.refuses("EINVAL", ADD, number, start=64)
    disk.refuses("EINVAL", 4, 2, start=64)
    for start, count in ((8, 8), (32, 8)):
        disk.change(ADD, 10 + start, start, count)  # beside it is room


@booted
def test_bytes_that_are_no_sectors(machine: Machine) -> None:
    disk = Disk(machine.host)
    for start, length in ((512, 700), (100, 512)):
        disk.host.store(disk.place, struct.pack("<qqi4x64s64s", start, length, 1, b"", b""))
        with pytest.raises(OSError, match="EINVAL"):
            disk.host.ioctl(disk.file, BLKPG, bytearray(struct.pack("<iiiiQ", ADD, 0, 152, 0, disk.place)))


@booted
def test_deleting(machine: Machine) -> None:
    disk = Disk(machine.host)
    disk.refuses("ENXIO", DELETE, 1)
    disk.change(ADD, 1, start=16)
    file = disk.open(1)
    disk.refuses("EBUSY", DELETE, 1)
    disk.host.close(file)
    disk.change(DELETE, 1)
    with pytest.raises(OSError, match="ENOENT"):
        disk.open(1)
    disk.change(ADD, 2, start=16)


@booted
def test_resizing(machine: Machine) -> None:
    disk = Disk(machine.host)
    disk.change(ADD, 1, start=16)
    disk.change(ADD, 2, start=64)
    disk.change(RESIZE, 1, start=16, count=48)
    assert disk.size(1) == 48
    disk.refuses("EBUSY", RESIZE, 1, start=16, count=49)
    disk.refuses("EINVAL", RESIZE, 1, start=8, count=8)
    disk.refuses("EINVAL", RESIZE, 2, start=64, count=SECTORS - 63)
    disk.refuses("ENXIO", RESIZE, 3, start=16)
    disk.change(RESIZE, 2, start=64, count=SECTORS - 64)
    assert disk.size(2) == SECTORS - 64


@booted
def test_a_partition_has_no_partitions(machine: Machine) -> None:
    disk = Disk(machine.host)
    disk.change(ADD, 1, start=16)
    disk.file = disk.host.open("/dev/vda1", os.O_RDWR, 0)
    disk.refuses("EINVAL", ADD, 2, start=0)
