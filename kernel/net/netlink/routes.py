"""Routes in rtnetlink: RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE (rtnetlink(7))."""

from typing import Final

from kernel.lang import EACCES, EEXIST, EINVAL, ENETDOWN, ENODEV, ENOENT, ESRCH, Errno, Span, span_of, u8
from kernel.lib.pace import pace_or_end
from kernel.mm.keeping import check_room_to_keep
from kernel.net.internet.interface_settings import DISABLE6
from kernel.net.internet.output import resolve
from kernel.net.internet.router_discovery import EXPIRY
from kernel.net.internet.routes import (
    BLACKHOLE,
    FOREVER_NS,
    LOCAL,
    METRIC6,
    MULTICAST,
    PROHIBIT,
    TABLE_LOCAL,
    TABLE_MAIN,
    THROW,
    UNICAST,
    UNREACHABLE,
    Route,
    add_route,
    check_gateway,
    delete_route,
    first_to,
    list_routes,
    match_route,
    tables_for,
)
from kernel.net.link.device import NetworkDevice, device_by_index
from kernel.net.link.network import Network
from kernel.net.netlink.interface_addresses import address_size, family_of_size
from kernel.net.netlink.messages import (
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    MessageWriter,
    Request,
    find_attribute,
)
from kernel.time import monotonic_ns

RTM_NEWROUTE: Final = 24
RTM_DELROUTE: Final = 25
RTM_GETROUTE: Final = 26

_RTA_DST: Final = 1
_RTA_SRC: Final = 2
_RTA_OIF: Final = 4
_RTA_GATEWAY: Final = 5
_RTA_PRIORITY: Final = 6
_RTA_PREFSRC: Final = 7
_RTA_METRICS: Final = 8
_RTA_CACHEINFO: Final = 12
_RTA_TABLE: Final = 15
_RTA_PREF: Final = 20
_RTA_EXPIRES: Final = 23
_RTAX_MTU: Final = 2

_HEADER: Final = 12  # struct rtmsg
_ROUTE_COST: Final = 5_000  # instructions
_FLAG_CLONED: Final = 0x200
_FLAG_ONLINK: Final = 4
_FLAG_LOOKUP_TABLE: Final = 0x1000
_SCOPE_NOWHERE: Final = 255
_NS: Final = 1_000_000_000
_INDEX_BITS: Final = 16  # a table has fewer routes
_HUNDREDTH_NS: Final = 10_000_000


def put_route(writer: MessageWriter, route: Route, kind: int) -> None:
    """Write the message about a route."""
    writer.begin(kind)
    size = len(route.destination)
    _put_header(writer, route, route.prefix_length, 0)
    writer.attribute_u32(_RTA_TABLE, route.table)
    if route.prefix_length > 0:
        writer.attribute(_RTA_DST, route.destination)
    if route.metric != 0:
        writer.attribute_u32(_RTA_PRIORITY, route.metric)
    if len(route.source) == size:
        writer.attribute(_RTA_PREFSRC, route.source)
    if len(route.gateway) == size:
        writer.attribute(_RTA_GATEWAY, route.gateway)
    device = route.device
    if device is not None:
        writer.attribute_u32(_RTA_OIF, device.index)
    if route.mtu != 0:
        place = writer.begin_attribute(_RTA_METRICS)
        writer.attribute_u32(_RTAX_MTU, route.mtu)
        writer.end_attribute(place)
    if size == 16:
        _put_cache_information(writer, route)
        writer.attribute_u8(_RTA_PREF, 0)
    writer.end()


def _put_header(writer: MessageWriter, route: Route, prefix_length: int, flags: int) -> None:
    writer.u8(family_of_size(len(route.destination)))
    writer.u8(prefix_length)
    writer.u8(0)
    writer.u8(route.tos)
    writer.u8(route.table if route.table < 256 else 0)
    writer.u8(route.protocol)
    writer.u8(route.scope)
    writer.u8(route.kind)
    writer.u32(flags)


