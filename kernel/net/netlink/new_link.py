"""RTM_NEWLINK that creates an interface, and RTM_DELLINK (rtnetlink(7), ip-link(8)).

Programs can create pairs of type veth, each end in any network, and interfaces of types dummy, bridge and macvlan (of
type tun, by /dev/net/tun only). An interface is created completely, or not at all.

Context: system calls; interfaces go up, down and away with safe points.
"""

from typing import Final

from kernel.lang import EINVAL, ENODEV, EOPNOTSUPP, ERANGE, Errno, final, span_of
from kernel.lib import random
from kernel.lib.pace import is_dying, pace
from kernel.mm.keeping import check_room_to_keep
from kernel.net.link import macvlan, veth
from kernel.net.link.bridge import BridgeDevice, add_port, port_of, remove_port
from kernel.net.link.device import (
    IFF_UP,
    NetworkDevice,
    bring_up,
    device_by_index,
    device_changed,
    introduce,
    register_device,
)
from kernel.net.link.dummy import DummyDevice
from kernel.net.link.macvlan import MacvlanDevice
from kernel.net.link.network import LIMBO, Network, remove_device
from kernel.net.link.pairs import remove_pair
from kernel.net.link.thread import Work, schedule_work
from kernel.net.link.veth import VethDevice
from kernel.net.netlink.link_data import change_bridge, number_of
from kernel.net.netlink.link_names import (
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_LINK,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_MTU,
    IFLA_NET_NS_FD,
    IFLA_NET_NS_PID,
    IFLA_TXQLEN,
    INFO_DATA,
    INFO_KIND,
    LEAST_MTU,
    LINK_HEADER,
    MOST_INDEX,
    MOST_MTU,
    NAME_LIMIT,
    check_link_address,
    check_name,
    text_of,
)
from kernel.net.netlink.messages import HEADER_SIZE, Request, find_attribute
from kernel.net.netlink.target_network import named_network

KINDS: Final = (b"veth", b"dummy", b"bridge", b"macvlan", b"tun")  # types of interfaces
_VETH_INFO_PEER: Final = 1
_MACVLAN_MODE: Final = 1
_MACVLAN_SOURCE: Final = 16
_STEP_COST: Final = 30_000  # instructions for parting one interface from another
_ADDRESS_SIZE: Final = 6
_ALL: Final = 0xFFFF_FFFF


@final
class Wish:
    """What a message says about one interface to be created."""

    def __init__(
        self, request: Request, header: bytes, attributes: bytes, kind: bytes, has_name: bool = True
    ) -> None:
        """`header` is a struct ifinfomsg. Raises EINVAL, EADDRNOTAVAIL, ERANGE, and what a network's name raises."""
        self.index: int = span_of(header).load_u32(4)
        mask = span_of(header).load_u32(12)
        self.flags: int = span_of(header).load_u32(8) & (mask if mask != 0 else _ALL)
        name = text_of(find_attribute(attributes, 0, IFLA_IFNAME)) if has_name else b""
        self.name: bytes = name if len(name) > 0 else kind + b"%d"
        self.address: bytes = find_attribute(attributes, 0, IFLA_ADDRESS)
        self.mtu: int = _number(attributes, IFLA_MTU)
        self.queue_length: int = _number(attributes, IFLA_TXQLEN)
        if self.index > MOST_INDEX or (self.mtu >= 0 and not LEAST_MTU <= self.mtu <= MOST_MTU):
            raise Errno(EINVAL)
        if len(self.address) > 0:
            check_link_address(self.address, _ADDRESS_SIZE)
        process = find_attribute(attributes, 0, IFLA_NET_NS_PID)
        descriptor = find_attribute(attributes, 0, IFLA_NET_NS_FD)
        self.network: Network = named_network(request.network, process, descriptor, request.opener)
        if len(name) > NAME_LIMIT:
            raise Errno(ERANGE)

    def link_address(self) -> bytes:
        """The requested address, or a random one, which is locally administered."""
        return self.address if len(self.address) > 0 else random_link_address()

    def enter(self, device: NetworkDevice) -> None:
        """Give a new interface the requested values, and its place. Raises EINVAL, EEXIST, MemoryError. (Linux looks at
        the name of a pair's second end only after creating the first one, which has taken an index.)
        """
        check_name(self.network, self.name)
        device.index = self.index
        if self.mtu >= 0:
            device.mtu = self.mtu
        if self.queue_length >= 0:
            device.queue_length = self.queue_length
        device.standing.is_told = False
        register_device(device)


