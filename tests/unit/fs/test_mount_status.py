"""statmount(2), listmount(2), and numbers of mount namespaces, on a booted machine."""

import errno
import struct

import pytest

from kernel.fs.mount_status import UNIQUE_MOUNTS
from kernel.fs.path import NAMESPACES
from tests.unit.booted import booted
from tests.unit.fs.test_shared_mounts import MS_SHARED, MS_SLAVE, prepare
from tools.simulated.machine import Machine
from tools.simulated.program import Program

AT_FDCWD = -100
STATX_MNT_ID_UNIQUE = 0x4000
MNT_BASIC, PROPAGATE_FROM, MNT_ROOT, MNT_POINT, FS_TYPE, MNT_NS_ID = 2, 4, 8, 16, 32, 64
CLONE_NEWNS = 0x20000
MS_BIND = 0x1000
EVERYTHING = 0xFFFF_FFFF_FFFF_FFFF


def request(number: int, parameter: int, namespace: int = 0) -> bytearray:
    return bytearray(struct.pack("<IIQQQ", 32, 0, number, parameter, namespace))


def number_of(program: Program, path: str) -> int:
    found = bytearray(256)
    program.statx(AT_FDCWD, path, 0, STATX_MNT_ID_UNIQUE, found)
    return int.from_bytes(found[144:152], "little")


def report(program: Program, number: int, mask: int, namespace: int = 0) -> bytearray:
    found = bytearray(1024)
    program.statmount(request(number, mask, namespace), found, len(found), 0)
    return found


def text(found: bytearray, offset: int) -> str:
    start = 512 + int.from_bytes(found[offset : offset + 4], "little")
    return found[start : found.index(0, start)].decode()


@booted
def test_a_mount_is_described_by_number(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    found = report(host, number_of(host, "/a"), MNT_BASIC | MNT_ROOT | MNT_POINT | FS_TYPE)
    assert (text(found, 36), text(found, 104), text(found, 108)) == ("tmpfs", "/", "/a")
    assert int.from_bytes(found[40:48], "little") == number_of(host, "/a") > UNIQUE_MOUNTS
    assert int.from_bytes(found[48:56], "little") == number_of(host, "/")
    assert int.from_bytes(found[8:16], "little") == MNT_BASIC | MNT_ROOT | MNT_POINT | FS_TYPE


@booted
def test_texts_that_do_not_fit_are_an_error(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    mount = number_of(host, "/a")
    with pytest.raises(OSError, match="EOVERFLOW"):
        host.statmount(request(mount, FS_TYPE), bytearray(1024), 512 + len("\0tmpfs"), 0)
    host.statmount(request(mount, FS_TYPE), bytearray(1024), 512 + len("\0tmpfs\0"), 0)


@booted
def test_mounts_are_listed_in_order_and_in_parts(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    root = number_of(host, "/")
    found = bytearray(8 * 64)
    count = host.listmount(request(root, 0), found, 64, 0)
    numbers = list(struct.unpack(f"<{count}Q", found[: 8 * count]))
    assert numbers == sorted(numbers) and root not in numbers and number_of(host, "/a") in numbers
    few = bytearray(16)
    assert host.listmount(request(root, numbers[0]), few, 2, 0) == 2
    assert list(struct.unpack("<2Q", few)) == numbers[1:3]
    assert host.listmount(request(root, numbers[-1]), few, 2, 0) == 0
    assert host.listmount(request(EVERYTHING, 0), few, 2, 1) == 2
    assert list(struct.unpack("<2Q", few)) == [numbers[-1], numbers[-2]]


@booted
def test_a_slave_names_the_nearest_group_that_it_sees(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    host.mount("none", "/a", None, MS_SHARED, None)
    host.mount("/a", "/c", None, MS_BIND, None)
    host.mount("none", "/c", None, MS_SLAVE, None)
    found = report(host, number_of(host, "/c"), MNT_BASIC | PROPAGATE_FROM)
    master = int.from_bytes(found[88:96], "little")
    assert master > 0 and int.from_bytes(found[96:104], "little") == master


@booted
def test_a_namespace_is_known_by_number_while_somebody_sees_it(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    before = len(NAMESPACES)
    first = int.from_bytes(report(host, number_of(host, "/"), MNT_NS_ID)[112:120], "little")

    def child(program: Program) -> int:
        program.unshare(CLONE_NEWNS)
        own = int.from_bytes(report(program, number_of(program, "/"), MNT_NS_ID)[112:120], "little")
        assert own > first and len(NAMESPACES) == before + 1
        program.setuid(1000)
        with pytest.raises(OSError, match="EPERM"):
            report(program, number_of(program, "/"), MNT_NS_ID, first)
        return 0

    pid = host.fork(child)
    status = bytearray(4)
    host.wait4(pid, status, 0, None)
    assert bytes(status) == bytes(4) and len(NAMESPACES) == before
    with pytest.raises(OSError) as refused:
        report(host, number_of(host, "/"), MNT_NS_ID, first + 1000)
    assert refused.value.errno == errno.ENOENT
