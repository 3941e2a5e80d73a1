"""Hooks: points in a packet's path through IP where code examines it, changes it, and decides whether it goes on.

The five points are netfilter's. A received packet passes PREROUTING, and then INPUT if it is for this host, or FORWARD
and POSTROUTING if not; a packet that this host sends passes OUTPUT and POSTROUTING. A network has a list of hooks for
each version of IP and each point, by rising priority. While it has none for a version, IP makes one comparison a
packet: `Network.hooks4` and `hooks6` are None then.

A hook may rely on this: `network_start` is set, and the IP header there is whole and sound; `transport_start` is set,
and is not after the packet's end. `start` is one of both. A fragment has a transport header only if `Place.offset` is
0. Code that changes addresses in the header changes `source` and `destination` too, and updates checksums.

Context: thread context; nothing sleeps. A hook may raise MemoryError: the packet is dropped.
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from kernel.lang import final
from kernel.lib.pace import spend
from kernel.net.link.packet import Packet

if TYPE_CHECKING:
    from kernel.net.link.device import NetworkDevice
    from kernel.net.link.network import Network

# Families (NFPROTO_*). Hooks are registered for these two.
FAMILY_IP4: Final = 2
FAMILY_IP6: Final = 10

# Points (NF_INET_*).
PREROUTING: Final = 0
INPUT: Final = 1
FORWARD: Final = 2
OUTPUT: Final = 3
POSTROUTING: Final = 4
POINTS: Final = 5

# Priorities (NF_IP_PRI_*) of hooks in a known order.
PRIORITY_RAW: Final = -300
PRIORITY_CONNECTIONS: Final = -200
PRIORITY_MANGLE: Final = -150
PRIORITY_DESTINATION_NAT: Final = -100
PRIORITY_FILTER: Final = 0
PRIORITY_SECURITY: Final = 50
PRIORITY_SOURCE_NAT: Final = 100
PRIORITY_CONFIRM: Final = 0x7FFF_FFFF  # the last: enters a connection whose first packet came this far

_PASS_COST: Final = 12  # instructions for an entry that is skipped
_NO_PROTOCOL: Final = -1
MOST_EXTENSIONS: Final = 64  # headers of IPv6 that are skipped to find the one after them
EXTENSION_COST: Final = 25  # instructions
_IP4_OFFSET: Final = 0x1FFF
_IP6_HEADER: Final = 40
_HOP_BY_HOP: Final = 0
_ROUTING: Final = 43
_FRAGMENT: Final = 44
_AUTHENTICATION: Final = 51
_DESTINATION_OPTIONS: Final = 60


class Verdict(IntEnum):
    """What happens to a packet."""

    DROP = 0
    ACCEPT = 1  # it goes on to the next hook
    STOLEN = 2  # the hook keeps it, and has done all that is needed


@final
class Place:
    """Where a packet is in its path. It is for one point, and is not kept."""

    def __init__(self, network: "Network", family: int, point: int) -> None:
        self.network: Network = network
        self.family: int = family
        self.point: int = point
        self.input: NetworkDevice | None = None  # PREROUTING, INPUT, FORWARD
        self.output: NetworkDevice | None = None  # FORWARD, OUTPUT, POSTROUTING
        self.gateway: bytes = b""  # where there is an output: the next hop; empty: the destination itself
        self.mtu: int = 0  # where there is an output: of the path
        self.reroute: bool = False  # a hook in OUTPUT asks for a new look-up, by the packet's new addresses
        self.protocol: int = _NO_PROTOCOL  # of the transport header; -1: none was found
        self.offset: int = 0  # of a fragment, in bytes

    def find_transport(self, packet: Packet) -> None:
        """Set `protocol`, `offset` and the packet's `transport_start` by its headers."""
        header = packet.network_header()
        self.protocol = _NO_PROTOCOL
        if self.family == FAMILY_IP4:
            self.protocol = header[9]
            self.offset = (header.load_be16(6) & _IP4_OFFSET) * 8
            packet.transport_start = packet.network_start + (header[0] & 0xF) * 4
            return
        kind = header[6]
        at = _IP6_HEADER
        left = MOST_EXTENSIONS
        while at + 8 <= len(header) and left > 0:
            left -= 1
            spend(EXTENSION_COST)
            if kind == _FRAGMENT:
                self.offset = header.load_be16(at + 2) & 0xFFF8
                length = 8
            elif kind == _HOP_BY_HOP or kind == _ROUTING or kind == _DESTINATION_OPTIONS:
                length = 8 + header[at + 1] * 8
            elif kind == _AUTHENTICATION:
                length = 8 + header[at + 1] * 4
            else:
                break
            if self.offset != 0 or at + length > len(header):
                break
            kind = header[at]
            at += length
        self.protocol = kind
        packet.transport_start = packet.network_start + at


