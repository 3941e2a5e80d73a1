"""ioctl(2) of /dev/net/tun (tun(4), Linux's Documentation/networking/tuntap.rst).

Whoever administers the network where the file was opened may create interfaces there. A persistent one may be attached
by its owner and group, if it has any, else by everyone, and always by whoever administers the network it is in.
Commands of an attached program need no further right, as on Linux.

Not supported: several queues of one interface (IFF_MULTI_QUEUE), IFF_NAPI_FRAGS, filters: EINVAL.

Context: system calls; user memory is read before anything is looked up, and written last, because that may sleep.
"""

from typing import Final

from kernel.fs.constants import O_RDONLY
from kernel.fs.namespace import NamespaceFile, namespace_path
from kernel.lang import EBADFD, EBUSY, EEXIST, EINVAL, EPERM, Errno, UserAddr, final, span_of
from kernel.lib import user
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.credentials import gid_from_caller, uid_from_caller
from kernel.lib.ids import NO_GROUP, NO_USER
from kernel.mm.keeping import check_room_to_keep
from kernel.net.control.interface_ioctl import set_link_address
from kernel.net.link import ethernet
from kernel.net.link.device import (
    ARPHRD_ETHER,
    IFF_UP,
    NetworkDevice,
    device_by_name,
    device_changed,
    register_device,
    set_carrier,
)
from kernel.net.link.network import Network
from kernel.net.link.tun import (
    FEATURES,
    IFF_NO_CARRIER,
    IFF_PERSIST,
    IFF_TAP,
    IFF_TUN,
    OFFLOAD_HEADER,
    TunDevice,
    TunQueue,
    attach,
    set_offload,
)
from kernel.net.netlink.link_names import check_name
from kernel.net.netlink.new_link import random_link_address
from kernel.task import current

_TUNSETNOCSUM: Final = 0x4004_54C8
_TUNSETDEBUG: Final = 0x4004_54C9
_TUNSETIFF: Final = 0x4004_54CA
_TUNSETPERSIST: Final = 0x4004_54CB
_TUNSETOWNER: Final = 0x4004_54CC
_TUNSETLINK: Final = 0x4004_54CD
_TUNSETGROUP: Final = 0x4004_54CE
_TUNGETFEATURES: Final = 0x8004_54CF
_TUNSETOFFLOAD: Final = 0x4004_54D0
_TUNGETIFF: Final = 0x8004_54D2
_TUNGETSNDBUF: Final = 0x8004_54D3
_TUNSETSNDBUF: Final = 0x4004_54D4
_TUNGETVNETHDRSZ: Final = 0x8004_54D7
_TUNSETVNETHDRSZ: Final = 0x4004_54D8
_TUNSETQUEUE: Final = 0x4004_54D9
_TUNSETIFINDEX: Final = 0x4004_54DA
_TUNSETVNETLE: Final = 0x4004_54DC
_TUNGETVNETLE: Final = 0x8004_54DD
_TUNSETCARRIER: Final = 0x4004_54E2
_TUNGETDEVNETNS: Final = 0x54E3
_SIOCGSKNS: Final = 0x894C
_SIOCGIFHWADDR: Final = 0x8927
_SIOCSIFHWADDR: Final = 0x8924
_SOCKET_COMMANDS: Final = 0x89  # their type: they take a struct ifreq

_IFREQ: Final = 40
_NAME: Final = 16
_IFF_NAPI_FRAGS: Final = 0x20
_IFF_MULTI_QUEUE: Final = 0x100
_IFF_NOFILTER: Final = 0x1000
_IFF_TUN_EXCL: Final = 0x8000
_TYPE_MASK: Final = 0xF
_INT_MAX: Final = 0x7FFF_FFFF
_ADDRESS_SIZE: Final = 6


@final
class TunDescription:
    """The state of an open file of /dev/net/tun."""

    def __init__(self, network: Network, queue: TunQueue) -> None:
        self.network: Network = network  # where it was opened
        self.queue: TunQueue = queue
        self.index: int = 0  # TUNSETIFINDEX: of the interface to be created; 0: any
        self.send_buffer: int = _INT_MAX  # TUNSETSNDBUF: written packets are received at once, and never wait there
        self.is_little_endian: int = 0  # TUNSETVNETLE: Krait is little-endian, so this changes nothing


