"""PAGEMAP_SCAN on a booted machine: which pages are found, and how they are protected."""

import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096
TABLE = 512 * PAGE
READ_WRITE, PRIVATE_ANONYMOUS, FIXED = 3, 0x22, 0x10
NONBLOCK = 0o4000
API, REGISTER = 0xC018AA3F, 0xC020AA00
WP_ASYNC = 1 << 15
SCAN = 0xC0606610
PROTECTS, INSISTS = 1, 2
PROTECTABLE, WRITTEN, PRESENT, SWAPPED = 1, 2, 8, 16


def watched(host: Program, pages: int) -> int:
    """Memory that is protected asynchronously, at the beginning of a table."""
    place = (host.mmap(0, 2 * TABLE, 0, PRIVATE_ANONYMOUS, -1, 0) + TABLE - 1) & -TABLE
    host.mmap(place, pages * PAGE, READ_WRITE, PRIVATE_ANONYMOUS | FIXED, -1, 0)
    faults = host.userfaultfd(NONBLOCK)
    host.ioctl(faults, API, bytearray(struct.pack("<QQQ", 0xAA, WP_ASYNC, 0)))
    host.ioctl(faults, REGISTER, bytearray(struct.pack("<QQQQ", place, pages * PAGE, 2, 0)))
    return place


