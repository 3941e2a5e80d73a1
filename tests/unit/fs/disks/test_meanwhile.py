"""What other threads do while a disk's partitions or a loop device change."""

from __future__ import annotations

import os

import pytest

from kernel.block.device import BLOCK_DEVICES, BlockDevice
from kernel.block.partitions import Partition, SectorReader
from kernel.cache.file_cache import FileCache
from kernel.fs.disks import scan
from kernel.fs.disks.loop import LO_FLAGS_AUTOCLEAR, LoopDevice, loop_device
from kernel.fs.disks.loop_control import (
    LOOP_CLR_FD,
    LOOP_CTL_ADD,
    LOOP_CTL_REMOVE,
    LOOP_SET_FD,
    LOOP_SET_STATUS64,
)
from tests.unit.booted import booted
from tests.unit.fs.disks.test_loop import bound, info, ready
from tests.unit.fs.disks.test_partition_commands import ADD, DELETE, Disk
from tools.simulated.machine import Machine

BLKRRPART = 0x125F


@booted
def test_no_partition_is_found_that_is_about_to_go(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropping what the first one's cache has sleeps. Whoever opened the second one then had a device that went."""
    host = machine.host
    disk = Disk(host)
    for number in (1, 2):
        disk.change(ADD, number, start=16 * number)
        file = disk.open(number)
        host.pread64(file, bytearray(512), 512, 0)
        host.close(file)
    close = FileCache.close
    left: list[int] = []

    def act(cache: FileCache) -> None:
        left.append(sum(device.whole is not None for device in BLOCK_DEVICES.values()))
        close(cache)

    monkeypatch.setattr(FileCache, "close", act)
    host.ioctl(disk.file, BLKRRPART, 0)
    assert left == [0, 0]


@booted
def test_a_new_partition_has_a_cache_of_its_own(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody opens a partition while it goes; the next one gets its number, but lies elsewhere."""
    host = machine.host
    disk = Disk(host)
    disk.change(ADD, 1, start=16)
    file = disk.open(1)
    host.pread64(file, bytearray(512), 512, 0)
    host.close(file)
    close = FileCache.close

    def act(cache: FileCache) -> None:
        close(cache)
        with pytest.raises(OSError, match=r"ENXIO|ENOENT"):
            disk.open(1)

    monkeypatch.setattr(FileCache, "close", act)
    disk.change(DELETE, 1)
    monkeypatch.undo()
    disk.change(ADD, 1, start=32)
    data = bytearray(512)
    host.pread64(disk.open(1), data, 512, 0)
    assert data == bytes([32]) * 512


@booted
def test_one_thread_at_a_time_looks_for_partitions(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(machine.host)
    device = next(device for device in BLOCK_DEVICES.values() if device.name == b"vda")
    locked: list[bool] = []

    def act(reader: SectorReader) -> list[Partition]:
        locked.append(device.partitioning.owner is not None)
        return []

    monkeypatch.setattr(scan, "read_partitions", act)
    machine.host.ioctl(disk.file, BLKRRPART, 0)
    assert locked == [True] and device.partitioning.owner is None


@booted
def test_a_device_with_an_old_number_has_a_new_cache(machine: Machine) -> None:
    host = ready(machine)
    control = host.open("/dev/loop-control", os.O_RDWR, 0)
    host.ioctl(control, LOOP_CTL_ADD, 9)
    host.close(host.open("/dev/loop9", os.O_RDONLY, 0))
    host.ioctl(control, LOOP_CTL_REMOVE, 9)
    host.ioctl(control, LOOP_CTL_ADD, 9)
    device = host.open("/dev/loop9", os.O_RDWR, 0)
    host.ioctl(device, LOOP_SET_FD, host.open("/back", os.O_RDWR, 0))
    data = bytearray(8)
    assert host.pread64(device, data, 8, 0) == 8 and data == b"abcdefgh"


@booted
def test_all_who_have_a_device_open_see_the_same_after_it_was_moved(machine: Machine) -> None:
    host = ready(machine)
    device = bound(host)
    host.pread64(device, bytearray(8), 8, 0)
    host.ioctl(device, LOOP_SET_STATUS64, info(4096))
    other = host.open("/dev/loop0", os.O_RDWR, 0)
    host.pwrite64(other, b"together", 8, 0)
    data = bytearray(8)
    assert host.pread64(device, data, 8, 0) == 8 and data == b"together"


@booted
def test_a_device_that_is_opened_while_it_is_unbound_goes_on(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing what is dirty sleeps: whoever opens or mounts the device meanwhile keeps it."""
    host = ready(machine)
    file = bound(host)
    device = loop_device(0)
    assert device is not None
    monkeypatch.setattr(LoopDevice, "_write_all", BlockDevice.opened)
    host.ioctl(file, LOOP_CLR_FD, 0)
    assert not device.is_leaving and device.flags & LO_FLAGS_AUTOCLEAR != 0
    assert host.pread64(file, bytearray(8), 8, 0) == 8
    device.openers -= 1
