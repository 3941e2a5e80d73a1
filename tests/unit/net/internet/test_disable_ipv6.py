"""conf/*/disable_ipv6: an interface loses all that it has with IPv6, and gets it again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.lang import EACCES, Errno
from kernel.net.internet.addresses import InterfaceAddress, add_address, list_addresses
from kernel.net.internet.interface_settings import DISABLE6
from kernel.net.internet.routes import list_routes
from kernel.net.internet.sysctl import IP6_SETTINGS
from kernel.net.link.device import NetworkDevice, bring_down, bring_up, register_device
from kernel.net.link.network import FIRST_NETWORK
from tools.simulated.wire import Wire

OURS = b"\xfd" + bytes(14) + b"\x01"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = FIRST_NETWORK.settings[:]
    yield
    FIRST_NETWORK.settings[:] = before


def held(device: NetworkDevice) -> tuple[int, int]:
    """How many addresses and routes of IPv6 it has."""
    routes = [route for route in list_routes(FIRST_NETWORK, 16) if route.device is device]
    return len(list_addresses(device, 16)), len(routes)


def test_an_interface_loses_its_addresses_and_routes(wire6: Wire) -> None:
    add_address(InterfaceAddress(wire6, OURS, 64))
    addresses, routes = held(wire6)
    assert addresses == 2 and routes > 2
    DISABLE6.write(wire6, 1)
    assert held(wire6) == (0, 0)
    with pytest.raises(Errno) as caught:
        add_address(InterfaceAddress(wire6, OURS, 64))
    assert caught.value.code == EACCES and held(wire6) == (0, 0)
    add_address(InterfaceAddress(wire6, b"\x0a\x00\x00\x01", 24))
    DISABLE6.write(wire6, 0)
    assert held(wire6)[0] == 1, "the link-local address has come back, the other one has not"
    add_address(InterfaceAddress(wire6, OURS, 64))
    assert held(wire6) == (addresses, routes)


def test_an_interface_without_it_goes_up_without_it(wire6: Wire) -> None:
    bring_down(wire6)
    DISABLE6.write(wire6, 1)
    bring_up(wire6)
    assert held(wire6) == (0, 0)
    DISABLE6.write(wire6, 2)  # as before
    assert held(wire6) == (0, 0)


def test_all_means_every_interface_and_those_to_come(wire6: Wire, loopback: NetworkDevice) -> None:
    before = held(loopback), held(wire6)
    IP6_SETTINGS.disable_ipv6.store([1])
    assert held(loopback) == held(wire6) == (0, 0)
    late = Wire()
    register_device(late)
    bring_up(late)
    assert DISABLE6.of(late) == 1 and held(late) == (0, 0)
    IP6_SETTINGS.disable_ipv6.store([0])
    assert (held(loopback), held(wire6)) == before and held(late)[0] == 1


def test_the_default_is_for_new_interfaces_alone(wire6: Wire) -> None:
    DISABLE6.default.store([1])
    late = Wire()
    register_device(late)
    bring_up(late)
    assert held(late) == (0, 0) and held(wire6)[0] == 1