def command_of(end: TunDescription, command: int, argument: int) -> int:
    """Carry out a command. Raises EBADFD for one that needs an interface, EINVAL for an unknown one."""
    if command == _TUNGETFEATURES:
        user.write_u32(UserAddr(argument), IFF_TUN | IFF_TAP | IFF_NO_CARRIER | FEATURES)
        return 0
    if command == _SIOCGSKNS:
        return _open_network(end.network, end.network)
    if command == _TUNSETIFF:
        return _set_interface(end, UserAddr(argument))
    request = bytearray(_IFREQ)
    if command == _TUNSETQUEUE or command >> 8 & 0xFF == _SOCKET_COMMANDS:
        user.read_into(span_of(request), UserAddr(argument))
    if command == _TUNSETQUEUE:
        raise Errno(EINVAL)
    if command == _TUNSETIFINDEX:
        return _set_index(end, UserAddr(argument))
    device = end.queue.device
    if device is None:
        raise Errno(EBADFD)
    if command == _TUNGETIFF:
        _put_interface(request, device, device.shown_flags() | _IFF_NOFILTER)
        user.write_from(UserAddr(argument), span_of(request))
    elif command == _SIOCGIFHWADDR:
        span = span_of(request)
        span[_NAME : _NAME + 16].fill(0)
        span.store_u16(_NAME, device.kind)
        span[_NAME + 2 : _NAME + 2 + len(device.address)].copy_from(span_of(device.address))
        user.write_from(UserAddr(argument), span)
    elif command == _SIOCSIFHWADDR:
        if span_of(request).load_u16(_NAME) != device.kind:
            raise Errno(EINVAL)
        set_link_address(device, bytes(request[_NAME + 2 : _NAME + 2 + _ADDRESS_SIZE]))
    elif command == _TUNGETDEVNETNS:
        return _open_network(device.network, device.network)
    elif not _set_number(device, command, argument):
        _buffer_command(end, device, command, UserAddr(argument))
    ethernet.drain()
    return 0


def _open_network(network: Network, ruled: Network) -> int:
    """A descriptor of a network's file, for whoever administers it. Raises EPERM, EMFILE."""
    task = current()
    if not task.credentials.capable_in(ruled.owner, CAP_NET_ADMIN):
        raise Errno(EPERM)
    return task.files.install(NamespaceFile(namespace_path(network), O_RDONLY, network), cloexec=True)


def _set_index(end: TunDescription, address: UserAddr) -> int:
    """TUNSETIFINDEX: choose the interface's index. Raises EPERM once the interface exists, EINVAL."""
    if end.queue.device is not None:
        raise Errno(EPERM)
    index = user.read_i32(address)
    if index < 0:
        raise Errno(EINVAL)
    end.index = index
    return 0


def _put_interface(request: bytearray, device: NetworkDevice, flags: int) -> None:
    """Fill a struct ifreq: name and flags."""
    span = span_of(request)
    span[0:_NAME].fill(0)
    span[0 : len(device.name)].copy_from(span_of(device.name))
    span.store_u16(_NAME, flags & 0xFFFF)


def _set_interface(end: TunDescription, address: UserAddr) -> int:
    """TUNSETIFF: create an interface, or attach the file to one. Raises EEXIST for a file that has one, EBUSY for an
    interface that has another file or must not exist yet, EINVAL, EPERM, ENFILE, MemoryError.
    """
    request = bytearray(_IFREQ)
    user.read_into(span_of(request), address)
    if end.queue.device is not None:
        raise Errno(EEXIST)
    flags = span_of(request).load_u16(_NAME)
    field = bytes(request[: _NAME - 1])
    ending = field.find(b"\0")
    name = field if ending < 0 else field[:ending]
    if flags & _IFF_NAPI_FRAGS != 0:
        if not current().credentials.capable(CAP_NET_ADMIN):
            raise Errno(EPERM)
        raise Errno(EINVAL)
    found = device_by_name(end.network, name)
    if found is not None:
        device = _attach_found(end, found, flags)
    else:
        device = _make(end, name, flags)
    set_carrier(device, has_carrier=flags & IFF_NO_CARRIER == 0)
    ethernet.drain()
    _put_interface(request, device, flags)
    user.write_from(address, span_of(request))
    return 0


