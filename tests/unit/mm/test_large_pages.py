"""Large pages: what brings them, what splits them, and that nothing is lost or left over."""

from collections.abc import Iterator

import pytest

from arch import USER_END
from arch.programs import HUGE, LARGE_TOTALS, PRESENT, SPLITTABLE, WRITABLE, entry_frame, read_entry
from arch.x86_64.programs import page_table
from kernel.lang import EAGAIN, EINVAL, ENOMEM, Errno
from kernel.mm import frames, large_pages, remap
from kernel.mm.area import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    MAP_STACK,
    PROT_READ,
    PROT_WRITE,
)
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.frames import (
    CHARGING,
    HUGE_FRAMES,
    PAGE_SIZE,
    Frame,
    FrameCharger,
    frame_span,
    get_frame,
    pin_frame,
    put_frame,
    unpin_frame,
)
from kernel.mm.huge_pool import HUGE_SIZE
from kernel.mm.large_pages import LARGE_PAGES
from kernel.mm.space import AddressSpace

BASE = 16 * HUGE_SIZE
READ_WRITE = PROT_READ | PROT_WRITE
PROT_NONE = 0


@pytest.fixture
def room(machine: None) -> Iterator[None]:
    """Debian's settings; all memory must be free again at the end."""
    LARGE_PAGES.enabled, LARGE_PAGES.effort = large_pages.ALWAYS, large_pages.ADVISED
    before = frames.free_frame_count()
    LARGE_TOTALS.mapped = 0
    yield
    assert LARGE_TOTALS.mapped == 0
    assert frames.free_frame_count() == before
    frames._drain_stack()


def place(space: AddressSpace, length: int = 2 * HUGE_SIZE, address: int = BASE, flags: int = 0) -> int:
    return space.map(address, length, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | flags, None, 0)


def write(space: AddressSpace, address: int, value: int) -> None:
    assert space.fault(address, Access.WRITE) == FaultOutcome.DONE
    entry = space.pages.entry_of(address)
    assert entry & (PRESENT | WRITABLE) == PRESENT | WRITABLE
    frame_span(entry_frame(entry))[address % PAGE_SIZE] = value


def read(space: AddressSpace, address: int) -> int:
    assert space.fault(address, Access.READ) == FaultOutcome.DONE
    return frame_span(entry_frame(space.pages.entry_of(address)))[address % PAGE_SIZE]


def error_of(call: object, *arguments: object) -> int:
    assert callable(call)
    with pytest.raises(Errno) as caught:
        call(*arguments)
    return caught.value.code


def filled(space: AddressSpace) -> int:
    """A large page whose pages hold their numbers, modulo 251."""
    start = place(space)
    for page in range(HUGE_FRAMES):
        write(space, start + page * PAGE_SIZE, page % 251)
    assert space.pages.large_count == 1
    return start


def check(space: AddressSpace, start: int, pages: range = range(HUGE_FRAMES)) -> None:
    for page in pages:
        assert read(space, start + page * PAGE_SIZE) == page % 251, page


