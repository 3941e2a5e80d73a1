"""The cache's policies: readahead, limits on what is dirty, order of reclaim."""

from hypothesis import given
from hypothesis import strategies as st

from kernel.cache.limits import EXPIRE_NS, DirtyLimits, is_expired
from kernel.cache.page import ALL_SECTORS, CachedPage, PageList, sector_mask
from kernel.cache.readahead import Readahead

LIMIT = 32


class Reader:
    """Reads pages one by one through a cache of which pages are there."""

    def __init__(self) -> None:
        self.state = Readahead()
        self.present: set[int] = set()
        self.misses = 0
        self.requests: list[tuple[int, int]] = []

    def read(self, index: int, wanted: int = 1) -> None:
        if index not in self.present:
            self.misses += 1
            self.request(index, self.state.miss(index, wanted, LIMIT))
        further = self.state.hit(index, wanted, LIMIT)
        if further > 0:
            self.request(self.state.start, further)

    def request(self, start: int, count: int) -> None:
        self.requests.append((start, count))
        self.present.update(range(start, start + count))


def test_a_sequential_reader_waits_once() -> None:
    reader = Reader()
    for index in range(1000):
        reader.read(index)
    assert reader.misses == 1
    sizes = [count for _, count in reader.requests]
    assert sizes[:4] == [4, 8, 16, 32]
    assert set(sizes[4:]) == {LIMIT}


def test_a_random_reader_gets_what_it_asks_for() -> None:
    reader = Reader()
    for index in (500, 20, 900, 77, 300):
        reader.read(index, 2)
    assert [count for _, count in reader.requests] == [2] * 5


def test_a_large_read_is_one_request() -> None:
    reader = Reader()
    reader.read(0, 200)
    assert reader.requests[0] == (0, 200)


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 300))))
def test_what_is_asked_for_is_read(reads: list[tuple[int, int]]) -> None:
    reader = Reader()
    for index, wanted in reads:
        reader.read(index, wanted)
        assert index in reader.present
        assert all(0 < count <= 256 for _, count in reader.requests)


@given(st.integers(-100, 1 << 30), st.integers(0, 1 << 30))
def test_limits(available: int, cached: int) -> None:
    limits = DirtyLimits(available, cached)
    assert 0 < limits.background < limits.hard
    assert not limits.wants_flusher(0)
    assert not limits.wants_throttling(0, 0)
    assert limits.wants_throttling(limits.hard, 1)
    assert limits.hard <= max(16, (max(0, available) + cached) // 4)


def test_age() -> None:
    assert not is_expired(5, 4 + EXPIRE_NS)
    assert is_expired(5, 5 + EXPIRE_NS)


@given(st.integers(0, 4096), st.integers(0, 4096))
def test_sector_masks(first: int, second: int) -> None:
    start, end = min(first, second), max(first, second)
    expected = 0
    for byte in range(start, end):
        expected |= 1 << byte // 512
    assert sector_mask(start, end) == expected
    assert sector_mask(0, 4096) == ALL_SECTORS


def make_page(index: int) -> CachedPage:
    page = CachedPage.__new__(CachedPage)
    page.index = index
    page.heat = 0
    page.next = page.previous = None
    return page


@given(st.lists(st.integers(0, 9)))
def test_pages_used_again_outlive_those_used_once(uses: list[int]) -> None:
    pages = [make_page(index) for index in range(10)]
    clock = PageList()
    for page in pages:
        clock.add(page)
    for use in uses:
        pages[use].touch()
    expected = [page.index for page in pages if page.heat < 2] + [page.index for page in pages if page.heat == 2]
    order = []
    while clock.count > 0:
        victim = clock.next_victim()
        if victim is not None:
            clock.remove(victim)
            order.append(victim.index)
    assert order == expected
