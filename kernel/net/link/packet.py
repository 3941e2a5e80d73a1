"""Packets: bytes that move up or down the stack, without copies between the layers.

A packet owns a storage; its bytes `start`…`end` are the packet. On the way down, each protocol prepends its header
(`push`); on the way up, it removes its header (`pull`).

Context: creating a packet may raise MemoryError; nothing else does. Nothing sleeps.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import Span, final, span_of, u8, u32
from kernel.lib.bpf import BEYOND, Subject

if TYPE_CHECKING:
    from kernel.lib.credentials import Credentials
    from kernel.lib.socket_group import SocketGroup
    from kernel.net.link.device import NetworkDevice

# Room for the link's, IPv6's and TCP's headers with all options, and for virtio's in front.
HEADROOM: Final = 128

# The state of the transport checksum.
CHECKSUM_NONE: Final = 0  # received: must be verified. To be sent: is complete
CHECKSUM_VERIFIED: Final = 1  # received: the device, or our own sender, vouches for it
CHECKSUM_PARTIAL: Final = 2  # to be sent: the pseudo header's sum is in place, the device does the rest
_SUM_SIZE: Final = 2
_LINK_HEADER: Final = 14  # bytes, of Ethernet


# The destination of a received packet as the link saw it (packet(7), sll_pkttype).
PACKET_HOST: Final = 0
PACKET_BROADCAST: Final = 1
PACKET_MULTICAST: Final = 2
PACKET_OTHERHOST: Final = 3
PACKET_OUTGOING: Final = 4

UNTRACKED: Final = 7  # IP_CT_UNTRACKED

# Addresses by which a filter reads more than the packet's bytes: from its link header on (SKF_LL_OFF), from its
# network header on (SKF_NET_OFF), and metadata (SKF_AD_OFF).
_LINK: Final = BEYOND
_NETWORK: Final = 0xFFF0_0000
_ANCILLARY: Final = 0xFFFF_F000


@final
class StoragePool:
    """Reusable storages of one size, for code that creates such packets all the time: they are neither
    allocated nor cleared each time.
    """

    def __init__(self, limit: int) -> None:
        self._spare: list[bytearray | None] = [None] * limit
        self._count: int = 0

    def take(self) -> bytearray | None:
        """A storage with its old contents; None if there is none."""
        if self._count == 0:
            return None
        self._count -= 1
        storage = self._spare[self._count]
        self._spare[self._count] = None
        return storage

    def give(self, storage: bytearray) -> None:
        """Keep a storage, unless there are enough."""
        if self._count < len(self._spare):
            self._spare[self._count] = storage
            self._count += 1

    def drop(self) -> None:
        """Free all storages."""
        while self.take() is not None:
            pass


_NO_STORAGE: Final = bytearray()


class Flow:
    """What connection tracking knows about the connection that a packet belongs to. Base class."""


class Packet(Subject):
    """A packet in one piece. `capacity` bytes of room after `headroom`; or a packet in the storage of another one."""

    def __init__(self, capacity: int, headroom: int = HEADROOM, storage: bytearray | None = None) -> None:
        self.storage: bytearray = bytearray(headroom + capacity) if storage is None else storage
        self.start: int = headroom
        self.end: int = headroom
        self.device: NetworkDevice | None = None  # where it came in, or leaves
        self.protocol: int = 0  # EtherType, once the link's header is off or before it is on
        self.network_start: int = 0  # in `storage`: the IP header
        self.transport_start: int = 0  # in `storage`: the TCP or UDP header
        self.link_start: int = 0  # in `storage`: the Ethernet header of a received packet
        self.checksum: int = CHECKSUM_NONE
        self.checksum_start: int = 0  # PARTIAL: in `storage`, where summing starts
        self.checksum_offset: int = 0  # PARTIAL: from there, where the sum goes. Not 0 if received: it was never summed
        self.segment_size: int = 0  # TCP payload of each segment that the device cuts it into; 0: it is sent whole
        self.source: bytes = b""  # IP address, 4 or 16 bytes: set by the IP layer in both directions
        self.destination: bytes = b""
        self.link_kind: int = PACKET_HOST  # received: the destination as the link saw it
        self.is_relayed: bool = False  # in the backlog: its device is to send it on (`NetworkDevice.relay`)
        self.from_ourselves: bool = False  # came over loopback from our own IP layer: headers and sums need no check
        self.tracking: u8 = 0  # how it belongs to `connection` (IP_CT_*); UNTRACKED: it gets none
        self.mark: u32 = 0  # for packet classifiers (SO_MARK, nft(8)); it never leaves this host
        self.hop_limit: int = 0  # received: TTL or hop limit
        self.traffic_class: int = 0  # received: TOS or traffic class
        self.received_ns: int = 0  # received: wall-clock time, if someone asked for it
        self.fragment_size: int = 0  # received in fragments: the largest of them, from its IP header on
        self.original_length: int = 0  # in a packet socket's queue: before a filter truncated it
        self.connection: Flow | None = None  # set by connection tracking
        self.group: SocketGroup | None = None  # of the sending socket …
        self.sender: Credentials | None = None  # … and its opener, while a rule asks for it
        self.next: Packet | None = None  # for one queue
        self.pool: StoragePool | None = None  # gets the storage when the packet is done with

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
        """Make room for a header in front; the caller fills it. There must be enough headroom."""
        self.start -= count
        return span_of(self.storage)[self.start : self.start + count]

    def pull(self, count: int) -> None:
        """Remove a header of `count` bytes from the front; the packet is at least that long."""
        assert count <= self.end - self.start
        self.start += count

    def put(self, count: int) -> Span[u8]:
        """Extend the packet at its end; the caller fills the new bytes. There must be enough room."""
        end = self.end
        self.end = end + count
        return span_of(self.storage)[end : end + count]

    def trim(self, length: int) -> None:
        """Cut off the end: padding after the datagram."""
        assert length <= self.end - self.start
        self.end = self.start + length

    def ask(self, question: int, size: int) -> int:
        """Answer a filter's question about more than the bytes that it is shown."""
        if question >= _ANCILLARY:
            return self._property(question - _ANCILLARY)
        width = 4 >> size
        base = self.network_start if question >= _NETWORK else self.filter_link_header()
        if base < 0:
            return -1
        start = base + question - (_NETWORK if question >= _NETWORK else _LINK)
        if start + width > self.end:
            return -1
        storage = span_of(self.storage)
        return storage.load_be32(start) if size == 0 else storage.load_be16(start) if size == 1 else storage[start]

    def link_header(self) -> int:
        """Where in the storage its Ethernet header is; -1 if it has none, as on loopback while nobody looks on."""
        return self.link_start if self.link_start + _LINK_HEADER == self.network_start else -1

    def filter_link_header(self) -> int:
        """The same for filters of sockets: on an interface without link headers, it is where the packet begins."""
        device = self.device
        if device is not None and not device.has_header and self.link_start == self.network_start:
            return self.link_start
        return self.link_header()

    def _property(self, question: int) -> int:
        """SKF_AD_*: the protocol, the packet's kind, the interface; -1 for unknown ones."""
        device = self.device
        if question == 0:
            return self.protocol
        if question == 4:
            return self.link_kind
        if question == 8:
            return 0 if device is None else device.index
        if question == 28:
            return 0 if device is None else device.kind
        if question == 20:
            return self.mark
        if question == 36 or question == 44 or question == 48:
            return 0  # processor, VLAN tag
        return -1

    def recycle(self) -> None:
        """No holder needs the packet any more: its storage may be reused for another one. Dropping a
        packet without this costs no more than allocating its memory anew.
        """
        pool = self.pool
        if pool is not None:
            pool.give(self.storage)
            self.pool = None
            self.storage = _NO_STORAGE
            self.start = 0
            self.end = 0

    def network_header(self) -> Span[u8]:
        """From the IP header to the packet's end."""
        return span_of(self.storage)[self.network_start : self.end]

    def become_fragment_of(self, whole: "Packet", header_length: int) -> None:
        """This packet starts with an IP header, of `header_length` bytes with everything before the data, and
        holds a part of `whole`, which is about to be sent: it goes the same way.
        """
        self.network_start = self.start
        self.transport_start = self.start + header_length
        self.source = whole.source
        self.destination = whole.destination
        self.protocol = whole.protocol
        self.take_ties(whole)

    def take_ties(self, other: "Packet") -> None:
        """Copy the mark and the connection of another packet, from which this one was created."""
        self.mark = other.mark
        self.connection = other.connection
        self.tracking = other.tracking

    def cut_ties(self) -> None:
        """The packet leaves: none of its metadata here holds where it arrives, except its mark."""
        self.connection = None
        self.tracking = 0
        self.sender = None

    def send_on(self) -> None:
        """Prepare a received packet, which begins with its IP header, for sending: do what its sender left to a device,
        unless that lies outside the datagram. The segments of a large one get their checksums when it is
        cut.
        """
        if self.checksum_offset != 0 and self.segment_size == 0:
            is_inside = self.start <= self.checksum_start <= self.end - self.checksum_offset - _SUM_SIZE
            self.checksum = CHECKSUM_PARTIAL if is_inside else CHECKSUM_NONE

    def copy(self) -> "Packet":
        """A copy of the packet, including the bytes before `start`. Raises MemoryError."""
        other = Packet(len(self.storage) - self.start, self.start)
        other.end = self.end
        span_of(other.storage)[0 : self.end].copy_from(span_of(self.storage)[0 : self.end])
        other.device = self.device
        other.protocol = self.protocol
        other.network_start = self.network_start
        other.transport_start = self.transport_start
        other.link_start = self.link_start
        other.checksum = self.checksum
        other.checksum_start = self.checksum_start
        other.checksum_offset = self.checksum_offset
        other.segment_size = self.segment_size
        other.source = self.source
        other.destination = self.destination
        other.link_kind = self.link_kind
        other.from_ourselves = self.from_ourselves
        other.hop_limit = self.hop_limit
        other.traffic_class = self.traffic_class
        other.received_ns = self.received_ns
        other.fragment_size = self.fragment_size
        other.take_ties(self)
        return other


class PacketQueue:
    """Packets in the order in which they came. A packet is in at most one queue. Linked by hand: a packet has another
    base than `Queued`.
    """

    def __init__(self) -> None:
        self.head: Packet | None = None
        self.tail: Packet | None = None
        self.count: int = 0

    def append(self, packet: Packet) -> None:
        """Put a packet at the end."""
        tail = self.tail
        packet.next = None
        if tail is None:
            self.head = packet
        else:
            tail.next = packet
        self.tail = packet
        self.count += 1

    def pop(self) -> Packet | None:
        """Take the first packet; None if there is none."""
        packet = self.head
        if packet is None:
            return None
        self.head = packet.next
        if self.head is None:
            self.tail = None
        packet.next = None
        self.count -= 1
        return packet

    def clear(self) -> None:
        """Forget all packets."""
        while self.pop() is not None:
            pass
