"""The routes that addresses bring with them, and the addresses that an interface gets when it goes up.

An address brings a local route to itself, a route to its prefix, and for IPv4 the broadcast addresses. The loopback
interface gets ::1/128 when it goes up, and 127.0.0.1/8 if it has no IPv4 address yet, as on Linux. IPv4 addresses
survive when the interface goes down, IPv6 addresses do not.

Context: thread context; where an interface goes up, down or away, there are safe points between addresses and routes.
"""

from typing import Final

from kernel.lang import EEXIST, ESRCH, Errno, final, span_of
from kernel.lib.pace import pace, spend
from kernel.net.internet.addresses import (
    ADDRESS_NOPREFIXROUTE,
    ADDRESS_SECONDARY,
    LOOPBACK4,
    LOOPBACK6,
    SCOPE_HOST,
    SCOPE_LINK,
    SCOPE_UNIVERSE,
    AddressWatcher,
    InterfaceAddress,
    add_address,
    broadcast_of,
    delete_addresses_of,
    find_on,
    is_in,
    list_addresses,
    masked,
    watch_addresses,
)
from kernel.net.internet.interface_settings import DISABLE6
from kernel.net.internet.routes import (
    BROADCAST,
    LOCAL,
    METRIC6_ADDRESS,
    MULTICAST,
    PROTOCOL_KERNEL,
    TABLE_LOCAL,
    TABLE_MAIN,
    UNICAST,
    Route,
    add_route,
    delete_route,
    drop_all_routes_of,
    drop_routes6_of,
    drop_routes_of,
    first_to,
    local_route,
    match_route,
    routes_changed,
    tables_for,
    tell_deleted,
)
from kernel.net.link.device import DeviceWatcher, NetworkDevice, watch_devices
from kernel.net.link.neighbours import forget_neighbours
from kernel.net.link.network import Network

# Which of an address's routes one is
_PREFIX: Final = 0
_EDGE: Final = 1
_ADDRESS: Final = 2
_WHOLE: Final = 0xFFFF_FFFF
# Instructions for an address's routes, for one of them, for a route that may derive from one, and for an address that
# may need one
_ENTER_COST: Final = 10_000
_RANK_COST: Final = 1000
_SOURCE_COST: Final = 25
_NEED_COST: Final = 60


def _enter(network: Network, route: Route) -> None:
    """Enter a route unless an equal one exists: two addresses may bring the same."""
    try:
        add_route(network, route)
    except Errno as error:
        if error.code != EEXIST:
            raise


def _prefix_route(entry: InterfaceAddress) -> Route:
    size = len(entry.address)
    route = Route(entry.peer, entry.prefix_length, entry.device)
    route.protocol = PROTOCOL_KERNEL
    route.kind = UNICAST
    route.scope = SCOPE_LINK if size == 4 else SCOPE_UNIVERSE
    route.metric = entry.route_metric
    if size == 4:
        route.source = entry.address
    elif route.metric == 0:
        route.metric = METRIC6_ADDRESS
    if entry.device.is_loopback() and size == 4:
        route.table = TABLE_LOCAL
        route.kind = LOCAL
        route.scope = SCOPE_HOST
    return route


def _primary(entry: InterfaceAddress) -> InterfaceAddress:
    """The first address of the prefix that an IPv4 address belongs to."""
    if entry.flags & ADDRESS_SECONDARY != 0:
        for other in list_addresses(entry.device, 4):
            if other.prefix_length == entry.prefix_length and is_in(other.address, entry.address, entry.prefix_length):
                return other
    return entry


def _prefix_of(entry: InterfaceAddress) -> bytes:
    """The prefix that an address belongs to, with its length."""
    return masked(entry.address, entry.prefix_length) + bytes([entry.prefix_length])


def enter_routes(entry: InterfaceAddress, primary: InterfaceAddress) -> None:
    """Enter an address's routes: for IPv4 the one to itself even if its interface is down. With the first address of
    its prefix. MemoryError, ENOBUFS.
    """
    device = entry.device
    size = len(entry.address)
    if size == 16 and not device.is_up():
        return
    route = local_route(entry.address, 8 * size, device, LOCAL)
    if size == 4:
        route.source = primary.address
    _enter(device.network, route)
    if not device.is_up():
        return
    if _has_prefix_route(entry):
        _enter(device.network, _prefix_route(entry))
    if size == 16 or (entry.prefix_length == 32 and entry.peer == entry.address):
        return
    if len(entry.broadcast) == 4:
        _enter_broadcast(entry, entry.broadcast)
    if entry.prefix_length < 31 and entry.flags & ADDRESS_SECONDARY == 0:
        _enter_broadcast(entry, broadcast_of(entry.peer, entry.prefix_length))


