"""Interfaces of a network in /sys/devices, with links to them in /sys/class/net.

A mounted sysfs shows the network of whoever mounted it (network_namespaces(7)). What Linux lets an
administrator of the network change is changed here, too: MTU, length of the queue, flags.

Context: thread context. All is created when it is looked up. An interface that has left the network has no facts any
more: ENODEV.
Source: Linux's Documentation/ABI/testing/sysfs-class-net and sysfs-class-net-statistics.
"""

from typing import Final

from kernel.fs.file import DirectorySink
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.procfs.entries import FIRST_POSITION, ComputedDirectory, FixedLink
from kernel.fs.sysfs.events import DeviceKobject
from kernel.fs.sysfs.kobject import Kobject, KobjectDirectory, KobjectLink, line
from kernel.lang import EINVAL, ENODEV, EPERM, ERANGE, Errno, final
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.credentials import caller_credentials, gid_for_caller, uid_for_caller
from kernel.lib.ids import NO_GROUP, NO_USER
from kernel.lib.numbers import LARGEST, parse_unsigned
from kernel.net.control.interface_ioctl import change_flags, set_mtu
from kernel.net.link.device import NetworkDevice, Traffic
from kernel.net.link.network import Network
from kernel.net.link.tun import TunDevice
from kernel.net.netlink.link_state import operational_state

_ATTRIBUTES: Final[list[bytes]] = [
    b"addr_len", b"address", b"broadcast", b"carrier", b"dev_id", b"dev_port", b"dormant", b"duplex", b"flags",
    b"ifindex", b"iflink", b"link_mode", b"mtu", b"netdev_group", b"operstate", b"speed", b"testing",
    b"tx_queue_len", b"type",
]  # fmt: skip
_STATISTICS: Final[list[bytes]] = [
    b"collisions", b"multicast", b"rx_bytes", b"rx_compressed", b"rx_crc_errors", b"rx_dropped", b"rx_errors",
    b"rx_fifo_errors", b"rx_frame_errors", b"rx_length_errors", b"rx_missed_errors", b"rx_nohandler",
    b"rx_over_errors", b"rx_packets", b"tx_aborted_errors", b"tx_bytes", b"tx_carrier_errors", b"tx_compressed",
    b"tx_dropped", b"tx_errors", b"tx_fifo_errors", b"tx_heartbeat_errors", b"tx_packets", b"tx_window_errors",
]  # fmt: skip
_TUN_ATTRIBUTES: Final[list[bytes]] = [b"group", b"owner", b"tun_flags"]
_WRITABLE: Final[list[bytes]] = [b"flags", b"mtu", b"tx_queue_len"]
_STATES: Final[list[bytes]] = [
    b"unknown", b"notpresent", b"down", b"lowerlayerdown", b"testing", b"dormant", b"up",
]  # fmt: skip
_INT_MAX: Final = 0x7FFF_FFFF
_UNSIGNED_MAX: Final = 0xFFFF_FFFF
_VETH_SPEED: Final = 10_000  # Mbit/s

_FIRST_INO: Final = 1 << 48
_FIRST_STATISTICS_INO: Final = 1 << 49
_FIRST_LINK_INO: Final = 1 << 50
_KIND_DIRECTORY: Final = 4
_KIND_LINK: Final = 10


def _shown_address(address: bytes) -> bytes:
    return b":".join([f"{byte:02x}".encode() for byte in address]) + b"\n"


def attribute_text(device: NetworkDevice, name: bytes) -> bytes:
    """The text of an interface's file. Raises EINVAL for what the interface does not have, or not while it is down."""
    match name:
        case b"addr_len":
            return line(len(device.address))
        case b"address":
            return _shown_address(device.address)
        case b"broadcast":
            return _shown_address(device.broadcast)
        case b"carrier":
            if not device.is_up():
                raise Errno(EINVAL)
            return line(1 if device.has_carrier else 0)
        case b"dormant" | b"testing":
            if not device.is_up():
                raise Errno(EINVAL)
            return line(0)
        case b"duplex" | b"speed":
            return _link_setting(device, name)
        case b"flags":
            return f"{device.flags:#x}\n".encode()
        case b"ifindex":
            return line(device.index)
        case b"iflink":
            other = device.partner()
            return line(device.index if other is None else other.index)
        case b"dev_id":
            return b"0x0\n"
        case b"mtu":
            return line(device.mtu)
        case b"operstate":
            return _STATES[operational_state(device)] + b"\n"
        case b"tx_queue_len":
            return line(device.queue_length)
        case b"type":
            return line(device.kind)
        case _:  # link_mode, netdev_group, dev_port: there is no such thing here
            return line(0)


