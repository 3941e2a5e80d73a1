"""Where to send a packet: from a destination to a device, a neighbour, a source address and an MTU.

`resolve` returns a `NextHop`, which sockets keep and use until `is_current` returns False: then they
ask again. That makes sending cheap.

Context: thread context; nothing sleeps.
Source: RFC 1122 section 3.3.1, RFC 6724 (source address selection), ip(7).
"""

from typing import Final

from kernel.lang import EACCES, EADDRNOTAVAIL, EHOSTUNREACH, EINVAL, ENETUNREACH, Errno, final
from kernel.lib.pace import spend
from kernel.net.internet import path_mtu, redirects
from kernel.net.internet.addresses import (
    ADDRESS_DEPRECATED,
    ANY4,
    ANY6,
    LIMITED_BROADCAST,
    LOOPBACK4,
    LOOPBACK6,
    SCOPE_LINK,
    InterfaceAddress,
    addresses_of,
    is_in,
    is_link_local,
    is_loopback,
    is_multicast,
    is_unspecified,
    multicast_link_address,
    owner_of,
    scope_of,
)
from kernel.net.internet.interface_settings import ROUTE_LOCALNET4, link_mtu6
from kernel.net.internet.routes import (
    BLACKHOLE,
    BROADCAST,
    LOCAL,
    MULTICAST,
    PROHIBIT,
    THROW,
    UNICAST,
    UNREACHABLE,
    Route,
    find_route,
)
from kernel.net.link.device import NetworkDevice, device_by_index
from kernel.net.link.ethernet import ETHERTYPE_IP4, ETHERTYPE_IP6, send
from kernel.net.link.neighbours import Neighbour, fixed_neighbour, neighbour_for
from kernel.net.link.network import Network, Ways
from kernel.net.link.packet import Packet

_ENTRY_COST: Final = 120  # instructions for each address that may be the source


@final
class NextHop:
    """The answer for one destination."""

    def __init__(self, destination: bytes, device: NetworkDevice, kind: int) -> None:
        self.destination: bytes = destination
        self.device: NetworkDevice = device  # through which packets leave: lo for this host's own addresses
        self.kind: int = kind  # UNICAST, LOCAL, BROADCAST or MULTICAST of routes.py
        self.gateway: bytes = b""  # empty: the destination is on the link
        self.source: bytes = b""  # the source address, unless the sender has one of its own
        self.mtu: int = device.mtu  # of the path
        self.neighbour: Neighbour | None = None
        self.route: Route | None = None
        self.network: Network = device.network
        self.ways: Ways = device.network.ways
        self.generation: int = self.ways.generation

    def is_current(self) -> bool:
        """Whether the answer still holds."""
        return self.generation == self.ways.generation

    def is_local(self) -> bool:
        """Whether packets stay on this host."""
        return self.device.is_loop

    def with_device_mtu(self) -> "NextHop":
        """The same route for a sender that does not believe reports about the path's MTU."""
        if self.mtu == self.device.mtu:
            return self
        if len(self.destination) == 16 and self.mtu == link_mtu6(self.device):
            return self
        other = NextHop(self.destination, self.device, self.kind)
        if len(self.destination) == 16:
            other.mtu = link_mtu6(self.device)
        other.gateway = self.gateway
        other.source = self.source
        other.neighbour = self.neighbour
        other.route = self.route
        return other

    def transmit(self, packet: Packet) -> None:
        """Send a packet, which starts with its IP header. May raise MemoryError, ENOBUFS."""
        protocol = ETHERTYPE_IP4 if len(self.destination) == 4 else ETHERTYPE_IP6
        if self.device.is_loop:
            send(packet, self.device, b"", protocol)
            return
        neighbour = self.neighbour
        if neighbour is None or not neighbour.is_listed:
            if not self.device.is_up():
                return  # it is going down: its neighbours have gone, and its routes will
            neighbour = self._find_neighbour()
            self.neighbour = neighbour
        neighbour.send(packet, protocol)

    def _find_neighbour(self) -> Neighbour:
        if self.kind == BROADCAST:
            return fixed_neighbour(self.device, self.destination, self.device.broadcast)
        if self.kind == MULTICAST:
            return fixed_neighbour(self.device, self.destination, multicast_link_address(self.destination))
        return neighbour_for(self.device, self.destination if len(self.gateway) == 0 else self.gateway)

    def confirm(self) -> None:
        """The other end has just answered: so the neighbour on the route to it is reachable."""
        neighbour = self.neighbour
        if neighbour is not None:
            neighbour.confirm()


