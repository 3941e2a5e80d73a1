"""Notifying multicast groups of NETLINK_ROUTE of changes (rtnetlink(7), RTMGRP_*).

Context: wherever the tables change; nothing sleeps. When memory is short, listeners get ENOBUFS in place of the
message.
"""

from typing import Final

from kernel.lang import final
from kernel.net.internet.addresses import AddressWatcher, InterfaceAddress, watch_addresses_first
from kernel.net.internet.routes import Route, RouteWatcher, watch_routes
from kernel.net.link.bridge import PORT_WATCHERS, BridgeDevice, BridgePort, PortWatcher
from kernel.net.link.bridge_table import TABLE_WATCHERS, Entry, TableWatcher
from kernel.net.link.device import (
    IFF_PROMISC,
    IFF_RUNNING,
    IFF_UP,
    DeviceWatcher,
    NetworkDevice,
    watch_devices,
    watch_devices_first,
)
from kernel.net.link.neighbours import CACHE, Neighbour, NeighbourWatcher
from kernel.net.link.network import Network
from kernel.net.netlink.bridge_links import put_bridge_link
from kernel.net.netlink.forwarding_entries import put_entry
from kernel.net.netlink.interface_addresses import RTM_DELADDR, RTM_NEWADDR, put_address
from kernel.net.netlink.link_names import RTM_DELLINK, RTM_NEWLINK
from kernel.net.netlink.links import put_link
from kernel.net.netlink.messages import NLM_F_CREATE, NLM_F_EXCL, MessageWriter
from kernel.net.netlink.neighbours import RTM_DELNEIGH, RTM_NEWNEIGH, put_neighbour
from kernel.net.netlink.routes import RTM_DELROUTE, RTM_NEWROUTE, put_route
from kernel.net.netlink.socket import NETLINK_ROUTE, has_listener, multicast, report_overrun

_GROUP_LINK: Final = 1
_GROUP_NEIGHBOUR: Final = 3
_GROUP_ADDRESS4: Final = 5
_GROUP_ROUTE4: Final = 7
_GROUP_ADDRESS6: Final = 9
_GROUP_ROUTE6: Final = 11
_ALL: Final = 0xFFFF_FFFF


def _tell_link(device: NetworkDevice, change: int, kind: int = RTM_NEWLINK) -> None:
    if not has_listener(device.network, NETLINK_ROUTE, _GROUP_LINK):
        return
    try:
        writer = MessageWriter()
        put_link(writer, device, kind, change)
        multicast(device.network, NETLINK_ROUTE, _GROUP_LINK, bytes(writer.data), 0, None)
    except MemoryError:
        report_overrun(device.network, NETLINK_ROUTE, _GROUP_LINK)


def _tell_address(entry: InterfaceAddress, kind: int) -> None:
    group = _GROUP_ADDRESS4 if len(entry.address) == 4 else _GROUP_ADDRESS6
    if not has_listener(entry.device.network, NETLINK_ROUTE, group):
        return
    try:
        writer = MessageWriter()
        put_address(writer, entry, kind)
        multicast(entry.device.network, NETLINK_ROUTE, group, bytes(writer.data), 0, None)
    except MemoryError:
        report_overrun(entry.device.network, NETLINK_ROUTE, group)


def _tell_route(network: Network, route: Route, kind: int) -> None:
    group = _GROUP_ROUTE4 if len(route.destination) == 4 else _GROUP_ROUTE6
    if not has_listener(network, NETLINK_ROUTE, group):
        return
    try:
        writer = MessageWriter()
        writer.answer_to(0, 0, NLM_F_CREATE | NLM_F_EXCL if kind == RTM_NEWROUTE else 0)
        put_route(writer, route, kind)
        multicast(network, NETLINK_ROUTE, group, bytes(writer.data), 0, None)
    except MemoryError:
        report_overrun(network, NETLINK_ROUTE, group)


def _tell_neighbour(entry: Neighbour, kind: int) -> None:
    if not has_listener(entry.device.network, NETLINK_ROUTE, _GROUP_NEIGHBOUR):
        return
    try:
        writer = MessageWriter()
        put_neighbour(writer, entry, kind)
        multicast(entry.device.network, NETLINK_ROUTE, _GROUP_NEIGHBOUR, bytes(writer.data), 0, None)
    except MemoryError:
        report_overrun(entry.device.network, NETLINK_ROUTE, _GROUP_NEIGHBOUR)


