"""Better gateways for single destinations, as routers have reported them (RFC 1122 section 3.2.2.2, RFC 4861 section
8).

An entry says where packets for a destination go instead of to the gateway of their route. It is believed for five
minutes, and no longer than the route has that gateway. The table is bounded: one who forges messages can make us
forget, and no more.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import final
from kernel.net.internet.routes import routes_changed
from kernel.net.link.device import NetworkDevice
from kernel.net.link.timers import NetworkTimer

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
class RedirectionTable(NetworkTimer):
    """By destination; the timer forgets old ones."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[bytes, Redirection] = {}

    def expire(self, now_ns: int) -> None:
        next_ns = now_ns + _LIFETIME_NS
        old: list[bytes] = []
        for destination in self.entries.keys():
            expires_ns = self.entries[destination].expires_ns
            if expires_ns <= now_ns:
                old.append(destination)
            else:
                next_ns = min(next_ns, expires_ns)
        for destination in old:
            del self.entries[destination]
        routes_changed()
        if len(self.entries) > 0:
            self.start(next_ns)


TABLE: Final = RedirectionTable()


def gateway_to(destination: bytes, device: NetworkDevice, gateway: bytes) -> bytes:
    """The gateway for a destination whose route goes by `gateway`; empty if the destination is on the link."""
    if len(TABLE.entries) == 0:
        return gateway
    found = TABLE.entries.get(destination)
    if found is None or found.device is not device or found.router != gateway:
        return gateway
    return found.gateway


def learn(destination: bytes, device: NetworkDevice, router: bytes, gateway: bytes, now_ns: int) -> None:
    """Send to `destination` by `gateway` where the route says `router`. May raise MemoryError."""
    if len(TABLE.entries) >= _LIMIT:
        TABLE.entries.clear()
    TABLE.entries[destination] = Redirection(device, router, gateway, now_ns + _LIFETIME_NS)
    if not TABLE.is_armed():
        TABLE.start(now_ns + _LIFETIME_NS)
    routes_changed()