def resolve(network: Network, destination: bytes, source: bytes = b"", device_index: int = 0) -> NextHop:
    """Find the route in a network to `destination`, for a sender that is bound to `source` and to a device, where these
    are not empty.

    ENETUNREACH without a route, EHOSTUNREACH, EACCES or EINVAL where the route says so; EADDRNOTAVAIL for IPv6 if the
    sender has no address and this host has no suitable one.
    """
    if destination == ANY4:
        # This host: no table is consulted, as on Linux.
        own = LOOPBACK4 if len(source) == 0 or source == ANY4 else source
        hop = NextHop(own, network.loopback, LOCAL)
        hop.source = own
        return hop
    if destination == ANY6:
        destination = LOOPBACK6
    hop = _resolve(network, destination, source, device_index)
    if len(hop.source) == 16 and is_unspecified(hop.source):
        raise Errno(EADDRNOTAVAIL)
    if len(source) == 4 and is_loopback(source) and not hop.device.is_loop:
        if not ROUTE_LOCALNET4.is_set_for(hop.device):
            raise Errno(EINVAL)  # addresses of lo stay in the host
    return hop


def _resolve(network: Network, destination: bytes, source: bytes, device_index: int) -> NextHop:
    is_group = is_multicast(destination)
    if destination == LIMITED_BROADCAST or is_group:
        device = _device_for_group(network, source, device_index)
        if device is None and len(destination) == 16 and is_group:
            device = _first_device(network)
        is_loop6 = device is network.loopback and len(destination) == 16
        if is_loop6 and find_route(network, destination, network.loopback.index) is None:
            raise Errno(ENETUNREACH)  # it has no route for groups, unlike the others
        if device is not None:
            return _direct(destination, device, MULTICAST if is_group else BROADCAST, source)
    if len(destination) == 16 and device_index == 0 and is_link_local(destination) and (
        owner_of(network, destination) is None
    ):
        device = _first_device(network)
        if device is None:
            raise Errno(_no_route(network, source, destination))
        device_index = device.index
    route = find_route(network, destination, device_index)
    if route is None:
        device = device_by_index(network, device_index)
        # Bound to a device, a sender may reach its link before any route exists: DHCP does.
        if device is not None and device.is_up() and len(destination) == 4:
            return _direct(destination, device, UNICAST, source)
        raise Errno(_no_route(network, source, destination))
    _check_kind(route)
    device = route.device
    if device is None:
        raise Errno(ENETUNREACH)
    kind = BROADCAST if destination == LIMITED_BROADCAST else MULTICAST if is_group else route.kind
    hop = NextHop(destination, network.loopback if kind == LOCAL else device, kind)
    if kind == UNICAST:
        hop.gateway = redirects.gateway_to(destination, device, route.gateway)
        hop.mtu = _mtu_by(route, device, destination)
    hop.route = route
    route.uses += 1
    hop.source = source if len(source) != 0 and not is_unspecified(source) else _source_for(route, destination, device)
    return hop


def mtu_to(network: Network, destination: bytes) -> int:
    """The MTU of the route to `destination`, in bytes, or 0 where there is none. No source address is looked for,
    so it takes one look-up of routes and no more.
    """
    if is_unspecified(destination):
        return network.loopback.mtu
    route = find_route(network, destination)
    device = None if route is None else route.device
    if route is None or device is None:
        return 0
    if route.kind == LOCAL:
        return network.loopback.mtu
    if route.kind == UNICAST:
        return _mtu_by(route, device, destination)
    return device.mtu if route.kind == BROADCAST or route.kind == MULTICAST else 0


def _mtu_by(route: Route, device: NetworkDevice, destination: bytes) -> int:
    """The MTU through a device, by a route, as far as is known for the destination."""
    mtu = link_mtu6(device) if len(destination) == 16 else device.mtu
    if route.mtu != 0:
        mtu = min(mtu, route.mtu)
    return path_mtu.mtu_to(device.network, destination, mtu)


def _no_route(network: Network, source: bytes, destination: bytes) -> int:
    """The first obstacle: IPv6 looks for a source before it judges the route."""
    if len(destination) == 16 and len(source) == 0 and select_source6(network.loopback, destination) == ANY6:
        return EADDRNOTAVAIL
    return ENETUNREACH


