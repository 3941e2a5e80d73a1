"""Routing tables: the way to each address (route(8), rtnetlink(7)).

Each network has two tables for each version of IP: `local`, consulted first, with this host's own addresses and
broadcasts; and `main`. In a table, routes are sorted by falling prefix length, then by metric, so the first match is
the best.

`Ways.generation` counts changes: code that keeps the answer of a look-up compares it (see `output.py`).

Invariants: a route's `words` and `masks` are its destination; lists are sorted; a device that is down has at most
routes to its own IPv4 addresses.
Context: thread context; nothing sleeps, but where all routes of a device or a network go there are safe points.
"""

from typing import Final

from kernel.lang import EEXIST, EINVAL, ENETDOWN, ENETUNREACH, ENOBUFS, ESRCH, Errno, final, span_of
from kernel.lib.pace import pace, spend
from kernel.net.internet.addresses import SCOPE_HOST, SCOPE_LINK, SCOPE_UNIVERSE, masked
from kernel.net.link.device import NetworkDevice, check_stays
from kernel.net.link.network import FIRST_NETWORK, Network, PartMaker, register_part
from kernel.net.link.part import Part

# RTN_*: what a route does.
UNICAST: Final = 1
LOCAL: Final = 2
BROADCAST: Final = 3
ANYCAST: Final = 4
MULTICAST: Final = 5
BLACKHOLE: Final = 6
UNREACHABLE: Final = 7
PROHIBIT: Final = 8
THROW: Final = 9

TABLE_MAIN: Final = 254
TABLE_LOCAL: Final = 255

# RTPROT_*: who entered it.
PROTOCOL_REDIRECT: Final = 1
PROTOCOL_KERNEL: Final = 2
PROTOCOL_BOOT: Final = 3
PROTOCOL_STATIC: Final = 4
PROTOCOL_RA: Final = 9

METRIC6: Final = 1024  # IPv6 routes without a metric get this one
METRIC6_ADDRESS: Final = 256

FOREVER_NS: Final = (1 << 63) - 1
_NO_KIND: Final = -1
_LIMIT: Final = 8192  # routes of a table of the first network
_LIMIT_OF_OTHERS: Final = 2048
_SHORT: Final = 32  # a table this short takes no noticeable time
_LOOK_COST4: Final = 10  # instructions for each route that is examined
_LOOK_COST6: Final = 40
_DROP_LOOK_COST: Final = 25  # for each that may be dropped with its device
_DROP_COST: Final = 3000  # for each that is
_FREE_COST: Final = 600


class Route:
    """One route. `device` is None for those that forbid; `gateway` is empty where the destination is on the link."""

    def __init__(self, destination: bytes, prefix_length: int, device: NetworkDevice | None) -> None:
        self.destination: bytes = masked(destination, prefix_length)
        self.prefix_length: int = prefix_length
        self.device: NetworkDevice | None = device
        self.gateway: bytes = b""
        self.kind: int = UNICAST
        self.table: int = TABLE_MAIN
        self.protocol: int = PROTOCOL_BOOT
        self.scope: int = SCOPE_UNIVERSE
        self.metric: int = 0
        self.source: bytes = b""  # preferred source address
        self.mtu: int = 0  # 0: the device's
        self.tos: int = 0
        self.expires_ns: int = FOREVER_NS
        self.uses: int = 0
        self.words: list[int] = _words(self.destination)
        self.masks: list[int] = _words(masked(b"\xff" * len(destination), prefix_length))

    def matches(self, destination: bytes) -> bool:
        """Whether the destination lies inside the prefix."""
        span = span_of(destination)
        words = self.words
        masks = self.masks
        for i in range(len(words)):
            if span.load_be32(4 * i) & masks[i] != words[i]:
                return False
        return True

    def is_same(self, other: "Route") -> bool:
        """Whether both have the same key: a table holds only one of them."""
        return (
            self.prefix_length == other.prefix_length
            and self.destination == other.destination
            and self.metric == other.metric
            and self.tos == other.tos
        )


