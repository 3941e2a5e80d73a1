"""Merging equal pages: what is merged, what is left alone, and what comes back."""

from collections.abc import Iterator

import pytest

from arch.programs import PRIVATE, WRITABLE, entry_frame, read_entry
from kernel.mm import frames, large_pages, merged_pages, merging, remap
from kernel.mm.area import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.frames import HUGE_FRAMES, NO_FRAME, PAGE_SIZE, Frame
from kernel.mm.large_pages import LARGE_PAGES
from kernel.mm.mergeable_space import MERGEABLE
from kernel.mm.merged_pages import MERGED, ZERO_CHECKSUM, MergedTable, are_equal, checksum
from kernel.mm.merging import SEARCH, SETTINGS, Figures, Settings
from kernel.mm.space import AddressSpace

BASE = 0x40_0000
OTHER = 0x80_0000
LARGE_BASE = 0x4000_0000
READ_WRITE = PROT_READ | PROT_WRITE


@pytest.fixture
def before(machine: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A search that runs when a test lets it; nothing is merged, and afterwards nothing may be left. Gives how many
    frames are free.
    """
    for name, value in vars(Settings()).items():
        monkeypatch.setattr(SETTINGS, name, value)
    monkeypatch.setattr(SETTINGS, "run", merging.MERGE)
    monkeypatch.setattr(SETTINGS, "pages_to_scan", 1 << 20)
    monkeypatch.setattr(SETTINGS, "smart_scan", False)
    monkeypatch.setattr(SEARCH, "worker", merging.Worker())  # no thread
    MERGEABLE.head = MERGEABLE.tail = None
    SEARCH.restart()
    vars(MERGED).update(vars(MergedTable()))
    free = frames.free_frame_count()
    yield free
    SEARCH.restart()
    assert MERGED.count == 0
    assert MERGEABLE.is_empty()
    assert frames.free_frame_count() == free


@pytest.fixture
def space(before: int) -> Iterator[AddressSpace]:
    """With 16 mergeable pages of its own."""
    space = AddressSpace()
    anonymous(space, BASE, 16)
    yield space
    space.release()


def anonymous(space: AddressSpace, address: int, count: int, prot: int = READ_WRITE, is_mergeable: bool = True) -> None:
    space.map(address, count * PAGE_SIZE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, None, 0)
    if is_mergeable:
        remap.advise(space, address, count * PAGE_SIZE, remap.MADV_MERGEABLE)


def page(number: int) -> int:
    return BASE + number * PAGE_SIZE


def entry_at(space: AddressSpace, address: int) -> int:
    slot = space.pages.find(address)
    return 0 if slot == 0 else read_entry(slot)


def frame_at(space: AddressSpace, address: int) -> Frame:
    return entry_frame(entry_at(space, address))


def fill(space: AddressSpace, address: int, value: int) -> None:
    """As the program's own instructions: with a fault, if there must be one."""
    if entry_at(space, address) & WRITABLE == 0:
        assert space.fault(address, Access.WRITE) == FaultOutcome.DONE
    assert entry_at(space, address) & WRITABLE
    frames.frame_span(frame_at(space, address)).fill(value)


def value_at(space: AddressSpace, address: int) -> int:
    span = frames.frame_span(frame_at(space, address))
    values = {span[offset] for offset in range(0, PAGE_SIZE, 63)}
    assert len(values) == 1
    return values.pop()


def rounds(count: int) -> None:
    """Let the search go round that often, or until nothing is mergeable."""
    end = SEARCH.full_scans + count
    while SEARCH.full_scans < end and SEARCH.is_wanted():
        SEARCH.portion()


def figures() -> tuple[int, int]:
    return MERGED.shared(), MERGED.sharing()


def test_equal_pages_become_one(before: int, space: AddressSpace) -> None:
    for number in range(10):
        fill(space, page(number), 1 if number < 6 else 2)
    fill(space, page(10), 3)
    free = frames.free_frame_count()
    rounds(1)
    assert figures() == (0, 0)  # nobody knows yet which pages change
    rounds(1)
    assert figures() == (2, 8)
    assert frames.free_frame_count() == free + 8
    assert [value_at(space, page(number)) for number in range(11)] == [1] * 6 + [2] * 4 + [3]
    assert len({frame_at(space, page(number)) for number in range(6)}) == 1
    assert entry_at(space, page(10)) & WRITABLE
    assert SEARCH.unshared == 1
    assert space.resident == 11


def test_later_pages_are_merged_at_once(before: int, space: AddressSpace) -> None:
    for number in range(2):
        fill(space, page(number), 1)
    rounds(2)
    fill(space, page(2), 1)
    rounds(1)
    assert figures() == (1, 2)


def test_a_write_gets_a_copy_even_of_the_last_one(before: int, space: AddressSpace) -> None:
    for number in range(2):
        fill(space, page(number), 1)
    rounds(2)
    merged = frame_at(space, page(0))
    assert entry_at(space, page(0)) & (PRIVATE | WRITABLE) == PRIVATE
    fill(space, page(0), 2)
    assert value_at(space, page(1)) == 1
    assert figures() == (1, 0)
    space.protect(page(0), 2 * PAGE_SIZE, PROT_READ)
    space.protect(page(0), 2 * PAGE_SIZE, READ_WRITE)
    assert entry_at(space, page(1)) & WRITABLE == 0
    fill(space, page(1), 3)
    assert frame_at(space, page(1)) != merged
    assert figures() == (0, 0)
    assert MERGED.copies == 2


def test_pages_that_change_are_left_alone(before: int, space: AddressSpace) -> None:
    for value in range(1, 6):
        fill(space, page(0), value)
        fill(space, page(1), value)
        rounds(1)
    assert figures() == (0, 0)


def test_pages_of_different_programs(before: int, space: AddressSpace) -> None:
    other = AddressSpace()
    anonymous(other, OTHER, 4)
    fill(space, page(0), 1)
    fill(other, OTHER, 1)
    rounds(2)
    assert frame_at(space, page(0)) == frame_at(other, OTHER)
    other.release()
    assert figures() == (1, 0)
    space.unmap(page(0), PAGE_SIZE)
    assert figures() == (0, 0)


def test_a_program_that_ended_in_the_middle_of_a_round(before: int, space: AddressSpace) -> None:
    other = AddressSpace()
    anonymous(other, OTHER, 1)
    fill(other, OTHER, 1)
    rounds(1)
    MERGEABLE.unlink(other.merging or pytest.fail("nobody knows of it"))
    MERGEABLE.link_first(other.merging or pytest.fail("nobody knows of it"))
    fill(space, page(0), 1)
    rounds(1)
    SETTINGS.pages_to_scan = 1
    SEARCH.portion()  # it is noted as a page without an equal one
    root = other.pages.top
    other.release()
    taken = frames.allocate_frame()
    assert taken == root or frames.frame_count(root) == 0
    frames.frame_span(root).fill(0x7F)  # entries of tables that are nowhere
    SETTINGS.pages_to_scan = 16
    rounds(1)
    assert figures() == (0, 0)
    frames.put_frame(taken)


def test_forks_share_what_is_merged(before: int, space: AddressSpace) -> None:
    for number in range(2):
        fill(space, page(number), 1)
    rounds(2)
    child = space.fork()
    assert figures() == (1, 3)
    fill(child, page(0), 2)
    assert [value_at(space, page(0)), value_at(child, page(1)), value_at(child, page(0))] == [1, 1, 2]
    assert child.merging is not None
    child.release()
    assert figures() == (1, 1)


def test_pages_that_a_fork_shares_can_be_merged(before: int, space: AddressSpace) -> None:
    fill(space, page(0), 1)
    fill(space, page(1), 1)
    child = space.fork()
    rounds(2)
    assert figures() == (1, 3)
    child.release()
    fill(space, page(0), 2)
    assert value_at(space, page(1)) == 1


def test_what_a_device_reads_or_writes_is_left_alone(before: int, space: AddressSpace) -> None:
    for number in range(4):
        fill(space, page(number), 1)
    pinned = frame_at(space, page(0))
    held = frame_at(space, page(1))
    frames.pin_frame(pinned)
    frames.get_frame(held)
    rounds(3)
    assert figures() == (1, 1)
    assert frame_at(space, page(0)) == pinned
    assert frame_at(space, page(1)) == held
    assert entry_at(space, page(0)) & entry_at(space, page(1)) & WRITABLE
    frames.unpin_frame(pinned)
    frames.put_frame(held)
    rounds(1)
    assert figures() == (1, 3)


def test_only_mergeable_memory_is_merged(before: int, space: AddressSpace) -> None:
    anonymous(space, OTHER, 2, is_mergeable=False)
    space.map(OTHER + 8 * PAGE_SIZE, PAGE_SIZE, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, None, 0)
    remap.advise(space, OTHER + 8 * PAGE_SIZE, PAGE_SIZE, remap.MADV_MERGEABLE)
    fill(space, page(0), 1)
    for address in (OTHER, OTHER + PAGE_SIZE, OTHER + 8 * PAGE_SIZE):
        fill(space, address, 1)
    rounds(3)
    assert figures() == (0, 0)
    area = space.area_at(OTHER + 8 * PAGE_SIZE)
    assert area is not None
    assert not area.mergeable


def test_hidden_pages_are_left_alone(before: int, space: AddressSpace) -> None:
    for number in range(3):
        fill(space, page(number), 1)
    space.protect(page(0), PAGE_SIZE, 0)
    rounds(3)
    assert figures() == (1, 1)
    space.protect(page(0), PAGE_SIZE, READ_WRITE)
    rounds(2)
    assert figures() == (1, 2)


def test_moved_pages_stay_merged(before: int, space: AddressSpace) -> None:
    for number in range(4):
        fill(space, page(number), 1)
    rounds(2)
    flags = remap.MREMAP_MAYMOVE | remap.MREMAP_FIXED
    remap.remap(space, page(0), 2 * PAGE_SIZE, 2 * PAGE_SIZE, flags, OTHER)
    assert figures() == (1, 3)
    fill(space, OTHER, 2)
    assert [value_at(space, OTHER + PAGE_SIZE), value_at(space, page(2))] == [1, 1]
    area = space.area_at(OTHER)
    assert area is not None
    assert area.mergeable


def test_separated_pages(before: int, space: AddressSpace) -> None:
    for number in range(8):
        fill(space, page(number), 1)
    rounds(2)
    remap.advise(space, page(0), 4 * PAGE_SIZE, remap.MADV_UNMERGEABLE)
    assert figures() == (1, 3)
    assert len({frame_at(space, page(number)) for number in range(5)}) == 5
    rounds(2)
    assert figures() == (1, 3)
    assert [value_at(space, page(number)) for number in range(8)] == [1] * 8
    assert space.areas.count == 2
    remap.advise(space, page(0), 4 * PAGE_SIZE, remap.MADV_MERGEABLE)
    assert space.areas.count == 1


def test_everybody_is_separated(before: int, space: AddressSpace) -> None:
    other = AddressSpace()
    anonymous(other, OTHER, 4)
    for number in range(4):
        fill(space, page(number), 1)
        fill(other, OTHER + number * PAGE_SIZE, 1)
    rounds(2)
    assert figures() == (1, 7)
    SETTINGS.run = merging.SEPARATE
    merging.separate_everybody()
    assert figures() == (0, 0)
    found = {frame_at(space, page(number)) for number in range(4)}
    found |= {frame_at(other, OTHER + number * PAGE_SIZE) for number in range(4)}
    assert len(found) == 8
    assert SEARCH.full_scans == 0
    other.release()


def test_what_is_not_mergeable_any_more_is_shared_as_after_a_fork(before: int, space: AddressSpace) -> None:
    fill(space, page(0), 1)
    fill(space, page(1), 1)
    child = space.fork()
    area = child.area_at(BASE)
    assert area is not None
    area.mergeable = False
    rounds(2)
    child_state = child.merging
    assert child_state is None or not child_state.has_areas
    SETTINGS.run = merging.SEPARATE
    merging.separate_everybody()
    assert figures() == (0, 0)
    assert not frames.is_merged(frame_at(child, page(0)))
    fill(child, page(0), 2)
    assert value_at(space, page(0)) == 1
    child.release()


def test_a_frame_shows_a_limited_number_of_pages(before: int, space: AddressSpace) -> None:
    SETTINGS.max_page_sharing = 4
    for number in range(10):
        fill(space, page(number), 1)
    rounds(4)
    assert figures() == (3, 7)
    assert MERGED.doubled(is_of_frames=False) == 1
    assert MERGED.doubled(is_of_frames=True) == 3


def test_pages_of_zeros(before: int, space: AddressSpace) -> None:
    SETTINGS.use_zero_pages = True
    SETTINGS.max_page_sharing = 4
    for number in range(10):
        fill(space, page(number), 0)
    rounds(2)
    assert figures() == (0, 0)
    assert MERGED.zero_pages() == 10
    found = Figures()
    found.count(space)
    assert (found.merged, found.zero_pages) == (0, 10)
    fill(space, page(0), 5)
    assert value_at(space, page(1)) == 0
    assert MERGED.zero_pages() == 9


def test_smart_scans_look_seldom_and_at_all_pages_together(before: int, space: AddressSpace) -> None:
    SETTINGS.smart_scan = True
    for number in range(3):
        fill(space, page(number), number)
    scanned = SEARCH.scanned
    rounds(64)
    assert 3 * 12 < SEARCH.scanned - scanned < 3 * 24
    assert SEARCH.skipped > 0
    fill(space, page(3), 0)
    rounds(16)
    assert figures() == (1, 1)


def test_a_space_without_mergeable_memory_is_left(before: int, space: AddressSpace) -> None:
    remap.advise(space, page(0), 16 * PAGE_SIZE, remap.MADV_UNMERGEABLE)
    rounds(2)
    assert MERGEABLE.is_empty()
    assert space.merging is None
    assert not SEARCH.is_wanted()


def test_all_memory_of_a_program(before: int, space: AddressSpace) -> None:
    anonymous(space, OTHER, 2, is_mergeable=False)
    merging.take_all(space)
    anonymous(space, OTHER + 8 * PAGE_SIZE, 2, is_mergeable=False)
    child = space.fork()
    assert merging.takes_all(child)
    for address in (OTHER, OTHER + PAGE_SIZE, OTHER + 8 * PAGE_SIZE):
        fill(child, address, 1)
    rounds(2)
    assert figures() == (1, 2)
    merging.take_none(child)
    assert figures() == (0, 0)
    assert not merging.takes_all(child)
    assert merging.takes_all(space)
    child.release()


def test_a_broken_frame_is_merged_no_more(before: int, space: AddressSpace) -> None:
    fill(space, page(0), 1)
    fill(space, page(1), 1)
    rounds(2)
    frame = frame_at(space, page(0))
    frames.condemn_frame(frame)
    assert MERGED.count == 0
    assert not frames.is_merged(frame)
    frames.put_frame(frame)  # what was kept for good


def test_lack_of_memory_while_separating(before: int, space: AddressSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        fill(space, page(number), 1)
    rounds(2)
    left = [2]

    def allocate() -> Frame:
        if left[0] == 0:
            raise MemoryError
        left[0] -= 1
        return frames.allocate_user_frame()

    monkeypatch.setattr(merging, "allocate_user_frame", allocate)
    with pytest.raises(MemoryError):
        merging.separate(space, page(0), page(4))
    assert figures() == (1, 1)
    assert [value_at(space, page(number)) for number in range(4)] == [1] * 4
    left[0] = 2
    merging.separate(space, page(0), page(4))
    assert figures() == (0, 0)


def test_checksums(before: int) -> None:
    frame = frames.allocate_zeroed_frame()
    other = frames.allocate_zeroed_frame()
    assert checksum(frame) == ZERO_CHECKSUM
    for offset in (0, 7, 8, PAGE_SIZE - 1):
        frames.frame_span(other)[offset] = 1
        assert checksum(other) != ZERO_CHECKSUM
        assert not are_equal(frame, other)
        frames.frame_span(other)[offset] = 0
    assert are_equal(frame, other)
    frames.put_frame(frame)
    frames.put_frame(other)


def test_the_table_finds_and_forgets(before: int) -> None:
    MERGED.prepare()
    taken = [frames.allocate_user_frame() for _ in range(5)]
    for number, frame in enumerate(taken):
        frames.zero_frame(frame)
        frames.frame_span(frame)[0] = number
        MERGED.enter(frame, 7)  # all in one list
    wanted = frames.allocate_user_frame()
    frames.copy_frame(wanted, taken[1])
    assert MERGED.find(wanted, 7, 256) == taken[1]
    assert MERGED.find(wanted, 8, 256) == NO_FRAME
    for number in (4, 2, 0, 1, 3):
        frames.put_frame(taken[number])
    assert MERGED.find(wanted, 7, 256) == NO_FRAME
    frames.put_frame(wanted)


def test_a_search_in_a_long_list_ends(before: int) -> None:
    """A program can make any number of pages with one checksum: the search gives up, and lets no further page in."""
    MERGED.prepare()
    taken = [frames.allocate_user_frame() for _ in range(65)]
    for number, frame in enumerate(taken):
        frames.zero_frame(frame)
        frames.frame_span(frame)[PAGE_SIZE - 1] = number
        MERGED.enter(frame, 7)
    wanted = frames.allocate_user_frame()
    frames.copy_frame(wanted, taken[1])  # one before the last: the last that is found

    def search(checksum: int) -> tuple[frames.Frame, bool]:
        return MERGED.find(wanted, checksum, 256), MERGED.gave_up

    assert search(7) == (taken[1], False)
    frames.copy_frame(wanted, taken[0])
    assert search(7) == (NO_FRAME, True)
    assert search(8) == (NO_FRAME, False)
    assert MERGED.doubled(is_of_frames=True) == 0
    for frame in [*taken, wanted]:
        frames.put_frame(frame)


def test_pages_with_one_checksum_are_left_alone(space: AddressSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the table has no room for are not merged, and keep what they hold."""
    monkeypatch.setattr(merging, "checksum", lambda frame: 7)
    monkeypatch.setattr(merged_pages, "_MOST_COMPARED", 2)
    for number in range(16):
        fill(space, page(number), number // 2)
    for _ in range(12):
        SEARCH.portion()
    assert 0 < MERGED.count <= 3
    assert [value_at(space, page(number)) for number in range(16)] == [number // 2 for number in range(16)]


@pytest.fixture
def large(space: AddressSpace, monkeypatch: pytest.MonkeyPatch) -> int:
    """Where a large page lies that is mergeable: its fourth page is filled with 5."""
    monkeypatch.setattr(LARGE_PAGES, "enabled", large_pages.ALWAYS)
    anonymous(space, LARGE_BASE, HUGE_FRAMES)
    assert space.fault(LARGE_BASE, Access.WRITE) == FaultOutcome.DONE
    frames.frame_span(entry_frame(space.pages.entry_of(LARGE_BASE + 3 * PAGE_SIZE))).fill(5)
    assert space.pages.large_count == 1
    return LARGE_BASE


def test_pages_of_a_large_one_are_merged(before: int, space: AddressSpace, large: int) -> None:
    fill(space, page(0), 5)
    rounds(2)
    assert figures() == (3, HUGE_FRAMES + 1 - 3)  # 256 pages at most show one frame
    assert space.pages.large_count == 0
    assert (value_at(space, large), value_at(space, large + 3 * PAGE_SIZE)) == (0, 5)
    fill(space, large + 3 * PAGE_SIZE, 6)
    fill(space, large, 7)
    assert [value_at(space, large + number * PAGE_SIZE) for number in range(5)] == [7, 0, 0, 6, 0]
    assert value_at(space, page(0)) == 5


@pytest.mark.parametrize("parent_ends", [True, False])
def test_a_large_page_of_somebody_else_may_hold_a_merged_frame(
    before: int, space: AddressSpace, large: int, parent_ends: bool
) -> None:
    fill(space, page(0), 5)
    child = space.fork()
    for start, count in ((BASE, 16), (large, HUGE_FRAMES)):
        remap.advise(child, start, count * PAGE_SIZE, remap.MADV_UNMERGEABLE)
    rounds(2)
    assert (space.pages.large_count, child.pages.large_count) == (0, 1)
    assert figures()[0] == 3
    if parent_ends:
        space.unmap(BASE, 16 * PAGE_SIZE)
        space.unmap(large, HUGE_FRAMES * PAGE_SIZE)
    for number in (3, 0):
        assert child.fault(large + number * PAGE_SIZE, Access.WRITE) == FaultOutcome.DONE
        frames.frame_span(entry_frame(child.pages.entry_of(large + number * PAGE_SIZE))).fill(9)
    assert [value_at(child, large + number * PAGE_SIZE) for number in range(5)] == [9, 0, 0, 9, 0]
    if not parent_ends:
        assert [value_at(space, large + number * PAGE_SIZE) for number in range(5)] == [0, 0, 0, 5, 0]
    child.release()


def test_a_large_page_is_given_back_with_a_merged_frame_in_it(before: int, space: AddressSpace, large: int) -> None:
    fill(space, page(0), 5)
    child = space.fork()
    for start, count in ((BASE, 16), (large, HUGE_FRAMES)):
        remap.advise(child, start, count * PAGE_SIZE, remap.MADV_UNMERGEABLE)
    rounds(2)
    assert child.pages.large_count == 1
    space.unmap(BASE, 16 * PAGE_SIZE)
    space.unmap(large, HUGE_FRAMES * PAGE_SIZE)
    child.release()
    assert MERGED.count == 0
