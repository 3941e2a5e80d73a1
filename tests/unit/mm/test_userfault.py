"""Faults that somebody else serves: who is asked, and what filling a page does."""

from collections.abc import Callable

import pytest

from arch.programs import HIDDEN, POISONED, PRESENT, WRITABLE, WRITE_WATCHED, entry_frame, read_entry
from kernel.lang import EBUSY, EEXIST, EFAULT, EHWPOISON, EINVAL, ENOENT, ENOMEM, EPERM, Errno, span_of
from kernel.mm import frames, large_pages
from kernel.mm.area import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.foreign import write_foreign
from kernel.mm.frames import PAGE_SIZE, allocate_user_frame, frame_span
from kernel.mm.huge_object import clear_huge_page
from kernel.mm.huge_pool import HUGE_SIZE
from kernel.mm.large_pages import LARGE_PAGES
from kernel.mm.objects import MemoryObject, SharedMemory
from kernel.mm.remap import (
    MADV_DONTNEED,
    MADV_FREE,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    advise,
    lock,
    remap,
    residency,
)
from kernel.mm.reverse_map import forget_pages
from kernel.mm.space import AddressSpace
from kernel.mm.userfault import (
    EVENT_FORK,
    EVENT_REMAP,
    EVENT_REMOVE,
    EVENT_UNMAP,
    EVENTS,
    FAULT_MINOR,
    FAULT_PROTECTED,
    FAULT_WRITE,
    MINOR,
    MISSING,
    WRITE_PROTECT,
    Births,
    Change,
    FaultHandler,
    area_to_fill,
    area_to_move_to,
    check_range,
    forget_handler,
    move_large_page,
    move_page,
    poison_page,
    protect_end,
    protect_pages,
    put_page,
    register,
    show_page,
)

BASE = 0x40_0000
LARGE_BASE = 0x4000_0000
PAGES = 8

pytestmark = pytest.mark.usefixtures("machine")


class Recorder(FaultHandler):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, int]] = []
        self.woken: list[tuple[int, int]] = []
        self.heard: list[tuple[int, int, int, int]] = []  # kind, range or places, length
        self.heirs: list[Recorder] = []
        self.users = 1
        self.before_end: Callable[[], None] = lambda: None
        self.serve: Callable[[int], FaultOutcome] = lambda address: FaultOutcome.DONE

    def ask(self, address: int, page: int, flags: int, by_kernel: bool) -> FaultOutcome:
        self.asked.append((address, flags))
        return self.serve(address)

    def wake(self, start: int, length: int) -> None:
        self.woken.append((start, length))

    def report(self, change: Change) -> None:
        assert self.changing > 0
        self.before_end()
        self.heard.append((change.kind, change.first, change.second, change.length))
        change.end()

    def inherit(self, child: AddressSpace) -> FaultHandler:
        self.heirs.append(Recorder())
        return self.heirs[-1]

    def release(self) -> None:
        self.users -= 1


def mapped(flags: int = MAP_PRIVATE) -> AddressSpace:
    space = AddressSpace()
    space.map(BASE, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_FIXED, None, 0)
    return space


def registered(space: AddressSpace, modes: int) -> Recorder:
    recorder = Recorder()
    check_range(space, BASE, BASE + PAGES * PAGE_SIZE, modes, recorder)
    register(space, BASE, BASE + PAGES * PAGE_SIZE, modes, recorder)
    return recorder


def fill(space: AddressSpace, address: int, value: int) -> None:
    """Put a page with a byte there."""
    frame = allocate_user_frame()
    frame_span(frame)[0] = value
    try:
        put_page(space, area_to_fill(space, address, PAGE_SIZE), address, frame, is_protected=False)
    finally:
        frames.put_frame(frame)


def first_byte(space: AddressSpace, address: int) -> int:
    return frame_span(entry_frame(read_entry(space.pages.find(address))))[0]


def test_a_missing_page_is_asked_for_until_it_is_filled() -> None:
    space = mapped()
    recorder = registered(space, MISSING)
    assert space.touch(BASE + 5, Access.READ) == FaultOutcome.DONE
    assert space.touch(BASE + 6, Access.WRITE) == FaultOutcome.DONE
    assert recorder.asked == [(BASE + 5, 0), (BASE + 6, FAULT_WRITE)]
    assert space.resident == 0
    fill(space, BASE, 7)
    assert space.touch(BASE + 6, Access.WRITE) == FaultOutcome.DONE
    assert len(recorder.asked) == 2
    assert first_byte(space, BASE) == 7


def test_a_page_is_filled_once() -> None:
    space = mapped()
    registered(space, MISSING)
    fill(space, BASE, 7)
    with pytest.raises(Errno) as error:
        fill(space, BASE, 8)
    assert error.value.code == EEXIST
    assert first_byte(space, BASE) == 7


def test_what_nobody_registered_is_not_filled() -> None:
    space = mapped()
    with pytest.raises(Errno) as error:
        area_to_fill(space, BASE, PAGE_SIZE)
    assert error.value.code == ENOENT


