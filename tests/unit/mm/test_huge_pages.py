"""Huge pages in an address space: the pool's figures, entries, and what is given back."""

from collections.abc import Iterator

import pytest

from arch.programs import HUGE, POISONED, PRIVATE, WRITABLE, WRITE_WATCHED, entry_frame, read_entry
from kernel.lang import EEXIST, EFAULT, EINVAL, ENOMEM, ENOSPC, Errno
from kernel.mm import frames, remap
from kernel.mm.area import MAP_FIXED, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE
from kernel.mm.fault import Access, FaultOutcome, entry_flags
from kernel.mm.frames import PAGE_SIZE, frame_span, get_frame, pin_frame, put_frame, put_huge_page, unpin_frame
from kernel.mm.huge_fault import fill_huge, poison_huge
from kernel.mm.huge_object import HugeObject, prepare_mapping
from kernel.mm.huge_pool import HUGE_SHIFT, HUGE_SIZE, OVERCOMMIT, POOL, QUOTAS, HugePool, use_pool
from kernel.mm.space import AddressSpace
from kernel.mm.userfault import (
    MINOR,
    MISSING,
    WRITE_PROTECT,
    FaultHandler,
    check_range,
    protect_pages,
    register,
    show_page,
)
from tests.unit.meanwhile import meanwhile

BASE = 16 * HUGE_SIZE
READ_WRITE = PROT_READ | PROT_WRITE


@pytest.fixture
def pool(machine: None) -> Iterator[None]:
    """A pool of three pages, which must be free again at the end; so must everything else."""
    use_pool()
    before = frames.free_frame_count()
    POOL.resize(3)
    assert (POOL.total, POOL.free, POOL.reserved, POOL.surplus) == (3, 3, 0, 0)
    assert frames.free_frame_count() == before - 3 * frames.HUGE_FRAMES
    yield
    OVERCOMMIT.values[0] = 0
    assert (POOL.total, POOL.free, POOL.reserved, POOL.surplus) == (3, 3, 0, 0)
    POOL.resize(0)
    assert POOL.total == 0 and frames.free_frame_count() == before


def place(space: AddressSpace, pages: int, kind: int, reserves: bool = True, address: int = BASE) -> int:
    source = HugeObject(pages)
    length = pages << HUGE_SHIFT
    source.acquire()
    try:
        own = prepare_mapping(source, 0, length, kind == MAP_SHARED, reserves)
        return space.map(address, length, READ_WRITE, kind | MAP_FIXED, source, 0, reservation=own)
    finally:
        source.release()


def write(space: AddressSpace, address: int, value: int) -> FaultOutcome:
    outcome = space.fault(address, Access.WRITE)
    if outcome == FaultOutcome.DONE:
        entry = space.pages.entry_of(address)
        if entry & WRITABLE == 0:
            return write(space, address, value)  # the instruction would fault again
        frame_span(entry_frame(entry))[address % PAGE_SIZE] = value
    return outcome


def read(space: AddressSpace, address: int) -> int:
    assert space.fault(address, Access.READ) == FaultOutcome.DONE
    return frame_span(entry_frame(space.pages.entry_of(address)))[address % PAGE_SIZE]


@pytest.mark.usefixtures("pool")
def test_a_private_page_is_reserved_taken_and_given_back() -> None:
    space = AddressSpace()
    place(space, 2, MAP_PRIVATE)
    assert (POOL.free, POOL.reserved) == (3, 2)
    assert write(space, BASE + 5 * PAGE_SIZE + 7, 9) == FaultOutcome.DONE
    assert (POOL.free, POOL.reserved) == (2, 1)
    assert read(space, BASE + 5 * PAGE_SIZE + 7) == 9 and read(space, BASE) == 0
    entry = read_entry(space.pages.find_huge(BASE))
    assert entry & (HUGE | PRIVATE) == HUGE | PRIVATE and entry_frame(entry) % frames.HUGE_FRAMES == 0
    assert space.pages.huge_count == 1 and space.resident == 0
    space.unmap(BASE, 2 * HUGE_SIZE)
    assert space.pages.huge_count == 0
    space.release()


