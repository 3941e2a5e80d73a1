"""Pages of files that very many areas map are evicted in pieces, and stay if they are used meanwhile."""

from collections.abc import Callable, Iterator

import pytest

from arch.programs import entry_frame, read_entry
from kernel.block.device import BlockDevice
from kernel.cache import BackingStore, FileCache, crowds
from kernel.cache.crowds import CrowdedPages, wait_for_eviction
from kernel.cache.eviction import Evictor, drop_clean_pages
from kernel.cache.page import LRU
from kernel.cache.page_index import KEPT
from kernel.lib.pace import PACE, PACE_BUDGET, STRETCH_LIMIT, Rest
from kernel.mm import frames, objects
from kernel.mm.area import MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE, Area
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.frames import PAGE_SIZE, Frame, frame_count
from kernel.mm.objects import AREA_WALK
from kernel.mm.reverse_map import forget_pages, unmap_in_area
from kernel.mm.space import AddressSpace
from tests.unit.meanwhile import meanwhile
from tests.unit.mm.conftest import machine
from tests.unit.mm.test_space import peek, poke
from tools.simulated.disk import MemoryDisk

__all__ = ["machine"]

BASE = 0x40_0000
PAGES = 3
PROGRAMS = 6


class Store(BackingStore):
    """A file of a few pages, at the beginning of a disk."""

    def __init__(self) -> None:
        self.disk = MemoryDisk(bytearray(1 << 20))

    def device(self) -> BlockDevice:
        return self.disk

    def size_bytes(self) -> int:
        return PAGES * PAGE_SIZE

    def map(self, offset: int, length: int, runs: object) -> None:
        raise AssertionError("everything is in memory")


class Library:
    """A file that many programs have mapped, and read."""

    def __init__(self) -> None:
        self.cache = FileCache(Store())
        self.spaces = [self.program() for _ in range(PROGRAMS)]
        self.fill()
        for space in self.spaces:
            self.read(space)

    def fill(self) -> None:
        for index in range(PAGES):
            frame = frames.allocate_user_frame()
            frames.zero_frame(frame)
            self.cache.adopt(index, frame)
            frames.put_frame(frame)

    def program(self) -> AddressSpace:
        space = AddressSpace()
        space.map(BASE, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, self.cache, 0)
        return space

    def read(self, space: AddressSpace) -> None:
        for index in range(PAGES):
            assert space.fault(BASE + index * PAGE_SIZE, Access.READ) == FaultOutcome.DONE

    def entries(self) -> int:
        return sum(space.resident for space in self.spaces)


