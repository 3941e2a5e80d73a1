"""Routing tables: longest prefix, metrics, what addresses bring."""

import pytest

from kernel.lang import EEXIST, ENETUNREACH, Errno
from kernel.net.internet.addresses import delete_address, find_on, masked, prefix_of_netmask
from kernel.net.internet.output import resolve
from kernel.net.internet.routes import Route, add_route, find_route, list_routes
from kernel.net.link.device import NetworkDevice, bring_down, bring_up
from kernel.net.link.network import FIRST_NETWORK
from tests.unit.net.conftest import Wire, give_address


def address(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


def test_the_longest_prefix_wins(wire: Wire) -> None:
    for prefix, length, metric in [("0.0.0.0", 0, 0), ("192.168.0.0", 16, 5), ("192.168.3.0", 24, 9)]:
        route = Route(address(prefix), length, wire)
        route.metric = metric
        add_route(FIRST_NETWORK, route)
    for text, length in [("192.168.3.4", 24), ("192.168.4.4", 16), ("8.8.8.8", 0)]:
        found = find_route(FIRST_NETWORK, address(text))
        assert found is not None and found.prefix_length == length


def test_the_smaller_metric_wins(wire: Wire) -> None:
    for metric in (20, 10, 30):
        route = Route(address("172.16.0.0"), 12, wire)
        route.metric = metric
        add_route(FIRST_NETWORK, route)
    found = find_route(FIRST_NETWORK, address("172.16.1.1"))
    assert found is not None and found.metric == 10
    again = Route(address("172.16.0.0"), 12, wire)
    again.metric = 10
    with pytest.raises(Errno) as error:
        add_route(FIRST_NETWORK, again)
    assert error.value.code == EEXIST


def test_without_a_route_nothing_goes(wire: Wire) -> None:
    with pytest.raises(Errno) as error:
        resolve(FIRST_NETWORK, address("8.8.8.8"))
    assert error.value.code == ENETUNREACH


def test_own_addresses_go_by_loopback(wire: Wire, loopback: NetworkDevice) -> None:
    hop = resolve(FIRST_NETWORK, address("10.0.0.1"))
    assert hop.device is loopback
    assert hop.source == address("10.0.0.1")


def test_the_source_is_on_the_link(wire: Wire) -> None:
    give_address(wire, address("172.20.0.1"), 16)
    assert resolve(FIRST_NETWORK, address("172.20.5.5")).source == address("172.20.0.1")
    assert resolve(FIRST_NETWORK, address("10.0.0.9")).source == address("10.0.0.1")


def test_routes_go_with_the_address_and_come_with_the_interface(wire: Wire) -> None:
    count = len(list_routes(FIRST_NETWORK, 4))
    bring_down(wire)
    assert find_route(FIRST_NETWORK, address("10.0.0.9")) is None
    bring_up(wire)
    assert len(list_routes(FIRST_NETWORK, 4)) == count
    entry = find_on(wire, address("10.0.0.1"))
    assert entry is not None
    delete_address(entry)
    assert all(route.device is not wire for route in list_routes(FIRST_NETWORK, 4))


def test_netmasks() -> None:
    assert prefix_of_netmask(address("255.255.240.0")) == 20
    assert prefix_of_netmask(address("0.0.0.0")) == 0
    assert prefix_of_netmask(address("255.0.255.0")) == -1
    assert masked(address("10.255.255.255"), 12) == address("10.240.0.0")
