"""Address spaces against a model: a dict from page to (protection, bytes)."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arch.programs import PRIVATE, WRITABLE, entry_frame, load_root, read_entry, write_entry
from kernel.lang import EEXIST, EFAULT, EINVAL, ENOMEM, Errno, span_of
from kernel.lib.pace import PACE
from kernel.mm import frames, remap
from kernel.mm.area import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_READ,
    PROT_WRITE,
    Area,
)
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.foreign import write_foreign
from kernel.mm.frames import PAGE_SHIFT, PAGE_SIZE
from kernel.mm.objects import MemoryObject
from kernel.mm.space import AddressSpace, each_area

BASE = 0x40_0000
READ_WRITE = PROT_READ | PROT_WRITE


def anonymous(
    space: AddressSpace, address: int, page_count: int, prot: int = READ_WRITE, flags: int = MAP_PRIVATE
) -> int:
    return space.map(
        address, page_count * PAGE_SIZE, prot, flags | MAP_ANONYMOUS | (MAP_FIXED if address else 0), None, 0
    )


def poke(space: AddressSpace, address: int, value: int) -> FaultOutcome:
    outcome = space.fault(address, Access.WRITE)
    if outcome == FaultOutcome.DONE:
        entry = read_entry(space.pages.find(address))
        assert entry & WRITABLE
        frames.frame_span(entry_frame(entry))[address % PAGE_SIZE] = value
    return outcome


def peek(space: AddressSpace, address: int) -> int:
    assert space.fault(address, Access.READ) == FaultOutcome.DONE
    return frames.frame_span(entry_frame(read_entry(space.pages.find(address))))[address % PAGE_SIZE]


@pytest.mark.usefixtures("machine")
def test_everything_comes_back_when_a_space_ends() -> None:
    before = frames.free_frame_count()
    space = AddressSpace()
    anonymous(space, BASE, 600)
    for page in range(0, 600, 7):
        assert poke(space, BASE + page * PAGE_SIZE, 1) == FaultOutcome.DONE
    child = space.fork()
    poke(child, BASE, 2)
    space.release()
    child.release()
    assert frames.free_frame_count() == before


@pytest.mark.usefixtures("machine")
def test_a_space_that_ends_frees_its_memory_before_it_waits() -> None:
    """A file that a program serves may be sent what was written to it."""
    before = frames.free_frame_count()
    held: list[int] = []

    class Slow(MemoryObject):
        def waits_at_end(self) -> bool:
            return True

        def detach(self, area: Area) -> None:
            held.append(space.resident)

    space = AddressSpace()
    for number in range(6):
        start = BASE + number * 16 * PAGE_SIZE
        if number % 2 == 0:
            space.map(start, PAGE_SIZE, READ_WRITE, MAP_SHARED | MAP_FIXED, Slow(), 0)
        else:
            anonymous(space, start, 8)
            for page in range(8):
                poke(space, start + page * PAGE_SIZE, 1)
    assert space.resident == 24
    space.release()
    assert held == [0, 0, 0] and frames.free_frame_count() == before


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("kind", [MAP_SHARED, MAP_PRIVATE])
@pytest.mark.parametrize("access", [Access.READ, Access.WRITE])
@pytest.mark.parametrize("change", ["unmapped", "replaced", "protected", "shortened", "held"])
def test_a_page_that_comes_late_is_not_mapped_where_its_area_was(kind: int, access: Access, change: str) -> None:
    """Another thread changes the space while the source sleeps."""
    before = frames.free_frame_count()
    space = AddressSpace()

    class Slow(MemoryObject):
        def page(self, index: int, for_write: bool) -> frames.Frame:
            if change == "unmapped":
                space.unmap(BASE, 4 * PAGE_SIZE)
            elif change == "shortened":
                space.unmap(BASE + PAGE_SIZE, 3 * PAGE_SIZE)
            elif change == "replaced":
                anonymous(space, BASE, 4)
            elif change == "held":
                space.hold()  # as mremap(2) does, which has looked at the entries already
            else:
                space.protect(BASE, 4 * PAGE_SIZE, 0)
            return frames.allocate_frame()

    space.map(BASE, 4 * PAGE_SIZE, READ_WRITE, kind | MAP_FIXED, Slow(), 0)
    assert space.fault(BASE + PAGE_SIZE, access) == FaultOutcome.DONE  # look again
    slot = space.pages.find(BASE + PAGE_SIZE)
    assert slot == 0 or read_entry(slot) == 0
    assert space.resident == 0
    space.let_go()
    space.release()
    assert frames.free_frame_count() == before


@pytest.mark.usefixtures("machine")
def test_what_is_written_back_outlives_its_area() -> None:
    """Another thread unmaps it, one part after the other, while pages are written (msync(2))."""
    space = AddressSpace()
    users: list[int] = [0]

    class Slow(MemoryObject):
        def acquire(self) -> None:
            users.append(users[-1] + 1)

        def release(self) -> None:
            users.append(users[-1] - 1)

        def sync(self, first_index: int, end_index: int) -> None:
            assert (first_index, end_index) == (0, 2) and users[-1] == 2
            space.unmap(BASE + PAGE_SIZE, PAGE_SIZE)
            space.unmap(BASE, PAGE_SIZE)
            assert users[-1] == 1

    space.map(BASE, 2 * PAGE_SIZE, READ_WRITE, MAP_SHARED | MAP_FIXED, Slow(), 0)
    with pytest.raises(Errno) as caught:
        remap.synchronise(space, BASE, 2 * PAGE_SIZE, remap.MS_SYNC)
    assert caught.value.code == ENOMEM and users[-1] == 0
    space.release()


@pytest.mark.usefixtures("machine")
def test_a_debugger_maps_nothing_in_a_space_that_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits, and looks again where its page came while others held the space."""
    space = AddressSpace()
    steps: list[str] = []

    class Slow(MemoryObject):
        def page(self, index: int, for_write: bool) -> frames.Frame:
            assert not space.is_held
            steps.append("page")
            if steps.count("page") == 1:
                space.hold()
            return frames.allocate_frame()

    def wait() -> None:
        assert space.pages.entry_of(BASE) == 0
        steps.append("wait")
        space.let_go()

    monkeypatch.setattr(PACE.rest, "wait_for_change", wait)
    space.map(BASE, PAGE_SIZE, 0, MAP_PRIVATE | MAP_FIXED, Slow(), 0)
    space.hold()
    write_foreign(space, BASE, span_of(bytearray(b"\x09")), by_force=True)
    assert steps == ["wait", "page", "wait", "page"]
    assert frames.frame_span(entry_frame(space.pages.entry_of(BASE)))[0] == 9


