"""Interfaces in rtnetlink: RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK (rtnetlink(7)).

Interfaces come from drivers, or are created by programs (`new_link.py`).
"""

from typing import Final

from kernel.lang import EBUSY, EEXIST, EINVAL, ENODEV, EOPNOTSUPP, ERANGE, Errno, Span, final, span_of, u8
from kernel.lib.pace import pace_or_end
from kernel.net.link.bridge import BridgeDevice, port_of
from kernel.net.link.device import (
    IFF_ALLMULTI,
    IFF_MULTICAST,
    IFF_NOARP,
    IFF_PROMISC,
    IFF_UP,
    NetworkDevice,
    Traffic,
    bring_down,
    bring_up,
    device_by_index,
    device_by_name,
    device_changed,
    free_name,
    rename_device,
)
from kernel.net.link.macvlan import MacvlanDevice, change_mode
from kernel.net.link.network import Network, move_device
from kernel.net.link.network_ids import NETWORK_IDS
from kernel.net.netlink.link_data import change_bridge, change_port, put_data, put_port
from kernel.net.netlink.link_names import (
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_LINK,
    IFLA_LINK_NETNSID,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_MTU,
    IFLA_NET_NS_FD,
    IFLA_NET_NS_PID,
    IFLA_NEW_IFINDEX,
    IFLA_TARGET_NETNSID,
    IFLA_TXQLEN,
    INFO_DATA,
    INFO_KIND,
    INFO_SLAVE_DATA,
    INFO_SLAVE_KIND,
    LEAST_MTU,
    LINK_HEADER,
    MOST_INDEX,
    RTM_NEWLINK,
    check_link_address,
    check_name,
    text_of,
)
from kernel.net.netlink.link_state import operational_state
from kernel.net.netlink.messages import (
    HEADER_SIZE,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    MessageWriter,
    Request,
    find_attribute,
)
from kernel.net.netlink.new_link import KINDS, delete_link, kind_of, macvlan_mode, make_link, set_master
from kernel.net.netlink.target_network import named_network

_IFLA_BROADCAST: Final = 2
_IFLA_QDISC: Final = 6
_IFLA_STATS: Final = 7
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

_OLD_HEADER: Final = 4  # struct rtgenmsg, padded
_NO_MASTER: Final = 0xFFFF_FFFF
_LINK_COST: Final = 10_000  # instructions
_STATISTICS: Final = 25  # numbers of struct rtnl_link_stats64
_CHANGEABLE: Final = IFF_NOARP | IFF_PROMISC | IFF_ALLMULTI | IFF_MULTICAST


def put_link(writer: MessageWriter, device: NetworkDevice, kind: int, change: int) -> None:
    """Write the message about an interface; `change`: which flags changed."""
    writer.begin(kind)
    writer.u16(0)
    writer.u16(device.kind)
    writer.u32(device.index)
    writer.u32(device.visible_flags())
    writer.u32(change)
    writer.attribute(IFLA_IFNAME, device.name + b"\0")
    writer.attribute_u32(IFLA_TXQLEN, device.queue_length)
    writer.attribute_u8(_IFLA_OPERSTATE, operational_state(device))
    writer.attribute_u8(_IFLA_LINKMODE, 0)
    writer.attribute_u32(IFLA_MTU, device.mtu)
    writer.attribute_u32(_IFLA_MIN_MTU, 0 if device.is_loopback() else 68)
    most = 65_535 if len(device.virtual_kind) == 0 else device.max_mtu
    writer.attribute_u32(_IFLA_MAX_MTU, 0 if device.is_loopback() else most)
    writer.attribute_u32(_IFLA_GROUP, 0)
    promiscuity = device.promiscuous_users + (1 if device.flags & IFF_PROMISC != 0 else 0)
    writer.attribute_u32(_IFLA_PROMISCUITY, promiscuity)
    writer.attribute_u32(_IFLA_NUM_TX_QUEUES, 1)
    writer.attribute_u32(_IFLA_NUM_RX_QUEUES, 1)
    master = device.master
    if master is not None:
        writer.attribute_u32(IFLA_MASTER, master.index)
    writer.attribute_u8(_IFLA_CARRIER, 1 if device.is_up() and device.has_carrier else 0)
    writer.attribute(_IFLA_QDISC, _queueing(device))
    if len(device.address) > 0:
        writer.attribute(IFLA_ADDRESS, device.address)
        writer.attribute(_IFLA_BROADCAST, device.broadcast)
    _put_kind(writer, device)
    place = writer.begin_attribute(_IFLA_STATS64)
    for number in _statistics(device.traffic):
        writer.u64(number)
    writer.end_attribute(place)
    place = writer.begin_attribute(_IFLA_STATS)
    for number in _statistics(device.traffic)[0 : _STATISTICS - 1]:
        writer.u32(number & 0xFFFF_FFFF)
    writer.end_attribute(place)
    writer.end()


