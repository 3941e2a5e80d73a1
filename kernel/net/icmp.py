"""ICMP for IPv4: echo, and errors in both directions (RFC 792, RFC 1122 section 3.2.2, RFC 1812 section 4.3).

Errors that we send are limited per destination and in total. Errors that come in are handed to the transport whose
datagram they quote, once the quoted header is sound.

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
    final,
)
from kernel.net import ipv4, path_mtu
from kernel.net.addresses import ANY4, is_loopback, is_multicast, owner_of
from kernel.net.checksum import checksum
from kernel.net.counters import ICMP4
from kernel.net.fragments import REASSEMBLER, TimeoutListener
from kernel.net.loopback import LOOPBACK
from kernel.net.output import resolve
from kernel.net.packet import CHECKSUM_VERIFIED, PACKET_HOST, Packet
from kernel.net.rate_limit import RateLimiter
from kernel.net.sysctl import IP4_SETTINGS
from kernel.net.transport import (
    ORIGIN_ICMP,
    PROTOCOL_ICMP,
    TRANSPORTS,
    NetworkError,
    Transport,
    register_transport,
)
from kernel.time import monotonic_ns

HEADER: Final = 8
ECHO_REPLY: Final = 0
UNREACHABLE: Final = 3
SOURCE_QUENCH: Final = 4
REDIRECT: Final = 5
ECHO: Final = 8
TIME_EXCEEDED: Final = 11
PARAMETER_PROBLEM: Final = 12
TIMESTAMP: Final = 13
TIMESTAMP_REPLY: Final = 14

NET_UNREACHABLE: Final = 0
HOST_UNREACHABLE: Final = 1
PROTOCOL_UNREACHABLE: Final = 2
PORT_UNREACHABLE: Final = 3
FRAGMENTATION_NEEDED: Final = 4
TTL_EXCEEDED: Final = 0
REASSEMBLY_EXCEEDED: Final = 1

_QUOTED: Final = 576  # the whole error message is no longer (RFC 1812, section 4.3.2.3)

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

# Obsolete table of MTUs for routers that report none (RFC 1191, section 7.1).
_PLATEAUS: Final[list[int]] = [32000, 17914, 8166, 4352, 2002, 1492, 576, 216, 128]

_LIMITER: Final = RateLimiter()


class PingListener:
    """Gets replies to the echo requests of ping sockets. Base class."""

    def echo_reply(self, packet: Packet) -> bool:
        """A reply that starts with its ICMP header. True: somebody waited for it."""
        return False

    def report_error(self, packet: Packet, error: NetworkError) -> None:
        """An error about an ICMP message of ours, which `packet` starts with."""


@final
class PingHook:
    """Filled by the ping sockets."""

    def __init__(self) -> None:
        self.listener: PingListener | None = None


PING4: Final = PingHook()


@final
class Icmp(Transport):
    """What IPv4 hands its datagrams to."""

    def receive(self, packet: Packet) -> bool:
        if len(packet.source) != 4:
            return False
        ICMP4.in_messages += 1
        if len(packet) < HEADER:
            ICMP4.in_errors += 1
            return True
        if packet.checksum != CHECKSUM_VERIFIED and checksum(packet.span()) != 0:
            ICMP4.in_checksum_errors += 1
            ICMP4.in_errors += 1
            return True
        kind = packet.span()[0]
        ICMP4.in_types[kind] += 1
        if kind == ECHO:
            if IP4_SETTINGS.icmp_echo_ignore_all.value == 0 and _may_answer(packet):
                _reply(packet, ECHO_REPLY)
        elif kind == ECHO_REPLY:
            listener = PING4.listener
            if listener is not None:
                listener.echo_reply(packet)
        elif kind == UNREACHABLE or kind == TIME_EXCEEDED or kind == PARAMETER_PROBLEM:
            _receive_error(packet)
        return True

    def report_error(self, packet: Packet, error: NetworkError) -> None:
        listener = PING4.listener
        if listener is not None:
            listener.report_error(packet, error)


def _may_answer(packet: Packet) -> bool:
    """Broadcast pings are not answered unless told so (RFC 1122, section 3.2.2.6)."""
    is_group = packet.link_kind != PACKET_HOST or owner_of(packet.destination) is None
    if is_group and not is_loopback(packet.destination):
        return IP4_SETTINGS.icmp_echo_ignore_broadcasts.value == 0
    return True


def _reply(packet: Packet, kind: int) -> None:
    """Send the message back with another type."""
    data = packet.span()
    device = packet.device
    answer = Packet(len(data))
    body = answer.put(len(data))
    body.copy_from(data)
    body[0] = kind
    body.store_be16(2, 0)
    body.store_be16(2, checksum(body))
    source = packet.destination
    if is_multicast(source) or (owner_of(source) is None and not is_loopback(source)):
        source = b""
    index = 0 if device is None or device is LOOPBACK else device.index
    send_message(answer, source, packet.source, packet.traffic_class, index)


def send_message(packet: Packet, source: bytes, destination: bytes, tos: int, device_index: int) -> None:
    """Send a complete ICMP message. `source` empty: the route's. What finds no way is counted. May raise MemoryError.
    """
    kind = packet.span()[0]
    try:
        try:
            hop = resolve(destination, source)
        except Errno:
            hop = resolve(destination, source, device_index)
        ICMP4.out_messages += 1
        ICMP4.out_types[kind] += 1
        packet.checksum = CHECKSUM_VERIFIED if hop.is_local() else packet.checksum
        ipv4.send(packet, hop, source if len(source) != 0 else hop.source, PROTOCOL_ICMP, 64, tos)
    except Errno:
        ICMP4.out_errors += 1


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

    Silent where an answer is not allowed: about errors, broadcasts, groups, fragments behind the first, unspecified
    sources (RFC 1122, section 3.2.2). May raise MemoryError.
    """
    quoted = offender.network_header()
    if len(quoted) < ipv4.HEADER or quoted[0] >> 4 != 4:
        return
    header_length = (quoted[0] & 0xF) * 4
    source = quoted[12:16].to_bytes()
    destination = quoted[16:20].to_bytes()
    if offender.link_kind != PACKET_HOST or is_multicast(destination) or is_multicast(source) or source == ANY4:
        return
    if source == b"\xff\xff\xff\xff" or destination == b"\xff\xff\xff\xff" or quoted.load_be16(6) & 0x1FFF != 0:
        return
    if quoted[9] == PROTOCOL_ICMP and (len(quoted) <= header_length or _is_error_type(quoted[header_length])):
        return
    if not is_loopback(source) and owner_of(source) is None:
        is_exempt = kind == UNREACHABLE and code == FRAGMENTATION_NEEDED
        if not is_exempt and not _LIMITER.allows(source, monotonic_ns(), IP4_SETTINGS.icmp_ratelimit_ms.value):
            ICMP4.out_rate_limited += 1
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
    local = destination if owner_of(destination) is not None else b""
    send_message(answer, local, source, 0xC0, 0 if device is None else device.index)


