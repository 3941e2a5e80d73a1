"""Interfaces in rtnetlink: RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK (rtnetlink(7)).

Interfaces come from drivers; programs change them, but make none.
"""

from typing import Final

from kernel.lang import EADDRNOTAVAIL, EBUSY, EEXIST, EINVAL, ENODEV, EOPNOTSUPP, Errno, Span, u8
from kernel.net.link.device import (
    DEVICES,
    IFF_ALLMULTI,
    IFF_MULTICAST,
    IFF_NOARP,
    IFF_PROMISC,
    IFF_UP,
    NetworkDevice,
    bring_down,
    bring_up,
    device_by_index,
    device_by_name,
    device_changed,
)
from kernel.net.netlink.messages import NLM_F_CREATE, NLM_F_EXCL, MessageWriter, Request

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTM_SETLINK: Final = 19

_IFLA_ADDRESS: Final = 1
_IFLA_BROADCAST: Final = 2
_IFLA_IFNAME: Final = 3
_IFLA_MTU: Final = 4
_IFLA_QDISC: Final = 6
_IFLA_STATS: Final = 7
_IFLA_TXQLEN: Final = 13
_IFLA_OPERSTATE: Final = 16
_IFLA_LINKMODE: Final = 17
_IFLA_STATS64: Final = 23
_IFLA_GROUP: Final = 27
_IFLA_PROMISCUITY: Final = 30
_IFLA_NUM_TX_QUEUES: Final = 31
_IFLA_NUM_RX_QUEUES: Final = 32
_IFLA_CARRIER: Final = 33
_IFLA_MIN_MTU: Final = 50
_IFLA_MAX_MTU: Final = 51

_HEADER: Final = 16  # struct ifinfomsg
_STATISTICS: Final = 25  # numbers of struct rtnl_link_stats64
_OPERATIONAL_UNKNOWN: Final = 0
_OPERATIONAL_DOWN: Final = 2
_OPERATIONAL_UP: Final = 6
_CHANGEABLE: Final = IFF_NOARP | IFF_PROMISC | IFF_ALLMULTI | IFF_MULTICAST
_NAME_LIMIT: Final = 15


def put_link(writer: MessageWriter, device: NetworkDevice, kind: int, change: int) -> None:
    """The message about an interface; `change`: which flags changed."""
    writer.begin(kind)
    writer.u16(0)
    writer.u16(device.kind)
    writer.u32(device.index)
    writer.u32(device.visible_flags())
    writer.u32(change)
    writer.attribute(_IFLA_IFNAME, device.name + b"\0")
    writer.attribute_u32(_IFLA_TXQLEN, device.queue_length)
    writer.attribute_u8(_IFLA_OPERSTATE, _operational_state(device))
    writer.attribute_u8(_IFLA_LINKMODE, 0)
    writer.attribute_u32(_IFLA_MTU, device.mtu)
    writer.attribute_u32(_IFLA_MIN_MTU, 0 if device.is_loopback() else 68)
    writer.attribute_u32(_IFLA_MAX_MTU, 0 if device.is_loopback() else 65_535)
    writer.attribute_u32(_IFLA_GROUP, 0)
    promiscuity = device.promiscuous_users + (1 if device.flags & IFF_PROMISC != 0 else 0)
    writer.attribute_u32(_IFLA_PROMISCUITY, promiscuity)
    writer.attribute_u32(_IFLA_NUM_TX_QUEUES, 1)
    writer.attribute_u32(_IFLA_NUM_RX_QUEUES, 1)
    writer.attribute_u8(_IFLA_CARRIER, 1 if device.is_up() and device.has_carrier else 0)
    writer.attribute(_IFLA_QDISC, b"noqueue\0" if device.is_loopback() else b"pfifo_fast\0")
    writer.attribute(_IFLA_ADDRESS, device.address)
    writer.attribute(_IFLA_BROADCAST, device.broadcast)
    place = writer.begin_attribute(_IFLA_STATS64)
    for number in _statistics(device):
        writer.u64(number)
    writer.end_attribute(place)
    place = writer.begin_attribute(_IFLA_STATS)
    for number in _statistics(device)[0 : _STATISTICS - 1]:
        writer.u32(number & 0xFFFF_FFFF)
    writer.end_attribute(place)
    writer.end()


def _operational_state(device: NetworkDevice) -> int:
    if device.is_loopback():
        return _OPERATIONAL_UNKNOWN if device.is_up() else _OPERATIONAL_DOWN
    return _OPERATIONAL_UP if device.is_up() and device.has_carrier else _OPERATIONAL_DOWN