def _words(address: bytes) -> list[int]:
    span = span_of(address)
    return [span.load_be32(at) for at in range(0, len(address), 4)]


class RouteWatcher:
    """Is notified of changes of routes. Base class: every method does nothing."""

    def route_added(self, network: Network, route: Route) -> None:
        """It was added."""

    def route_deleted(self, network: Network, route: Route) -> None:
        """It was deleted."""

    def route_dropped(self, network: Network, route: Route) -> None:
        """It was deleted because its interface went down, or away."""


@final
class Tables:
    """The tables of one version of IP."""

    def __init__(self) -> None:
        self.local: list[Route] = []
        self.main: list[Route] = []

    def table(self, number: int) -> list[Route]:
        """The list of TABLE_*; EINVAL for a table that does not exist."""
        if number == TABLE_LOCAL:
            return self.local
        if number == TABLE_MAIN:
            return self.main
        raise Errno(EINVAL)


@final
class Routing(Part):
    """All tables of a network."""

    def __init__(self) -> None:
        super().__init__()
        self.ip4: Tables = Tables()
        self.ip6: Tables = Tables()

    def end(self) -> None:
        super().end()
        for tables in (self.ip4, self.ip6):
            for table in (tables.main, tables.local):
                while len(table) > 0:
                    table.pop()
                    pace(_FREE_COST)


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.routing = Routing()


register_part(_Maker())
_WATCHERS: Final[list[RouteWatcher]] = []


def watch_routes(watcher: RouteWatcher) -> None:
    """Notify `watcher` of all changes from now on, in all networks."""
    _WATCHERS.append(watcher)


def tables_for(network: Network, size: int) -> Tables:
    """The tables of a network for addresses of `size` bytes, 4 or 16."""
    part = network.routing
    assert isinstance(part, Routing)
    return part.ip4 if size == 4 else part.ip6


def routes_changed(network: Network) -> None:
    """Answers of earlier look-ups in a network no longer hold."""
    network.ways.generation += 1


def add_route(network: Network, route: Route, replace: bool = False, append: bool = False) -> None:
    """Enter a route. `replace`: in place of one with the same key; `append`: beside it.

    EEXIST, EINVAL, ENETDOWN for a device that is down (but its own addresses are reached), ENODEV for one that is
    leaving, ENETUNREACH for a gateway that is on no link, ENOBUFS.
    """
    size = len(route.destination)
    if not 0 <= route.prefix_length <= 8 * size:
        raise Errno(EINVAL)
    device = route.device
    if device is not None:
        check_stays(device)
        if not device.is_up() and not (size == 4 and route.kind == LOCAL):
            raise Errno(ENETDOWN)
    table = tables_for(network, size).table(route.table)
    if len(table) >= (_LIMIT if network is FIRST_NETWORK else _LIMIT_OF_OTHERS):
        raise Errno(ENOBUFS)
    at = _place_for(table, route)
    # Equal keys are adjacent, after smaller metrics.
    first = at
    while first > 0 and table[first - 1].is_same(route):
        first -= 1
    if first < at and not append:
        is_separate = size == 16 and not replace and not _has_twin(table, first, at, route)
        if replace:
            old = table[first]
            table[first] = route
            tell_deleted(network, old)
            _added(network, route)
            return
        if not is_separate:
            raise Errno(EEXIST)
    table.insert(at, route)
    _added(network, route)


def _place_for(table: list[Route], route: Route) -> int:
    """After all that come before a route in a sorted list."""
    at = 0
    end = len(table)
    while at < end:
        middle = (at + end) // 2
        if _is_before(table[middle], route):
            at = middle + 1
        else:
            end = middle
    return at


def _has_twin(table: list[Route], first: int, end: int, route: Route) -> bool:
    """Whether an IPv6 route with the same next hop exists: the same prefix may be on several links."""
    for i in range(first, end):
        if table[i].device is route.device and table[i].gateway == route.gateway:
            return True
    return False