def _put_cache_information(writer: MessageWriter, route: Route) -> None:
    """struct rta_cacheinfo: references, last use, expiry in hundredths of a second, error, users, three unused."""
    expires = 0
    if route.expires_ns != FOREVER_NS:
        expires = max(0, route.expires_ns - monotonic_ns()) // _HUNDREDTH_NS
    place = writer.begin_attribute(_RTA_CACHEINFO)
    for number in (0, 0, expires, 0, 0, 0, 0, 0):
        writer.u32(number)
    writer.end_attribute(place)


def dump_routes(network: Network, writer: MessageWriter, family: int) -> None:
    """Write all routes of a family; AF_UNSPEC: of both. May sleep."""
    for size in (4, 16):
        if family == 0 or family_of_size(size) == family:
            for route in _in_order(list_routes(network, size), size):
                put_route(writer, route, RTM_NEWROUTE)
                pace_or_end(_ROUTE_COST)


def _in_order(routes: list[Route], size: int) -> list[Route]:
    """IPv4 routes by rising destinations, wider ones first, as Linux's trie holds them; each table separately."""
    if size == 16:
        return routes
    keys: list[int] = []
    for index in range(len(routes)):
        route = routes[index]
        is_local = 1 if route.table == TABLE_LOCAL else 0
        destination = span_of(route.destination).load_be32(0)
        keys.append(((is_local << 32 | destination) << 6 | route.prefix_length) << _INDEX_BITS | index)
    keys.sort()
    return [routes[key & ((1 << _INDEX_BITS) - 1)] for key in keys]


class _Wanted:
    """The content of a route request."""

    def __init__(self, request: Request) -> None:
        header = request.payload(_HEADER)
        size = address_size(header[0])
        self.network: Network = request.network
        self.size: int = size
        self.prefix_length: int = header[1]
        self.tos: int = header[3]
        self.protocol: int = header[5]
        self.scope: int = header[6]
        self.kind: int = header[7]
        self.flags: int = header.load_u32(8)
        self.table: int = request.attribute_u32(_RTA_TABLE, header[4])
        if self.table == 0:
            self.table = TABLE_MAIN
        destination = request.address(_RTA_DST, size)
        if self.prefix_length > 8 * size or header[2] != 0:
            raise Errno(EINVAL)
        if len(destination) == 0 and self.prefix_length > 0:
            raise Errno(EINVAL)
        self.destination: bytes = destination if len(destination) > 0 else bytes(size)
        self.gateway: bytes = request.address(_RTA_GATEWAY, size)
        if self.gateway == bytes(size):
            self.gateway = b""
        self.source: bytes = request.address(_RTA_PREFSRC, size)
        self.metric: int = request.attribute_u32(_RTA_PRIORITY, 0)
        self.index: int = request.attribute_u32(_RTA_OIF, 0)
        self.expires: int = request.attribute_u32(_RTA_EXPIRES, 0)
        self.mtu: int = 0
        metrics = request.attribute(_RTA_METRICS)
        mtu = find_attribute(metrics, 0, _RTAX_MTU)
        if len(mtu) >= 4:
            self.mtu = span_of(mtu).load_u32(0)

    def device(self) -> NetworkDevice | None:
        """The named interface, None without one. ENODEV."""
        if self.index == 0:
            return None
        device = device_by_index(self.network, self.index)
        if device is None:
            raise Errno(ENODEV)
        return device


