"""Swapping by system calls, on a booted machine with a disk in memory: pages leave, lie on the disk, and come back."""

import os
import re
import signal
import struct

import pytest

from kernel.cache.swapper import swap_some
from kernel.mm.frames import PAGE_SIZE
from kernel.mm.swap_slots import SWAP
from kernel.mm.swapping import Choice, Taken
from tests.unit.booted import booted
from tests.unit.syscalls.test_huge_pages import show_proc, text_of
from tools.simulated.disk import MemoryDisk, attach_disk
from tools.simulated.machine import Machine
from tools.simulated.program import Program

READ_WRITE = 3
PRIVATE = 0x22
SHARED = 0x21


def swap_image(pages: int, bad: tuple[int, ...] = ()) -> bytearray:
    """What mkswap(8) writes."""
    image = bytearray(pages * PAGE_SIZE)
    struct.pack_into("<III", image, 1024, 1, pages - 1, len(bad))
    struct.pack_into(f"<{len(bad)}I", image, 1536, *bad)
    image[PAGE_SIZE - 10 : PAGE_SIZE] = b"SWAPSPACE2"
    return image


def attach(machine: Machine, pages: int = 64) -> MemoryDisk:
    host = machine.host
    show_proc(host)
    disk = attach_disk(swap_image(pages))
    host.mount("none", "/dev", "devtmpfs", 0, None)
    return disk


def swapon(program: Program, path: str = "/dev/vda", flags: int = 0) -> None:
    program.call("swapon", path, flags)


def swapoff(program: Program, path: str = "/dev/vda") -> None:
    program.call("swapoff", path)


def map_pages(program: Program, pages: int, kind: int = PRIVATE) -> int:
    place: int = program.call("mmap", 0, pages * PAGE_SIZE, READ_WRITE, kind, -1, 0)
    for page in range(pages):
        program.store(place + page * PAGE_SIZE, b"page %d" % page)
    return place


def sweep() -> None:
    """Whatever can be swapped out is."""
    taken = Taken()
    for _ in range(40):
        swap_some(Choice(), taken, 32)


def page_out(program: Program, place: int, pages: int) -> None:
    program.call("madvise", place, pages * PAGE_SIZE, 21)


def swapped(program: Program) -> int:
    found = re.search(r"VmSwap:\s+(\d+) kB", text_of(program, "/proc/self/status"))
    assert found
    return int(found[1]) // 4


@booted
def test_pages_lie_on_the_disk_and_come_back(machine: Machine) -> None:
    host = machine.host
    disk = attach(machine)
    swapon(host)
    assert text_of(host, "/proc/swaps").split("\n")[1].split() == ["/dev/vda", "partition", "252", "0", "-2"]
    place = map_pages(host, 8)
    resident = int(text_of(host, "/proc/self/statm").split()[1])
    page_out(host, place, 8)
    assert swapped(host) == 8 and int(text_of(host, "/proc/self/statm").split()[1]) == resident - 8
    assert b"page 7" in disk.image and SWAP.count() == 0
    assert text_of(host, "/proc/swaps").split("\n")[1].split()[3] == "32"
    assert re.search(r"SwapFree:\s+220 kB", text_of(host, "/proc/meminfo"))
    assert host.load(place + PAGE_SIZE, 6) == b"page 1" and swapped(host) == 7
    host.store(place + 7 * PAGE_SIZE + 5, b"8")
    assert host.load(place + 7 * PAGE_SIZE, 6) == b"page 8"
    swapoff(host)
    assert swapped(host) == 0 and host.load(place, 6) == b"page 0"
    assert text_of(host, "/proc/swaps").count("\n") == 1
    with pytest.raises(OSError, match="EINVAL"):
        swapoff(host)


