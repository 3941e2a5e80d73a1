"""Whoever needs memory waits for write-back as long as that gets on, and no longer."""

import pytest

from kernel.cache import eviction, file_io
from kernel.cache.devices import DeviceStore
from kernel.cache.dirty_pages import LAST_PAGE, TOTALS
from kernel.cache.file_cache import FileCache
from kernel.lib.user import KernelBuffer
from tools.simulated.disk import MemoryDisk

STEP_NS = 200_000_000


class Clock:
    """Every wait takes as long as it may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 50_000_000_000
        monkeypatch.setattr(eviction, "monotonic_ns", lambda: self.now)
        monkeypatch.setattr("kernel.cache.dirty_pages.monotonic_ns", lambda: self.now)
        monkeypatch.setattr(TOTALS.progress, "sleep_until", self.sleep_until)
        monkeypatch.setattr(TOTALS, "progress_ns", 0)

    def sleep_until(self, deadline_ns: int, interruptible: bool = True) -> None:
        self.now = deadline_ns


def dirty(disk: MemoryDisk) -> FileCache:
    cache = FileCache(DeviceStore(disk), by_sectors=True)
    file_io.write_at(cache, KernelBuffer(bytearray(8 * 4096)), 0)
    return cache


def test_without_dirty_pages_there_is_nothing_to_wait_for(disk: MemoryDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    assert not eviction.Evictor().wait_for_room()


def test_a_disk_that_stands_still_is_given_up(disk: MemoryDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    dirty(disk)
    evictor = eviction.Evictor()
    start = clock.now
    while evictor.wait_for_room():
        assert clock.now - start < 60_000_000_000
    assert clock.now - start >= 10_000_000_000


def test_a_disk_that_gets_on_is_waited_for(disk: MemoryDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    cache = dirty(disk)
    evictor = eviction.Evictor()
    for _ in range(400):
        assert evictor.wait_for_room()
        cache.write_back(0, LAST_PAGE, 1)
        page = cache.present(0)
        cache.mark_dirty(page, 0, 4096)
    clock.now += 3_000_000_000  # later there is another shortage
    TOTALS.progress_ns = 0
    assert evictor.wait_for_room()