def new_route(request: Request) -> None:
    """RTM_NEWROUTE. EINVAL, ENODEV, ENETDOWN, ENETUNREACH, EEXIST, ENOENT …"""
    wanted = _Wanted(request)
    kind = UNICAST if wanted.kind == 0 else wanted.kind
    if kind > THROW:
        raise Errno(EINVAL)
    device = wanted.device()
    if kind in (BLACKHOLE, UNREACHABLE, PROHIBIT, THROW):
        device = None
    else:
        if len(wanted.gateway) > 0 and wanted.flags & _FLAG_ONLINK == 0:
            device = check_gateway(request.network, wanted.gateway, device)
        if device is None:
            raise Errno(ENODEV)
        if wanted.size == 16 and DISABLE6.of(device) != 0:
            raise Errno(EACCES)
        if not device.is_up():
            raise Errno(ENETDOWN)
    route = Route(wanted.destination, wanted.prefix_length, device)
    if wanted.size == 4 and route.destination != wanted.destination:
        raise Errno(EINVAL)
    route.gateway = wanted.gateway if device is not None else b""
    route.kind = kind
    route.table = wanted.table
    route.protocol = wanted.protocol
    route.scope = wanted.scope if wanted.size == 4 else 0
    route.tos = wanted.tos
    route.source = wanted.source
    route.mtu = wanted.mtu
    route.metric = METRIC6 if wanted.metric == 0 and wanted.size == 16 else wanted.metric
    if wanted.expires != 0:
        route.expires_ns = monotonic_ns() + wanted.expires * _NS
    present = match_route(
        request.network, route.table, route.destination, route.prefix_length, 0, b"", route.metric
    )
    if present is not None and request.has(NLM_F_EXCL):
        raise Errno(EEXIST)
    if present is None and not request.has(NLM_F_CREATE):
        raise Errno(ENOENT)
    check_room_to_keep()
    add_route(request.network, route, request.has(NLM_F_REPLACE), request.has(NLM_F_APPEND))
    if route.expires_ns != FOREVER_NS:
        EXPIRY.plan(request.network)


def remove_route(request: Request) -> None:
    """RTM_DELROUTE: the first route that matches the given fields. ESRCH."""
    wanted = _Wanted(request)
    table = tables_for(request.network, wanted.size).table(wanted.table)
    for at in range(first_to(table, wanted.destination, wanted.prefix_length), len(table)):
        route = table[at]
        if route.prefix_length != wanted.prefix_length or route.destination != wanted.destination:
            break
        if _agrees(route, wanted):
            delete_route(request.network, route)
            return
    raise Errno(ESRCH)


def _agrees(route: Route, wanted: _Wanted) -> bool:
    device = route.device
    return (
        route.prefix_length == wanted.prefix_length
        and route.destination == wanted.destination
        and (wanted.index == 0 or (device is not None and device.index == wanted.index))
        and (len(wanted.gateway) == 0 or route.gateway == wanted.gateway)
        and (wanted.metric == 0 or route.metric == wanted.metric)
        and (wanted.tos == 0 or route.tos == wanted.tos)
        and (wanted.kind == 0 or route.kind == wanted.kind)
        and (wanted.protocol == 0 or route.protocol == wanted.protocol)
        and (wanted.size == 16 or wanted.scope == _SCOPE_NOWHERE or route.scope == wanted.scope)
        and (len(wanted.source) == 0 or route.source == wanted.source)
    )


def get_route(request: Request, writer: MessageWriter) -> None:
    """RTM_GETROUTE for one destination: the route that a packet would take. ENETUNREACH …"""
    header: Span[u8] = request.payload(_HEADER)
    size = address_size(header[0])
    destination = request.address(_RTA_DST, size)
    source = request.address(_RTA_SRC, size)
    if len(destination) == 0:
        raise Errno(EINVAL)
    hop = resolve(request.network, destination, source, request.attribute_u32(_RTA_OIF, 0))
    route = Route(destination, 8 * size, hop.device)
    route.kind = hop.kind if hop.kind in (UNICAST, LOCAL, MULTICAST) else route.kind
    found = hop.route
    if found is not None and header.load_u32(8) & _FLAG_LOOKUP_TABLE != 0:
        route.table = found.table
    route.protocol = 0
    writer.begin(RTM_NEWROUTE)
    _put_header(writer, route, 8 * size, _FLAG_CLONED)
    writer.attribute_u32(_RTA_TABLE, route.table)
    writer.attribute(_RTA_DST, destination)
    writer.attribute_u32(_RTA_OIF, hop.device.index)
    if len(hop.source) == size:
        writer.attribute(_RTA_PREFSRC, hop.source)
    if len(hop.gateway) == size:
        writer.attribute(_RTA_GATEWAY, hop.gateway)
    _put_cache_information(writer, route)
    writer.end()