def _statistics(device: NetworkDevice) -> list[int]:
    """The numbers of struct rtnl_link_stats64, in its order."""
    numbers = [0] * _STATISTICS
    numbers[0] = device.received_packets
    numbers[1] = device.sent_packets
    numbers[2] = device.received_bytes
    numbers[3] = device.sent_bytes
    numbers[4] = device.received_errors
    numbers[5] = device.sent_errors
    numbers[6] = device.received_dropped
    numbers[7] = device.sent_dropped
    return numbers


def dump_links(writer: MessageWriter) -> None:
    for device in DEVICES.devices:
        put_link(writer, device, RTM_NEWLINK, 0)


def _wanted_device(request: Request, header: Span[u8]) -> NetworkDevice:
    """The interface that a request means: by index, else by name. EINVAL without either, ENODEV."""
    index = header.load_u32(4)
    name = request.attribute(_IFLA_IFNAME)
    if index > 0x7FFF_FFFF:
        raise Errno(EINVAL)
    if index > 0:
        device = device_by_index(index)
    elif len(name) > 0:
        device = device_by_name(_text(name))
    else:
        raise Errno(EINVAL)
    if device is None:
        raise Errno(ENODEV)
    return device


def _text(value: bytes) -> bytes:
    """A string attribute up to its NUL."""
    end = value.find(b"\0")
    return value if end < 0 else value[:end]


def get_link(request: Request, writer: MessageWriter) -> None:
    """RTM_GETLINK for one interface."""
    put_link(writer, _wanted_device(request, request.payload(_HEADER)), RTM_NEWLINK, 0)


def set_link(request: Request) -> None:
    """RTM_SETLINK, RTM_NEWLINK: change an interface. EOPNOTSUPP for making one."""
    header = request.payload(_HEADER)
    if request.kind == RTM_NEWLINK and request.has(NLM_F_CREATE) and header.load_u32(4) == 0:
        name = request.attribute(_IFLA_IFNAME)
        if len(name) == 0 or device_by_name(_text(name)) is None:
            raise Errno(EOPNOTSUPP)
    device = _wanted_device(request, header)
    if request.kind == RTM_NEWLINK and request.has(NLM_F_EXCL):
        raise Errno(EEXIST)
    _check_changes(request, device)
    mtu = request.attribute_u32(_IFLA_MTU, device.mtu)
    link_address = request.attribute(_IFLA_ADDRESS)
    name = _text(request.attribute(_IFLA_IFNAME))
    changed = mtu != device.mtu
    device.mtu = mtu
    if len(link_address) > 0 and link_address != device.address:
        device.address = link_address
        changed = True
    if len(name) > 0 and name != device.name:
        device.name = name
        changed = True
    device.queue_length = request.attribute_u32(_IFLA_TXQLEN, device.queue_length)
    if change_flags(device, header.load_u32(8), header.load_u32(12)):
        changed = True
    if changed:
        device_changed(device)


def _check_changes(request: Request, device: NetworkDevice) -> None:
    """Everything is checked before anything is changed."""
    mtu = request.attribute_u32(_IFLA_MTU, device.mtu)
    if mtu != device.mtu and not 68 <= mtu <= 65_536:
        raise Errno(EINVAL)
    link_address = request.attribute(_IFLA_ADDRESS)
    if len(link_address) > 0:
        if device.is_loopback():
            raise Errno(EOPNOTSUPP)
        if len(link_address) != len(device.address):
            raise Errno(EINVAL)
        if link_address[0] & 1 != 0:
            raise Errno(EADDRNOTAVAIL)
    name = _text(request.attribute(_IFLA_IFNAME))
    if len(name) > 0 and name != device.name:
        if len(name) > _NAME_LIMIT or name.find(b"/") >= 0 or name == b"." or name == b"..":
            raise Errno(EINVAL)
        if device_by_name(name) is not None:
            raise Errno(EEXIST)
        if device.is_up():
            raise Errno(EBUSY)


def change_flags(device: NetworkDevice, flags: int, mask: int) -> bool:
    """Set those flags that `mask` names, 0 for all that can be changed; whether flags other than IFF_UP changed."""
    if mask == 0:
        if flags == 0:
            return False
        mask = 0xFFFF_FFFF
    wanted = (device.flags & ~(mask & _CHANGEABLE)) | (flags & mask & _CHANGEABLE)
    changed = wanted != device.flags
    device.flags = wanted
    if mask & IFF_UP != 0:
        if flags & IFF_UP != 0:
            bring_up(device)
        else:
            bring_down(device)
    return changed