def test_a_range_has_one_handler() -> None:
    space = mapped()
    registered(space, MISSING)
    with pytest.raises(Errno) as error:
        check_range(space, BASE, BASE + PAGE_SIZE, MISSING, Recorder())
    assert error.value.code == EBUSY
    with pytest.raises(Errno) as error:
        check_range(space, BASE + 100 * PAGE_SIZE, BASE + 101 * PAGE_SIZE, MISSING, Recorder())
    assert error.value.code == EINVAL


def test_a_part_is_registered_and_joined_again() -> None:
    space = mapped()
    recorder = Recorder()
    register(space, BASE + PAGE_SIZE, BASE + 2 * PAGE_SIZE, MISSING, recorder)
    assert space.areas.count == 3
    space.touch(BASE, Access.READ)
    assert recorder.asked == []
    register(space, BASE, BASE + PAGES * PAGE_SIZE, 0, None)
    assert space.areas.count == 1


def test_a_protected_page_is_read_and_not_written() -> None:
    space = mapped()
    space.touch(BASE, Access.WRITE)
    recorder = registered(space, WRITE_PROTECT)
    area = area_to_fill(space, BASE, PAGE_SIZE)
    protect_pages(space, area, BASE, BASE + PAGE_SIZE, is_protected=True)
    assert read_entry(space.pages.find(BASE)) & (WRITABLE | WRITE_WATCHED) == WRITE_WATCHED
    space.touch(BASE, Access.READ)
    assert recorder.asked == []
    space.touch(BASE, Access.WRITE)
    assert recorder.asked == [(BASE, FAULT_WRITE | FAULT_PROTECTED)]
    space.protect(BASE, PAGE_SIZE, PROT_READ)
    space.protect(BASE, PAGE_SIZE, PROT_READ | PROT_WRITE)
    space.touch(BASE, Access.WRITE)
    assert len(recorder.asked) == 2
    protect_pages(space, area_to_fill(space, BASE, PAGE_SIZE), BASE, BASE + PAGE_SIZE, is_protected=False)
    space.touch(BASE, Access.WRITE)
    assert len(recorder.asked) == 2
    assert read_entry(space.pages.find(BASE)) & WRITABLE != 0


def test_a_child_serves_its_own_faults() -> None:
    space = mapped()
    recorder = registered(space, MISSING | WRITE_PROTECT)
    child = space.fork()
    assert child.touch(BASE, Access.WRITE) == FaultOutcome.DONE
    assert child.resident == 1
    assert recorder.asked == []
    child.release()


def test_shared_memory_has_minor_faults() -> None:
    space = mapped(MAP_SHARED)
    space.touch(BASE, Access.WRITE)
    area = space.area_at(BASE)
    assert area is not None and area.source is not None
    other = AddressSpace()
    other.map(BASE, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, area.source, 0)
    recorder = registered(other, MINOR)
    other.touch(BASE, Access.READ)
    assert recorder.asked == [(BASE, FAULT_MINOR)]
    show_page(other, area_to_fill(other, BASE, PAGE_SIZE), BASE)
    other.touch(BASE, Access.READ)
    assert len(recorder.asked) == 1
    assert other.resident == 1
    other.touch(BASE + PAGE_SIZE, Access.READ)
    assert len(recorder.asked) == 1  # it is missing, which nobody asked to hear of


def test_nothing_stays_when_the_handler_goes() -> None:
    space = mapped()
    registered(space, MISSING)
    forget_handler(space, Recorder())
    area = space.area_at(BASE)
    assert area is not None and area.handler is not None
    forget_handler(space, area.handler)
    after = space.area_at(BASE)
    assert after is not None and after.handler is None and after.fault_modes == 0
    assert space.touch(BASE, Access.READ) == FaultOutcome.DONE
    assert space.resident == 1


def test_an_area_that_another_thread_put_there_after_the_check_is_refused() -> None:
    space = AddressSpace()
    space.map(BASE, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_FIXED, MemoryObject(), 0)
    with pytest.raises(Errno) as error:
        register(space, BASE, BASE + PAGE_SIZE, MISSING, Recorder())
    assert error.value.code == EINVAL
    space = AddressSpace()
    space.map(BASE, PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, SharedMemory(PAGE_SIZE), 0, PROT_READ)
    with pytest.raises(Errno) as error:
        register(space, BASE, BASE + PAGE_SIZE, MISSING, Recorder())
    assert error.value.code == EPERM
    area = space.area_at(BASE)
    assert area is not None and area.handler is None


def test_a_handler_that_has_ended_is_not_asked() -> None:
    space = mapped()
    recorder = registered(space, MISSING)
    recorder.is_closed = True
    assert space.touch(BASE, Access.READ) == FaultOutcome.DONE
    assert space.touch(BASE, Access.READ) == FaultOutcome.DONE
    assert recorder.asked == [] and space.resident == 1


def test_protection_ends_with_its_registration() -> None:
    space = mapped()
    space.touch(BASE, Access.WRITE)
    registered(space, WRITE_PROTECT)
    protect_pages(space, area_to_fill(space, BASE, PAGE_SIZE), BASE, BASE + PAGE_SIZE, is_protected=True)
    register(space, BASE, BASE + PAGES * PAGE_SIZE, 0, None)
    recorder = registered(space, WRITE_PROTECT)
    space.touch(BASE, Access.WRITE)
    assert recorder.asked == []
    assert read_entry(space.pages.find(BASE)) & (WRITABLE | WRITE_WATCHED) == WRITABLE


