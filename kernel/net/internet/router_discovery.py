"""Router discovery and stateless address configuration (RFC 4861 section 6, RFC 4862 section 5.5).

An Ethernet interface that goes up gets a link-local address derived from its link address. Once that has been tested,
routers are solicited; their advertisements bring a default route, prefixes on the link, addresses, an MTU. All expire.
A host that forwards is a router itself and believes no other.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import EEXIST, ENOBUFS, Errno, Span, final, span_of, u8
from kernel.lib import random
from kernel.lib.pace import spend
from kernel.net.internet import icmpv6
from kernel.net.internet.addresses import (
    ADDRESS_DEPRECATED,
    ADDRESS_MANAGETEMPADDR,
    ADDRESS_NOPREFIXROUTE,
    ADDRESS_PERMANENT,
    ALL_ROUTERS6,
    ANY6,
    FOREVER_NS,
    InterfaceAddress,
    add_address,
    address_changed,
    delete_address,
    find_on,
    is_link_local,
    list_addresses,
    list_all_addresses,
    masked,
)
from kernel.net.internet.icmpv6 import HANDLERS, MessageHandler
from kernel.net.internet.interface_routes import begin6, end6
from kernel.net.internet.interface_settings import (
    ACCEPT_RA6,
    AUTOCONF6,
    DISABLE6,
    FORWARDING6,
    HOP_LIMIT6,
    ROUTER_SOLICITATIONS6,
    InterfaceFollower,
    settings_of,
)
from kernel.net.internet.ndp import (
    DETECTION,
    HOP_LIMIT,
    SOURCE_LINK_ADDRESS,
    AddressReady,
    find_option,
    learn_link_address,
    link_address_in,
    multicast_hop,
)
from kernel.net.internet.routes import (
    METRIC6,
    METRIC6_ADDRESS,
    PROTOCOL_KERNEL,
    PROTOCOL_RA,
    TABLE_MAIN,
    Route,
    add_route,
    delete_route,
    list_routes,
    match_route,
    routes_changed,
    tables_for,
)
from kernel.net.link.device import ARPHRD_ETHER, ARPHRD_NONE, DeviceWatcher, NetworkDevice, watch_devices
from kernel.net.link.network import Network
from kernel.net.link.packet import Packet
from kernel.net.link.timers import NetworkTimer
from kernel.time import monotonic_ns

_PREFIX_OPTION: Final = 3
_MTU_OPTION: Final = 5
_RA_HEADER: Final = 16
_SECOND_NS: Final = 1_000_000_000
_INTERVAL_NS: Final = 4 * _SECOND_NS
_LONGEST_NS: Final = 3600 * _SECOND_NS
_INFINITY: Final = 0xFFFF_FFFF
_TWO_HOURS_NS: Final = 7200 * _SECOND_NS
_MOST_ADDRESSES: Final = 16  # of an interface, from advertisements
_ADDRESS_LENGTH: Final = 64
_SHARE: Final = 16  # addresses and routes that expire in one turn; the others follow
_PAUSE_NS: Final = 20_000_000  # between two walks over all entries of a network
_LOOK_COST: Final = 20  # instructions
_END_COST: Final = 10_000


def interface_identifier(device: NetworkDevice) -> bytes:
    """The modified EUI-64 of an Ethernet address (RFC 4291, appendix A)."""
    address = device.address
    return bytes([address[0] ^ 2, address[1], address[2], 0xFF, 0xFE, address[3], address[4], address[5]])


def _random_identifier() -> bytes:
    """A random identifier for an interface without a link address."""
    made = bytearray(8)
    random.fill(span_of(made))
    return bytes(made)


@final
class Solicitation(NetworkTimer):
    """Solicits routers, less and less often (RFC 7559), until one answers."""

    def __init__(self, device: NetworkDevice) -> None:
        super().__init__()
        self.device: NetworkDevice = device
        self.left: int = ROUTER_SOLICITATIONS6.of(device)  # below 0: without end
        self.interval_ns: int = _INTERVAL_NS

    def expire(self, now_ns: int) -> None:
        device = self.device
        if self.left == 0 or not device.is_up() or not _listens(device):
            return
        _send_solicitation(device)  # retried soon if there is no memory
        self.start(now_ns + self.interval_ns)
        if self.left > 0:
            self.left -= 1
        tenth = self.interval_ns // 10
        self.interval_ns = min(self.interval_ns * 2 - tenth + random.word() % (2 * tenth), _LONGEST_NS)


def _listens(device: NetworkDevice) -> bool:
    """Whether routers are believed: never (0), not by a router (1), or always (2)."""
    accepts = ACCEPT_RA6.of(device)
    return accepts == 2 if FORWARDING6.of(device) != 0 else accepts != 0


def _send_solicitation(device: NetworkDevice) -> None:
    source = ANY6
    for entry in list_addresses(device, 16):
        if entry.is_usable() and is_link_local(entry.address):
            source = entry.address
            break
    has_option = source != ANY6 and len(device.address) > 0
    length = 16 if has_option else 8
    packet = Packet(length)
    body = packet.put(length)
    body[0] = icmpv6.ROUTER_SOLICITATION
    if has_option:
        body[8] = SOURCE_LINK_ADDRESS
        body[9] = 1
        body[10:16].copy_from(span_of(device.address))
    icmpv6.send_message(packet, multicast_hop(device, ALL_ROUTERS6), source, HOP_LIMIT)


@final
class Discovery(AddressReady):
    """The solicitations in progress, by interface."""

    def __init__(self) -> None:
        self.by_number: dict[int, Solicitation] = {}

    def address_ready(self, entry: InterfaceAddress) -> None:
        device = entry.device
        if not is_link_local(entry.address) or not _listens(device):
            return
        self.stop(device)
        fresh = Solicitation(device)
        self.by_number[device.number] = fresh
        fresh.start(monotonic_ns())

    def stop(self, device: NetworkDevice) -> None:
        """A router answered, or the interface is down."""
        going_on = self.by_number.pop(device.number, None)
        if going_on is not None:
            going_on.left = 0
            going_on.remove()


DISCOVERY: Final = Discovery()


@final
class RouterAdvertisements(MessageHandler):
    """Takes router advertisements."""

    def receive(self, packet: Packet) -> None:
        device = packet.device
        body = packet.span()
        if device is None or packet.hop_limit != HOP_LIMIT or len(body) < _RA_HEADER or body[1] != 0:
            return
        options = body[_RA_HEADER : len(body)]
        if not is_link_local(packet.source) or find_option(options, SOURCE_LINK_ADDRESS) == -2:
            return
        if not _listens(device):
            return
        DISCOVERY.stop(device)
        now_ns = monotonic_ns()
        if body[4] != 0:
            HOP_LIMIT6.set(device, body[4])
        link_address = link_address_in(options, SOURCE_LINK_ADDRESS)
        if len(link_address) == 6 and link_address[0] & 1 == 0:
            neighbour = learn_link_address(device, packet.source, link_address)
            if neighbour is not None:
                neighbour.is_router = True
        try:
            _set_default_route(device, packet.source, body.load_be16(6), now_ns)
            self._read_options(device, options, now_ns)
        except Errno:
            device.traffic.received_dropped += 1  # a table is full: the part that was taken is consistent
        EXPIRY.plan(device.network)

    def _read_options(self, device: NetworkDevice, options: Span[u8], now_ns: int) -> None:
        at = 0
        while at < len(options):
            length = options[at + 1] * 8
            if options[at] == _PREFIX_OPTION and length == 32:
                _take_prefix(device, options[at : at + 32], now_ns)
            elif options[at] == _MTU_OPTION and length == 8:
                mtu = options.load_be32(at + 4)
                if 1280 <= mtu <= device.mtu:
                    settings_of(device).mtu6 = mtu
                    routes_changed(device.network)
            at += length


def _until(now_ns: int, seconds: int) -> int:
    return FOREVER_NS if seconds == _INFINITY else now_ns + seconds * _SECOND_NS


def _set_default_route(device: NetworkDevice, router: bytes, lifetime_s: int, now_ns: int) -> None:
    found = match_route(device.network, TABLE_MAIN, ANY6, 0, device.index, router, -1)
    if lifetime_s == 0:
        if found is not None and found.protocol == PROTOCOL_RA:
            delete_route(device.network, found)
        return
    if found is not None:
        if found.protocol == PROTOCOL_RA:
            found.expires_ns = _until(now_ns, lifetime_s)
        return
    route = Route(ANY6, 0, device)
    route.gateway = router
    route.protocol = PROTOCOL_RA
    route.metric = METRIC6
    route.expires_ns = _until(now_ns, lifetime_s)
    add_route(device.network, route)


def _take_prefix(device: NetworkDevice, option: Span[u8], now_ns: int) -> None:
    length = option[2]
    flags = option[3]
    valid_s = option.load_be32(4)
    preferred_s = option.load_be32(8)
    prefix = option[16:32].to_bytes()
    if length > 128 or is_link_local(prefix) or prefix[0] == 0xFF or preferred_s > valid_s:
        return
    if flags & 0x80 != 0:
        _set_prefix_route(device, masked(prefix, length), length, valid_s, now_ns)
    if flags & 0x40 != 0 and AUTOCONF6.of(device) != 0 and length == _ADDRESS_LENGTH:
        _set_address(device, prefix, valid_s, preferred_s, now_ns)


def _set_prefix_route(device: NetworkDevice, prefix: bytes, length: int, valid_s: int, now_ns: int) -> None:
    found = match_route(device.network, TABLE_MAIN, prefix, length, device.index, b"", -1)
    if found is not None:
        if found.expires_ns != FOREVER_NS or (found.protocol == PROTOCOL_KERNEL and valid_s != 0):
            found.expires_ns = _until(now_ns, valid_s)
        if valid_s == 0 and found.protocol == PROTOCOL_KERNEL and found.expires_ns != FOREVER_NS:
            delete_route(device.network, found)
        return
    if valid_s == 0:
        return
    route = Route(prefix, length, device)
    route.protocol = PROTOCOL_KERNEL
    route.metric = METRIC6_ADDRESS
    route.expires_ns = _until(now_ns, valid_s)
    add_route(device.network, route)


def _set_address(device: NetworkDevice, prefix: bytes, valid_s: int, preferred_s: int, now_ns: int) -> None:
    """Create an address, or set the lifetimes of one; a forged short lifetime does not end it (RFC 4862, 5.5.3 (e))."""
    if len(device.address) == 0:
        return  # it has no identifier for one
    address = prefix[0:8] + interface_identifier(device)
    entry = find_on(device, address)
    if entry is None:
        if valid_s == 0 or len(list_addresses(device, 16)) >= _MOST_ADDRESSES:
            return
        entry = InterfaceAddress(device, address, _ADDRESS_LENGTH)
        entry.flags = entry.flags & ~ADDRESS_PERMANENT | ADDRESS_MANAGETEMPADDR | ADDRESS_NOPREFIXROUTE
        entry.valid_until_ns = _until(now_ns, valid_s)
        entry.preferred_until_ns = _until(now_ns, preferred_s)
        entry.created_ns = now_ns
        entry.updated_ns = now_ns
        add_address(entry)
        return
    if entry.flags & ADDRESS_PERMANENT != 0:
        return
    remaining_ns = entry.valid_until_ns - now_ns
    offered_ns = _until(now_ns, valid_s) - now_ns
    if offered_ns > _TWO_HOURS_NS or offered_ns > remaining_ns:
        entry.valid_until_ns = now_ns + offered_ns
    elif remaining_ns > _TWO_HOURS_NS:
        entry.valid_until_ns = now_ns + _TWO_HOURS_NS
    entry.preferred_until_ns = _until(now_ns, preferred_s)
    entry.updated_ns = now_ns
    if preferred_s > 0 and entry.flags & ADDRESS_DEPRECATED != 0:
        entry.flags &= ~ADDRESS_DEPRECATED
    address_changed(entry)


@final
class NetworkExpiry(NetworkTimer):
    """Ends expired addresses and routes of a network."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network: Network = network

    def expire(self, now_ns: int) -> None:
        _end_old(self.network, now_ns)
        EXPIRY.plan_after(self.network, now_ns + _PAUSE_NS)


