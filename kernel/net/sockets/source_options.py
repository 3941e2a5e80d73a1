"""Options that choose the senders a socket hears in a group: IP_ADD_SOURCE_MEMBERSHIP, IP_MSFILTER, MCAST_* (ip(7)).

Context: system calls; nothing sleeps.
Source: RFC 3678. The order of checks is Linux's.
"""

from typing import Final

from kernel.lang import EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOBUFS, ENODEV, Errno, span_of
from kernel.net.internet.addresses import is_multicast
from kernel.net.link.device import NetworkDevice, device_by_index
from kernel.net.sockets import inet_names as ip
from kernel.net.sockets.group_options import device_for_group, device_of
from kernel.net.sockets.inet import encode_inet, encode_inet6
from kernel.net.sockets.inet_options import int_bytes
from kernel.net.sockets.joined_groups import EXCLUDE, INCLUDE, JoinedGroups, most_sources
from kernel.net.sockets.socket import AF_INET, AF_INET6

_SOURCE_REQUEST4: Final = 12  # struct ip_mreq_source: group, interface, source
_SOURCE_REQUEST: Final = 264  # struct group_source_req: index, padding, two sockaddr_storages
_FILTER4: Final = 16  # struct ip_msfilter without its sources: group, interface, mode, count
_FILTER: Final = 144  # struct group_filter: index, padding, a sockaddr_storage, mode, count
_STORAGE: Final = 128  # sizeof(struct sockaddr_storage)


def set_source_option(groups: JoinedGroups, name: int, value: bytes, size: int) -> None:
    """Carry out an option that changes a filter, for addresses of `size` bytes. EINVAL, EADDRNOTAVAIL, ENODEV, ENOBUFS.
    """
    match name:
        case ip.IP_MSFILTER:
            _set_filter4(groups, value)
        case ip.MCAST_MSFILTER:
            _set_filter(groups, value, size)
        case ip.MCAST_BLOCK_SOURCE | ip.MCAST_UNBLOCK_SOURCE | ip.MCAST_JOIN_SOURCE_GROUP | ip.MCAST_LEAVE_SOURCE_GROUP:
            _change(groups, name, value, size)
        case _:
            _change4(groups, name, value)


def is_source_option(name: int) -> bool:
    """Whether `set_source_option` knows it at level IPPROTO_IP; at level IPPROTO_IPV6 it knows only MCAST_*."""
    return ip.IP_UNBLOCK_SOURCE <= name <= ip.IP_MSFILTER or is_protocol_independent(name)


def is_protocol_independent(name: int) -> bool:
    return (
        name == ip.MCAST_BLOCK_SOURCE
        or name == ip.MCAST_UNBLOCK_SOURCE
        or ip.MCAST_JOIN_SOURCE_GROUP <= name <= ip.MCAST_MSFILTER
    )


def _change4(groups: JoinedGroups, name: int, value: bytes) -> None:
    if len(value) != _SOURCE_REQUEST4:
        raise Errno(EINVAL)
    group = value[0:4]
    mode = INCLUDE if name == ip.IP_ADD_SOURCE_MEMBERSHIP or name == ip.IP_DROP_SOURCE_MEMBERSHIP else EXCLUDE
    is_adding = name == ip.IP_ADD_SOURCE_MEMBERSHIP or name == ip.IP_BLOCK_SOURCE
    device = device_of(groups.network, group, value[4:8])
    _apply(groups, group, device, value[8:12], mode, is_adding)


def _change(groups: JoinedGroups, name: int, value: bytes, size: int) -> None:
    if len(value) < _SOURCE_REQUEST:
        raise Errno(EINVAL)
    group = _address_at(value, 8, size)
    source = _address_at(value, 8 + _STORAGE, size)
    mode = INCLUDE if name == ip.MCAST_JOIN_SOURCE_GROUP or name == ip.MCAST_LEAVE_SOURCE_GROUP else EXCLUDE
    is_adding = name == ip.MCAST_JOIN_SOURCE_GROUP or name == ip.MCAST_BLOCK_SOURCE
    _apply(groups, group, _device_at(groups, value, group), source, mode, is_adding)


