"""Eviction does a bounded part of its work in a call, wherever there is a single free frame; the next call goes on."""

from typing import cast

import pytest

from kernel.cache import eviction
from kernel.cache.eviction import Evictor, Shrinker
from kernel.cache.file_cache import FileCache
from kernel.cache.page import CachedPage, PageList
from kernel.lib.pace import PACE, PACE_BUDGET, Rest
from kernel.mm import keeping
from kernel.mm.frames import SHORTAGE, Frame
from kernel.mm.slabs import SLABS

PAGES = 3000
LOOKED_AT = eviction._LOOKED_AT_MINIMUM + eviction._MOST_LOOKED_AT


class Pages:
    """Pages that are in no cache any more, so that none can be dropped; counts how many are looked at."""

    def __init__(self) -> None:
        self.list = PageList()
        self.looked_at = 0
        self.add, self.remove, self.rotate = self.list.add, self.list.remove, self.list.rotate
        self.first, self.last = self.list.first, self.list.last

    @property
    def count(self) -> int:
        return self.list.count

    def next_victim(self) -> CachedPage | None:
        self.looked_at += 1
        return self.list.next_victim()


class Asked(Shrinker):
    def __init__(self) -> None:
        self.times = 0

    def shrink(self, pages: int) -> None:
        self.times += 1


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Pages:
    found = Pages()
    for index in range(PAGES):
        page = CachedPage(cast(FileCache, None), index, Frame(0))
        found.add(page)
    monkeypatch.setattr(eviction, "LRU", found)
    monkeypatch.setattr(eviction, "SHRINKERS", [Asked(), Asked(), Asked()])
    monkeypatch.setattr(eviction, "drop_cached_stacks", lambda: 0)
    monkeypatch.setattr(eviction, "reclaim_more", lambda: False)
    monkeypatch.setattr(eviction, "free_frame_count", lambda: 1000)
    monkeypatch.setattr(PACE, "left", PACE_BUDGET)
    return found


def test_each_call_looks_at_the_next_part(pages: Pages) -> None:
    evictor = Evictor()
    first = pages.first()
    assert evictor.make_room(64) == 0 and evictor.may_find_more()
    assert pages.looked_at == LOOKED_AT and pages.first() is not first
    assert [shrinker.times for shrinker in cast(list[Asked], eviction.SHRINKERS)] == [0, 1, 0]
    calls = 1
    while evictor.may_find_more():
        evictor.make_room(64)
        calls += 1
    assert calls == -(-2 * PAGES // eviction._MOST_LOOKED_AT)
    assert sum(shrinker.times for shrinker in cast(list[Asked], eviction.SHRINKERS)) == calls
    assert PACE.left < 0  # what it did counts


def test_a_page_far_behind_is_found_in_the_end(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    evicted: list[CachedPage] = []

    class Cache:
        class pages:
            walked = 0

        def evict(self, page: CachedPage, remembers: bool) -> None:
            evicted.append(page)
            pages.remove(page)

    last = pages.last()
    assert last is not None
    last.cache = cast(FileCache, Cache())
    last.dirty = 1
    monkeypatch.setattr(eviction, "can_drop", lambda page: page is last)
    evictor = Evictor()
    rested: list[int] = []

    class Counting(Rest):
        def take(self) -> None:
            rested.append(pages.looked_at)

    monkeypatch.setattr(PACE, "rest", Counting())
    while evictor.make_room(1) == 0:
        assert evictor.wait_for_room()
    assert evicted == [last] and len(rested) > 0


def test_on_the_brink_everything_is_looked_at(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eviction, "free_frame_count", lambda: 0)
    evictor = Evictor()
    assert evictor.make_room(64) == 0 and not evictor.may_find_more()
    assert pages.looked_at >= 2 * PAGES
    assert [shrinker.times for shrinker in cast(list[Asked], eviction.SHRINKERS)] == [1, 1, 1]


def test_only_some_hundred_pages_go_at_once(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[int] = []

    def drop(count: int, looked_at: int, how: object) -> int:
        wanted.append(count)
        return count

    monkeypatch.setattr(eviction, "_drop_pages", drop)
    assert Evictor().make_room(100_000) == eviction._MOST_WANTED == wanted[0]


def test_what_could_be_dropped_counts_as_room_to_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not dropped for that, but for a few hundred pages."""
    asked: list[int] = []
    helper = Evictor()
    monkeypatch.setattr(SHORTAGE, "helper", helper)
    monkeypatch.setattr(keeping, "make_room", asked.append)
    monkeypatch.setattr(keeping, "total_frame_count", lambda: 8000)
    monkeypatch.setattr(keeping, "free_frame_count", lambda: 600)
    monkeypatch.setattr(SLABS, "pages", 5000)
    monkeypatch.setattr(helper, "droppable", lambda: 400)
    assert keeping.has_room_to_keep()
    monkeypatch.setattr(helper, "droppable", lambda: 399)
    assert not keeping.has_room_to_keep() and asked == [400, 400]
