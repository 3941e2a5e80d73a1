"""What is promised, refused and taken back in each mode of vm.overcommit_memory."""

from collections.abc import Iterator

import pytest

from kernel.lang import ENOMEM, Errno
from kernel.mm import remap
from kernel.mm.area import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_READ,
    PROT_WRITE,
)
from kernel.mm.commitment import ALWAYS, AMOUNT, MODE, NEVER, PROMISES, RATIO, promise_limit
from kernel.mm.fault import Access
from kernel.mm.frames import PAGE_SIZE, total_frame_count
from kernel.mm.space import AddressSpace, each_area

BASE = 0x4000_0000
READ_WRITE = PROT_READ | PROT_WRITE


@pytest.fixture
def space(machine: None) -> Iterator[AddressSpace]:
    PROMISES.pages = 0
    yield AddressSpace()
    PROMISES.pages = 0
    MODE.values[0] = 0
    RATIO.store([50])


def make(space: AddressSpace, pages: int, prot: int = READ_WRITE, flags: int = MAP_PRIVATE, address: int = BASE) -> int:
    return space.map(address, pages * PAGE_SIZE, prot, flags | MAP_ANONYMOUS | MAP_FIXED, None, 0)


def test_what_counts(space: AddressSpace) -> None:
    make(space, 10)
    assert PROMISES.pages == 10
    space.unmap(BASE + 2 * PAGE_SIZE, 3 * PAGE_SIZE)
    assert PROMISES.pages == 7
    make(space, 2)  # in place of two
    assert PROMISES.pages == 7
    space.fault(BASE, Access.WRITE)
    space.protect(BASE, 2 * PAGE_SIZE, PROT_READ)
    assert PROMISES.pages == 7
    child = space.fork()
    assert PROMISES.pages == 14
    child.release()
    assert PROMISES.pages == 7
    space.release()
    assert PROMISES.pages == 0


def test_what_does_not_count_until_it_is_written(space: AddressSpace) -> None:
    make(space, 10, PROT_READ)
    make(space, 10, READ_WRITE, MAP_PRIVATE | MAP_NORESERVE, BASE + 20 * PAGE_SIZE)
    assert PROMISES.pages == 0
    space.protect(BASE + 2 * PAGE_SIZE, 3 * PAGE_SIZE, READ_WRITE)
    assert PROMISES.pages == 3
    assert [area.is_promised for area in each_area(space)] == [False, True, False, False]
    space.protect(BASE, 10 * PAGE_SIZE, PROT_READ)
    assert PROMISES.pages == 0
    space.release()
    assert PROMISES.pages == 0


def test_shared_memory_counts_once(space: AddressSpace) -> None:
    make(space, 10, READ_WRITE, MAP_SHARED)
    child = space.fork()
    place = remap.remap(child, BASE, 0, 10 * PAGE_SIZE, remap.MREMAP_MAYMOVE, 0)
    assert place != BASE and PROMISES.pages == 10
    space.release()
    assert PROMISES.pages == 10
    child.release()
    assert PROMISES.pages == 0


def test_what_grows_and_moves(space: AddressSpace) -> None:
    make(space, 4)
    remap.remap(space, BASE, 4 * PAGE_SIZE, 6 * PAGE_SIZE, 0, 0)
    assert PROMISES.pages == 6
    make(space, 1, PROT_READ, address=BASE + 6 * PAGE_SIZE)
    remap.remap(space, BASE, 6 * PAGE_SIZE, 9 * PAGE_SIZE, remap.MREMAP_MAYMOVE, 0)
    assert PROMISES.pages == 9
    space.release()
    assert PROMISES.pages == 0


def test_what_each_mode_refuses(space: AddressSpace) -> None:
    every = total_frame_count()
    with pytest.raises(Errno) as error:
        make(space, every + 1)
    assert error.value.code == ENOMEM and space.areas.count == 0 and PROMISES.pages == 0
    make(space, every)
    MODE.values[0] = ALWAYS
    make(space, 4 * every)
    space.unmap(BASE, 4 * every * PAGE_SIZE)
    MODE.values[0] = NEVER
    assert promise_limit() == every // 2
    with pytest.raises(Errno):
        make(space, every // 2, READ_WRITE, MAP_PRIVATE | MAP_NORESERVE)
    make(space, every // 2 - 10)
    with pytest.raises(Errno):
        space.fork()
    with pytest.raises(Errno):
        make(space, 11, address=BASE + every * PAGE_SIZE)
    make(space, 11, PROT_READ, address=BASE + every * PAGE_SIZE)
    with pytest.raises(Errno):
        space.protect(BASE + every * PAGE_SIZE, 11 * PAGE_SIZE, READ_WRITE)
    assert PROMISES.pages == every // 2 - 10
    space.release()
    assert PROMISES.pages == 0


def test_the_limit_is_a_part_or_an_amount(space: AddressSpace) -> None:
    AMOUNT.store([4000])
    assert promise_limit() == 1000 and RATIO.value == 0
    RATIO.store([100])
    assert promise_limit() == total_frame_count() and AMOUNT.value == 0
