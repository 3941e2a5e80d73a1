"""Huge pages that consist of pieces, as those of 1 GiB do: here of two, so that a small machine has some."""

from collections.abc import Iterator

import pytest

from arch.programs import entry_frame
from kernel.lang import EINVAL, ENOMEM, Errno
from kernel.mm import frames, remap
from kernel.mm.area import MAP_FIXED, MAP_PRIVATE, MAP_SHARED
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.frames import PAGE_SIZE, Frame, pin_frame, put_huge_page, unpin_frame
from kernel.mm.huge_object import HugeObject, prepare_mapping
from kernel.mm.huge_pool import GIGABYTE_SHIFT, GIGANTIC, HUGE_SIZE, POOL, use_pool
from kernel.mm.space import AddressSpace
from tests.unit.meanwhile import meanwhile
from tests.unit.mm.test_huge_pages import READ_WRITE, read, write

SHIFT = 22
SIZE = 1 << SHIFT
BASE = 16 * SIZE
PIECES = SIZE // HUGE_SIZE


@pytest.fixture
def size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine has room for two pages."""
    monkeypatch.setattr("tests.unit.mm.conftest.MACHINE_FRAMES", 3584)


@pytest.fixture
def pool(size: None, machine: None) -> Iterator[None]:
    """Two pages, which must be free again at the end; so must everything else."""
    use_pool()
    GIGANTIC.__init__(SHIFT)  # as new, whatever an earlier test has left
    before = frames.free_frame_count()
    GIGANTIC.resize(2)
    assert counts() == (2, 2, 0, 0) and frames.free_frame_count() == before - 2 * SIZE // PAGE_SIZE
    yield
    assert counts() == (2, 2, 0, 0) and (POOL.total, POOL.free) == (0, 0)
    GIGANTIC.resize(0)
    GIGANTIC.shift, GIGANTIC.pieces = GIGABYTE_SHIFT, 512
    assert len(GIGANTIC.units) == 0 and frames.free_frame_count() == before


def counts() -> tuple[int, int, int, int]:
    return GIGANTIC.total, GIGANTIC.free, GIGANTIC.reserved, GIGANTIC.surplus


def place(space: AddressSpace, pages: int, kind: int, reserves: bool = True) -> HugeObject:
    source = HugeObject(pages, GIGANTIC)
    source.acquire()
    try:
        own = prepare_mapping(source, 0, pages * SIZE, kind == MAP_SHARED, reserves)
        space.map(BASE, pages * SIZE, READ_WRITE, kind | MAP_FIXED, source, 0, reservation=own)
    finally:
        source.release()
    return source


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("kind", [MAP_PRIVATE, MAP_SHARED])
def test_a_fault_maps_a_whole_page(kind: int) -> None:
    space = AddressSpace()
    place(space, 2, kind)
    assert counts() == (2, 2, 2, 0)
    assert write(space, BASE + SIZE - 1, 7) == FaultOutcome.DONE
    assert counts() == (2, 1, 1, 0) and space.pages.huge_count == PIECES
    first = entry_frame(space.pages.entry_of(BASE))
    assert first % (SIZE // PAGE_SIZE) == 0
    assert entry_frame(space.pages.entry_of(BASE + SIZE - PAGE_SIZE)) == first + SIZE // PAGE_SIZE - 1
    assert read(space, BASE) == 0 and read(space, BASE + SIZE - 1) == 7
    for call in (space.unmap, lambda start, length: space.protect(start, length, 1, -1)):
        for start, length in ((BASE, HUGE_SIZE), (BASE + HUGE_SIZE, SIZE)):
            with pytest.raises(Errno) as refusal:
                call(start, length)
            assert refusal.value.code == EINVAL
    space.protect(BASE, SIZE, 1, -1)
    assert space.fault(BASE + HUGE_SIZE, Access.WRITE) == FaultOutcome.NOT_ALLOWED
    space.unmap(BASE, SIZE)
    assert counts() == (2, 2 if kind == MAP_PRIVATE else 1, 1, 0) and space.pages.huge_count == 0
    space.release()


@pytest.mark.usefixtures("pool")
def test_a_write_after_fork_copies_a_whole_page() -> None:
    parent = AddressSpace()
    place(parent, 1, MAP_PRIVATE)
    write(parent, BASE, 1)
    write(parent, BASE + HUGE_SIZE, 3)
    child = parent.fork()
    assert child.pages.huge_count == PIECES and counts() == (2, 1, 0, 0)
    assert write(child, BASE + HUGE_SIZE, 2) == FaultOutcome.DONE
    assert counts() == (2, 0, 0, 0)
    assert [read(child, BASE + i * HUGE_SIZE) for i in range(2)] == [1, 2]
    assert [read(parent, BASE + i * HUGE_SIZE) for i in range(2)] == [1, 3]
    assert write(parent, BASE, 9) == FaultOutcome.DONE and read(child, BASE) == 1
    child.release()
    assert counts() == (2, 1, 0, 0)
    parent.release()


@pytest.mark.usefixtures("pool")
def test_who_reserved_takes_from_children() -> None:
    GIGANTIC.resize(1)
    parent = AddressSpace()
    place(parent, 1, MAP_PRIVATE)
    write(parent, BASE, 1)
    child = parent.fork()
    assert write(parent, BASE + HUGE_SIZE, 2) == FaultOutcome.DONE
    assert read(parent, BASE + HUGE_SIZE) == 2 and child.pages.huge_count == 0
    assert child.fault(BASE, Access.READ) == FaultOutcome.NO_SUCH_PAGE
    child.release()
    parent.release()
    GIGANTIC.resize(2)


@pytest.mark.usefixtures("pool")
def test_a_page_in_transfer_is_copied_at_fork() -> None:
    parent = AddressSpace()
    place(parent, 1, MAP_PRIVATE)
    write(parent, BASE, 1)
    part = Frame(entry_frame(parent.pages.entry_of(BASE + HUGE_SIZE)) + 5)
    pin_frame(part)
    child = parent.fork()
    assert counts() == (2, 0, 0, 0) and child.pages.huge_count == PIECES and read(child, BASE) == 1
    unpin_frame(part)
    assert write(parent, BASE, 2) == FaultOutcome.DONE and read(child, BASE) == 1
    child.release()
    parent.release()


@pytest.mark.usefixtures("pool")
def test_pages_are_given_up_and_moved() -> None:
    space = AddressSpace()
    source = place(space, 1, MAP_PRIVATE)
    write(space, BASE + 5, 1)
    remap.advise(space, BASE, SIZE, 4)  # MADV_DONTNEED
    assert counts() == (2, 2, 1, 0) and read(space, BASE + 5) == 0 and counts() == (2, 1, 0, 0)
    write(space, BASE + HUGE_SIZE, 6)
    remap.remap(space, BASE, SIZE, SIZE, 3, BASE + 4 * SIZE)
    assert read(space, BASE + 4 * SIZE + HUGE_SIZE) == 6 and space.pages.huge_count == PIECES
    with pytest.raises(Errno):
        remap.remap(space, BASE + 4 * SIZE, SIZE, SIZE, 3, BASE + HUGE_SIZE)
    assert source.present == 0
    space.release()


@pytest.mark.usefixtures("pool")
def test_a_shared_page_is_punched() -> None:
    space = AddressSpace()
    source = place(space, 2, MAP_SHARED)
    write(space, BASE, 1)
    write(space, BASE + SIZE + HUGE_SIZE, 2)
    source.punch(0, SIZE // PAGE_SIZE + 512)
    assert source.present == 1 and counts() == (2, 1, 0, 0)
    assert [read(space, BASE + SIZE + i * HUGE_SIZE) for i in range(2)] == [0, 2]
    space.release()


@pytest.mark.usefixtures("pool")
def test_pages_are_scarce_and_demoted() -> None:
    space = AddressSpace()
    with pytest.raises(Errno) as refusal:
        place(space, 3, MAP_SHARED)
    assert refusal.value.code == ENOMEM and counts() == (2, 2, 0, 0)
    GIGANTIC.demote(1, POOL)
    assert counts() == (1, 1, 0, 0) and (POOL.total, POOL.free) == (PIECES, PIECES)
    GIGANTIC.demote(2, POOL)
    assert GIGANTIC.total == 0
    POOL.resize(0)
    space.release()
    GIGANTIC.resize(2)


@pytest.mark.usefixtures("pool")
def test_a_page_that_root_does_not_want_goes_with_its_last_piece() -> None:
    space = AddressSpace()
    place(space, 1, MAP_SHARED)
    write(space, BASE, 1)
    GIGANTIC.resize(0)
    assert counts() == (1, 0, 0, 1)
    space.release()
    assert counts() == (0, 0, 0, 0)
    GIGANTIC.resize(2)


@pytest.mark.usefixtures("pool")
def test_each_piece_of_such_a_page_goes_back_by_itself() -> None:
    """All of them with the last one would take millions of instructions where they are 512."""
    head = GIGANTIC.take(is_reserved=False, quota=None)
    GIGANTIC.resize(0)
    before = frames.free_frame_count()
    assert counts() == (1, 0, 0, 1)
    for number in range(PIECES):
        put_huge_page(Frame(head + number * (HUGE_SIZE // PAGE_SIZE)))
        assert frames.free_frame_count() == before + (number + 1) * (HUGE_SIZE // PAGE_SIZE)
        assert counts() == (0, 0, 0, 0) and len(GIGANTIC.units) == (number < PIECES - 1)
    GIGANTIC.resize(2)


@pytest.mark.usefixtures("pool")
def test_a_page_that_is_wanted_less_when_pieces_have_gone_stays_whole() -> None:
    head = GIGANTIC.take(is_reserved=False, quota=None)
    put_huge_page(head)
    GIGANTIC.resize(1)
    GIGANTIC.resize(0)
    assert counts() == (1, 0, 0, 1)
    put_huge_page(Frame(head + HUGE_SIZE // PAGE_SIZE))
    assert counts() == (1, 1, 0, 1)
    GIGANTIC.resize(2)
    assert counts() == (2, 2, 0, 0)


@pytest.mark.usefixtures("pool")
def test_a_free_page_goes_back_with_safe_points_between_its_pieces() -> None:
    seen = []
    with meanwhile(lambda: seen.append(frames.free_frame_count()), 1):
        before = frames.free_frame_count()
        GIGANTIC.resize(1)
    assert seen == [before + HUGE_SIZE // PAGE_SIZE] and frames.free_frame_count() == before + SIZE // PAGE_SIZE
    GIGANTIC.resize(2)