@pytest.mark.usefixtures("pool")
def test_more_than_there_are_cannot_be_reserved() -> None:
    space = AddressSpace()
    with pytest.raises(Errno) as error:
        place(space, 4, MAP_PRIVATE)
    assert error.value.code == ENOMEM
    with pytest.raises(Errno):
        place(space, 4, MAP_SHARED)
    POOL.resize(2)
    OVERCOMMIT.values[0] = 1
    place(space, 3, MAP_PRIVATE)
    assert (POOL.total, POOL.free, POOL.reserved, POOL.surplus) == (3, 3, 3, 1)
    space.release()
    assert (POOL.total, POOL.free, POOL.reserved, POOL.surplus) == (2, 2, 0, 0)
    POOL.resize(3)


@pytest.mark.usefixtures("pool")
def test_without_a_reservation_pages_run_out() -> None:
    space = AddressSpace()
    place(space, 5, MAP_PRIVATE, reserves=False)
    outcomes = [write(space, BASE + page * HUGE_SIZE, 1) for page in range(5)]
    assert outcomes == [FaultOutcome.DONE] * 3 + [FaultOutcome.NO_SUCH_PAGE] * 2
    space.release()


@pytest.mark.usefixtures("pool")
def test_a_child_shares_until_somebody_writes() -> None:
    parent = AddressSpace()
    place(parent, 2, MAP_PRIVATE)
    assert write(parent, BASE, 1) == write(parent, BASE + HUGE_SIZE, 2) == FaultOutcome.DONE
    child = parent.fork()
    assert (POOL.free, POOL.reserved) == (1, 0)
    assert write(child, BASE, 3) == FaultOutcome.DONE
    assert (read(parent, BASE), read(child, BASE), POOL.free) == (1, 3, 0)
    # None is left: the child loses what the parent, whose reservation it was, has to have.
    assert write(parent, BASE + HUGE_SIZE, 4) == FaultOutcome.DONE
    assert child.fault(BASE + HUGE_SIZE, Access.READ) == FaultOutcome.NO_SUCH_PAGE
    child.release()
    assert (read(parent, BASE), read(parent, BASE + HUGE_SIZE), POOL.free) == (1, 4, 1)
    parent.release()


@pytest.mark.usefixtures("pool")
def test_shared_pages_are_the_same_for_all() -> None:
    parent = AddressSpace()
    place(parent, 2, MAP_SHARED)
    child = parent.fork()
    assert (POOL.free, POOL.reserved) == (3, 2)
    assert write(child, BASE, 3) == FaultOutcome.DONE
    assert read(parent, BASE) == 3 and (POOL.free, POOL.reserved) == (2, 1)
    child.release()
    parent.unmap(BASE, HUGE_SIZE)
    assert (POOL.free, POOL.reserved) == (2, 1)
    parent.release()


@pytest.mark.usefixtures("pool")
def test_nothing_ends_inside_a_page() -> None:
    space = AddressSpace()
    place(space, 2, MAP_PRIVATE)
    assert write(space, BASE, 1) == FaultOutcome.DONE
    for change in (
        lambda: space.unmap(BASE, PAGE_SIZE),
        lambda: space.unmap(BASE + PAGE_SIZE, 2 * HUGE_SIZE),
        lambda: space.protect(BASE + PAGE_SIZE, HUGE_SIZE, PROT_READ),
        lambda: remap.advise(space, BASE + PAGE_SIZE, HUGE_SIZE, remap.MADV_DONTNEED),
        lambda: remap.remap(space, BASE, HUGE_SIZE, 2 * HUGE_SIZE, remap.MREMAP_MAYMOVE, 0),
    ):
        with pytest.raises(Errno) as error:
            change()
        assert error.value.code == EINVAL
    assert read(space, BASE) == 1
    remap.lock(space, BASE + PAGE_SIZE, BASE + 2 * PAGE_SIZE, now=True)
    remap.advise(space, BASE, HUGE_SIZE + PAGE_SIZE, remap.MADV_DONTNEED)
    assert (POOL.free, POOL.reserved) == (3, 2) and read(space, BASE) == 0
    space.release()


