"""Matches of xtables about a packet's headers: tcp, udp, icmp, multiport, tcpmss, length, iprange.

Context: as in `expression.py`.
Source: iptables-extensions(8); layouts: linux/netfilter/xt_tcpudp.h and its neighbours.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, Span, final, span_of, u8
from kernel.lib.pace import spend
from kernel.net.internet.transport import PROTOCOL_ICMP, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP
from kernel.net.link.hooks import FAMILY_IP4, FAMILY_IP6
from kernel.net.nftables.compat import Extension, Match, Usage, register_match
from kernel.net.nftables.expression import Run
from kernel.net.nftables.headers import find_option

_TCP_HEADER: Final = 20
_PROTOCOL_UDP_LITE: Final = 136
_PROTOCOL_DCCP: Final = 33
_PROTOCOL_SCTP: Final = 132


def _has_header(run: Run, size: int) -> bool:
    """Whether that much of the transport's header is there."""
    return run.packet.transport_start + size <= run.packet.end


def _header(run: Run) -> Span[u8]:
    """From the transport's header to the packet's end."""
    return span_of(run.packet.storage)[run.packet.transport_start : run.packet.end]


@final
class Range:
    """A range of numbers, or all others."""

    def __init__(self, first: int, last: int, *, is_inverted: bool) -> None:
        self.first: int = first
        self.last: int = last
        self.is_inverted: bool = is_inverted

    def has(self, value: int) -> bool:
        """Whether a number is in it."""
        return (self.first <= value <= self.last) != self.is_inverted


# ---- Ports --------------------------------------------------------------------------------------------------------

_SOURCE: Final = 0x1  # of `invflags`
_DESTINATION: Final = 0x2
_FLAGS: Final = 0x4
_OPTION: Final = 0x8
_OFF_BY_ONE: Final = 8  # bytes: the offset of a fragment that would overwrite TCP's flags (RFC 3128)


@final
class _Tcp(Match):
    """Ports, flags, an option."""

    def __init__(self, info: Span[u8]) -> None:
        super().__init__()
        inverted = info[11]
        self.source: Range = Range(info.load_u16(0), info.load_u16(2), is_inverted=inverted & _SOURCE != 0)
        self.destination: Range = Range(info.load_u16(4), info.load_u16(6), is_inverted=inverted & _DESTINATION != 0)
        self.option: int = info[8]
        self.mask: int = info[9]
        self.flags: int = info[10]
        self.inverts_flags: bool = inverted & _FLAGS != 0
        self.inverts_option: bool = inverted & _OPTION != 0

    def holds(self, run: Run) -> bool:
        if run.place.offset != 0:
            return self.drop(run) if run.place.offset == _OFF_BY_ONE else False
        if not _has_header(run, _TCP_HEADER):
            return self.drop(run)
        header = _header(run)
        if not self.source.has(header.load_be16(0)) or not self.destination.has(header.load_be16(2)):
            return False
        if (header[13] & self.mask == self.flags) == self.inverts_flags:
            return False
        if self.option == 0:
            return True
        length = (header[12] >> 4) * 4
        if length < _TCP_HEADER or (length > _TCP_HEADER and length > len(header)):
            return self.drop(run)
        start = run.packet.transport_start
        spend(length * 8)
        found = find_option(run.packet, start + _TCP_HEADER, start + length, self.option)
        return (found >= 0) != self.inverts_option


def _decode_tcp(info: bytes, usage: Usage) -> Extension:
    if info[11] & ~0xF != 0:
        raise Errno(EINVAL)
    return _Tcp(span_of(info))


@final
class _Udp(Match):
    """Ports."""

    def __init__(self, info: Span[u8]) -> None:
        super().__init__()
        inverted = info[8]
        self.source: Range = Range(info.load_u16(0), info.load_u16(2), is_inverted=inverted & _SOURCE != 0)
        self.destination: Range = Range(info.load_u16(4), info.load_u16(6), is_inverted=inverted & _DESTINATION != 0)

    def holds(self, run: Run) -> bool:
        if run.place.offset != 0:
            return False
        if not _has_header(run, 8):
            return self.drop(run)
        header = _header(run)
        return self.source.has(header.load_be16(0)) and self.destination.has(header.load_be16(2))


def _decode_udp(info: bytes, usage: Usage) -> Extension:
    if info[8] & ~0x3 != 0:
        raise Errno(EINVAL)
    return _Udp(span_of(info))


_EITHER: Final = 2
_MOST_PORTS: Final = 15


@final
class _Multiport(Match):
    """One of several ports or ranges of them."""

    def __init__(self, info: Span[u8]) -> None:
        super().__init__()
        self.side: int = info[0]
        self.is_inverted: bool = info[47] != 0
        self.ranges: list[Range] = []
        at = 0
        count = info[1]
        while at < count:
            first = info.load_u16(2 + at * 2)
            last = first
            if info[32 + at] != 0 and at + 1 < _MOST_PORTS:
                at += 1
                last = info.load_u16(2 + at * 2)
            self.ranges.append(Range(first, last, is_inverted=False))
            at += 1

    def holds(self, run: Run) -> bool:
        if run.place.offset != 0:
            return False
        if not _has_header(run, 4):
            return self.drop(run)
        spend(len(self.ranges) * 15)
        header = _header(run)
        source = header.load_be16(0)
        destination = header.load_be16(2)
        for each in self.ranges:
            if (self.side != 1 and each.has(source)) or (self.side != 0 and each.has(destination)):
                return not self.is_inverted
        return self.is_inverted


