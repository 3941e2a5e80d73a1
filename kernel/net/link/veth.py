"""Pairs of Ethernet interfaces: each receives what the other sends, in whatever networks they are (veth(4)).

A frame waits in the backlog (`loopback.py`) until the sender's operation is done, so the stack's depth is bounded.
Checksums are not computed on this path, and large segments are not cut, unless the receiver forwards them.

Context: thread context; nothing sleeps.
Source: veth(4).
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import final
from kernel.net.link.carrier import change_carrier
from kernel.net.link.device import (
    ARPHRD_ETHER,
    IFF_BROADCAST,
    IFF_MULTICAST,
    OFFLOAD_CHECKSUM,
    OFFLOAD_TCP4,
    OFFLOAD_TCP6,
    NetworkDevice,
)
from kernel.net.link.loopback import BACKLOG, is_first
from kernel.net.link.packet import CHECKSUM_NONE, CHECKSUM_PARTIAL, CHECKSUM_VERIFIED, Packet

if TYPE_CHECKING:
    from kernel.net.link.network import Network

_MTU: Final = 1500
_MOST_MTU: Final = 65535
_QUEUE_LIMIT: Final = 1000


@final
class VethDevice(NetworkDevice):
    """One end. It has no carrier unless the other end is up as well."""

    def __init__(self, network: "Network", name: bytes, address: bytes) -> None:
        super().__init__(network, name, ARPHRD_ETHER, address, _MTU)
        self.flags = IFF_BROADCAST | IFF_MULTICAST
        self.offload = OFFLOAD_CHECKSUM | OFFLOAD_TCP4 | OFFLOAD_TCP6
        self.max_mtu = _MOST_MTU
        self.virtual_kind = b"veth"
        self.has_carrier = False
        self.peer: VethDevice | None = None

    def transmit(self, packet: Packet) -> bool:
        peer = self.peer
        if peer is None or not peer.is_up() or peer.waiting >= _QUEUE_LIMIT:
            return False
        if packet.checksum == CHECKSUM_PARTIAL:
            packet.checksum = CHECKSUM_VERIFIED  # nothing can have corrupted it on the way
        else:
            packet.checksum = CHECKSUM_NONE
            packet.checksum_offset = 0
        packet.fragment_size = 0
        packet.received_ns = 0
        packet.from_ourselves = False
        packet.cut_ties()
        if peer.network is not self.network:
            packet.mark = 0
        return BACKLOG.put_frame(packet, peer, is_first(self) or is_first(peer))

    def has_ended(self) -> None:
        part(self)

    def partner(self) -> NetworkDevice | None:
        return self.peer

    def set_up(self) -> None:
        peer = self.peer
        if peer is not None and peer.is_up():
            change_carrier(self, has_carrier=True)
            change_carrier(peer, has_carrier=True)

    def set_down(self) -> None:
        change_carrier(self, has_carrier=False)
        peer = self.peer
        if peer is not None:
            change_carrier(peer, has_carrier=False)


def join(one: VethDevice, other: VethDevice) -> None:
    """Join two ends into a pair."""
    one.peer = other
    other.peer = one


def part(end: VethDevice) -> VethDevice | None:
    """Separate a pair; returns the other end."""
    other = end.peer
    end.peer = None
    if other is not None:
        other.peer = None
    return other
