"""ICMP for IPv4: echo, and errors in both directions (RFC 792, RFC 1122 section 3.2.2, RFC 1812 section 4.3).

Errors that we send are limited per destination and in total. Received errors are handed to the transport whose
datagram they quote, once the quoted header has been checked.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import (
    ECONNREFUSED,
    EHOSTDOWN,
    EHOSTUNREACH,
    EMSGSIZE,
    ENETUNREACH,
    ENONET,
    ENOPROTOOPT,
    EOPNOTSUPP,
    EPROTO,
    Errno,
    Span,
    final,
    u8,
)
from kernel.lib.pace import spend
from kernel.net.internet import ipv4, path_mtu
from kernel.net.internet.addresses import ANY4, is_loopback, is_multicast, owner_of
from kernel.net.internet.fragments import TIMEOUTS, TimeoutListener
from kernel.net.internet.ipv4_options import answer_options
from kernel.net.internet.output import resolve
from kernel.net.internet.rate_limit import rates_of
from kernel.net.internet.routes import BROADCAST, find_route
from kernel.net.internet.sysctl import IP4_SETTINGS
from kernel.net.internet.transport import (
    ORIGIN_ICMP,
    PROTOCOL_ICMP,
    TRANSPORTS,
    NetworkError,
    Transport,
    register_transport,
)
from kernel.net.link.checksum import checksum
from kernel.net.link.device import NetworkDevice
from kernel.net.link.network import Network, network_of
from kernel.net.link.packet import CHECKSUM_VERIFIED, PACKET_HOST, Packet
from kernel.time import monotonic_ns

HEADER: Final = 8
_ERROR_COST: Final = 3000  # instructions for sending one
ECHO_REPLY: Final = 0
UNREACHABLE: Final = 3
SOURCE_QUENCH: Final = 4
REDIRECT: Final = 5
ECHO: Final = 8
TIME_EXCEEDED: Final = 11
PARAMETER_PROBLEM: Final = 12
TIMESTAMP: Final = 13
TIMESTAMP_REPLY: Final = 14
MASK_REQUEST: Final = 17
MASK_REPLY: Final = 18
EXTENDED_ECHO: Final = 42
EXTENDED_ECHO_REPLY: Final = 43
_LAST_TYPE: Final = MASK_REPLY

_TIMESTAMP_LENGTH: Final = 20

NET_UNREACHABLE: Final = 0
HOST_UNREACHABLE: Final = 1
PROTOCOL_UNREACHABLE: Final = 2
PORT_UNREACHABLE: Final = 3
FRAGMENTATION_NEEDED: Final = 4
REDIRECT_HOST: Final = 1
_LAST_REDIRECT: Final = 3  # for type of service and host
TTL_EXCEEDED: Final = 0
REASSEMBLY_EXCEEDED: Final = 1

# An error gets the type of service of the offending packet, with this precedence (RFC 1812, section 4.3.2.5).
_TOS_BITS: Final = 0x1E
_INTERNETWORK_CONTROL: Final = 0xC0
_QUOTED: Final = 576  # at most, of the whole error message (RFC 1812, section 4.3.2.3)

# What the codes of "destination unreachable" mean for a socket (ip(7)); those with a 1 end a connection.
_ERRNO: Final[list[int]] = [
    ENETUNREACH,
    EHOSTUNREACH,
    ENOPROTOOPT,
    ECONNREFUSED,
    EMSGSIZE,
    EOPNOTSUPP,
    ENETUNREACH,
    EHOSTDOWN,
    ENONET,
    ENETUNREACH,
    EHOSTUNREACH,
    ENETUNREACH,
    EHOSTUNREACH,
    EHOSTUNREACH,
    EHOSTUNREACH,
    EHOSTUNREACH,
]
_IS_HARD: Final[list[int]] = [0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1]


class PingListener:
    """Gets replies to the echo requests of ping sockets. Base class."""

    def echo_reply(self, packet: Packet) -> bool:
        """Take a reply that starts with its ICMP header. True: a socket was waiting for it."""
        return False

    def report_error(self, packet: Packet, error: NetworkError) -> None:
        """Take an error about an ICMP message of ours, which `packet` starts with."""


@final
class PingHook:
    """Filled by the ping sockets."""

    def __init__(self) -> None:
        self.listener: PingListener | None = None


PING4: Final = PingHook()


class RedirectListener:
    """Is notified of redirects that quote a datagram of ours. Base class."""

    def redirected(self, device: NetworkDevice, destination: bytes, router: bytes, gateway: bytes) -> None:
        """`router`, heard on `device`, says that `gateway` is better for `destination`. May raise MemoryError."""


@final
class RedirectHook:
    """Filled by the code that decides which redirects to believe."""

    def __init__(self) -> None:
        self.listener: RedirectListener = RedirectListener()


REDIRECTS: Final = RedirectHook()


@final
class Icmp(Transport):
    """Takes datagrams from IPv4."""

    def receive(self, packet: Packet) -> bool:
        if len(packet.source) != 4:
            return False
        network = network_of(packet)
        counters = network.icmp4
        counters.in_messages += 1
        if packet.checksum != CHECKSUM_VERIFIED and checksum(packet.span()) != 0:
            counters.in_checksum_errors += 1
            counters.in_errors += 1
            return True
        if len(packet) < HEADER:
            counters.in_errors += 1
            return True
        kind = packet.span()[0]
        counters.in_types[kind] += 1
        if not _is_for_us(packet, kind):
            counters.in_errors += 1
            return True
        if kind == ECHO:
            if IP4_SETTINGS.icmp_echo_ignore_all.of(network) == 0:
                _reply(packet, ECHO_REPLY)
        elif kind == ECHO_REPLY:
            listener = PING4.listener
            if listener is not None:
                listener.echo_reply(packet)
        elif kind == TIMESTAMP:
            _tell_time(packet)
        elif kind == UNREACHABLE or kind == TIME_EXCEEDED or kind == PARAMETER_PROBLEM or kind == REDIRECT:
            _receive_error(packet)
        return True

    def has_sender(self, packet: Packet) -> bool:
        return True

    def report_error(self, packet: Packet, error: NetworkError) -> None:
        listener = PING4.listener
        if listener is not None:
            listener.report_error(packet, error)


def _is_for_us(packet: Packet, kind: int) -> bool:
    """Whether the type exists, and for a message that was sent to many, whether such a message may be.
    Broadcast pings are not answered unless a setting says so (RFC 1122, section 3.2.2.6).
    """
    if kind > _LAST_TYPE and kind != EXTENDED_ECHO and kind != EXTENDED_ECHO_REPLY:
        return False
    if owner_of(network_of(packet), packet.destination) is not None or is_loopback(packet.destination):
        return True
    if kind == ECHO or kind == TIMESTAMP:
        return IP4_SETTINGS.icmp_echo_ignore_broadcasts.of(network_of(packet)) == 0
    return kind == MASK_REQUEST or kind == MASK_REPLY


def _reply(packet: Packet, kind: int) -> None:
    """Send the message back with another type."""
    data = packet.span()
    answer = Packet(len(data))
    body = answer.put(len(data))
    body.copy_from(data)
    body[0] = kind
    _send_reply(answer, packet)


def _tell_time(packet: Packet) -> None:
    """Answer a timestamp message (RFC 792): milliseconds since midnight, universal time."""
    data = packet.span()
    if len(data) < HEADER + 4:
        network_of(packet).icmp4.in_errors += 1
        return
    answer = Packet(_TIMESTAMP_LENGTH)
    body = answer.put(_TIMESTAMP_LENGTH)
    body[0 : HEADER + 4].copy_from(data[0 : HEADER + 4])
    body[0] = TIMESTAMP_REPLY
    body[1] = 0
    now = ipv4.time_of_day_ms()
    body.store_be32(HEADER + 4, now)
    body.store_be32(HEADER + 8, now)
    _send_reply(answer, packet)


def _send_reply(answer: Packet, packet: Packet) -> None:
    """Send an answer to a question."""
    device = packet.device
    body = answer.span()
    body.store_be16(2, 0)
    body.store_be16(2, checksum(body))
    source = packet.destination
    if is_multicast(source) or (owner_of(network_of(packet), source) is None and not is_loopback(source)):
        source = b""
    index = 0 if device is None or device.is_loop else device.index
    asked = _options_in(packet.network_header())
    send_message(network_of(packet), answer, source, packet.source, packet.traffic_class, index, asked)


def _options_in(header: Span[u8]) -> Span[u8]:
    """The options of the IP header that `header` starts with."""
    return header[ipv4.HEADER : (header[0] & 0xF) * 4]


def send_message(
    network: Network,
    packet: Packet,
    source: bytes,
    destination: bytes,
    tos: int,
    device_index: int,
    asked: Span[u8],
) -> None:
    """Send a complete ICMP message. `source` empty: the route's; `asked`: the options of the datagram that it answers.
    A message without a route is counted. May raise MemoryError.
    """
    kind = packet.span()[0]
    try:
        try:
            hop = resolve(network, destination, source)
        except Errno:
            hop = resolve(network, destination, source, device_index)
        network.icmp4.out_messages += 1
        network.icmp4.out_types[kind] += 1
        packet.checksum = CHECKSUM_VERIFIED if hop.is_local() else packet.checksum
        own = source if len(source) != 0 else hop.source
        options = answer_options(network, asked, own, ipv4.time_of_day_ms()) if len(asked) > 0 else b""
        ipv4.send(packet, hop, own, PROTOCOL_ICMP, 64, tos, dont_fragment=False, options=options, loops=True)
    except Errno:
        network.icmp4.out_errors += 1


def _is_error_type(kind: int) -> bool:
    return (
        kind == UNREACHABLE
        or kind == SOURCE_QUENCH
        or kind == REDIRECT
        or kind == TIME_EXCEEDED
        or kind == PARAMETER_PROBLEM
    )


def send_error(offender: Packet, kind: int, code: int, info: int) -> None:
    """Answer a datagram, whose IP header is at `network_start`, with an error; `info` is the second word.

    Sends nothing where no answer is allowed: about errors, broadcasts, groups, fragments after the first, unspecified
    sources (RFC 1122, section 3.2.2). May raise MemoryError.
    """
    spend(_ERROR_COST)
    quoted = offender.network_header()
    if len(quoted) < ipv4.HEADER or quoted[0] >> 4 != 4:
        return
    header_length = (quoted[0] & 0xF) * 4
    source = quoted[12:16].to_bytes()
    destination = quoted[16:20].to_bytes()
    if offender.link_kind != PACKET_HOST or is_multicast(destination) or is_multicast(source) or source == ANY4:
        return
    network = network_of(offender)
    way = find_route(network, destination)
    if way is not None and way.kind == BROADCAST:
        return
    if source == b"\xff\xff\xff\xff" or destination == b"\xff\xff\xff\xff" or quoted.load_be16(6) & 0x1FFF != 0:
        return
    if quoted[9] == PROTOCOL_ICMP and (len(quoted) <= header_length or _is_error_type(quoted[header_length])):
        return
    if not is_loopback(source) and owner_of(network, source) is None:
        is_exempt = kind == REDIRECT or (kind == UNREACHABLE and code == FRAGMENTATION_NEEDED)
        if not is_exempt and not rates_of(network).icmp4.allows(
            source, monotonic_ns(), IP4_SETTINGS.icmp_ratelimit_ms.of(network)
        ):
            network.icmp4.out_rate_limited += 1
            return
    length = min(len(quoted), quoted.load_be16(2), _QUOTED - ipv4.HEADER - HEADER)
    answer = Packet(HEADER + length)
    body = answer.put(HEADER + length)
    body[0] = kind
    body[1] = code
    body.store_be32(4, info)
    body[HEADER : HEADER + length].copy_from(quoted[0:length])
    body.store_be16(2, checksum(body))
    device = offender.device
    local = destination if owner_of(network, destination) is not None else b""
    tos = quoted[1] & _TOS_BITS | _INTERNETWORK_CONTROL
    asked = quoted[ipv4.HEADER : (info >> 24) if kind == PARAMETER_PROBLEM else header_length]
    send_message(network, answer, local, source, tos, 0 if device is None else device.index, asked)


def _receive_error(packet: Packet) -> None:
    """Find the transport whose datagram an error quotes, and report the error to it."""
    network = network_of(packet)
    message = packet.span()
    kind = message[0]
    code = message[1]
    quoted = message[HEADER : len(message)]
    if len(quoted) < ipv4.HEADER:
        network.icmp4.in_errors += 1
        return
    header_length = (quoted[0] & 0xF) * 4
    if header_length < ipv4.HEADER or len(quoted) < header_length + 8:
        network.icmp4.in_errors += 1
        return
    source = quoted[12:16].to_bytes()
    destination = quoted[16:20].to_bytes()
    protocol = quoted[9]
    argument = message[4:8].to_bytes()
    reporter = packet.source
    device = packet.device
    error = _meaning(kind, code)
    is_ours = _go_to_transport(packet, header_length, source, destination)
    transport = TRANSPORTS.by_number[protocol]
    if transport is not None and not is_ours:
        network.icmp4.in_errors += 1
    if kind == REDIRECT:
        if is_ours and code <= _LAST_REDIRECT and device is not None:
            REDIRECTS.listener.redirected(device, destination, reporter, argument)
        return
    if error is None:
        return
    if kind == UNREACHABLE and code == FRAGMENTATION_NEEDED:
        error.info = argument[2] << 8 | argument[3]
        if is_ours or (transport is None and owner_of(network, source) is not None):
            path_mtu.learn(network, destination, error.info, monotonic_ns())
    elif kind == PARAMETER_PROBLEM:
        error.info = argument[0]
    error.origin = ORIGIN_ICMP
    error.type = kind
    error.code = code
    error.reporter = reporter
    error.device_index = 0 if device is None else device.index
    raw = ipv4.STATE.raw
    if raw is not None:
        raw.report_error(packet, protocol, error)
    if transport is not None and is_ours:
        transport.report_error(packet, error)


def _go_to_transport(packet: Packet, header_length: int, source: bytes, destination: bytes) -> bool:
    """Move from the ICMP header to the quoted transport's. Returns whether the sending socket still exists."""
    protocol = packet.span()[HEADER + 9]
    packet.network_start = packet.start + HEADER
    packet.pull(HEADER + header_length)
    packet.transport_start = packet.start
    packet.source = source
    packet.destination = destination
    transport = TRANSPORTS.by_number[protocol]
    return transport is not None and transport.has_sender(packet)


def _meaning(kind: int, code: int) -> NetworkError | None:
    if kind == UNREACHABLE:
        if code >= len(_ERRNO):
            return None
        return NetworkError(_ERRNO[code], _IS_HARD[code] != 0)
    if kind == TIME_EXCEEDED:
        return NetworkError(EHOSTUNREACH, is_hard=False)
    return NetworkError(EPROTO, is_hard=True)


@final
class _ReassemblyTimeout(TimeoutListener):
    def timed_out(self, first: Packet) -> None:
        try:
            send_error(first, TIME_EXCEEDED, REASSEMBLY_EXCEEDED, 0)
        except MemoryError:
            network_of(first).icmp4.out_errors += 1


def host_unreachable(packet: Packet) -> None:
    """ARP got no answer for a packet, which starts with its IP header."""
    packet.network_start = packet.start
    packet.link_kind = PACKET_HOST
    send_error(packet, UNREACHABLE, HOST_UNREACHABLE, 0)


register_transport(PROTOCOL_ICMP, Icmp())
TIMEOUTS.listener4 = _ReassemblyTimeout()