def _decode_multiport(info: bytes, usage: Usage) -> Extension:
    has_ports = usage.protocol in (PROTOCOL_TCP, PROTOCOL_UDP, _PROTOCOL_UDP_LITE, _PROTOCOL_SCTP, _PROTOCOL_DCCP)
    if usage.is_inverted or not has_ports or info[0] > _EITHER or info[1] > _MOST_PORTS:
        raise Errno(EINVAL)
    return _Multiport(span_of(info))


# ---- Other headers ------------------------------------------------------------------------------------------------

_ANY_TYPE: Final = 0xFF  # of ICMP for IPv4


@final
class _Icmp(Match):
    """A type, and a range of codes."""

    def __init__(self, info: Span[u8], *, is_ip4: bool) -> None:
        super().__init__()
        self.kind_wanted: int = info[0]
        self.first_code: int = info[1]
        self.last_code: int = info[2]
        self.is_inverted: bool = info[3] != 0
        self.is_any: bool = is_ip4 and info[0] == _ANY_TYPE

    def holds(self, run: Run) -> bool:
        if run.place.offset != 0:
            return False
        if not _has_header(run, 8):
            return self.drop(run)
        header = _header(run)
        is_meant = header[0] == self.kind_wanted and self.first_code <= header[1] <= self.last_code
        return (self.is_any or is_meant) != self.is_inverted


def _decode_icmp(info: bytes, usage: Usage) -> Extension:
    if info[3] & ~1 != 0:
        raise Errno(EINVAL)
    return _Icmp(span_of(info), is_ip4=True)


def _decode_icmp6(info: bytes, usage: Usage) -> Extension:
    if info[3] & ~1 != 0:
        raise Errno(EINVAL)
    return _Icmp(span_of(info), is_ip4=False)


_LARGEST_SEGMENT: Final = 2  # the option


@final
class _SegmentSize(Match):
    """The maximum segment size that a TCP header announces."""

    def __init__(self, wanted: Range) -> None:
        super().__init__()
        self.wanted: Range = wanted

    def holds(self, run: Run) -> bool:
        if not _has_header(run, _TCP_HEADER):
            return self.drop(run)
        header = _header(run)
        length = (header[12] >> 4) * 4
        if length < _TCP_HEADER or length > len(header):
            return self.drop(run)
        spend(length * 8)
        start = run.packet.transport_start
        found = find_option(run.packet, start + _TCP_HEADER, start + length, _LARGEST_SEGMENT)
        at = found - start
        if found < 0 or at + 4 > length or header[at + 1] != 4:
            return self.wanted.is_inverted
        return self.wanted.has(header.load_be16(at + 2))


def _range_in(info: bytes) -> Range:
    span = span_of(info)
    return Range(span.load_u16(0), span.load_u16(2), is_inverted=info[4] != 0)


def _decode_segment_size(info: bytes, usage: Usage) -> Extension:
    return _SegmentSize(_range_in(info))


@final
class _Length(Match):
    """The packet's length from its IP header on."""

    def __init__(self, wanted: Range) -> None:
        super().__init__()
        self.wanted: Range = wanted

    def holds(self, run: Run) -> bool:
        header = run.packet.network_header()
        length = header.load_be16(2) if run.place.family == FAMILY_IP4 else header.load_be16(4) + 40
        return self.wanted.has(length)


def _decode_length(info: bytes, usage: Usage) -> Extension:
    return _Length(_range_in(info))


_FROM: Final = 0x1
_TO: Final = 0x2
_FROM_INVERTED: Final = 0x10
_TO_INVERTED: Final = 0x20


@final
class _AddressRange(Match):
    """A source or a destination between two addresses."""

    def __init__(self, info: bytes, size: int) -> None:
        super().__init__()
        self.flags: int = info[64]
        self.first_source: bytes = info[0:size]
        self.last_source: bytes = info[16 : 16 + size]
        self.first_destination: bytes = info[32 : 32 + size]
        self.last_destination: bytes = info[48 : 48 + size]

    def holds(self, run: Run) -> bool:
        flags = self.flags
        if flags & _FROM != 0:
            is_within = self.first_source <= run.packet.source <= self.last_source
            if is_within == (flags & _FROM_INVERTED != 0):
                return False
        if flags & _TO != 0:
            is_within = self.first_destination <= run.packet.destination <= self.last_destination
            if is_within == (flags & _TO_INVERTED != 0):
                return False
        return True


def _decode_address_range(info: bytes, usage: Usage) -> Extension:
    return _AddressRange(info, 4 if usage.family == FAMILY_IP4 else 16)


def _register(family: int) -> None:
    register_match(b"tcp", 0, 12, _decode_tcp, family).protocol = PROTOCOL_TCP
    register_match(b"udp", 0, 10, _decode_udp, family).protocol = PROTOCOL_UDP
    register_match(b"udplite", 0, 10, _decode_udp, family).protocol = _PROTOCOL_UDP_LITE
    register_match(b"multiport", 1, 48, _decode_multiport, family)
    register_match(b"tcpmss", 0, 6, _decode_segment_size, family).protocol = PROTOCOL_TCP
    register_match(b"length", 0, 6, _decode_length, family)
    register_match(b"iprange", 1, 68, _decode_address_range, family)


_register(FAMILY_IP4)
_register(FAMILY_IP6)
register_match(b"icmp", 0, 4, _decode_icmp, FAMILY_IP4).protocol = PROTOCOL_ICMP
register_match(b"icmp6", 0, 4, _decode_icmp6, FAMILY_IP6).protocol = PROTOCOL_ICMP6
