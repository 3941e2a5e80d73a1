"""Policies of the areas of an address space, and where its pages lie (mbind(2), set_mempolicy_home_node(2),
move_pages(2)). All pages lie on the one node, so nothing is ever moved: pages are always where a program may want them.

Ranges are changed area by area, with safe points in between.

Context: may sleep.
Source: mbind(2), set_mempolicy_home_node(2), move_pages(2), get_mempolicy(2).
"""

from typing import Final

from arch import USER_END
from arch.programs import HIDDEN, PRESENT, table_end
from kernel.lang import EFAULT, EIO, ENOENT, ENOMEM, EOPNOTSUPP, Errno
from kernel.lib.pace import pace
from kernel.mm.area import PROT_READ, Area
from kernel.mm.area_tree import following
from kernel.mm.fault import Access, FaultOutcome
from kernel.mm.frames import PAGE_MASK
from kernel.mm.keeping import check_room_to_keep
from kernel.mm.objects import FixedPages, PolicyKeeper
from kernel.mm.policy import MPOL_BIND, MPOL_PREFERRED_MANY, MemoryPolicy, same_policy
from kernel.mm.space import AddressSpace

_LOOK_COST: Final = 2000  # instructions, for `pace`
_CHANGE_COST: Final = 20_000
_TABLE_COST: Final = 5000


def bind(space: AddressSpace, start: int, end: int, policy: MemoryPolicy | None, refuses_others: bool) -> None:
    """Give the areas of a range of pages a policy, None the default. `refuses_others`: pages already present lie where
    the program does not want them, and it asks for an error in that case.

    Raises EFAULT (nothing is mapped, or not all for another policy than the default), EIO (such pages), ENOMEM (too
    many areas), MemoryError.
    """
    space.settle()
    _check_range(space, start, end, policy is not None, refuses_others)
    while start < end:
        area = space.settled_area(start, end)
        if area is None:
            return
        stop = min(end, area.end)
        _bind_area(space, area, max(start, area.start), stop, policy)
        start = stop


def _check_range(space: AddressSpace, start: int, end: int, wants_all: bool, refuses_others: bool) -> None:
    area = space.areas.first_above(start)
    if area is None or area.start >= end or (wants_all and start < area.start):
        raise Errno(EFAULT)
    while area is not None and area.start < end:
        if wants_all and area.end < end:
            after = following(area)
            if after is None or area.end < after.start:
                raise Errno(EFAULT)
        stop = min(end, area.end)
        if refuses_others and not isinstance(area.source, FixedPages):
            if _has_page(space, max(start, area.start), stop):
                raise Errno(EIO)
        if stop == end:
            return
        pace(_LOOK_COST)
        area = space.areas.first_above(stop)  # others may have run


def _has_page(space: AddressSpace, start: int, end: int) -> bool:
    """Whether a page of a range is present. Sleeps between tables."""
    address = space.pages.next_table(start, end)
    while address < end:
        stop = min(end, table_end(address))
        if space.pages.next_mapped(address, stop) < stop:
            return True
        pace(_TABLE_COST)
        address = space.pages.next_table(stop, end)
    return space.pages.next_huge(start, end) < end


def _bind_area(space: AddressSpace, area: Area, start: int, end: int, policy: MemoryPolicy | None) -> None:
    """The same for a part of one area."""
    if same_policy(area.policy, policy):
        pace(_LOOK_COST)
        return
    part = space.isolate(start, end)
    if part is None:
        return
    source = part.source
    try:
        if isinstance(source, PolicyKeeper):
            if policy is not None:
                check_room_to_keep()
            source.set_policy(part.index_of(start), part.index_of(end - 1) + 1, policy)
        part.policy = policy
    finally:
        space.rejoin(start, end)
    pace(_CHANGE_COST)


def set_home(space: AddressSpace, start: int, end: int, node: int) -> None:
    """Let the policies of the areas of a range prefer a node. Raises ENOENT (there are no policies), EOPNOTSUPP (a
    policy cannot prefer a node; the areas below it are changed), ENOMEM, MemoryError.
    """
    is_found = False
    while start < end:
        area = space.settled_area(start, end)
        if area is None:
            break
        stop = min(end, area.end)
        policy = area.policy
        if policy is not None:
            if policy.mode != MPOL_BIND and policy.mode != MPOL_PREFERRED_MANY:
                raise Errno(EOPNOTSUPP)
            _bind_area(space, area, max(start, area.start), stop, policy.at_home(node))
            is_found = True
        else:
            pace(_LOOK_COST)
        start = stop
    if not is_found:
        raise Errno(ENOENT)


def policy_at(space: AddressSpace, address: int) -> MemoryPolicy | None:
    """The policy of an area or of the shared memory there, None for the default. Raises EFAULT where nothing is
    mapped.
    """
    area = space.area_at(address)
    if area is None:
        raise Errno(EFAULT)
    return policy_of(area, address)


def policy_of(area: Area, address: int) -> MemoryPolicy | None:
    """The same, of an area that holds the address."""
    source = area.source
    if isinstance(source, PolicyKeeper):
        return source.policy_at(area.index_of(address))
    return area.policy


def node_of(space: AddressSpace, address: int) -> int:
    """The node on which a page lies, after faulting it in. Raises EFAULT, ENOMEM."""
    area = space.area_at(address)
    if area is None or area.prot & PROT_READ == 0:
        raise Errno(EFAULT)
    outcome = space.touch(address & ~PAGE_MASK, Access.READ)
    if outcome != FaultOutcome.DONE:
        raise Errno(ENOMEM if outcome == FaultOutcome.NO_MEMORY else EFAULT)
    return 0


def page_status(space: AddressSpace, address: int) -> int:
    """What move_pages(2) reports for a page: its node, or a negative errno."""
    if address < 0 or address >= USER_END or space.area_at(address) is None:
        return -EFAULT
    return 0 if space.pages.entry_of(address) & (PRESENT | HIDDEN) != 0 else -ENOENT