def scan(
    host: Program, start: int, pages: int, flags: int = 0, room: int = 8, most: int = 0, masks: tuple[int, ...] = ()
) -> tuple[list[tuple[int, int, int]], int]:
    """The regions, in pages from the start, and where the walk ended. `masks`: inverted, all, any, returned."""
    regions = host.mmap(0, PAGE, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0)
    masks = masks or (0, WRITTEN, 0, WRITTEN)
    vector = regions if room > 0 else 0
    words = (96, flags, start, start + pages * PAGE, 0, vector, room, most, *masks)
    argument = bytearray(struct.pack("<12Q", *words))
    pagemap = host.openat(-100, "/proc/self/pagemap", 0)
    try:
        count = host.ioctl(pagemap, SCAN, argument)
    finally:
        host.close(pagemap)
    data = host.load(regions, 24 * count)
    found = [struct.unpack_from("<QQQ", data, 24 * i) for i in range(count)]
    end = struct.unpack_from("<Q", argument, 32)[0]
    return [((a - start) // PAGE, (b - start) // PAGE, kind) for a, b, kind in found], (end - start) // PAGE


@booted
def test_what_was_written_since_it_was_protected_is_found(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    place = watched(host, 8)
    assert scan(host, place, 8) == ([], 8)  # there is no table
    host.store(place, b"a")
    assert scan(host, place, 8, PROTECTS) == ([(0, 8, WRITTEN)], 8)
    assert scan(host, place, 8) == ([], 8)
    for page in (1, 2, 4, 6):
        host.store(place + page * PAGE, b"b")
    assert scan(host, place, 8) == ([(1, 3, WRITTEN), (4, 5, WRITTEN), (6, 7, WRITTEN)], 8)
    assert scan(host, place, 8, room=2) == ([(1, 3, WRITTEN), (4, 5, WRITTEN)], 6)
    assert scan(host, place, 8, most=3) == ([(1, 3, WRITTEN), (4, 5, WRITTEN)], 6)
    assert scan(host, place, 8, most=1) == ([(1, 2, WRITTEN)], 2)
    assert scan(host, place, 8, PROTECTS, most=1) == ([(1, 2, WRITTEN)], 2)
    assert scan(host, place, 8) == ([(2, 3, WRITTEN), (4, 5, WRITTEN), (6, 7, WRITTEN)], 8)
    assert scan(host, place, 8, PROTECTS, room=0) == ([], 8)
    assert scan(host, place, 8) == ([], 8)


@booted
def test_pages_are_found_by_what_they_are(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    place = watched(host, 4)
    host.store(place, b"a")
    scan(host, place, 4, PROTECTS)
    host.store(place + 2 * PAGE, b"a")
    shown = 0x7F
    absent = PROTECTABLE | SWAPPED
    there = PROTECTABLE | PRESENT
    everything = [(0, 1, there), (1, 2, absent), (2, 3, there | WRITTEN), (3, 4, absent)]
    assert scan(host, place, 4, masks=(0, 0, 0, shown)) == (everything, 4)
    assert scan(host, place, 4, masks=(0, PRESENT, 0, PRESENT)) == ([(0, 1, PRESENT), (2, 3, PRESENT)], 4)
    assert scan(host, place, 4, masks=(PRESENT, PRESENT, 0, 0)) == ([(1, 2, 0), (3, 4, 0)], 4)
    assert scan(host, place, 4, masks=(0, 0, WRITTEN | SWAPPED, SWAPPED)) == (
        [(1, 2, SWAPPED), (2, 3, 0), (3, 4, SWAPPED)], 4,
    )  # fmt: skip


@booted
def test_what_is_not_there_counts_as_written_where_a_table_is(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    place = (host.mmap(0, 2 * TABLE, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0) + TABLE - 1) & -TABLE
    assert scan(host, place, 4, masks=(0, 0, 0, 0x7F)) == ([(0, 4, 0)], 4)
    host.store(place + PAGE, b"a")
    expected = [(0, 1, WRITTEN), (1, 2, WRITTEN | PRESENT), (2, 4, WRITTEN)]
    assert scan(host, place, 4, masks=(0, 0, 0, 0x7F)) == (expected, 4)


@booted
def test_other_memory_is_passed_over_unless_the_caller_insists(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    place = watched(host, 4)
    host.munmap(place + 4 * PAGE, PAGE)
    host.mmap(place + 5 * PAGE, PAGE, READ_WRITE, PRIVATE_ANONYMOUS | FIXED, -1, 0)
    host.store(place + 5 * PAGE, b"a")
    assert scan(host, place, 6) == ([(0, 4, WRITTEN), (5, 6, WRITTEN)], 6)
    assert scan(host, place, 6, PROTECTS) == ([(0, 4, WRITTEN)], 6)
    assert scan(host, place, 5, INSISTS)[1] == 5
    with pytest.raises(OSError, match="EPERM"):
        scan(host, place, 6, INSISTS)


@booted
def test_nonsense_is_refused(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    place = watched(host, 4)
    unknown = (0, 256, 0, 0)
    nonsense: list[tuple[int, int, tuple[int, ...]]] = [(4, place, ()), (0, place + 1, ()), (0, place, unknown)]
    for flags, start, masks in nonsense:
        with pytest.raises(OSError, match="EINVAL"):
            scan(host, start, 4, flags, masks=masks)
    with pytest.raises(OSError, match="EFAULT"):
        scan(host, place, -1)
    assert scan(host, place, 0) == ([], 0)
    pagemap = host.openat(-100, "/proc/self/pagemap", 0)
    with pytest.raises(OSError, match="ENOTTY"):
        host.ioctl(pagemap, SCAN + 1, bytearray(96))
    with pytest.raises(OSError, match="EFAULT"):
        host.ioctl(pagemap, SCAN, 1)


@booted
def test_more_regions_than_are_kept_at_once_are_found(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/proc", 0o755)
    host.mount("none", "/proc", "proc", 0, 0)
    pages = 1200
    place = host.mmap(0, pages * PAGE, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0)
    for page in range(0, pages, 2):
        host.store(place + page * PAGE, b"a")
    regions = host.mmap(0, 4 * PAGE, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0)
    words = (96, 0, place, place + pages * PAGE, 0, regions, 650, 0, 0, PRESENT, 0, PRESENT)
    pagemap = host.openat(-100, "/proc/self/pagemap", 0)
    assert host.ioctl(pagemap, SCAN, bytearray(struct.pack("<12Q", *words))) == pages // 2
    data = host.load(regions, 24 * (pages // 2))
    starts = [struct.unpack_from("<Q", data, 24 * i)[0] for i in range(pages // 2)]
    assert starts == [place + page * PAGE for page in range(0, pages, 2)]