def _receive_error(packet: Packet) -> None:
    """Find out whose datagram an error is about, and tell its transport."""
    message = packet.span()
    kind = message[0]
    code = message[1]
    quoted = message[HEADER : len(message)]
    if len(quoted) < ipv4.HEADER or quoted[0] >> 4 != 4:
        ICMP4.in_errors += 1
        return
    header_length = (quoted[0] & 0xF) * 4
    if header_length < ipv4.HEADER or len(quoted) < header_length + 8:
        ICMP4.in_errors += 1
        return
    source = quoted[12:16].to_bytes()
    destination = quoted[16:20].to_bytes()
    if owner_of(source) is None and not is_loopback(source):
        return
    error = _meaning(kind, code)
    if error is None:
        return
    if kind == UNREACHABLE and code == FRAGMENTATION_NEEDED:
        mtu = message.load_be16(6)
        total = quoted.load_be16(2)
        if mtu == 0:
            mtu = _plateau_below(total)
        if mtu >= total:
            return  # it would have fitted: nonsense, or forged
        error.info = path_mtu.learn(destination, mtu, monotonic_ns())
    elif kind == PARAMETER_PROBLEM:
        error.info = message[4]
    error.origin = ORIGIN_ICMP
    error.type = kind
    error.code = code
    error.reporter = packet.source
    device = packet.device
    error.device_index = 0 if device is None else device.index
    protocol = quoted[9]
    packet.network_start = packet.start + HEADER
    packet.pull(HEADER + header_length)
    packet.transport_start = packet.start
    packet.source = source
    packet.destination = destination
    transport = TRANSPORTS.by_number[protocol]
    raw = ipv4.STATE.raw
    if raw is not None:
        raw.report_error(packet, protocol, error)
    if transport is not None:
        transport.report_error(packet, error)


def _meaning(kind: int, code: int) -> NetworkError | None:
    if kind == UNREACHABLE:
        if code >= len(_ERRNO):
            return None
        return NetworkError(_ERRNO[code], _IS_HARD[code] != 0)
    if kind == TIME_EXCEEDED:
        return NetworkError(EHOSTUNREACH, False)
    return NetworkError(EPROTO, True)


def _plateau_below(length: int) -> int:
    for mtu in _PLATEAUS:
        if mtu < length:
            return mtu
    return 68


@final
class _ReassemblyTimeout(TimeoutListener):
    def timed_out(self, first: Packet) -> None:
        try:
            send_error(first, TIME_EXCEEDED, REASSEMBLY_EXCEEDED, 0)
        except MemoryError:
            ICMP4.out_errors += 1


def host_unreachable(packet: Packet) -> None:
    """Nobody answered ARP for a packet, which starts with its IP header."""
    packet.network_start = packet.start
    packet.link_kind = PACKET_HOST
    send_error(packet, UNREACHABLE, HOST_UNREACHABLE, 0)


register_transport(PROTOCOL_ICMP, Icmp())
REASSEMBLER.listener4 = _ReassemblyTimeout()
