"""Known MTUs of paths: routers report packets that are too big (RFC 1191, RFC 8201).

A report is believed for ten minutes, and never below the protocol's minimum. The table is bounded: an attacker who
forges reports can make us forget entries, and no more.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import final
from kernel.net.link.network import Network, PartMaker, Ways, register_part
from kernel.net.link.part import Part

LEAST_MTU4: Final = 552  # as Linux: below this, forged reports would make us send tiny packets
LEAST_MTU6: Final = 1280
_LIFETIME_NS: Final = 600_000_000_000
_LIMIT: Final = 1024


@final
class PathMtu:
    """One report."""

    def __init__(self, mtu: int, expires_ns: int) -> None:
        self.mtu: int = mtu
        self.expires_ns: int = expires_ns


@final
class PathMtuTable(Part):
    """Reports by destination; the timer forgets old ones."""

    def __init__(self, ways: Ways) -> None:
        super().__init__()
        self.ways: Ways = ways
        self.paths: dict[bytes, PathMtu] = {}

    def expire(self, now_ns: int) -> None:
        next_ns = now_ns + _LIFETIME_NS
        old: list[bytes] = []
        for destination, path in self.paths.items():
            if path.expires_ns <= now_ns:
                old.append(destination)
            else:
                next_ns = min(next_ns, path.expires_ns)
        for destination in old:
            del self.paths[destination]
        self.ways.generation += 1
        if len(self.paths) > 0:
            self.start(next_ns)


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.path_mtus = PathMtuTable(network.ways)


register_part(_Maker())


def path_mtus_of(network: Network) -> PathMtuTable:
    """The known path MTUs of a network."""
    part = network.path_mtus
    assert isinstance(part, PathMtuTable)
    return part


def mtu_to(network: Network, destination: bytes, device_mtu: int) -> int:
    """The path's MTU as far as it is known."""
    table = path_mtus_of(network)
    if len(table.paths) == 0:
        return device_mtu
    found = table.paths.get(destination)
    return device_mtu if found is None else min(device_mtu, found.mtu)


def learn(network: Network, destination: bytes, mtu: int, now_ns: int) -> int:
    """A router reported that only `mtu` fits; returns the MTU now assumed. May raise MemoryError."""
    table = path_mtus_of(network)
    believed = max(mtu, LEAST_MTU4 if len(destination) == 4 else LEAST_MTU6)
    found = table.paths.get(destination)
    if found is not None:
        believed = min(believed, found.mtu)
        found.mtu = believed
        found.expires_ns = now_ns + _LIFETIME_NS
    else:
        if len(table.paths) >= _LIMIT:
            table.paths.clear()
        table.paths[destination] = PathMtu(believed, now_ns + _LIFETIME_NS)
    if not table.is_armed():
        table.start(now_ns + _LIFETIME_NS)
    table.ways.generation += 1
    return believed
