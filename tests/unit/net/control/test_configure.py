"""What `ip=` on the kernel's command line makes of a host whose card has no address yet."""

from __future__ import annotations

import pytest

from kernel.net.control import configure
from kernel.net.control.configure import Configuration, LeaseKeeper
from kernel.net.control.dhcp import CLIENT_PORT, Lease
from kernel.net.datagram.udp import udp_sockets_of
from kernel.net.internet.addresses import addresses_of
from kernel.net.internet.routes import add_route, tables_for
from kernel.net.link.device import NetworkDevice, register_device
from kernel.net.link.network import FIRST_NETWORK, LIMBO
from tools.simulated.wire import Wire


@pytest.mark.parametrize(("value", "address", "asks"), [
    (b"10.0.2.15::10.0.2.2:255.255.255.0::eth0:off:10.0.2.3", (b"\x0a\x00\x02\x0f", 24), False),
    (b"10.0.2.15::10.0.2.2:255.255.255.0::eth0:none", (b"\x0a\x00\x02\x0f", 24), False),
    (b"10.0.2.15::10.0.2.2:255.255.255.0::eth0:dhcp", (b"\x0a\x00\x02\x0f", 24), False),
    (b"10.0.2.15", (b"\x0a\x00\x02\x0f", 8), False),
    (b"", None, False),
    (b"off", None, False), (b"none", None, False), (b"::::::off", None, False), (b":::::eth0:none", None, False),
    (b"dhcp", None, True), (b"on", None, True), (b"::::::dhcp", None, True), (b":::::eth0", None, True),
])  # fmt: skip
def test_who_gives_the_address(
    loopback: NetworkDevice, monkeypatch: pytest.MonkeyPatch, value: bytes, address: tuple[bytes, int] | None,
    asks: bool,
) -> None:
    asked: list[NetworkDevice] = []
    monkeypatch.setattr(configure, "_start_dhcp", asked.append)
    monkeypatch.setattr(configure, "_configuration", Configuration())
    wire = Wire()
    register_device(wire)
    configure.configure(value)
    found = [(each.address, each.prefix_length) for each in addresses_of(FIRST_NETWORK).entries
             if each.device is wire and len(each.address) == 4]  # fmt: skip
    assert found == ([] if address is None else [address])
    assert asked == ([wire] if asks else [])
    assert (configure.pnp() != b"") == (address is not None)


def test_a_client_without_memory_for_a_turn_takes_another(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[str] = []

    def turn(keeper: LeaseKeeper) -> None:
        turns.append("turn")
        if len(turns) == 3:
            assert CLIENT_PORT in udp_sockets_of(FIRST_NETWORK).by_port
            monkeypatch.setattr(wire, "network", LIMBO)  # the card has gone
            return
        raise MemoryError

    monkeypatch.setattr(LeaseKeeper, "turn", turn)
    monkeypatch.setattr(configure, "yield_now", lambda: None)
    configure._client(wire.index)
    assert len(turns) == 3 and CLIENT_PORT not in udp_sockets_of(FIRST_NETWORK).by_port


def test_a_lease_that_came_without_memory_for_its_route_takes_effect_later(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = LeaseKeeper(wire)
    lease = Lease()
    lease.address, lease.router = b"\x0a\x00\x00\x0f", b"\x0a\x00\x00\x02"
    keeper.client.lease = lease
    keeper.client.due_ns = 1 << 62
    monkeypatch.setattr(configure, "_configuration", Configuration())

    def none_left(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(configure, "add_route", none_left)
    with pytest.raises(MemoryError):
        keeper.turn()
    assert keeper.held is None
    monkeypatch.setattr(configure, "add_route", add_route)
    monkeypatch.setattr(type(keeper.socket.waiters), "sleep_until", lambda *_, **__: False)
    keeper.turn()
    assert keeper.held is lease and configure._configuration.is_done
    assert [route.gateway for route in tables_for(FIRST_NETWORK, 4).main if route.prefix_length == 0] == [lease.router]
    keeper.socket.release()
