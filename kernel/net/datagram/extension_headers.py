"""The extension headers of a received IPv6 packet, as ancillary messages (RFC 3542 sections 6 to 9, ipv6(7)).

Context: system calls; nothing sleeps. The headers were checked when the packet came in.
"""

from typing import Final

from kernel.lang import span_of
from kernel.net.internet.ipv6 import DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING
from kernel.net.link.packet import Packet
from kernel.net.sockets import inet_names
from kernel.net.sockets.inet_options import InternetOptions
from kernel.net.sockets.socket import ControlMessage

WANTS_EXTENSIONS: Final = (
    inet_names.ON_RECVHOPOPTS
    | inet_names.ON_RECVRTHDR
    | inet_names.ON_RECVDSTOPTS
    | inet_names.ON_2292HOPOPTS
    | inet_names.ON_2292RTHDR
    | inet_names.ON_2292DSTOPTS
)
_HEADER: Final = 40
_FRAGMENT_LENGTH: Final = 8


def put_extensions(packet: Packet, options: InternetOptions, found: list[ControlMessage]) -> None:
    """Append a message for each extension header that the options ask for, in the packet's order."""
    storage = span_of(packet.storage)
    kind = storage[packet.network_start + 6]
    at = packet.network_start + _HEADER
    while at + 8 <= packet.transport_start:
        length = _FRAGMENT_LENGTH if kind == FRAGMENT else 8 + storage[at + 1] * 8
        if at + length > packet.transport_start:
            return
        data = storage[at : at + length].to_bytes()
        if kind == HOP_BY_HOP:
            _put(options, inet_names.ON_RECVHOPOPTS, inet_names.IPV6_HOPOPTS, data, found)
            _put(options, inet_names.ON_2292HOPOPTS, inet_names.IPV6_2292HOPOPTS, data, found)
        elif kind == ROUTING:
            _put(options, inet_names.ON_RECVRTHDR, inet_names.IPV6_RTHDR, data, found)
            _put(options, inet_names.ON_2292RTHDR, inet_names.IPV6_2292RTHDR, data, found)
        elif kind == DESTINATION_OPTIONS:
            _put(options, inet_names.ON_RECVDSTOPTS, inet_names.IPV6_DSTOPTS, data, found)
            _put(options, inet_names.ON_2292DSTOPTS, inet_names.IPV6_2292DSTOPTS, data, found)
        kind = storage[at]
        at += length


def _put(options: InternetOptions, switch: int, name: int, data: bytes, found: list[ControlMessage]) -> None:
    if options.is_on(switch):
        found.append(ControlMessage(inet_names.SOL_IPV6, name, data))
