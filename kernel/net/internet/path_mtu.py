"""What is known of paths' MTUs: routers report packets that are too big (RFC 1191, RFC 8201).

A report is believed for ten minutes, and never below the least that the protocol allows. The table is bounded: one who
sends forged reports can make us forget, and no more.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import final
from kernel.net.internet.routes import routes_changed
from kernel.net.link.timers import NetworkTimer

LEAST_MTU4: Final = 552  # as Linux: less would make us send tiny packets on a forged report
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
class PathMtuTable(NetworkTimer):
    """Reports by destination; the timer forgets old ones."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: dict[bytes, PathMtu] = {}

    def expire(self, now_ns: int) -> None:
        next_ns = now_ns + _LIFETIME_NS
        old: list[bytes] = []
        for destination in self.paths.keys():
            expires_ns = self.paths[destination].expires_ns
            if expires_ns <= now_ns:
                old.append(destination)
            else:
                next_ns = min(next_ns, expires_ns)
        for destination in old:
            del self.paths[destination]
        routes_changed()
        if len(self.paths) > 0:
            self.start(next_ns)


TABLE: Final = PathMtuTable()


def mtu_to(destination: bytes, device_mtu: int) -> int:
    """The path's MTU as far as it is known."""
    if len(TABLE.paths) == 0:
        return device_mtu
    found = TABLE.paths.get(destination)
    return device_mtu if found is None else min(device_mtu, found.mtu)


def learn(destination: bytes, mtu: int, now_ns: int) -> int:
    """A router reported that only `mtu` fits; returns what is believed. May raise MemoryError."""
    believed = max(mtu, LEAST_MTU4 if len(destination) == 4 else LEAST_MTU6)
    found = TABLE.paths.get(destination)
    if found is not None:
        believed = min(believed, found.mtu)
        found.mtu = believed
        found.expires_ns = now_ns + _LIFETIME_NS
    else:
        if len(TABLE.paths) >= _LIMIT:
            TABLE.paths.clear()
        TABLE.paths[destination] = PathMtu(believed, now_ns + _LIFETIME_NS)
    if not TABLE.is_armed():
        TABLE.start(now_ns + _LIFETIME_NS)
    routes_changed()
    return believed
