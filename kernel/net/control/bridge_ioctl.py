"""Bridges through the older socket requests: SIOCBRADDBR and its kin, as brctl(8) uses them.

Context: system calls; user memory is read first, because that may sleep.
"""

from typing import Final

from kernel.lang import EBUSY, EEXIST, EINVAL, ENODEV, ENXIO, EOPNOTSUPP, EPERM, Errno, UserAddr, span_of
from kernel.lib import user
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.mm.keeping import check_room_to_keep
from kernel.net.link import ethernet
from kernel.net.link.bridge import BridgeDevice, add_port, port_of, remove_port
from kernel.net.link.device import device_by_index, device_by_name, register_device
from kernel.net.link.network import Network
from kernel.net.netlink.link_names import check_name
from kernel.net.netlink.new_link import delete_link, random_link_address
from kernel.net.sockets.socket import Socket
from kernel.task import current

_SIOCBRADDBR: Final = 0x89A0
_SIOCBRDELBR: Final = 0x89A1
_SIOCBRADDIF: Final = 0x89A2
_SIOCBRDELIF: Final = 0x89A3
_NAME: Final = 16
_IFREQ: Final = 40


def is_bridge_command(command: int) -> bool:
    return _SIOCBRADDBR <= command <= _SIOCBRDELIF


def bridge_ioctl(socket: Socket, command: int, argument: int) -> int:
    """Create or delete a bridge by its name; make an interface, by its index, a port of a named bridge, or of none.
    Raises EPERM without CAP_NET_ADMIN there, ENODEV, ENXIO, EEXIST, EBUSY, EINVAL, EOPNOTSUPP, as `add_port`.
    """
    network = socket.network
    request = bytearray(_IFREQ)
    size = _NAME if command <= _SIOCBRDELBR else _IFREQ
    user.read_into(span_of(request)[0:size], UserAddr(argument))
    if not current().credentials.capable_in(network.owner, CAP_NET_ADMIN):
        raise Errno(EPERM)
    field = bytes(request[: _NAME - 1])
    end = field.find(b"\0")
    name = field if end < 0 else field[:end]
    if command == _SIOCBRADDBR:
        _add_bridge(network, name)
    elif command == _SIOCBRDELBR:
        _delete_bridge(network, name)
    else:
        _change_port(network, name, span_of(request).load_u32(_NAME), is_added=command == _SIOCBRADDIF)
    ethernet.drain()
    return 0


def _add_bridge(network: Network, name: bytes) -> None:
    if device_by_name(network, name) is not None:
        raise Errno(EEXIST)
    check_name(network, name)
    check_room_to_keep()
    bridge = BridgeDevice(network, name, random_link_address())
    try:
        register_device(bridge)
    except (Errno, MemoryError):
        bridge.has_ended()
        raise


def _delete_bridge(network: Network, name: bytes) -> None:
    device = device_by_name(network, name)
    if device is None:
        raise Errno(ENXIO)
    if not isinstance(device, BridgeDevice):
        raise Errno(EPERM)
    if device.is_up():
        raise Errno(EBUSY)
    delete_link(device)


def _change_port(network: Network, name: bytes, index: int, *, is_added: bool) -> None:
    bridge = device_by_name(network, name)
    if bridge is None:
        raise Errno(ENODEV)
    if not isinstance(bridge, BridgeDevice):
        raise Errno(EOPNOTSUPP)
    device = device_by_index(network, index & 0x7FFF_FFFF)
    if device is None:
        raise Errno(EINVAL)
    if is_added:
        check_room_to_keep()
        add_port(bridge, device)
        return
    port = port_of(device)
    if port is None or port.bridge is not bridge:
        raise Errno(EINVAL)
    remove_port(port)
