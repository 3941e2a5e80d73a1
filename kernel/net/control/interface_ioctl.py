"""Interface requests of sockets, for ifconfig, route and arp (netdevice(7), the elder sister of rtnetlink).

Every socket takes them; IPv6's come through AF_INET6 sockets. Whoever changes something must be root.

Context: system calls; reading and writing user memory may sleep, so nothing of the stack is held across it.
"""

from typing import Final

from kernel.lang import (
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EBUSY,
    EEXIST,
    EINVAL,
    ENODEV,
    ENOTTY,
    EOPNOTSUPP,
    EPERM,
    Errno,
    UserAddr,
    span_of,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.mm.keeping import check_room_to_keep
from kernel.net.control import bridge_ioctl, route_ioctl
from kernel.net.control.ethtool import ethtool
from kernel.net.internet.addresses import (
    ANY4,
    InterfaceAddress,
    add_address,
    broadcast_of,
    delete_address,
    list_addresses,
    list_all_addresses,
    netmask,
    prefix_of_netmask,
)
from kernel.net.link import ethernet
from kernel.net.link.device import (
    ARPHRD_ETHER,
    IFF_ALLMULTI,
    IFF_LOOPBACK,
    IFF_POINTOPOINT,
    IFF_PROMISC,
    IFF_UP,
    NetworkDevice,
    bring_down,
    bring_up,
    device_by_index,
    device_by_name,
    device_changed,
    rename_device,
)
from kernel.net.link.network import Network
from kernel.net.sockets.socket import AF_INET, AF_INET6, HOOKS, Socket
from kernel.task import current

SIOCGIFNAME: Final = 0x8910
SIOCGIFCONF: Final = 0x8912
SIOCGIFFLAGS: Final = 0x8913
SIOCSIFFLAGS: Final = 0x8914
SIOCGIFADDR: Final = 0x8915
SIOCSIFADDR: Final = 0x8916
SIOCGIFDSTADDR: Final = 0x8917
SIOCSIFDSTADDR: Final = 0x8918
SIOCGIFBRDADDR: Final = 0x8919
SIOCSIFBRDADDR: Final = 0x891A
SIOCGIFNETMASK: Final = 0x891B
SIOCSIFNETMASK: Final = 0x891C
SIOCGIFMETRIC: Final = 0x891D
SIOCSIFMETRIC: Final = 0x891E
SIOCGIFMTU: Final = 0x8921
SIOCSIFMTU: Final = 0x8922
SIOCSIFNAME: Final = 0x8923
SIOCSIFHWADDR: Final = 0x8924
SIOCGIFHWADDR: Final = 0x8927
SIOCADDMULTI: Final = 0x8931
SIOCGIFINDEX: Final = 0x8933
SIOCDIFADDR: Final = 0x8936
SIOCGIFTXQLEN: Final = 0x8942
SIOCSIFTXQLEN: Final = 0x8943
SIOCETHTOOL: Final = 0x8946
SIOCGIFMAP: Final = 0x8970

_IFREQ: Final = 40
_NAME: Final = 16
_CHANGEABLE: Final = IFF_PROMISC | IFF_ALLMULTI | 0x4 | 0x20 | 0x4000  # IFF_DEBUG, IFF_NOTRAILERS, IFF_PORTSEL
_LEAST_MTU: Final = 68
_MOST_MTU: Final = 65535


def interface_ioctl(socket: Socket, command: int, argument: int) -> int:
    """Carry out SIOC… on any socket. ENOTTY for other commands."""
    if route_ioctl.is_route_command(command):
        return route_ioctl.route_ioctl(socket, command, argument)
    if command == SIOCGIFCONF:
        return _list(socket.network, argument)
    if command == SIOCGIFNAME:
        return _name_of(socket.network, argument)
    if bridge_ioctl.is_bridge_command(command):
        return bridge_ioctl.bridge_ioctl(socket, command, argument)
    if socket.family == AF_INET6 and (command == SIOCSIFADDR or command == SIOCDIFADDR or command == SIOCSIFDSTADDR):
        return _change_address6(socket.network, command, argument)
    if not SIOCGIFFLAGS <= command <= SIOCGIFMAP:
        raise Errno(ENOTTY)
    request = bytearray(_IFREQ)
    user.read_into(span_of(request), UserAddr(argument))
    name = bytes(request[:_NAME])
    end = name.find(b"\0")
    label = name[: _NAME - 1] if end < 0 else name[:end]
    colon = label.find(b":")
    device = device_by_name(socket.network, label if colon < 0 else label[:colon])
    if command == SIOCETHTOOL:
        data = UserAddr(_word_of(request))
        asked = user.read_u32(data)
        if device is None:
            raise Errno(ENODEV)
        ethtool(socket.network, device, asked, data)
        return 0
    if _is_change(command):
        if not current().credentials.capable_in(socket.network.owner, CAP_NET_ADMIN):
            raise Errno(EPERM)
        if device is None:
            raise Errno(ENODEV)
        _change(socket, device, label, command, request)
        ethernet.drain()
        return 0
    if device is None:
        raise Errno(ENODEV)
    _answer(device, label, command, request)
    user.write_from(UserAddr(argument), span_of(request))
    return 0


def _word_of(request: bytearray) -> int:
    """The pointer after the name."""
    span = span_of(request)
    if request[_NAME + 7] >= 0x80:
        return -1
    return span.load_u32(_NAME + 4) << 32 | span.load_u32(_NAME)  # fits: the highest bit is clear


def _is_change(command: int) -> bool:
    return (
        command == SIOCSIFFLAGS
        or command == SIOCSIFADDR
        or command == SIOCSIFDSTADDR
        or command == SIOCSIFBRDADDR
        or command == SIOCSIFNETMASK
        or command == SIOCSIFMETRIC
        or command == SIOCSIFMTU
        or command == SIOCSIFNAME
        or command == SIOCSIFHWADDR
        or command == SIOCSIFTXQLEN
    )


def _labelled(device: NetworkDevice, label: bytes) -> InterfaceAddress | None:
    """The IPv4 address that a label such as eth0:1 stands for."""
    for entry in list_addresses(device, 4):
        if entry.label == label:
            return entry
    return None


def _put_address(request: bytearray, address: bytes) -> None:
    """Store a struct sockaddr_in after the name."""
    span = span_of(request)
    span[_NAME : _NAME + 16].fill(0)
    span.store_u16(_NAME, AF_INET)
    span[_NAME + 4 : _NAME + 8].copy_from(span_of(address))


def _answer(device: NetworkDevice, label: bytes, command: int, request: bytearray) -> None:
    span = span_of(request)
    if command == SIOCGIFFLAGS:
        span.store_u16(_NAME, device.visible_flags() & 0xFFFF)
    elif command == SIOCGIFMETRIC:
        span.store_u32(_NAME, 0)
    elif command == SIOCGIFMTU:
        span.store_u32(_NAME, device.mtu)
    elif command == SIOCGIFHWADDR:
        span[_NAME : _NAME + 16].fill(0)
        span.store_u16(_NAME, device.kind)
        span[_NAME + 2 : _NAME + 2 + len(device.address)].copy_from(span_of(device.address))
    elif command == SIOCGIFINDEX:
        span.store_u32(_NAME, device.index)
    elif command == SIOCGIFTXQLEN:
        span.store_u32(_NAME, device.queue_length)
    elif command == SIOCGIFMAP:
        span[_NAME:_IFREQ].fill(0)
    elif command == SIOCGIFADDR or command == SIOCGIFDSTADDR or command == SIOCGIFBRDADDR or command == SIOCGIFNETMASK:
        _answer_address(device, label, command, request)
    else:
        raise Errno(ENOTTY)


def _answer_address(device: NetworkDevice, label: bytes, command: int, request: bytearray) -> None:
    entry = _labelled(device, label)
    if entry is None:
        raise Errno(EADDRNOTAVAIL)
    if command == SIOCGIFADDR:
        _put_address(request, entry.address)
    elif command == SIOCGIFDSTADDR:
        _put_address(request, entry.peer)
    elif command == SIOCGIFBRDADDR:
        _put_address(request, entry.broadcast if len(entry.broadcast) == 4 else ANY4)
    else:
        _put_address(request, netmask(entry.prefix_length))


def _change(socket: Socket, device: NetworkDevice, label: bytes, command: int, request: bytearray) -> None:
    span = span_of(request)
    if command == SIOCSIFFLAGS:
        _set_flags(device, label, span.load_u16(_NAME))
    elif command == SIOCSIFMTU:
        set_mtu(device, span.load_u32(_NAME))
    elif command == SIOCSIFTXQLEN:
        length = span.load_u32(_NAME)
        if length > 0x7FFF_FFFF:
            raise Errno(EINVAL)
        device.queue_length = length
    elif command == SIOCSIFMETRIC:
        raise Errno(EOPNOTSUPP)
    elif command == SIOCSIFHWADDR:
        if span.load_u16(_NAME) != device.kind:
            raise Errno(EINVAL)
        set_link_address(device, bytes(request[_NAME + 2 : _NAME + 8]))
    elif command == SIOCSIFNAME:
        _rename(device, bytes(request[_NAME : _NAME + _NAME]))
    elif socket.family != AF_INET:
        raise Errno(EINVAL)
    else:
        if span.load_u16(_NAME) != AF_INET:
            raise Errno(EINVAL if command != SIOCSIFADDR else EAFNOSUPPORT)
        _set_address(device, label, command, bytes(request[_NAME + 4 : _NAME + 8]))


def _set_flags(device: NetworkDevice, label: bytes, flags: int) -> None:
    if label.find(b":") >= 0:
        entry = _labelled(device, label)
        if entry is None:
            raise Errno(EADDRNOTAVAIL)
        if flags & IFF_UP == 0:
            delete_address(entry)
        return
    change_flags(device, flags, _CHANGEABLE | IFF_UP)


def change_flags(device: NetworkDevice, flags: int, mask: int) -> None:
    """Set the flags of an interface that are in `mask` and that a program may change. Raises what the driver raises.
    """
    kept = device.flags
    device.flags = kept & ~(_CHANGEABLE & mask) | flags & _CHANGEABLE & mask
    if mask & IFF_UP != 0:
        if flags & IFF_UP != 0:
            bring_up(device)
        else:
            bring_down(device)
    if (kept ^ device.flags) & (IFF_PROMISC | IFF_ALLMULTI) != 0:
        device.multicast_changed()
    if (kept ^ device.flags) & _CHANGEABLE != 0:
        device_changed(device)


def set_mtu(device: NetworkDevice, mtu: int) -> None:
    """Set an interface's MTU. EINVAL for an impossible one."""
    is_loopback = device.flags & IFF_LOOPBACK != 0
    if not (_LEAST_MTU if not is_loopback else 0) <= mtu <= (_MOST_MTU if not is_loopback else 0x7FFF_FFFF):
        raise Errno(EINVAL)
    if not is_loopback and mtu > device.largest_mtu():
        raise Errno(EINVAL)
    device.mtu = mtu
    device.has_own_mtu = True
    device_changed(device)


def set_link_address(device: NetworkDevice, address: bytes) -> None:
    """Set an interface's link address. EOPNOTSUPP where there is none, EADDRNOTAVAIL for a group address, EBUSY while
    it is up.
    """
    if device.kind != ARPHRD_ETHER:
        raise Errno(EOPNOTSUPP)
    if len(address) != 6 or address[0] & 1 != 0 or address == bytes(6):
        raise Errno(EADDRNOTAVAIL)
    if device.is_up():
        raise Errno(EBUSY)
    device.address = address
    device.has_own_address = True
    device_changed(device)


def _rename(device: NetworkDevice, field: bytes) -> None:
    end = field.find(b"\0")
    name = field[: _NAME - 1] if end < 0 else field[:end]
    rename(device, name)


def rename(device: NetworkDevice, name: bytes) -> None:
    """Rename an interface. EINVAL for an invalid name, EBUSY while it is up, EEXIST."""
    if len(name) == 0 or len(name) >= _NAME or name == b"." or name == b".." or name.find(b"/") >= 0:
        raise Errno(EINVAL)
    if name.find(b":") >= 0 or name.find(b" ") >= 0 or name.find(b"%") >= 0:
        raise Errno(EINVAL)
    if device.is_up():
        raise Errno(EBUSY)
    if device_by_name(device.network, name) is not None:
        raise Errno(EEXIST)
    rename_device(device, name)
    device_changed(device)


def class_prefix(address: bytes) -> int:
    """The prefix length that an address's class implied before there were netmasks."""
    if address == ANY4:
        return 0
    if address[0] < 128:
        return 8
    if address[0] < 192:
        return 16
    return 24


def _set_address(device: NetworkDevice, label: bytes, command: int, address: bytes) -> None:
    entry = _labelled(device, label)
    if command == SIOCSIFADDR:
        _set_local(device, label, entry, address)
        return
    if entry is None:
        raise Errno(EADDRNOTAVAIL)
    prefix = entry.prefix_length
    broadcast = entry.broadcast
    peer = entry.peer
    if command == SIOCSIFNETMASK:
        prefix = prefix_of_netmask(address)
        if prefix < 0:
            raise Errno(EINVAL)
        if prefix == entry.prefix_length:
            return
        if len(broadcast) == 4 and broadcast == broadcast_of(entry.address, entry.prefix_length) and prefix < 31:
            broadcast = broadcast_of(entry.address, prefix)
    elif command == SIOCSIFBRDADDR:
        broadcast = address
    else:
        peer = address
        prefix = 32
    delete_address(entry)
    fresh = InterfaceAddress(device, entry.address, prefix)
    fresh.label = label
    fresh.broadcast = broadcast
    fresh.peer = peer
    check_room_to_keep()
    add_address(fresh)


def _set_local(device: NetworkDevice, label: bytes, entry: InterfaceAddress | None, address: bytes) -> None:
    """SIOCSIFADDR: with the prefix of its class; 0.0.0.0 removes the address. The interface goes up."""
    if entry is not None:
        if entry.address == address:
            return
        delete_address(entry)
    if address != ANY4:
        if address[0] >= 224:
            raise Errno(EINVAL)
        is_wire = device.flags & IFF_POINTOPOINT != 0  # a single peer, and no network
        fresh = InterfaceAddress(device, address, 32 if is_wire else class_prefix(address))
        fresh.label = label
        if device.flags & (IFF_LOOPBACK | IFF_POINTOPOINT) == 0:
            fresh.broadcast = broadcast_of(address, fresh.prefix_length)
        check_room_to_keep()
        add_address(fresh)


def _change_address6(network: Network, command: int, argument: int) -> int:
    """struct in6_ifreq: an address, the prefix length, the interface's index."""
    if not current().credentials.capable_in(network.owner, CAP_NET_ADMIN):
        raise Errno(EPERM)
    request = bytearray(24)
    user.read_into(span_of(request), UserAddr(argument))
    address = bytes(request[:16])
    prefix = span_of(request).load_u32(16)
    device = device_by_index(network, span_of(request).load_u32(20) & 0x7FFF_FFFF)
    if command == SIOCSIFDSTADDR:
        raise Errno(EINVAL)
    if device is None:
        raise Errno(ENODEV)
    if prefix > 128:
        raise Errno(EINVAL)
    if command == SIOCSIFADDR:
        check_room_to_keep()
        add_address(InterfaceAddress(device, address, prefix))
        return 0
    for entry in list_addresses(device, 16):
        if entry.address == address and entry.prefix_length == prefix:
            delete_address(entry)
            return 0
    raise Errno(EADDRNOTAVAIL)


def _list(network: Network, argument: int) -> int:
    """SIOCGIFCONF: a struct ifreq for each IPv4 address."""
    room = user.read_i32(UserAddr(argument))
    target = UserAddr(user.read_i64(user.at(UserAddr(argument), 8)))
    used = 0
    for entry in list_all_addresses(network, 4):
        if target == 0:
            used += _IFREQ
            continue
        if room - used < _IFREQ:
            break
        request = bytearray(_IFREQ)
        label = entry.label
        for i in range(min(len(label), _NAME - 1)):
            request[i] = label[i]
        _put_address(request, entry.address)
        user.write_from(user.at(target, used), span_of(request))
        used += _IFREQ
    user.write_i32(UserAddr(argument), used)
    return 0


def _name_of(network: Network, argument: int) -> int:
    request = bytearray(_IFREQ)
    user.read_into(span_of(request), UserAddr(argument))
    device = device_by_index(network, span_of(request).load_u32(_NAME) & 0x7FFF_FFFF)
    if device is None:
        raise Errno(ENODEV)
    span_of(request)[0:_NAME].fill(0)
    span_of(request)[0 : len(device.name)].copy_from(span_of(device.name))
    user.write_from(UserAddr(argument), span_of(request))
    return 0


HOOKS.interface_ioctl = interface_ioctl
