"""Packets: bytes on their way up or down the stack, without copies between the layers.

A packet owns a storage; the bytes `start`…`end` of it are the packet. Going down, each protocol puts its header in
front (`push`); going up, it takes its header off (`pull`).

Context: making a packet may raise MemoryError; nothing else does. Nothing sleeps.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import Span, span_of, u8

if TYPE_CHECKING:
    from kernel.net.device import NetworkDevice

# Room for the link's, IPv6's and TCP's headers with all options, and what virtio puts in front.
HEADROOM: Final = 128

# What is known of the transport checksum.
CHECKSUM_NONE: Final = 0  # received: must be verified. To be sent: is complete
CHECKSUM_VERIFIED: Final = 1  # received: the device, or our own sender, answers for it
CHECKSUM_PARTIAL: Final = 2  # to be sent: the pseudo header's sum is in place, the device does the rest


class Packet:
    """A packet in one piece. `capacity` bytes of room behind `headroom`."""

    def __init__(self, capacity: int, headroom: int = HEADROOM) -> None:
        self.storage: bytearray = bytearray(headroom + capacity)
        self.start: int = headroom
        self.end: int = headroom
        self.device: NetworkDevice | None = None  # where it came in, or goes out
        self.protocol: int = 0  # EtherType, once the link's header is off or before it is on
        self.network_start: int = 0  # in `storage`: the IP header
        self.transport_start: int = 0  # in `storage`: the TCP or UDP header
        self.link_start: int = 0  # in `storage`: the Ethernet header of a received packet
        self.checksum: int = CHECKSUM_NONE
        self.checksum_start: int = 0  # PARTIAL: in `storage`, where summing starts
        self.checksum_offset: int = 0  # PARTIAL: from there, where the sum goes
        self.segment_size: int = 0  # TCP payload of each segment that the device cuts it into; 0: it is sent as it is
        self.next: Packet | None = None  # for one queue

    def __len__(self) -> int:
        return self.end - self.start

    def span(self) -> Span[u8]:
        """The packet's bytes."""
        return span_of(self.storage)[self.start : self.end]

    def headroom(self) -> int:
        return self.start

    def tailroom(self) -> int:
        return len(self.storage) - self.end

    def push(self, count: int) -> Span[u8]:
        """Make room for a header in front; the caller fills it. There must be the headroom."""
        self.start -= count
        return span_of(self.storage)[self.start : self.start + count]

    def pull(self, count: int) -> None:
        """Take a header of `count` bytes off the front; the packet is that long."""
        assert count <= self.end - self.start
        self.start += count

    def put(self, count: int) -> Span[u8]:
        """Make the packet longer at its end; the caller fills the new bytes. There must be the room."""
        end = self.end
        self.end = end + count
        return span_of(self.storage)[end : end + count]

    def trim(self, length: int) -> None:
        """Cut the end off: padding behind the datagram."""
        assert length <= self.end - self.start
        self.end = self.start + length