def _apply(
    groups: JoinedGroups, group: bytes, device: NetworkDevice | None, source: bytes, mode: int, is_adding: bool
) -> None:
    if not is_multicast(group):
        raise Errno(EINVAL)
    if device is None:
        raise Errno(ENODEV)
    if mode == INCLUDE and is_adding:
        try:
            groups.join(group, device, INCLUDE)
        except Errno as error:
            if error.code != EADDRINUSE:
                raise
    groups.change_source(group, device.index, source, mode, is_adding)


def _address_at(value: bytes, at: int, size: int) -> bytes:
    """The address in a sockaddr_storage. EADDRNOTAVAIL for another family."""
    if span_of(value).load_u16(at) != (AF_INET if size == 4 else AF_INET6):
        raise Errno(EADDRNOTAVAIL)
    return value[at + 4 : at + 8] if size == 4 else value[at + 8 : at + 24]


def _device_at(groups: JoinedGroups, value: bytes, group: bytes) -> NetworkDevice | None:
    """The device of an index at the front, or where it is 0, of the group's route."""
    index = span_of(value).load_u32(0) & 0x7FFF_FFFF
    return device_for_group(groups.network, group) if index == 0 else device_by_index(groups.network, index)


def _check_count(count: int, size: int) -> None:
    if count > most_sources(size):
        raise Errno(ENOBUFS)


def _set_filter4(groups: JoinedGroups, value: bytes) -> None:
    if len(value) < _FILTER4:
        raise Errno(EINVAL)
    span = span_of(value)
    count = span.load_u32(12)
    _check_count(count, 4)
    if len(value) < _FILTER4 + count * 4:
        raise Errno(EINVAL)
    sources = [value[_FILTER4 + i * 4 : _FILTER4 + i * 4 + 4] for i in range(count)]
    group = value[0:4]
    _replace(groups, group, device_of(groups.network, group, value[4:8]), span.load_u32(8), sources)


def _set_filter(groups: JoinedGroups, value: bytes, size: int) -> None:
    if len(value) < _FILTER:
        raise Errno(EINVAL)
    span = span_of(value)
    count = span.load_u32(140)
    _check_count(count, size)
    if len(value) < _FILTER + count * _STORAGE:
        raise Errno(EINVAL)
    group = _address_at(value, 8, size)
    sources = [_address_at(value, _FILTER + i * _STORAGE, size) for i in range(count)]
    _replace(groups, group, _device_at(groups, value, group), span.load_u32(136), sources)


def _replace(
    groups: JoinedGroups, group: bytes, device: NetworkDevice | None, mode: int, sources: list[bytes]
) -> None:
    if not is_multicast(group) or mode > INCLUDE:
        raise Errno(EINVAL)
    if device is None:
        raise Errno(ENODEV)
    groups.set_filter(group, device.index, mode, sources)


def get_source_filter(groups: JoinedGroups, name: int, value: bytes, size: int) -> bytes:
    """IP_MSFILTER, MCAST_MSFILTER: the filter of the group that `value` names, with as many sources as it has room
    for. EINVAL, ENODEV, EADDRNOTAVAIL.
    """
    is_plain = name == ip.IP_MSFILTER
    header = _FILTER4 if is_plain else _FILTER
    if len(value) < header:
        raise Errno(EINVAL)
    group = value[0:4] if is_plain else _address_at(value, 8, size)
    if not is_multicast(group):
        raise Errno(EINVAL)
    device = device_of(groups.network, group, value[4:8]) if is_plain else _device_at(groups, value, group)
    if device is None:
        raise Errno(ENODEV)
    joined = groups.find(group, device.index)
    if joined is None:
        raise Errno(EADDRNOTAVAIL)
    room = span_of(value).load_u32(header - 4)
    result = value[: header - 8] + int_bytes(joined.mode) + int_bytes(len(joined.sources))
    for i in range(min(room, len(joined.sources))):
        source = joined.sources[i]
        if is_plain:
            result += source
        else:
            address = encode_inet(source, 0) if size == 4 else encode_inet6(source, 0)
            result += address + bytes(_STORAGE - len(address))
    return result