def _queueing(device: NetworkDevice) -> bytes:
    if not device.is_hardware and device.virtual_kind != b"tun":
        return b"noqueue\0" if device.has_been_up else b"noop\0"
    return b"pfifo_fast\0" if device.is_hardware or device.has_been_up else b"noop\0"


def _put_kind(writer: MessageWriter, device: NetworkDevice) -> None:
    """Write the type, a port's data, and the interface at the other end, which may be in another network."""
    port = port_of(device)
    if len(device.virtual_kind) == 0 and port is None:
        return
    place = writer.begin_attribute(IFLA_LINKINFO)
    if len(device.virtual_kind) > 0:
        writer.attribute(INFO_KIND, device.virtual_kind + b"\0")
        put_data(writer, device, INFO_DATA)
    if port is not None:
        writer.attribute(INFO_SLAVE_KIND, b"bridge\0")
        put_port(writer, port, INFO_SLAVE_DATA)
    writer.end_attribute(place)
    other = device.partner()
    if other is not None:
        if other.network is not device.network:
            identifier = NETWORK_IDS.find_or_assign(device.network, other.network)
            writer.attribute_u32(IFLA_LINK_NETNSID, identifier & 0xFFFF_FFFF)
        writer.attribute_u32(IFLA_LINK, other.index)
    elif device.virtual_kind == b"veth":
        writer.attribute_u32(IFLA_LINK, 0)


def _statistics(traffic: Traffic) -> list[int]:
    """The numbers of struct rtnl_link_stats64, in its order."""
    numbers = [0] * _STATISTICS
    numbers[0] = traffic.received_packets
    numbers[1] = traffic.sent_packets
    numbers[2] = traffic.received_bytes
    numbers[3] = traffic.sent_bytes
    numbers[4] = traffic.received_errors
    numbers[5] = traffic.sent_errors
    numbers[6] = traffic.received_dropped
    numbers[7] = traffic.sent_dropped
    return numbers


@final
class LinkFilter:
    """Which interfaces a dump shows: ports of one bridge, or of none, and those of one type."""

    def __init__(self, raw: bytes) -> None:
        """`raw` is the request, which begins with a struct ifinfomsg, or with the struct rtgenmsg of old programs.
        Raises EINVAL, ERANGE.
        """
        has_link = len(raw) >= HEADER_SIZE + LINK_HEADER
        start = HEADER_SIZE + (LINK_HEADER if has_link else _OLD_HEADER)
        master = find_attribute(raw, start, IFLA_MASTER)
        if 0 < len(master) < 4:
            raise Errno(ERANGE)
        self.master: int = span_of(master).load_u32(0) if len(master) > 0 else 0  # 0: any; _NO_MASTER: none
        kind = text_of(find_attribute(find_attribute(raw, start, IFLA_LINKINFO), 0, INFO_KIND))
        self.kind: bytes = kind if kind in KINDS else b""  # an unknown one is ignored, as on Linux

    def is_empty(self) -> bool:
        """Whether it lets everything through."""
        return self.master == 0 and len(self.kind) == 0

    def passes(self, device: NetworkDevice) -> bool:
        """Whether an interface is to be shown."""
        if len(self.kind) > 0 and device.virtual_kind != self.kind:
            return False
        master = device.master
        if self.master == 0:
            return True
        return self.master == (_NO_MASTER if master is None else master.index)


