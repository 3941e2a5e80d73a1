"""What rtnetlink says about interfaces of a type, beyond what all have: IFLA_INFO_DATA and IFLA_INFO_SLAVE_DATA
(rtnetlink(7), ip-link(8); <linux/if_link.h>), and how programs change bridges, ports and macvlan interfaces.

Missing: VLAN filtering and the spanning tree protocol (turning them on is EOPNOTSUPP), snooping of groups, calls
of the firewall for bridged packets; their numbers are ignored, as by Linux built without them.

Context: system calls, and wherever something changes; nothing sleeps.
"""

from typing import Final

from kernel.lang import EINVAL, ENETDOWN, EOPNOTSUPP, EPROTONOSUPPORT, ERANGE, Errno, span_of
from kernel.lib.credentials import gid_for_caller, uid_for_caller
from kernel.lib.ids import NO_GROUP, NO_USER
from kernel.net.link import macvlan
from kernel.net.link.bridge import (
    BROADCAST_FLOOD,
    FAST_LEAVE,
    FLOOD,
    GROUP_FLOOD,
    GUARD,
    HAIRPIN,
    ISOLATED,
    LEARNING,
    ROOT_BLOCK,
    STATE_BLOCKING,
    STATE_DISABLED,
    STATE_FORWARDING,
    BridgeDevice,
    BridgePort,
    tell_port,
)
from kernel.net.link.device import NetworkDevice
from kernel.net.link.macvlan import MacvlanDevice
from kernel.net.link.tun import IFF_NO_PI, IFF_PERSIST, IFF_VNET_HDR, TunDevice
from kernel.net.netlink.messages import MessageWriter, find_attribute
from kernel.time import monotonic_ns

_TICK_NS: Final = 10_000_000  # times are in hundredths of a second
_MOST_TICKS: Final = 0xFFFF_FFFF
_STP_MASK: Final = 0x7  # groups that a bridge keeps to itself whatever the mask says
_MOST_PRIORITY: Final = 63
_MOST_COST: Final = 65_535
_VLAN: Final = 0x8100
_BOOLEAN_OPTIONS: Final = 0xF

_TUN_OWNER: Final = 1
_TUN_GROUP: Final = 2
_TUN_TYPE: Final = 3
_TUN_PI: Final = 4
_TUN_VNET_HDR: Final = 5
_TUN_PERSIST: Final = 6
_TUN_MULTI_QUEUE: Final = 7

_MACVLAN_MODE: Final = 1
_MACVLAN_FLAGS: Final = 2
_MACVLAN_QUEUE: Final = 7
_MACVLAN_QUEUE_USED: Final = 8

_BR_FORWARD_DELAY: Final = 1
_BR_HELLO_TIME: Final = 2
_BR_MAX_AGE: Final = 3
_BR_AGEING_TIME: Final = 4
_BR_STP_STATE: Final = 5
_BR_PRIORITY: Final = 6
_BR_VLAN_FILTERING: Final = 7
_BR_VLAN_PROTOCOL: Final = 8
_BR_GROUP_FWD_MASK: Final = 9
_BR_ROOT_ID: Final = 10
_BR_BRIDGE_ID: Final = 11
_BR_ROOT_PORT: Final = 12
_BR_ROOT_PATH_COST: Final = 13
_BR_TOPOLOGY_CHANGE: Final = 14
_BR_TOPOLOGY_CHANGE_DETECTED: Final = 15
_BR_HELLO_TIMER: Final = 16
_BR_TCN_TIMER: Final = 17
_BR_TOPOLOGY_CHANGE_TIMER: Final = 18
_BR_GC_TIMER: Final = 19
_BR_GROUP_ADDR: Final = 20
_BR_FDB_FLUSH: Final = 21
_BR_MULTI_BOOLOPT: Final = 46
_BR_FDB_N_LEARNED: Final = 48
_BR_FDB_MAX_LEARNED: Final = 49