@pytest.mark.usefixtures("room")
class TestFaults:
    def test_a_write_brings_one(self) -> None:
        space = AddressSpace()
        start = place(space)
        write(space, start + 5 * PAGE_SIZE + 7, 9)
        assert (space.pages.large_count, space.resident, LARGE_TOTALS.mapped) == (1, HUGE_FRAMES, 1)
        entry = read_entry(space.pages.find_large(start))
        assert entry & (HUGE | SPLITTABLE) == HUGE | SPLITTABLE
        assert entry_frame(entry) % HUGE_FRAMES == 0
        assert space.pages.entry_of(start + 3 * PAGE_SIZE) & (HUGE | SPLITTABLE) == 0
        assert read(space, start + 5 * PAGE_SIZE + 7) == 9 and read(space, start) == 0
        assert space.pages.large_count == 1
        space.release()

    def test_a_read_does_not(self) -> None:
        space = AddressSpace()
        assert read(space, place(space)) == 0
        assert (space.pages.large_count, space.resident) == (0, 1)
        write(space, BASE + PAGE_SIZE, 1)
        assert (space.pages.large_count, space.resident) == (0, 2)  # there is a table by now
        space.release()

    def test_it_must_fit_into_the_area(self) -> None:
        space = AddressSpace()
        place(space, HUGE_SIZE + PAGE_SIZE, BASE + PAGE_SIZE)
        for address in (BASE + PAGE_SIZE, BASE + HUGE_SIZE):
            write(space, address, 1)
        assert (space.pages.large_count, space.resident) == (0, 2)
        space.release()

    @pytest.mark.parametrize(
        ("enabled", "plain", "wanted"),
        [(large_pages.ALWAYS, 1, 1), (large_pages.ADVISED, 0, 1), (large_pages.NEVER, 0, 0)],
    )
    def test_settings_and_advice(self, enabled: int, plain: int, wanted: int) -> None:
        LARGE_PAGES.enabled = enabled
        counts = []
        for advice in (remap.MADV_NORMAL, remap.MADV_HUGEPAGE, remap.MADV_NOHUGEPAGE):
            space = AddressSpace()
            start = place(space)
            remap.advise(space, start, 2 * HUGE_SIZE, advice)
            write(space, start, 1)
            counts.append(space.pages.large_count)
            space.release()
        assert counts == [plain, wanted, 0]

    def test_a_program_may_refuse(self) -> None:
        space = AddressSpace()
        space.settings.refuses_huge_pages = True
        write(space, place(space), 1)
        assert space.pages.large_count == 0
        space.release()

    def test_stacks_of_threads_have_none(self) -> None:
        space = AddressSpace()
        write(space, place(space, flags=MAP_STACK), 1)
        assert space.pages.large_count == 0
        space.release()

    def test_a_small_machine_begins_without(self, monkeypatch: pytest.MonkeyPatch) -> None:
        chosen = []
        for total in (131071, 131072):
            settings = large_pages.LargePages()
            with monkeypatch.context() as patch:
                patch.setattr(frames, "_total", total)
                settings.configure()
            chosen.append((settings.enabled, settings.effort, settings.uses_zero_page))
        assert chosen == [
            (large_pages.NEVER, large_pages.NEVER, False),
            (large_pages.ALWAYS, large_pages.ADVISED, True),
        ]

    def test_caches_stay_where_frames_are_free_but_scattered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[int] = []
        monkeypatch.setattr(large_pages, "make_room", asked.append)
        taken = [frames.allocate_frame() for _ in range(frames.free_frame_count())]
        for frame in taken[::2]:
            put_frame(frame)
        frames._drain_stack()
        assert not frames.lacks_frames_for_row(0)
        assert large_pages.take_row(is_wanted=True) == frames.NO_FRAME
        assert asked == []
        for frame in taken[1::2]:
            put_frame(frame)
        frames._drain_stack()
        head = large_pages.take_row(is_wanted=True)
        assert head != frames.NO_FRAME
        frames.put_frame_row(head)

    def test_caches_that_have_nothing_are_asked_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[int] = []
        monkeypatch.setattr(large_pages, "make_room", asked.append)
        taken = [frames.allocate_frame() for _ in range(frames.free_frame_count())]
        assert large_pages.take_row(is_wanted=True) == frames.NO_FRAME
        assert len(asked) == 1
        for frame in taken:
            put_frame(frame)
        frames._drain_stack()

    def test_a_row_comes_back_in_one_piece(self) -> None:
        frames._drain_stack()
        heads = list(frames._heads)
        space = AddressSpace()
        tables = list(frames._heads)
        filled(space)
        space.release()
        frames._drain_stack()
        assert tables != [] and frames._heads == heads

    def test_without_a_table_it_is_a_single_page(self, monkeypatch: pytest.MonkeyPatch) -> None:
        space = AddressSpace()
        start = place(space)
        write(space, start + HUGE_SIZE, 1)
        take = frames.allocate_charged_frame
        lacking = [True]

        def take_later() -> Frame:
            if lacking:
                lacking.clear()
                raise MemoryError
            return take()

        monkeypatch.setattr(page_table, "allocate_charged_frame", take_later)
        write(space, start, 1)
        assert (space.pages.large_count, space.resident) == (1, HUGE_FRAMES + 1)
        space.release()

    def test_an_eighth_of_memory_stays_unless_asked(self) -> None:
        space = AddressSpace()
        place(space, 4 * HUGE_SIZE, flags=MAP_NORESERVE)
        before = LARGE_PAGES.fallbacks
        for block in range(3):
            write(space, BASE + block * HUGE_SIZE, 1)
        assert (space.pages.large_count, LARGE_PAGES.fallbacks - before) == (3, 0)
        write(space, BASE + 3 * HUGE_SIZE, 1)  # no fourth row is there
        assert (space.pages.large_count, LARGE_PAGES.fallbacks - before) == (3, 1)
        assert space.resident == 3 * HUGE_FRAMES + 1
        space.release()


