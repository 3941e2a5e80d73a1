"""ICMP for IPv6: echo, and errors in both directions (RFC 4443).

Neighbour discovery and group reports are ICMPv6 messages too: `ndp.py` and `mld.py` enter themselves in `HANDLERS`.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import (
    EACCES,
    ECONNREFUSED,
    EHOSTUNREACH,
    EMSGSIZE,
    ENETUNREACH,
    EPROTO,
    Errno,
    final,
    recursion,
    span_of,
)
from kernel.lib.pace import spend
from kernel.net.internet import ipv6, path_mtu
from kernel.net.internet.addresses import ANY6, is_loopback, is_multicast, owner_of
from kernel.net.internet.fragments import TIMEOUTS, TimeoutListener
from kernel.net.internet.icmp import PingHook
from kernel.net.internet.output import NextHop, resolve
from kernel.net.internet.rate_limit import rates_of
from kernel.net.internet.sysctl import IP6_SETTINGS
from kernel.net.internet.transport import (
    ORIGIN_ICMP6,
    PROTOCOL_ICMP6,
    TRANSPORTS,
    NetworkError,
    Transport,
    register_transport,
)
from kernel.net.link.checksum import checksum, pseudo_header
from kernel.net.link.network import Network, network_of
from kernel.net.link.packet import CHECKSUM_NONE, CHECKSUM_VERIFIED, PACKET_HOST, Packet
from kernel.time import monotonic_ns

HEADER: Final = 8
_ERROR_COST: Final = 3000  # instructions of sending one
UNREACHABLE: Final = 1
PACKET_TOO_BIG: Final = 2
TIME_EXCEEDED: Final = 3
PARAMETER_PROBLEM: Final = 4
ECHO: Final = 128
ECHO_REPLY: Final = 129
MLD_QUERY: Final = 130
MLD_REPORT: Final = 131
MLD_DONE: Final = 132
ROUTER_SOLICITATION: Final = 133
ROUTER_ADVERTISEMENT: Final = 134
NEIGHBOUR_SOLICITATION: Final = 135
NEIGHBOUR_ADVERTISEMENT: Final = 136
REDIRECT: Final = 137
MLD2_REPORT: Final = 143

NO_ROUTE: Final = 0
ADDRESS_UNREACHABLE: Final = 3
PORT_UNREACHABLE: Final = 4

_FIRST_INFORMATIONAL: Final = 128
_ROUTER_ALERT: Final = bytes([PROTOCOL_ICMP6, 0, 5, 2, 0, 0, 1, 0])  # with its padding
_QUOTED: Final = 1280  # an error message fits the least MTU

_ERRNO: Final[list[int]] = [ENETUNREACH, EACCES, EHOSTUNREACH, EHOSTUNREACH, ECONNREFUSED, EACCES, EACCES]
_IS_HARD: Final[list[int]] = [0, 1, 0, 0, 1, 1, 1]

_MOST_MTU: Final = 0x7FFF_FFFF
_CUT: Final = -1
_LATER_FRAGMENT: Final = -2


class MessageHandler:
    """Gets messages of one type, from the ICMPv6 header on, with a good checksum. Base class."""

    def receive(self, packet: Packet) -> None:
        """May raise MemoryError."""


@final
class Handlers:
    """By type, and the ping sockets."""

    def __init__(self) -> None:
        self.by_type: dict[int, MessageHandler] = {}


HANDLERS: Final = Handlers()
PING6: Final = PingHook()


@final
class Icmp6(Transport):
    """Takes packets from IPv6."""

    def receive(self, packet: Packet) -> bool:
        if len(packet.source) != 16:
            return False
        counters = network_of(packet).icmp6
        counters.in_messages += 1
        data = packet.span()
        if packet.checksum != CHECKSUM_VERIFIED:
            sum_ = pseudo_header(packet.source, packet.destination, PROTOCOL_ICMP6, len(data))
            if checksum(data, sum_) != 0:
                counters.in_checksum_errors += 1
                counters.in_errors += 1
                return True
        if len(packet) < HEADER:
            counters.in_errors += 1
            return True
        kind = data[0]
        counters.in_types[kind] += 1
        if kind < _FIRST_INFORMATIONAL:
            _receive_error(packet)
        elif kind == ECHO:
            _reply(packet)
        elif kind == ECHO_REPLY:
            listener = PING6.listener
            if listener is not None:
                listener.echo_reply(packet)
        else:
            handler = HANDLERS.by_type.get(kind)
            if handler is not None:
                handler.receive(packet)
        return True

    def has_sender(self, packet: Packet) -> bool:
        return True

    def report_error(self, packet: Packet, error: NetworkError) -> None:
        listener = PING6.listener
        if listener is not None:
            listener.report_error(packet, error)


@recursion(2)  # a solicitation for the next hop goes to a multicast group, which needs none
def send_message(packet: Packet, hop: NextHop, source: bytes, hop_limit: int, traffic_class: int = 0) -> None:
    """Send an ICMPv6 message, whose checksum field is 0, and fill that in. A failure to send is counted. May raise
    MemoryError.
    """
    data = packet.span()
    hop.network.icmp6.out_messages += 1
    hop.network.icmp6.out_types[data[0]] += 1
    data.store_be16(2, checksum(data, pseudo_header(source, hop.destination, PROTOCOL_ICMP6, len(data))))
    packet.transport_start = packet.start
    packet.checksum = CHECKSUM_VERIFIED if hop.device.is_loop else CHECKSUM_NONE
    try:
        ipv6.send(packet, hop, source, PROTOCOL_ICMP6, hop_limit, traffic_class)
    except Errno:
        hop.network.icmp6.out_errors += 1


def send_with_router_alert(packet: Packet, hop: NextHop, source: bytes) -> None:
    """Send a group report to the link, after a hop-by-hop header that routers examine (RFC 2711). MemoryError,
    Errno.
    """
    data = packet.span()
    hop.network.icmp6.out_messages += 1
    hop.network.icmp6.out_types[data[0]] += 1
    data.store_be16(2, checksum(data, pseudo_header(source, hop.destination, PROTOCOL_ICMP6, len(data))))
    packet.push(len(_ROUTER_ALERT)).copy_from(span_of(_ROUTER_ALERT))
    packet.transport_start = packet.start + len(_ROUTER_ALERT)
    ipv6.send(packet, hop, source, ipv6.HOP_BY_HOP, 1)


def _answer(
    network: Network, packet: Packet, source: bytes, destination: bytes, device_index: int, traffic_class: int
) -> None:
    try:
        hop = resolve(network, destination, source, device_index)
    except Errno:
        network.icmp6.out_errors += 1
        return
    send_message(packet, hop, source if len(source) != 0 else hop.source, -1, traffic_class)


def _device_index(packet: Packet) -> int:
    """The interface through which an answer to a packet must leave: matters for link-local addresses."""
    device = packet.device
    if device is None or device.is_loop or not (packet.source[0] == 0xFE and packet.source[1] & 0xC0 == 0x80):
        return 0
    return device.index


def _reply(packet: Packet) -> None:
    if is_multicast(packet.source) or packet.source == ANY6:
        return
    data = packet.span()
    answer = Packet(len(data))
    body = answer.put(len(data))
    body.copy_from(data)
    body[0] = ECHO_REPLY
    body.store_be16(2, 0)
    source = b"" if is_multicast(packet.destination) else packet.destination
    _answer(network_of(packet), answer, source, packet.source, _device_index(packet), packet.traffic_class)


def send_error(offender: Packet, kind: int, code: int, info: int) -> None:
    """Answer a packet, whose IPv6 header is at `network_start`, with an error; `info` is the second word.

    Sends nothing where no answer is allowed (RFC 4443, section 2.4 (e)). May raise MemoryError.
    """
    spend(_ERROR_COST)
    quoted = offender.network_header()
    if len(quoted) < ipv6.HEADER or quoted[0] >> 4 != 6:
        return
    source = quoted[8:24].to_bytes()
    destination = quoted[24:40].to_bytes()
    answers_groups = kind == PACKET_TOO_BIG or (kind == PARAMETER_PROBLEM and code == ipv6.BAD_OPTION)
    if (offender.link_kind != PACKET_HOST or is_multicast(destination)) and not answers_groups:
        return
    if is_multicast(source) or source == ANY6 or _quotes_error(offender):
        return
    network = network_of(offender)
    if not is_loopback(source) and owner_of(network, source) is None and kind != PACKET_TOO_BIG:
        interval_ms = IP6_SETTINGS.icmp_ratelimit_ms.of(network)
        if not rates_of(network).icmp6.allows(source, monotonic_ns(), interval_ms):
            network.icmp6.out_rate_limited += 1
            return
    length = min(len(quoted), _QUOTED - ipv6.HEADER - HEADER)
    answer = Packet(HEADER + length)
    body = answer.put(HEADER + length)
    body[0] = kind
    body[1] = code
    body.store_be32(4, info & 0xFFFF_FFFF)
    body[HEADER : HEADER + length].copy_from(quoted[0:length])
    offender.source = source
    local = destination if owner_of(network, destination) is not None else b""
    _answer(network, answer, local, source, _device_index(offender), 0)


def _quotes_error(offender: Packet) -> bool:
    """Whether the packet is itself an ICMPv6 error, or one truncated before its type. A packet too broken to
    have a known protocol is not one, and neither is a fragment that lacks its beginning.
    """
    data = offender.network_header()
    at = ipv6.HEADER
    next_header = data[6]
    is_fragment = False
    while next_header != PROTOCOL_ICMP6:
        is_extension = (
            next_header == ipv6.HOP_BY_HOP or next_header == ipv6.ROUTING or next_header == ipv6.DESTINATION_OPTIONS
        )
        if (not is_extension and next_header != ipv6.FRAGMENT) or at + 8 > len(data):
            return False
        if next_header == ipv6.FRAGMENT:
            fields = data.load_be16(at + 2)
            if fields & 0xFFF8 != 0:
                return False
            is_fragment = fields & 1 != 0
        next_header = data[at]
        at += 8 if not is_extension else 8 + data[at + 1] * 8
    if at >= len(data):
        return not is_fragment
    return data[at] < _FIRST_INFORMATIONAL or data[at] == REDIRECT


def _receive_error(packet: Packet) -> None:
    """Find the transport whose packet an error is about, and report the error to it."""
    network = network_of(packet)
    message = packet.span()
    kind = message[0]
    code = message[1]
    quoted = message[HEADER : len(message)]
    if len(quoted) < ipv6.HEADER:
        network.icmp6.in_errors += 1
        return
    error = _meaning(kind, code)
    error.info = message.load_be32(4) if kind == PACKET_TOO_BIG or kind == PARAMETER_PROBLEM else 0
    error.origin = ORIGIN_ICMP6
    error.type = kind
    error.code = code
    error.reporter = packet.source
    device = packet.device
    error.device_index = 0 if device is None else device.index
    packet.pull(HEADER)
    protocol = _go_to_transport(packet)
    if protocol < 0:
        network.icmp6.in_errors += 1 if protocol == _CUT else 0
        return
    transport = TRANSPORTS.by_number[protocol]
    is_ours = transport is not None and transport.has_sender(packet)
    if transport is not None and not is_ours:
        network.icmp6.in_errors += 1
    concerns_us = is_ours or (transport is None and owner_of(network, packet.source) is not None)
    if kind == PACKET_TOO_BIG and concerns_us and error.info >= path_mtu.LEAST_MTU6:
        # No link is below the least MTU: nothing is learned from that (RFC 8201, section 4).
        path_mtu.learn(network, packet.destination, min(error.info, _MOST_MTU), monotonic_ns())
    raw = ipv6.STATE.raw
    if raw is not None:
        raw.report_error(packet, protocol, error)
    if transport is not None and is_ours:
        transport.report_error(packet, error)


def _go_to_transport(packet: Packet) -> int:
    """Step over the headers of a packet of ours that a message quotes, and that `packet` starts with: 40 bytes are
    there. Sets its addresses; returns the transport's number, or _CUT if fewer than 8 bytes of it are there, or
    _LATER_FRAGMENT.
    """
    quoted = packet.span()
    protocol = quoted[6]
    at = ipv6.HEADER
    while protocol == ipv6.HOP_BY_HOP or protocol == ipv6.ROUTING or protocol == ipv6.DESTINATION_OPTIONS or (
        protocol == ipv6.FRAGMENT
    ):
        if at + 16 > len(quoted):
            return _CUT
        if protocol == ipv6.FRAGMENT and quoted.load_be16(at + 2) & 0xFFF8 != 0:
            return _LATER_FRAGMENT
        step = 8 if protocol == ipv6.FRAGMENT else 8 + quoted[at + 1] * 8
        protocol = quoted[at]
        at += step
    if at + 8 > len(quoted):
        return _CUT
    packet.source = quoted[8:24].to_bytes()
    packet.destination = quoted[24:40].to_bytes()
    packet.network_start = packet.start
    packet.pull(at)
    packet.transport_start = packet.start
    return protocol


def was_sent_here(packet: Packet) -> bool:
    """Whether a quoted packet, which `packet` starts with, was sent by a socket of this host that still exists."""
    quoted = packet.span()
    if len(quoted) < ipv6.HEADER or quoted[0] >> 4 != 6:
        return False
    protocol = _go_to_transport(packet)
    if protocol < 0:
        return False
    transport = TRANSPORTS.by_number[protocol]
    return transport is not None and transport.has_sender(packet)


def _meaning(kind: int, code: int) -> NetworkError:
    if kind == UNREACHABLE:
        if code >= len(_ERRNO):
            return NetworkError(EPROTO, is_hard=True)
        return NetworkError(_ERRNO[code], _IS_HARD[code] != 0)
    if kind == PACKET_TOO_BIG:
        return NetworkError(EMSGSIZE, is_hard=False)
    if kind == TIME_EXCEEDED:
        return NetworkError(EHOSTUNREACH, is_hard=False)
    return NetworkError(EPROTO, kind == PARAMETER_PROBLEM)


@final
class _ReassemblyTimeout(TimeoutListener):
    def timed_out(self, first: Packet) -> None:
        try:
            send_error(first, TIME_EXCEEDED, 1, 0)
        except MemoryError:
            network_of(first).icmp6.out_errors += 1


def address_unreachable(packet: Packet) -> None:
    """Neighbour discovery got no answer for a packet, which starts with its IPv6 header. May raise MemoryError."""
    packet.network_start = packet.start
    packet.link_kind = PACKET_HOST
    send_error(packet, UNREACHABLE, ADDRESS_UNREACHABLE, 0)


register_transport(PROTOCOL_ICMP6, Icmp6())
TIMEOUTS.listener6 = _ReassemblyTimeout()