@pytest.mark.usefixtures("pool")
def test_protection_and_places_change_by_whole_pages() -> None:
    space = AddressSpace()
    place(space, 2, MAP_PRIVATE)
    assert write(space, BASE, 1) == FaultOutcome.DONE
    space.protect(BASE, HUGE_SIZE, 0)
    assert space.fault(BASE, Access.READ) == FaultOutcome.NOT_ALLOWED
    assert space.pages.next_huge(BASE, BASE + HUGE_SIZE) == BASE and space.pages.find(BASE) == 0
    space.protect(BASE, HUGE_SIZE, READ_WRITE)
    target = BASE + 8 * HUGE_SIZE
    moved = remap.remap(space, BASE, HUGE_SIZE, HUGE_SIZE, remap.MREMAP_MAYMOVE | remap.MREMAP_FIXED, target)
    assert moved == target and read(space, target) == 1 and space.area_at(BASE) is None
    assert (POOL.free, POOL.reserved) == (2, 1)
    # small pages where huge ones were, and the other way round
    space.map(BASE, HUGE_SIZE, READ_WRITE, MAP_PRIVATE | MAP_FIXED, None, 0)
    assert space.fault(BASE, Access.WRITE) == FaultOutcome.DONE
    space.unmap(BASE, PAGE_SIZE)
    space.unmap(BASE + PAGE_SIZE, HUGE_SIZE - PAGE_SIZE)
    place(space, 1, MAP_PRIVATE)
    assert write(space, BASE, 6) == FaultOutcome.DONE and read(space, BASE) == 6
    space.release()


@pytest.mark.usefixtures("pool")
def test_a_part_that_somebody_looks_at_keeps_the_page() -> None:
    space = AddressSpace()
    place(space, 1, MAP_PRIVATE)
    assert write(space, BASE, 1) == FaultOutcome.DONE
    part = entry_frame(space.pages.entry_of(BASE + 3 * PAGE_SIZE))
    get_frame(part)
    space.unmap(BASE, HUGE_SIZE)
    assert (POOL.total, POOL.free) == (3, 2)
    put_frame(part)
    assert (POOL.total, POOL.free) == (3, 3)
    space.release()


@pytest.mark.usefixtures("pool")
def test_fork_copies_a_page_that_a_device_writes_to() -> None:
    parent = AddressSpace()
    place(parent, 1, MAP_PRIVATE)
    assert write(parent, BASE, 1) == FaultOutcome.DONE
    part = entry_frame(parent.pages.entry_of(BASE + 3 * PAGE_SIZE))
    pin_frame(part)
    child = parent.fork()
    unpin_frame(part)
    assert child.pages.entry_of(BASE) & WRITABLE and read(child, BASE) == 1
    assert entry_frame(child.pages.entry_of(BASE + 3 * PAGE_SIZE)) != part and POOL.free == 1
    child.release()
    parent.release()


@pytest.mark.usefixtures("pool")
def test_a_smaller_pool_is_surplus_while_in_use() -> None:
    space = AddressSpace()
    place(space, 2, MAP_PRIVATE)
    assert write(space, BASE, 1) == FaultOutcome.DONE
    POOL.resize(0)
    assert (POOL.total, POOL.free, POOL.reserved, POOL.surplus) == (2, 1, 1, 2)
    space.release()
    assert POOL.total == 0
    POOL.resize(3)


