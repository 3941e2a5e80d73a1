"""Network devices as the stack sees them.

A driver derives from `NetworkDevice`: it sends what `transmit` gives it, and hands what comes in to
`kernel.net.link.ethernet.receive`, in the network thread and never in an interrupt. A driver enters its device by
`register_device`; whatever is interested in devices derives from `DeviceWatcher`.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import ENETDOWN, Errno, final, noraise
from kernel.net.link.packet import CHECKSUM_PARTIAL, Packet

# Interface flags (netdevice(7)).
IFF_UP: Final = 0x1
IFF_BROADCAST: Final = 0x2
IFF_LOOPBACK: Final = 0x8
IFF_RUNNING: Final = 0x40
IFF_NOARP: Final = 0x80
IFF_PROMISC: Final = 0x100
IFF_ALLMULTI: Final = 0x200
IFF_MULTICAST: Final = 0x1000
IFF_LOWER_UP: Final = 0x10000

# What the device does by itself.
OFFLOAD_CHECKSUM: Final = 0x1  # completes CHECKSUM_PARTIAL
OFFLOAD_TCP4: Final = 0x2  # cuts TCP over IPv4 by `segment_size`
OFFLOAD_TCP6: Final = 0x4
OFFLOAD_GATHER: Final = 0x8  # its driver cuts large segments itself, without copying their data

_TCP_FLAGS: Final = 13
_CWR: Final = 0x80

ARPHRD_ETHER: Final = 1
ARPHRD_LOOPBACK: Final = 772

DEVICE_LIMIT: Final = 256


@final
class LinkGroup:
    """A group address of the link: how many groups of IP want it."""

    def __init__(self) -> None:
        self.users: int = 0


class NetworkDevice:
    """Base of all interfaces."""

    def __init__(self, name: bytes, kind: int, address: bytes, mtu: int) -> None:
        self.name: bytes = name  # lo, eth0
        self.index: int = 0  # from 1, given by `register_device`
        self.kind: int = kind  # ARPHRD_*
        self.address: bytes = address  # of the link: 6 bytes
        self.broadcast: bytes = b"\xff\xff\xff\xff\xff\xff" if kind == ARPHRD_ETHER else bytes(6)
        self.mtu: int = mtu
        self.max_mtu: int = 65535 if kind == ARPHRD_LOOPBACK else max(mtu, 1500)
        self.flags: int = 0  # IFF_*
        self.offload: int = 0  # OFFLOAD_*
        self.queue_length: int = 1000
        self.multicast: dict[bytes, LinkGroup] = {}  # link addresses of groups that are received
        self.has_carrier: bool = True
        self.promiscuous_users: int = 0  # packet sockets that want every frame
        self.all_groups_users: int = 0  # … every group's
        self.received_packets: int = 0
        self.received_bytes: int = 0
        self.received_errors: int = 0
        self.received_dropped: int = 0
        self.sent_packets: int = 0
        self.sent_bytes: int = 0
        self.sent_errors: int = 0
        self.sent_dropped: int = 0

    def transmit(self, packet: Packet) -> bool:
        """Send a packet with its link header on. False: the device's queue is full and the packet is dropped."""
        return False

    def cuts(self, packet: Packet) -> bool:
        """Whether the device itself can cut a large segment. It would repeat CWR in each frame."""
        is_ip4 = packet.storage[packet.network_start] >> 4 == 4
        if packet.checksum != CHECKSUM_PARTIAL or self.offload & (OFFLOAD_TCP4 if is_ip4 else OFFLOAD_TCP6) == 0:
            return False
        return packet.storage[packet.checksum_start + _TCP_FLAGS] & _CWR == 0

    def set_up(self) -> None:
        """The interface goes up. Raises Errno."""

    def set_down(self) -> None:
        """The interface goes down: nothing is received from now on."""

    @noraise
    def multicast_changed(self) -> None:
        """`multicast`, IFF_PROMISC, IFF_ALLMULTI or their users changed: the driver may set its filter."""

    def is_up(self) -> bool:
        """Whether the interface is up; the carrier does not matter."""
        return self.flags & IFF_UP != 0

    def is_loopback(self) -> bool:
        return self.flags & IFF_LOOPBACK != 0

    def visible_flags(self) -> int:
        """The flags as programs see them: with IFF_RUNNING and IFF_LOWER_UP where they hold."""
        flags = self.flags
        if flags & IFF_UP != 0 and self.has_carrier:
            flags |= IFF_RUNNING | IFF_LOWER_UP
        return flags


class DeviceWatcher:
    """Hears of changes of devices. Base class: every method does nothing."""

    def device_added(self, device: NetworkDevice) -> None:
        """It was registered; it is down."""

    def device_up(self, device: NetworkDevice) -> None:
        """It went up."""

    def device_down(self, device: NetworkDevice) -> None:
        """It went down."""

    def device_changed(self, device: NetworkDevice) -> None:
        """Its MTU, link address, carrier or other flags changed."""


@final
class DeviceList:
    """All devices by index, and who watches them."""

    def __init__(self) -> None:
        self.devices: list[NetworkDevice] = []
        self.watchers: list[DeviceWatcher] = []


DEVICES: Final = DeviceList()


def watch_devices(watcher: DeviceWatcher) -> None:
    """Tell `watcher` of all changes from now on."""
    DEVICES.watchers.append(watcher)


def watch_devices_first(watcher: DeviceWatcher) -> None:
    """The same, and before all others: what they do because of a change is reported after it."""
    DEVICES.watchers.insert(0, watcher)


def register_device(device: NetworkDevice) -> None:
    """Enter a device, which is down, and give it its index. A `%d` in its name becomes the first free number."""
    if device.name.endswith(b"%d"):
        prefix = device.name[: len(device.name) - 2]
        number = 0
        while device_by_name(prefix + f"{number}".encode()) is not None:
            number += 1
        device.name = prefix + f"{number}".encode()
    device.index = len(DEVICES.devices) + 1
    DEVICES.devices.append(device)
    for watcher in DEVICES.watchers:
        watcher.device_added(device)


def device_by_index(index: int) -> NetworkDevice | None:
    """The device with this index, from 1."""
    if index < 1 or index > len(DEVICES.devices):
        return None
    return DEVICES.devices[index - 1]


def device_by_name(name: bytes) -> NetworkDevice | None:
    """The device with this name."""
    for device in DEVICES.devices:
        if device.name == name:
            return device
    return None


def bring_up(device: NetworkDevice) -> None:
    """Set IFF_UP and notify everybody. Raises what the driver raises; nothing for a device that is up."""
    if device.is_up():
        return
    device.set_up()
    device.flags |= IFF_UP
    for watcher in DEVICES.watchers:
        watcher.device_up(device)


def bring_down(device: NetworkDevice) -> None:
    """Take IFF_UP away and notify everybody."""
    if not device.is_up():
        return
    device.flags &= ~IFF_UP
    device.set_down()
    for watcher in DEVICES.watchers:
        watcher.device_down(device)


def set_carrier(device: NetworkDevice, has_carrier: bool) -> None:
    """The link was plugged in or pulled out; called by drivers in the network thread."""
    if device.has_carrier != has_carrier:
        device.has_carrier = has_carrier
        device_changed(device)


def device_changed(device: NetworkDevice) -> None:
    """Tell everybody that the device's MTU, link address, carrier or flags are others now."""
    for watcher in DEVICES.watchers:
        watcher.device_changed(device)


def check_up(device: NetworkDevice) -> None:
    """Raise ENETDOWN unless the device is up."""
    if not device.is_up():
        raise Errno(ENETDOWN)
