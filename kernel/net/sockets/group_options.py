"""Structures of options about groups, and the interface for datagrams sent to groups (ip(7), ipv6(7)).

Context: system calls; nothing sleeps.
Source: RFC 3678 (MCAST_JOIN_GROUP), RFC 3493 section 5.2.
"""

from typing import Final

from kernel.lang import EADDRNOTAVAIL, EINVAL, ENODEV, Errno, span_of
from kernel.net.internet.addresses import ANY4, owner_of
from kernel.net.internet.routes import find_route
from kernel.net.link.device import NetworkDevice, device_by_index
from kernel.net.link.network import Network
from kernel.net.sockets.inet_options import InternetOptions, int_of

_GROUP_REQUEST: Final = 136  # struct group_req: the index, padding, a sockaddr_storage


def request4(network: Network, value: bytes) -> tuple[bytes, NetworkDevice | None]:
    """The group and the device of a struct ip_mreq or ip_mreqn; None for an unknown device. EINVAL."""
    if len(value) < 8:
        raise Errno(EINVAL)
    group = value[0:4]
    if len(value) >= 12:
        index = span_of(value).load_u32(8)
        if index != 0:
            return group, device_by_index(network, index & 0x7FFF_FFFF)
    return group, device_of(network, group, value[4:8])


def device_of(network: Network, group: bytes, address: bytes) -> NetworkDevice | None:
    """The device that has an address; with 0.0.0.0 the one to which the group is routed."""
    if address != ANY4:
        entry = owner_of(network, address)
        return None if entry is None else entry.device
    return device_for_group(network, group)


def device_for_group(network: Network, group: bytes) -> NetworkDevice | None:
    """The device to which a group is routed; without a route, the first that is up and not a loopback."""
    route = find_route(network, group)
    if route is not None and route.device is not None:
        return route.device
    return None


def request6(network: Network, value: bytes) -> tuple[bytes, NetworkDevice | None]:
    """The group and the device of a struct ipv6_mreq; None for an unknown device. EINVAL."""
    if len(value) < 20:
        raise Errno(EINVAL)
    group = value[0:16]
    index = span_of(value).load_u32(16)
    if index == 0:
        return group, device_for_group(network, group)
    return group, device_by_index(network, index & 0x7FFF_FFFF)


def group_request(network: Network, value: bytes, size: int) -> tuple[bytes, NetworkDevice | None]:
    """The same of a struct group_req, for addresses of `size` bytes. EINVAL, EADDRNOTAVAIL for another family."""
    if len(value) < _GROUP_REQUEST:
        raise Errno(EINVAL)
    index = span_of(value).load_u32(0)
    family = span_of(value).load_u16(8)
    if family != (2 if size == 4 else 10):
        raise Errno(EADDRNOTAVAIL)
    group = value[12:16] if size == 4 else value[16:32]
    if index == 0:
        return group, device_for_group(network, group)
    return group, device_by_index(network, index & 0x7FFF_FFFF)


def set_multicast_interface4(options: InternetOptions, value: bytes, bound_device: int) -> None:
    """IP_MULTICAST_IF: an address, a struct ip_mreq or ip_mreqn. EINVAL, EADDRNOTAVAIL."""
    if len(value) < 4:
        raise Errno(EINVAL)
    address = value[0:4] if len(value) < 8 else value[4:8]
    index = span_of(value).load_u32(8) & 0x7FFF_FFFF if len(value) >= 12 else 0
    if index == 0 and address == ANY4:
        options.multicast_device = 0
        options.multicast_source = b""
        return
    if index == 0:
        entry = owner_of(options.network, address)
        if entry is None:
            raise Errno(EADDRNOTAVAIL)
        index = entry.device.index
    elif device_by_index(options.network, index) is None:
        raise Errno(EADDRNOTAVAIL)
    if bound_device != 0 and bound_device != index:
        raise Errno(EINVAL)
    options.multicast_device = index
    options.multicast_source = address


def set_multicast_interface6(options: InternetOptions, value: bytes, bound_device: int) -> None:
    """IPV6_MULTICAST_IF: an index. EINVAL, ENODEV."""
    index = int_of(value)
    if index != 0:
        if device_by_index(options.network, index) is None:
            raise Errno(ENODEV)
        if bound_device != 0 and bound_device != index:
            raise Errno(EINVAL)
    options.multicast_device6 = index
