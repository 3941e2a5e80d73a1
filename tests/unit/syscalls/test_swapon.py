"""Swapping by system calls, on a booted machine with a disk in memory: pages leave, lie on the disk, and come back."""

import os
import re
import signal
import struct

import pytest

from kernel.cache.swapper import swap_some
from kernel.mm.frames import PAGE_SIZE
from kernel.mm.objects import SHARED_TOTALS
from kernel.mm.swap_slots import SWAP, area_of
from kernel.mm.swapping import EVERYBODY, Taken
from tests.unit.booted import booted
from tests.unit.fs.ext2.conftest import make_image
from tests.unit.syscalls.test_huge_pages import show_proc, store, text_of
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
        swap_some(EVERYBODY, taken, 32, takes_used=False)


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


def out() -> int:
    """How many slots are in use."""
    return SWAP.total() - SWAP.free()


@booted
def test_shared_memory_is_swapped_out(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    place = map_pages(host, 6, SHARED)
    before = SHARED_TOTALS.pages
    page_out(host, place, 6)
    assert out() == 6 and swapped(host) == 0 and SHARED_TOTALS.pages == before - 6

    def child(program: Program) -> int:
        assert program.load(place + PAGE_SIZE, 6) == b"page 1"
        program.store(place, b"child!")
        return 0

    assert os.waitstatus_to_exitcode(machine.run(child)) == 0
    assert host.load(place, 6) == b"child!" and out() == 4
    swapoff(host)
    assert host.load(place + 5 * PAGE_SIZE, 6) == b"page 5" and SHARED_TOTALS.pages == before
    host.call("munmap", place, 6 * PAGE_SIZE)
    assert SHARED_TOTALS.pages == before - 6


@booted
def test_files_in_memory_are_swapped_out(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    fd = host.call("memfd_create", "x", 0)
    for page in range(8):
        host.pwrite64(fd, b"page %d" % page, 6, page * PAGE_SIZE)
    sweep()
    assert out() >= 8
    buffer = bytearray(6)
    assert host.pread64(fd, buffer, 6, 3 * PAGE_SIZE) == 6 and buffer == b"page 3"
    host.pwrite64(fd, b"!", 1, 4 * PAGE_SIZE + 4)
    assert host.pread64(fd, buffer, 6, 4 * PAGE_SIZE) == 6 and buffer == b"page!4"
    used = out()
    host.ftruncate(fd, PAGE_SIZE + 2)
    assert out() < used
    host.ftruncate(fd, 8 * PAGE_SIZE)
    assert host.pread64(fd, buffer, 6, PAGE_SIZE) == 6 and buffer == b"pa\0\0\0\0"
    assert host.pread64(fd, buffer, 6, 5 * PAGE_SIZE) == 6 and buffer == bytes(6)
    place = host.call("mmap", 0, PAGE_SIZE, READ_WRITE, 1, fd, 0)
    assert host.load(place, 6) == b"page 0"
    page_out(host, place, 1)
    assert host.load(place, 6) == b"page 0"
    page_out(host, place, 1)
    swapoff(host)
    assert host.load(place, 6) == b"page 0"


@booted
def test_a_file_is_an_area(machine: Machine) -> None:
    host = machine.host
    show_proc(host)
    attach_disk(make_image(2048))
    host.mount("none", "/dev", "devtmpfs", 0, None)
    host.mkdir("/mnt", 0o755)
    host.mount("/dev/vda", "/mnt", "ext2", 0, None)
    fd = host.open("/mnt/area", os.O_RDWR | os.O_CREAT, 0o600)
    image = bytes(swap_image(32))
    assert host.write(fd, image, len(image)) == len(image)
    holes = host.open("/mnt/holes", os.O_RDWR | os.O_CREAT, 0o600)
    host.write(holes, image[:PAGE_SIZE], PAGE_SIZE)
    host.ftruncate(holes, len(image))
    with pytest.raises(OSError, match="EINVAL"):
        swapon(host, "/mnt/holes")
    swapon(host, "/mnt/area")
    for error, call in (
        ("ETXTBSY", lambda: host.pwrite64(fd, b"x", 1, 0)),
        ("ETXTBSY", lambda: host.ftruncate(fd, 0)),
        ("ETXTBSY", lambda: host.call("mmap", 0, PAGE_SIZE, READ_WRITE, 1, fd, 0)),
        ("EPERM", lambda: host.unlink("/mnt/area")),
        ("EPERM", lambda: host.rename("/mnt/area", "/mnt/other")),
        ("EPERM", lambda: host.rename("/mnt/holes", "/mnt/area")),
        ("EBUSY", lambda: swapon(host, "/mnt/area")),
    ):
        with pytest.raises(OSError, match=error):
            call()
    name, kind = text_of(host, "/proc/swaps").split("\n")[1].split()[:2]
    assert (name, kind) == ("/mnt/area", "file")
    place = map_pages(host, 8)
    page_out(host, place, 8)
    assert swapped(host) == 8 and host.load(place + 7 * PAGE_SIZE, 6) == b"page 7"
    swapoff(host, "/mnt/area")
    host.unlink("/mnt/area")
    assert host.load(place, 6) == b"page 0"


@booted
def test_areas_of_one_priority_take_turns(machine: Machine) -> None:
    host = machine.host
    attach(machine, 600)
    attach_disk(swap_image(600))
    attach_disk(swap_image(8))
    swapon(host, "/dev/vda", 0x8000 | 1)
    swapon(host, "/dev/vdb", 0x8000 | 1)
    swapon(host, "/dev/vdc", 0x8000 | 2)
    taken = [SWAP.take(0) for _ in range(700)]
    counts = [sum(area_of(slot) == number for slot in taken) for number in range(3)]
    assert counts == [693 - 256, 256, 7]
    for slot in taken:
        SWAP.put(slot)
    assert SWAP.free() == SWAP.total() == 599 + 599 + 7


@booted
def test_priorities_move_up(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    for _ in range(2):
        attach_disk(swap_image(16))
    for name in "abc":
        swapon(host, f"/dev/vd{name}")

    def priorities() -> list[str]:
        return [line.split()[4] for line in text_of(host, "/proc/swaps").splitlines()[1:]]

    assert priorities() == ["-2", "-3", "-4"]
    swapoff(host, "/dev/vda")
    assert priorities() == ["-2", "-3"]
    swapon(host)
    assert sorted(priorities()) == ["-2", "-3", "-4"]


@booted
def test_a_group_swaps_within_its_limits(machine: Machine) -> None:
    host = machine.host
    attach(machine, 512)
    swapon(host)
    host.mkdir("/cg", 0o755)
    host.mount("none", "/cg", "cgroup2", 0, None)
    store(host, "/cg/cgroup.subtree_control", b"+memory")
    host.mkdir("/cg/a", 0o755)
    store(host, "/cg/a/memory.max", b"800k")

    def child(program: Program) -> int:
        store(program, "/cg/a/cgroup.procs", b"0")
        place = map_pages(program, 300)
        assert int(text_of(program, "/cg/a/memory.swap.current")) > 0
        for page in range(300):
            assert program.load(place + page * PAGE_SIZE, 8).rstrip(b"\0") == b"page %d" % page
        return 0

    assert os.waitstatus_to_exitcode(machine.run(child)) == 0
    assert text_of(host, "/cg/a/memory.swap.current") == "0\n"
    assert int(text_of(host, "/cg/a/memory.swap.peak")) > 0
    store(host, "/cg/a/memory.swap.max", b"0")
    assert os.WTERMSIG(machine.run(child)) == signal.SIGKILL
    assert text_of(host, "/cg/a/memory.swap.events") == "high 0\nmax 0\nfail 0\n"
    store(host, "/cg/a/memory.swap.max", b"40k")
    assert os.WTERMSIG(machine.run(child)) == signal.SIGKILL
    assert not text_of(host, "/cg/a/memory.swap.events").endswith("fail 0\n")


@booted
def test_an_event_of_userfaultfd_is_no_missing_page(machine: Machine) -> None:
    host = machine.host
    attach(machine)
    swapon(host)
    place = map_pages(host, 2)
    fd = host.call("userfaultfd", 0)
    host.call("ioctl", fd, 0xC018AA3F, bytearray(struct.pack("<QQQ", 0xAA, 0, 0)))  # UFFDIO_API
    request = bytearray(struct.pack("<QQQQ", place, 2 * PAGE_SIZE, 1, 0))
    host.call("ioctl", fd, 0xC020AA00, request)  # UFFDIO_REGISTER
    page_out(host, place, 2)
    assert swapped(host) == 2 and host.load(place, 6) == b"page 0"
    zero = bytearray(struct.pack("<QQQq", place + PAGE_SIZE, PAGE_SIZE, 0, 0))
    with pytest.raises(OSError, match="EEXIST"):
        host.call("ioctl", fd, 0xC020AA04, zero)  # UFFDIO_ZEROPAGE
    assert host.load(place + PAGE_SIZE, 6) == b"page 1"


def discards(disk: MemoryDisk) -> list[tuple[int, int]]:
    """What was discarded: the first page, and how many."""
    return [(sector >> 3, length // PAGE_SIZE) for operation, sector, length in disk.log if operation == 3]


@booted
def test_slots_that_come_free_are_discarded(machine: Machine) -> None:
    host = machine.host
    disk = attach(machine, 2000)
    disk.discard_limit = 1 << 20
    for flags, at_once, later in ((0x20000, 1, 0), (0x30000, 1, 0), (0x50000, 0, 2), (0x10000, 1, 2), (0x70000, 1, 0)):
        del disk.log[:]
        swapon(host, flags=flags)
        first = discards(disk)
        expected = [(1, 1999)] if at_once and flags & 0x10000 else []
        assert first == expected
        place = map_pages(host, 1600)
        page_out(host, place, 1600)
        host.call("munmap", place, 1600 * PAGE_SIZE)
        host.call("poll", 0, 0, 10)
        assert sorted(discards(disk)[len(first) :]) == [(512, 512), (1024, 512)][:later]
        assert SWAP.free() == 1999
        place = map_pages(host, 1600)  # the slots can be used again
        page_out(host, place, 1600)
        assert host.load(place + 1500 * PAGE_SIZE, 9) == b"page 1500"
        host.call("munmap", place, 1600 * PAGE_SIZE)
        swapoff(host)
        assert sorted(discards(disk)[len(first) :]) == sorted([(512, 512), (1024, 512)][:later] * 2)


@booted
def test_slots_of_a_rotational_disk_are_not_discarded(machine: Machine) -> None:
    host = machine.host
    disk = attach(machine, 2000)
    disk.discard_limit = 1 << 20
    disk.is_rotational = True
    swapon(host, flags=0x10000)
    assert discards(disk) == [(1, 1999)]  # at once, as ever
    place = map_pages(host, 1600)
    page_out(host, place, 1600)
    host.call("munmap", place, 1600 * PAGE_SIZE)
    host.call("poll", 0, 0, 10)
    assert discards(disk) == [(1, 1999)]
    swapoff(host)


@booted
def test_root_says_whether_a_disk_is_rotational(machine: Machine) -> None:
    host = machine.host
    disk = attach(machine)
    host.mkdir("/sys", 0o755)
    host.mount("none", "/sys", "sysfs", 0, None)
    path = "/sys/block/vda/queue/rotational"
    for text, shown in ((b"1", "1"), (b"0\n", "0"), (b"+4294967295", "1"), (b"0\0x", "0")):
        store(host, path, text)
        assert text_of(host, path) == shown + "\n" and disk.rotates() == (shown == "1")
    for text in (b"-1", b" 1", b"1 ", b"\n", b"4294967296", b"99999999999999999999", b"0\n\n"):
        with pytest.raises(OSError, match="EINVAL"):
            store(host, path, text)
