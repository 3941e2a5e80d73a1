"""Known MTUs of paths: routers report packets that are too big (RFC 1191, RFC 8201).

A report is believed for ten minutes, and never below the least that the protocol allows. The table is bounded
(reports.py).

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import final
from kernel.net.internet.reports import Report, ReportTable
from kernel.net.link.network import Network, PartMaker, register_part

LEAST_MTU4: Final = 552  # as Linux: below this, forged reports would make us send tiny packets
LEAST_MTU6: Final = 1280
_LIFETIME_NS: Final = 600_000_000_000


@final
class PathMtu(Report):
    """The MTU of the path to a destination."""

    def __init__(self, mtu: int) -> None:
        super().__init__(0)
        self.mtu: int = mtu


@final
class PathMtuTable(ReportTable):
    """All that a network knows."""

    def find(self, destination: bytes) -> PathMtu | None:
        """What is known of one path."""
        found = self.reports.get(destination)
        if found is None:
            return None
        assert isinstance(found, PathMtu)
        return found


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.path_mtus = PathMtuTable(network.ways, _LIFETIME_NS)


register_part(_Maker())


def path_mtus_of(network: Network) -> PathMtuTable:
    """The known path MTUs of a network."""
    part = network.path_mtus
    assert isinstance(part, PathMtuTable)
    return part


def mtu_to(network: Network, destination: bytes, device_mtu: int) -> int:
    """The path's MTU as far as it is known."""
    table = path_mtus_of(network)
    if len(table.reports) == 0:
        return device_mtu
    found = table.find(destination)
    return device_mtu if found is None else min(device_mtu, found.mtu)


def learn(network: Network, destination: bytes, mtu: int, now_ns: int) -> int:
    """A router reported that only `mtu` fits; returns the MTU now assumed. May raise MemoryError."""
    table = path_mtus_of(network)
    believed = max(mtu, LEAST_MTU4 if len(destination) == 4 else LEAST_MTU6)
    found = table.find(destination)
    if found is None:
        found = PathMtu(believed)
    found.mtu = min(believed, found.mtu)
    table.note(destination, found, now_ns)
    return found.mtu