_PORT_STATE: Final = 1
_PORT_PRIORITY: Final = 2
_PORT_COST: Final = 3
_PORT_MODE: Final = 4
_PORT_ROOT_ID: Final = 13
_PORT_BRIDGE_ID: Final = 14
_PORT_DESIGNATED_PORT: Final = 15
_PORT_DESIGNATED_COST: Final = 16
_PORT_ID: Final = 17
_PORT_NO: Final = 18
_PORT_TOPOLOGY_CHANGE_ACK: Final = 19
_PORT_CONFIG_PENDING: Final = 20
_PORT_MESSAGE_AGE_TIMER: Final = 21
_PORT_FORWARD_DELAY_TIMER: Final = 22
_PORT_HOLD_TIMER: Final = 23
_PORT_FLUSH: Final = 24
_PORT_GROUP_FWD_MASK: Final = 31

# Settings of a port that are on or off: the attribute, and the switch.
_SWITCHES: Final = (
    (4, HAIRPIN), (5, GUARD), (6, ROOT_BLOCK), (7, FAST_LEAVE), (8, LEARNING), (9, FLOOD), (27, GROUP_FLOOD),
    (30, BROADCAST_FLOOD), (33, ISOLATED),
)  # fmt: skip
# … and those that are always off: proxies of ARP, groups as single frames, tunnels, locked ports.
_ALWAYS_OFF: Final = (10, 12, 28, 29, 32, 39, 40, 43)


def put_data(writer: MessageWriter, device: NetworkDevice, kind: int) -> None:
    """Write the attribute about an interface of a type that has one."""
    if isinstance(device, BridgeDevice):
        place = writer.begin_attribute(kind)
        _put_bridge(writer, device)
    elif isinstance(device, TunDevice):
        place = writer.begin_attribute(kind)
        _put_tun(writer, device)
    elif isinstance(device, MacvlanDevice):
        place = writer.begin_attribute(kind)
        writer.attribute_u32(_MACVLAN_MODE, device.mode)
        _put_u16(writer, _MACVLAN_FLAGS, 0)
        writer.attribute_u32(_MACVLAN_QUEUE, macvlan.QUEUE_LIMIT)
        writer.attribute_u32(_MACVLAN_QUEUE_USED, macvlan.QUEUE_LIMIT)
    else:
        return
    writer.end_attribute(place)


def _put_u16(writer: MessageWriter, kind: int, value: int) -> None:
    writer.attribute(kind, bytes([value & 0xFF, value >> 8 & 0xFF]))


def _put_u64(writer: MessageWriter, kind: int, value: int) -> None:
    place = writer.begin_attribute(kind)
    writer.u64(value)
    writer.end_attribute(place)


def _put_tun(writer: MessageWriter, device: TunDevice) -> None:
    writer.attribute_u8(_TUN_TYPE, device.mode)
    if device.owner != NO_USER:
        writer.attribute_u32(_TUN_OWNER, uid_for_caller(device.owner))
    if device.group != NO_GROUP:
        writer.attribute_u32(_TUN_GROUP, gid_for_caller(device.group))
    writer.attribute_u8(_TUN_PI, 0 if device.has(IFF_NO_PI) else 1)
    writer.attribute_u8(_TUN_VNET_HDR, 1 if device.has(IFF_VNET_HDR) else 0)
    writer.attribute_u8(_TUN_PERSIST, 1 if device.has(IFF_PERSIST) else 0)
    writer.attribute_u8(_TUN_MULTI_QUEUE, 0)


