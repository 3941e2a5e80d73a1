"""Interfaces with link addresses of their own on top of another interface (ip-link(8), type macvlan).

A frame received below for the address of one is received by that one, in whatever network it is; frames for groups are
received by all, and below. A frame that one sends goes out below, but in mode bridge, frames for another of that mode
reach it directly. One of mode private hears nothing of the others; one of mode vepa hears them if a switch sends their
frames back; one of mode passthru has the interface below for itself, with its address.

Frames wait in the backlog (`loopback.py`) until the sender's operation is done, as those of pairs do.

Invariants: `MacvlanLower` is the handler of the interface below exactly while anything stands on it. While
one of these is up, the interface below is promiscuous: a bridge, for example, knows nothing of their addresses.
Context: thread context; nothing sleeps.
Source: ip-link(8), "MACVLAN and MACVTAP Type Support".
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EADDRINUSE, EBUSY, EINVAL, EXFULL, Errno, final, noraise
from kernel.lib.pace import spend
from kernel.net.link import ethernet
from kernel.net.link.device import (
    ARPHRD_ETHER,
    IFF_BROADCAST,
    IFF_LOOPBACK,
    IFF_MULTICAST,
    OFFLOAD_CHECKSUM,
    OFFLOAD_TCP4,
    OFFLOAD_TCP6,
    DeviceWatcher,
    FrameHandler,
    NetworkDevice,
    device_changed,
    want_all_frames,
    watch_devices,
)
from kernel.net.link.loopback import BACKLOG, is_first
from kernel.net.link.network import network_of
from kernel.net.link.packet import CHECKSUM_NONE, CHECKSUM_PARTIAL, CHECKSUM_VERIFIED, PACKET_HOST, Packet
from kernel.net.link.thread import Work, schedule_work

if TYPE_CHECKING:
    from kernel.net.link.network import Network

# Modes (MACVLAN_MODE_*).
PRIVATE: Final = 1
VEPA: Final = 2
BRIDGE: Final = 4
PASSTHRU: Final = 8

QUEUE_LIMIT: Final = 1000
"""Frames that may wait for one interface."""
_MOST_ABOVE: Final = 64  # on one interface: each gets a copy of a frame sent to all
_COPY_COST: Final = 3000  # instructions, besides the bytes
_BYTES_SHIFT: Final = 2


@final
class MacvlanDevice(NetworkDevice):
    """A macvlan interface."""

    def __init__(self, network: "Network", name: bytes, address: bytes, lower: NetworkDevice, mode: int) -> None:
        super().__init__(network, name, ARPHRD_ETHER, address, lower.mtu)
        self.flags = IFF_BROADCAST | IFF_MULTICAST
        self.offload = OFFLOAD_CHECKSUM | OFFLOAD_TCP4 | OFFLOAD_TCP6
        self.max_mtu = lower.max_mtu
        self.virtual_kind = b"macvlan"
        self.has_carrier = lower.is_up() and lower.has_carrier
        self.mode: int = mode
        self.lower: NetworkDevice | None = lower  # until it ends
        self.change: Change = Change(self)

    def partner(self) -> NetworkDevice | None:
        return self.lower

    def below(self) -> list[NetworkDevice]:
        lower = self.lower
        return [] if lower is None else [lower]

    def largest_mtu(self) -> int:
        lower = self.lower
        return self.max_mtu if lower is None else lower.mtu

    def check_address(self, address: bytes) -> None:
        """Raises EADDRINUSE if the interface below, or another one on it, has the address that this one would use."""
        lower = self.lower
        port = None if lower is None else lower_of(lower)
        if lower is None or port is None or self.mode == PASSTHRU:
            return
        if address == lower.address:
            raise Errno(EADDRINUSE)
        for other in port.above:
            if other is not self and other.is_up() and other.address == address:
                raise Errno(EADDRINUSE)

    def set_up(self) -> None:
        """Raises EADDRINUSE if its address is taken."""
        lower = self.lower
        port = None if lower is None else lower_of(lower)
        if lower is None or port is None or self.mode == PASSTHRU:
            return
        self.check_address(self.address)
        port.count_up += 1
        if port.count_up == 1:
            want_all_frames(lower, 1)

    def set_down(self) -> None:
        lower = self.lower
        port = None if lower is None else lower_of(lower)
        if lower is None or port is None or self.mode == PASSTHRU:
            return
        port.count_up -= 1
        if port.count_up == 0:
            want_all_frames(lower, -1)

    def transmit(self, packet: Packet) -> bool:
        if self.waiting >= QUEUE_LIMIT:
            return False
        packet.from_ourselves = False
        packet.is_relayed = True
        lower = self.lower
        return BACKLOG.put_frame(packet, self, is_first(self) or (lower is not None and is_first(lower)))

    def relay(self, packet: Packet) -> None:
        lower = self.lower
        if lower is None or not lower.is_up():
            self.traffic.sent_dropped += 1
            return
        packet.cut_ties()
        port = lower_of(lower)
        if self.mode == BRIDGE and port is not None:
            destination = packet.span()[0:6].to_bytes()
            if destination[0] & 1 != 0:
                for other in port.above:
                    if other is not self and other.mode == BRIDGE:
                        _hand_over(packet.copy(), other, self.network)
            else:
                there = port.find(destination)
                if there is not None and there.mode == BRIDGE:
                    _hand_over(packet, there, self.network)
                    return
        if lower.network is not self.network:
            packet.mark = 0
        ethernet.send_frame(packet, lower)

    def has_ended(self) -> None:
        lower = self.lower
        self.lower = None
        self.change.device = None
        if lower is not None:
            _take_off(self, lower)


@final
class Change(Work):
    """Notifies watchers that a carrier or an MTU followed the one below: in a turn of its own, because that is noticed
    while watchers are being notified.
    """

    def __init__(self, device: MacvlanDevice) -> None:
        super().__init__()
        self.device: MacvlanDevice | None = device

    def run(self, now_ns: int) -> None:
        device = self.device
        if device is not None:
            device_changed(device)


@final
class MacvlanLower(FrameHandler):
    """The handler of an interface on which some stand."""

    def __init__(self) -> None:
        self.above: list[MacvlanDevice] = []
        self.count_up: int = 0  # that are up, except mode passthru: the interface below listens to all addresses

    def find(self, address: bytes) -> MacvlanDevice | None:
        """The interface with an address, if it is up."""
        for device in self.above:
            if device.is_up() and device.address == address:
                return device
        return None

    def handle(self, packet: Packet) -> bool:
        header = packet.span()
        destination = header[0:6].to_bytes()
        first = self.above[0]
        if destination[0] & 1 != 0:
            self._spread(packet, self.find(header[6:12].to_bytes()))
            return False
        there = first if first.mode == PASSTHRU else self.find(destination)
        if there is None:
            return False
        if not there.is_up():
            return True
        if there.network is not network_of(packet):
            packet.mark = 0
        packet.device = there
        if first.mode != PASSTHRU or destination == there.address:
            packet.link_kind = PACKET_HOST
        return False

    def _spread(self, packet: Packet, sender: MacvlanDevice | None) -> None:
        """Spread a frame for a group: all get it, except the sender and those that are not to hear it."""
        for device in self.above:
            if device is sender or not device.is_up():
                continue
            if sender is None or (sender.mode == VEPA and device.mode != PRIVATE and device.mode != PASSTHRU):
                copy = packet.copy()
                if device.network is not network_of(packet):
                    copy.mark = 0
                copy.device = device
                spend(_COPY_COST + (len(packet.storage) >> _BYTES_SHIFT))
                if device.waiting >= QUEUE_LIMIT or not BACKLOG.put_frame(copy, device, is_first(device)):
                    device.traffic.received_dropped += 1


def _hand_over(packet: Packet, device: MacvlanDevice, network: "Network") -> None:
    """Have another interface receive a frame of one: nothing can change it on the way. Marks mean nothing in
    another network.
    """
    spend(_COPY_COST + (len(packet.storage) >> _BYTES_SHIFT))
    if device.network is not network:
        packet.mark = 0
    packet.from_ourselves = False
    packet.fragment_size = 0
    packet.received_ns = 0
    if packet.checksum == CHECKSUM_PARTIAL:
        packet.checksum = CHECKSUM_VERIFIED
    else:
        packet.checksum = CHECKSUM_NONE
        packet.checksum_offset = 0
    if device.waiting >= QUEUE_LIMIT or not BACKLOG.put_frame(packet, device, is_first(device)):
        device.traffic.received_dropped += 1


def lower_of(device: NetworkDevice) -> MacvlanLower | None:
    """The handler of the interfaces on top of this one, if there are any."""
    handler = device.handler
    return handler if isinstance(handler, MacvlanLower) else None


def one_above(device: NetworkDevice) -> MacvlanDevice | None:
    """One of the interfaces on top of another."""
    port = lower_of(device)
    return None if port is None else port.above[len(port.above) - 1]


def real_lower(device: NetworkDevice) -> NetworkDevice:
    """The interface on which a new one on this interface stands: never another macvlan."""
    if isinstance(device, MacvlanDevice) and device.lower is not None:
        return device.lower
    return device


def check_lower(lower: NetworkDevice, mode: int) -> None:
    """Check whether one of a mode may be added there. Raises EINVAL, EBUSY for a bridge's port, EXFULL."""
    if lower.kind != ARPHRD_ETHER or not lower.has_header or lower.flags & IFF_LOOPBACK != 0:
        raise Errno(EINVAL)
    port = lower_of(lower)
    if port is None:
        if lower.handler is not None:
            raise Errno(EBUSY)
        return
    if mode == PASSTHRU or port.above[0].mode == PASSTHRU:
        raise Errno(EINVAL)
    if len(port.above) >= _MOST_ABOVE:
        raise Errno(EXFULL)