def dump_links(network: Network, writer: MessageWriter, wanted: LinkFilter) -> None:
    """Write the interfaces that pass a filter. May sleep."""
    for device in network.devices[:]:
        if device.network is network and wanted.passes(device):
            put_link(writer, device, RTM_NEWLINK, 0)
            pace_or_end(_LINK_COST)


def _wanted_device(request: Request, header: Span[u8]) -> NetworkDevice:
    """The interface that a request means: by index, else by name. EINVAL without either, ENODEV."""
    _refuse_other_network(request)
    index = header.load_u32(4)
    name = request.attribute(IFLA_IFNAME)
    if index > 0x7FFF_FFFF:
        raise Errno(EINVAL)
    if index > 0:
        device = device_by_index(request.network, index)
    elif len(name) > 0:
        device = device_by_name(request.network, text_of(name))
    else:
        raise Errno(EINVAL)
    if device is None:
        raise Errno(ENODEV)
    return device


def _refuse_other_network(request: Request) -> None:
    """Refuse a request about an interface of another network, named by its id. Raises EOPNOTSUPP."""
    if len(request.attribute(IFLA_TARGET_NETNSID)) > 0:
        raise Errno(EOPNOTSUPP)


def get_link(request: Request, writer: MessageWriter) -> None:
    """RTM_GETLINK for one interface."""
    put_link(writer, _wanted_device(request, request.payload(LINK_HEADER)), RTM_NEWLINK, 0)


def set_link(request: Request) -> None:
    """RTM_SETLINK, RTM_NEWLINK: change an interface, or create one."""
    _refuse_other_network(request)
    header = request.payload(LINK_HEADER)
    if request.kind == RTM_NEWLINK and request.has(NLM_F_CREATE) and not _is_there(request, header):
        make_link(request)
        return
    device = _wanted_device(request, header)
    if request.kind == RTM_NEWLINK and request.has(NLM_F_EXCL):
        raise Errno(EEXIST)
    if request.kind == RTM_NEWLINK and request.has(NLM_F_REPLACE):
        raise Errno(EOPNOTSUPP)
    _change_data(request, device)
    _move(request, device)
    _check_changes(request, device)
    mtu = request.attribute_u32(IFLA_MTU, device.mtu)
    link_address = request.attribute(IFLA_ADDRESS)
    name = text_of(request.attribute(IFLA_IFNAME))
    changed = mtu != device.mtu
    if changed:
        device.has_own_mtu = True
    device.mtu = mtu
    if len(link_address) > 0 and link_address != device.address:
        device.address = link_address
        device.has_own_address = True
        changed = True
    if len(name) > 0 and name != device.name:
        rename_device(device, free_name(device.network, name) if b"%" in name else name)
        changed = True
    device.queue_length = request.attribute_u32(IFLA_TXQLEN, device.queue_length)
    if len(request.attribute(IFLA_MASTER)) >= 4:
        set_master(device, request.attribute_u32(IFLA_MASTER, 0))
    if change_flags(device, header.load_u32(8), header.load_u32(12)):
        changed = True
    if changed:
        device_changed(device)


