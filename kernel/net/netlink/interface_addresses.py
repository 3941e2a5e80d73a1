"""Addresses of interfaces in rtnetlink: RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR (rtnetlink(7))."""

from typing import Final

from kernel.lang import (
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EEXIST,
    EINVAL,
    ENODEV,
    EOPNOTSUPP,
    ERANGE,
    Errno,
    span_of,
)
from kernel.lib.pace import pace_or_end
from kernel.mm.keeping import check_room_to_keep
from kernel.net.internet.addresses import (
    ADDRESS_DEPRECATED,
    ADDRESS_HOMEADDRESS,
    ADDRESS_MANAGETEMPADDR,
    ADDRESS_MCAUTOJOIN,
    ADDRESS_NODAD,
    ADDRESS_PERMANENT,
    ADDRESS_SECONDARY,
    ADDRESS_TENTATIVE,
    FOREVER_NS,
    InterfaceAddress,
    add_address,
    address_changed,
    delete_address,
    find_address,
    list_addresses,
    list_all_addresses,
    masked,
)
from kernel.net.internet.router_discovery import EXPIRY
from kernel.net.link.device import NetworkDevice, device_by_index
from kernel.net.link.network import Network
from kernel.net.netlink.messages import NLM_F_EXCL, NLM_F_REPLACE, MessageWriter, Request
from kernel.net.sockets.socket import AF_INET, AF_INET6
from kernel.time import monotonic_ns

RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21
RTM_GETADDR: Final = 22

_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_IFA_LABEL: Final = 3
_IFA_BROADCAST: Final = 4
_IFA_CACHEINFO: Final = 6
_IFA_FLAGS: Final = 8
_IFA_RT_PRIORITY: Final = 9

_HEADER: Final = 8  # struct ifaddrmsg
_ADDRESS_COST: Final = 5_000  # instructions
_MOST_LABEL: Final = 15  # bytes
_IFA_TARGET_NETNSID: Final = 10
_NS: Final = 1_000_000_000
_FOREVER: Final = 0xFFFF_FFFF
# What a program may change in an IPv6 address later; the route of its prefix stays unchanged. (Linux changes none of
# IPv4's.)
_CHOSEN_FLAGS: Final = ADDRESS_NODAD | ADDRESS_HOMEADDRESS | ADDRESS_MANAGETEMPADDR | ADDRESS_MCAUTOJOIN
# Flags that only the kernel sets.
_OWN_FLAGS: Final = ADDRESS_PERMANENT | ADDRESS_SECONDARY | ADDRESS_TENTATIVE
_HUNDREDTH_NS: Final = 10_000_000


def address_size(family: int) -> int:
    """The size in bytes of an address of the family. EAFNOSUPPORT for other families."""
    if family == AF_INET:
        return 4
    if family == AF_INET6:
        return 16
    raise Errno(EAFNOSUPPORT)


def family_of_size(size: int) -> int:
    return AF_INET if size == 4 else AF_INET6