def put_on(device: MacvlanDevice) -> None:
    """Start receiving; `check_lower` has approved it. Raises MemoryError."""
    lower = device.lower
    if lower is None:
        return
    port = lower_of(lower)
    if port is None:
        port = MacvlanLower()
    port.above.append(device)
    lower.handler = port
    if device.mode == PASSTHRU:
        want_all_frames(lower, 1)


@noraise
def _take_off(device: MacvlanDevice, lower: NetworkDevice) -> None:
    port = lower_of(lower)
    if port is None or device not in port.above:
        return
    port.above.remove(device)
    if len(port.above) == 0:
        lower.handler = None
    if device.mode == PASSTHRU:
        want_all_frames(lower, -1)


def change_mode(device: MacvlanDevice, mode: int) -> None:
    """Change the mode: not from or to passthru. Raises EINVAL."""
    if (mode == PASSTHRU) != (device.mode == PASSTHRU):
        raise Errno(EINVAL)
    device.mode = mode


@final
class _FollowDevices(DeviceWatcher):
    """Carrier and MTU follow the interface below."""

    def device_up(self, device: NetworkDevice) -> None:
        self.device_changed(device)

    def device_down(self, device: NetworkDevice) -> None:
        self.device_changed(device)

    def device_changed(self, device: NetworkDevice) -> None:
        port = lower_of(device)
        if port is None:
            return
        has_carrier = device.is_up() and device.has_carrier
        for above in port.above:
            is_longer = above.mtu > device.mtu
            if above.has_carrier == has_carrier and not is_longer:
                continue
            above.has_carrier = has_carrier
            if is_longer:
                above.mtu = device.mtu
            schedule_work(above.change)


watch_devices(_FollowDevices())
