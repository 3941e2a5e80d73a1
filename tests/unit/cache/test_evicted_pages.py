"""What a cache remembers of pages that memory pressure took."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.cache import page_index
from kernel.cache.file_cache import FileCache
from kernel.cache.page import CachedPage
from kernel.cache.page_index import KEPT, PageIndex
from kernel.cache.store import BackingStore
from kernel.mm.frames import Frame
from tests.unit.effort import FEW, lines_of, longest_stretch
from tests.unit.meanwhile import meanwhile

END = 1 << 52


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[PageIndex]:
    monkeypatch.setattr(page_index, "total_frame_count", lambda: 256)
    index = PageIndex()
    yield index
    index.forget_evicted(0, END)
    assert KEPT.count == 0


def enter(pages: PageIndex, numbers: range) -> None:
    cache = FileCache(BackingStore())
    for number in numbers:
        pages.put(CachedPage(cache, number, Frame(0)))


def test_evicted_pages_are_remembered_until_they_are_read_again(pages: PageIndex) -> None:
    enter(pages, range(100))
    for number in range(100):
        pages.evict(number)
    assert KEPT.count == 2
    assert pages.indices(0, END, END) == []
    assert pages.evicted_between(0, END, 0) == (100, 0)
    assert pages.evicted_between(60, 70, 35) == (10, 5)
    enter(pages, range(3))
    assert KEPT.count == 1
    assert pages.evicted_between(0, END, 0) == (97, 0)
    for number in range(3):
        pages.remove(number)


def test_what_is_cut_off_is_forgotten(pages: PageIndex) -> None:
    enter(pages, range(200))
    for number in range(0, 200, 2):
        pages.evict(number)
    pages.forget_evicted(50, 120)
    assert pages.evicted_between(0, END, END)[0] == 65
    for number in range(1, 200, 2):
        pages.remove(number)
    pages.forget_evicted(0, END)
    assert len(pages.chunks) == 0 and pages.evicted == 0


def test_the_oldest_go_first(pages: PageIndex) -> None:
    enter(pages, range(256))
    for number in range(256):
        pages.evict(number)
    KEPT.drop(1)
    assert pages.evicted_between(0, END, END) == (192, 192)
    pages.walked += 1
    KEPT.drop(1)
    pages.walked -= 1
    assert pages.evicted == 192


def test_no_more_are_remembered_than_memory_has_frames(pages: PageIndex) -> None:
    enter(pages, range(320))
    for number in range(320):
        pages.evict(number)
    assert KEPT.count == 4
    assert pages.evicted_between(0, 64, END) == (0, 0)


def test_numbers_of_evictions_begin_anew() -> None:
    before = KEPT.stamp
    try:
        KEPT.stamp = 0xFFFF_FFFE
        stamps = [KEPT.next_stamp() for _ in range(3)]
        assert stamps == [0xFFFF_FFFF, 1, 2]
        assert [KEPT.evictions_since(stamp) for stamp in stamps] == [2, 1, 0]
    finally:
        KEPT.stamp = before


def test_pages_are_gone_over_with_safe_points(pages: PageIndex) -> None:
    """A chunk that goes meanwhile is left out, and what comes into one that is still to come is seen."""
    enter(pages, range(10, 300, 3))
    expected = [number for number in range(10, 300, 3) if number < 250 and number >> 6 != 1]

    def others() -> None:
        for number in list(range(10, 300, 3)):
            if number >> 6 == 1:
                pages.remove(number)
        enter(pages, range(240, 241))

    with meanwhile(others):
        assert list(pages.each_index(0, 250)) == sorted([*expected, 240])
    assert list(pages.each_index(200, 205)) == [202]  # the chunks in question are fewer than those that there are
    for number in list(pages.each_index(0, END)):
        pages.remove(number)


def test_far_chunks_of_a_sparse_file_cost_nothing(pages: PageIndex) -> None:
    """Whoever wants some pages looks at no chunk before them, and at none for pages that are not there."""
    enter(pages, range(0, 64 * 3000, 64))
    start = 64 * 2990
    for call, expected in (
        (lambda: pages.indices(start, END, 5), [start + 64 * place for place in range(5)]),
        (lambda: list(pages.each_index(start, END)), [start + 64 * place for place in range(10)]),
        (lambda: pages.indices(1, 64, 1), []),
        (lambda: pages.any_between(start - 63, END), start),
    ):
        assert call() == expected
        assert lines_of(call) < 3000
    for number in range(0, 64 * 3000, 64):
        pages.evict(number)
    assert lines_of(lambda: pages.evicted_between(start, END, 5)) < 20000
    assert longest_stretch(lambda: pages.forget_evicted(0, END)) < FEW


def test_pages_that_are_cut_off_go_while_others_evict(pages: PageIndex) -> None:
    enter(pages, range(0, 64 * 20, 64))
    found: list[int] = []

    def evict() -> None:
        for number in range(10):
            pages.evict(64 * number)

    with meanwhile(evict, 5):
        found += pages.indices(0, END, END)
    assert found == list(range(0, 64 * 20, 64))[:5] + list(range(64 * 10, 64 * 20, 64))
    with meanwhile(lambda: enter(pages, range(0, 64 * 10, 64)), 3):
        pages.forget_evicted(0, END)
    assert pages.evicted == 0 and len(pages.chunks) == 20
    for number in list(pages.each_index(0, END)):
        pages.remove(number)
    assert pages.order.is_empty()
