"""Frames that are broken: what page tables and memory objects have in their place."""

import pytest

from arch.programs import entry_frame, read_entry
from kernel.fs.procfs.process_memory import Resident
from kernel.lang import EFAULT, EHWPOISON, Errno, span_of
from kernel.mm import exchange, foreign, frames
from kernel.mm.area import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE
from kernel.mm.broken import BROKEN, is_broken
from kernel.mm.exchange import (
    Places,
    count_in_areas,
    exchange_at,
    exchange_in_areas,
    exchange_in_space,
    forbid_writes_at,
    is_used,
    note_areas,
    shows,
)
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.foreign import frame_behind, read_foreign
from kernel.mm.frames import NO_FRAME, PAGE_SIZE, Frame, allocate_user_frame, frame_count, frame_span
from kernel.mm.objects import Loss, SharedMemory
from kernel.mm.remap import MREMAP_MAYMOVE, remap, residency
from kernel.mm.space import AddressSpace

BASE = 0x40_0000
PAGES = 4

pytestmark = pytest.mark.usefixtures("machine")


def touched(flags: int = MAP_PRIVATE) -> AddressSpace:
    space = AddressSpace()
    space.map(BASE, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_FIXED, None, 0)
    for page in range(PAGES):
        assert space.touch(BASE + page * PAGE_SIZE, Access.WRITE) == FaultOutcome.DONE
        frame_span(frame_at(space, page))[0] = ord("a") + page
    return space


def frame_at(space: AddressSpace, page: int) -> Frame:
    return entry_frame(read_entry(space.pages.find(BASE + page * PAGE_SIZE)))


def break_page(space: AddressSpace, page: int) -> Frame:
    frame = frame_at(space, page)
    BROKEN.add(frame)
    frames.condemn_frame(frame)
    assert exchange_at(space, BASE + page * PAGE_SIZE, frame, BROKEN.stand_in)
    return frame


def source_of(space: AddressSpace) -> SharedMemory:
    area = space.area_at(BASE)
    assert area is not None and isinstance(area.source, SharedMemory)
    return area.source


def test_whoever_touches_a_broken_page_is_told() -> None:
    space = touched()
    frame = break_page(space, 1)
    for access in (Access.READ, Access.WRITE):
        assert space.touch(BASE + PAGE_SIZE, access) == FaultOutcome.BROKEN
    assert space.touch(BASE, Access.WRITE) == FaultOutcome.DONE
    assert is_broken(frame) and not is_broken(frame_at(space, 0))
    with pytest.raises(Errno) as raised:
        read_foreign(space, BASE + PAGE_SIZE, span_of(bytearray(1)))
    assert raised.value.code == EFAULT
    with pytest.raises(Errno) as raised:
        read_foreign(space, BASE + PAGE_SIZE, span_of(bytearray(1)), by_force=True)
    assert raised.value.code == EFAULT
    with pytest.raises(Errno) as raised:
        space.populate(BASE, BASE + PAGES * PAGE_SIZE)
    assert raised.value.code == EHWPOISON


def test_protection_comes_first() -> None:
    space = touched()
    break_page(space, 1)
    space.protect(BASE, PAGES * PAGE_SIZE, 0)
    assert space.touch(BASE + PAGE_SIZE, Access.READ) == FaultOutcome.NOT_ALLOWED
    space.protect(BASE, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE)
    assert space.touch(BASE + PAGE_SIZE, Access.READ) == FaultOutcome.BROKEN
    assert space.touch(BASE, Access.READ) == FaultOutcome.DONE


def test_a_fork_and_a_move_keep_it_broken() -> None:
    space = touched()
    break_page(space, 1)
    child = space.fork()
    assert child.touch(BASE + PAGE_SIZE, Access.READ) == FaultOutcome.BROKEN
    place = remap(space, BASE, PAGES * PAGE_SIZE, 2 * PAGES * PAGE_SIZE, MREMAP_MAYMOVE, 0)
    assert space.touch(place + PAGE_SIZE, Access.READ) == FaultOutcome.BROKEN
    assert bytes(residency(space, place, PAGES)) == b"\1\1\1\1"
    child.release()
    space.release()


def test_unmapping_ends_it_and_the_frame_never_comes_back() -> None:
    space = touched()
    free = frames.free_frame_count()
    frame = break_page(space, 1)
    assert frame_count(frame) == 1
    space.empty(BASE + PAGE_SIZE, BASE + 2 * PAGE_SIZE)
    assert space.touch(BASE + PAGE_SIZE, Access.READ) == FaultOutcome.DONE
    assert frame_at(space, 1) != frame and frame_count(frame) == 1
    assert frames.free_frame_count() == free - 2  # the stand-in, and the page that is new
    assert frame_count(BROKEN.stand_in) == 1