@booted
def test_parent_and_child_share_a_slot(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    place = map_pages(host, 2)
    page_out(host, place, 2)

    def child(program: Program) -> int:
        assert SWAP.free() == 61 and swapped(program) == 2
        assert program.load(place, 6) == b"page 0"
        program.store(place, b"child!")
        assert program.load(place, 6) == b"child!" and program.load(place + PAGE_SIZE, 6) == b"page 1"
        return 0

    assert os.waitstatus_to_exitcode(machine.run(child)) == 0
    assert host.load(place, 6) == b"page 0" and host.load(place + PAGE_SIZE, 6) == b"page 1"
    assert SWAP.free() == 63 and SWAP.count() == 0


@booted
def test_what_parent_and_child_share_leaves_when_both_lose_it(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    place = map_pages(host, 4)

    def child(program: Program) -> int:
        page_out(program, place, 4)
        assert SWAP.count() == 0 and swapped(program) == 0  # the parent has them, too
        sweep()
        assert swapped(program) >= 4
        assert program.load(place, 6) == b"page 0"
        return 0

    assert os.waitstatus_to_exitcode(machine.run(child)) == 0
    assert swapped(host) >= 4 and SWAP.count() <= 1  # what the child has read
    host.store(place, b"parent")
    assert host.load(place, 6) == b"parent" and host.load(place + 3 * PAGE_SIZE, 6) == b"page 3"
    swapoff(host)
    assert SWAP.total() == 0 and swapped(host) == 0


@booted
def test_slots_come_free(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    place = map_pages(host, 9)
    page_out(host, place, 9)
    assert SWAP.free() == 54
    host.call("munmap", place, 3 * PAGE_SIZE)
    host.call("madvise", place + 3 * PAGE_SIZE, 3 * PAGE_SIZE, 4)  # MADV_DONTNEED
    assert SWAP.free() == 60 and host.load(place + 3 * PAGE_SIZE, 6) == bytes(6)
    moved: int = host.call("mremap", place + 6 * PAGE_SIZE, 3 * PAGE_SIZE, 3 * PAGE_SIZE, 3, 0x7000_0000_0000)
    assert host.load(moved + 2 * PAGE_SIZE, 6) == b"page 8"

    def child(program: Program) -> int:
        assert SWAP.free() == 61
        return 0

    assert os.waitstatus_to_exitcode(machine.run(child)) == 0
    swapoff(host)
    assert host.load(moved, 6) == b"page 6" and SWAP.total() == 0


@booted
def test_a_bad_sector_is_for_whoever_touches_the_page(machine: Machine) -> None:
    host = machine.host
    disk = attach(machine)
    swapon(host)
    place = map_pages(host, 3)
    page_out(host, place, 3)
    for sector in range(8, 64):
        disk.bad_sectors[sector] = True

    def child(program: Program) -> int:
        program.load(place, 1)
        return 0

    assert os.WTERMSIG(machine.run(child)) == signal.SIGBUS
    buffer = host.open("/dev/null", os.O_RDWR, 0)
    with pytest.raises(OSError, match="EFAULT"):
        host.call("statx", buffer, place, 0, 0, 0)
    swapoff(host)
    assert SWAP.total() == 0


@booted
def test_a_page_that_cannot_be_written_stays(machine: Machine) -> None:
    host = machine.host
    disk = attach(machine)
    swapon(host)
    for sector in range(8, 64):
        disk.bad_sectors[sector] = True
    place = map_pages(host, 3)
    page_out(host, place, 3)
    assert host.load(place, 6) == b"page 0" and host.load(place + 2 * PAGE_SIZE, 6) == b"page 2"
    swapoff(host)
    assert host.load(place + PAGE_SIZE, 6) == b"page 1"


@booted
def test_the_hand_takes_what_was_not_used(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    place = map_pages(host, 16)
    host.call("mlock", place, 4 * PAGE_SIZE)

    def child(program: Program) -> int:
        sweep()
        return 0

    assert os.waitstatus_to_exitcode(machine.run(child)) == 0
    assert swapped(host) >= 12 and SWAP.swapped_out >= 12
    for page in range(16):
        assert host.load(place + page * PAGE_SIZE, 6 + page // 10) == b"page %d" % page


@booted
def test_wrong_areas_are_refused(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    with pytest.raises(OSError, match="EINVAL"):
        swapon(host, flags=0x80000)
    for place, byte in ((1024, 2), (1028, 65), (1028, 0), (PAGE_SIZE - 1, 0)):
        image = swap_image(64)
        image[place] = byte
        other = attach_disk(image)
        with pytest.raises(OSError, match="EINVAL"):
            swapon(host, "/dev/" + other.name.decode())
    assert SWAP.areas.count(None) == len(SWAP.areas)
    swapon(host, flags=0x8000 | 7)
    with pytest.raises(OSError, match="EBUSY"):
        swapon(host)
    descriptor = host.open("/dev/vda", os.O_RDWR, 0)
    with pytest.raises(OSError, match="ETXTBSY"):
        host.write(descriptor, b"x", 1)
    assert text_of(host, "/proc/swaps").split("\n")[1].split()[4] == "7"