def _enter_broadcast(entry: InterfaceAddress, address: bytes) -> None:
    route = local_route(address, 32, entry.device, BROADCAST)
    route.source = entry.address
    _enter(entry.device.network, route)


def _withdraw(entry: InterfaceAddress) -> None:
    """Delete the routes of an address that no other address needs, and those derived from it. For IPv4 there is a safe
    point before each: whether it is needed, and still there, is looked up after that.
    """
    network = entry.device.network
    size = len(entry.address)
    prefix = masked(entry.peer, entry.prefix_length)
    # In Linux's order, which watchers can see: the prefix, broadcasts, the address itself, routes derived from it.
    _withdraw_to(entry, network, prefix, entry.prefix_length, _PREFIX)
    if size == 4:
        edge = broadcast_of(entry.peer, entry.prefix_length)
        _withdraw_to(entry, network, edge, 32, _EDGE)
        if len(entry.broadcast) == 4 and entry.broadcast != edge:
            _withdraw_to(entry, network, entry.broadcast, 32, _EDGE)
    _withdraw_to(entry, network, entry.address, 8 * size, _ADDRESS)
    if size == 4:
        for route in _derived(entry, network):
            _withdraw_one(network, route)


def _withdraw_to(entry: InterfaceAddress, network: Network, destination: bytes, length: int, rank: int) -> None:
    """Delete those of an address's routes that lead to a prefix and have a rank, if no other address needs them."""
    size = len(destination)
    found: list[Route] = []
    for number in (TABLE_MAIN, TABLE_LOCAL):
        table = tables_for(network, size).table(number)
        for at in range(first_to(table, destination, length), len(table)):
            route = table[at]
            if route.prefix_length != length or route.destination != destination:
                break
            if route.device is entry.device and _rank(route, entry, destination if rank == _PREFIX else b"") == rank:
                found.append(route)
    spend(len(found) * _RANK_COST)
    for route in found:
        if size == 4:
            pace(0)
        if not _is_needed(route, entry.device):
            _withdraw_one(network, route)


def _derived(entry: InterfaceAddress, network: Network) -> list[Route]:
    """The other routes that have an IPv4 address as their source."""
    found: list[Route] = []
    for number in (TABLE_MAIN, TABLE_LOCAL):
        table = tables_for(network, 4).table(number)
        pace(len(table) * _SOURCE_COST)
        for route in table:
            if route.device is entry.device and route.source == entry.address and not _is_kernels(route):
                found.append(route)
    return found


def _withdraw_one(network: Network, route: Route) -> None:
    try:
        delete_route(network, route)
    except Errno as error:
        if error.code != ESRCH:  # others have deleted it
            raise
    if len(route.destination) == 4:
        pace(_RANK_COST)


def _is_needed(route: Route, device: NetworkDevice) -> bool:
    """Whether an address of its interface needs a route."""
    size = len(route.destination)
    others = list_addresses(device, size)
    spend(len(others) * _NEED_COST)
    if route.table == TABLE_LOCAL and route.prefix_length == 8 * size:
        for other in others:
            if route.destination == other.address or (size == 4 and _is_edge(route, other)):
                return True
    table = TABLE_LOCAL if size == 4 and device.is_loopback() else TABLE_MAIN
    if route.table != table:
        return False
    for other in others:
        if other.prefix_length == route.prefix_length and _has_prefix_route(other) and route.matches(other.peer):
            return True
    return False


def _has_prefix_route(entry: InterfaceAddress) -> bool:
    if entry.prefix_length == 8 * len(entry.address) and entry.peer == entry.address:
        return False
    return entry.flags & (ADDRESS_SECONDARY | ADDRESS_NOPREFIXROUTE) == 0


def _is_edge(route: Route, entry: InterfaceAddress) -> bool:
    """Whether an IPv4 route, to a single address, is to a broadcast address that belongs to an interface's address."""
    if entry.prefix_length == 32 and entry.peer == entry.address:
        return False
    if route.destination == entry.broadcast:
        return True
    rest = _WHOLE >> entry.prefix_length
    return entry.prefix_length < 31 and route.words[0] == span_of(entry.peer).load_be32(0) | rest


