"""/sys/class/net: what there is to know about the interfaces of a network.

Each interface is a directory. (On Linux it is a link into a tree of buses; the names of files that programs read are
the same.) A mounted sysfs shows the network of whoever mounted it (network_namespaces(7)). What Linux lets an
administrator of the network change is changed here, too: MTU, length of the queue, flags.

Context: thread context. All is created when it is looked up. An interface that has left the network has no facts any
more: ENODEV.
Source: Linux's Documentation/ABI/testing/sysfs-class-net and sysfs-class-net-statistics.
"""

from typing import Final

from kernel.fs.constants import MAY_WRITE, S_IFREG
from kernel.fs.file import DirectorySink
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.procfs.entries import FIRST_POSITION, ComputedDirectory, TextInode
from kernel.lang import EACCES, EINVAL, ENODEV, EPERM, ERANGE, Errno, final
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.credentials import Credentials, caller_credentials
from kernel.net.control.interface_ioctl import change_flags, set_mtu
from kernel.net.link.device import NetworkDevice
from kernel.net.link.network import Network
from kernel.net.netlink.links import operational_state

_ATTRIBUTES: Final[list[bytes]] = [
    b"addr_len", b"address", b"broadcast", b"carrier", b"dev_id", b"dev_port", b"dormant", b"duplex", b"flags",
    b"ifindex", b"iflink", b"link_mode", b"mtu", b"netdev_group", b"operstate", b"speed", b"testing",
    b"tx_queue_len", b"type", b"uevent",
]  # fmt: skip
_STATISTICS: Final[list[bytes]] = [
    b"collisions", b"multicast", b"rx_bytes", b"rx_compressed", b"rx_crc_errors", b"rx_dropped", b"rx_errors",
    b"rx_fifo_errors", b"rx_frame_errors", b"rx_length_errors", b"rx_missed_errors", b"rx_nohandler",
    b"rx_over_errors", b"rx_packets", b"tx_aborted_errors", b"tx_bytes", b"tx_carrier_errors", b"tx_compressed",
    b"tx_dropped", b"tx_errors", b"tx_fifo_errors", b"tx_heartbeat_errors", b"tx_packets", b"tx_window_errors",
]  # fmt: skip
_WRITABLE: Final[list[bytes]] = [b"flags", b"mtu", b"tx_queue_len"]
_STATES: Final[list[bytes]] = [
    b"unknown", b"notpresent", b"down", b"lowerlayerdown", b"testing", b"dormant", b"up",
]  # fmt: skip
_STATISTICS_NAME: Final = b"statistics"
_INT_MAX: Final = 0x7FFF_FFFF
_UNSIGNED_MAX: Final = 0xFFFF_FFFF
_PARSE_LIMIT: Final = 1 << 58
_VETH_SPEED: Final = 10_000  # Mbit/s

_FIRST_INO: Final = 1 << 48
_KIND_FILE: Final = 8
_KIND_DIRECTORY: Final = 4


def _ino(device: NetworkDevice, place: int) -> int:
    """One for each interface and place in its directory: 0 is the directory itself."""
    return _FIRST_INO | (device.number & 0xFFFF_FFFF) << 8 | place


def _line(value: int) -> bytes:
    return f"{value}\n".encode()


def _shown_address(address: bytes) -> bytes:
    return b":".join([f"{byte:02x}".encode() for byte in address]) + b"\n"


def attribute(device: NetworkDevice, name: bytes) -> bytes:
    """The text of a file of an interface. Raises EINVAL for what the interface does not have, or not while it is down.
    """
    match name:
        case b"addr_len":
            return _line(len(device.address))
        case b"address":
            return _shown_address(device.address)
        case b"broadcast":
            return _shown_address(device.broadcast)
        case b"carrier":
            if not device.is_up():
                raise Errno(EINVAL)
            return _line(1 if device.has_carrier else 0)
        case b"dormant" | b"testing":
            if not device.is_up():
                raise Errno(EINVAL)
            return _line(0)
        case b"duplex" | b"speed":
            return _link_setting(device, name)
        case b"flags":
            return f"{device.flags:#x}\n".encode()
        case b"ifindex":
            return _line(device.index)
        case b"iflink":
            other = device.partner()
            return _line(device.index if other is None else other.index)
        case b"dev_id":
            return b"0x0\n"
        case b"mtu":
            return _line(device.mtu)
        case b"operstate":
            return _STATES[operational_state(device)] + b"\n"
        case b"tx_queue_len":
            return _line(device.queue_length)
        case b"type":
            return _line(device.kind)
        case b"uevent":
            return b"INTERFACE=" + device.name + f"\nIFINDEX={device.index}\n".encode()
        case _:  # link_mode, netdev_group, dev_port: there is nothing of the kind
            return _line(0)


def _link_setting(device: NetworkDevice, name: bytes) -> bytes:
    """Speed and duplex, as ethtool(8) shows them. A virtual card does not know."""
    if not device.is_up() or (not device.is_hardware and device.virtual_kind != b"veth"):
        raise Errno(EINVAL)
    if device.is_hardware:
        return b"unknown\n" if name == b"duplex" else _line(-1)
    return b"full\n" if name == b"duplex" else _line(_VETH_SPEED)


