"""Memory objects that very many areas map: pages are taken from all of them with safe points."""

from collections.abc import Callable

import pytest

from arch.programs import WRITABLE, read_entry
from kernel.lib.pace import PACE
from kernel.mm import objects, remap
from kernel.mm.area import MAP_FIXED, MAP_SHARED, PROT_READ, PROT_WRITE
from kernel.mm.exchange import is_used
from kernel.mm.frames import NO_FRAME, PAGE_SIZE
from kernel.mm.objects import AREA_WALK, SharedMemory
from kernel.mm.reverse_map import forget_pages, is_mapped_for_writing, protect_pages
from kernel.mm.space import AddressSpace, each_area
from tests.unit.meanwhile import meanwhile
from tests.unit.mm.test_space import poke

BASE = 0x40_0000
COUNT = 12
END = BASE + 16 * COUNT * PAGE_SIZE
READ_WRITE = PROT_READ | PROT_WRITE


@pytest.fixture
def crowd(machine: None, monkeypatch: pytest.MonkeyPatch) -> AddressSpace:
    """Each other page of an object is an area with another protection than its neighbours; all pages are there."""
    monkeypatch.setattr(objects, "MOST_AREAS", 4)
    space = AddressSpace()
    space.map(BASE, COUNT * PAGE_SIZE, READ_WRITE, MAP_SHARED | MAP_FIXED, SharedMemory(COUNT * PAGE_SIZE), 0)
    for place in range(COUNT):
        poke(space, BASE + place * PAGE_SIZE, 1)
    for place in range(0, COUNT, 2):
        space.protect(BASE + place * PAGE_SIZE, PAGE_SIZE, PROT_READ, -1)
    return space


def object_of(space: AddressSpace) -> SharedMemory:
    source = next(iter(each_area(space))).source
    assert isinstance(source, SharedMemory)
    return source


def is_unmapped(*spaces: AddressSpace) -> bool:
    return all(space.pages.next_mapped(0, END) >= END for space in spaces)


def split_and_unmap(space: AddressSpace) -> list[AddressSpace]:
    space.protect(BASE, COUNT * PAGE_SIZE, READ_WRITE, -1)
    space.unmap(BASE + 5 * PAGE_SIZE, PAGE_SIZE)
    return [space]


def unmap_all(space: AddressSpace) -> list[AddressSpace]:
    space.unmap(BASE, COUNT * PAGE_SIZE)
    return [space]


def fork(space: AddressSpace) -> list[AddressSpace]:
    return [space, space.fork()]


def move(space: AddressSpace) -> list[AddressSpace]:
    for place in range(COUNT):
        old = BASE + place * PAGE_SIZE
        new = old + 2 * COUNT * PAGE_SIZE
        remap.remap(space, old, PAGE_SIZE, PAGE_SIZE, remap.MREMAP_MAYMOVE | remap.MREMAP_FIXED, new)
    return [space]


@pytest.mark.parametrize("act", [split_and_unmap, unmap_all, fork, move])
@pytest.mark.parametrize("number", [1, 2, 7])
def test_whatever_others_map_meanwhile_no_page_stays(
    crowd: AddressSpace, act: Callable[[AddressSpace], list[AddressSpace]], number: int
) -> None:
    source = object_of(crowd)
    source.acquire()
    spaces: list[AddressSpace] = [crowd]
    with meanwhile(lambda: spaces.extend(act(crowd)), number):
        forget_pages(source, 0, COUNT)
    assert is_unmapped(*spaces) and AREA_WALK.source is None
    for space in {id(space): space for space in spaces}.values():
        space.release()
    assert source.area_count == 0 and source.writing_areas == 0
    source.release()


def test_areas_that_become_alike_are_joined_when_nobody_walks(crowd: AddressSpace) -> None:
    crowd.protect(BASE, COUNT * PAGE_SIZE, READ_WRITE, -1)
    assert len(list(each_area(crowd))) == 1
    crowd.release()


def test_another_walk_begins_when_the_first_has_ended(crowd: AddressSpace) -> None:
    source = object_of(crowd)
    AREA_WALK.begin(source)
    waited: list[int] = []

    def wait() -> None:
        waited.append(1)
        AREA_WALK.finish()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PACE.rest, "wait_for_change", wait)
        forget_pages(source, 0, COUNT)
    assert waited == [1] and is_unmapped(crowd)
    crowd.release()


def test_a_page_that_is_written_back_is_written_anew_only_after_a_fault(crowd: AddressSpace) -> None:
    crowd.protect(BASE, COUNT * PAGE_SIZE, READ_WRITE, -1)
    for place in range(0, COUNT, 2):
        crowd.protect(BASE + place * PAGE_SIZE, PAGE_SIZE, 0, -1)
    source = object_of(crowd)
    protect_pages(source, 0, COUNT)
    for place in range(COUNT):
        slot = crowd.pages.find(BASE + place * PAGE_SIZE)
        assert slot == 0 or read_entry(slot) & WRITABLE == 0
    crowd.release()


def test_writers_are_counted(crowd: AddressSpace) -> None:
    """Also those that may write only after mprotect(2)."""
    source = object_of(crowd)
    assert source.area_count == COUNT and source.writing_areas == COUNT and is_mapped_for_writing(source)
    reader = AddressSpace()
    reader.map(BASE, PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, source, 0, PROT_READ)
    crowd.release()
    assert source.area_count == 1 and not is_mapped_for_writing(source)
    reader.release()


def test_what_must_not_sleep_leaves_a_crowd_alone(crowd: AddressSpace) -> None:
    """Nothing looks at all areas of such an object to find out who uses a page."""
    source = object_of(crowd)
    frame = source.resident(0)
    assert frame != NO_FRAME and is_used(source, 0, frame)
    crowd.release()
