"""The loopback interface: what is sent is received by the same host (RFC 1122, section 3.2.1.3).

A packet that is sent does not climb the stack inside its sender's call: it waits in `queue`, and `ethernet.drain`
delivers it at the end of the outermost operation. So the stack's depth is bounded, and no protocol is entered again
while it is in the middle of something.
"""

from typing import Final

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

LOOPBACK_MTU: Final = 65536
_QUEUE_LIMIT: Final = 1000


@final
class LoopbackDevice(NetworkDevice):
    """lo. Packets have no link header on this way."""

    def __init__(self) -> None:
        super().__init__(b"lo", ARPHRD_LOOPBACK, bytes(6), LOOPBACK_MTU)
        self.flags = IFF_LOOPBACK
        self.offload = OFFLOAD_CHECKSUM | OFFLOAD_TCP4 | OFFLOAD_TCP6
        self.queue: PacketQueue = PacketQueue()
        self.is_draining: bool = False

    def transmit(self, packet: Packet) -> bool:
        if self.queue.count >= _QUEUE_LIMIT:
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
        self.queue.append(packet)
        return True

    def set_down(self) -> None:
        self.queue.clear()


LOOPBACK: Final = LoopbackDevice()