@final
class _Devices(DeviceWatcher):
    """A request that creates an interface is reported once, with what it wanted, such as IFF_UP."""

    def device_added(self, device: NetworkDevice) -> None:
        if device.standing.is_told:
            _tell_link(device, _ALL)

    def device_introduced(self, device: NetworkDevice) -> None:
        if not device.standing.is_told:
            device.standing.is_told = True
            _tell_link(device, _ALL)

    def device_up(self, device: NetworkDevice) -> None:
        change = IFF_UP if device.standing.is_told else _ALL
        device.standing.is_told = True
        _tell_link(device, change)

    def device_down(self, device: NetworkDevice) -> None:
        if device.standing.is_told:
            _tell_link(device, IFF_UP | IFF_RUNNING if device.is_leaving else IFF_UP)

    def device_changed(self, device: NetworkDevice) -> None:
        if device.standing.is_told and not device.is_leaving:
            _tell_link(device, 0)

    def carrier_changed(self, device: NetworkDevice) -> None:
        """`_Carriers` reports it, after a bridge has."""

    def attention_changed(self, device: NetworkDevice) -> None:
        if device.standing.is_told and not device.is_leaving:
            _tell_link(device, IFF_PROMISC)

    def device_left(self, device: NetworkDevice) -> None:
        if device.standing.is_told:
            _tell_link(device, _ALL, RTM_DELLINK)


@final
class _Carriers(DeviceWatcher):
    def carrier_changed(self, device: NetworkDevice) -> None:
        if device.standing.is_told and not device.is_leaving:
            _tell_link(device, 0)


@final
class _Addresses(AddressWatcher):
    def address_added(self, entry: InterfaceAddress) -> None:
        _tell_address(entry, RTM_NEWADDR)

    def address_deleted(self, entry: InterfaceAddress) -> None:
        _tell_address(entry, RTM_DELADDR)

    def address_changed(self, entry: InterfaceAddress) -> None:
        _tell_address(entry, RTM_NEWADDR)


@final
class _Routes(RouteWatcher):
    def route_added(self, network: Network, route: Route) -> None:
        _tell_route(network, route, RTM_NEWROUTE)

    def route_deleted(self, network: Network, route: Route) -> None:
        _tell_route(network, route, RTM_DELROUTE)

    def route_dropped(self, network: Network, route: Route) -> None:
        if len(route.destination) == 16:  # as on Linux; of IPv4 nobody hears
            _tell_route(network, route, RTM_DELROUTE)


@final
class _Neighbours(NeighbourWatcher):
    def neighbour_changed(self, neighbour: Neighbour) -> None:
        _tell_neighbour(neighbour, RTM_NEWNEIGH)

    def neighbour_deleted(self, neighbour: Neighbour) -> None:
        _tell_neighbour(neighbour, RTM_DELNEIGH)


def _tell_port(port: BridgePort, kind: int) -> None:
    device = port.device
    if device is None or not has_listener(device.network, NETLINK_ROUTE, _GROUP_LINK):
        return
    try:
        writer = MessageWriter()
        put_bridge_link(writer, port, kind)
        multicast(device.network, NETLINK_ROUTE, _GROUP_LINK, bytes(writer.data), 0, None)
    except MemoryError:
        report_overrun(device.network, NETLINK_ROUTE, _GROUP_LINK)


def _tell_entry(bridge: NetworkDevice, entry: Entry, kind: int, where: int) -> None:
    if not isinstance(bridge, BridgeDevice) or not has_listener(bridge.network, NETLINK_ROUTE, _GROUP_NEIGHBOUR):
        return
    try:
        writer = MessageWriter()
        put_entry(writer, bridge, entry, kind, where)
        multicast(bridge.network, NETLINK_ROUTE, _GROUP_NEIGHBOUR, bytes(writer.data), 0, None)
    except MemoryError:
        report_overrun(bridge.network, NETLINK_ROUTE, _GROUP_NEIGHBOUR)


@final
class _Ports(PortWatcher):
    def port_changed(self, port: BridgePort) -> None:
        _tell_port(port, RTM_NEWLINK)

    def port_removed(self, port: BridgePort) -> None:
        _tell_port(port, RTM_DELLINK)


@final
class _Tables(TableWatcher):
    def entry_changed(self, bridge: NetworkDevice, entry: Entry, where: int) -> None:
        _tell_entry(bridge, entry, RTM_NEWNEIGH, where)

    def entry_deleted(self, bridge: NetworkDevice, entry: Entry, where: int) -> None:
        _tell_entry(bridge, entry, RTM_DELNEIGH, where)


PORT_WATCHERS.append(_Ports())
TABLE_WATCHERS.append(_Tables())
watch_devices_first(_Devices())
watch_devices(_Carriers())
watch_addresses_first(_Addresses())
watch_routes(_Routes())
CACHE.watchers.append(_Neighbours())