def test_fewer_modes_leave_those_that_there_are() -> None:
    space = mapped()
    recorder = registered(space, MISSING | WRITE_PROTECT)
    register(space, BASE, BASE + PAGES * PAGE_SIZE, WRITE_PROTECT, recorder)
    area = space.area_at(BASE)
    assert area is not None and area.fault_modes == MISSING | WRITE_PROTECT


def test_a_page_that_may_not_be_seen_is_filled_and_hidden() -> None:
    space = mapped()
    registered(space, MISSING)
    space.protect(BASE, PAGE_SIZE, 0)
    fill(space, BASE, 7)
    assert read_entry(space.pages.find(BASE)) & (PRESENT | HIDDEN) == HIDDEN
    assert space.touch(BASE, Access.READ) == FaultOutcome.NOT_ALLOWED
    space.protect(BASE, PAGE_SIZE, PROT_READ)
    assert space.touch(BASE, Access.READ) == FaultOutcome.DONE
    assert first_byte(space, BASE) == 7


@pytest.mark.parametrize("flags", [MAP_PRIVATE, MAP_SHARED])
def test_nothing_is_filled_behind_the_end_of_a_file(flags: int) -> None:
    space = AddressSpace()
    space.map(BASE, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, SharedMemory(PAGE_SIZE), 0)
    register(space, BASE, BASE + 2 * PAGE_SIZE, MISSING, Recorder())
    fill(space, BASE, 7)
    with pytest.raises(Errno) as error:
        fill(space, BASE + PAGE_SIZE, 7)
    assert error.value.code == EFAULT
    assert space.resident == 1


def test_a_private_page_of_shared_memory_is_shown_until_it_is_written() -> None:
    source = SharedMemory(PAGE_SIZE)
    frames.put_frame(source.page(0, for_write=True))
    space = AddressSpace()
    space.map(BASE, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, source, 0)
    register(space, BASE, BASE + PAGE_SIZE, MINOR, Recorder())
    show_page(space, area_to_fill(space, BASE, PAGE_SIZE), BASE)
    assert entry_frame(read_entry(space.pages.find(BASE))) == source.resident(0)
    assert read_entry(space.pages.find(BASE)) & WRITABLE == 0
    space.touch(BASE, Access.WRITE)
    assert entry_frame(read_entry(space.pages.find(BASE))) != source.resident(0)


def test_what_is_moved_is_registered_no_more() -> None:
    space = mapped()
    recorder = registered(space, MISSING)
    place = BASE + 100 * PAGE_SIZE
    remap(space, BASE, PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, place)
    space.touch(place, Access.WRITE)
    assert recorder.asked == []


@pytest.mark.parametrize("flags", [MAP_PRIVATE, MAP_SHARED])
def test_nobody_is_asked_for_a_page_behind_the_end_of_a_file(flags: int) -> None:
    space = AddressSpace()
    source = SharedMemory(PAGE_SIZE)
    space.map(BASE, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, source, 0)
    recorder = Recorder()
    register(space, BASE, BASE + 2 * PAGE_SIZE, MISSING | MINOR, recorder)
    assert space.touch(BASE + PAGE_SIZE, Access.WRITE) == FaultOutcome.NO_SUCH_PAGE
    assert recorder.asked == []
    space.touch(BASE, Access.WRITE)
    assert recorder.asked == [(BASE, FAULT_WRITE)]


def test_whoever_waits_for_a_handler_that_loses_its_area_is_woken() -> None:
    space = mapped()
    first, other = Recorder(), Recorder()
    middle, end = BASE + 2 * PAGE_SIZE, BASE + PAGES * PAGE_SIZE
    register(space, BASE, middle, MISSING, first)
    register(space, middle, end, MISSING, other)
    register(space, BASE, middle, MISSING, first)
    assert first.woken == [] and other.woken == []
    register(space, BASE + PAGE_SIZE, end, 0, None)
    assert first.woken == other.woken == [(BASE + PAGE_SIZE, end - BASE - PAGE_SIZE)]


def test_memory_is_locked_when_its_pages_are_there() -> None:
    space = mapped()
    recorder = registered(space, MISSING)
    early = [BASE, BASE]  # woken before the page is there

    def serve(address: int) -> FaultOutcome:
        if early:
            early.pop()
        else:
            fill(space, address, 7)
        return FaultOutcome.DONE

    recorder.serve = serve
    lock(space, BASE, BASE + 2 * PAGE_SIZE, now=True)
    assert [address for address, _flags in recorder.asked] == [BASE] * 3 + [BASE + PAGE_SIZE]
    recorder.serve = lambda address: FaultOutcome.NO_SUCH_PAGE
    with pytest.raises(Errno) as error:
        lock(space, BASE, BASE + 3 * PAGE_SIZE, now=True)
    assert error.value.code == ENOMEM
    with pytest.raises(Errno) as error:
        space.populate(BASE, BASE + 3 * PAGE_SIZE)
    assert error.value.code == EFAULT