def _attach_found(end: TunDescription, found: NetworkDevice, flags: int) -> TunDevice:
    """Attach the file to an existing interface."""
    if flags & _IFF_TUN_EXCL != 0:
        raise Errno(EBUSY)
    if not isinstance(found, TunDevice):
        raise Errno(EINVAL)
    if flags & found.mode == 0 or flags & _IFF_MULTI_QUEUE != 0:
        raise Errno(EINVAL)
    credentials = current().credentials
    is_stranger = (found.owner != NO_USER and credentials.euid != found.owner) or (
        found.group != NO_GROUP and not credentials.in_effective_group(found.group)
    )
    if is_stranger and not credentials.capable_in(found.network.owner, CAP_NET_ADMIN):
        raise Errno(EPERM)
    if found.queue is not None:
        raise Errno(EBUSY)
    attach(found, end.queue)
    found.features = found.features & ~FEATURES | flags & FEATURES
    device_changed(found)
    return found


def _make(end: TunDescription, name: bytes, flags: int) -> TunDevice:
    """Create an interface with this name, or by a pattern."""
    network = end.network
    if not current().credentials.capable_in(network.owner, CAP_NET_ADMIN):
        raise Errno(EPERM)
    if flags & (IFF_TUN | IFF_TAP) == 0 or flags & _IFF_MULTI_QUEUE != 0:
        raise Errno(EINVAL)
    mode = IFF_TUN if flags & IFF_TUN != 0 else IFF_TAP
    if len(name) == 0:
        name = b"tun%d" if mode == IFF_TUN else b"tap%d"
    check_name(network, name)
    check_room_to_keep()
    device = TunDevice(network, name, mode, random_link_address() if mode == IFF_TAP else b"")
    device.features = flags & FEATURES
    device.index = end.index
    attach(device, end.queue)
    try:
        register_device(device)
    except (Errno, MemoryError):
        device.has_ended()
        raise
    return device


def _set_number(device: TunDevice, command: int, argument: int) -> bool:
    """Carry out a command whose argument is a number; False for others. Raises EINVAL, EBUSY, MemoryError."""
    number = argument & 0xFFFF_FFFF
    if command == _TUNSETNOCSUM or command == _TUNSETDEBUG:
        return True
    if command == _TUNSETPERSIST:
        is_persistent = argument != 0
        if is_persistent == device.has(IFF_PERSIST):
            return True
        device.features ^= IFF_PERSIST
    elif command == _TUNSETOWNER:
        owner = uid_from_caller(number)
        if owner == NO_USER:
            raise Errno(EINVAL)
        device.owner = owner
    elif command == _TUNSETGROUP:
        group = gid_from_caller(number)
        if group == NO_GROUP:
            raise Errno(EINVAL)
        device.group = group
    elif command == _TUNSETLINK:
        if device.flags & IFF_UP != 0:
            raise Errno(EBUSY)
        if number & 0xFFFF == ARPHRD_ETHER and not device.is_tap():
            raise Errno(EINVAL)  # it has no link address
        device.kind = number & 0xFFFF
    elif command == _TUNSETOFFLOAD:
        set_offload(device, number)
    else:
        return False
    device_changed(device)
    return True


def _buffer_command(end: TunDescription, device: TunDevice, command: int, address: UserAddr) -> None:
    """Carry out a command whose argument is the address of a number. Raises EINVAL for others."""
    if command == _TUNGETSNDBUF:
        user.write_i32(address, end.send_buffer)
    elif command == _TUNGETVNETHDRSZ:
        user.write_i32(address, device.header_size)
    elif command == _TUNGETVNETLE:
        user.write_i32(address, end.is_little_endian)
    elif command == _TUNSETSNDBUF:
        size = user.read_i32(address)
        if size <= 0:
            raise Errno(EINVAL)
        end.send_buffer = size
    elif command == _TUNSETVNETHDRSZ:
        size = user.read_i32(address)
        if size < OFFLOAD_HEADER:
            raise Errno(EINVAL)
        device.header_size = size
    elif command == _TUNSETVNETLE:
        end.is_little_endian = 1 if user.read_i32(address) != 0 else 0
    elif command == _TUNSETCARRIER:
        has_carrier = user.read_u32(address) != 0
        if end.queue.device is device:
            set_carrier(device, has_carrier)
    else:
        raise Errno(EINVAL)