def test_a_shared_page_stays_broken_until_it_is_dropped() -> None:
    space = touched(MAP_SHARED)
    source = source_of(space)
    frame = frame_at(space, 1)
    BROKEN.add(frame)
    assert source.lose_page(1, frame) == Loss.KEPT
    frames.condemn_frame(frame)
    exchange_in_areas(source, 1, frame, BROKEN.stand_in)
    assert space.touch(BASE + PAGE_SIZE, Access.READ) == FaultOutcome.BROKEN
    space.empty(BASE, BASE + PAGES * PAGE_SIZE)
    assert space.touch(BASE + PAGE_SIZE, Access.READ) == FaultOutcome.BROKEN
    assert source.resident(1) == NO_FRAME and source.resident(0) != NO_FRAME
    assert space.touch(BASE, Access.READ) == FaultOutcome.DONE  # and its neighbours, but not that one
    assert space.touch(BASE + PAGE_SIZE, Access.WRITE) == FaultOutcome.BROKEN
    source.punch(1, 2)
    assert space.touch(BASE + PAGE_SIZE, Access.READ) == FaultOutcome.DONE
    assert frame_count(frame) == 1


def test_a_page_of_an_object_moves() -> None:
    space = touched(MAP_SHARED)
    source = source_of(space)
    frame = frame_at(space, 1)
    assert count_in_areas(source, 1, frame) == 1 and count_in_areas(source, 0, frame) == 0
    other = allocate_user_frame()
    assert not source.move_page(2, frame, other)
    assert source.move_page(1, frame, other)
    exchange_in_areas(source, 1, frame, other)
    frames.put_frame(other)
    assert frame_at(space, 1) == other and frame_count(other) == 2
    assert source.resident(1) == other


def test_a_frame_is_found_in_a_space() -> None:
    space = touched()
    frame = frame_at(space, 2)
    held = frame_behind(space, BASE + 2 * PAGE_SIZE, Access.READ, by_force=False)
    assert held == frame
    other = allocate_user_frame()
    assert forbid_writes_at(space, BASE + 2 * PAGE_SIZE, frame)
    assert not forbid_writes_at(space, BASE + 2 * PAGE_SIZE, frame)
    assert exchange_in_space(space, frame, other) == BASE + 2 * PAGE_SIZE
    assert exchange_in_space(space, frame, other) == -1
    assert frame_at(space, 2) == other and frame_count(frame) == 1


def test_nobody_moves_a_page_past_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    space = touched()
    frame = frame_at(space, 2)
    other = allocate_user_frame()
    held: list[bool] = []
    monkeypatch.setattr(exchange, "pace", lambda cost: held.append(space.is_held))
    assert exchange_in_space(space, frame, other) == BASE + 2 * PAGE_SIZE
    assert len(held) > 0 and all(held)
    assert not space.is_held and not space.needs_care


def test_places_name_a_space_once() -> None:
    first, second = touched(MAP_SHARED), AddressSpace()
    source = source_of(first)
    for space, address in ((first, 2 * BASE), (second, BASE), (second, 2 * BASE)):
        flags = MAP_SHARED | MAP_FIXED
        space.map(address, PAGES * PAGE_SIZE, PROT_READ, flags, source, 0)
    places = Places()
    note_areas(source, 1, places)
    assert len(places.spaces) == 2
    assert places.address_in(second) == 2 * BASE + PAGE_SIZE and places.address_in(first) == 2 * BASE + PAGE_SIZE
    assert places.address_in(AddressSpace()) == -1


def test_a_page_that_is_used_elsewhere() -> None:
    space = touched(MAP_SHARED)
    source = source_of(space)
    frame = frame_behind(space, BASE + PAGE_SIZE, Access.READ, by_force=False)
    assert shows(space, BASE + PAGE_SIZE, frame) and not shows(space, BASE, frame)
    assert not is_used(source, 1, frame)
    frames.get_frame(frame)
    assert is_used(source, 1, frame)


def test_a_page_that_breaks_while_force_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    space = touched()
    space.protect(BASE, PAGES * PAGE_SIZE, PROT_READ)

    def resolve(*_: object) -> int:
        break_page(space, 1)
        return 0

    monkeypatch.setattr(foreign, "resolve", resolve)
    with pytest.raises(Errno) as raised:
        foreign.write_foreign(space, BASE + PAGE_SIZE, span_of(bytearray(1)), by_force=True)
    assert raised.value.code == EFAULT
    assert frame_count(BROKEN.stand_in) == 2


def test_smaps_counts_no_broken_page() -> None:
    space = touched()
    area = space.area_at(BASE)
    assert area is not None
    break_page(space, 1)
    resident = Resident()
    resident.count(space, area)
    assert (resident.resident, resident.shared, resident.anonymous) == (4 * (PAGES - 1), 0, 4 * (PAGES - 1))