def test_a_write_by_force_is_asked_for_where_the_page_is_protected_or_missing() -> None:
    space = mapped()
    recorder = registered(space, MISSING | WRITE_PROTECT)
    fill(space, BASE, 7)
    protect_pages(space, area_to_fill(space, BASE, PAGE_SIZE), BASE, BASE + PAGE_SIZE, is_protected=True)
    space.protect(BASE, 2 * PAGE_SIZE, PROT_READ)
    recorder.serve = lambda address: FaultOutcome.NO_SUCH_PAGE
    for page, flags in ((BASE, FAULT_WRITE | FAULT_PROTECTED), (BASE + PAGE_SIZE, FAULT_WRITE)):
        with pytest.raises(Errno) as error:
            write_foreign(space, page, span_of(bytearray(b"\x09")), by_force=True)
        assert error.value.code == EFAULT
        assert recorder.asked.pop() == (page, flags)
    assert read_entry(space.pages.find(BASE)) & WRITE_WATCHED != 0

    def serve(address: int) -> FaultOutcome:
        area = area_to_fill(space, address, PAGE_SIZE)
        protect_pages(space, area, address, address + PAGE_SIZE, is_protected=False)
        return FaultOutcome.DONE

    recorder.serve = serve
    write_foreign(space, BASE, span_of(bytearray(b"\x09")), by_force=True)
    assert first_byte(space, BASE) == 9


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> AddressSpace:
    """With a large page at LARGE_BASE."""
    monkeypatch.setattr(LARGE_PAGES, "enabled", large_pages.ALWAYS)
    space = AddressSpace()
    flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
    space.map(LARGE_BASE, HUGE_SIZE, PROT_READ | PROT_WRITE, flags, None, 0)
    assert space.touch(LARGE_BASE, Access.WRITE) == FaultOutcome.DONE
    assert space.pages.large_count == 1
    return space


def test_a_part_of_a_large_page_is_protected(large: AddressSpace) -> None:
    recorder = Recorder()
    register(large, LARGE_BASE, LARGE_BASE + HUGE_SIZE, WRITE_PROTECT, recorder)
    assert large.pages.large_count == 1
    large.protect(LARGE_BASE, HUGE_SIZE, PROT_READ)
    large.protect(LARGE_BASE, HUGE_SIZE, PROT_READ | PROT_WRITE)
    large.touch(LARGE_BASE, Access.WRITE)
    assert (recorder.asked, large.pages.large_count) == ([], 1)
    page = LARGE_BASE + 5 * PAGE_SIZE
    protect_pages(large, area_to_fill(large, page, PAGE_SIZE), page, page + PAGE_SIZE, is_protected=True)
    assert large.pages.large_count == 0
    large.touch(page - PAGE_SIZE, Access.WRITE)
    large.touch(page, Access.READ)
    assert recorder.asked == []
    large.touch(page, Access.WRITE)
    assert recorder.asked == [(page, FAULT_WRITE | FAULT_PROTECTED)]
    large.release()


def test_what_is_missing_is_not_filled_by_a_large_page(large: AddressSpace) -> None:
    recorder = Recorder()
    register(large, LARGE_BASE, LARGE_BASE + HUGE_SIZE, MISSING, recorder)
    large.touch(LARGE_BASE + PAGE_SIZE, Access.WRITE)
    assert (recorder.asked, large.pages.large_count) == ([], 1)
    advise(large, LARGE_BASE, HUGE_SIZE, MADV_DONTNEED)
    large.touch(LARGE_BASE + PAGE_SIZE, Access.WRITE)
    assert recorder.asked == [(LARGE_BASE + PAGE_SIZE, FAULT_WRITE)]
    assert (large.resident, large.pages.large_count) == (0, 0)
    large.release()