def _link_setting(device: NetworkDevice, name: bytes) -> bytes:
    """Speed and duplex, as ethtool(8) shows them. A virtual card does not know."""
    if not device.is_up() or (not device.is_hardware and device.virtual_kind != b"veth"):
        raise Errno(EINVAL)
    if device.is_hardware:
        return b"unknown\n" if name == b"duplex" else line(-1)
    return b"full\n" if name == b"duplex" else line(_VETH_SPEED)


def statistic(traffic: Traffic, name: bytes) -> int:
    """A number of what an interface has done. What interfaces here never do is 0."""
    match name:
        case b"rx_bytes":
            return traffic.received_bytes
        case b"rx_packets":
            return traffic.received_packets
        case b"rx_errors":
            return traffic.received_errors
        case b"rx_dropped":
            return traffic.received_dropped
        case b"tx_bytes":
            return traffic.sent_bytes
        case b"tx_packets":
            return traffic.sent_packets
        case b"tx_errors":
            return traffic.sent_errors
        case b"tx_dropped":
            return traffic.sent_dropped
        case _:
            return 0


def _tun_text(device: TunDevice, name: bytes) -> bytes:
    """What is there of interfaces of type tun alone; -1 for an owner or a group that there is not."""
    if name == b"tun_flags":
        return f"{device.shown_flags():#x}\n".encode()
    if name == b"owner":
        return line(-1 if device.owner == NO_USER else uid_for_caller(device.owner))
    return line(-1 if device.group == NO_GROUP else gid_for_caller(device.group))


def store(device: NetworkDevice, name: bytes, value: int) -> None:
    """Set what can be set. Raises EINVAL, ERANGE, and what the driver raises."""
    if name == b"mtu":
        set_mtu(device, value & _UNSIGNED_MAX)  # as an int, as Linux takes it: one that is negative is refused
    elif name == b"tx_queue_len":
        if value > _INT_MAX:
            raise Errno(ERANGE)
        device.queue_length = value
    elif name == b"flags":
        change_flags(device, value & _UNSIGNED_MAX, _UNSIGNED_MAX)
    else:
        raise Errno(EINVAL)


def number_in(text: bytes) -> int:
    """A number as `parse_unsigned` takes it; a zero byte ends it. Raises EINVAL, ERANGE."""
    end = text.find(b"\0")
    return parse_unsigned(text if end < 0 else text[:end], 0, LARGEST + 1)


def above_interface(device: NetworkDevice) -> bytes:
    """The directory of /sys/devices in which an interface is, with a slash after it."""
    place = device.place
    return b"virtual/net/" if place is None else place.path + b"/net/"


def interface_path(device: NetworkDevice) -> bytes:
    """Where an interface is, below /sys/devices."""
    return above_interface(device) + device.name


def _give(inode: Inode, network: Network) -> None:
    """What shows an interface belongs to the root of the user namespace that owns its network."""
    owner = network.owner
    uid = owner.root_uid()
    gid = owner.kernel_gid(0)
    if uid != NO_USER:
        inode.uid = uid
    if gid != NO_GROUP:
        inode.gid = gid