def statistic(device: NetworkDevice, name: bytes) -> int:
    """A number of what an interface has done. What interfaces here never do is 0."""
    match name:
        case b"rx_bytes":
            return device.received_bytes
        case b"rx_packets":
            return device.received_packets
        case b"rx_errors":
            return device.received_errors
        case b"rx_dropped":
            return device.received_dropped
        case b"tx_bytes":
            return device.sent_bytes
        case b"tx_packets":
            return device.sent_packets
        case b"tx_errors":
            return device.sent_errors
        case b"tx_dropped":
            return device.sent_dropped
        case _:
            return 0


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
    """A number as the C language writes it, perhaps with a newline: decimal, 0x…, 0…. Raises EINVAL, ERANGE."""
    digits = text.rstrip(b"\n")
    base = 10
    if digits.startswith(b"0x") or digits.startswith(b"0X"):
        base = 16
        digits = digits[2:]
    elif len(digits) > 1 and digits[0] == ord("0"):
        base = 8
    if len(digits) == 0:
        raise Errno(EINVAL)
    value = 0
    for byte in digits:
        digit = _digit(byte)
        if digit >= base:
            raise Errno(EINVAL)
        if value >= _PARSE_LIMIT:
            raise Errno(ERANGE)
        value = value * base + digit
    return value


def _digit(byte: int) -> int:
    """What a digit stands for; a number above all bases for what is none."""
    if ord("0") <= byte <= ord("9"):
        return byte - ord("0")
    lower = byte | 0x20
    return lower - ord("a") + 10 if ord("a") <= lower <= ord("f") else 99


@final
class InterfaceFile(TextInode):
    """One fact about one interface."""

    def __init__(self, file_system: FileSystem, ino: int, device: NetworkDevice, name: bytes, is_count: bool) -> None:
        super().__init__(file_system, ino, S_IFREG | (0o644 if not is_count and name in _WRITABLE else 0o444))
        self.size = 4096
        self.device: NetworkDevice = device
        self.network: Network = device.network
        self.name: bytes = name
        self.is_count: bool = is_count

    def make_text(self) -> bytes:
        device = self._device()
        return _line(statistic(device, self.name)) if self.is_count else attribute(device, self.name)

    def store_text(self, text: bytes, offset: int) -> None:
        who = caller_credentials()
        if who is None or not who.capable_in(self.network.owner, CAP_NET_ADMIN):
            raise Errno(EPERM)
        store(self._device(), self.name, number_in(text))

    def check_permission(self, credentials: Credentials, mask: int) -> None:
        if mask & MAY_WRITE != 0 and self.mode & 0o200 == 0:
            raise Errno(EACCES)  # root, too, can't write what nobody may write
        super().check_permission(credentials, mask)

    def _device(self) -> NetworkDevice:
        """Raises ENODEV if the interface is no more, or elsewhere."""
        if self.device.network is not self.network:
            raise Errno(ENODEV)
        return self.device


@final
class InterfaceDirectory(ComputedDirectory):
    """/sys/class/net/eth0, or with `is_statistics` the directory of numbers there."""

    def __init__(self, file_system: FileSystem, device: NetworkDevice, is_statistics: bool) -> None:
        super().__init__(file_system, _ino(device, 1 if is_statistics else 0), 0o755)
        self.device: NetworkDevice = device
        self.is_statistics: bool = is_statistics

    def _names(self) -> list[bytes]:
        return _STATISTICS if self.is_statistics else _ATTRIBUTES

    def _place(self, index: int) -> int:
        return index + (128 if self.is_statistics else 2)

    def lookup(self, name: bytes) -> Inode | None:
        names = self._names()
        if name in names:
            ino = _ino(self.device, self._place(names.index(name)))
            return InterfaceFile(self.file_system, ino, self.device, name, self.is_statistics)
        if name == _STATISTICS_NAME and not self.is_statistics:
            return InterfaceDirectory(self.file_system, self.device, is_statistics=True)
        return None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        names = self._names()
        index = max(0, position - FIRST_POSITION)
        while index < len(names):
            ino = _ino(self.device, self._place(index))
            index += 1
            if not sink.emit(names[index - 1], ino, _KIND_FILE, index + FIRST_POSITION):
                return
            sink.position = index + FIRST_POSITION
        if index == len(names) and not self.is_statistics:
            if not sink.emit(_STATISTICS_NAME, _ino(self.device, 1), _KIND_DIRECTORY, index + 1 + FIRST_POSITION):
                return
            sink.position = index + 1 + FIRST_POSITION


@final
class InterfacesDirectory(ComputedDirectory):
    """/sys/class/net."""

    def __init__(self, file_system: FileSystem, ino: int, network: Network) -> None:
        super().__init__(file_system, ino, 0o755)
        self.network: Network = network

    def lookup(self, name: bytes) -> Inode | None:
        device = self.network.by_name.get(name)
        return None if device is None else InterfaceDirectory(self.file_system, device, is_statistics=False)

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        """The position is an interface's index: one that comes or goes meanwhile moves no other."""
        for device in self.network.devices:
            place = device.index + FIRST_POSITION
            if place > position:
                if not sink.emit(device.name, _ino(device, 0), _KIND_DIRECTORY, place):
                    return
                sink.position = place