@pytest.mark.usefixtures("room")
class TestSplitting:
    def test_whoever_asks_for_one_entry_splits(self) -> None:
        space = AddressSpace()
        start = filled(space)
        tables = space.pages.table_count
        splits = LARGE_TOTALS.splits
        slot = space.pages.find(start + 7 * PAGE_SIZE)
        assert (space.pages.large_count, space.pages.table_count, LARGE_TOTALS.splits) == (0, tables, splits + 1)
        assert read_entry(slot) == space.pages.entry_of(start + 7 * PAGE_SIZE)
        assert space.pages.find(start + 8 * PAGE_SIZE) == slot + 8
        assert space.pages.find_large(start) == 0
        check(space, start)
        space.release()

    def test_it_needs_no_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        space = AddressSpace()
        start = filled(space)
        with monkeypatch.context() as patch:
            patch.setattr(frames, "_stack_head", 0)
            patch.setattr(frames, "_heads", [0] * (frames.MAX_ORDER + 1))
            space.pages.make(start)
            check(space, start)
        space.release()

    def test_looking_splits_nothing(self) -> None:
        space = AddressSpace()
        start = filled(space)
        assert space.pages.next_mapped(start - PAGE_SIZE, start + HUGE_SIZE) == start
        assert space.pages.next_mapped(start + PAGE_SIZE, start + HUGE_SIZE) == start + PAGE_SIZE
        assert space.pages.next_table(start + PAGE_SIZE, start + HUGE_SIZE) == start + PAGE_SIZE
        assert space.pages.next_huge(BASE, BASE + 4 * HUGE_SIZE) == BASE + 4 * HUGE_SIZE
        assert space.pages.find_huge(start) == 0
        assert space.pages.large_count == 1
        space.release()

    def test_a_part_is_unmapped(self) -> None:
        space = AddressSpace()
        start = filled(space)
        free = frames.free_frame_count()
        space.unmap(start + 7 * PAGE_SIZE, 2 * PAGE_SIZE)
        assert (space.pages.large_count, space.resident) == (0, HUGE_FRAMES - 2)
        assert frames.free_frame_count() == free + 2
        assert space.fault(start + 7 * PAGE_SIZE, Access.READ) == FaultOutcome.NOT_MAPPED
        check(space, start, range(7))
        check(space, start, range(9, HUGE_FRAMES))
        space.release()

    def test_a_whole_one_is_given_back_and_comes_again(self) -> None:
        space = AddressSpace()
        start = filled(space)
        splits = LARGE_TOTALS.splits
        remap.advise(space, start, HUGE_SIZE, remap.MADV_DONTNEED)
        assert (space.pages.large_count, space.resident, LARGE_TOTALS.splits) == (0, 0, splits)
        write(space, start + 9, 3)
        assert space.pages.large_count == 1 and read(space, start) == 0
        space.release()

    def test_an_area_is_cut(self) -> None:
        space = AddressSpace()
        start = filled(space)
        remap.advise(space, start + PAGE_SIZE, PAGE_SIZE, remap.MADV_DONTFORK)
        assert space.pages.large_count == 0
        check(space, start)
        space.release()


@pytest.mark.usefixtures("room")
class TestProtection:
    def test_whole_ones_stay(self) -> None:
        space = AddressSpace()
        start = filled(space)
        space.protect(start, HUGE_SIZE, PROT_READ)
        assert space.fault(start, Access.WRITE) == FaultOutcome.NOT_ALLOWED
        assert space.pages.entry_of(start) & (PRESENT | WRITABLE) == PRESENT
        space.protect(start, HUGE_SIZE, PROT_NONE)
        assert space.pages.entry_of(start) & PRESENT == 0
        assert space.fault(start, Access.READ) == FaultOutcome.NOT_ALLOWED
        space.protect(start, HUGE_SIZE, READ_WRITE)
        check(space, start)
        write(space, start + PAGE_SIZE, 1)
        assert space.pages.large_count == 1
        space.release()

    def test_a_hidden_one_is_split_and_given_back(self) -> None:
        space = AddressSpace()
        start = filled(space)
        space.protect(start, HUGE_SIZE, PROT_NONE)
        space.protect(start + PAGE_SIZE, PAGE_SIZE, PROT_READ)
        assert space.pages.large_count == 0
        check(space, start, range(1, 2))
        assert space.pages.entry_of(start + 2 * PAGE_SIZE) & PRESENT == 0
        space.protect(start, HUGE_SIZE, READ_WRITE)
        check(space, start)
        space.release()