def _change_data(request: Request, device: NetworkDevice) -> None:
    """IFLA_INFO_DATA and IFLA_INFO_SLAVE_DATA, of RTM_NEWLINK alone. Raises EOPNOTSUPP where the interface is not of
    that type, or not a port, or its type has no settings; and as `link_data.py`.
    """
    information = request.attribute(IFLA_LINKINFO)
    if request.kind != RTM_NEWLINK or len(information) == 0:
        return
    data = find_attribute(information, 0, INFO_DATA)
    if len(data) > 0:
        if kind_of(request) != device.virtual_kind:
            raise Errno(EOPNOTSUPP)
        if isinstance(device, BridgeDevice):
            change_bridge(device, data)
        elif isinstance(device, MacvlanDevice):
            change_mode(device, macvlan_mode(data, device.mode))
        else:
            raise Errno(EOPNOTSUPP)
        device_changed(device)
    data = find_attribute(information, 0, INFO_SLAVE_DATA)
    if len(data) > 0:
        port = port_of(device)
        if port is None:
            raise Errno(EOPNOTSUPP)
        change_port(port, data)
        device_changed(device)


def _is_there(request: Request, header: Span[u8]) -> bool:
    """Whether a request names an existing interface."""
    index = header.load_u32(4)
    if index > 0x7FFF_FFFF:
        raise Errno(EINVAL)
    name = request.attribute(IFLA_IFNAME)
    if index > 0:
        return device_by_index(request.network, index) is not None
    return len(name) > 0 and device_by_name(request.network, text_of(name)) is not None


def _move(request: Request, device: NetworkDevice) -> None:
    """IFLA_NET_NS_PID, IFLA_NET_NS_FD: move the interface to another network, under the name in the request.
    Raises EINVAL for lo and bridges, EEXIST, EPERM, ESRCH, EBADF, ERANGE, ENFILE.
    """
    process = request.attribute(IFLA_NET_NS_PID)
    descriptor = request.attribute(IFLA_NET_NS_FD)
    network = named_network(device.network, process, descriptor, request.opener)
    is_asked = len(process) > 0 or len(descriptor) > 0
    if is_asked and (device.is_loop or isinstance(device, BridgeDevice)):
        raise Errno(EINVAL)
    if network is device.network:
        return
    name = text_of(request.attribute(IFLA_IFNAME))
    if len(name) > 0:
        check_name(network, name)
    index = request.attribute_u32(IFLA_NEW_IFINDEX, 0)
    if index > MOST_INDEX or (index == 0 and len(request.attribute(IFLA_NEW_IFINDEX)) > 0):
        raise Errno(ERANGE)
    network.acquire()  # its last user may go while the interface is on its way
    try:
        move_device(device, network, device.name if len(name) == 0 else name, index)
    finally:
        network.release()


def remove_link(request: Request) -> None:
    """RTM_DELLINK. Raises ENODEV, EINVAL, EOPNOTSUPP."""
    delete_link(_wanted_device(request, request.payload(LINK_HEADER)))


def _check_changes(request: Request, device: NetworkDevice) -> None:
    """Everything is checked before anything is changed."""
    mtu = request.attribute_u32(IFLA_MTU, device.mtu)
    most = 65_536 if len(device.virtual_kind) == 0 else device.largest_mtu()
    if mtu != device.mtu and not LEAST_MTU <= mtu <= most:
        raise Errno(EINVAL)
    link_address = request.attribute(IFLA_ADDRESS)
    if len(link_address) > 0:
        if device.is_loopback() or len(device.address) == 0:
            raise Errno(EOPNOTSUPP)
        check_link_address(link_address, len(device.address))
        if isinstance(device, MacvlanDevice) and device.is_up() and link_address != device.address:
            device.check_address(link_address)
    name = text_of(request.attribute(IFLA_IFNAME))
    if len(name) > 0 and name != device.name:
        check_name(device.network, name)
        if device.is_up():
            raise Errno(EBUSY)


def change_flags(device: NetworkDevice, flags: int, mask: int) -> bool:
    """Set the flags that `mask` names, 0 for all changeable ones; returns whether flags other than IFF_UP changed."""
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