def _check_kind(route: Route) -> None:
    kind = route.kind
    if kind == BLACKHOLE:
        raise Errno(EINVAL)
    if kind == UNREACHABLE:
        raise Errno(EHOSTUNREACH)
    if kind == PROHIBIT:
        raise Errno(EACCES)
    if kind == THROW:
        raise Errno(ENETUNREACH)


def _direct(destination: bytes, device: NetworkDevice, kind: int, source: bytes) -> NextHop:
    """A destination on a device's link, whatever the routes say."""
    hop = NextHop(destination, device, kind)
    if len(source) == 0 or is_unspecified(source):
        hop.source = select_source4(device, destination, SCOPE_LINK) if len(destination) == 4 else select_source6(
            device, destination
        )
    else:
        hop.source = source
    return hop


def _device_for_group(network: Network, source: bytes, device_index: int) -> NetworkDevice | None:
    """The device for a sender's multicast or broadcast packet: its own, or that of its address."""
    device = device_by_index(network, device_index)
    if device is None and len(source) == 4 and source != ANY4:
        entry = owner_of(network, source)
        if entry is not None:
            device = entry.device
    return device if device is not None and device.is_up() else None


def _first_device(network: Network) -> NetworkDevice | None:
    """The first device with an IPv6 link-local address, for an address without a zone."""
    for entry in addresses_of(network).entries:
        if len(entry.address) == 16 and entry.is_usable() and not is_loopback(entry.address) and entry.device.is_up():
            return entry.device
    return None


def _source_for(route: Route, destination: bytes, device: NetworkDevice) -> bytes:
    if len(route.source) != 0:
        return route.source
    if route.kind == LOCAL:
        return destination
    if len(destination) == 4:
        return select_source4(device, route.gateway if len(route.gateway) != 0 else destination, route.scope)
    return select_source6(device, destination)


def select_source4(device: NetworkDevice, neighbour: bytes, scope: int) -> bytes:
    """The source address on a device for a neighbour on its link; another device's if it has none; or 0.0.0.0.
    """
    first: InterfaceAddress | None = None
    spend(len(addresses_of(device.network).entries) * _ENTRY_COST)
    for entry in addresses_of(device.network).entries:
        if entry.device is not device or len(entry.address) != 4 or entry.scope > max(scope, SCOPE_LINK):
            continue
        if is_in(neighbour, entry.address, entry.prefix_length):
            return entry.address
        if first is None:
            first = entry
    if first is not None:
        return first.address
    for entry in addresses_of(device.network).entries:
        if len(entry.address) == 4 and entry.scope < SCOPE_LINK:
            return entry.address
    return ANY4


def select_source6(device: NetworkDevice, destination: bytes) -> bytes:
    """The best source for a destination reached through `device` (RFC 6724, section 5), or ::."""
    best: InterfaceAddress | None = None
    spend(len(addresses_of(device.network).entries) * _ENTRY_COST)
    is_restricted = is_link_local(destination) or is_multicast(destination)
    for entry in addresses_of(device.network).entries:
        if len(entry.address) != 16 or not entry.is_usable():
            continue
        if is_restricted and entry.device is not device:
            continue
        if best is None or _is_better_source(entry, best, destination, device):
            best = entry
    return ANY6 if best is None else best.address


def _is_better_source(new: InterfaceAddress, old: InterfaceAddress, destination: bytes, device: NetworkDevice) -> bool:
    """The rules in their order: same address, scope, deprecation, outgoing interface, longest matching prefix."""
    if old.address == destination or new.address == destination:
        return new.address == destination and old.address != destination
    # Larger numbers are smaller scopes.
    wanted = scope_of(destination)
    new_scope = scope_of(new.address)
    old_scope = scope_of(old.address)
    if new_scope != old_scope:
        if new_scope > old_scope:
            return new_scope <= wanted
        return old_scope > wanted
    new_deprecated = new.flags & ADDRESS_DEPRECATED != 0
    if new_deprecated != (old.flags & ADDRESS_DEPRECATED != 0):
        return not new_deprecated
    if (new.device is device) != (old.device is device):
        return new.device is device
    return common_prefix(new.address, destination) > common_prefix(old.address, destination)


def common_prefix(a: bytes, b: bytes) -> int:
    """How many leading bits two addresses of one length share."""
    bits = 0
    for i in range(len(a)):
        difference = a[i] ^ b[i]
        if difference == 0:
            bits += 8
            continue
        while difference & 0x80 == 0:
            difference <<= 1
            bits += 1
        break
    return bits
