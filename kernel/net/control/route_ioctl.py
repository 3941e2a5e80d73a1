"""Requests about routes and the ARP cache, for the programs route and arp (route(8), arp(7)).

struct rtentry, struct in6_rtmsg and struct arpreq are decoded here.

Context: system calls; reading and writing user memory may sleep.
"""

from typing import Final

from kernel.lang import (
    EAFNOSUPPORT,
    EINVAL,
    ENODEV,
    ENOTTY,
    ENXIO,
    EPERM,
    EPFNOSUPPORT,
    ESRCH,
    Errno,
    UserAddr,
    span_of,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.mm.keeping import check_room_to_keep
from kernel.net.internet.addresses import ANY4, ANY6, SCOPE_LINK, SCOPE_UNIVERSE, masked, prefix_of_netmask
from kernel.net.internet.routes import (
    METRIC6,
    TABLE_MAIN,
    UNREACHABLE,
    Route,
    add_route,
    check_gateway,
    delete_route,
    find_route,
    match_route,
)
from kernel.net.link import neighbours
from kernel.net.link.device import ARPHRD_ETHER, NetworkDevice, device_by_index, device_by_name
from kernel.net.link.network import Network
from kernel.net.sockets.socket import AF_INET, AF_INET6, Socket
from kernel.task import current

SIOCADDRT: Final = 0x890B
SIOCDELRT: Final = 0x890C
SIOCDARP: Final = 0x8953
SIOCGARP: Final = 0x8954
SIOCSARP: Final = 0x8955

RTF_UP: Final = 0x1
RTF_GATEWAY: Final = 0x2
RTF_HOST: Final = 0x4
RTF_MTU: Final = 0x40
RTF_REJECT: Final = 0x200

_RTENTRY: Final = 120
_RTMSG6: Final = 80
_ARPREQ: Final = 68
ATF_COM: Final = 0x2
ATF_PERM: Final = 0x4


def is_route_command(command: int) -> bool:
    """Whether `route_ioctl` knows it."""
    return command == SIOCADDRT or command == SIOCDELRT or SIOCDARP <= command <= SIOCSARP


def route_ioctl(socket: Socket, command: int, argument: int) -> int:
    """SIOCADDRT, SIOCDELRT, SIOC[SGD]ARP."""
    if command == SIOCADDRT or command == SIOCDELRT:
        if not current().credentials.capable_in(socket.network.owner, CAP_NET_ADMIN):
            raise Errno(EPERM)
        if socket.family == AF_INET6:
            route = _route6(socket.network, argument)
        elif socket.family == AF_INET:
            route = _route4(socket.network, argument, command == SIOCADDRT)
        else:
            raise Errno(ENOTTY)
        if command == SIOCADDRT:
            check_room_to_keep()
            add_route(socket.network, route)
        else:
            _delete(socket.network, route)
        return 0
    if socket.family != AF_INET:
        raise Errno(ENOTTY)
    return _arp(socket.network, command, argument)


def _delete(network: Network, route: Route) -> None:
    device = route.device
    metric = route.metric if route.metric != 0 else -1
    index = 0 if device is None else device.index
    found = match_route(network, TABLE_MAIN, route.destination, route.prefix_length, index, route.gateway, metric)
    if found is None:
        raise Errno(ESRCH)
    delete_route(network, found)


def _address_at(raw: bytes, at: int) -> bytes:
    """The address of the struct sockaddr_in at an offset. EAFNOSUPPORT for another family; an absent one is 0.0.0.0."""
    family = raw[at] | raw[at + 1] << 8
    if family != AF_INET and family != 0:
        raise Errno(EAFNOSUPPORT)
    return raw[at + 4 : at + 8]


def _route4(network: Network, argument: int, is_new: bool) -> Route:
    raw = user.read_bytes(UserAddr(argument), _RTENTRY)
    span = span_of(raw)
    if raw[8] | raw[9] << 8 != AF_INET:
        raise Errno(EAFNOSUPPORT)
    destination = raw[12:16]
    flags = span.load_u16(56)
    if flags & RTF_HOST != 0:
        prefix = 32
    else:
        prefix = prefix_of_netmask(_address_at(raw, 40))
        if prefix < 0 or masked(destination, prefix) != destination:
            raise Errno(EINVAL)
    metric = span.load_u16(80)
    name_address = UserAddr(_word(raw, 88))
    device: NetworkDevice | None = None
    if name_address != 0:
        name = user.read_string(name_address, 16)
        colon = name.find(b":")
        device = device_by_name(network, name if colon < 0 else name[:colon])
        if device is None:
            raise Errno(ENODEV)
    gateway = b""
    if flags & RTF_GATEWAY != 0:
        gateway = _address_at(raw, 24)
        if gateway == ANY4:
            raise Errno(EINVAL)
    if flags & RTF_REJECT != 0:
        device = None
        gateway = b""
    elif is_new and len(gateway) != 0:
        device = check_gateway(network, gateway, device)
    elif is_new and device is None:
        raise Errno(ENODEV)
    route = Route(destination, prefix, device)
    route.gateway = gateway
    # The ioctl counts metrics from 1.
    route.metric = max(0, metric - 1)
    route.scope = SCOPE_UNIVERSE if len(gateway) != 0 else SCOPE_LINK
    if flags & RTF_REJECT != 0:
        route.kind = UNREACHABLE
    if flags & RTF_MTU != 0:
        route.mtu = span.load_u32(96)
    return route


def _word(raw: bytes, at: int) -> int:
    span = span_of(raw)
    return (span.load_u32(at + 4) & 0x7FFF_FFFF) << 32 | span.load_u32(at)


def _route6(network: Network, argument: int) -> Route:
    raw = user.read_bytes(UserAddr(argument), _RTMSG6)
    span = span_of(raw)
    prefix = span.load_u16(52)
    if prefix > 128:
        raise Errno(EINVAL)
    gateway = raw[32:48]
    device = device_by_index(network, span.load_u32(76) & 0x7FFF_FFFF)
    if span.load_u32(76) != 0 and device is None:
        raise Errno(ENODEV)
    flags = span.load_u32(72)
    if flags & RTF_GATEWAY == 0 or gateway == ANY6:
        gateway = b""
    if len(gateway) != 0 and device is None:
        way = find_route(network, gateway)
        if way is not None:
            device = way.device
    if device is None and flags & RTF_REJECT == 0:
        raise Errno(ENODEV)
    route = Route(raw[0:16], prefix, device)
    route.gateway = gateway
    metric = span.load_u32(56)
    route.metric = METRIC6 if metric == 0 else metric
    if flags & RTF_REJECT != 0:
        route.kind = UNREACHABLE
    return route


def _arp(network: Network, command: int, argument: int) -> int:
    if command != SIOCGARP and not current().credentials.capable_in(network.owner, CAP_NET_ADMIN):
        raise Errno(EPERM)
    raw = user.read_bytes(UserAddr(argument), _ARPREQ)
    span = span_of(raw)
    if raw[0] | raw[1] << 8 != AF_INET:
        raise Errno(EPFNOSUPPORT)
    address = raw[4:8]
    name = raw[52:68]
    end = name.find(b"\0")
    name = name if end < 0 else name[:end]
    device: NetworkDevice | None = None
    if len(name) > 0:
        device = device_by_name(network, name)
        if device is None:
            raise Errno(ENODEV)
    else:
        route = find_route(network, address)
        if route is None or route.device is None:
            raise Errno(ENXIO)
        device = route.device
    if command == SIOCGARP:
        return _get_arp(device, address, argument)
    if command == SIOCDARP:
        neighbours.delete_neighbour(device, address)
        return 0
    if span.load_u16(16) != device.kind:
        raise Errno(EINVAL)
    state = neighbours.PERMANENT if span.load_u32(32) & ATF_PERM != 0 else neighbours.STALE
    neighbours.set_neighbour(device, address, raw[18:24], state)
    return 0


def _get_arp(device: NetworkDevice, address: bytes, argument: int) -> int:
    neighbour = neighbours.find_neighbour(device, address)
    if neighbour is None or neighbour.state & neighbours.HAS_ADDRESS == 0 or not device.has_header:
        raise Errno(ENXIO)
    flags = ATF_COM | (ATF_PERM if neighbour.state == neighbours.PERMANENT else 0)
    head = bytearray(16)
    span_of(head).store_u16(0, ARPHRD_ETHER)
    span_of(head)[2:8].copy_from(span_of(neighbour.link_address))
    user.write_from(user.at(UserAddr(argument), 16), span_of(head))
    user.write_u32(user.at(UserAddr(argument), 32), flags)
    name = bytearray(16)
    span_of(name)[0 : len(device.name)].copy_from(span_of(device.name))
    user.write_from(user.at(UserAddr(argument), 52), span_of(name))
    return 0
