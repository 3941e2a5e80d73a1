"""A file that is sealed while a mapping of it waits, on a booted machine: what is sealed is mapped for writing by
nobody.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kernel.fs.tmpfs.base import SealableInode
from kernel.mm import remap
from kernel.mm.huge_object import HugeObject, prepare_mapping
from kernel.mm.huge_pool import HUGE_SIZE, Reservation
from kernel.mm.space import AddressSpace
from kernel.task import current
from tests.unit.booted import booted
from tools.simulated.machine import Machine

READ, READ_WRITE, SHARED, PAGE = 1, 3, 1, 4096
ALLOW_SEALING, HUGETLB = 2, 4
WRITE_SEAL = 8


def sealable(descriptor: int) -> SealableInode:
    inode = current().files.get(descriptor).inode
    assert isinstance(inode, SealableInode)
    return inode


@contextmanager
def sealing_in_settle(descriptor: int) -> Iterator[None]:
    """Somebody seals the file while its mapping waits for a fork."""
    inode = sealable(descriptor)
    settle = AddressSpace.settle
    left = [1]

    def late(self: AddressSpace) -> None:
        settle(self)
        if left:
            left.pop()
            inode.add_seals(WRITE_SEAL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AddressSpace, "settle", late)
        yield


@contextmanager
def sealing_in_reservation(descriptor: int) -> Iterator[None]:
    """Somebody seals the file while its huge pages are reserved."""
    inode = sealable(descriptor)

    def late(source: HugeObject, offset: int, length: int, shared: bool, reserves: bool) -> Reservation | None:
        inode.add_seals(WRITE_SEAL)
        return prepare_mapping(source, offset, length, shared, reserves)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remap, "prepare_mapping", late)
        yield


@booted
def test_small_pages(machine: Machine) -> None:
    host = machine.host
    descriptor = host.memfd_create("sealed", ALLOW_SEALING)
    host.ftruncate(descriptor, PAGE)
    with sealing_in_settle(descriptor), pytest.raises(OSError, match="EPERM"):
        host.mmap(0, PAGE, READ_WRITE, SHARED, descriptor, 0)


@booted
@pytest.mark.parametrize("protection", [READ, READ_WRITE])
def test_huge_pages(machine: Machine, protection: int) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    size = host.open("/proc/sys/vm/nr_hugepages", os.O_WRONLY)
    host.write(size, b"1", 1)
    descriptor = host.memfd_create("sealed", ALLOW_SEALING | HUGETLB)
    with sealing_in_reservation(descriptor):
        if protection == READ:
            address = host.mmap(0, HUGE_SIZE, READ, SHARED, descriptor, 0)
            with pytest.raises(OSError, match="EACCES"):
                host.mprotect(address, HUGE_SIZE, READ_WRITE)
        else:
            with pytest.raises(OSError, match="EPERM"):
                host.mmap(0, HUGE_SIZE, READ_WRITE, SHARED, descriptor, 0)
