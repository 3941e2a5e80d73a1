"""The loopback interface: the same host receives what it sends (RFC 1122, section 3.2.1.3).

A sent packet does not climb the stack inside its sender's call: it waits in `BACKLOG`, and `ethernet.drain`
delivers it at the end of the outermost operation. So the stack's depth is bounded, and no protocol is re-entered
in the middle of an operation.

All networks share the backlog. `queue` is empty between two operations. Packets for which an operation has no time,
because they circulate or are too many, are set aside among the frames of pairs (`veth.py`); these are bounded by
bytes, and those of the first network have a place of their own.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import final
from kernel.lib.namespace import FIRST_NET_NUMBER
from kernel.lib.pace import spend
from kernel.net.link.device import (
    ARPHRD_LOOPBACK,
    IFF_LOOPBACK,
    OFFLOAD_CHECKSUM,
    OFFLOAD_TCP4,
    OFFLOAD_TCP6,
    NetworkDevice,
)
from kernel.net.link.packet import (
    CHECKSUM_PARTIAL,
    CHECKSUM_VERIFIED,
    PACKET_HOST,
    Packet,
    PacketQueue,
)

if TYPE_CHECKING:
    from kernel.net.link.network import Network

LOOPBACK_MTU: Final = 65536
_QUEUE_LIMIT: Final = 1000
_PAGE_SHIFT: Final = 12
_MEMORY_SHIFT: Final = 6  # frames take at most this part of memory, beyond the least
_LEAST_BYTES: Final = 4 << 20
_OVERHEAD: Final = 1024  # of a frame besides its storage; it bounds their number as well
_LOOK_COST: Final = 30  # instructions


@final
class Frames:
    """Packets that wait for their turn.

    Invariants: `bytes_held` is their cost; `waiting` of a device counts its packets here.
    """

    def __init__(self) -> None:
        self.queue: PacketQueue = PacketQueue()
        self.bytes_held: int = 0
        self.most_bytes: int = _LEAST_BYTES

    def has_room(self, packet: Packet) -> bool:
        return self.bytes_held + len(packet.storage) + _OVERHEAD <= self.most_bytes

    def append(self, packet: Packet, device: NetworkDevice) -> None:
        """Append a packet that `device` is to receive."""
        self.bytes_held += len(packet.storage) + _OVERHEAD
        device.waiting += 1
        self.queue.append(packet)

    def pop(self) -> Packet | None:
        """Remove and return the first packet."""
        packet = self.queue.pop()
        if packet is not None:
            self._gone(packet)
        return packet

    def _gone(self, packet: Packet) -> None:
        self.bytes_held -= len(packet.storage) + _OVERHEAD
        device = packet.device
        if device is not None:
            device.waiting -= 1

    def forget(self, device: NetworkDevice) -> None:
        """Drop the packets that a device was to receive."""
        queue = self.queue
        spend(queue.count * _LOOK_COST)
        for _ in range(queue.count):
            packet = queue.pop()
            if packet is None:
                return
            if packet.device is device:
                self._gone(packet)
            else:
                queue.append(packet)


@final
class Backlog:
    """The packets to be received from software interfaces."""

    def __init__(self) -> None:
        self.queue: PacketQueue = PacketQueue()  # without link headers, from loopback interfaces
        self.of_first: Frames = Frames()  # packets that touch the first network
        self.of_others: Frames = Frames()
        self.frame_count: int = 0  # in both
        self.is_first_next: bool = True
        self.shown_cost: int = 0  # instructions that packet sockets took since the last `drain`
        self.is_draining: bool = False
        self.is_left_over: bool = False  # the network thread should go on

    def configure(self, page_count: int) -> None:
        """Derive the bounds from the machine's memory."""
        for frames in (self.of_first, self.of_others):
            frames.most_bytes = _LEAST_BYTES + ((page_count << _PAGE_SHIFT) >> _MEMORY_SHIFT)

    def put_frame(self, packet: Packet, device: NetworkDevice, touches_first: bool) -> bool:
        """Have `device` receive a packet in its turn. False: there is no room."""
        frames = self.of_first if touches_first else self.of_others
        if not frames.has_room(packet):
            return False
        packet.device = device
        frames.append(packet, device)
        self.frame_count += 1
        return True

    def take_frame(self) -> Packet | None:
        """The next packet: the first network and the others take turns."""
        self.is_first_next = not self.is_first_next
        packet = self.of_others.pop() if self.is_first_next else self.of_first.pop()
        if packet is None:
            packet = self.of_first.pop() if self.is_first_next else self.of_others.pop()
        if packet is not None:
            self.frame_count -= 1
        return packet

    def set_aside(self, packet: Packet) -> None:
        """Move a packet of `queue` to the frames; it is lost if there is no room."""
        device = packet.device
        if device is None:
            return
        if device.waiting >= _QUEUE_LIMIT or not self.put_frame(packet, device, is_first(device)):
            device.network.loopback.traffic.received_dropped += 1

    def forget(self, device: NetworkDevice) -> None:
        """A device is down: the packets that it was to receive are lost."""
        if device.waiting > 0:
            self.of_first.forget(device)
            self.of_others.forget(device)
            self.frame_count = self.of_first.queue.count + self.of_others.queue.count


def is_first(device: NetworkDevice) -> bool:
    """Whether a device is in the first network."""
    return device.network.number == FIRST_NET_NUMBER


BACKLOG: Final = Backlog()


@final
class LoopbackDevice(NetworkDevice):
    """lo. Packets have no link header on this path."""

    def __init__(self, network: "Network") -> None:
        super().__init__(network, b"lo", ARPHRD_LOOPBACK, bytes(6), LOOPBACK_MTU)
        self.flags = IFF_LOOPBACK
        self.offload = OFFLOAD_CHECKSUM | OFFLOAD_TCP4 | OFFLOAD_TCP6

    def transmit(self, packet: Packet) -> bool:
        if BACKLOG.queue.count >= _QUEUE_LIMIT:
            self.traffic.sent_dropped += 1
            return False
        if packet.checksum == CHECKSUM_PARTIAL:
            # Nothing can have changed it on the way.
            packet.checksum = CHECKSUM_VERIFIED
        packet.device = self
        packet.link_kind = PACKET_HOST
        packet.sender = None
        length = len(packet)
        self.traffic.sent_packets += 1
        self.traffic.sent_bytes += length
        self.traffic.received_packets += 1
        self.traffic.received_bytes += length
        BACKLOG.queue.append(packet)
        return True

    def set_down(self) -> None:
        queue = BACKLOG.queue
        for _ in range(queue.count):
            packet = queue.pop()
            if packet is not None and packet.device is not None and packet.device.network is not self.network:
                queue.append(packet)
