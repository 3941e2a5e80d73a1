"""What other threads do while one sleeps with a page of a cache."""

from collections.abc import Callable

import pytest

from kernel.block.device import BlockDevice
from kernel.cache import BackingStore, FileCache, Readahead, Runs, file_cache, file_io
from kernel.cache.devices import DeviceStore
from kernel.cache.direct import write_direct
from kernel.cache.dirty_pages import LAST_PAGE, TOTALS
from kernel.lang import Span, u8
from kernel.lib.user import KernelBuffer
from kernel.mm.frames import PAGE_SIZE, Frame, frame_span, get_frame, put_frame
from tools.simulated.disk import MemoryDisk


class InOrder(BackingStore):
    """A file that lies at the beginning of the disk. Others act once, while a place is looked up or a lock taken."""

    def __init__(self, disk: MemoryDisk, pages: int) -> None:
        self.disk = disk
        self.size = pages * PAGE_SIZE
        self.while_looking: Callable[[], object] | None = None
        self.while_locking: Callable[[], object] | None = None

    def device(self) -> BlockDevice:
        return self.disk

    def size_bytes(self) -> int:
        return self.size

    def map(self, offset: int, length: int, runs: Runs) -> None:
        act = self.while_looking
        self.while_looking = None
        if act is not None:
            act()
        runs.add(offset >> 9, length)

    def allocate(self, offset: int, length: int) -> None:
        return

    def begin_change(self) -> None:
        act = self.while_locking
        self.while_locking = None
        if act is not None:
            act()


class Taken(KernelBuffer):
    """Others act before a program's bytes have come."""

    def __init__(self, data: bytes, act: Callable[[], object]) -> None:
        super().__init__(bytearray(data))
        self.act = act

    def take(self, destination: Span[u8]) -> int:
        done = super().take(destination)
        self.act()
        return done


def write_past(cache: FileCache, data: bytes, offset: int) -> None:
    """A direct write, which bypasses the cache."""
    assert write_direct(cache, KernelBuffer(bytearray(data)), offset) == len(data)


def test_no_page_past_a_new_end_is_read(disk: MemoryDisk) -> None:
    """The truncation waits for the pages that were being read when it began, and for no others."""
    disk.image[: 8 * PAGE_SIZE] = b"o" * (8 * PAGE_SIZE)
    store = InOrder(disk, 8)
    cache = FileCache(store)
    cache.present(3)  # what is missing is read in two parts
    store.while_looking = lambda: setattr(store, "size", 0)
    cache.begin_reading(0, 8)
    assert cache.find(2) is not None and cache.find(4) is None


def test_no_byte_past_a_new_end_is_read(disk: MemoryDisk) -> None:
    """The file loses a part of the page while that is read in."""
    disk.image[:PAGE_SIZE] = b"o" * PAGE_SIZE
    store = InOrder(disk, 1)
    store.while_looking = lambda: setattr(store, "size", 10)
    assert file_io.read_at(FileCache(store), KernelBuffer(bytearray(100)), 0, Readahead()) == 10
    store.size = PAGE_SIZE
    store.while_looking = lambda: setattr(store, "size", 10)
    assert file_io.read_at(FileCache(store), KernelBuffer(bytearray(100)), 50, Readahead()) == 0


@pytest.mark.parametrize("is_late", [False, True])
def test_a_direct_write_is_not_undone_by_a_mapping(
    disk: MemoryDisk, monkeypatch: pytest.MonkeyPatch, *, is_late: bool
) -> None:
    """A page that a program is about to write to is written back as a whole: so it must be up to date then."""
    store = InOrder(disk, 2)
    cache = FileCache(store)
    cache.present(0)

    def act() -> None:
        write_past(cache, b"n" * 512, 512)

    if is_late:
        acts = [act]
        monkeypatch.setattr(TOTALS, "balance", lambda _: (cache.write_range(0, 1), acts.pop()()) if acts else None)
    else:
        monkeypatch.setattr(TOTALS, "balance", None)
        store.while_locking = act
    frame = cache.page(0, for_write=True)
    assert frame_span(frame)[512:1024].to_bytes() == b"n" * 512
    frame_span(frame)[0] = 1
    put_frame(frame)
    cache.write_range(0, LAST_PAGE)
    assert disk.image[512:1024] == b"n" * 512 and disk.image[0] == 1


def test_a_page_is_unmapped_again_after_a_direct_write(disk: MemoryDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may have faulted it in while another page was waited for."""
    cache = FileCache(InOrder(disk, 2))
    unmapped: list[int] = []

    def unmap(_: object, index: int, frame: Frame) -> None:
        unmapped.append(index)
        put_frame(frame)

    monkeypatch.setattr(file_cache, "unmap_frame", unmap)
    get_frame(cache.present(1).frame)  # mapped
    cache.renounce(0, 2)
    assert unmapped == [1] and cache.find(1) is None


def test_nothing_is_lost_of_two_writes_to_a_page_of_a_device(disk: MemoryDisk) -> None:
    cache = FileCache(DeviceStore(disk), by_sectors=True)
    file_io.read_at(cache, KernelBuffer(bytearray(512)), 0, Readahead())
    data = Taken(b"a" * 512, lambda: write_past(cache, b"b" * 512, 1024))
    assert file_io.write_at(cache, data, 0) == 512
    found = KernelBuffer(bytearray(2048))
    file_io.read_at(cache, found, 0, Readahead())
    assert bytes(found.storage) == b"a" * 512 + bytes(512) + b"b" * 512 + bytes(512)
    cache.write_range(0, LAST_PAGE)
    assert disk.image[:2048] == found.storage
