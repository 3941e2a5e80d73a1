"""Rewriting packets: addresses and ports in their headers become what the connection's other direction expects, and
checksums follow word by word (RFC 1624).

A packet without a checksum stays without. Where a device will compute it (CHECKSUM_PARTIAL, also of received packets),
the field holds the pseudo header's sum, which changes with the addresses alone.

Context: any; nothing sleeps or raises.
Source: RFC 3022 section 4, RFC 5508 section 4.2 (errors).
"""

from typing import Final

from kernel.lang import Span, final, span_of, u8
from kernel.net.filter.connection import Connection
from kernel.net.filter.quoted import Quoted, quote_offset
from kernel.net.filter.tuples import PROTOCOL_UDP_LITE, Tuple, is_question
from kernel.net.internet.transport import PROTOCOL_ICMP, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP
from kernel.net.link.checksum import checksum, fold, pseudo_header, replace_word
from kernel.net.link.packet import CHECKSUM_NONE, CHECKSUM_PARTIAL, Packet

_IP4_CHECKSUM: Final = 10
_TCP_CHECKSUM: Final = 16
_UDP_CHECKSUM: Final = 6
_ICMP_CHECKSUM: Final = 2
_ICMP_IDENTIFIER: Final = 4
_UNKNOWN: Final = -1

_FULL: Final = 0  # the field holds a whole checksum
_PARTIAL: Final = 1  # the sum of the pseudo header
_ABSENT: Final = 2  # nothing


@final
class _Place:
    """Where the fields of a packet are, and what they become."""

    def __init__(self, data: Span[u8], header: int, transport: int, protocol: int, is_ip4: bool, sums: int) -> None:
        self.header: int = header
        self.transport: int = transport
        self.protocol: int = protocol
        self.is_ip4: bool = is_ip4
        self.sum_at: int = _UNKNOWN  # the transport's checksum
        self.port_at: int = _UNKNOWN
        self.sums: int = sums
        self.sums_addresses: bool = protocol != PROTOCOL_ICMP  # a pseudo header covers them
        self.length: int = len(data)

    def find(self, data: Span[u8], to_source: bool) -> None:
        """Find port and checksum, if the packet has them."""
        protocol = self.protocol
        at = self.transport
        if protocol == PROTOCOL_TCP:
            sum_at = at + _TCP_CHECKSUM
        elif protocol == PROTOCOL_UDP or protocol == PROTOCOL_UDP_LITE:
            sum_at = at + _UDP_CHECKSUM
        elif protocol == (PROTOCOL_ICMP if self.is_ip4 else PROTOCOL_ICMP6):
            sum_at = at + _ICMP_CHECKSUM
        else:
            return
        if sum_at + 2 <= self.length and self.sums != _ABSENT:
            is_unused = protocol == PROTOCOL_UDP and self.sums == _FULL and data.load_be16(sum_at) == 0
            self.sum_at = _UNKNOWN if is_unused else sum_at
        if protocol == PROTOCOL_ICMP or protocol == PROTOCOL_ICMP6:
            if at + 8 <= self.length and _has_identifier(protocol, data[at]):
                self.port_at = at + _ICMP_IDENTIFIER
        elif at + 4 <= self.length:
            self.port_at = at if to_source else at + 2

    def put_address(self, data: Span[u8], to_source: bool, address: bytes) -> None:
        """Write the new address."""
        at = self.header + ((12 if to_source else 16) if self.is_ip4 else (8 if to_source else 24))
        words = span_of(address)
        for i in range(0, len(address) & ~1, 2):
            old = data.load_be16(at + i)
            new = words.load_be16(i)
            if old == new:
                continue
            data.store_be16(at + i, new)
            if self.is_ip4:
                place = self.header + _IP4_CHECKSUM
                data.store_be16(place, replace_word(data.load_be16(place), old, new))
            if self.sums_addresses:
                self._change(data, old, new)

    def put_port(self, data: Span[u8], port: int) -> None:
        """Write a port or an identifier."""
        at = self.port_at
        if at == _UNKNOWN:
            return
        old = data.load_be16(at)
        if old == port:
            return
        data.store_be16(at, port)
        if self.sums == _FULL:
            self._change(data, old, port)

    def _change(self, data: Span[u8], old: int, new: int) -> None:
        """Update the transport's checksum for a changed word that it covers."""
        at = self.sum_at
        if at == _UNKNOWN:
            return
        if self.sums == _PARTIAL:
            data.store_be16(at, fold(data.load_be16(at) + (old ^ 0xFFFF) + new))
            return
        changed = replace_word(data.load_be16(at), old, new)
        is_udp = self.protocol == PROTOCOL_UDP or self.protocol == PROTOCOL_UDP_LITE
        data.store_be16(at, 0xFFFF if changed == 0 and is_udp else changed)


