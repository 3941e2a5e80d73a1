"""Joining consecutive TCP segments into large ones, before they climb the stack.

A bulk sender's segments arrive in bursts. One walk through the stack, one acknowledgment, and one wake for all of
them cost less than separate ones, even with the copy that joins them. A driver hands the packets of one turn to
`receive`, and calls `flush` at the end of the turn, so that nothing waits longer.

Only similar segments are joined: same connection, same acknowledgment, window and options, and sequence numbers
without a gap; nothing but ACK and PSH set, no IP options or extension headers, no fragments. Checksums are verified
first. A segment that is shorter than the first, or has PSH, ends its run. Packets not addressed to this
host are left alone: a router must not change them.

Invariants: packets reach the stack in the order in which they came.
Context: the network thread. Nothing sleeps, nothing raises.
Source: RFC 9293 section 3.1, RFC 791 section 3.1, RFC 8200 section 3 (headers).
"""

from typing import Final

from kernel.lang import Span, final, u8
from kernel.net.internet.addresses import owner_of
from kernel.net.link.checksum import checksum, fold, sum_bytes
from kernel.net.link.ethernet import ETHERNET_HEADER, ETHERTYPE_IP4, ETHERTYPE_IP6, receive
from kernel.net.link.packet import CHECKSUM_VERIFIED, Packet

_IP4: Final = ETHERNET_HEADER
_IP6: Final = ETHERNET_HEADER
_IP4_HEADER: Final = 20
_IP6_HEADER: Final = 40
_TCP_HEADER: Final = 20
_PROTOCOL_TCP: Final = 6
_VERSION_4_NO_OPTIONS: Final = 0x45
_FRAGMENT_BITS: Final = 0xBFFF  # all but "don't fragment"
_ACK: Final = 0x10
_PSH: Final = 0x08
_SEGMENT_LIMIT: Final = 64
_BYTE_LIMIT: Final = 65_535 - 128  # of the IP datagram, with room for its headers
_HEADROOM: Final = 2  # aligns the IP header to a word


@final
class Coalescer:
    """The run of segments that one device is collecting."""

    def __init__(self) -> None:
        self._segments: list[Packet] = []
        self._tcp: int = 0  # where the TCP header begins in a frame
        self._data: int = 0  # where its data begin
        self._bytes: int = 0  # data of all segments
        self._next_sequence: int = 0
        self._segment_size: int = 0  # data of the first segment

    def receive(self, packet: Packet) -> None:
        """Take a received frame; `packet.device` is set."""
        tcp = _tcp_header(packet) if packet.segment_size == 0 else 0
        if tcp == 0:
            self.flush()
            receive(packet)
            return
        if len(self._segments) == 0 or not self._follows(packet, tcp):
            self.flush()
            if not _is_for_us(packet, tcp):
                receive(packet)
                return
        try:
            self._segments.append(packet)
        except MemoryError:
            self.flush()
            receive(packet)
            return
        frame = packet.span()
        if len(self._segments) == 1:
            self._tcp = tcp
            self._data = tcp + (frame[tcp + 12] >> 4) * 4
            self._bytes = 0
            self._segment_size = len(packet) - self._data
            self._next_sequence = frame.load_be32(tcp + 4)
        size = len(packet) - self._data
        self._bytes += size
        self._next_sequence = (self._next_sequence + size) & 0xFFFF_FFFF
        if size < self._segment_size or frame[tcp + 13] & _PSH != 0 or len(self._segments) == _SEGMENT_LIMIT:
            self.flush()

    def _follows(self, packet: Packet, tcp: int) -> bool:
        """Whether a segment continues the run and agrees with it."""
        size = len(packet) - self._data
        if tcp != self._tcp or size <= 0 or size > self._segment_size or self._bytes + size > _BYTE_LIMIT:
            return False
        ours = packet.span()
        first = self._segments[0].span()
        if ours.load_be32(tcp + 4) != self._next_sequence:
            return False
        if tcp == _IP4 + _IP4_HEADER:
            same = (
                ours[_IP4 + 1] == first[_IP4 + 1]  # type of service
                and ours.load_u16(_IP4 + 6) == first.load_u16(_IP4 + 6)  # don't fragment
                and ours[_IP4 + 8] == first[_IP4 + 8]  # time to live
                and _equal(ours, first, _IP4 + 12, _IP4 + 20)
            )
        else:
            same = (
                ours.load_u32(_IP6) == first.load_u32(_IP6)  # traffic class, flow label
                and ours[_IP6 + 7] == first[_IP6 + 7]  # hop limit
                and _equal(ours, first, _IP6 + 8, _IP6 + 40)
            )
        return (
            same
            and _equal(ours, first, 0, 12)  # link addresses
            and ours.load_u32(tcp) == first.load_u32(tcp)  # ports
            and ours.load_u32(tcp + 8) == first.load_u32(tcp + 8)  # acknowledgment
            and ours[tcp + 12] == first[tcp + 12]  # length of the header
            and ours.load_u16(tcp + 14) == first.load_u16(tcp + 14)  # window
            and _equal(ours, first, tcp + _TCP_HEADER, self._data)
        )

    def flush(self) -> None:
        """Hand the run to the stack."""
        count = len(self._segments)
        if count == 0:
            return
        whole = self._segments[0]
        if count > 1:
            try:
                whole = self._joined()
            except MemoryError:
                for packet in self._segments:
                    receive(packet)
                self._segments.clear()
                return
            device = whole.device
            if device is not None:  # the link layer counts one of the segments
                device.traffic.received_packets += count - 1
                device.traffic.received_bytes += (count - 1) * self._data
        self._segments.clear()
        receive(whole)

    def _joined(self) -> Packet:
        """All segments of the run in one packet. Raises MemoryError."""
        first = self._segments[0]
        data = self._data
        packet = Packet(data + self._bytes, _HEADROOM)
        frame = packet.put(data + self._bytes)
        frame[:data].copy_from(first.span()[:data])
        at = data
        pushed = 0
        for segment in self._segments:
            source = segment.span()
            size = len(source) - data
            frame[at : at + size].copy_from(source[data:])
            at += size
            pushed |= source[self._tcp + 13] & _PSH
        frame[self._tcp + 13] = frame[self._tcp + 13] | pushed
        if self._tcp == _IP4 + _IP4_HEADER:
            frame.store_be16(_IP4 + 2, at - _IP4)
            frame.store_be16(_IP4 + 10, 0)
            frame.store_be16(_IP4 + 10, checksum(frame[_IP4 : _IP4 + _IP4_HEADER]))
        else:
            frame.store_be16(_IP6 + 4, at - _IP6 - _IP6_HEADER)
        packet.device = first.device
        packet.checksum = CHECKSUM_VERIFIED
        packet.segment_size = self._segment_size
        return packet