def _is_before(old: Route, new: Route) -> bool:
    """Whether `new` comes after `old`: equal keys stay in the order of adding."""
    if old.prefix_length != new.prefix_length:
        return old.prefix_length > new.prefix_length
    if old.destination != new.destination:
        # Routes of equal length are sorted by destination, so that equal keys are neighbours.
        return old.destination < new.destination
    return old.metric <= new.metric


def _added(network: Network, route: Route) -> None:
    routes_changed(network)
    for watcher in _WATCHERS:
        watcher.route_added(network, route)


def tell_deleted(network: Network, route: Route) -> None:
    """Notify all watchers that a route was deleted, or is about to be dropped."""
    routes_changed(network)
    for watcher in _WATCHERS:
        watcher.route_deleted(network, route)


def delete_route(network: Network, route: Route) -> None:
    """Delete a route from a table; ESRCH if it is not there."""
    table = tables_for(network, len(route.destination)).table(route.table)
    at = first_to(table, route.destination, route.prefix_length)
    while at < len(table) and table[at] is not route and table[at].destination == route.destination:
        at += 1
    if at == len(table) or table[at] is not route:
        raise Errno(ESRCH)
    table.pop(at)
    tell_deleted(network, route)


def match_route(
    network: Network,
    table_number: int,
    destination: bytes,
    prefix_length: int,
    device_index: int,
    gateway: bytes,
    metric: int,
) -> Route | None:
    """The first route with this destination that matches the given fields: 0, b"" and -1 match any."""
    table = tables_for(network, len(destination)).table(table_number)
    for at in range(first_to(table, destination, prefix_length), len(table)):
        route = table[at]
        if route.prefix_length != prefix_length or route.destination != destination:
            return None
        device = route.device
        if (
            (device_index == 0 or (device is not None and device.index == device_index))
            and (len(gateway) == 0 or route.gateway == gateway)
            and (metric < 0 or route.metric == metric)
        ):
            return route
    return None


def first_to(table: list[Route], destination: bytes, prefix_length: int) -> int:
    """The place in a table of the first route with this destination, if there is one."""
    at = 0
    end = len(table)
    while at < end:
        middle = (at + end) // 2
        route = table[middle]
        if route.prefix_length > prefix_length or (
            route.prefix_length == prefix_length and route.destination < destination
        ):
            at = middle + 1
        else:
            end = middle
    return at


def list_routes(network: Network, size: int) -> list[Route]:
    """All routes for addresses of `size` bytes: those of `main`, then those of `local`."""
    tables = tables_for(network, size)
    return tables.main[:] + tables.local[:]


def find_route(network: Network, destination: bytes, device_index: int = 0) -> Route | None:
    """The best route, through `device_index` if that is not 0. One that forbids is an answer too (see `kind`)."""
    tables = tables_for(network, len(destination))
    found = _search(tables.local, destination, device_index)
    if found is None:
        found = _search(tables.main, destination, device_index)
    return found


def _search(table: list[Route], destination: bytes, device_index: int) -> Route | None:
    span = span_of(destination)
    if len(table) > _SHORT:
        spend(len(table) * (_LOOK_COST4 if len(destination) == 4 else _LOOK_COST6))
    if len(destination) == 4:
        word = span.load_be32(0)
        for route in table:
            if word & route.masks[0] == route.words[0] and (device_index == 0 or _is_on(route, device_index)):
                return route
        return None
    for route in table:
        if route.matches(destination) and (device_index == 0 or _is_on(route, device_index)):
            return route
    return None


def _is_on(route: Route, device_index: int) -> bool:
    device = route.device
    return device is not None and device.index == device_index


