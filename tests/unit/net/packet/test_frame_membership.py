"""What packet sockets ask of an interface is counted there, and given back."""

from __future__ import annotations

import pytest

from kernel.lang import EINVAL, Errno
from kernel.net.packet.frame_membership import ALL_GROUPS, MULTICAST, PROMISCUOUS, UNICAST, FrameMembership
from tests.unit.net.conftest import Wire

GROUP = b"\x01\x00\x5e\x01\x02\x03"


def users(wire: Wire) -> tuple[int, int, int]:
    group = wire.multicast.get(GROUP)
    return wire.promiscuous_users, wire.all_groups_users, 0 if group is None else group.users


@pytest.mark.parametrize(
    ("kind", "asked"), [(PROMISCUOUS, (1, 0, 0)), (UNICAST, (1, 0, 0)), (ALL_GROUPS, (0, 1, 0)), (MULTICAST, (0, 0, 1))]
)
def test_it_holds_until_it_is_undone(wire: Wire, kind: int, asked: tuple[int, int, int]) -> None:
    before = users(wire)
    flags = wire.flags
    one, two = FrameMembership(wire.index, kind, GROUP), FrameMembership(wire.index, kind, GROUP)
    one.apply(wire)
    two.apply(wire)
    one.undo()
    one.undo()
    assert users(wire) == tuple(a + b for a, b in zip(before, asked, strict=True))
    assert wire.flags == flags  # IFF_PROMISC and IFF_ALLMULTI are the program's own
    two.undo()
    assert users(wire) == before and GROUP not in wire.multicast


def test_an_address_of_another_length_is_refused(wire: Wire) -> None:
    before = users(wire)
    for kind in (MULTICAST, UNICAST):
        membership = FrameMembership(wire.index, kind, GROUP[:4])
        with pytest.raises(Errno) as caught:
            membership.apply(wire)
        assert caught.value.code == EINVAL
        membership.undo()
    assert users(wire) == before


def test_a_kind_that_there_is_not_asks_nothing(wire: Wire) -> None:
    before = users(wire)
    FrameMembership(wire.index, 9, b"").apply(wire)
    assert users(wire) == before


def test_requests_are_alike_by_all_three(wire: Wire) -> None:
    one = FrameMembership(1, MULTICAST, GROUP)
    assert one.is_like(FrameMembership(1, MULTICAST, GROUP))
    for other in (FrameMembership(2, MULTICAST, GROUP), FrameMembership(1, UNICAST, GROUP)):
        assert not one.is_like(other)
    assert not one.is_like(FrameMembership(1, MULTICAST, GROUP[::-1]))