def _equal(left: Span[u8], right: Span[u8], start: int, end: int) -> bool:
    """Whether two frames are the same from `start` to `end`, a multiple of four bytes."""
    for at in range(start, end, 4):
        if left.load_u32(at) != right.load_u32(at):
            return False
    return True


def _tcp_header(packet: Packet) -> int:
    """Where the TCP header begins, if the segment may be joined: it has data, nothing special, and correct
    checksums; its padding is removed then. 0: it may not.
    """
    frame = packet.span()
    if len(frame) < ETHERNET_HEADER + _IP4_HEADER + _TCP_HEADER:
        return 0
    kind = frame.load_be16(12)
    if kind == ETHERTYPE_IP4:
        tcp = _IP4 + _IP4_HEADER
        end = _IP4 + frame.load_be16(_IP4 + 2)
        if frame[_IP4] != _VERSION_4_NO_OPTIONS or frame[_IP4 + 9] != _PROTOCOL_TCP:
            return 0
        if frame.load_be16(_IP4 + 6) & _FRAGMENT_BITS != 0 or checksum(frame[_IP4:tcp]) != 0:
            return 0
        addresses = frame[_IP4 + 12 : tcp]
    elif kind == ETHERTYPE_IP6:
        tcp = _IP6 + _IP6_HEADER
        end = tcp + frame.load_be16(_IP6 + 4)
        if frame[_IP6] >> 4 != 6 or frame[_IP6 + 6] != _PROTOCOL_TCP:
            return 0
        addresses = frame[_IP6 + 8 : _IP6 + _IP6_HEADER]
    else:
        return 0
    if end > len(frame) or end < tcp + _TCP_HEADER:
        return 0
    header = (frame[tcp + 12] >> 4) * 4
    if header < _TCP_HEADER or tcp + header >= end:
        return 0
    if frame[tcp + 12] & 0xF != 0 or frame[tcp + 13] & ~_PSH != _ACK:
        return 0
    if packet.checksum != CHECKSUM_VERIFIED:
        pseudo = fold(sum_bytes(addresses) + _PROTOCOL_TCP + end - tcp)
        if checksum(frame[tcp:end], pseudo) != 0:
            return 0
        packet.checksum = CHECKSUM_VERIFIED
    packet.trim(end)
    return tcp


def _is_for_us(packet: Packet, tcp: int) -> bool:
    """Whether its link and IP destinations are this host's."""
    device = packet.device
    if device is None:
        return False
    frame = packet.span()
    address = device.address
    for i in range(6):
        if frame[i] != address[i]:
            return False
    size = 4 if tcp == _IP4 + _IP4_HEADER else 16
    try:
        return owner_of(device.network, frame[tcp - size : tcp].to_bytes()) is not None
    except MemoryError:
        return False
