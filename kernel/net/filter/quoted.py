"""Packets inside packets: what an ICMP error quotes.

Context: any; nothing sleeps.
Source: RFC 792, RFC 4443 section 2.4, RFC 4861 section 4.6.3 (the quoted packet of a redirect), RFC 8200 section 4.
"""

from typing import Final

from kernel.lang import Span, final, u8
from kernel.lib.pace import spend
from kernel.net.internet import icmp, icmpv6
from kernel.net.link.hooks import EXTENSION_COST, MOST_EXTENSIONS

ICMP_HEADER: Final = 8
_IP4_HEADER: Final = 20
_IP6_HEADER: Final = 40
_REDIRECT_HEADER: Final = 40  # of an ICMPv6 redirect
_REDIRECTED: Final = 4  # its option that quotes the packet
_LAST_TYPE4: Final = 18
_FIRST_INFORMATIONAL6: Final = 128
_HOP_BY_HOP: Final = 0
_ROUTING: Final = 43
_FRAGMENT: Final = 44
_AUTHENTICATION: Final = 51
_DESTINATION_OPTIONS: Final = 60


def is_error4(kind: int) -> bool:
    """Whether an ICMP message of this type is about another packet."""
    return (
        kind == icmp.UNREACHABLE
        or kind == icmp.SOURCE_QUENCH
        or kind == icmp.REDIRECT
        or kind == icmp.TIME_EXCEEDED
        or kind == icmp.PARAMETER_PROBLEM
    )


def is_known4(kind: int) -> bool:
    """Whether this is a defined type."""
    return kind <= _LAST_TYPE4


def is_error6(kind: int) -> bool:
    """`is_error4` for ICMPv6."""
    return kind < _FIRST_INFORMATIONAL6 or kind == icmpv6.REDIRECT


def is_untracked6(kind: int) -> bool:
    """Whether an ICMPv6 message concerns the link, and no connection: groups, routers, neighbours."""
    return icmpv6.MLD_QUERY <= kind <= icmpv6.NEIGHBOUR_ADVERTISEMENT or kind == icmpv6.MLD2_REPORT


def quote_offset(message: Span[u8], is_ip4: bool) -> int:
    """Where the quoted packet starts in an error, whose ICMP header `message` starts with; its length if there is none.
    """
    if is_ip4 or message[0] != icmpv6.REDIRECT:
        return ICMP_HEADER
    at = _REDIRECT_HEADER
    while at + 8 <= len(message):
        length = message[at + 1] * 8
        if length == 0:
            break
        if message[at] == _REDIRECTED:
            return at + 8
        at += length
    return len(message)


@final
class Quoted:
    """The decoded headers of a quoted packet. Offsets are in the span that was read."""

    def __init__(self) -> None:
        self.source: bytes = b""
        self.destination: bytes = b""
        self.protocol: int = 0
        self.header: int = 0
        self.transport: int = 0

    def read(self, data: Span[u8], start: int, is_ip4: bool) -> bool:
        """Read a packet of this version from `start` on. False: its transport header is not there."""
        self.header = start
        if is_ip4:
            if start + _IP4_HEADER > len(data):
                return False
            length = (data[start] & 0xF) * 4
            if data[start] >> 4 != 4 or length < _IP4_HEADER or data.load_be16(start + 6) & 0x1FFF != 0:
                return False
            self.protocol = data[start + 9]
            self.source = data[start + 12 : start + 16].to_bytes()
            self.destination = data[start + 16 : start + 20].to_bytes()
            self.transport = start + length
            return self.transport <= len(data)
        if start + _IP6_HEADER > len(data) or data[start] >> 4 != 6:
            return False
        self.source = data[start + 8 : start + 24].to_bytes()
        self.destination = data[start + 24 : start + 40].to_bytes()
        return self._skip_extensions(data, data[start + 6], start + _IP6_HEADER)

    def _skip_extensions(self, data: Span[u8], kind: int, at: int) -> bool:
        """Find the transport header after IPv6's own and its extensions."""
        left = MOST_EXTENSIONS
        while at + 8 <= len(data) and left > 0:
            left -= 1
            spend(EXTENSION_COST)
            if kind == _FRAGMENT:
                if data.load_be16(at + 2) & 0xFFF8 != 0:
                    return False
                length = 8
            elif kind == _HOP_BY_HOP or kind == _ROUTING or kind == _DESTINATION_OPTIONS:
                length = 8 + data[at + 1] * 8
            elif kind == _AUTHENTICATION:
                length = 8 + data[at + 1] * 4
            else:
                break
            kind = data[at]
            at += length
        self.protocol = kind
        self.transport = at
        return at <= len(data)
