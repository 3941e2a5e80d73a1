"""Cutting a large TCP segment into frames, for devices that do not do it themselves.

TCP builds segments of up to 64 KiB for every device. They walk through TCP, IP and the neighbour cache once, and are
cut at the last moment: here, between the link layer and the wire. Each frame gets the headers of the whole, except
the fields that differ between frames: lengths, IPv4's identification, the sequence number, flags, and checksums.

CWR is in the first frame only, so that the peer sees it once; FIN and PSH are in the last one, after all data. The
other flags are copied. TCP builds no large segment while it has urgent data, whose pointer would differ.

A `Segmenter` writes a frame's headers wherever the driver wants them, and says where in the packet the data are: a
device that gathers a frame from two places needs no copy. `next_packet` is for others, and copies.

Context: thread context; nothing sleeps.
Source: RFC 9293 section 3.1, RFC 3168 section 6.1.2 (CWR), RFC 6864 (identifications).
"""

from typing import Final

from kernel.lang import Span, final, span_of, u8
from kernel.net.link.checksum import fold, sum_bytes
from kernel.net.link.packet import CHECKSUM_NONE, CHECKSUM_PARTIAL, Packet

_ETHERTYPE_IP6: Final = 0x86DD
_LEAST_WORDS: Final = 5  # of an IPv4 header
_IP6_HEADER: Final = 40
_PROTOCOL_TCP: Final = 6

# In the TCP header.
_SEQUENCE: Final = 4
_ACKNOWLEDGMENT: Final = 8
_LENGTH_AND_FLAGS: Final = 12
_WINDOW: Final = 14
CHECKSUM_OFFSET: Final = 16
_URGENT: Final = 18
_ONLY_LAST: Final = 0x09  # FIN, PSH
_ONLY_FIRST: Final = 0x80  # CWR

HEADERS_LIMIT: Final = 14 + 60 + 60
"""The most bytes of all headers of a frame: Ethernet's, IPv4's and TCP's with all their options."""

_NO_STORAGE: Final = bytearray()


def headers_length(packet: Packet) -> int:
    """The length of all headers of a TCP segment, from the packet's start on. 0: it cannot be cut."""
    network = packet.network_start - packet.start
    frame = packet.span()
    if network < 0 or network + _IP6_HEADER > len(frame):
        return 0
    if frame[network] >> 4 == 4:
        words = frame[network] & 0xF
        if words < _LEAST_WORDS:
            return 0
        transport = network + words * 4
        protocol = frame[network + 9]
    else:
        transport = network + _IP6_HEADER
        protocol = frame[network + 6]
    if protocol != _PROTOCOL_TCP or transport + _URGENT + 2 > len(frame):
        return 0
    length = transport + (frame[transport + _LENGTH_AND_FLAGS] >> 4) * 4
    return length if transport + _URGENT + 2 <= length < len(frame) else 0


def leaves_tcp_sum(packet: Packet, headers: int) -> bool:
    """Whether the part that remains to be summed of a segment with that many header bytes is exactly what TCP sums."""
    transport = packet.checksum_start - packet.start
    if packet.checksum_offset != CHECKSUM_OFFSET or transport < packet.network_start - packet.start:
        return False
    if transport + _LENGTH_AND_FLAGS >= headers:
        return False
    return transport + (packet.span()[transport + _LENGTH_AND_FLAGS] >> 4) * 4 == headers


def fits(packet: Packet, mtu: int) -> bool:
    """Whether the packet, from its IP header on, or each datagram that it will be cut into, is no longer than `mtu`."""
    if len(packet) <= mtu:
        return True
    headers = headers_length(packet) if packet.segment_size != 0 else 0
    return headers != 0 and headers + packet.segment_size <= mtu