@pytest.mark.usefixtures("room")
class TestForks:
    def test_both_share_it_until_one_writes(self) -> None:
        space = AddressSpace()
        start = filled(space)
        child = space.fork()
        assert (child.pages.large_count, child.resident, space.pages.large_count) == (1, HUGE_FRAMES, 1)
        check(child, start)
        write(child, start + 3 * PAGE_SIZE, 99)
        assert (child.pages.large_count, space.pages.large_count) == (0, 1)
        check(space, start)
        assert read(child, start + 3 * PAGE_SIZE) == 99
        child.release()
        write(space, start + 3 * PAGE_SIZE, 3)  # alone again
        assert space.pages.large_count == 1
        check(space, start)
        space.release()

    def test_the_parent_writes_first(self) -> None:
        space = AddressSpace()
        start = filled(space)
        child = space.fork()
        write(space, start + 3 * PAGE_SIZE, 99)
        assert (child.pages.large_count, space.pages.large_count) == (1, 0)
        space.release()
        check(child, start)
        child.release()

    def test_a_page_that_a_device_fills_stays_with_the_parent(self) -> None:
        space = AddressSpace()
        start = filled(space)
        frame = entry_frame(space.pages.entry_of(start + PAGE_SIZE))
        pin_frame(frame)
        child = space.fork()
        assert (child.pages.large_count, space.pages.large_count) == (0, 0)
        assert entry_frame(space.pages.entry_of(start + PAGE_SIZE)) == frame
        assert entry_frame(child.pages.entry_of(start + PAGE_SIZE)) != frame
        unpin_frame(frame)
        check(child, start)
        child.release()
        space.release()


