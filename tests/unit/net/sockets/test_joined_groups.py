"""The groups of one socket: whom it hears in them (RFC 3376, section 3.1)."""

from collections.abc import Callable

import pytest

from kernel.lang import EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOBUFS, Errno
from kernel.net.internet.membership import is_member
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.sockets.joined_groups import EXCLUDE, INCLUDE, JoinedGroups
from tests.unit.net.conftest import Wire

GROUP = b"\xef\x01\x02\x03"
A = b"\x0a\x00\x00\x01"
B = b"\x0a\x00\x00\x02"


def code_of(call: Callable[[], None]) -> int:
    with pytest.raises(Errno) as caught:
        call()
    return caught.value.code


def test_everybody_is_heard_but_who_is_excluded(wire: Wire) -> None:
    groups = JoinedGroups(FIRST_NETWORK)
    groups.join(GROUP, wire, EXCLUDE)
    groups.change_source(GROUP, wire.index, A, EXCLUDE, True)
    assert not groups.accepts(GROUP, wire, A, True)
    assert groups.accepts(GROUP, wire, B, False)
    assert code_of(lambda: groups.change_source(GROUP, wire.index, A, EXCLUDE, True)) == EADDRNOTAVAIL
    assert code_of(lambda: groups.change_source(GROUP, wire.index, B, INCLUDE, True)) == EINVAL
    groups.leave_all()


def test_who_includes_nobody_leaves(wire: Wire) -> None:
    groups = JoinedGroups(FIRST_NETWORK)
    groups.join(GROUP, wire, INCLUDE)
    groups.change_source(GROUP, wire.index, A, INCLUDE, True)
    assert groups.accepts(GROUP, wire, A, False)
    assert not groups.accepts(GROUP, wire, B, True)
    groups.change_source(GROUP, wire.index, A, INCLUDE, False)
    assert not is_member(wire, GROUP)
    assert groups.accepts(GROUP, wire, B, True)


def test_a_whole_filter_replaces_what_was(wire: Wire) -> None:
    groups = JoinedGroups(FIRST_NETWORK)
    assert code_of(lambda: groups.set_filter(GROUP, wire.index, INCLUDE, [A])) == EINVAL
    groups.join(GROUP, wire, EXCLUDE)
    assert code_of(lambda: groups.join(GROUP, wire, EXCLUDE)) == EADDRINUSE
    groups.set_filter(GROUP, wire.index, INCLUDE, [A])
    assert groups.accepts(GROUP, wire, A, False)
    assert not groups.accepts(GROUP, wire, B, False)
    groups.set_filter(GROUP, wire.index, INCLUDE, [])
    assert not is_member(wire, GROUP)


def test_filters_and_groups_are_bounded(wire: Wire) -> None:
    groups = JoinedGroups(FIRST_NETWORK)
    groups.join(GROUP, wire, EXCLUDE)
    for number in range(10):
        groups.change_source(GROUP, wire.index, bytes([10, 0, 1, number]), EXCLUDE, True)
    assert code_of(lambda: groups.change_source(GROUP, wire.index, A, EXCLUDE, True)) == ENOBUFS
    for number in range(19):
        groups.join(bytes([239, 2, 0, number]), wire, EXCLUDE)
    assert code_of(lambda: groups.join(b"\xef\x03\x00\x00", wire, EXCLUDE)) == ENOBUFS
    groups.leave_all()
    assert not is_member(wire, GROUP)
