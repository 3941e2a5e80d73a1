"""Ports of bridges in rtnetlink: messages of family AF_BRIDGE about interfaces (bridge(8), `bridge link`).

Context: system calls, and wherever ports change; only dumps sleep.
"""

from typing import Final

from kernel.lang import EINVAL, ENODEV, EOPNOTSUPP, ERANGE, Errno
from kernel.lib.pace import pace_or_end
from kernel.net.link.bridge import BridgePort, port_of
from kernel.net.link.device import device_by_index
from kernel.net.link.network import Network
from kernel.net.netlink.link_data import change_port, put_port, set_port_state
from kernel.net.netlink.link_names import (
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_LINK,
    IFLA_MASTER,
    IFLA_MTU,
    IFLA_PROTINFO,
    LINK_HEADER,
    RTM_NEWLINK,
)
from kernel.net.netlink.link_state import operational_state
from kernel.net.netlink.messages import MessageWriter, Request, find_attribute

AF_BRIDGE: Final = 7
_IFLA_OPERSTATE: Final = 16
_IFLA_AF_SPEC: Final = 26
_NESTED: Final = 0x8000
_BRIDGE_FLAGS: Final = 0
_FLAG_MASTER: Final = 1
_FLAG_SELF: Final = 2
_PORT_COST: Final = 8000  # instructions


def put_bridge_link(writer: MessageWriter, port: BridgePort, kind: int) -> None:
    """Write the message about a port."""
    device = port.device
    bridge = port.bridge
    if device is None or bridge is None:
        return
    writer.begin(kind)
    writer.u8(AF_BRIDGE)
    writer.u8(0)
    writer.u16(device.kind)
    writer.u32(device.index)
    writer.u32(device.visible_flags())
    writer.u32(0)
    writer.attribute(IFLA_IFNAME, device.name + b"\0")
    writer.attribute_u32(IFLA_MASTER, bridge.index)
    writer.attribute_u32(IFLA_MTU, device.mtu)
    writer.attribute_u8(_IFLA_OPERSTATE, operational_state(device))
    writer.attribute(IFLA_ADDRESS, device.address)
    other = device.partner()
    if other is not None and other.index != device.index:
        writer.attribute_u32(IFLA_LINK, other.index)
    if kind == RTM_NEWLINK:
        put_port(writer, port, IFLA_PROTINFO | _NESTED)
    writer.end()


def dump_bridge_links(network: Network, writer: MessageWriter) -> None:
    """Write all ports of a network's bridges. May sleep."""
    for device in network.devices[:]:
        port = port_of(device)
        if port is not None and device.network is network:
            put_bridge_link(writer, port, RTM_NEWLINK)
            writer.cut()
            pace_or_end(_PORT_COST)


def set_bridge_link(request: Request) -> None:
    """RTM_SETLINK: change a port. Raises ENODEV, EINVAL for other interfaces, EOPNOTSUPP, and as `change_port`."""
    header = request.payload(LINK_HEADER)
    device = device_by_index(request.network, header.load_u32(4) & 0x7FFF_FFFF)
    if device is None:
        raise Errno(ENODEV)
    specification = request.attribute(_IFLA_AF_SPEC)
    flags = find_attribute(specification, 0, _BRIDGE_FLAGS)
    if 0 < len(flags) < 2:
        raise Errno(EINVAL)
    where = flags[0] if len(flags) > 0 else 0
    if where & _FLAG_SELF != 0:
        raise Errno(EOPNOTSUPP)
    port = port_of(device)
    if device.master is None:
        raise Errno(EOPNOTSUPP)
    if port is None:
        raise Errno(EINVAL)
    value = request.attribute(IFLA_PROTINFO)
    if len(value) == 1:  # as programs used to send it: the state alone
        set_port_state(port, value[0])
    elif len(value) >= 4:
        change_port(port, value)
    elif len(value) > 0:
        raise Errno(ERANGE)