@pytest.fixture
def library(machine: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    monkeypatch.setattr(objects, "MOST_AREAS", PROGRAMS - 2)
    monkeypatch.setattr(crowds, "CROWDED", CrowdedPages())
    monkeypatch.setattr("kernel.cache.eviction.CROWDED", crowds.CROWDED)
    LRU.head = LRU.tail = None
    LRU.count = 0
    library = Library()
    assert library.cache.is_crowded() and library.entries() == PAGES * PROGRAMS
    yield library
    for space in library.spaces:
        space.release()
    KEPT.drop(KEPT.count)
    LRU.head = LRU.tail = None
    LRU.count = 0
    assert AREA_WALK.source is None and not crowds._EVICTION.is_under_way


def test_pages_that_many_map_are_evicted(library: Library) -> None:
    """An allocation only notes them; the thread that waits for memory takes them from everybody."""
    evictor = Evictor()
    assert evictor.make_room(PAGES) == 0 and library.entries() == PAGES * PROGRAMS
    evictor.has_more = False
    assert evictor.wait_for_room()
    assert LRU.count == 0 and library.entries() == 0


def test_caches_are_dropped_on_request(library: Library) -> None:
    assert drop_clean_pages() == PAGES and LRU.count == 0


def test_a_page_that_is_used_meanwhile_stays(library: Library) -> None:
    """By a program that the walk has left."""
    assert Evictor().make_room(PAGES) == 0
    used = library.spaces[-1]  # its area is the first one
    with meanwhile(lambda: peek(used, BASE), 3):
        assert crowds.CROWDED.evict() == 0  # the fault has mapped the pages around it as well
    page = library.cache.find(0)
    assert page is not None and page.heat > 0 and LRU.count == PAGES and frame_count(page.frame) > 1
    assert peek(used, BASE) == 0


def fork(library: Library) -> None:
    library.spaces.append(library.spaces[0].fork())


def end(library: Library) -> None:
    for _ in range(3):
        library.spaces.pop().release()


def truncate(library: Library) -> None:
    """The frames are somebody else's then."""
    for index in range(PAGES):
        page = library.cache.find(index)
        assert page is not None
        for space in library.spaces:
            area = space.areas.first_above(BASE)
            assert area is not None
            unmap_in_area(area, index, page.frame)
        library.cache.drop(page)


def write(library: Library) -> None:
    """Copies are the program's own."""
    assert poke(library.spaces[0], BASE, 7) == FaultOutcome.DONE


@pytest.mark.parametrize("act", [fork, end, truncate, write])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_whatever_others_do_meanwhile_only_its_own_entries_go(
    library: Library, act: Callable[[Library], None], number: int
) -> None:
    assert Evictor().make_room(PAGES) == 0
    with meanwhile(lambda: act(library), number):
        crowds.CROWDED.evict()
    if act is write:
        assert peek(library.spaces[0], BASE) == 7
    crowds.CROWDED.evict()
    for index in range(PAGES):
        page = library.cache.find(index)
        assert page is None or page.cache is library.cache


def test_a_frame_that_became_a_copy_is_not_taken(library: Library) -> None:
    """The page goes at a safe point, its frame comes free, and a program writes to a copy that lies in it."""
    assert Evictor().make_room(PAGES) == 0
    page = library.cache.find(0)
    assert page is not None
    old = page.frame

    def reuse() -> None:
        frames.get_frame(old)
        truncate(library)
        library.fill()
        assert library.spaces[0].fault(BASE, Access.READ) == FaultOutcome.DONE
        frames.put_frame(old)
        assert poke(library.spaces[0], BASE, 7) == FaultOutcome.DONE
        assert entry_frame(read_entry(library.spaces[0].pages.find(BASE))) == old

    with meanwhile(reuse, 1):
        crowds.CROWDED.evict()
    assert peek(library.spaces[0], BASE) == 7


def test_one_thread_walks_at_a_time(library: Library) -> None:
    assert Evictor().make_room(PAGES) == 0
    AREA_WALK.begin(library.cache)
    assert crowds.CROWDED.evict() == 0
    AREA_WALK.finish()
    assert not wait_for_eviction()
    assert crowds.CROWDED.evict() == PAGES


def test_another_walk_begins_and_waits(library: Library) -> None:
    """A truncation finds the eviction's walk under way."""
    assert Evictor().make_room(PAGES) == 0
    found: list[bool] = []
    with meanwhile(lambda: found.append(library.cache.is_walked()), 2):
        crowds.CROWDED.evict()
    assert found == [True]
    forget_pages(library.cache, 0, PAGES)
    assert library.entries() == 0


class _Steps(Rest):
    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    def take(self) -> None:
        self.most = max(self.most, self.now)
        self.now = 0


def test_an_eviction_lets_others_run(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry takes some 200 instructions."""
    steps = _Steps()
    areas = 0

    def unmap(area: Area, index: int, frame: Frame) -> bool:
        nonlocal areas
        steps.now += 1
        areas += 1
        return unmap_in_area(area, index, frame)

    space = library.spaces[0]
    for place in range(1, 1000):
        address = BASE + 2 * place * PAGES * PAGE_SIZE
        space.map(address, PAGES * PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_FIXED, library.cache, 0)
        assert space.fault(address, Access.READ) == FaultOutcome.DONE
    assert Evictor().make_room(PAGES) == 0
    monkeypatch.setattr(crowds, "unmap_in_area", unmap)
    monkeypatch.setattr(PACE, "rest", steps)
    monkeypatch.setattr(PACE, "left", PACE_BUDGET)
    assert crowds.CROWDED.evict() == PAGES
    assert areas > 2000 and 0 < steps.most * 200 < STRETCH_LIMIT