def random_link_address() -> bytes:
    """A random address that is locally administered."""
    made = bytearray(_ADDRESS_SIZE)
    random.fill(span_of(made))
    made[0] = made[0] & 0xFE | 2
    return bytes(made)


def _number(attributes: bytes, kind: int) -> int:
    """A number in an attribute; -1 without one. Raises ERANGE."""
    value = find_attribute(attributes, 0, kind)
    if len(value) == 0:
        return -1
    if len(value) < 4:
        raise Errno(ERANGE)
    return span_of(value).load_u32(0)


def kind_of(request: Request) -> bytes:
    """The type of interface that a request names; empty without one."""
    return text_of(find_attribute(request.attribute(IFLA_LINKINFO), 0, INFO_KIND))


def make_link(request: Request) -> None:
    """RTM_NEWLINK for an interface that does not exist. Raises EOPNOTSUPP for an unknown type, EEXIST, EINVAL,
    EPERM …
    """
    kind = kind_of(request)
    if kind not in KINDS or kind == b"tun":
        raise Errno(EOPNOTSUPP)
    check_room_to_keep()
    header = request.payload(LINK_HEADER).to_bytes()
    attributes = request.raw[HEADER_SIZE + LINK_HEADER :]
    wish = Wish(request, header, attributes, kind)
    data = find_attribute(request.attribute(IFLA_LINKINFO), 0, INFO_DATA)
    if kind == b"veth":
        _make_pair(request, wish, data)
        return
    removal = Removal(None)  # allocated now: there may be no memory for it once the interface exists
    if kind == b"macvlan":
        device: NetworkDevice = _make_macvlan(request, wish, data)
    elif kind == b"bridge":
        bridge = BridgeDevice(wish.network, wish.name, wish.link_address())
        bridge.has_own_address = len(wish.address) > 0
        bridge.has_own_mtu = wish.mtu >= 0
        try:
            change_bridge(bridge, data)
            wish.enter(bridge)
        except (Errno, MemoryError):
            bridge.has_ended()  # it and its table refer to each other
            raise
        device = bridge
    else:
        device = DummyDevice(wish.network, wish.name, wish.link_address())
        wish.enter(device)
    removal.device = device
    try:
        _finish(request, device, wish)
    except (Errno, MemoryError):
        schedule_work(removal)
        removal.run(0)
        raise


def _make_macvlan(request: Request, wish: Wish, data: bytes) -> MacvlanDevice:
    """Create one on top of the interface IFLA_LINK of the socket's network. Raises EINVAL without one, ENODEV."""
    index = request.attribute_u32(IFLA_LINK, 0)
    if index == 0:
        raise Errno(EINVAL)
    found = device_by_index(request.network, index)
    if found is None:
        raise Errno(ENODEV)
    lower = macvlan.real_lower(found)
    mode = macvlan_mode(data, macvlan.VEPA)
    if wish.mtu > lower.mtu:
        raise Errno(EINVAL)
    macvlan.check_lower(lower, mode)
    address = lower.address if mode == macvlan.PASSTHRU else wish.link_address()
    device = MacvlanDevice(wish.network, wish.name, address, lower, mode)
    try:
        macvlan.put_on(device)
        wish.enter(device)
    except (Errno, MemoryError):
        device.has_ended()
        raise
    return device


def macvlan_mode(data: bytes, usual: int) -> int:
    """IFLA_MACVLAN_MODE. Raises EINVAL for an unknown mode, EOPNOTSUPP for mode source."""
    mode = number_of(data, _MACVLAN_MODE, 4)
    if mode < 0:
        return usual
    if mode == _MACVLAN_SOURCE:
        raise Errno(EOPNOTSUPP)
    if mode not in (macvlan.PRIVATE, macvlan.VEPA, macvlan.BRIDGE, macvlan.PASSTHRU):
        raise Errno(EINVAL)
    return mode


def set_master(device: NetworkDevice, index: int) -> None:
    """IFLA_MASTER: make an interface a port of a bridge of its network, or of none for 0. Raises EINVAL for an unknown
    interface, EOPNOTSUPP for one that is not a bridge, and what `add_port` raises.
    """
    master = device.master
    port = port_of(device)
    if master is not None and port is not None:
        if master.index == index:
            return
        remove_port(port)
    if index == 0:
        return
    bridge = device_by_index(device.network, index)
    if bridge is None:
        raise Errno(EINVAL)
    if not isinstance(bridge, BridgeDevice):
        raise Errno(EOPNOTSUPP)
    check_room_to_keep()
    add_port(bridge, device)