@pytest.mark.usefixtures("machine")
def test_a_debugger_gets_no_page_that_came_to_its_place_meanwhile() -> None:
    """Another thread maps secret memory there, while the page that is asked for is read."""
    space = AddressSpace()

    class Secret(MemoryObject):
        def is_secret(self) -> bool:
            return True

        def page(self, index: int, for_write: bool) -> frames.Frame:
            return frames.allocate_zeroed_frame()

    class Slow(MemoryObject):
        def page(self, index: int, for_write: bool) -> frames.Frame:
            space.unmap(BASE, PAGE_SIZE)
            space.map(BASE, PAGE_SIZE, READ_WRITE, MAP_SHARED | MAP_FIXED, Secret(), 0)
            assert space.fault(BASE, Access.WRITE) == FaultOutcome.DONE
            return frames.allocate_frame()

    space.map(BASE, PAGE_SIZE, 0, MAP_PRIVATE | MAP_FIXED, Slow(), 0)
    with pytest.raises(Errno) as error:
        write_foreign(space, BASE, span_of(bytearray(b"\x09")), by_force=True)
    assert error.value.code == EFAULT
    assert frames.frame_span(entry_frame(space.pages.entry_of(BASE)))[0] == 0


@pytest.mark.usefixtures("machine")
def test_a_page_that_making_room_drops_is_not_copied_from(monkeypatch: pytest.MonkeyPatch) -> None:
    before = frames.free_frame_count()
    space = AddressSpace()
    anonymous(space, BASE, 1)
    poke(space, BASE, 1)
    slot = space.pages.find(BASE)
    frame = entry_frame(read_entry(slot))
    frames.get_frame(frame)  # as a cache would
    write_entry(slot, read_entry(slot) & ~(WRITABLE | PRIVATE))

    class Dropper(frames.FrameCharger):
        is_cached = True

        def charge(self) -> int:
            if read_entry(slot) != 0 and entry_frame(read_entry(slot)) == frame:
                write_entry(slot, 0)
                space.resident -= 1
                frames.put_frame(frame)
                self.drop()
            return 0

        def drop(self) -> None:
            if self.is_cached and frames.frame_count(frame) == 1:
                self.is_cached = False
                frames.put_frame(frame)

    dropper = Dropper()
    with monkeypatch.context() as patch:
        patch.setattr(frames.CHARGING, "charger", dropper)
        patch.setattr(frames.CHARGING, "is_on", True)
        assert space.fault(BASE, Access.WRITE) == FaultOutcome.DONE
        assert read_entry(slot) == 0 and space.resident == 0
        dropper.drop()
    assert poke(space, BASE, 2) == FaultOutcome.DONE
    assert space.resident == 1
    space.release()
    assert frames.free_frame_count() == before


