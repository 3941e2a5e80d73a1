"""What others do while an interface with many addresses, routes, neighbours and groups goes up, down or away."""

from collections.abc import Callable

import pytest

from kernel.lang import EEXIST, ENODEV, Errno
from kernel.lib.namespace import FIRST_USER
from kernel.net.internet.addresses import (
    InterfaceAddress,
    add_address,
    addresses_of,
    delete_address,
    find_on,
    list_addresses,
)
from kernel.net.internet.membership import join, leave, list_memberships
from kernel.net.internet.routes import Route, Routing, add_route, list_routes
from kernel.net.link.device import (
    NetworkDevice,
    bring_down,
    bring_up,
    device_by_index,
    device_by_name,
    register_device,
    rename_device,
)
from kernel.net.link.dummy import DummyDevice
from kernel.net.link.neighbours import PERMANENT, delete_neighbour, list_neighbours, set_neighbour
from kernel.net.link.network import FIRST_NETWORK, LIMBO, move_device, new_network, remove_device
from tests.unit.meanwhile import meanwhile
from tests.unit.net.conftest import Wire

LINK = b"\2\0\0\0\0\1"


def numbered(number: int) -> bytes:
    return bytes([172, 20, 0, number])


def with_addresses(device: NetworkDevice, count: int, prefix: int = 32) -> list[InterfaceAddress]:
    entries = [InterfaceAddress(device, numbered(number), prefix) for number in range(1, count + 1)]
    for entry in entries:
        add_address(entry)
    return entries


def is_routed(address: bytes) -> bool:
    return any(route.destination == address for route in list_routes(FIRST_NETWORK, 4))


def test_an_address_that_is_deleted_while_its_interface_goes_up_gets_no_routes(wire: Wire) -> None:
    bring_down(wire)
    first, _, third = with_addresses(wire, 3)
    seen: list[bool] = []

    def delete() -> None:
        seen.append(wire.is_changing)
        delete_address(third)

    with meanwhile(delete):
        bring_up(wire)
    assert seen == [True] and not wire.is_changing
    assert is_routed(first.address) and not is_routed(third.address)


def test_secondary_addresses_that_others_delete_meanwhile(wire: Wire) -> None:
    entries = with_addresses(wire, 6, 24)
    with meanwhile(lambda: delete_address(entries[4]), 2):
        delete_address(entries[0])
    assert all(find_on(wire, entry.address) is None for entry in entries)
    assert not any(is_routed(entry.address) for entry in entries)


def test_an_address_added_while_those_of_its_prefix_go_is_the_first_of_it(wire: Wire) -> None:
    entries = with_addresses(wire, 4, 24)
    fresh = InterfaceAddress(wire, numbered(77), 24)
    with meanwhile(lambda: add_address(fresh), 2):
        delete_address(entries[0])
    assert fresh.is_listed and is_routed(numbered(0))
    assert [entry for entry in list_addresses(wire, 4) if entry in entries] == []


def test_an_interface_that_leaves_gets_nothing_new(wire: Wire) -> None:
    device = DummyDevice(FIRST_NETWORK, b"leaves", LINK)
    register_device(device)
    index = device.index
    with_addresses(device, 40)
    refused: list[int] = []

    def refuse(act: Callable[[], object]) -> None:
        with pytest.raises(Errno) as caught:
            act()
        refused.append(caught.value.code)

    def others() -> None:
        assert device_by_name(FIRST_NETWORK, b"leaves") is None and device_by_index(FIRST_NETWORK, index) is None
        refuse(lambda: add_address(InterfaceAddress(device, numbered(99), 32)))
        refuse(lambda: add_route(FIRST_NETWORK, Route(numbered(99), 32, device)))
        refuse(lambda: join(device, b"\xe1\0\0\1"))
        refuse(lambda: rename_device(wire, b"leaves"))

    with meanwhile(others):
        remove_device(device)
    assert refused == [ENODEV, ENODEV, ENODEV, EEXIST]
    assert device.network is LIMBO and b"leaves" not in FIRST_NETWORK.by_name
    assert all(entry.device is not device for entry in addresses_of(FIRST_NETWORK).entries)
    assert all(route.device is not device for route in list_routes(FIRST_NETWORK, 4))


def test_neighbours_and_groups_that_go_meanwhile(wire: Wire) -> None:
    device = DummyDevice(FIRST_NETWORK, b"leaves", LINK)
    register_device(device)
    bring_up(device)
    for number in range(1, 6):
        set_neighbour(device, numbered(number), LINK, PERMANENT)
    with meanwhile(lambda: delete_neighbour(device, numbered(4))):
        bring_down(device)
    assert all(neighbour.device is not device for neighbour in list_neighbours(FIRST_NETWORK, 4))
    joined = [join(device, bytes([225, 0, 0, number])) for number in range(1, 6)]
    with meanwhile(lambda: leave(joined[3])):
        remove_device(device)
    assert list_memberships(device, 4) == []
    for membership in joined:
        if membership is not joined[3]:
            leave(membership)


def test_an_interface_that_moves_is_where_it_was_until_then(wire: Wire) -> None:
    device = DummyDevice(FIRST_NETWORK, b"moves", LINK)
    register_device(device)
    with_addresses(device, 40)
    other = new_network(FIRST_USER)
    seen: list[bool] = []
    with meanwhile(lambda: seen.append(device.network is FIRST_NETWORK and device.is_leaving)):
        move_device(device, other, b"moved", 0)
    assert seen == [True] and not device.is_leaving
    assert device.network is other and device_by_name(other, b"moved") is device
    remove_device(device)
    remove_device(other.loopback)


def test_the_routes_of_an_ended_network_go_with_safe_points() -> None:
    network = new_network(FIRST_USER)
    for number in range(5):
        route = Route(numbered(number), 32, None)
        add_route(network, route)
    left: list[int] = []
    routing = network.routing
    assert isinstance(routing, Routing)
    with meanwhile(lambda: left.append(len(routing.ip4.main)), 3):
        routing.end()
    assert left == [2] and len(routing.ip4.main) == 0
    remove_device(network.loopback)