def test_whoever_registers_while_a_large_page_is_cleared_is_asked(
    large: AddressSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    advise(large, LARGE_BASE, HUGE_SIZE, MADV_DONTNEED)
    free = frames.free_frame_count()

    def clear_and_register(head: frames.Frame) -> None:
        clear_huge_page(head)
        register(large, LARGE_BASE, LARGE_BASE + HUGE_SIZE, MISSING, recorder)

    monkeypatch.setattr(large_pages, "clear_huge_page", clear_and_register)
    assert large.touch(LARGE_BASE, Access.WRITE) == FaultOutcome.DONE  # look again
    assert (large.resident, large.pages.large_count, frames.free_frame_count()) == (0, 0, free)
    large.touch(LARGE_BASE, Access.WRITE)
    assert recorder.asked == [(LARGE_BASE, FAULT_WRITE)]
    large.release()


def test_whoever_registers_while_no_large_page_is_found_is_asked(
    large: AddressSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    advise(large, LARGE_BASE, HUGE_SIZE, MADV_DONTNEED)

    def register_meanwhile(is_wanted: bool) -> frames.Frame:
        register(large, LARGE_BASE, LARGE_BASE + HUGE_SIZE, MISSING, recorder)
        return frames.NO_FRAME

    monkeypatch.setattr(large_pages, "take_row", register_meanwhile)
    assert large.touch(LARGE_BASE, Access.WRITE) == FaultOutcome.DONE
    assert large.resident == 0
    large.touch(LARGE_BASE, Access.WRITE)
    assert recorder.asked == [(LARGE_BASE, FAULT_WRITE)]
    large.release()


# ---- Changes --------------------------------------------------------------------------------------------------------


def listening(modes: int = MISSING, wanted: int = EVENTS, flags: int = MAP_PRIVATE) -> tuple[AddressSpace, Recorder]:
    space = mapped(flags)
    recorder = registered(space, modes)
    recorder.wanted = wanted
    return space, recorder


def test_a_range_is_heard_of_once_when_it_is_unmapped() -> None:
    space, recorder = listening()
    register(space, BASE + PAGE_SIZE, BASE + 2 * PAGE_SIZE, MISSING | WRITE_PROTECT, recorder)
    assert space.areas.count == 3
    space.unmap_aloud(BASE - PAGE_SIZE, 4 * PAGE_SIZE - 1)
    assert recorder.heard == [(EVENT_UNMAP, BASE - PAGE_SIZE, BASE + 3 * PAGE_SIZE, 0)]
    assert recorder.changing == 0
    space.map(BASE + 3 * PAGE_SIZE, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, None, 0)
    assert recorder.heard[1:] == [(EVENT_UNMAP, BASE + 3 * PAGE_SIZE, BASE + 4 * PAGE_SIZE, 0)]
    space.unmap_aloud(BASE, PAGE_SIZE)  # nothing is there
    assert len(recorder.heard) == 2


def test_each_handler_hears_of_a_call_once() -> None:
    space = mapped()
    recorders = [Recorder(), Recorder()]
    for page in range(PAGES):
        register(space, BASE + page * PAGE_SIZE, BASE + (page + 1) * PAGE_SIZE, MISSING, recorders[page % 2])
    for recorder in recorders:
        recorder.wanted = EVENT_UNMAP | EVENT_FORK
    births = Births()
    child = space.fork(births)
    assert [len(recorder.heirs) for recorder in recorders] == [1, 1]
    space.unmap_aloud(BASE + PAGE_SIZE, 3 * PAGE_SIZE)  # both still are to hear of the fork
    births.end(are_real=True)
    unmapped = (EVENT_UNMAP, BASE + PAGE_SIZE, BASE + 4 * PAGE_SIZE, 0)
    for recorder in recorders:
        assert recorder.heard == [unmapped, (EVENT_FORK, 0, 0, 0)]
        assert (recorder.changing, recorder.latest) == (0, None)
    child.release()


def test_what_is_not_unmapped_is_not_heard_of() -> None:
    space, recorder = listening()
    space.seal(BASE + PAGE_SIZE, BASE + 2 * PAGE_SIZE)
    with pytest.raises(Errno) as error:
        space.unmap_aloud(BASE, 2 * PAGE_SIZE)
    assert error.value.code == EPERM
    with pytest.raises(Errno) as error:
        space.unmap_aloud(BASE + 1, PAGE_SIZE)
    assert error.value.code == EINVAL
    assert (recorder.heard, recorder.changing) == ([], 0)


@pytest.mark.parametrize("wanted", [0, EVENT_REMAP, EVENT_UNMAP, EVENTS])
def test_a_move_is_heard_of_and_goes_on_being_served(wanted: int) -> None:
    space, recorder = listening(wanted=wanted)
    place = BASE + 100 * PAGE_SIZE
    remap(space, BASE, 2 * PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, place)
    expected = [
        (EVENT_REMAP, BASE, place, 2 * PAGE_SIZE),
        (EVENT_UNMAP, BASE + PAGE_SIZE, BASE + 2 * PAGE_SIZE, 0),
        (EVENT_UNMAP, BASE, BASE + PAGE_SIZE, 0),
    ]
    assert recorder.heard == [event for event in expected if event[0] & wanted != 0]
    assert recorder.changing == 0
    area = space.area_at(place)
    assert area is not None and (area.handler is recorder) == (wanted & EVENT_REMAP != 0)


def test_what_gives_way_to_a_move_is_heard_of_first() -> None:
    space, recorder = listening()
    place = BASE + 6 * PAGE_SIZE
    remap(space, BASE, PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, place)
    assert recorder.heard == [
        (EVENT_UNMAP, place, place + PAGE_SIZE, 0),
        (EVENT_REMAP, BASE, place, PAGE_SIZE),
        (EVENT_UNMAP, BASE, BASE + PAGE_SIZE, 0),
    ]


def test_both_places_are_served_where_a_move_keeps_the_old_one() -> None:
    space, recorder = listening(wanted=EVENT_REMAP)
    flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP
    place = remap(space, BASE, PAGE_SIZE, PAGE_SIZE, flags, BASE + 100 * PAGE_SIZE)
    old, new = space.area_at(BASE), space.area_at(place)
    assert old is not None and new is not None
    assert old.handler is new.handler is recorder
    assert recorder.heard == [(EVENT_REMAP, BASE, place, PAGE_SIZE)]


def test_a_move_that_fails_is_not_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    space, recorder = listening()

    def fail(*_arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr("kernel.mm.remap._make_tables", fail)
    with pytest.raises(MemoryError):
        remap(space, BASE, PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, BASE + 100 * PAGE_SIZE)
    assert (recorder.heard, recorder.changing) == ([], 0)


def test_pages_are_given_back_once_that_was_heard_of() -> None:
    space, recorder = listening(wanted=EVENT_REMOVE)
    fill(space, BASE, 7)
    advise(space, BASE, 2 * PAGE_SIZE, MADV_DONTNEED)
    assert recorder.heard == [(EVENT_REMOVE, BASE, BASE + 2 * PAGE_SIZE, 0)]
    assert (space.resident, recorder.changing) == (0, 0)
    recorder.wanted = EVENT_UNMAP
    advise(space, BASE, PAGE_SIZE, MADV_FREE)
    assert len(recorder.heard) == 1


def test_what_was_unmapped_while_its_removal_was_heard_of_is_a_hole() -> None:
    space, recorder = listening(wanted=EVENT_REMOVE)

    def unmap_meanwhile() -> None:
        space.unmap(BASE, PAGE_SIZE)

    recorder.before_end = unmap_meanwhile
    with pytest.raises(Errno) as error:
        advise(space, BASE, 2 * PAGE_SIZE, MADV_DONTNEED)
    assert error.value.code == ENOMEM


def test_a_child_has_an_heir_of_the_handler() -> None:
    space, recorder = listening(wanted=EVENT_FORK, modes=MISSING | WRITE_PROTECT)
    register(space, BASE + PAGE_SIZE, BASE + 2 * PAGE_SIZE, 0, None)
    births = Births()
    child = space.fork(births)
    (heir,) = recorder.heirs
    assert recorder.changing == 1
    assert child.touch(BASE, Access.WRITE) == FaultOutcome.DONE
    assert child.touch(BASE + PAGE_SIZE, Access.WRITE) == FaultOutcome.DONE
    assert (heir.asked, recorder.asked, child.resident) == ([(BASE, FAULT_WRITE)], [], 1)
    births.end(are_real=True)
    assert recorder.heard == [(EVENT_FORK, 0, 0, 0)]
    assert (recorder.changing, heir.users) == (0, 0)
    child.release()


def test_nobody_hears_of_a_fork_that_fails() -> None:
    space, recorder = listening()
    births = Births()
    child = space.fork(births)
    child.release()
    births.end(are_real=False)
    assert (recorder.heard, recorder.changing, recorder.heirs[0].users) == ([], 0, 0)


# ---- Marks ----------------------------------------------------------------------------------------------------------


def protect(space: AddressSpace, start: int, pages: int, is_protected: bool = True) -> None:
    area = area_to_fill(space, start, pages * PAGE_SIZE)
    protect_pages(space, area, start, start + pages * PAGE_SIZE, is_protected)


def entry_at(space: AddressSpace, address: int) -> int:
    return space.pages.entry_of(address)


def test_pages_of_shared_memory_are_protected_before_they_are_there() -> None:
    space, recorder = listening(WRITE_PROTECT, 0, MAP_SHARED)
    protect(space, BASE, 3)
    assert [entry_at(space, BASE + i * PAGE_SIZE) for i in range(4)] == [WRITE_WATCHED] * 3 + [0]
    assert (space.resident, bytes(residency(space, BASE, 4))) == (0, bytes(4))
    space.touch(BASE, Access.READ)
    assert entry_at(space, BASE) & (PRESENT | WRITE_WATCHED | WRITABLE) == PRESENT | WRITE_WATCHED
    space.touch(BASE + PAGE_SIZE, Access.WRITE)
    assert recorder.asked == []  # the page comes first
    space.touch(BASE + PAGE_SIZE, Access.WRITE)
    assert recorder.asked == [(BASE + PAGE_SIZE, FAULT_WRITE | FAULT_PROTECTED)]
    protect(space, BASE, 3, is_protected=False)
    assert entry_at(space, BASE + 2 * PAGE_SIZE) == 0
    assert space.resident == 2
    space.release()


def test_pages_of_private_memory_are_if_the_handler_wants_it() -> None:
    space, recorder = listening(WRITE_PROTECT, 0)
    protect(space, BASE, 1)
    assert entry_at(space, BASE) == 0
    area = space.area_at(BASE)
    assert area is not None and protect_end(area, BASE, BASE + HUGE_SIZE * 2) == BASE + HUGE_SIZE * 2
    recorder.protects_absent = True
    assert protect_end(area, BASE, BASE + HUGE_SIZE * 2) == BASE + HUGE_SIZE
    protect(space, BASE, 1)
    space.touch(BASE, Access.WRITE)
    space.touch(BASE, Access.WRITE)
    assert recorder.asked == [(BASE, FAULT_WRITE | FAULT_PROTECTED)]
    advise(space, BASE, PAGE_SIZE, MADV_DONTNEED)
    assert entry_at(space, BASE) == 0


def test_what_an_object_loses_stays_protected() -> None:
    space, _recorder = listening(WRITE_PROTECT, 0, MAP_SHARED)
    area = space.area_at(BASE)
    assert area is not None and isinstance(area.source, SharedMemory)
    for page in range(3):
        space.touch(BASE + page * PAGE_SIZE, Access.WRITE)
    protect(space, BASE, 2)
    advise(space, BASE, PAGE_SIZE, MADV_DONTNEED)
    forget_pages(area.source, 1, 3)
    assert [entry_at(space, BASE + i * PAGE_SIZE) for i in range(3)] == [WRITE_WATCHED, WRITE_WATCHED, 0]
    assert space.resident == 0


def test_asynchronous_protection_ends_with_the_first_write() -> None:
    space, recorder = listening(WRITE_PROTECT, 0)
    recorder.protects_absent = recorder.is_asynchronous = True
    space.touch(BASE, Access.WRITE)
    protect(space, BASE, 2)
    for page in (BASE, BASE + PAGE_SIZE):
        space.touch(page, Access.READ)
        assert entry_at(space, page) & WRITE_WATCHED != 0
        space.touch(page, Access.WRITE)
        assert entry_at(space, page) & (WRITE_WATCHED | WRITABLE) == WRITABLE
    assert recorder.asked == []


def test_protection_that_comes_while_a_page_is_found_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    space, _recorder = listening(WRITE_PROTECT, 0, MAP_SHARED)
    area = space.area_at(BASE)
    assert area is not None and isinstance(area.source, SharedMemory)
    space.touch(BASE, Access.READ)
    page = SharedMemory.page

    def protect_meanwhile(source: SharedMemory, index: int, for_write: bool) -> frames.Frame:
        if for_write:
            protect(space, BASE, 1)
        return page(source, index, for_write)

    monkeypatch.setattr(SharedMemory, "page", protect_meanwhile)
    space.touch(BASE, Access.WRITE)
    assert entry_at(space, BASE) & (WRITE_WATCHED | WRITABLE) == WRITE_WATCHED


@pytest.mark.parametrize("flags", [MAP_PRIVATE, MAP_SHARED])
def test_whoever_touches_a_poisoned_page_gets_a_signal(flags: int) -> None:
    space, recorder = listening(MISSING, 0, flags)
    area = area_to_fill(space, BASE, PAGE_SIZE)
    poison_page(space, area, BASE)
    assert (entry_at(space, BASE), space.resident) == (POISONED, 0)
    for access in (Access.READ, Access.WRITE):
        assert space.touch(BASE, access) == FaultOutcome.BROKEN
    assert recorder.asked == []
    with pytest.raises(Errno) as error:
        poison_page(space, area, BASE)
    assert error.value.code == EEXIST
    with pytest.raises(Errno) as error:
        space.populate(BASE, BASE + PAGE_SIZE)
    assert error.value.code == EHWPOISON
    space.protect(BASE, PAGE_SIZE, 0)
    space.protect(BASE, PAGE_SIZE, PROT_READ | PROT_WRITE)
    assert entry_at(space, BASE) == POISONED
    child = space.fork()
    assert child.pages.entry_of(BASE) == (POISONED if flags == MAP_PRIVATE else 0)
    child.release()
    place = remap(space, BASE, PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, BASE + 100 * PAGE_SIZE)
    assert space.touch(place, Access.READ) == FaultOutcome.BROKEN
    advise(space, place, PAGE_SIZE, MADV_DONTNEED)
    assert space.touch(place, Access.READ) == FaultOutcome.DONE
    space.release()


def test_a_poisoned_page_can_be_filled() -> None:
    space, _recorder = listening()
    area = area_to_fill(space, BASE, PAGE_SIZE)
    poison_page(space, area, BASE)
    frame = allocate_user_frame()
    with pytest.raises(Errno) as error:
        put_page(space, area, BASE, frame, is_protected=False, spares_marks=True)
    assert error.value.code == EEXIST
    put_page(space, area, BASE, frame, is_protected=False)
    frames.put_frame(frame)
    assert space.touch(BASE, Access.READ) == FaultOutcome.DONE
    assert space.resident == 1


def test_poison_stays_in_a_hole_and_goes_with_the_end() -> None:
    space, _recorder = listening(MISSING, 0, MAP_SHARED)
    area = area_to_fill(space, BASE, PAGE_SIZE)
    assert isinstance(area.source, SharedMemory)
    poison_page(space, area, BASE)
    protect_pages(space, area, BASE, BASE + PAGE_SIZE, is_protected=True)
    forget_pages(area.source, 0, 1, leaves_hole=True)
    assert entry_at(space, BASE) == POISONED
    forget_pages(area.source, 0, 1)
    assert entry_at(space, BASE) == 0


def test_a_private_copy_stays_where_the_object_gets_a_hole() -> None:
    source = SharedMemory(2 * PAGE_SIZE)
    space = AddressSpace()
    space.map(BASE, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, source, 0)
    space.touch(BASE, Access.WRITE)
    space.touch(BASE + PAGE_SIZE, Access.READ)
    copied = entry_at(space, BASE)
    forget_pages(source, 0, 2, leaves_hole=True)
    assert (entry_at(space, BASE), entry_at(space, BASE + PAGE_SIZE), space.resident) == (copied, 0, 1)
    forget_pages(source, 0, 2)
    assert (entry_at(space, BASE), space.resident) == (0, 0)


# ---- Moving ---------------------------------------------------------------------------------------------------------

SOURCE = BASE + 200 * PAGE_SIZE


def movable() -> tuple[AddressSpace, Recorder]:
    space, recorder = listening()
    space.map(SOURCE, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, None, 0)
    return space, recorder


def move(space: AddressSpace, recorder: Recorder, source: int, target: int, skips_holes: bool = False) -> None:
    move_page(space, area_to_move_to(space, source, target, PAGE_SIZE, recorder), source, target, skips_holes)


def move_error(space: AddressSpace, recorder: Recorder, source: int, target: int) -> int:
    with pytest.raises(Errno) as error:
        move(space, recorder, source, target)
    return error.value.code


def test_a_page_is_moved() -> None:
    space, recorder = movable()
    assert move_error(space, recorder, SOURCE, BASE) == ENOENT
    space.touch(SOURCE, Access.WRITE)
    frame = entry_frame(entry_at(space, SOURCE))
    move(space, recorder, SOURCE, BASE)
    assert (entry_frame(entry_at(space, BASE)), entry_at(space, SOURCE), space.resident) == (frame, 0, 1)
    assert entry_at(space, BASE) & WRITABLE != 0
    space.touch(SOURCE, Access.WRITE)
    assert move_error(space, recorder, SOURCE, BASE) == EEXIST
    assert move_error(space, recorder, SOURCE + PAGE_SIZE, BASE + PAGE_SIZE) == ENOENT
    move(space, recorder, SOURCE + PAGE_SIZE, BASE + PAGE_SIZE, skips_holes=True)
    assert space.resident == 2


def test_only_a_page_that_nobody_else_has_is_moved() -> None:
    space, recorder = movable()
    space.touch(SOURCE, Access.WRITE)
    child = space.fork()
    assert move_error(space, recorder, SOURCE, BASE) == EBUSY
    child.release()
    assert move_error(space, recorder, SOURCE, BASE) == EBUSY  # until it was written to
    space.touch(SOURCE, Access.WRITE)
    move(space, recorder, SOURCE, BASE)


def test_pages_are_moved_within_private_memory_of_one_kind() -> None:
    space, recorder = movable()
    space.touch(SOURCE, Access.WRITE)
    assert move_error(space, Recorder(), SOURCE, BASE) == EINVAL
    assert move_error(space, recorder, SOURCE, BASE - PAGE_SIZE) == ENOENT
    assert move_error(space, recorder, BASE - PAGE_SIZE, BASE) == ENOENT
    space.protect(SOURCE, PAGE_SIZE, PROT_READ)
    assert move_error(space, recorder, SOURCE, BASE) == EINVAL
    space.protect(BASE, PAGE_SIZE, PROT_READ)
    assert move_error(space, recorder, SOURCE, BASE) == EINVAL
    space.protect(BASE, PAGE_SIZE, PROT_READ | PROT_WRITE)
    space.protect(SOURCE, PAGE_SIZE, PROT_READ | PROT_WRITE)
    lock(space, SOURCE, SOURCE + PAGE_SIZE, now=False)
    assert move_error(space, recorder, SOURCE, BASE) == EINVAL
    space.map(SOURCE, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, None, 0)
    assert move_error(space, recorder, SOURCE, BASE) == EINVAL
    with pytest.raises(Errno) as error:
        area_to_move_to(space, SOURCE, BASE + 7 * PAGE_SIZE, 2 * PAGE_SIZE, recorder)
    assert error.value.code == EINVAL


def test_a_large_page_is_moved_as_a_whole(large: AddressSpace) -> None:
    recorder = Recorder()
    target = LARGE_BASE + 4 * HUGE_SIZE
    flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
    large.map(target, HUGE_SIZE, PROT_READ | PROT_WRITE, flags, None, 0)
    register(large, target, target + HUGE_SIZE, MISSING, recorder)
    area = area_to_move_to(large, LARGE_BASE, target, HUGE_SIZE, recorder)
    assert not move_large_page(large, area, LARGE_BASE + PAGE_SIZE, target)
    head = entry_frame(large.pages.entry_of(LARGE_BASE))
    assert move_large_page(large, area, LARGE_BASE, target)
    assert (large.pages.large_count, large.resident) == (1, HUGE_SIZE // PAGE_SIZE)
    assert (entry_frame(large.pages.entry_of(target)), large.pages.entry_of(LARGE_BASE)) == (head, 0)
    large.touch(target, Access.WRITE)
    assert recorder.asked == []
    child = large.fork()
    assert not move_large_page(large, area, target, LARGE_BASE)
    child.release()
    large.release()


def test_a_large_page_is_moved_in_parts_where_something_is_in_its_way(large: AddressSpace) -> None:
    recorder = Recorder()
    target = LARGE_BASE + 4 * HUGE_SIZE
    flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
    large.map(target, HUGE_SIZE, PROT_READ | PROT_WRITE, flags, None, 0)
    register(large, target, target + HUGE_SIZE, MISSING, recorder)
    area = area_to_move_to(large, LARGE_BASE, target, HUGE_SIZE, recorder)
    poison_page(large, area, target + 5 * PAGE_SIZE)
    assert not move_large_page(large, area, LARGE_BASE, target)
    move_page(large, area, LARGE_BASE, target, skips_holes=False)
    assert (large.pages.large_count, large.resident) == (0, HUGE_SIZE // PAGE_SIZE)
    large.release()
