"""Settings of interfaces: what `all` does, what new networks have, and which datagrams may come in."""

from collections.abc import Iterator

import pytest

from kernel.lang import EINVAL, Errno
from kernel.lib.namespace import FIRST_USER
from kernel.net.internet.interface_settings import (
    ACCEPT_REDIRECTS4,
    FORWARDING4,
    FORWARDING6,
    ROUTE_LOCALNET4,
    ROWS,
    RP_FILTER4,
)
from kernel.net.internet.ipv4 import _may_come_in
from kernel.net.internet.output import resolve
from kernel.net.internet.sysctl import IP4_SETTINGS, IP6_SETTINGS
from kernel.net.link.network import DEFAULT_SETTINGS, FIRST_NETWORK, new_network
from tools.simulated.wire import Wire

OURS = b"\x0a\x00\x00\x01"
PEER = b"\x0a\x00\x00\x02"
ELSEWHERE = b"\xc0\x00\x02\x01"
LOCAL = b"\x7f\x00\x00\x05"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = FIRST_NETWORK.settings[:]
    yield
    FIRST_NETWORK.settings[:] = before


def test_whoever_forwards_for_all_forwards_for_each(wire: Wire) -> None:
    IP4_SETTINGS.ip_forward.store([1])
    assert FORWARDING4.for_all.numbers() == FORWARDING4.default.numbers() == [1]
    assert FORWARDING4.of(wire) == 1 and ACCEPT_REDIRECTS4.of_all(FIRST_NETWORK) == 0
    FORWARDING4.set(wire, 0)
    IP4_SETTINGS.ip_forward.store([1])  # nothing new
    assert FORWARDING4.of(wire) == 0 and IP4_SETTINGS.ip_forward.numbers() == [1]
    FORWARDING4.for_all.store([0])
    assert IP4_SETTINGS.ip_forward.numbers() == [0] and ACCEPT_REDIRECTS4.of_all(FIRST_NETWORK) == 1
    IP6_SETTINGS.forwarding.store([1])
    assert FORWARDING6.of(wire) == 1


def test_a_new_network_has_what_the_first_has_of_ipv4_alone() -> None:
    for row in ROWS:
        row.default.set(FIRST_NETWORK, 0)
    RP_FILTER4.default.set(FIRST_NETWORK, 2)
    IP4_SETTINGS.ip_forward.set(FIRST_NETWORK, 1)
    network = new_network(FIRST_USER)
    assert RP_FILTER4.of(network.loopback) == 2 and FORWARDING4.of(network.loopback) == 1
    for row in ROWS:
        if row.family == b"ipv6":
            assert row.default.of(network) == DEFAULT_SETTINGS[row.default.place]  # not touched


@pytest.mark.parametrize(("mode", "passing"), [(0, {PEER, ELSEWHERE}), (1, {PEER}), (2, {PEER})])
def test_the_way_back(wire: Wire, mode: int, passing: set[bytes]) -> None:
    RP_FILTER4.set(wire, mode)
    found = {source for source in (PEER, ELSEWHERE, OURS, LOCAL) if _may_come_in(wire, source, OURS)}
    assert found == passing


@pytest.mark.parametrize("value", [1, -1])
def test_addresses_of_lo_are_on_no_link_unless_they_may(wire: Wire, value: int) -> None:
    assert not _may_come_in(wire, PEER, LOCAL)
    with pytest.raises(Errno) as error:
        resolve(FIRST_NETWORK, PEER, LOCAL)
    assert error.value.code == EINVAL
    ROUTE_LOCALNET4.set(wire, value)
    assert _may_come_in(wire, PEER, LOCAL) and _may_come_in(wire, LOCAL, OURS)
    assert resolve(FIRST_NETWORK, PEER, LOCAL).device is wire
