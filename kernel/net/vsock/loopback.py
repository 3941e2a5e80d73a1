"""The transport within this machine: packets sent to CID_LOCAL are received by other sockets here.

A packet does not arrive inside its sender's call: it waits here, and `deliver` hands out the waiting packets at the end
of the outermost operation, with their answers. Linux has a thread for that. Packets that a timer sends are delivered by
the network thread.

Invariant: `_waiting` holds no more than what connections have credit for, and a few packets for each.
Context: `deliver` has safe points between packets, so it is for callers that may sleep; all else is for any thread.
"""

from typing import Final

from kernel.lang import final, noraise
from kernel.lib.pace import pace, spend
from kernel.net.link.thread import Work, schedule_work
from kernel.net.vsock.addresses import CID_LOCAL
from kernel.net.vsock.packet import PacketQueue, VsockPacket
from kernel.net.vsock.protocol import receive
from kernel.net.vsock.transport import TRANSPORTS, VsockTransport

_PACKET_COST: Final = 2000  # instructions
_TURN: Final = 64  # packets that the network thread delivers in one turn


@final
class Delivery(Work):
    """The network thread's share of the work."""

    def run(self, now_ns: int) -> None:
        for _ in range(_TURN):
            if not LOOPBACK.deliver_one():
                return
            spend(_PACKET_COST)
        schedule_work(self)


@final
class LoopbackTransport(VsockTransport):
    """The loopback transport, as described above."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: PacketQueue = PacketQueue()
        self._delivery: Delivery = Delivery()

    def cid(self) -> int:
        return CID_LOCAL

    def send(self, packet: VsockPacket) -> None:
        packet.is_waiting = True
        self._waiting.append(packet)

    def deliver_later(self) -> None:
        schedule_work(self._delivery)

    @noraise
    def deliver_one(self) -> bool:
        """Hand out the first packet; returns whether there was one."""
        packet = self._waiting.take()
        if packet is None:
            return False
        packet.is_waiting = False
        packet.was_sent()
        receive(self, packet)
        return True


LOOPBACK: Final = LoopbackTransport()
TRANSPORTS.local = LOOPBACK


def deliver() -> None:
    """Hand out the waiting packets, with safe points."""
    while LOOPBACK.deliver_one():
        pace(_PACKET_COST)