class Hook:
    """Code that examines packets. Base class."""

    def __init__(self, priority: int) -> None:
        self.priority: int = priority  # smaller numbers come first

    def look(self, packet: Packet, place: Place) -> Verdict:
        """Decide about a packet. May change it; may raise MemoryError."""
        return Verdict.ACCEPT


@final
class Hooks:
    """A network's hooks for one version of IP.

    Invariant: each list is sorted by priority, and equal ones by the order of registration.
    """

    def __init__(self) -> None:
        self.lists: list[list[Hook]] = [[], [], [], [], []]
        self.users: int = 0  # hooks, and users that want fragments reassembled
        self.want_whole: int = 0  # users that want no fragments: IP reassembles them before PREROUTING

    def run(self, packet: Packet, place: Place) -> Verdict:
        """Run all hooks of a point. May raise MemoryError."""
        place.find_transport(packet)
        for hook in self.lists[place.point]:
            verdict = hook.look(packet, place)
            if verdict != Verdict.ACCEPT:
                return verdict
        return Verdict.ACCEPT


def hooks_of(network: "Network", family: int) -> Hooks | None:
    """The hooks of a network for a version of IP; None if there are none."""
    return network.hooks4 if family == FAMILY_IP4 else network.hooks6


def _use(network: "Network", family: int) -> Hooks:
    """The hooks, created if there are none. Raises MemoryError."""
    hooks = hooks_of(network, family)
    if hooks is None:
        hooks = Hooks()
        if family == FAMILY_IP4:
            network.hooks4 = hooks
        else:
            network.hooks6 = hooks
    if hooks.users == 0:
        network.onlookers += 1
    hooks.users += 1
    return hooks


def _unuse(network: "Network", family: int, hooks: Hooks) -> None:
    hooks.users -= 1
    if hooks.users > 0:
        return
    network.onlookers -= 1
    if family == FAMILY_IP4:
        network.hooks4 = None
    else:
        network.hooks6 = None


def register_hook(network: "Network", family: int, point: int, hook: Hook) -> None:
    """Enter a hook, after those of its priority. Raises MemoryError, with nothing done."""
    hooks = _use(network, family)
    entries = hooks.lists[point]
    at = len(entries)
    while at > 0 and entries[at - 1].priority > hook.priority:
        at -= 1
    try:
        entries.insert(at, hook)
    except MemoryError:
        _unuse(network, family, hooks)
        raise


def unregister_hook(network: "Network", family: int, point: int, hook: Hook) -> None:
    """Remove a registered hook."""
    hooks = hooks_of(network, family)
    if hooks is not None:
        spend(len(hooks.lists[point]) * _PASS_COST)
        hooks.lists[point].remove(hook)
        _unuse(network, family, hooks)


def want_whole(network: "Network", family: int) -> None:
    """From now on IP reassembles fragments before PREROUTING. Raises MemoryError."""
    _use(network, family).want_whole += 1


def want_whole_no_more(network: "Network", family: int) -> None:
    """The reverse of `want_whole`."""
    hooks = hooks_of(network, family)
    if hooks is not None:
        hooks.want_whole -= 1
        _unuse(network, family, hooks)


def take_addresses_from_header(packet: Packet) -> None:
    """The IP header was changed: update the packet's fields from it."""
    header = packet.network_header()
    if len(packet.source) == 4:
        packet.source = header[12:16].to_bytes()
        packet.destination = header[16:20].to_bytes()
        packet.hop_limit = header[8]
        packet.traffic_class = header[1]
    else:
        packet.source = header[8:24].to_bytes()
        packet.destination = header[24:40].to_bytes()
        packet.hop_limit = header[7]
        packet.traffic_class = header.load_be16(0) >> 4 & 0xFF