def _put_bridge(writer: MessageWriter, bridge: BridgeDevice) -> None:
    """Describe a bridge that is its own root, without a spanning tree."""
    table = bridge.table
    for kind, value in (
        (_BR_FORWARD_DELAY, bridge.forward_delay),
        (_BR_HELLO_TIME, bridge.hello_time),
        (_BR_MAX_AGE, bridge.most_age),
        (_BR_AGEING_TIME, table.ageing_ns // _TICK_NS),
        (_BR_STP_STATE, 0),
    ):
        writer.attribute_u32(kind, value)
    _put_u16(writer, _BR_PRIORITY, bridge.priority)
    writer.attribute_u8(_BR_VLAN_FILTERING, 0)
    _put_u16(writer, _BR_GROUP_FWD_MASK, bridge.group_mask)
    writer.attribute(_BR_BRIDGE_ID, bridge.identifier())
    writer.attribute(_BR_ROOT_ID, bridge.identifier())
    _put_u16(writer, _BR_ROOT_PORT, 0)
    writer.attribute_u32(_BR_ROOT_PATH_COST, 0)
    writer.attribute_u8(_BR_TOPOLOGY_CHANGE, 0)
    writer.attribute_u8(_BR_TOPOLOGY_CHANGE_DETECTED, 0)
    writer.attribute(_BR_GROUP_ADDR, bridge.group_address)
    writer.attribute(_BR_MULTI_BOOLOPT, bytes([0, 0, 0, 0, _BOOLEAN_OPTIONS, 0, 0, 0]))
    writer.attribute_u32(_BR_FDB_N_LEARNED, table.learned)
    writer.attribute_u32(_BR_FDB_MAX_LEARNED, table.most_learned)
    for kind in (_BR_HELLO_TIMER, _BR_TCN_TIMER, _BR_TOPOLOGY_CHANGE_TIMER, _BR_GC_TIMER):
        _put_u64(writer, kind, 0)
    writer.attribute(_BR_VLAN_PROTOCOL, bytes([_VLAN >> 8, _VLAN & 0xFF]))


def put_port(writer: MessageWriter, port: BridgePort, kind: int) -> None:
    """Write the attribute about a port."""
    bridge = port.bridge
    if bridge is None:
        return
    place = writer.begin_attribute(kind)
    writer.attribute_u8(_PORT_STATE, port.state())
    _put_u16(writer, _PORT_PRIORITY, port.priority)
    writer.attribute_u32(_PORT_COST, port.cost)
    for name, switch in _SWITCHES:
        writer.attribute_u8(name, 1 if port.is_on(switch) else 0)
    for name in _ALWAYS_OFF:
        writer.attribute_u8(name, 0)
    writer.attribute(_PORT_ROOT_ID, bridge.identifier())
    writer.attribute(_PORT_BRIDGE_ID, bridge.identifier())
    _put_u16(writer, _PORT_DESIGNATED_PORT, port.identifier())
    _put_u16(writer, _PORT_DESIGNATED_COST, 0)
    _put_u16(writer, _PORT_ID, port.identifier())
    _put_u16(writer, _PORT_NO, port.number)
    writer.attribute_u8(_PORT_TOPOLOGY_CHANGE_ACK, 0)
    writer.attribute_u8(_PORT_CONFIG_PENDING, 0)
    _put_u16(writer, _PORT_GROUP_FWD_MASK, port.group_mask)
    for name in (_PORT_MESSAGE_AGE_TIMER, _PORT_FORWARD_DELAY_TIMER, _PORT_HOLD_TIMER):
        _put_u64(writer, name, 0)
    writer.end_attribute(place)


# ---- Changes --------------------------------------------------------------------------------------------------------


def number_of(attributes: bytes, kind: int, size: int) -> int:
    """A number of `size` bytes in an attribute; -1 without one. Raises EINVAL, ERANGE if it is shorter."""
    value = find_attribute(attributes, 0, kind)
    if len(value) == 0:
        return -1
    if len(value) < size:
        raise Errno(ERANGE)
    number = 0
    for i in range(size):
        number |= value[i] << 8 * i
    return number


def change_bridge(bridge: BridgeDevice, data: bytes) -> None:
    """IFLA_INFO_DATA of a bridge. Raises EOPNOTSUPP, ERANGE, EINVAL, EPROTONOSUPPORT, MemoryError."""
    if number_of(data, _BR_STP_STATE, 4) > 0 or number_of(data, _BR_VLAN_FILTERING, 1) > 0:
        raise Errno(EOPNOTSUPP)
    protocol = find_attribute(data, 0, _BR_VLAN_PROTOCOL)
    if len(protocol) >= 2 and protocol[0] << 8 | protocol[1] != _VLAN:
        raise Errno(EPROTONOSUPPORT if protocol[0] != 0x88 or protocol[1] != 0xA8 else EOPNOTSUPP)
    options = find_attribute(data, 0, _BR_MULTI_BOOLOPT)
    if len(options) >= 8 and span_of(options).load_u32(0) & span_of(options).load_u32(4) != 0:
        raise Errno(EOPNOTSUPP)
    delay = number_of(data, _BR_FORWARD_DELAY, 4)
    if delay >= 0:
        bridge.forward_delay = delay
    hello = number_of(data, _BR_HELLO_TIME, 4)
    if hello >= 0:
        if not 100 <= hello <= 1000:
            raise Errno(ERANGE)
        bridge.hello_time = hello
    age = number_of(data, _BR_MAX_AGE, 4)
    if age >= 0:
        if not 600 <= age <= 4000:
            raise Errno(ERANGE)
        bridge.most_age = age
    ageing = number_of(data, _BR_AGEING_TIME, 4)
    if ageing >= 0:
        bridge.table.set_ageing(ageing * _TICK_NS, monotonic_ns())  # fits: it has 32 bits
    priority = number_of(data, _BR_PRIORITY, 2)
    if priority >= 0:
        bridge.priority = priority
    mask = number_of(data, _BR_GROUP_FWD_MASK, 2)
    if mask >= 0:
        if mask & _STP_MASK != 0:
            raise Errno(EINVAL)
        bridge.group_mask = mask
    _set_group(bridge, find_attribute(data, 0, _BR_GROUP_ADDR))
    most = number_of(data, _BR_FDB_MAX_LEARNED, 4)
    if most >= 0:
        bridge.table.most_learned = most
    if _is_there(data, _BR_FDB_FLUSH):
        bridge.table.flush()


def _set_group(bridge: BridgeDevice, address: bytes) -> None:
    """Set the group that a spanning tree would use. Raises EINVAL if it is not of the link, or has another use."""
    if len(address) == 0:
        return
    if len(address) != 6 or not address.startswith(b"\x01\x80\xc2\x00\x00") or address[5] > 15:
        raise Errno(EINVAL)
    if 1 <= address[5] <= 3:
        raise Errno(EINVAL)
    bridge.group_address = address


def _is_there(attributes: bytes, kind: int) -> bool:
    """Whether an attribute of a type is present, possibly empty: its position shows that."""
    position = 0
    span = span_of(attributes)
    while len(attributes) - position >= 4:
        length = span.load_u16(position)
        if length < 4:
            return False
        if span.load_u16(position + 2) & 0x3FFF == kind:
            return True
        position += (length + 3) & ~3
    return False


def change_port(port: BridgePort, data: bytes) -> None:
    """IFLA_INFO_SLAVE_DATA, or IFLA_PROTINFO, of a port. Raises EOPNOTSUPP, EINVAL, ERANGE, ENETDOWN, MemoryError."""
    for name in _ALWAYS_OFF:
        if number_of(data, name, 1) > 0:
            raise Errno(EOPNOTSUPP)
    for name, switch in _SWITCHES:
        value = number_of(data, name, 1)
        if value == 0:
            port.switches &= ~switch
        elif value > 0:
            port.switches |= switch
    cost = number_of(data, _PORT_COST, 4)
    if cost >= 0:
        if not 1 <= cost <= _MOST_COST:
            raise Errno(ERANGE)
        port.cost = cost
    priority = number_of(data, _PORT_PRIORITY, 2)
    if priority >= 0:
        if priority > _MOST_PRIORITY:
            raise Errno(ERANGE)
        port.priority = priority
    state = number_of(data, _PORT_STATE, 1)
    if state >= 0:
        set_port_state(port, state)
    mask = number_of(data, _PORT_GROUP_FWD_MASK, 2)
    if mask >= 0:
        if mask & _STP_MASK != 0:
            raise Errno(EINVAL)
        port.group_mask = mask
    bridge = port.bridge
    device = port.device
    if bridge is not None and device is not None and _is_there(data, _PORT_FLUSH):
        bridge.table.forget_port(device)
    tell_port(port)


def set_port_state(port: BridgePort, state: int) -> None:
    """Have a port only learn, or be silent, as a program wishes. Blocking is a spanning tree's decision: without one
    such a port forwards. Raises EINVAL, ENETDOWN for one that cannot send, MemoryError.
    """
    if state > STATE_BLOCKING:
        raise Errno(EINVAL)
    device = port.device
    if device is None or not device.is_up() or (state != STATE_DISABLED and not port.is_live()):
        raise Errno(ENETDOWN)
    port.chosen_state = STATE_FORWARDING if state == STATE_BLOCKING else state
    bridge = port.bridge
    if bridge is not None:
        bridge.follow_ports()
