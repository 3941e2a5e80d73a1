"""Pages that very many areas show, on their way to a swap area: taken from all of them, unless they are used."""

from collections.abc import Callable, Iterator

import pytest

from arch.programs import ACCESSED, read_entry, write_entry
from kernel.mm import objects, swapping
from kernel.mm.area import MAP_FIXED, MAP_LOCKED, MAP_SHARED, PROT_READ, PROT_WRITE
from kernel.mm.crowded_memory import CrowdedMemory
from kernel.mm.frames import PAGE_SIZE, Frame, frame_count
from kernel.mm.objects import AREA_WALK, SharedMemory
from kernel.mm.space import AddressSpace
from kernel.mm.swapping import EVERYBODY, Taken, take_shared_page
from tests.unit.meanwhile import meanwhile
from tests.unit.mm.test_space import peek, poke

BASE = 0x40_0000
PROGRAMS = 6


class Crowd:
    """Programs that share a page."""

    def __init__(self) -> None:
        self.source = SharedMemory(PAGE_SIZE)
        self.source.acquire()
        self.spaces = [AddressSpace() for _ in range(PROGRAMS)]
        for space in self.spaces:
            space.map(BASE, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, self.source, 0)
            poke(space, BASE, 7)
        self.noted = CrowdedMemory()
        self.noted.note(self.source.frames, 0)

    def is_mapped(self) -> bool:
        return frame_count(self.source.resident(0)) != 1

    def set_accessed(self, accessed: int) -> None:
        for space in self.spaces:
            slot = space.pages.find(BASE)
            write_entry(slot, read_entry(slot) & ~ACCESSED | accessed)


@pytest.fixture
def crowd(machine: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    monkeypatch.setattr(objects, "MOST_AREAS", PROGRAMS - 2)
    crowd = Crowd()
    assert crowd.source.is_crowded() and crowd.is_mapped()
    crowd.set_accessed(0)
    yield crowd
    for space in crowd.spaces:
        space.release()
    crowd.source.release()
    assert AREA_WALK.source is None


def test_a_page_is_taken_from_all(crowd: Crowd) -> None:
    crowd.noted.unmap(takes_used=False)
    assert not crowd.is_mapped() and all(space.resident == 0 for space in crowd.spaces)
    assert peek(crowd.spaces[0], BASE) == 7


def test_a_used_page_stays_for_a_round(crowd: Crowd) -> None:
    crowd.set_accessed(ACCESSED)
    for _ in range(PROGRAMS):  # each round finds one that has used it
        crowd.noted.unmap(takes_used=False)
        assert crowd.is_mapped()
        crowd.noted.note(crowd.source.frames, 0)
    crowd.noted.unmap(takes_used=False)
    assert not crowd.is_mapped()


def test_a_used_page_goes_if_there_are_no_others(crowd: Crowd) -> None:
    crowd.set_accessed(ACCESSED)
    crowd.noted.unmap(takes_used=True)
    assert not crowd.is_mapped()


def test_a_locked_page_stays(crowd: Crowd) -> None:
    area = crowd.spaces[2].areas.first_above(BASE)
    assert area is not None
    area.flags |= MAP_LOCKED
    crowd.noted.unmap(takes_used=True)
    assert crowd.is_mapped()
    area.flags &= ~MAP_LOCKED


def fork(crowd: Crowd) -> None:
    crowd.spaces.append(crowd.spaces[0].fork())


def end(crowd: Crowd) -> None:
    for _ in range(3):
        crowd.spaces.pop().release()


def use(crowd: Crowd) -> None:
    peek(crowd.spaces[-1], BASE)


def cut(crowd: Crowd) -> None:
    for space in crowd.spaces:
        space.discard(BASE, BASE + PAGE_SIZE, 0)
    crowd.source.punch(0, 1)


@pytest.mark.parametrize("act", [fork, end, use, cut])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_whatever_others_do_meanwhile_the_contents_stay(
    crowd: Crowd, act: Callable[[Crowd], None], number: int
) -> None:
    with meanwhile(lambda: act(crowd), number):
        crowd.noted.unmap(takes_used=True)
    assert peek(crowd.spaces[0], BASE) == (0 if act is cut else 7)


def test_nothing_is_done_while_another_walks(crowd: Crowd) -> None:
    AREA_WALK.begin(crowd.source)
    crowd.noted.unmap(takes_used=True)
    AREA_WALK.finish()
    assert crowd.is_mapped()


def test_the_hand_notes_a_page_and_takes_it_once_nobody_maps_it(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Frame] = []

    def no_slot(frame: Frame, owner: int, taken: Taken) -> None:
        asked.append(frame)

    monkeypatch.setattr(swapping, "CROWDED_MEMORY", crowd.noted)
    monkeypatch.setattr(swapping, "_new_place", no_slot)
    crowd.noted.unmap(takes_used=True)  # forgets what was noted before
    peek(crowd.spaces[0], BASE)
    taken = Taken()
    for expected in ([], [crowd.source.resident(0)]):
        assert not take_shared_page(crowd.source.frames, 0, EVERYBODY, taken, takes_used=False)
        assert asked == expected
        crowd.noted.unmap(takes_used=True)