def _is_kernels(route: Route) -> bool:
    """Whether the kernel entered it, for an address."""
    return route.protocol == PROTOCOL_KERNEL and route.kind != MULTICAST


def _rank(route: Route, entry: InterfaceAddress, prefix: bytes) -> int:
    """Which of an address's routes this one is, by its destination; -1: none. `prefix` is empty where that is not
    asked for.
    """
    if not _is_kernels(route):
        return -1
    if len(prefix) > 0 and route.prefix_length == entry.prefix_length:
        return _PREFIX
    if len(entry.address) == 4 and route.kind == BROADCAST:
        return _EDGE
    return _ADDRESS if route.destination == entry.address else -1


@final
class _FollowAddresses(AddressWatcher):
    def address_coming(self, entry: InterfaceAddress) -> None:
        """As on Linux, programs hear of the route to an IPv6 prefix before they hear of the address."""
        device = entry.device
        if len(entry.address) == 16 and device.is_up() and _has_prefix_route(entry):
            _enter(device.network, _prefix_route(entry))

    def address_added(self, entry: InterfaceAddress) -> None:
        enter_routes(entry, _primary(entry))
        routes_changed(entry.device.network)

    def address_deleted(self, entry: InterfaceAddress) -> None:
        _withdraw(entry)
        routes_changed(entry.device.network)

    def address_left(self, entry: InterfaceAddress) -> None:
        """All routes of the interface go (`_FollowDevices`); of those of IPv4, Linux reports only these."""
        if len(entry.address) == 4 and entry.flags & ADDRESS_SECONDARY == 0:
            device = entry.device
            route = match_route(device.network, TABLE_LOCAL, entry.address, 32, device.index, b"", -1)
            if route is not None:
                tell_deleted(device.network, route)

    def address_changed(self, entry: InterfaceAddress) -> None:
        routes_changed(entry.device.network)


def _loopback_address(device: NetworkDevice, address: bytes, prefix_length: int) -> None:
    if find_on(device, address) is None:
        entry = InterfaceAddress(device, address, prefix_length)
        entry.scope = SCOPE_HOST
        add_address(entry)


def begin6(device: NetworkDevice) -> None:
    """An interface that is up gets what it has with IPv6."""
    if device.is_loopback():
        _loopback_address(device, LOOPBACK6, 128)
        return
    group = local_route(b"\xff" + bytes(15), 8, device, MULTICAST)
    group.metric = METRIC6_ADDRESS
    _enter(device.network, group)


def end6(device: NetworkDevice) -> None:
    """It has no IPv6 any more: its addresses, neighbours and routes go. Takes safe points. Raises MemoryError."""
    drop_routes6_of(device)
    forget_neighbours(device, 16)
    delete_addresses_of(device, 16)
    routes_changed(device.network)


@final
class _FollowDevices(DeviceWatcher):
    def device_up(self, device: NetworkDevice) -> None:
        primaries: dict[bytes, InterfaceAddress] = {}
        for entry in list_addresses(device, 0):
            primary = entry
            if not entry.is_listed:
                continue  # others have deleted it meanwhile
            if len(entry.address) == 4:
                prefix = _prefix_of(entry)
                if entry.flags & ADDRESS_SECONDARY == 0 or prefix not in primaries:
                    primaries[prefix] = entry
                primary = primaries[prefix]
            enter_routes(entry, primary)
            pace(_ENTER_COST)
        if device.is_loopback():
            if len(list_addresses(device, 4)) == 0:
                _loopback_address(device, LOOPBACK4, 8)
        if DISABLE6.of(device) == 0:
            begin6(device)
        routes_changed(device.network)

    def device_down(self, device: NetworkDevice) -> None:
        drop_routes_of(device)
        forget_neighbours(device, 16)
        delete_addresses_of(device, 16)
        routes_changed(device.network)

    def device_removed(self, device: NetworkDevice) -> None:
        delete_addresses_of(device, 0)
        drop_all_routes_of(device)

    def device_changed(self, device: NetworkDevice) -> None:
        routes_changed(device.network)


watch_addresses(_FollowAddresses())
watch_devices(_FollowDevices())
