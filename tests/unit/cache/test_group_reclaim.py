"""Which pages of files a control group loses first, and which it keeps."""

from collections.abc import Iterator

import pytest

from kernel.block.device import BlockDevice
from kernel.cache import BackingStore, FileCache, Runs, group_reclaim
from kernel.cache.group_reclaim import LAST_MAPPED, drop_clean, make_room
from kernel.cache.page import CachedPage
from kernel.cgroup.memory import MEMORY_CONTROLS, MemoryControl, MemoryHolder
from kernel.mm.frames import Frame, allocate_user_frame, get_frame, put_frame
from tools.simulated.disk import MemoryDisk


class Store(BackingStore):
    """A file of 4 MiB."""

    def __init__(self, disk: MemoryDisk) -> None:
        self.disk = disk

    def device(self) -> BlockDevice:
        return self.disk

    def size_bytes(self) -> int:
        return 4 << 20

    def map(self, offset: int, length: int, runs: Runs) -> None:
        runs.add(offset >> 9, length)


class Group:
    """A group all of whose pages are of one file; some of them are mapped."""

    def __init__(self, cache: FileCache, control: MemoryControl) -> None:
        self.cache = cache
        self.control = control
        self.mapped: set[int] = set()
        self.looked_at = 0

    def add(self, count: int, *, mapped: bool) -> None:
        first = self.control.usage
        for index in range(first, first + count):
            frame = allocate_user_frame()
            self.cache.adopt(index, frame)
            if mapped:
                self.mapped.add(index)
            else:
                put_frame(frame)
        self.control.add(count)

    def unmap(self, page: CachedPage) -> None:
        if page.index in self.mapped:
            self.mapped.remove(page.index)
            put_frame(page.frame)

    def number_of(self, frame: Frame) -> int:
        self.looked_at += 1
        return self.control.number

    def drop(self, wanted: int, needed: int = 1, spared: int = LAST_MAPPED) -> int:
        dropped = drop_clean(self.control, wanted, needed, spared)
        self.control.take(dropped)
        return dropped


drop_uncounted = FileCache.drop


def drop_counted(control: MemoryControl, cache: FileCache, page: CachedPage) -> None:
    """As in the kernel, where the frame that comes free is counted no more."""
    drop_uncounted(cache, page)
    control.take(1)


@pytest.fixture
def group(disk: MemoryDisk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Group]:
    cache = FileCache(Store(disk))
    control = MEMORY_CONTROLS.make(None, MemoryHolder())
    group = Group(cache, control)
    monkeypatch.setattr(group_reclaim, "charged_for", group.number_of)
    monkeypatch.setattr(FileCache, "unmap_page", lambda cache, page: group.unmap(page))
    yield group
    MEMORY_CONTROLS.end(control)


def test_what_nobody_maps_goes_first(group: Group) -> None:
    group.add(40, mapped=True)
    group.add(10, mapped=False)
    assert group.drop(64) == 10
    assert len(group.mapped) == 40


def test_of_what_is_mapped_goes_what_is_needed(group: Group) -> None:
    group.add(40, mapped=True)
    group.add(10, mapped=False)
    assert group.drop(64, 13) == 13
    assert len(group.mapped) == 37
    assert group.cache.find(0) is None  # the oldest


def test_where_much_is_mapped_more_goes_at_once(group: Group) -> None:
    group.add(300, mapped=True)
    assert group.drop(64) == 64
    assert group.mapped == set(range(64, 300))  # the oldest went


def test_the_last_mapped_pages_stay(group: Group) -> None:
    """A program that is left a page or two reads them for ever, and its group is never out of memory."""
    group.add(40, mapped=True)
    rounds = 0
    while group.drop(64) > 0:
        rounds += 1
    assert rounds == 40 - 16
    assert len(group.mapped) == 16


def test_the_last_mapped_pages_go_where_the_limit_is_lowered(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    group.add(40, mapped=True)
    monkeypatch.setattr(FileCache, "evict", lambda cache, page: drop_counted(group.control, cache, page))
    group.control.limit = 12
    assert not make_room(group.control, 0)
    assert len(group.mapped) == 16
    assert make_room(group.control, 0, spared=0)
    assert len(group.mapped) == 12


@pytest.mark.parametrize("count", [40, 300])
def test_each_page_is_looked_at_once(group: Group, count: int) -> None:
    group.add(count, mapped=True)
    assert group.drop(count, count, spared=0) == count
    assert group.looked_at == count


def test_within_its_limit_a_group_keeps_what_it_maps(group: Group) -> None:
    group.add(40, mapped=True)
    group.control.limit = 41
    make_room(group.control, 32)
    assert len(group.mapped) == 40


def test_a_page_that_somebody_holds_stays(group: Group) -> None:
    group.add(20, mapped=True)
    held = group.cache.find(0)
    assert held is not None
    get_frame(held.frame)
    assert group.drop(64, 20, spared=0) == 19
    assert group.cache.find(0) is held


def test_the_last_of_many_mapped_pages_stay(group: Group) -> None:
    group.add(128, mapped=True)
    group.drop(256)
    assert len(group.mapped) == 16
