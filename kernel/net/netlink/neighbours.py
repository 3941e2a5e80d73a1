"""The neighbour cache in rtnetlink: RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH (rtnetlink(7))."""

from typing import Final

from kernel.lang import EEXIST, EINVAL, ENODEV, ENOENT, Errno
from kernel.lib.pace import pace_or_end
from kernel.mm.keeping import check_room_to_keep
from kernel.net.link.device import NetworkDevice, device_by_index
from kernel.net.link.neighbours import (
    HAS_ADDRESS,
    PERMANENT,
    Neighbour,
    delete_neighbour,
    find_neighbour,
    list_neighbours,
    set_neighbour,
)
from kernel.net.link.network import Network
from kernel.net.netlink.interface_addresses import address_size, family_of_size
from kernel.net.netlink.messages import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, MessageWriter, Request
from kernel.time import monotonic_ns

RTM_NEWNEIGH: Final = 28
RTM_DELNEIGH: Final = 29
RTM_GETNEIGH: Final = 30

_NDA_DST: Final = 1
_NDA_LLADDR: Final = 2
_NDA_CACHEINFO: Final = 3
_NDA_PROBES: Final = 4
_NTF_ROUTER: Final = 0x80
_NTF_PROXY: Final = 0x08
_UNICAST: Final = 1

_HEADER: Final = 12  # struct ndmsg
_NEIGHBOUR_COST: Final = 3_000  # instructions
_HUNDREDTH_NS: Final = 10_000_000


def put_neighbour(writer: MessageWriter, entry: Neighbour, kind: int) -> None:
    """Write the message about a neighbour."""
    writer.begin(kind)
    writer.u8(family_of_size(len(entry.address)))
    writer.u8(0)
    writer.u16(0)
    writer.u32(entry.device.index)
    writer.u16(entry.state)
    writer.u8((_NTF_ROUTER if entry.is_router else 0) | (_NTF_PROXY if entry.is_proxy else 0))
    writer.u8(_UNICAST)
    writer.attribute(_NDA_DST, entry.address)
    if entry.state & HAS_ADDRESS != 0 and len(entry.link_address) > 0:
        writer.attribute(_NDA_LLADDR, entry.link_address)
    writer.attribute_u32(_NDA_PROBES, entry.probes)
    now_ns = monotonic_ns()
    place = writer.begin_attribute(_NDA_CACHEINFO)
    writer.u32((now_ns - entry.confirmed_ns) // _HUNDREDTH_NS)
    writer.u32((now_ns - entry.used_ns) // _HUNDREDTH_NS)
    writer.u32((now_ns - entry.updated_ns) // _HUNDREDTH_NS)
    writer.u32(0)
    writer.end_attribute(place)
    writer.end()


def dump_neighbours(network: Network, writer: MessageWriter, family: int) -> None:
    """Write all entries of a family; AF_UNSPEC: of both. May sleep."""
    for size in (4, 16):
        if family == 0 or family_of_size(size) == family:
            for entry in list_neighbours(network, size):
                if entry.is_listed:
                    put_neighbour(writer, entry, RTM_NEWNEIGH)
                    pace_or_end(_NEIGHBOUR_COST)


def _device(network: Network, index: int) -> NetworkDevice:
    device = device_by_index(network, index)
    if device is None:
        raise Errno(ENODEV if index != 0 else EINVAL)
    return device


def new_neighbour(request: Request) -> None:
    """RTM_NEWNEIGH. EINVAL, ENODEV, EEXIST, ENOENT."""
    header = request.payload(_HEADER)
    size = address_size(header[0])
    address = request.address(_NDA_DST, size)
    if len(address) == 0:
        raise Errno(EINVAL)
    device = _device(request.network, header.load_u32(4))
    state = header.load_u16(8)
    present = find_neighbour(device, address)
    if present is None and not request.has(NLM_F_CREATE):
        raise Errno(ENOENT)
    if present is not None and request.has(NLM_F_EXCL):
        raise Errno(EEXIST)
    link_address = request.attribute(_NDA_LLADDR)
    if len(link_address) == 0:
        if present is None or not request.has(NLM_F_REPLACE):
            raise Errno(EINVAL)
        link_address = present.link_address
    if present is None:
        check_room_to_keep()
    set_neighbour(device, address, link_address, state if state != 0 else PERMANENT)


def remove_neighbour(request: Request) -> None:
    """RTM_DELNEIGH. EINVAL, ENODEV, ENOENT."""
    header = request.payload(_HEADER)
    size = address_size(header[0])
    address = request.address(_NDA_DST, size)
    if len(address) == 0:
        raise Errno(EINVAL)
    delete_neighbour(_device(request.network, header.load_u32(4)), address)


def get_neighbour(request: Request, writer: MessageWriter) -> None:
    """RTM_GETNEIGH for one. EINVAL, ENODEV, ENOENT."""
    header = request.payload(_HEADER)
    size = address_size(header[0])
    address = request.address(_NDA_DST, size)
    if len(address) == 0:
        raise Errno(EINVAL)
    entry = find_neighbour(_device(request.network, header.load_u32(4)), address)
    if entry is None:
        raise Errno(ENOENT)
    put_neighbour(writer, entry, RTM_NEWNEIGH)
