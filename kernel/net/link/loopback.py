"""The loopback interface: what is sent is received by the same host (RFC 1122, section 3.2.1.3).

A packet that is sent does not climb the stack inside its sender's call: it waits in `BACKLOG`, and `ethernet.drain`
delivers it at the end of the outermost operation. So the stack's depth is bounded, and no protocol is entered again
while it is in the middle of something. All networks share the backlog, which is empty between two operations but for
frames of pairs (`veth.py`).
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import final
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


@final
class Backlog:
    """What is to be received from interfaces that are no hardware."""

    def __init__(self) -> None:
        self.queue: PacketQueue = PacketQueue()  # without link headers, by loopback interfaces
        self.frames: PacketQueue = PacketQueue()  # by others
        self.is_draining: bool = False
        self.is_left_over: bool = False  # the network thread is to go on


BACKLOG: Final = Backlog()


@final
class LoopbackDevice(NetworkDevice):
    """lo. Packets have no link header on this way."""

    def __init__(self, network: "Network") -> None:
        super().__init__(network, b"lo", ARPHRD_LOOPBACK, bytes(6), LOOPBACK_MTU)
        self.flags = IFF_LOOPBACK
        self.offload = OFFLOAD_CHECKSUM | OFFLOAD_TCP4 | OFFLOAD_TCP6

    def transmit(self, packet: Packet) -> bool:
        if BACKLOG.queue.count >= _QUEUE_LIMIT:
            self.sent_dropped += 1
            return False
        if packet.checksum == CHECKSUM_PARTIAL:
            # Nothing can have changed it on the way.
            packet.checksum = CHECKSUM_VERIFIED
        packet.device = self
        packet.link_kind = PACKET_HOST
        length = len(packet)
        self.sent_packets += 1
        self.sent_bytes += length
        self.received_packets += 1
        self.received_bytes += length
        BACKLOG.queue.append(packet)
        return True

    def set_down(self) -> None:
        queue = BACKLOG.queue
        for _ in range(queue.count):
            packet = queue.pop()
            if packet is not None and packet.device is not None and packet.device.network is not self.network:
                queue.append(packet)
