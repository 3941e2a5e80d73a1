"""Routing tables: longest prefix, metrics, what addresses bring."""

import random
from collections.abc import Callable

import pytest

from kernel.lang import EEXIST, ENETUNREACH, Errno
from kernel.net.internet import interface_routes, routes
from kernel.net.internet.addresses import (
    InterfaceAddress,
    delete_address,
    find_on,
    list_addresses,
    masked,
    prefix_of_netmask,
)
from kernel.net.internet.output import resolve
from kernel.net.internet.routes import Route, add_route, find_route, list_routes
from kernel.net.link.device import NetworkDevice, bring_down, bring_up
from kernel.net.link.network import FIRST_NETWORK, Network
from tests.unit.net.conftest import Wire, give_address


def address(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


def counted(
    find: Callable[[NetworkDevice, int], list[InterfaceAddress]], looked_at: list[int]
) -> Callable[[NetworkDevice, int], list[InterfaceAddress]]:
    """Lists addresses, and counts how many."""

    def listing(device: NetworkDevice, size: int) -> list[InterfaceAddress]:
        found = find(device, size)
        looked_at.extend([1] * len(found))
        return found

    return listing


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


def test_without_memory_all_hear_that_routes_have_gone(wire6: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another order then; and nobody goes the old ways meanwhile."""
    generations: list[int] = []

    def fail(dropped: list[Route]) -> list[Route]:
        generations.append(FIRST_NETWORK.ways.generation)
        raise MemoryError

    class Hearer(routes.RouteWatcher):
        def route_dropped(self, network: Network, route: Route) -> None:
            heard.append(route)

    heard: list[Route] = []
    before = FIRST_NETWORK.ways.generation
    gone = [route for route in list_routes(FIRST_NETWORK, 16) if route.device is wire6]
    monkeypatch.setattr(routes, "_WATCHERS", [Hearer()])
    monkeypatch.setattr(routes, "in_tree_order", fail)
    bring_down(wire6)
    assert generations[0] > before
    assert gone != [] and {id(route) for route in gone} <= {id(route) for route in heard}


def test_netmasks() -> None:
    assert prefix_of_netmask(address("255.255.240.0")) == 20
    assert prefix_of_netmask(address("0.0.0.0")) == 0
    assert prefix_of_netmask(address("255.0.255.0")) == -1
    assert masked(address("10.255.255.255"), 12) == address("10.240.0.0")


def test_routes_are_entered_where_they_belong(wire: Wire) -> None:
    """As if each looked for its place from the beginning."""
    chance = random.Random(6)
    expected: list[Route] = []
    for number in range(600):
        route = Route(bytes([172, 20, chance.randrange(4), chance.randrange(4)]), chance.choice((24, 30, 32)), wire)
        route.metric = chance.randrange(3)
        route.tos = number  # so that none is like another
        at = 0
        while at < len(expected) and routes._is_before(expected[at], route):
            at += 1
        expected.insert(at, route)
        add_route(FIRST_NETWORK, route)
    assert [route for route in list_routes(FIRST_NETWORK, 4) if route.tos > 0 or route is expected[0]] == [
        route for route in expected if route.tos > 0 or route is expected[0]
    ]


def test_an_interface_with_many_addresses_comes_up_quickly(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each route, few others are looked at, and no other address. The sources are those of the first addresses."""
    for number in range(200):
        give_address(wire, bytes([172, 20, number % 4, 1 + number]), 24)
    before = [(route.destination, route.source) for route in list_routes(FIRST_NETWORK, 4)]
    bring_down(wire)
    looked_at: list[int] = []
    compare = routes._is_before

    def counting(old: Route, new: Route) -> bool:
        looked_at.append(1)
        return compare(old, new)

    monkeypatch.setattr(routes, "_is_before", counting)
    monkeypatch.setattr(interface_routes, "list_addresses", counted(list_addresses, looked_at))
    bring_up(wire)
    assert len(looked_at) < 200 * 3 * 10
    assert [(route.destination, route.source) for route in list_routes(FIRST_NETWORK, 4)] == before


def test_one_of_many_routes_is_found_and_deleted(wire: Wire) -> None:
    """By its place: tables are sorted."""
    made = []
    for number in range(512):
        route = Route(bytes([172, 16 + (number & 15), number >> 4, 0]), 24 if number % 2 else 28, wire)
        add_route(FIRST_NETWORK, route)
        made.append(route)
    table = routes.tables_for(FIRST_NETWORK, 4).main
    for route in made[::7]:
        at = routes.first_to(table, route.destination, route.prefix_length)
        assert table[at] is route
        found = routes.match_route(FIRST_NETWORK, 254, route.destination, route.prefix_length, 0, b"", -1)
        assert found is route
        routes.delete_route(FIRST_NETWORK, route)
        assert route not in table
        assert routes.match_route(FIRST_NETWORK, 254, route.destination, route.prefix_length, 0, b"", -1) is None
        with pytest.raises(Errno):
            routes.delete_route(FIRST_NETWORK, route)
    random.shuffle(made)
    for route in made:
        if route in table:
            routes.delete_route(FIRST_NETWORK, route)
    assert all(route not in table for route in made)