@pytest.mark.usefixtures("machine")
def test_tables_stay_while_the_processor_translates_by_them() -> None:
    before = frames.free_frame_count()
    space = AddressSpace()
    anonymous(space, BASE, 1)
    poke(space, BASE, 1)
    space.activate()
    space.release()
    assert before - frames.free_frame_count() == 4  # the tables
    other = AddressSpace()
    other.activate()
    assert before - frames.free_frame_count() == 1
    load_root(1 << PAGE_SHIFT)
    other.release()
    assert frames.free_frame_count() == before


@pytest.mark.usefixtures("machine")
def test_fork_copies_on_write_and_shares_what_is_shared() -> None:
    space = AddressSpace()
    anonymous(space, BASE, 1)
    anonymous(space, BASE + PAGE_SIZE, 1, READ_WRITE, MAP_SHARED)
    poke(space, BASE, 1)
    poke(space, BASE + PAGE_SIZE, 1)
    child = space.fork()
    poke(child, BASE, 2)
    poke(child, BASE + PAGE_SIZE, 2)
    assert peek(space, BASE) == 1
    assert peek(child, BASE) == 2
    assert peek(space, BASE + PAGE_SIZE) == 2
    poke(space, BASE, 3)
    assert peek(child, BASE) == 2


@pytest.mark.usefixtures("machine")
def test_protection() -> None:
    space = AddressSpace()
    anonymous(space, BASE, 3)
    poke(space, BASE, 5)
    space.protect(BASE, PAGE_SIZE, PROT_READ)
    assert poke(space, BASE, 6) == FaultOutcome.NOT_ALLOWED
    space.protect(BASE, PAGE_SIZE, 0)
    assert space.fault(BASE, Access.READ) == FaultOutcome.NOT_ALLOWED
    space.protect(BASE, PAGE_SIZE, READ_WRITE)
    assert peek(space, BASE) == 5
    assert poke(space, BASE, 6) == FaultOutcome.DONE
    assert space.areas.count == 1
    assert space.fault(BASE - PAGE_SIZE, Access.READ) == FaultOutcome.NOT_MAPPED


@pytest.mark.usefixtures("machine")
def test_errors_of_mapping() -> None:
    space = AddressSpace()
    anonymous(space, BASE, 2)
    for address, length, flags, code in [
        (0, 0, MAP_PRIVATE, EINVAL),
        (BASE + 1, PAGE_SIZE, MAP_PRIVATE | MAP_FIXED, EINVAL),
        (BASE, PAGE_SIZE, MAP_PRIVATE | MAP_FIXED_NOREPLACE, EEXIST),
        (1 << 46, 1 << 46, MAP_PRIVATE | MAP_FIXED, ENOMEM),
    ]:
        with pytest.raises(Errno) as caught:
            space.map(address, length, PROT_READ, flags, None, 0)
        assert caught.value.code == code
    with pytest.raises(Errno):
        space.unmap(BASE + 1, PAGE_SIZE)
    space.unmap(BASE, 2 * PAGE_SIZE)
    space.unmap(BASE, 2 * PAGE_SIZE)
    assert space.areas.count == 0


@pytest.mark.usefixtures("machine")
def test_the_heap_grows_and_shrinks() -> None:
    space = AddressSpace()
    space.layout.brk_start = space.layout.brk_end = BASE
    assert space.set_brk(BASE + 5000) == BASE + 5000
    poke(space, BASE + 4999, 9)
    assert space.set_brk(0) == BASE + 5000
    assert space.set_brk(BASE + 100_000) == BASE + 100_000
    assert space.areas.count == 1
    assert peek(space, BASE + 4999) == 9
    assert space.set_brk(BASE) == BASE
    assert space.areas.count == 0
    assert space.resident == 0