@pytest.mark.usefixtures("pool")
def test_a_hole_takes_pages_from_all_mappings() -> None:
    space = AddressSpace()
    place(space, 2, MAP_SHARED)
    assert write(space, BASE, 1) == write(space, BASE + HUGE_SIZE, 2) == FaultOutcome.DONE
    area = space.area_at(BASE)
    assert area is not None and area.source is not None
    area.source.punch(frames.HUGE_FRAMES // 2, 2 * frames.HUGE_FRAMES)
    assert space.pages.huge_count == 1 and POOL.free == 2
    assert (read(space, BASE), read(space, BASE + HUGE_SIZE)) == (1, 0)
    area.source.punch(0, 1)
    assert read(space, BASE) == 0
    space.release()


@pytest.mark.usefixtures("pool")
def test_only_whole_pages_are_mapped() -> None:
    space = AddressSpace()
    source = HugeObject(2)
    source.acquire()
    parts = ((BASE, PAGE_SIZE, 0), (BASE, HUGE_SIZE, 1), (BASE + PAGE_SIZE, HUGE_SIZE, 0))
    for address, length, first_page in parts:
        with pytest.raises(Errno) as refusal:
            space.map(address, length, PROT_READ, MAP_PRIVATE | MAP_FIXED, source, first_page)
        assert refusal.value.code == EINVAL
    source.release()
    space.release()


@pytest.mark.usefixtures("pool")
def test_a_hole_keeps_what_is_owed() -> None:
    space = AddressSpace()
    place(space, 3, MAP_SHARED)
    assert write(space, BASE, 1) == FaultOutcome.DONE and write(space, BASE + HUGE_SIZE, 2) == FaultOutcome.DONE
    assert write(space, BASE + HUGE_SIZE + 100, 3) == FaultOutcome.DONE
    area = space.area_at(BASE)
    assert area is not None and isinstance(area.source, HugeObject)
    source = area.source
    assert source.present == 2 and (POOL.free, POOL.reserved) == (1, 1)
    source.clear_range(0, HUGE_SIZE + 50)
    assert source.present == 1 and (POOL.free, POOL.reserved) == (2, 1)
    assert read(space, BASE + HUGE_SIZE) == 0 and read(space, BASE + HUGE_SIZE + 100) == 3
    source.clear_range(HUGE_SIZE + 100, HUGE_SIZE + 101)
    assert read(space, BASE + HUGE_SIZE + 100) == 0 and source.present == 1
    source.clear_range(2 * HUGE_SIZE, 3 * HUGE_SIZE)
    assert (POOL.free, POOL.reserved) == (2, 1)
    assert read(space, BASE) == 0 and (POOL.free, POOL.reserved) == (1, 1)
    space.unmap(BASE, 3 * HUGE_SIZE)
    space.release()


@pytest.mark.usefixtures("pool")
def test_a_quota_bounds_what_its_objects_have() -> None:
    quota = POOL.add_quota(2, -1)
    source = HugeObject(3)
    source.quota = quota
    source.acquire()
    with pytest.raises(Errno) as refusal:
        source.reserve_shared(0, 3)
    assert refusal.value.code == ENOMEM and (quota.used, POOL.reserved) == (0, 0)
    source.reserve_shared(0, 1)
    put_huge_page(source.obtain(0))
    put_huge_page(source.obtain(2))  # not reserved
    assert (quota.used, POOL.free, POOL.reserved) == (2, 1, 0)
    with pytest.raises(Errno) as refusal:
        source.obtain(1)
    assert refusal.value.code == ENOSPC and source.huge_page(1) == frames.NO_FRAME
    source.drop_pages(2, 3)
    assert (quota.used, POOL.free) == (1, 2)
    POOL.end_quota(quota)
    assert quota.number in QUOTAS.by_number
    source.release()
    assert quota.number not in QUOTAS.by_number


@pytest.mark.usefixtures("pool")
def test_a_quota_keeps_pages() -> None:
    quota = POOL.add_quota(-1, 2)
    assert (POOL.free, POOL.reserved) == (3, 2)
    source = HugeObject(3)
    source.quota = quota
    source.acquire()
    source.reserve_shared(0, 3)
    assert (quota.kept, POOL.reserved) == (0, 3)
    put_huge_page(source.obtain(1))
    assert (POOL.free, POOL.reserved) == (2, 2)
    with pytest.raises(Errno):
        POOL.reserve(1, None)
    source.drop_pages(1, 2)
    assert (quota.kept, POOL.free, POOL.reserved) == (1, 3, 3)
    source.release()
    assert (quota.kept, POOL.free, POOL.reserved) == (2, 3, 2)
    POOL.end_quota(quota)
    assert POOL.reserved == 0


@pytest.mark.usefixtures("pool")
def test_a_refused_reservation_leaves_a_quota_alone() -> None:
    quota = POOL.add_quota(5, 1)
    POOL.reserve(2, None)
    source = HugeObject(2)
    source.quota = quota
    with pytest.raises(Errno):
        source.reserve_shared(0, 2)
    assert (quota.kept, quota.used, POOL.reserved) == (1, 0, 3)
    POOL.release(2, None)
    POOL.end_quota(quota)
    with pytest.raises(Errno):
        POOL.add_quota(5, 4)
    assert POOL.reserved == 0


# ---- Faults that a program serves -----------------------------------------------------------------------------------


class Recorder(FaultHandler):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, int, int]] = []

    def ask(self, address: int, page: int, flags: int, by_kernel: bool) -> FaultOutcome:
        self.asked.append((address, page, flags))
        return FaultOutcome.DONE