def check_gateway(network: Network, gateway: bytes, device: NetworkDevice | None) -> NetworkDevice:
    """The device on whose link a new route's gateway is. ENETUNREACH if it is on none. EINVAL for a broadcast address,
    and in IPv6 for one of this host's; IPv4 allows those, as Linux does.
    """
    route = find_route(network, gateway, 0 if device is None else device.index)
    if route is None or route.device is None:
        raise Errno(ENETUNREACH)
    if route.kind == BROADCAST or (route.kind == LOCAL and len(gateway) == 16):
        raise Errno(EINVAL)
    if (route.kind != UNICAST and route.kind != LOCAL) or len(route.gateway) != 0:
        raise Errno(ENETUNREACH)
    return route.device


def drop_routes_of(device: NetworkDevice) -> None:
    """The device went down: delete its routes. Those to this host's IPv4 addresses stay, as on Linux."""
    for size in (4, 16):
        _drop(device, size, kept_kind=LOCAL if size == 4 else _NO_KIND)


def drop_routes6_of(device: NetworkDevice) -> None:
    """The device has no IPv6 any more: delete its routes of IPv6."""
    _drop(device, 16, kept_kind=_NO_KIND)


def drop_all_routes_of(device: NetworkDevice) -> None:
    """The device leaves its network: delete all its routes."""
    for size in (4, 16):
        _drop(device, size, kept_kind=_NO_KIND)


def _drop(device: NetworkDevice, size: int, kept_kind: int) -> None:
    """Delete a device's routes except those of one kind, each table in one go. Listeners learn that with safe points
    between. Raises MemoryError.
    """
    tables = tables_for(device.network, size)
    for table in (tables.main, tables.local):
        pace(len(table) * _DROP_LOOK_COST)
        dropped = [route for route in table if route.device is device and route.kind != kept_kind]
        if len(dropped) == 0:
            continue
        kept = 0
        for route in table:
            if route.device is not device or route.kind == kept_kind:
                table[kept] = route
                kept += 1
        while len(table) > kept:
            table.pop()
        routes_changed(device.network)  # nobody goes a way that is not there, whatever follows
        if size == 16:
            dropped = _tree_order_or_none(dropped)
        for route in dropped:
            routes_changed(device.network)
            for watcher in _WATCHERS:
                watcher.route_dropped(device.network, route)
            pace(_DROP_COST)


def _tree_order_or_none(routes: list[Route]) -> list[Route]:
    """In that order, or in none if there is no memory for it."""
    try:
        return in_tree_order(routes)
    except MemoryError:
        return routes


def in_tree_order(routes: list[Route]) -> list[Route]:
    """The order in which Linux goes through a tree of prefixes: by the last address of each; of those with the same,
    the longest prefix first. Takes safe points. Raises MemoryError.
    """
    if len(routes) < 2:
        return routes
    width = 1
    while width < len(routes):
        merged: list[Route] = []
        for start in range(0, len(routes), 2 * width):
            _merge(routes, start, min(start + width, len(routes)), min(start + 2 * width, len(routes)), merged)
        routes = merged
        width *= 2
    return routes


def _merge(routes: list[Route], low: int, middle: int, end: int, merged: list[Route]) -> None:
    high = middle
    start = middle
    while low < start or high < end:
        if high == end or (low < start and not _comes_before(routes[high], routes[low])):
            merged.append(routes[low])
            low += 1
        else:
            merged.append(routes[high])
            high += 1
        pace(_DROP_LOOK_COST)


def _comes_before(one: Route, other: Route) -> bool:
    for i in range(len(one.words)):
        last = one.words[i] | (~one.masks[i] & 0xFFFF_FFFF)
        others = other.words[i] | (~other.masks[i] & 0xFFFF_FFFF)
        if last != others:
            return last < others
    return one.prefix_length > other.prefix_length


def local_route(address: bytes, prefix_length: int, device: NetworkDevice, kind: int) -> Route:
    """A route of the local table: LOCAL, BROADCAST, ANYCAST or MULTICAST."""
    route = Route(address, prefix_length, device)
    route.table = TABLE_LOCAL
    route.kind = kind
    route.protocol = PROTOCOL_KERNEL
    route.scope = SCOPE_HOST if kind == LOCAL else SCOPE_LINK
    return route