@final
class Removal(Work):
    """Removes an interface that cannot be completed: in the network thread, if there is no memory to do it at once.
    """

    def __init__(self, device: NetworkDevice | None) -> None:
        super().__init__()
        self.device: NetworkDevice | None = device

    def run(self, now_ns: int) -> None:
        device = self.device
        if device is not None and device.network is not LIMBO:  # its network may have ended in the meantime
            if take_off(device):
                schedule_work(self)
                return
            take_away(device)
        self.device = None


def _make_pair(request: Request, wish: Wish, data: bytes) -> None:
    """The other end is created first, as on Linux, where that shows in the indexes. Without its own attributes it has
    the same ones, except for the name.
    """
    peer_data = find_attribute(data, 0, _VETH_INFO_PEER)
    if 0 < len(peer_data) < LINK_HEADER:
        raise Errno(EINVAL)
    has_own = len(peer_data) > 0
    header = peer_data[:LINK_HEADER] if has_own else bytes(LINK_HEADER)
    attributes = peer_data[LINK_HEADER:] if has_own else request.raw[HEADER_SIZE + LINK_HEADER :]
    others = Wish(request, header, attributes, b"veth", has_name=has_own)
    other = VethDevice(others.network, others.name, others.link_address())
    device = VethDevice(wish.network, wish.name, wish.link_address())
    removal = Removal(other)
    others.enter(other)
    try:
        _set_up(other, others)
        wish.enter(device)
    except (Errno, MemoryError):
        schedule_work(removal)
        removal.run(0)
        raise
    veth.join(device, other)
    try:
        _finish(request, device, wish)
    except (Errno, MemoryError):
        schedule_work(removal)
        removal.run(0)
        raise


def _finish(request: Request, device: NetworkDevice, wish: Wish) -> None:
    """Finish a new interface; Linux ignores IFLA_MASTER for a pair's second end. Raises Errno."""
    if isinstance(device, BridgeDevice) and device.has_own_address:
        device.enter_again()
    if isinstance(device, MacvlanDevice) and device.lower is not None:
        device_changed(device.lower)  # it has something on top
    _set_up(device, wish)
    if len(request.attribute(IFLA_MASTER)) >= 4:
        set_master(device, request.attribute_u32(IFLA_MASTER, 0))


def _set_up(device: NetworkDevice, wish: Wish) -> None:
    if wish.flags & IFF_UP != 0:
        bring_up(device)
    introduce(device)


def delete_link(device: NetworkDevice) -> None:
    """RTM_DELLINK: remove an interface, of a pair both ends. Raises EOPNOTSUPP for one that no program has created.
    The network thread removes whatever a killed caller leaves behind. May sleep.
    """
    if len(device.virtual_kind) == 0:
        raise Errno(EOPNOTSUPP)
    lower = device.lower if isinstance(device, MacvlanDevice) else None
    if lower is not None:
        device_changed(lower)  # it has one less on top
    removal = Removal(device)
    while device.network is not LIMBO and take_off(device):
        pace(_STEP_COST)
        if is_dying():
            schedule_work(removal)
            return
    if device.network is not LIMBO:
        take_away(device)


def take_off(device: NetworkDevice) -> bool:
    """Part an interface from one other, a port or one on top of it. False: there is none, and it may end. Each is
    work, so callers should leave turns between them. Raises MemoryError: then it can be tried again.
    """
    upper = macvlan.one_above(device)
    if upper is None and isinstance(device, VethDevice) and device.peer is not None:
        upper = macvlan.one_above(device.peer)
    if upper is not None:
        remove_device(upper)
        return True
    if isinstance(device, BridgeDevice) and len(device.ports) > 0:
        remove_port(device.ports[len(device.ports) - 1], is_last_act=True)
        return True
    return False


def take_away(device: NetworkDevice) -> None:
    """End an interface, once `take_off` has nothing to do. Raises MemoryError: then another call can do the rest."""
    other = device.peer if isinstance(device, VethDevice) else None
    if isinstance(device, VethDevice) and other is not None:
        removal = Removal(other)
        try:
            remove_pair(device, other)
        except MemoryError:
            if device.network is not LIMBO:
                raise
            schedule_work(removal)
            return
    if isinstance(device, BridgeDevice):
        device.leave_table()
    remove_device(device)
