"""Faults that somebody else serves: who is asked, and what filling a page does."""

from collections.abc import Callable

import pytest

from arch.programs import HIDDEN, PRESENT, WRITABLE, WRITE_WATCHED, entry_frame, read_entry
from kernel.lang import EBUSY, EEXIST, EFAULT, EINVAL, ENOENT, ENOMEM, EPERM, Errno, span_of
from kernel.mm import frames, large_pages
from kernel.mm.area import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.foreign import write_foreign
from kernel.mm.frames import PAGE_SIZE, allocate_user_frame, frame_span
from kernel.mm.huge_object import clear_huge_page
from kernel.mm.huge_pool import HUGE_SIZE
from kernel.mm.large_pages import LARGE_PAGES
from kernel.mm.objects import MemoryObject, SharedMemory
from kernel.mm.remap import MADV_DONTNEED, MREMAP_FIXED, MREMAP_MAYMOVE, advise, lock, remap
from kernel.mm.space import AddressSpace
from kernel.mm.userfault import (
    FAULT_MINOR,
    FAULT_PROTECTED,
    FAULT_WRITE,
    MINOR,
    MISSING,
    WRITE_PROTECT,
    FaultHandler,
    area_to_fill,
    check_range,
    forget_handler,
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
        self.serve: Callable[[int], FaultOutcome] = lambda address: FaultOutcome.DONE

    def ask(self, address: int, flags: int, by_kernel: bool) -> FaultOutcome:
        self.asked.append((address, flags))
        return self.serve(address)

    def wake(self, start: int, length: int) -> None:
        self.woken.append((start, length))


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
