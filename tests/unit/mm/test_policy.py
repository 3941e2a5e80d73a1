"""Memory policies: what is none, what they show, ranges of them against a model, and areas that they keep apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.lang import EFAULT, EINVAL, EIO, ENOENT, ENOMEM, EOPNOTSUPP, Errno
from kernel.mm.area import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE
from kernel.mm.binding import bind, node_of, page_status, policy_at, set_home
from kernel.mm.fault import Access
from kernel.mm.frames import PAGE_SIZE
from kernel.mm.policy import (
    MPOL_BIND,
    MPOL_DEFAULT,
    MPOL_F_NUMA_BALANCING,
    MPOL_F_RELATIVE_NODES,
    MPOL_F_STATIC_NODES,
    MPOL_INTERLEAVE,
    MPOL_LOCAL,
    MPOL_PREFERRED,
    MPOL_PREFERRED_MANY,
    MemoryPolicy,
    PolicyRanges,
    check_mode,
    make_policy,
    same_policy,
)
from kernel.mm.space import AddressSpace, each_area

BASE = 0x40_0000
FIRST = b"\1"
SECOND = b"\2"


def policy(number: int, nodes: bytes = FIRST) -> MemoryPolicy:
    made = make_policy(number, nodes)
    assert made is not None
    return made


@pytest.mark.parametrize(
    "number",
    [-1, 7, 0x1000, MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES, MPOL_PREFERRED | MPOL_F_NUMA_BALANCING],
)
def test_what_is_no_mode(number: int) -> None:
    with pytest.raises(Errno) as error:
        check_mode(number)
    assert error.value.code == EINVAL


@pytest.mark.parametrize(
    ("number", "nodes"),
    [
        (MPOL_DEFAULT, FIRST),
        (MPOL_LOCAL, FIRST),
        (MPOL_LOCAL | MPOL_F_STATIC_NODES, b""),
        (MPOL_PREFERRED | MPOL_F_RELATIVE_NODES, b""),
        (MPOL_BIND, b""),
        (MPOL_BIND, SECOND),
        (MPOL_BIND | MPOL_F_STATIC_NODES, SECOND),
    ],
)
def test_nodes_that_a_mode_does_not_take(number: int, nodes: bytes) -> None:
    with pytest.raises(Errno) as error:
        make_policy(number, nodes)
    assert error.value.code == EINVAL


def test_what_policies_show() -> None:
    assert make_policy(MPOL_DEFAULT, b"") is None
    assert policy(MPOL_PREFERRED, b"").number == MPOL_LOCAL
    assert policy(MPOL_BIND, b"\3").nodes() == FIRST
    assert policy(MPOL_BIND | MPOL_F_STATIC_NODES, b"\3").nodes() == b"\3"
    assert policy(MPOL_BIND | MPOL_F_RELATIVE_NODES, SECOND).nodes() == SECOND
    assert policy(MPOL_LOCAL, b"").text() == "local"
    assert policy(MPOL_PREFERRED_MANY | MPOL_F_NUMA_BALANCING | MPOL_F_STATIC_NODES).text() == (
        "prefer (many)=static|balancing:0"
    )
    assert same_policy(policy(MPOL_BIND), policy(MPOL_BIND))
    assert not same_policy(policy(MPOL_BIND), policy(MPOL_BIND).at_home(0))
    assert not same_policy(policy(MPOL_BIND), None)


CHOICES = [None, policy(MPOL_BIND), policy(MPOL_LOCAL, b""), policy(MPOL_INTERLEAVE)]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12), st.sampled_from(CHOICES)), max_size=30))
def test_ranges_of_policies(changes: list[tuple[int, int, MemoryPolicy | None]]) -> None:
    ranges = PolicyRanges()
    model: dict[int, MemoryPolicy] = {}
    for first, count, wanted in changes:
        ranges.put(first, first + count, wanted)
        for page in range(first, first + count):
            model.pop(page, None)
            if wanted is not None:
                model[page] = wanted
    assert [ranges.at(page) for page in range(45)] == [model.get(page) for page in range(45)]
    bounds = [bound for pair in zip(ranges.starts, ranges.ends, strict=True) for bound in pair]
    assert bounds == sorted(bounds)
    assert len(ranges.starts) == len(ranges.policies)


def test_there_are_only_so_many_ranges() -> None:
    ranges = PolicyRanges()
    with pytest.raises(Errno) as error:
        for page in range(0, 20_000, 2):
            ranges.put(page, page + 1, CHOICES[1])
    assert error.value.code == ENOMEM


def areas(space: AddressSpace) -> list[tuple[int, int]]:
    return [((area.start - BASE) // PAGE_SIZE, (area.end - BASE) // PAGE_SIZE) for area in each_area(space)]


def mapped(page_count: int, flags: int = MAP_PRIVATE) -> AddressSpace:
    space = AddressSpace()
    space.map(BASE, page_count * PAGE_SIZE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_FIXED, None, 0)
    return space


def bind_pages(space: AddressSpace, first: int, end: int, wanted: MemoryPolicy | None, refuses: bool = False) -> None:
    bind(space, BASE + first * PAGE_SIZE, BASE + end * PAGE_SIZE, wanted, refuses)


@pytest.mark.usefixtures("machine")
def test_areas_are_cut_and_joined_by_policy() -> None:
    space = mapped(16)
    bind_pages(space, 4, 8, policy(MPOL_BIND))
    assert areas(space) == [(0, 4), (4, 8), (8, 16)]
    bind_pages(space, 8, 12, policy(MPOL_BIND))
    assert areas(space) == [(0, 4), (4, 12), (12, 16)]
    set_home(space, BASE + 6 * PAGE_SIZE, BASE + 8 * PAGE_SIZE, 0)
    assert areas(space) == [(0, 4), (4, 6), (6, 8), (8, 12), (12, 16)]
    child = space.fork()
    found = policy_at(child, BASE + 7 * PAGE_SIZE)
    assert found is not None and found.home == 0
    bind_pages(space, 0, 16, None)
    assert areas(space) == [(0, 16)]
    assert len(areas(child)) == 5
    child.release()
    space.release()


@pytest.mark.usefixtures("machine")
def test_what_binding_refuses() -> None:
    space = mapped(8)
    space.unmap(BASE + 3 * PAGE_SIZE, PAGE_SIZE)
    space.fault(BASE, Access.WRITE)
    wanted = policy(MPOL_LOCAL, b"")
    cases = ((0, 8, False, EFAULT), (3, 4, False, EFAULT), (0, 2, True, EIO), (0, 8, True, EFAULT))
    for first, end, refuses, code in cases:
        with pytest.raises(Errno) as error:
            bind_pages(space, first, end, wanted, refuses)
        assert error.value.code == code
    assert areas(space) == [(0, 3), (4, 8)]
    bind_pages(space, 0, 8, None)
    bind_pages(space, 1, 3, wanted, refuses=True)
    for first, end, code in ((3, 4, ENOENT), (4, 8, ENOENT), (1, 2, EOPNOTSUPP)):
        with pytest.raises(Errno) as error:
            set_home(space, BASE + first * PAGE_SIZE, BASE + end * PAGE_SIZE, 0)
        assert error.value.code == code
    space.release()


@pytest.mark.usefixtures("machine")
def test_shared_memory_keeps_policies_itself() -> None:
    space = mapped(8, MAP_SHARED)
    child = space.fork()
    bind_pages(child, 2, 4, policy(MPOL_BIND))
    assert policy_at(space, BASE + 3 * PAGE_SIZE) is not None
    assert policy_at(space, BASE + 4 * PAGE_SIZE) is None
    assert areas(space) == [(0, 8)]
    child.release()
    space.release()


@pytest.mark.usefixtures("machine")
def test_where_pages_are() -> None:
    space = mapped(2)
    assert page_status(space, BASE) == -ENOENT
    assert page_status(space, BASE + 2 * PAGE_SIZE) == page_status(space, -1) == -EFAULT
    assert node_of(space, BASE + 5) == 0
    assert page_status(space, BASE) == 0
    space.protect(BASE, PAGE_SIZE, 0)
    assert page_status(space, BASE) == 0
    with pytest.raises(Errno) as error:
        node_of(space, BASE)
    assert error.value.code == EFAULT
    space.release()
