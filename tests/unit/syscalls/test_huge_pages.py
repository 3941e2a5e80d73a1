"""Huge pages by system calls, on a booted machine: one entry maps 2 MiB, and the files tell of it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kernel.mm.frame_tree import FrameTree
from kernel.mm.frames import Frame, free_frame_count
from kernel.mm.huge_object import OWED
from kernel.mm.huge_pool import HUGE_SIZE
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

READ_WRITE = 3
PRIVATE = 0x2
SHARED = 0x1
HUGE = 0x40020  # without a file


def show_proc(program: Program) -> None:
    program.mkdir("/proc", 0o755)
    program.mount("none", "/proc", "proc", 0, 0)


def text_of(program: Program, path: str) -> str:
    descriptor = program.open(path, 0)
    data = b""
    buffer = bytearray(4096)
    while count := program.read(descriptor, buffer, len(buffer)):
        data += buffer[:count]
    program.close(descriptor)
    return data.decode()


def store(program: Program, path: str, text: bytes) -> None:
    descriptor = program.open(path, 1)
    assert program.write(descriptor, text, len(text)) == len(text)
    program.close(descriptor)


def pool(program: Program) -> list[int]:
    """Total, free, reserved, surplus."""
    return [int(number) for number in re.findall(r"HugePages_\w+: +(\d+)", text_of(program, "/proc/meminfo"))]


def map_huge(program: Program, pages: int, kind: int) -> int:
    return program.call("mmap", 0, pages * HUGE_SIZE, READ_WRITE, kind | HUGE, -1, 0)


@contextmanager
def pages(program: Program, count: int) -> Iterator[None]:
    """A pool of that many pages, all of which must be free at the end."""
    show_proc(program)
    before = free_frame_count()
    store(program, "/proc/sys/vm/nr_hugepages", str(count).encode())
    assert pool(program) == [count, count, 0, 0] and free_frame_count() < before
    yield
    assert pool(program) == [count, count, 0, 0]
    store(program, "/proc/sys/vm/nr_hugepages", b"0")
    assert pool(program) == [0, 0, 0, 0]


@booted
def test_parent_and_child_have_private_pages(machine: Machine) -> None:
    host = machine.host
    with pages(host, 3):
        place = map_huge(host, 2, PRIVATE)
        assert place % HUGE_SIZE == 0 and pool(host) == [3, 3, 2, 0]
        host.store(place + 123456, b"parent")
        smaps = text_of(host, "/proc/self/smaps")
        assert re.search(r"KernelPageSize: +2048 kB", smaps) and re.search(r"Private_Hugetlb: +2048 kB", smaps)
        assert re.search(r"HugetlbPages:\s+2048 kB", text_of(host, "/proc/self/status"))

        def child(program: Program) -> int:
            assert program.load(place + 123456, 6) == b"parent"
            program.store(place + 123456, b"child!")
            assert pool(program) == [3, 1, 1, 0]
            return 0

        assert os.waitstatus_to_exitcode(machine.run(child)) == 0
        assert host.load(place + 123456, 6) == b"parent" and pool(host) == [3, 2, 1, 0]
        with pytest.raises(OSError, match="EINVAL"):
            host.call("munmap", place, 4096)
        host.call("munmap", place, 2 * HUGE_SIZE)


@booted
def test_shared_pages_are_shared(machine: Machine) -> None:
    host = machine.host
    with pages(host, 2):
        place = map_huge(host, 2, SHARED)

        def child(program: Program) -> int:
            program.store(place + HUGE_SIZE, b"written by a child")
            return 0

        assert os.waitstatus_to_exitcode(machine.run(child)) == 0
        assert host.load(place + HUGE_SIZE, 18) == b"written by a child" and pool(host) == [2, 1, 1, 0]
        with pytest.raises(OSError, match="ENOMEM"):
            map_huge(host, 1, SHARED)
        host.call("madvise", place + HUGE_SIZE, HUGE_SIZE, 9)  # MADV_REMOVE
        assert host.load(place + HUGE_SIZE, 18) == bytes(18)
        host.call("munmap", place, 2 * HUGE_SIZE)


@booted
def test_the_pool_is_a_directory_of_sysfs(machine: Machine) -> None:
    host = machine.host
    show_proc(host)
    host.mkdir("/sys", 0o755)
    host.mount("sysfs", "/sys", "sysfs", 0, 0)
    place = "/sys/kernel/mm/hugepages/hugepages-2048kB/"
    store(host, place + "nr_hugepages", b"2\n")
    assert text_of(host, place + "free_hugepages") == "2\n" and pool(host) == [2, 2, 0, 0]
    with pytest.raises(OSError, match="EINVAL"):
        store(host, place + "nr_hugepages", b"many")
    with pytest.raises(OSError, match="EACCES"):
        store(host, place + "free_hugepages", b"1")
    store(host, place + "nr_hugepages", b"0")
    assert text_of(host, "/proc/sys/vm/nr_hugepages") == "0\n"


@booted
def test_a_file_of_huge_pages_owns_its_pages(machine: Machine) -> None:
    host = machine.host
    with pages(host, 3):
        descriptor = host.memfd_create("huge", 4)
        with pytest.raises(OSError, match="EINVAL"):
            host.ftruncate(descriptor, 4096)
        with pytest.raises(OSError, match="EINVAL"):
            host.write(descriptor, b"refused", 7)
        host.ftruncate(descriptor, 2 * HUGE_SIZE)
        place = host.call("mmap", 0, 2 * HUGE_SIZE, READ_WRITE, SHARED, descriptor, 0)
        host.store(place + HUGE_SIZE - 4, b"over the border")
        buffer = bytearray(15)
        assert host.pread64(descriptor, buffer, 15, HUGE_SIZE - 4) == 15 and bytes(buffer) == b"over the border"
        assert pool(host) == [3, 1, 0, 0]
        assert re.search(r"rw-s 00000000 .* /memfd:huge \(deleted\)", text_of(host, "/proc/self/maps"))
        host.fallocate(descriptor, 3, HUGE_SIZE, HUGE_SIZE)  # a hole
        assert pool(host) == [3, 2, 0, 0] and host.load(place + HUGE_SIZE, 11) == bytes(11)
        host.call("munmap", place, 2 * HUGE_SIZE)
        assert pool(host) == [3, 1, 0, 0]
        host.ftruncate(descriptor, HUGE_SIZE)
        assert pool(host) == [3, 2, 0, 0]
        host.close(descriptor)


@booted
def test_a_private_copy_goes_with_the_end_of_its_file(machine: Machine) -> None:
    host = machine.host
    with pages(host, 3):
        descriptor = host.memfd_create("huge", 4)
        host.ftruncate(descriptor, HUGE_SIZE)
        place = host.call("mmap", 0, HUGE_SIZE, READ_WRITE, PRIVATE, descriptor, 0)
        host.store(place, b"copy")
        assert pool(host) == [3, 2, 0, 0]
        host.ftruncate(descriptor, 0)
        assert pool(host) == [3, 3, 1, 0]  # it is owed again
        host.ftruncate(descriptor, HUGE_SIZE)
        assert host.load(place, 4) == bytes(4)
        host.call("munmap", place, HUGE_SIZE)
        host.close(descriptor)


@booted
def test_a_segment_of_huge_pages(machine: Machine) -> None:
    host = machine.host
    with pages(host, 2):
        with pytest.raises(OSError, match="ENOMEM"):
            host.shmget(0, 3 * HUGE_SIZE, 0o5600)
        segment = host.shmget(0, HUGE_SIZE + 1, 0o5600)
        assert pool(host) == [2, 2, 2, 0]
        place = host.shmat(segment, 0, 0)
        assert place % HUGE_SIZE == 0
        host.store(place + HUGE_SIZE + 5, b"shared")
        other = host.shmat(segment, 0, 0)
        assert host.load(other + HUGE_SIZE + 5, 6) == b"shared" and pool(host) == [2, 1, 1, 0]
        host.shmdt(other)
        host.shmctl(segment, 0, 0)  # IPC_RMID
        assert pool(host) == [2, 1, 1, 0]
        host.shmdt(place)


@booted
def test_a_mount_bounds_its_files(machine: Machine) -> None:
    host = machine.host
    with pages(host, 3):
        host.mkdir("/huge", 0o755)
        with pytest.raises(OSError, match="EINVAL"):
            host.mount("none", "/huge", "hugetlbfs", 0, b"size=2M,min_size=4M")
        with pytest.raises(OSError, match="ENOMEM"):
            host.mount("none", "/huge", "hugetlbfs", 0, b"min_size=8M")
        host.mount("none", "/huge", "hugetlbfs", 0, b"size=4M,min_size=2M,mode=700")
        assert "/huge hugetlbfs rw,relatime,mode=700,pagesize=2M,size=4194304,min_size=2097152" in text_of(
            host, "/proc/self/mounts"
        )
        assert pool(host) == [3, 3, 1, 0]
        descriptor = host.open("/huge/file", 0o102, 0o644)
        with pytest.raises(OSError, match="ENOMEM"):
            host.call("mmap", 0, 3 * HUGE_SIZE, READ_WRITE, SHARED, descriptor, 0)
        host.fallocate(descriptor, 0, 0, 2 * HUGE_SIZE)
        assert pool(host) == [3, 1, 0, 0]
        with pytest.raises(OSError, match="ENOSPC"):
            host.fallocate(descriptor, 0, 2 * HUGE_SIZE, HUGE_SIZE)
        with pytest.raises(OSError, match="EINVAL"):
            host.symlink("file", "/huge/link")
        host.close(descriptor)
        host.umount2("/huge", 0)


@booted
def test_a_segment_for_which_memory_fails(machine: Machine) -> None:
    host = machine.host
    put = FrameTree.put

    def fails(tree: FrameTree, index: int, frame: Frame) -> None:
        if index == 1 and frame == OWED:
            raise MemoryError
        put(tree, index, frame)

    with pages(host, 3), pytest.MonkeyPatch.context() as patch:
        patch.setattr(FrameTree, "put", fails)
        with pytest.raises(OSError, match="ENOMEM"):
            host.shmget(0, 2 * HUGE_SIZE, 0o5600)


@booted
def test_the_cache_of_a_file_of_huge_pages_is_not_told(machine: Machine) -> None:
    host = machine.host
    descriptor = host.memfd_create("huge", 4)
    with pytest.raises(OSError, match="ENOTSUP"):
        host.cachestat(descriptor, bytearray(16), bytearray(40), 0)
    host.close(descriptor)


@booted
def test_a_small_machine_has_no_pages_of_a_gigabyte(machine: Machine) -> None:
    host = machine.host
    show_proc(host)
    host.mkdir("/sys", 0o755)
    host.mount("sysfs", "/sys", "sysfs", 0, 0)
    place = "/sys/kernel/mm/hugepages/hugepages-1048576kB/"
    store(host, place + "nr_hugepages", b"1")
    assert text_of(host, place + "nr_hugepages") == text_of(host, place + "free_hugepages") == "0\n"
    with pytest.raises(OSError, match="EINVAL"):
        store(host, place + "nr_overcommit_hugepages", b"1")
    store(host, place + "demote", b"1")
    store(host, place + "demote_size", b"2M\n")
    with pytest.raises(OSError, match="EINVAL"):
        store(host, place + "demote_size", b"4k")
    assert text_of(host, place + "demote_size") == "2048kB\n"
    with pytest.raises(OSError, match="ENOMEM"):
        host.call("mmap", 0, 1 << 30, 3, 0x40022 | 30 << 26, -1, 0)
    descriptor = host.call("memfd_create", "x", 4 | 30 << 26)
    host.call("ftruncate", descriptor, 1 << 30)
    with pytest.raises(OSError, match="ENOMEM"):
        host.call("mmap", 0, 1 << 30, 3, 1, descriptor, 0)
    with pytest.raises(OSError, match="ENOSPC"):
        host.call("fallocate", descriptor, 0, 0, 1 << 30)