def served(space: AddressSpace, modes: int, pages: int = 2) -> Recorder:
    recorder = Recorder()
    assert check_range(space, BASE, BASE + pages * HUGE_SIZE, modes, recorder)
    register(space, BASE, BASE + pages * HUGE_SIZE, modes, recorder)
    return recorder


def fill(space: AddressSpace, address: int, value: int, within: int = 0, is_protected: bool = False) -> None:
    """UFFDIO_COPY, of bytes that all are `value`."""
    area = space.area_at(address)
    assert area is not None
    frame = frames.allocate_user_frame()
    frame_span(frame).fill(value)
    contents: list[int] = [frame] * (frames.HUGE_FRAMES + 1)
    try:
        fill_huge(space.pages, area, address, contents, within, entry_flags(area), is_protected)
    finally:
        put_frame(frame)


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("kind", [MAP_PRIVATE, MAP_SHARED])
def test_a_missing_huge_page_is_asked_for_and_filled(kind: int) -> None:
    space = AddressSpace()
    place(space, 2, kind)
    recorder = served(space, MISSING)
    assert space.touch(BASE + 5 * PAGE_SIZE + 7, Access.READ) == FaultOutcome.DONE
    assert recorder.asked == [(BASE + 5 * PAGE_SIZE + 7, BASE, 0)]
    fill(space, BASE, 7, within=100)
    assert (POOL.free, POOL.reserved, space.pages.huge_count) == (2, 1, 1)
    assert read(space, BASE + HUGE_SIZE - 1) == 7
    assert write(space, BASE, 8) == FaultOutcome.DONE
    assert len(recorder.asked) == 1
    with pytest.raises(Errno) as error:
        fill(space, BASE, 9)
    assert error.value.code == EEXIST
    space.release()


@pytest.mark.usefixtures("pool")
def test_a_huge_page_is_filled_within_the_file_and_the_pool() -> None:
    space = AddressSpace()
    source = HugeObject(1)
    space.map(BASE, 2 * HUGE_SIZE, READ_WRITE, MAP_SHARED | MAP_FIXED, source, 0)
    served(space, MISSING)
    with pytest.raises(Errno) as error:
        fill(space, BASE + HUGE_SIZE, 7)
    assert error.value.code == EFAULT
    POOL.resize(0)
    with pytest.raises(Errno) as error:
        fill(space, BASE, 7)
    assert error.value.code == ENOMEM
    assert source.frames.get(0) == frames.NO_FRAME
    POOL.resize(3)
    space.release()


