"""An ext2 file system on a disk, used by system calls on a booted machine; errors of the disk as programs see them."""

import os

import pytest

from kernel.block.device import SECTOR_SHIFT
from tests.unit.booted import booted
from tests.unit.fs.ext2.conftest import check_image, debugfs, make_image
from tests.unit.syscalls.test_files import names_in, read_all, write_new
from tools.simulated.disk import MemoryDisk, attach_disk
from tools.simulated.machine import Machine

SIZE_KIB = 2048


def mount(machine: Machine, image: bytearray) -> MemoryDisk:
    host = machine.host
    disk = attach_disk(image)
    host.mount("none", "/dev", "devtmpfs", 0, None)
    host.mkdir("/mnt", 0o755)
    host.mount("/dev/vda", "/mnt", "ext2", 0, None)
    return disk


@booted
def test_what_is_written_lies_on_the_disk(machine: Machine) -> None:
    host = machine.host
    image = make_image(SIZE_KIB)
    mount(machine, image)
    data = b"0123456789abcdef" * 1600
    host.mkdir("/mnt/folder", 0o755)
    write_new(host, "/mnt/folder/data", data)
    host.symlink("folder/data", "/mnt/short")
    assert read_all(host, "/mnt/short") == data
    host.umount2("/mnt", 0)
    assert check_image(image) == ""
    assert debugfs(image, "cat folder/data").encode() == data
    host.mount("/dev/vda", "/mnt", "ext2", 1, None)  # MS_RDONLY
    assert read_all(host, "/mnt/folder/data") == data
    with pytest.raises(OSError, match="EROFS"):
        host.unlink("/mnt/short")


@booted
def test_fsync_brings_the_file_to_the_disk(machine: Machine) -> None:
    host = machine.host
    image = make_image(SIZE_KIB)
    disk = mount(machine, image)
    descriptor = host.open("/mnt/file", os.O_CREAT | os.O_WRONLY, 0o600)
    text = b"not lost when the power fails"
    host.write(descriptor, text, len(text))
    assert text not in image
    host.fsync(descriptor)
    assert text in image
    assert disk.log


@booted
def test_a_bad_sector_is_an_error_of_the_read(machine: Machine) -> None:
    host = machine.host
    image = make_image(SIZE_KIB)
    disk = mount(machine, image)
    write_new(host, "/mnt/good", b"g" * 5000)
    write_new(host, "/mnt/bad", b"b" * 5000)
    host.umount2("/mnt", 0)
    host.mount("/dev/vda", "/mnt", "ext2", 0, None)
    disk.bad_sectors[bytes(image).index(b"b" * 4096) >> SECTOR_SHIFT] = True
    with pytest.raises(OSError, match="EIO"):
        read_all(host, "/mnt/bad")
    assert read_all(host, "/mnt/good") == b"g" * 5000


@booted
def test_a_write_that_fails_is_reported_once(machine: Machine) -> None:
    host = machine.host
    disk = mount(machine, make_image(SIZE_KIB))
    descriptor = host.open("/mnt/file", os.O_CREAT | os.O_WRONLY, 0o600)
    host.write(descriptor, b"x" * 4096, 4096)
    for sector in range(disk.sectors):
        disk.bad_sectors[sector] = True
    with pytest.raises(OSError, match="EIO"):
        host.fsync(descriptor)
    disk.bad_sectors.clear()
    host.fsync(descriptor)


@booted
def test_a_full_disk(machine: Machine) -> None:
    host = machine.host
    image = make_image(SIZE_KIB)
    mount(machine, image)
    descriptor = host.open("/mnt/large", os.O_CREAT | os.O_WRONLY, 0o600)
    block = b"x" * 65536
    written = 0
    with pytest.raises(OSError, match="ENOSPC"):
        while True:
            written += host.write(descriptor, block, len(block))
    assert written > SIZE_KIB << 9
    host.close(descriptor)
    host.unlink("/mnt/large")
    write_new(host, "/mnt/small", b"fits again")
    host.umount2("/mnt", 0)
    assert check_image(image) == ""


@booted
def test_partitions_are_devices(machine: Machine) -> None:
    image = bytearray(4 << 20)
    image[446:462] = bytes([0, 0, 0, 0, 0x83, 0, 0, 0]) + (2048).to_bytes(4, "little") + (4096).to_bytes(4, "little")
    image[510:512] = b"\x55\xaa"
    image[2048 << 9 : (2048 << 9) + (SIZE_KIB << 10)] = make_image(SIZE_KIB)
    host = machine.host
    attach_disk(image)
    host.mount("none", "/dev", "devtmpfs", 0, None)
    assert {"vda", "vda1"} <= set(names_in(host, "/dev"))
    host.mkdir("/mnt", 0o755)
    host.mount("/dev/vda1", "/mnt", "ext2", 0, None)
    assert names_in(host, "/mnt") == [".", "..", "lost+found"]