@final
class Expiry:
    """The timers of all networks that have expiring entries."""

    def __init__(self) -> None:
        self.networks: dict[int, NetworkExpiry] = {}  # networks with such entries, by number

    def plan(self, network: Network) -> None:
        """Start the network's timer for its next expiry. Raises MemoryError."""
        self.plan_after(network, 0)

    def plan_after(self, network: Network, least_ns: int) -> None:
        """The same, but not before a time: each look walks over all entries of the network."""
        next_ns = FOREVER_NS
        addresses = list_all_addresses(network, 0)
        routes = list_routes(network, 16)
        spend((len(addresses) + len(routes)) * _LOOK_COST)
        for entry in addresses:
            next_ns = min(next_ns, entry.valid_until_ns)
            if entry.flags & ADDRESS_DEPRECATED == 0:
                next_ns = min(next_ns, entry.preferred_until_ns)
        for route in routes:
            next_ns = min(next_ns, route.expires_ns)
        if next_ns == FOREVER_NS:
            self.forget(network)
            return
        found = self.networks.get(network.number)
        if found is None:
            found = NetworkExpiry(network)
            self.networks[network.number] = found
        next_ns = max(next_ns, least_ns)
        if next_ns < found.deadline_ns:
            found.start(next_ns)

    def forget(self, network: Network) -> None:
        """Nothing expires there any more."""
        found = self.networks.pop(network.number, None)
        if found is not None:
            found.remove()