@pytest.mark.usefixtures("machine")
def test_a_stack_grows_down_to_its_limit() -> None:
    space = AddressSpace()
    space.limits.stack = 64 * PAGE_SIZE
    anonymous(space, BASE + (1 << 24), 1, READ_WRITE, MAP_PRIVATE | MAP_GROWSDOWN)
    top = BASE + (1 << 24) + PAGE_SIZE
    assert poke(space, top - 30 * PAGE_SIZE, 1) == FaultOutcome.DONE
    assert poke(space, top - 65 * PAGE_SIZE, 1) == FaultOutcome.NOT_MAPPED


@pytest.mark.usefixtures("machine")
def test_remap_moves_the_pages() -> None:
    space = AddressSpace()
    anonymous(space, BASE, 2)
    anonymous(space, BASE + 2 * PAGE_SIZE, 1, PROT_READ)
    poke(space, BASE + PAGE_SIZE, 7)
    moved = remap.remap(space, BASE, 2 * PAGE_SIZE, 4 * PAGE_SIZE, remap.MREMAP_MAYMOVE, 0)
    assert moved != BASE
    assert peek(space, moved + PAGE_SIZE) == 7
    assert space.fault(BASE, Access.READ) == FaultOutcome.NOT_MAPPED


@pytest.mark.usefixtures("machine")
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["map", "unmap", "protect", "write", "fork", "discard"]),
            st.integers(0, 40),
            st.integers(1, 12),
            st.integers(0, 3),
        ),
        max_size=60,
    )
)
def test_any_sequence_agrees_with_the_model(steps: list[tuple[str, int, int, int]]) -> None:
    before = frames.free_frame_count()
    space = AddressSpace()
    protection: dict[int, int] = {}
    contents: dict[int, int] = {}
    for action, first, count, prot in steps:
        pages = range(first, first + count)
        start = BASE + first * PAGE_SIZE
        if action == "map":
            anonymous(space, start, count, prot)
            for page in pages:
                protection[page] = prot
                contents.pop(page, None)
        elif action == "unmap":
            space.unmap(start, count * PAGE_SIZE)
            for page in pages:
                protection.pop(page, None)
                contents.pop(page, None)
        elif action == "protect":
            try:
                space.protect(start, count * PAGE_SIZE, prot)
                assert all(page in protection for page in pages)
                protection.update(dict.fromkeys(pages, prot))
            except Errno:
                assert any(page not in protection for page in pages)
        elif action == "write":
            outcome = poke(space, start, prot + 1)
            assert (outcome == FaultOutcome.DONE) == (protection.get(first, 0) & PROT_WRITE != 0)
            if outcome == FaultOutcome.DONE:
                contents[first] = prot + 1
        elif action == "fork":
            child = space.fork()
            space.release()
            space = child
        else:
            space.discard(start, start + count * PAGE_SIZE)
            for page in pages:
                contents.pop(page, None)
    for page, prot in protection.items():
        outcome = space.fault(BASE + page * PAGE_SIZE, Access.READ)
        assert (outcome == FaultOutcome.DONE) == (prot != 0)
        if prot != 0:
            assert peek(space, BASE + page * PAGE_SIZE) == contents.get(page, 0)
    starts = [(area.start, area.end) for area in each_area(space)]
    assert starts == sorted(starts)
    assert all(a[1] <= b[0] for a, b in pairwise(starts))
    assert space.mapped_bytes == sum(end - start for start, end in starts)
    space.release()
    assert frames.free_frame_count() == before


@pytest.mark.usefixtures("machine")
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(st.sampled_from([0, 1, 511, 512, 513, 1 << 18, (1 << 18) + 511, 1 << 27, (1 << 27) + (1 << 18), 1 << 34])),
    st.sampled_from([0, 1, 511, 512, 1 << 18, 1 << 27, (1 << 34) - 1, 1 << 34]),
    st.sampled_from([1, 513, 1 << 18, 1 << 27, (1 << 34) + 1, 1 << 35]),
)
def test_the_next_mapped_page_is_found_whatever_tables_there_are(pages: set[int], first: int, end: int) -> None:
    space = AddressSpace()
    for page in pages:
        assert space.pages.make(page << PAGE_SHIFT) != 0
        write_entry(space.pages.find(page << PAGE_SHIFT), 1)
    expected = min([page for page in pages if first <= page < end], default=end)
    assert space.pages.next_mapped(first << PAGE_SHIFT, end << PAGE_SHIFT) == expected << PAGE_SHIFT
    for page in pages:
        write_entry(space.pages.find(page << PAGE_SHIFT), 0)
    space.release()