@pytest.mark.usefixtures("room")
class TestMoves:
    def move(self, space: AddressSpace, start: int, target: int) -> None:
        flags = remap.MREMAP_MAYMOVE | remap.MREMAP_FIXED
        assert remap.remap(space, start, HUGE_SIZE, HUGE_SIZE, flags, target) == target

    def test_by_whole_ones(self) -> None:
        space = AddressSpace()
        start = filled(space)
        self.move(space, start, start + 4 * HUGE_SIZE)
        assert space.pages.large_count == 1
        check(space, start + 4 * HUGE_SIZE)
        space.release()

    def test_by_a_page(self) -> None:
        space = AddressSpace()
        start = filled(space)
        self.move(space, start, start + 4 * HUGE_SIZE + PAGE_SIZE)
        assert space.pages.large_count == 0
        check(space, start + 4 * HUGE_SIZE + PAGE_SIZE)
        space.release()

    def no_memory(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(frames, "_stack_head", 0)
        patch.setattr(frames, "_heads", [0] * (frames.MAX_ORDER + 1))

    @pytest.mark.parametrize("distance", [4 * HUGE_SIZE, 4 * HUGE_SIZE + PAGE_SIZE])
    def test_without_memory_nothing_changes(self, monkeypatch: pytest.MonkeyPatch, distance: int) -> None:
        space = AddressSpace()
        start = filled(space)
        with monkeypatch.context() as patch:
            self.no_memory(patch)
            with pytest.raises(MemoryError):
                self.move(space, start, start + (512 << 30) + distance)  # where there is no table of any level
        assert space.pages.large_count == 1
        assert space.area_at(start + (512 << 30) + distance) is None
        check(space, start)
        space.release()

    @pytest.mark.parametrize("distance", [4 * HUGE_SIZE, 4 * HUGE_SIZE + PAGE_SIZE])
    def test_what_follows_the_tables_needs_no_memory(self, monkeypatch: pytest.MonkeyPatch, distance: int) -> None:
        space = AddressSpace()
        start = filled(space)
        make_tables = remap._make_tables

        with monkeypatch.context() as patch:

            def make_all(space: AddressSpace, old: int, length: int, new: int) -> None:
                make_tables(space, old, length, new)
                self.no_memory(patch)

            patch.setattr(remap, "_make_tables", make_all)
            self.move(space, start, start + distance)
        check(space, start + distance)
        space.release()

    def test_the_edges_of_a_part_are_cut_without_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        space = AddressSpace()
        start = filled(space)
        target = start + 4 * HUGE_SIZE + PAGE_SIZE
        space.pages.make(target)
        with monkeypatch.context() as patch:
            self.no_memory(patch)
            flags = remap.MREMAP_MAYMOVE | remap.MREMAP_FIXED
            assert remap.remap(space, start + PAGE_SIZE, 3 * PAGE_SIZE, 3 * PAGE_SIZE, flags, target) == target
        assert space.pages.large_count == 0
        assert [read(space, target + page * PAGE_SIZE) for page in range(3)] == [1, 2, 3]
        check(space, start, range(1))
        check(space, start, range(4, HUGE_FRAMES))
        space.release()

    def test_a_page_split_meanwhile_is_moved_all_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        space = AddressSpace()
        start = filled(space)
        make_tables = remap._make_tables

        def make_and_split(space: AddressSpace, old: int, length: int, new: int) -> None:
            make_tables(space, old, length, new)
            space.pages.find(old)

        monkeypatch.setattr(remap, "_make_tables", make_and_split)
        self.move(space, start, start + 4 * HUGE_SIZE)
        check(space, start + 4 * HUGE_SIZE)
        space.release()


@pytest.mark.usefixtures("room")
class TestPlaces:
    def place(self, length: int, flags: int = MAP_PRIVATE | MAP_ANONYMOUS) -> int:
        space = AddressSpace()
        space.map(0, PAGE_SIZE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, None, 0)
        start = space.map(0, length, READ_WRITE, flags, None, 0)
        assert space.is_free(start - PAGE_SIZE, start)
        space.release()
        return start

    def test_whole_large_pages_lie_at_a_multiple_of_their_size(self) -> None:
        for count in (1, 3):
            assert self.place(count * HUGE_SIZE) % HUGE_SIZE == 0

    def test_others_lie_side_by_side(self) -> None:
        assert self.place(HUGE_SIZE + PAGE_SIZE) % HUGE_SIZE != 0
        assert self.place(HUGE_SIZE, MAP_SHARED | MAP_ANONYMOUS) % HUGE_SIZE != 0

    def test_from_below_too(self) -> None:
        space = AddressSpace()
        space.layout.mapping_bottom = BASE + PAGE_SIZE
        assert space.map(0, HUGE_SIZE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, None, 0) == BASE + HUGE_SIZE
        space.release()

    def test_without_room_for_more_they_lie_anywhere(self) -> None:
        space = AddressSpace()
        space.layout.mapping_bottom = USER_END - HUGE_SIZE - PAGE_SIZE
        start = space.map(0, HUGE_SIZE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, None, 0)
        assert start == USER_END - HUGE_SIZE - PAGE_SIZE
        space.release()


@pytest.mark.usefixtures("room")
class TestCollapse:
    def small(self, space: AddressSpace, pages: range = range(HUGE_FRAMES)) -> int:
        start = place(space)
        LARGE_PAGES.enabled = large_pages.NEVER
        for page in pages:
            write(space, start + page * PAGE_SIZE, page % 251)
        assert space.pages.large_count == 0
        return start

    def collapse(self, space: AddressSpace, start: int, length: int = HUGE_SIZE) -> None:
        remap.advise(space, start, length, remap.MADV_COLLAPSE)

    def test_pages_become_a_large_one(self) -> None:
        space = AddressSpace()
        start = self.small(space)
        self.collapse(space, start)
        assert (space.pages.large_count, space.resident) == (1, HUGE_FRAMES)
        check(space, start)
        write(space, start + PAGE_SIZE, 1)
        self.collapse(space, start)  # it is one
        assert space.pages.large_count == 1
        space.release()

    def test_missing_pages_are_zeros(self) -> None:
        space = AddressSpace()
        start = self.small(space, range(3, 5))
        self.collapse(space, start)
        assert (space.pages.large_count, space.resident) == (1, HUGE_FRAMES)
        assert [read(space, start + page * PAGE_SIZE) for page in range(2, 6)] == [0, 3, 4, 0]
        space.release()

    def test_what_is_refused(self) -> None:
        space = AddressSpace()
        start = self.small(space, range(3))
        assert error_of(self.collapse, space, start + HUGE_SIZE) == EINVAL  # nothing is there
        assert error_of(self.collapse, space, start, 2 * HUGE_SIZE) == EINVAL
        assert space.pages.large_count == 1  # the first is one nevertheless
        remap.advise(space, start, HUGE_SIZE, remap.MADV_DONTNEED)
        write(space, start + HUGE_SIZE, 1)
        assert error_of(self.collapse, space, start, 2 * HUGE_SIZE) == EINVAL
        assert space.pages.large_count == 0  # nothing is done past a block in which nothing is
        write(space, start, 1)
        self.collapse(space, start)
        remap.advise(space, start, HUGE_SIZE, remap.MADV_NOHUGEPAGE)
        assert error_of(self.collapse, space, start) == EINVAL
        space.release()

    def test_pages_that_others_hold_stay(self) -> None:
        space = AddressSpace()
        start = self.small(space, range(3))
        frame = entry_frame(space.pages.entry_of(start))
        pin_frame(frame)
        assert error_of(self.collapse, space, start) == EAGAIN
        unpin_frame(frame)
        get_frame(frame)
        assert error_of(self.collapse, space, start) == EAGAIN
        put_frame(frame)
        assert space.pages.large_count == 0
        check(space, start, range(3))
        assert not space.is_held
        space.release()

    def test_no_row_is_free(self) -> None:
        space = AddressSpace()
        start = self.small(space, range(3))
        taken: list[Frame] = []
        while True:
            head = frames.allocate_frame_row(0)
            if head == frames.NO_FRAME:
                break
            taken.append(head)
        assert error_of(self.collapse, space, start) == ENOMEM
        for head in taken:
            frames.put_frame_row(head)
        check(space, start, range(3))
        space.release()


class Charger(FrameCharger):
    """Charges everything to group 5, up to a limit."""

    def __init__(self) -> None:
        self.charged = 0
        self.limit = 1 << 30
        self.is_generous = True  # in what it permits beforehand

    def charge(self) -> int:
        if self.charged >= self.limit:
            raise MemoryError
        self.charged += 1
        return 5

    def charges(self) -> bool:
        return True

    def permits(self, pages: int) -> bool:
        return self.is_generous or self.charged + pages <= self.limit

    def uncharge(self, number: int, is_shared: bool) -> None:
        assert (number, is_shared) == (5, False)
        self.charged -= 1


@pytest.fixture
def charger(room: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Charger]:
    """Everything has come back at the end."""
    charger = Charger()
    monkeypatch.setattr(CHARGING, "is_on", True)
    monkeypatch.setattr(CHARGING, "charger", charger)
    yield charger
    assert charger.charged == 0


class TestCharges:
    def test_a_large_page_is_charged_as_its_pages_are(self, charger: Charger) -> None:
        space = AddressSpace()
        start = filled(space)
        tables = space.pages.table_count
        assert charger.charged == HUGE_FRAMES + tables
        space.pages.find(start)
        assert (charger.charged, space.pages.table_count) == (HUGE_FRAMES + tables, tables)
        child = space.fork()
        write(child, start, 1)
        assert charger.charged == HUGE_FRAMES + 1 + tables + child.pages.table_count
        child.release()
        remap.advise(space, start, 100 * PAGE_SIZE, remap.MADV_DONTNEED)
        assert charger.charged == HUGE_FRAMES - 100 + tables
        write(space, start + 100 * PAGE_SIZE, 1)  # what nobody writes to is not collapsed
        remap.advise(space, start, HUGE_SIZE, remap.MADV_COLLAPSE)
        assert (charger.charged, space.pages.large_count) == (HUGE_FRAMES + tables, 1)
        space.release()

    @pytest.mark.parametrize("is_generous", [True, False])
    def test_what_a_group_may_not_have_comes_by_single_pages(self, charger: Charger, is_generous: bool) -> None:
        space = AddressSpace()
        charger.limit, charger.is_generous = 300, is_generous
        write(space, place(space), 1)
        assert (space.pages.large_count, space.resident) == (0, 1)
        assert charger.charged == 1 + space.pages.table_count
        assert error_of(remap.advise, space, BASE, HUGE_SIZE, remap.MADV_COLLAPSE) == ENOMEM
        assert charger.charged == 1 + space.pages.table_count
        space.release()

    @pytest.mark.parametrize("lacking", range(1, 5))
    def test_no_charge_for_the_tables(self, charger: Charger, lacking: int) -> None:
        """Nothing that was charged before the first refusal stays."""
        space = AddressSpace()
        charger.limit = charger.charged + HUGE_FRAMES + lacking - 1
        write(space, place(space), 1)
        assert charger.charged == space.resident + space.pages.table_count
        space.release()
