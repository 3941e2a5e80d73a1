"""A plug joins the requests of neighbours, whichever file they are of, and loses none."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.block.device import Operation
from kernel.cache import BackingStore, FileCache, Plug, Runs
from kernel.cache.dirty_pages import LAST_PAGE, TOTALS
from kernel.cache.eviction import Evictor
from kernel.mm.frames import frame_span
from tools.simulated.disk import MemoryDisk

PAGE_SECTORS = 8


class PieceStore(BackingStore):
    """A file of one page, somewhere on the disk."""

    def __init__(self, disk: MemoryDisk, place: int, size: int = 4096) -> None:
        self.disk = disk
        self.place = place
        self.size = size

    def device(self) -> MemoryDisk:
        return self.disk

    def size_bytes(self) -> int:
        return self.size

    def map(self, offset: int, length: int, runs: Runs) -> None:
        runs.add(self.place * PAGE_SECTORS + (offset >> 9), length)


def dirty_file(disk: MemoryDisk, place: int, pages: int = 1) -> FileCache:
    """Each byte of its pages says where the page belongs."""
    cache = FileCache(PieceStore(disk, place, pages * 4096))
    for index in range(pages):
        page = cache.whole(index)
        frame_span(page.frame).fill(place + index & 0xFF)
        cache.mark_dirty(page, 0, 4096)
    return cache


def write_all(caches: list[FileCache]) -> None:
    plug = Plug()
    for cache in caches:
        cache.write_back(0, LAST_PAGE, LAST_PAGE, plug)
    plug.flush()


def test_neighbours_are_one_request_in_order(disk: MemoryDisk) -> None:
    caches = [dirty_file(disk, place) for place in (7, 3, 20, 5, 4, 6)]
    write_all(caches)
    assert disk.log == [
        (Operation.WRITE, 3 * PAGE_SECTORS, 5 * 4096),
        (Operation.WRITE, 20 * PAGE_SECTORS, 4096),
    ]
    assert TOTALS.dirty == TOTALS.writing == 0


def test_no_request_is_too_large(disk: MemoryDisk) -> None:
    disk.largest_transfer = disk.largest_joined_transfer = 3
    write_all([dirty_file(disk, place) for place in range(10, 17)])
    assert [length for _, _, length in disk.log] == [3 * 4096, 3 * 4096, 4096]


def test_another_device_is_not_joined(disk: MemoryDisk) -> None:
    other = MemoryDisk(bytearray(1 << 20), 0xFE10)
    write_all([dirty_file(disk, 3), dirty_file(other, 4), dirty_file(disk, 5)])
    assert [sector for _, sector, _ in disk.log] == [24, 40]
    assert [sector for _, sector, _ in other.log] == [32]


def test_nothing_is_sent_before_the_plug_is_flushed(disk: MemoryDisk) -> None:
    cache = dirty_file(disk, 9)
    plug = Plug()
    cache.write_back(0, LAST_PAGE, LAST_PAGE, plug)
    assert disk.log == [] and TOTALS.writing == 1
    Evictor().make_room(1000)
    assert cache.find(0) is not None
    plug.flush()
    plug.flush()
    assert len(disk.log) == 1 and TOTALS.writing == 0


def test_a_bad_sector_is_told(disk: MemoryDisk) -> None:
    disk.bad_sectors[9 * PAGE_SECTORS] = True
    caches = [dirty_file(disk, 9), dirty_file(disk, 30)]
    write_all(caches)
    assert [cache.failures for cache in caches] == [1, 0]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 6)), max_size=40, unique_by=lambda item: item[0]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_everything_reaches_its_place(disk: MemoryDisk, files: list[tuple[int, int]]) -> None:
    disk.image[:] = bytes(len(disk.image))
    disk.log.clear()
    taken: set[int] = set()
    caches = []
    for place, pages in files:
        if taken.isdisjoint(range(place, place + pages)):
            taken.update(range(place, place + pages))
            caches.append(dirty_file(disk, place, pages))
    write_all(caches)
    for place in range(210):
        expected = place & 0xFF if place in taken else 0
        assert disk.image[place * 4096 : (place + 1) * 4096] == bytes([expected]) * 4096
    assert TOTALS.dirty == TOTALS.writing == 0
