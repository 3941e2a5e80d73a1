"""Large changes of an address space, with others at work at each safe point."""

from collections.abc import Callable, Iterator

import pytest

from arch.programs import LEAF_TABLE_BYTES
from kernel.lang import ENOMEM, EPERM, Errno
from kernel.lib.pace import PACE, PACE_BUDGET, Rest
from kernel.mm import frames, remap
from kernel.mm.area import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE
from kernel.mm.commitment import ALWAYS, MODE
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.frames import PAGE_SIZE
from kernel.mm.space import AddressSpace, each_area

BASE = 0x4000_0000
READ_WRITE = PROT_READ | PROT_WRITE
LARGE = 40 * LEAF_TABLE_BYTES
MANY = 300


class Waits(Exception):
    """Somebody found the space held."""


class Others(Rest):
    """At each safe point, another thread does something to the space."""

    def __init__(self) -> None:
        self.act: Callable[[], object] | None = None
        self.acted = 0
        self.waited = 0

    def take(self) -> None:
        act = self.act
        if act is None:
            return
        self.act = None  # one thread after the other
        self.acted += 1
        try:
            act()
        except Waits:
            self.waited += 1
        self.act = act
        PACE.left = 0

    def wait_for_change(self) -> None:
        raise Waits


@pytest.fixture
def others(machine: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Others]:
    monkeypatch.setattr(MODE, "values", [ALWAYS])  # spaces here are larger than the machine's memory
    before = PACE.rest
    rest = Others()
    PACE.rest = rest
    PACE.left = 0
    yield rest
    PACE.rest = before
    PACE.left = PACE_BUDGET


def anonymous(space: AddressSpace, address: int, length: int, prot: int = READ_WRITE, fixed: int = MAP_FIXED) -> int:
    return space.map(address, length, prot, MAP_PRIVATE | MAP_ANONYMOUS | fixed, None, 0)


def touch(space: AddressSpace, address: int) -> None:
    assert space.fault(address, Access.WRITE) == FaultOutcome.DONE


def a_large_space() -> AddressSpace:
    """A page in each of many tables."""
    space = AddressSpace()
    anonymous(space, BASE, LARGE)
    for address in range(BASE, BASE + LARGE, LEAF_TABLE_BYTES):
        touch(space, address)
    return space


def a_space_of_many_areas() -> AddressSpace:
    space = AddressSpace()
    for number in range(MANY):
        anonymous(space, BASE + number * PAGE_SIZE, PAGE_SIZE, READ_WRITE if number & 1 else PROT_READ)
    assert space.areas.count == MANY
    return space


def test_unmapping_takes_what_others_touch_meanwhile(others: Others, monkeypatch: pytest.MonkeyPatch) -> None:
    before = frames.free_frame_count()
    monkeypatch.setattr("kernel.mm.space._WORK_AT_ONCE", 0)
    space = a_large_space()
    others.act = lambda: touch(space, BASE + PAGE_SIZE)
    space.unmap(BASE, LARGE)
    others.act = None
    assert others.acted > 10
    assert space.is_free(BASE, BASE + LARGE) and space.resident == 0
    assert space.fault(BASE + PAGE_SIZE, Access.WRITE) == FaultOutcome.NOT_MAPPED
    space.release()
    assert frames.free_frame_count() == before


def test_many_areas_go_in_parts(others: Others) -> None:
    space = a_space_of_many_areas()
    counts: list[int] = []
    others.act = lambda: counts.append(space.areas.count)
    space.unmap(BASE, MANY * PAGE_SIZE)
    assert len(counts) > 2 and counts == sorted(counts, reverse=True)
    assert space.areas.count == 0


def test_nobody_finds_a_hole_where_a_mapping_replaces_others(others: Others) -> None:
    space = a_space_of_many_areas()
    others.act = lambda: anonymous(space, 0, PAGE_SIZE, fixed=0)
    anonymous(space, BASE, MANY * PAGE_SIZE)
    others.act = None
    assert others.waited == others.acted > 2
    assert space.areas.count == 1 and not space.is_held