@pytest.mark.usefixtures("pool")
def test_a_huge_page_that_the_object_has_is_shown() -> None:
    space, other = AddressSpace(), AddressSpace()
    source = HugeObject(2)
    other.map(BASE, 2 * HUGE_SIZE, READ_WRITE, MAP_SHARED | MAP_FIXED, source, 0)
    assert write(other, BASE, 5) == FaultOutcome.DONE
    space.map(BASE, 2 * HUGE_SIZE, READ_WRITE, MAP_SHARED | MAP_FIXED, source, 0)
    recorder = served(space, MINOR)
    space.touch(BASE, Access.WRITE)
    assert recorder.asked == [(BASE, BASE, 5)]
    area = space.area_at(BASE)
    assert area is not None
    show_page(space, area, BASE)
    assert read(space, BASE) == 5
    with pytest.raises(Errno) as error:
        show_page(space, area, BASE)
    assert error.value.code == EEXIST
    with pytest.raises(Errno) as error:
        show_page(space, area, BASE + HUGE_SIZE)
    assert error.value.code == EFAULT
    space.release()
    other.release()


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("kind", [MAP_PRIVATE, MAP_SHARED])
def test_huge_pages_are_protected_also_before_they_are_there(kind: int) -> None:
    space = AddressSpace()
    place(space, 2, kind)
    assert write(space, BASE, 1) == FaultOutcome.DONE
    recorder = served(space, WRITE_PROTECT)
    area = space.area_at(BASE)
    assert area is not None
    protect_pages(space, area, BASE, BASE + 2 * HUGE_SIZE, is_protected=True)
    assert (space.pages.entry_of(BASE + HUGE_SIZE), space.pages.huge_marks) == (WRITE_WATCHED, 1)
    assert read(space, BASE) == 1 and read(space, BASE + HUGE_SIZE) == 0
    assert space.pages.huge_marks == 0
    space.protect(BASE, 2 * HUGE_SIZE, PROT_READ)
    space.protect(BASE, 2 * HUGE_SIZE, READ_WRITE)
    for page in (BASE, BASE + HUGE_SIZE):
        assert space.pages.entry_of(page) & (WRITE_WATCHED | WRITABLE) == WRITE_WATCHED
        space.touch(page + PAGE_SIZE, Access.WRITE)
    assert recorder.asked == [(page + PAGE_SIZE, page, 3) for page in (BASE, BASE + HUGE_SIZE)]
    remap.advise(space, BASE, HUGE_SIZE, remap.MADV_DONTNEED)
    assert (space.pages.entry_of(BASE), space.pages.huge_count, space.pages.huge_marks) == (WRITE_WATCHED, 1, 1)
    assert space.pages.next_huge_mark(BASE, BASE + 2 * HUGE_SIZE) == BASE
    protect_pages(space, area, BASE, BASE + 2 * HUGE_SIZE, is_protected=False)
    assert (space.pages.entry_of(BASE), space.pages.huge_marks) == (0, 0)
    assert write(space, BASE, 2) == write(space, BASE + HUGE_SIZE, 2) == FaultOutcome.DONE
    space.release()