@final
class Segmenter:
    """The frames of one large segment, in turn. `begin`, then `put_headers` with `data`, or `next_packet`, and
    `advance` for each frame, until nothing is `left`.
    """

    def __init__(self) -> None:
        self.left: int = 0  # bytes of data in this frame and those to come
        self.headers: int = 0  # bytes of a frame's headers
        self.transport: int = 0  # in the frame: the TCP header
        self.has_partial_sums: bool = False  # the device completes checksums
        self._storage: bytearray = _NO_STORAGE
        self._start: int = 0  # in `_storage`: the frame
        self._at: int = 0  # in `_storage`: the data of this frame
        self._size: int = 0  # of a full frame's data
        self._network: int = 0  # in the frame: the IP header
        self._is_ip4: bool = False
        self._is_first: bool = True
        self._identification: int = 0
        self._sequence: int = 0
        # Sums of the words that all frames share: in the IP header, in the pseudo header, in the TCP header.
        self._network_sum: int = 0
        self._pseudo_sum: int = 0
        self._transport_sum: int = 0

    def begin(self, packet: Packet, has_partial_sums: bool) -> bool:
        """Start to cut this packet, which has its link header; its storage must not change. False: it cannot be cut."""
        headers = headers_length(packet)
        if headers == 0:
            return False
        self.has_partial_sums = has_partial_sums
        self.headers = headers
        self.left = len(packet) - headers
        self._storage = packet.storage
        self._start = packet.start
        self._at = packet.start + headers
        self._size = packet.segment_size
        self._network = packet.network_start - packet.start
        self._is_first = True
        frame = packet.span()
        network = frame[self._network :]
        self._is_ip4 = network[0] >> 4 == 4
        if self._is_ip4:
            length = (network[0] & 0xF) * 4
            addresses = network[12:20]
            self._identification = network.load_be16(4)
            self._network_sum = sum_bytes(network[0:2]) + sum_bytes(network[6:10]) + sum_bytes(network[12:length])
        else:
            length = _IP6_HEADER
            addresses = network[8:_IP6_HEADER]
        self.transport = self._network + length
        transport = frame[self.transport : headers]
        self._sequence = transport.load_be32(_SEQUENCE)
        self._pseudo_sum = sum_bytes(addresses) + _PROTOCOL_TCP
        self._transport_sum = (
            sum_bytes(transport[:_SEQUENCE])
            + sum_bytes(transport[_ACKNOWLEDGMENT:_LENGTH_AND_FLAGS])
            + sum_bytes(transport[_WINDOW:CHECKSUM_OFFSET])
            + sum_bytes(transport[_URGENT:])
        )
        return True

    def count(self) -> int:
        """The number of frames left."""
        return (self.left + self._size - 1) // self._size

    def data(self) -> Span[u8]:
        """The data of this frame."""
        return span_of(self._storage)[self._at : self._at + min(self._size, self.left)]

    def put_headers(self, target: Span[u8]) -> None:
        """Write this frame's headers, `headers` bytes."""
        target.copy_from(span_of(self._storage)[self._start : self._start + self.headers])
        size = min(self._size, self.left)
        network = target[self._network : self.transport]
        if self._is_ip4:
            length = self.headers - self._network + size
            network.store_be16(2, length)
            network.store_be16(4, self._identification)
            network.store_be16(10, fold(self._network_sum + length + self._identification) ^ 0xFFFF)
        else:
            network.store_be16(4, self.headers - self.transport + size)
        transport = target[self.transport :]
        transport.store_be32(_SEQUENCE, self._sequence)
        word = transport.load_be16(_LENGTH_AND_FLAGS)
        if not self._is_first:
            word &= ~_ONLY_FIRST
        if size < self.left:
            word &= ~_ONLY_LAST
        transport.store_be16(_LENGTH_AND_FLAGS, word)
        pseudo = self._pseudo_sum + self.headers - self.transport + size
        if self.has_partial_sums:
            transport.store_be16(CHECKSUM_OFFSET, fold(pseudo))
            return
        own = self._transport_sum + word + (self._sequence >> 16) + (self._sequence & 0xFFFF)
        transport.store_be16(CHECKSUM_OFFSET, sum_bytes(self.data(), fold(pseudo + own)) ^ 0xFFFF)

    def advance(self) -> None:
        """Go on to the next frame."""
        size = min(self._size, self.left)
        self._is_first = False
        self._at += size
        self.left -= size
        self._sequence = (self._sequence + size) & 0xFFFF_FFFF
        self._identification = (self._identification + 1) & 0xFFFF
        if self.left == 0:
            self._storage = _NO_STORAGE

    def next_packet(self, whole: Packet) -> Packet:
        """This frame in a packet of its own. Raises MemoryError."""
        data = self.data()
        packet = Packet(self.headers + len(data))
        self.put_headers(packet.put(self.headers))
        packet.put(len(data)).copy_from(data)
        packet.network_start = packet.start + self._network
        packet.transport_start = packet.start + self.transport
        packet.protocol = whole.protocol
        packet.source = whole.source
        packet.destination = whole.destination
        packet.checksum = CHECKSUM_NONE
        if self.has_partial_sums:
            packet.checksum = CHECKSUM_PARTIAL
            packet.checksum_start = packet.transport_start
            packet.checksum_offset = CHECKSUM_OFFSET
        self.advance()
        return packet