def test_a_child_gets_the_memory_of_one_moment(others: Others, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernel.mm.space._WORK_AT_ONCE", 0)
    space = a_large_space()
    others.act = lambda: touch(space, BASE + LARGE - PAGE_SIZE)
    child = space.fork()
    others.act = None
    assert others.waited == others.acted > 10
    assert child.resident == space.resident and not space.is_held


def test_a_moved_mapping_is_at_one_place(others: Others, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernel.mm.remap._MOVED_MASK", 3)
    space = a_large_space()
    resident = space.resident
    others.act = lambda: touch(space, BASE + LARGE - PAGE_SIZE)
    flags = remap.MREMAP_MAYMOVE | remap.MREMAP_FIXED
    place = remap.remap(space, BASE, LARGE, LARGE, flags, BASE + 2 * LARGE)
    others.act = None
    assert others.waited > 5 and space.area_at(place) is not None
    assert space.resident == resident >= LARGE // LEAF_TABLE_BYTES


def test_protection_changes_in_parts(others: Others) -> None:
    space = a_space_of_many_areas()
    others.act = lambda: space.unmap(BASE + (MANY - 1) * PAGE_SIZE, PAGE_SIZE)
    with pytest.raises(Errno) as error:
        space.protect(BASE, MANY * PAGE_SIZE, PROT_READ)
    assert error.value.code == ENOMEM  # as if the hole had been there before
    others.act = None
    assert others.acted > 2
    assert [area.prot for area in each_area(space)] == [PROT_READ]
    only = space.areas.first()
    assert only is not None and only.end == BASE + (MANY - 1) * PAGE_SIZE


def test_thousands_of_small_mappings_need_no_search(others: Others) -> None:
    space = AddressSpace()
    last = anonymous(space, 0, PAGE_SIZE, READ_WRITE, 0)
    for number in range(200):
        start = anonymous(space, 0, PAGE_SIZE, PROT_READ if number & 1 else READ_WRITE, 0)
        assert start == last - PAGE_SIZE
        last = start
    space.unmap(last + 100 * PAGE_SIZE, PAGE_SIZE)
    assert anonymous(space, 0, PAGE_SIZE, READ_WRITE, 0) == last + 100 * PAGE_SIZE
    assert anonymous(space, 0, 2 * PAGE_SIZE, READ_WRITE, 0) == last - 2 * PAGE_SIZE
    assert anonymous(space, 0, PAGE_SIZE, READ_WRITE, 0) == last - 3 * PAGE_SIZE


def many_areas() -> tuple[AddressSpace, int]:
    """More than are looked at without a safe point, the first of which has two pages; and where they end."""
    space = AddressSpace()
    anonymous(space, BASE, 2 * PAGE_SIZE)
    end = BASE + 4200 * 4 * PAGE_SIZE
    for address in range(BASE + 4 * PAGE_SIZE, end, 4 * PAGE_SIZE):
        anonymous(space, address, PAGE_SIZE)
    return space, end


@pytest.mark.parametrize("replaces", [False, True])
def test_a_fork_begins_while_the_areas_that_go_are_looked_at(others: Others, replaces: bool) -> None:
    """Nothing changes before it has ended."""
    space, end = many_areas()
    others.act = space.hold
    with pytest.raises(Waits):
        if replaces:
            anonymous(space, BASE + PAGE_SIZE, end - BASE)
        else:
            space.unmap(BASE + PAGE_SIZE, end - BASE)
    others.act = None
    area = space.area_at(BASE)
    assert area is not None and area.end == BASE + 2 * PAGE_SIZE
    space.let_go()
    space.release()


@pytest.mark.parametrize("replaces", [False, True])
def test_what_is_being_unmapped_is_not_sealed(
    others: Others, monkeypatch: pytest.MonkeyPatch, replaces: bool
) -> None:
    """mseal(2) waits: neither does memory go that was sealed, nor are its pages lost."""
    monkeypatch.setattr("kernel.mm.space._WORK_AT_ONCE", 0)
    space = a_large_space()
    others.act = lambda: space.seal(BASE + LARGE - 2 * PAGE_SIZE, BASE + LARGE)
    if replaces:
        anonymous(space, BASE, LARGE)
    else:
        space.unmap(BASE, LARGE)
    others.act = None
    assert others.waited == others.acted > 10
    assert space.pages.next_mapped(BASE, BASE + LARGE) == BASE + LARGE
    if not replaces:
        anonymous(space, BASE, LARGE)
    space.seal(BASE, BASE + PAGE_SIZE)
    space.release()


def test_many_small_areas_stay_from_the_first_on_that_is_sealed_meanwhile(others: Others) -> None:
    space = a_space_of_many_areas()
    last = BASE + (MANY - 1) * PAGE_SIZE
    others.act = lambda: space.seal(last, last + PAGE_SIZE)
    with pytest.raises(Errno) as error:
        space.unmap(BASE, MANY * PAGE_SIZE)
    others.act = None
    assert error.value.code == EPERM
    area = space.area_at(last)
    assert area is not None and area.sealed
    space.release()


@pytest.mark.parametrize("advice", [remap.MADV_DONTNEED, remap.MADV_FREE])
def test_what_is_sealed_keeps_its_contents(others: Others, monkeypatch: pytest.MonkeyPatch, advice: int) -> None:
    """Of two areas the second is sealed while the first is given back; the first one itself cannot be meanwhile."""
    monkeypatch.setattr("kernel.mm.space._WORK_AT_ONCE", 0)
    space = a_large_space()
    middle = BASE + LARGE // 2
    end = BASE + LARGE
    space.protect(middle, PAGE_SIZE, PROT_READ)
    space.protect(middle + PAGE_SIZE, end - middle - PAGE_SIZE, PROT_READ, 0)
    touched = space.pages.next_mapped(middle, end)
    others.act = lambda: space.seal(middle, end)
    with pytest.raises(Errno) as error:
        remap.advise(space, BASE, LARGE, advice)
    others.act = None
    assert error.value.code == EPERM and others.waited == 0
    assert space.pages.next_mapped(BASE, middle) == middle and space.pages.next_mapped(middle, end) == touched
    space.release()


@pytest.mark.parametrize("advice", [remap.MADV_DONTFORK, remap.MADV_WIPEONFORK])
def test_what_is_sealed_is_not_kept_from_children(others: Others, advice: int) -> None:
    space = a_space_of_many_areas()
    last = BASE + (MANY - 2) * PAGE_SIZE
    others.act = lambda: space.seal(last, last + PAGE_SIZE)
    with pytest.raises(Errno) as error:
        remap.advise(space, BASE, MANY * PAGE_SIZE, advice)
    others.act = None
    assert error.value.code == EPERM
    area = space.area_at(last)
    assert area is not None and area.sealed and not area.dont_fork and not area.wipe_on_fork
    space.release()