def _has_identifier(protocol: int, kind: int) -> bool:
    return is_question(protocol, kind << 8) or is_answer(protocol, kind)


def is_answer(protocol: int, kind: int) -> bool:
    """Whether an ICMP message of this type answers a question with an identifier."""
    if protocol == PROTOCOL_ICMP:
        return kind == 0 or kind == 14 or kind == 16 or kind == 18
    return kind == 129 or kind == 140


def _sums_of(packet: Packet) -> int:
    """What the transport's checksum field holds."""
    if packet.checksum_offset == 0:
        return _ABSENT if packet.checksum == CHECKSUM_PARTIAL else _FULL
    return _FULL if packet.checksum == CHECKSUM_NONE else _PARTIAL


def port_to(expected: Tuple, to_source: bool) -> int:
    """The source or destination port of packets whose answers have this tuple."""
    if expected.protocol == PROTOCOL_ICMP or expected.protocol == PROTOCOL_ICMP6:
        return expected.source_port
    return expected.destination_port if to_source else expected.source_port


def rewrite(packet: Packet, protocol: int, connection: Connection, is_reply: bool, to_source: bool) -> None:
    """Give a packet the source or the destination that the other direction's tuple expects."""
    expected = connection.tuple_of(not is_reply)
    address = expected.destination if to_source else expected.source
    data = span_of(packet.storage)[: packet.end]
    is_ip4 = len(address) == 4
    place = _Place(data, packet.network_start, packet.transport_start, protocol, is_ip4, _sums_of(packet))
    place.find(data, to_source)
    place.put_address(data, to_source, address)
    if protocol == expected.protocol:
        place.put_port(data, port_to(expected, to_source))
    if to_source:
        packet.source = address
    else:
        packet.destination = address


_QUOTED: Final = Quoted()


def rewrite_error(packet: Packet, connection: Connection, is_reply: bool, to_source: bool) -> bool:
    """Translate an ICMP error about a connection, and the packet that it quotes, which went the other way. False: it is
    malformed.
    """
    expected = connection.tuple_of(not is_reply)
    is_ip4 = len(expected.source) == 4
    data = span_of(packet.storage)[: packet.end]
    message = data[packet.transport_start :]
    protocol = PROTOCOL_ICMP if is_ip4 else PROTOCOL_ICMP6
    is_whole = _sums_of(packet) == _FULL
    pseudo = 0 if is_ip4 else pseudo_header(packet.source, packet.destination, protocol, len(message))
    if is_whole and checksum(message, pseudo) != 0:
        return False
    quoted = _QUOTED
    start = packet.transport_start + quote_offset(message, is_ip4)
    if not quoted.read(data, start, is_ip4):
        return False
    # The quoted packet's other end: where the error's source changes, so does the quoted destination.
    inner = _Place(data, quoted.header, quoted.transport, quoted.protocol, is_ip4, _FULL)
    inner.find(data, not to_source)
    if to_source:
        inner.put_address(data, not to_source, expected.destination)
        inner.put_port(data, _quoted_port(expected, to_source=False))
    else:
        inner.put_address(data, not to_source, expected.source)
        inner.put_port(data, _quoted_port(expected, to_source=True))
    address = expected.destination if to_source else expected.source
    outer = _Place(data, packet.network_start, packet.transport_start, 0, is_ip4, _ABSENT)
    outer.put_address(data, to_source, address)
    if to_source:
        packet.source = address
    else:
        packet.destination = address
    if is_whole:
        pseudo = 0 if is_ip4 else pseudo_header(packet.source, packet.destination, protocol, len(message))
        message.store_be16(_ICMP_CHECKSUM, 0)
        message.store_be16(_ICMP_CHECKSUM, checksum(message, pseudo))
    return True


def _quoted_port(expected: Tuple, to_source: bool) -> int:
    """The port of a packet that has exactly this tuple."""
    if expected.protocol == PROTOCOL_ICMP or expected.protocol == PROTOCOL_ICMP6:
        return expected.source_port
    return expected.source_port if to_source else expected.destination_port