@pytest.mark.usefixtures("pool")
def test_a_poisoned_huge_page() -> None:
    space = AddressSpace()
    place(space, 3, MAP_PRIVATE)
    served(space, MISSING, 3)
    for number in range(2):
        poison_huge(space.pages, BASE + number * HUGE_SIZE)
    space.note_broken()
    with pytest.raises(Errno) as error:
        poison_huge(space.pages, BASE)
    assert error.value.code == EEXIST
    assert space.touch(BASE + 3 * PAGE_SIZE, Access.READ) == FaultOutcome.BROKEN
    child = space.fork()
    assert child.touch(BASE + 3 * PAGE_SIZE, Access.READ) == FaultOutcome.BROKEN
    child.release()
    fill(space, BASE, 7)
    assert read(space, BASE) == 7
    moved = remap.remap(
        space, BASE + HUGE_SIZE, HUGE_SIZE, HUGE_SIZE, remap.MREMAP_MAYMOVE | remap.MREMAP_FIXED, BASE + 8 * HUGE_SIZE
    )
    assert (space.pages.entry_of(moved), space.pages.entry_of(BASE + HUGE_SIZE)) == (POISONED, 0)
    remap.advise(space, moved, HUGE_SIZE, remap.MADV_DONTNEED)
    assert (space.pages.entry_of(moved), space.pages.huge_marks) == (0, 0)
    poison_huge(space.pages, BASE + 2 * HUGE_SIZE)
    space.unmap(BASE + 2 * HUGE_SIZE, HUGE_SIZE)
    assert space.pages.huge_marks == 0
    space.release()


@pytest.mark.usefixtures("pool")
def test_huge_pages_are_registered_as_a_whole() -> None:
    space = AddressSpace()
    place(space, 2, MAP_PRIVATE)
    for start, end in ((BASE + PAGE_SIZE, BASE + HUGE_SIZE), (BASE, BASE + PAGE_SIZE)):
        with pytest.raises(Errno) as error:
            check_range(space, start, end, MISSING, Recorder())
        assert error.value.code == EINVAL
    space.release()


def test_a_page_comes_free_while_the_pool_gives_surplus_ones_back(pool: None) -> None:
    """Each is counted once."""
    POOL.resize(2)
    OVERCOMMIT.values[0] = 1
    taken = [POOL.take(is_reserved=False, quota=None) for _ in range(2)]
    POOL.reserve(1, None)
    assert (POOL.total, POOL.free, POOL.reserved, POOL.surplus) == (3, 1, 1, 1)
    with meanwhile(lambda: put_huge_page(taken.pop())):
        POOL.release(1, None)
    assert (POOL.total, POOL.free, POOL.reserved, POOL.surplus) == (2, 1, 0, 0)
    put_huge_page(taken.pop())
    POOL.resize(3)


@pytest.mark.parametrize("is_found", [False, True])
def test_the_pool_is_resized_while_a_surplus_page_is_looked_for(pool: None, is_found: bool) -> None:
    POOL.resize(1)
    OVERCOMMIT.values[0] = 1
    taken = [POOL.take(False, None)]

    def find(_: HugePool) -> frames.Frame:
        patch.undo()
        POOL.resize(2)
        return frames.allocate_huge_page() if is_found else frames.NO_FRAME

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HugePool, "_find_page", find)
        if is_found:
            taken.append(POOL.take(False, None))
        else:
            with pytest.raises(Errno):
                POOL.take(False, None)
    assert (POOL.total, POOL.surplus) == ((3, 1) if is_found else (2, 0))
    for head in taken:
        put_huge_page(head)
    assert (POOL.total, POOL.free, POOL.surplus) == (2, 2, 0)
    POOL.resize(3)


@pytest.mark.usefixtures("pool")
def test_a_page_goes_while_one_for_its_copy_is_looked_for() -> None:
    """The child ends and the parent unmaps the page: nobody else has it any more."""
    POOL.resize(1)
    OVERCOMMIT.values[0] = 1
    space = AddressSpace()
    place(space, 1, MAP_PRIVATE, reserves=False)
    assert write(space, BASE, 7) == FaultOutcome.DONE
    child = space.fork()

    def unmap() -> None:
        child.release()
        space.unmap(BASE, HUGE_SIZE)

    with meanwhile(unmap):
        assert space.fault(BASE, Access.WRITE) == FaultOutcome.DONE
    assert space.is_free(BASE, BASE + HUGE_SIZE) and space.pages.huge_count == 0
    space.release()
    assert (POOL.total, POOL.free, POOL.surplus) == (1, 1, 0)
    POOL.resize(3)