def put_address(writer: MessageWriter, entry: InterfaceAddress, kind: int) -> None:
    """Write the message about an address."""
    writer.begin(kind)
    size = len(entry.address)
    writer.u8(family_of_size(size))
    writer.u8(entry.prefix_length)
    writer.u8(entry.flags)
    writer.u8(entry.scope)
    writer.u32(entry.device.index)
    if size == 4:
        writer.attribute(_IFA_ADDRESS, entry.peer)
        writer.attribute(_IFA_LOCAL, entry.address)
        if len(entry.broadcast) == 4:
            writer.attribute(_IFA_BROADCAST, entry.broadcast)
        writer.attribute(_IFA_LABEL, entry.label + b"\0")
    elif entry.peer != entry.address:
        writer.attribute(_IFA_LOCAL, entry.address)
        writer.attribute(_IFA_ADDRESS, entry.peer)
    else:
        writer.attribute(_IFA_ADDRESS, entry.address)
    writer.attribute_u32(_IFA_FLAGS, entry.flags)
    if entry.route_metric != 0:
        writer.attribute_u32(_IFA_RT_PRIORITY, entry.route_metric)
    place = writer.begin_attribute(_IFA_CACHEINFO)
    writer.u32(_seconds_left(entry.preferred_until_ns))
    writer.u32(_seconds_left(entry.valid_until_ns))
    writer.u32(entry.created_ns // _HUNDREDTH_NS)
    writer.u32(entry.updated_ns // _HUNDREDTH_NS)
    writer.end_attribute(place)
    writer.end()


def _seconds_left(until_ns: int) -> int:
    if until_ns == FOREVER_NS:
        return _FOREVER
    return max(0, until_ns - monotonic_ns()) // _NS


def dump_addresses(network: Network, writer: MessageWriter, family: int) -> None:
    """Write all addresses of a family; AF_UNSPEC: of both. May sleep."""
    for size in (4, 16):
        if family == 0 or family_of_size(size) == family:
            for entry in list_all_addresses(network, size):
                if entry.device.network is network:
                    put_address(writer, entry, RTM_NEWADDR)
                    pace_or_end(_ADDRESS_COST)


class _Wanted:
    """The content of an address request."""

    def __init__(self, request: Request) -> None:
        header = request.payload(_HEADER)
        size = address_size(header[0])
        self.network: Network = request.network
        self.prefix_length: int = header[1]
        self.flags: int = request.attribute_u32(_IFA_FLAGS, header[2]) & ~_OWN_FLAGS
        self.scope: int = header[3]
        self.index: int = header.load_u32(4)
        local = request.address(_IFA_LOCAL, size)
        peer = request.address(_IFA_ADDRESS, size)
        if len(local) == 0 and size == 16:
            local = peer
        self.local: bytes = local
        self.has_peer: bool = len(peer) > 0
        self.peer: bytes = peer if len(peer) > 0 else local
        self.broadcast: bytes = request.address(_IFA_BROADCAST, size)
        label = request.attribute(_IFA_LABEL)
        end = label.find(b"\0")
        self.label: bytes = label if end < 0 else label[:end]
        if len(self.label) > _MOST_LABEL:
            raise Errno(ERANGE)
        if len(request.attribute(_IFA_TARGET_NETNSID)) > 0:
            raise Errno(EOPNOTSUPP)  # an interface of another network, by its id
        self.valid: int = _FOREVER
        self.preferred: int = _FOREVER
        life = request.attribute(_IFA_CACHEINFO)
        if len(life) > 0:
            if len(life) < 16:
                raise Errno(EINVAL)
            self.preferred = span_of(life).load_u32(0)
            self.valid = span_of(life).load_u32(4)

    def device(self) -> NetworkDevice:
        device = device_by_index(self.network, self.index)
        if device is None:
            raise Errno(ENODEV)
        return device


def new_address(request: Request) -> None:
    """RTM_NEWADDR. EINVAL, ENODEV, EEXIST, ENOBUFS."""
    wanted = _Wanted(request)
    size = len(wanted.local)
    if size == 0 or wanted.prefix_length > size * 8 or wanted.valid == 0 or wanted.preferred > wanted.valid:
        raise Errno(EINVAL)
    device = wanted.device()
    present = find_address(device, wanted.local, wanted.prefix_length)
    if present is not None:
        if request.has(NLM_F_EXCL) or not request.has(NLM_F_REPLACE):
            raise Errno(EEXIST)
        if size == 16:
            cleared = _CHOSEN_FLAGS & ~ADDRESS_MCAUTOJOIN | ADDRESS_DEPRECATED  # an automatic join stays
            present.flags = present.flags & ~cleared | wanted.flags & _CHOSEN_FLAGS
        _set_lifetimes(present, wanted)
        present.updated_ns = monotonic_ns()
        address_changed(present)
        _plan_end(present)
        return
    entry = InterfaceAddress(device, wanted.local, wanted.prefix_length)
    entry.peer = wanted.peer
    if size == 4:
        entry.scope = wanted.scope
        entry.broadcast = wanted.broadcast
        if wanted.label:
            entry.label = wanted.label
    entry.flags |= wanted.flags
    entry.route_metric = request.attribute_u32(_IFA_RT_PRIORITY, 0)
    _set_lifetimes(entry, wanted)
    entry.created_ns = monotonic_ns()
    entry.updated_ns = entry.created_ns
    check_room_to_keep()
    add_address(entry)
    _plan_end(entry)


def _set_lifetimes(entry: InterfaceAddress, wanted: _Wanted) -> None:
    now_ns = monotonic_ns()
    entry.valid_until_ns = FOREVER_NS if wanted.valid == _FOREVER else now_ns + wanted.valid * _NS
    entry.preferred_until_ns = FOREVER_NS if wanted.preferred == _FOREVER else now_ns + wanted.preferred * _NS
    if wanted.valid != _FOREVER:
        entry.flags &= ~ADDRESS_PERMANENT
    else:
        entry.flags |= ADDRESS_PERMANENT


def _plan_end(entry: InterfaceAddress) -> None:
    if entry.valid_until_ns != FOREVER_NS or entry.preferred_until_ns != FOREVER_NS:
        EXPIRY.plan(entry.device.network)


def remove_address(request: Request) -> None:
    """RTM_DELADDR: the first address that matches the given fields. ENODEV, EADDRNOTAVAIL."""
    wanted = _Wanted(request)
    header = request.payload(_HEADER)
    device = wanted.device()
    for entry in list_addresses(device, address_size(header[0])):
        if len(wanted.local) > 0 and entry.address != wanted.local:
            continue
        if len(wanted.label) > 0 and entry.label != wanted.label:
            continue
        if wanted.has_peer and (
            entry.prefix_length != wanted.prefix_length
            or masked(entry.peer, entry.prefix_length) != masked(wanted.peer, entry.prefix_length)
        ):
            continue
        delete_address(entry)
        return
    raise Errno(EADDRNOTAVAIL)
