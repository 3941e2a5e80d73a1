"""Better gateways for single destinations, as reported by routers (RFC 1122 section 3.2.2.2, RFC 4861 section
8).

A report says where packets for a destination go instead of to the gateway of their route. It is believed for five
minutes, and no longer than the route has that gateway. The table is bounded (reports.py).

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import final
from kernel.net.internet.reports import Report, ReportTable
from kernel.net.link.device import NetworkDevice
from kernel.net.link.network import Network, PartMaker, register_part

_LIFETIME_NS: Final = 300_000_000_000


@final
class Redirection(Report):
    """What a router reported."""

    def __init__(self, device: NetworkDevice, router: bytes, gateway: bytes) -> None:
        super().__init__(0)
        self.device: NetworkDevice = device
        self.router: bytes = router  # that reported it: the gateway of the route
        self.gateway: bytes = gateway  # empty: the destination is on the link


@final
class RedirectionTable(ReportTable):
    """All that a network knows."""


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.redirections = RedirectionTable(network.ways, _LIFETIME_NS)


register_part(_Maker())


def _table_of(network: Network) -> RedirectionTable:
    part = network.redirections
    assert isinstance(part, RedirectionTable)
    return part


def gateway_to(destination: bytes, device: NetworkDevice, gateway: bytes) -> bytes:
    """The gateway for a destination whose route goes by `gateway`; empty if the destination is on the link."""
    reports = _table_of(device.network).reports
    if len(reports) == 0:
        return gateway
    found = reports.get(destination)
    if found is None:
        return gateway
    assert isinstance(found, Redirection)
    if found.device is not device or found.router != gateway:
        return gateway
    return found.gateway


def learn(destination: bytes, device: NetworkDevice, router: bytes, gateway: bytes, now_ns: int) -> None:
    """Send to `destination` by `gateway` where the route says `router`. May raise MemoryError."""
    _table_of(device.network).note(destination, Redirection(device, router, gateway), now_ns)