def _end_old(network: Network, now_ns: int) -> None:
    left = _SHARE
    spend(len(tables_for(network, 16).main) * _LOOK_COST)
    for entry in list_all_addresses(network, 0):
        if entry.valid_until_ns <= now_ns:
            if left <= 0:
                return
            left -= 1
            spend(_END_COST)
            try:
                delete_address(entry)
            except Errno:
                continue  # it went together with another one
        elif entry.is_listed and entry.preferred_until_ns <= now_ns and entry.flags & ADDRESS_DEPRECATED == 0:
            entry.flags |= ADDRESS_DEPRECATED
            address_changed(entry)
    for route in list_routes(network, 16):
        if route.expires_ns <= now_ns:
            if left <= 0:
                return
            left -= 1
            spend(_END_COST)
            delete_route(network, route)


EXPIRY: Final = Expiry()


@final
class _LinkLocal(DeviceWatcher):
    """Gives each Ethernet interface its link-local address."""

    def device_up(self, device: NetworkDevice) -> None:
        self.begin(device)

    def begin(self, device: NetworkDevice) -> None:
        if device.has_carrier or device.is_hardware:
            self._give(device)

    def device_changed(self, device: NetworkDevice) -> None:
        if device.is_up() and device.has_carrier and not settings_of(device).has_link_local:
            self._give(device)

    def _give(self, device: NetworkDevice) -> None:
        """Once each time it goes up; a software interface gets it only when a peer is there that could object."""
        if device.kind != ARPHRD_ETHER and device.kind != ARPHRD_NONE:
            return
        if DISABLE6.of(device) != 0:
            return
        settings_of(device).has_link_local = True
        identifier = interface_identifier(device) if len(device.address) > 0 else _random_identifier()
        address = b"\xfe\x80" + bytes(6) + identifier
        try:
            add_address(InterfaceAddress(device, address, _ADDRESS_LENGTH))
        except Errno as error:
            # If there is no room for it, the interface goes up without it, as on Linux: a pair's other end may have
            # been brought up by another network, which does not depend on this one's addresses.
            if error.code != EEXIST and error.code != ENOBUFS:
                raise

    def device_down(self, device: NetworkDevice) -> None:
        self.end(device)

    def end(self, device: NetworkDevice) -> None:
        DISCOVERY.stop(device)
        settings_of(device).mtu6 = 0
        settings_of(device).has_link_local = False

    def device_removed(self, device: NetworkDevice) -> None:
        EXPIRY.forget(device.network)
        EXPIRY.plan(device.network)


_LINK_LOCAL: Final = _LinkLocal()


@final
class _FollowDisabling(InterfaceFollower):
    """IPv6 ends on an interface, or begins again: as if that went down and up."""

    def changed(self, device: NetworkDevice, value: int) -> None:
        if not device.is_up():
            return
        if value != 0:
            end6(device)
            _LINK_LOCAL.end(device)
            return
        begin6(device)
        _LINK_LOCAL.begin(device)
        routes_changed(device.network)


DISABLE6.follower = _FollowDisabling()
HANDLERS.by_type[icmpv6.ROUTER_ADVERTISEMENT] = RouterAdvertisements()
DETECTION.listener = DISCOVERY
watch_devices(_LINK_LOCAL)
