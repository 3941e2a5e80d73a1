"""Better gateways for single destinations, as reported by routers (RFC 1122 section 3.2.2.2, RFC 4861 section
8).

An entry names the gateway for a destination's packets in place of their route's. It is believed for five
minutes, and only while the route keeps its own gateway. The table is bounded: an attacker who forges messages can
make us forget entries, and no more.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import final
from kernel.net.link.device import NetworkDevice
from kernel.net.link.network import Network, PartMaker, Ways, register_part
from kernel.net.link.part import Part

_LIFETIME_NS: Final = 300_000_000_000
_LIMIT: Final = 1024


@final
class Redirection:
    """What a router reported."""

    def __init__(self, device: NetworkDevice, router: bytes, gateway: bytes, expires_ns: int) -> None:
        self.device: NetworkDevice = device
        self.router: bytes = router  # that reported it: the gateway of the route
        self.gateway: bytes = gateway  # empty: the destination is on the link
        self.expires_ns: int = expires_ns


@final
class RedirectionTable(Part):
    """By destination; the timer forgets old ones."""

    def __init__(self, ways: Ways) -> None:
        super().__init__()
        self.ways: Ways = ways
        self.entries: dict[bytes, Redirection] = {}

    def expire(self, now_ns: int) -> None:
        next_ns = now_ns + _LIFETIME_NS
        old: list[bytes] = []
        for destination, entry in self.entries.items():
            if entry.expires_ns <= now_ns:
                old.append(destination)
            else:
                next_ns = min(next_ns, entry.expires_ns)
        for destination in old:
            del self.entries[destination]
        self.ways.generation += 1
        if len(self.entries) > 0:
            self.start(next_ns)

    def end(self) -> None:
        super().end()
        self.entries.clear()


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.redirections = RedirectionTable(network.ways)


register_part(_Maker())


def _table_of(network: Network) -> RedirectionTable:
    part = network.redirections
    assert isinstance(part, RedirectionTable)
    return part


def gateway_to(destination: bytes, device: NetworkDevice, gateway: bytes) -> bytes:
    """The gateway for a destination whose route has `gateway`; empty if the destination is on the link."""
    entries = _table_of(device.network).entries
    if len(entries) == 0:
        return gateway
    found = entries.get(destination)
    if found is None or found.device is not device or found.router != gateway:
        return gateway
    return found.gateway


def learn(destination: bytes, device: NetworkDevice, router: bytes, gateway: bytes, now_ns: int) -> None:
    """Send to `destination` through `gateway` where the route says `router`. May raise MemoryError."""
    table = _table_of(device.network)
    if len(table.entries) >= _LIMIT:
        table.entries.clear()
    table.entries[destination] = Redirection(device, router, gateway, now_ns + _LIFETIME_NS)
    if not table.is_armed():
        table.start(now_ns + _LIFETIME_NS)
    table.ways.generation += 1