@final
class InterfaceKobject(DeviceKobject):
    """An interface in the network where it is when it is looked up."""

    def __init__(self, device: NetworkDevice) -> None:
        super().__init__(interface_path(device), _FIRST_INO | (device.number & 0xFFFF_FFFF) << 8)
        self.subsystem = b"class/net"
        self.device: NetworkDevice = device
        self.network: Network = device.network

    def hearers(self) -> Network:
        return self.network

    def own(self, inode: Inode) -> None:
        _give(inode, self.network)

    def attributes(self) -> list[bytes]:
        return _ATTRIBUTES + _TUN_ATTRIBUTES if isinstance(self.device, TunDevice) else _ATTRIBUTES

    def mode(self, attribute: bytes) -> int:
        return 0o644 if attribute in _WRITABLE else 0o444

    def text(self, attribute: bytes) -> bytes:
        self._check()
        device = self.device
        if isinstance(device, TunDevice) and attribute in _TUN_ATTRIBUTES:
            return _tun_text(device, attribute)
        return attribute_text(device, attribute)

    def store(self, attribute: bytes, text: bytes) -> None:
        self._check_writer()
        self._check()
        store(self.device, attribute, number_in(text))

    def request_event(self, text: bytes) -> None:
        self._check_writer()
        self._check()
        super().request_event(text)

    def properties(self) -> bytes:
        device = self.device
        kind = device.virtual_kind
        front = b"DEVTYPE=" + kind + b"\n" if kind == b"bridge" or kind == b"macvlan" else b""
        return front + b"INTERFACE=" + device.name + f"\nIFINDEX={device.index}\n".encode()

    def links(self) -> list[KobjectLink]:
        place = self.device.place
        found = [] if place is None else [KobjectLink(b"device", b"devices/" + place.path)]
        master = self.device.master
        if master is not None:
            found.append(KobjectLink(b"master", b"devices/" + interface_path(master)))
        return found

    def children(self) -> list[Kobject]:
        return [InterfaceStatistics(self.device)]

    def _check_writer(self) -> None:
        """Raise EPERM unless the caller is an administrator of the network."""
        who = caller_credentials()
        if who is None or not who.capable_in(self.network.owner, CAP_NET_ADMIN):
            raise Errno(EPERM)

    def _check(self) -> None:
        """Raises ENODEV if the interface is no more, or elsewhere."""
        if self.device.network is not self.network:
            raise Errno(ENODEV)


@final
class InterfaceStatistics(Kobject):
    """`statistics` of an interface."""

    def __init__(self, device: NetworkDevice) -> None:
        super().__init__(
            interface_path(device) + b"/statistics", _FIRST_STATISTICS_INO | (device.number & 0xFFFF_FFFF) << 8
        )
        self.device: NetworkDevice = device
        self.network: Network = device.network

    def own(self, inode: Inode) -> None:
        _give(inode, self.network)

    def attributes(self) -> list[bytes]:
        return _STATISTICS

    def text(self, attribute: bytes) -> bytes:
        if self.device.network is not self.network:
            raise Errno(ENODEV)
        return line(statistic(self.device.traffic, attribute))


@final
class InterfacesDirectory(ComputedDirectory):
    """The interfaces of a network: /sys/class/net, with links to all, or /sys/devices/virtual/net, with those that are
    made of software.
    """

    def __init__(self, file_system: FileSystem, ino: int, network: Network, has_links: bool) -> None:
        super().__init__(file_system, ino, 0o755)
        self.network: Network = network
        self.has_links: bool = has_links

    def lookup(self, name: bytes) -> Inode | None:
        device = self.network.by_name.get(name)
        if device is None:
            return None
        if self.has_links:
            ino = _FIRST_LINK_INO | (device.number & 0xFFFF_FFFF)
            return FixedLink(self.file_system, ino, b"../../devices/" + interface_path(device), size=0)
        return KobjectDirectory(self.file_system, InterfaceKobject(device)) if device.place is None else None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        """The position is an interface's index: one that comes or goes meanwhile moves no other."""
        for device in self.network.devices:
            place = device.index + FIRST_POSITION
            if place > position and (self.has_links or device.place is None):
                ino = (_FIRST_LINK_INO if self.has_links else _FIRST_INO) | (device.number & 0xFFFF_FFFF)
                if not sink.emit(device.name, ino, _KIND_LINK if self.has_links else _KIND_DIRECTORY, place):
                    return
                sink.position = place
