"""Connection tracking: every packet gets its connection, before other hooks see it.

At PREROUTING and OUTPUT a packet's tuple is looked up; if there is none, a connection begins. At INPUT and POSTROUTING,
after all other hooks, a connection that began with the packet is entered in the table: one whose first packet is
dropped never existed. A packet that goes through loopback keeps the connection it got in OUTPUT.

A packet that cannot belong to any connection has none (INVALID); that alone drops nothing. A packet is dropped only
when there is no room for its connection.

Context: thread context; nothing sleeps. May raise MemoryError: the packet is dropped.
Source: conntrack(8), nf_conntrack-sysctl, RFC 4787 and RFC 5382 (how long a connection is remembered).
"""

from typing import Final

from kernel.lang import Span, final, span_of, u8
from kernel.net.filter import tcp_tracking
from kernel.net.filter.connection import (
    EVENT_ASSURED,
    EVENT_REPLY,
    STATUS_ASSURED,
    STATUS_CONFIRMED,
    STATUS_SEEN_REPLY,
    TRACKING_ESTABLISHED,
    TRACKING_ESTABLISHED_REPLY,
    TRACKING_NEW,
    TRACKING_RELATED,
    TRACKING_RELATED_REPLY,
    Connection,
)
from kernel.net.filter.connection_table import WATCH, ConnectionTable, find_table, table_of
from kernel.net.filter.quoted import (
    Quoted,
    is_error4,
    is_error6,
    is_known4,
    is_untracked6,
    quote_offset,
)
from kernel.net.filter.tcp_state import TcpSegment
from kernel.net.filter.tcp_tracking import Outcome
from kernel.net.filter.tracking_settings import SETTINGS, in_ns
from kernel.net.filter.tuples import PROTOCOL_UDP_LITE, Tuple, is_question, read_tuple
from kernel.net.internet.transport import PROTOCOL_ICMP, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP
from kernel.net.link.checksum import pseudo_header, sum_bytes
from kernel.net.link.hooks import (
    FAMILY_IP4,
    INPUT,
    OUTPUT,
    POSTROUTING,
    PREROUTING,
    PRIORITY_CONFIRM,
    PRIORITY_CONNECTIONS,
    Hook,
    Place,
    Verdict,
    register_hook,
    unregister_hook,
    want_whole,
    want_whole_no_more,
)
from kernel.net.link.network import Network
from kernel.net.link.packet import CHECKSUM_NONE, CHECKSUM_VERIFIED, UNTRACKED, Packet
from kernel.time import monotonic_ns

_UDP_HEADER: Final = 8
_ICMP_HEADER: Final = 8
_TCP_HEADER: Final = 20
_STREAM_NS: Final = 2_000_000_000  # a dialogue that goes on after that time is a stream
_AUTOMATIC: Final = 2  # of nf_conntrack_events: while there are listeners
_TRIES: Final = 3

# One packet at a time is handled between two sleeps.
_PROBE: Final = Tuple()
_SEGMENT: Final = TcpSegment()
_QUOTED: Final = Quoted()


@final
class _Tracking(Hook):
    """Finds a packet's connection."""

    def look(self, packet: Packet, place: Place) -> Verdict:
        if packet.connection is not None or packet.tracking == UNTRACKED:
            return Verdict.ACCEPT
        table = find_table(place.network)
        if table is None or place.offset != 0 or place.protocol < 0:
            return Verdict.ACCEPT
        transport = span_of(packet.storage)[packet.transport_start : packet.end]
        protocol = place.protocol
        is_ip4 = place.family == FAMILY_IP4
        if not _is_sound(packet, place, transport, protocol):
            table.statistics.errors += 1
            table.statistics.invalid += 1
            return Verdict.ACCEPT
        if protocol == (PROTOCOL_ICMP if is_ip4 else PROTOCOL_ICMP6):
            kind = transport[0]
            if not is_ip4 and is_untracked6(kind):
                packet.tracking = UNTRACKED
                return Verdict.ACCEPT
            if is_error4(kind) if is_ip4 else is_error6(kind):
                if not _relate(packet, table, transport, is_ip4=is_ip4):
                    table.statistics.errors += 1
                    table.statistics.invalid += 1
                return Verdict.ACCEPT
        return _track(packet, place, table, transport)


@final
class _Confirmation(Hook):
    """Enters connections, and reports their changes."""

    def look(self, packet: Packet, place: Place) -> Verdict:
        connection = packet.connection
        if not isinstance(connection, Connection):
            return Verdict.ACCEPT
        table = find_table(place.network)
        if table is None:
            return Verdict.ACCEPT
        is_original = packet.tracking == TRACKING_NEW or packet.tracking == TRACKING_ESTABLISHED
        if is_original and not connection.has(STATUS_CONFIRMED) and not table.confirm(connection):
            return Verdict.DROP
        if connection.changes != 0 and connection.has(STATUS_CONFIRMED):
            table.report(connection)
        return Verdict.ACCEPT


_TRACKING: Final = _Tracking(PRIORITY_CONNECTIONS)
_CONFIRMATION: Final = _Confirmation(PRIORITY_CONFIRM)


def use_tracking(network: Network, family: int) -> None:
    """Start to track the connections of a network's packets of a family. Raises MemoryError, with nothing done.
    """
    table = table_of(network)
    users = table.users4 if family == FAMILY_IP4 else table.users6
    if users == 0:
        want_whole(network, family)
        entered = 0
        try:
            for point in range(POSTROUTING + 1):
                hook = _hook_at(point)
                if hook is not None:
                    register_hook(network, family, point, hook)
                entered += 1
        except MemoryError:
            _leave(network, family, entered)
            raise
    if family == FAMILY_IP4:
        table.users4 = users + 1
    else:
        table.users6 = users + 1


def unuse_tracking(network: Network, family: int) -> None:
    """The reverse. Known connections stay until they expire."""
    table = find_table(network)
    if table is None:
        return
    users = table.users4 if family == FAMILY_IP4 else table.users6
    if family == FAMILY_IP4:
        table.users4 = users - 1
    else:
        table.users6 = users - 1
    if users == 1:
        _leave(network, family, POSTROUTING + 1)


def _leave(network: Network, family: int, end: int) -> None:
    """Take the hooks of all points before `end` out."""
    for point in range(end):
        hook = _hook_at(point)
        if hook is not None:
            unregister_hook(network, family, point, hook)
    want_whole_no_more(network, family)


def _hook_at(point: int) -> Hook | None:
    if point == PREROUTING or point == OUTPUT:
        return _TRACKING
    return _CONFIRMATION if point == INPUT or point == POSTROUTING else None


# ---- Packets ----------------------------------------------------------------------------------------------------


def _is_sound(packet: Packet, place: Place, transport: Span[u8], protocol: int) -> bool:
    """Whether lengths and the checksum are right; the latter only for received packets not yet verified."""
    length = len(transport)
    is_ip4 = place.family == FAMILY_IP4
    if protocol == PROTOCOL_TCP:
        if length < _TCP_HEADER:
            return False
    elif protocol == PROTOCOL_UDP or protocol == PROTOCOL_UDP_LITE:
        if length < _UDP_HEADER:
            return False
        said = transport.load_be16(4)
        if protocol == PROTOCOL_UDP:
            if said > length or said < _UDP_HEADER:
                return False
            if transport.load_be16(6) == 0:
                return is_ip4 or packet.checksum != CHECKSUM_NONE
            length = said
        else:
            return True  # the header says what it covers; its receiver checks
    elif protocol == (PROTOCOL_ICMP if is_ip4 else PROTOCOL_ICMP6):
        if length < _ICMP_HEADER or (is_ip4 and not is_known4(transport[0])):
            return False
    else:
        return True
    if place.point != PREROUTING or packet.checksum != CHECKSUM_NONE or packet.segment_size != 0:
        return True
    if SETTINGS.checksum.of(place.network) == 0:
        return True
    pseudo = 0
    if protocol != PROTOCOL_ICMP:
        pseudo = pseudo_header(packet.source, packet.destination, protocol, length)
    if sum_bytes(transport[:length], pseudo) != 0xFFFF:
        return False
    packet.checksum = CHECKSUM_VERIFIED
    return True


def _relate(packet: Packet, table: ConnectionTable, message: Span[u8], is_ip4: bool) -> bool:
    """Find the connection that an ICMP error is about. False: there is none, or the error is not for its sender."""
    quoted = _QUOTED
    if not quoted.read(message, quote_offset(message, is_ip4), is_ip4):
        return False
    inner = message[quoted.transport :]
    if not read_tuple(_PROBE, quoted.source, quoted.destination, quoted.protocol, inner):
        return False
    there = Tuple()
    there.take(_PROBE)
    _PROBE.take_inverse(there)
    _PROBE.compute_hash()
    found = table.find(_PROBE)
    if found is None or found.connection is None or found.destination != packet.destination:
        return False
    packet.connection = found.connection
    packet.tracking = TRACKING_RELATED_REPLY if found.is_reply else TRACKING_RELATED
    return True


def _track(packet: Packet, place: Place, table: ConnectionTable, transport: Span[u8]) -> Verdict:
    """Find the connection, or begin one, and let its protocol judge the packet."""
    network = place.network
    protocol = place.protocol
    now_ns = monotonic_ns()
    options = transport
    if protocol == PROTOCOL_TCP:
        if not _SEGMENT.read(transport):
            return _invalid(table)
        options = transport[_TCP_HEADER : _SEGMENT.header_length]
    for _ in range(_TRIES):
        if not read_tuple(_PROBE, packet.source, packet.destination, protocol, transport):
            return _invalid(table)
        _PROBE.compute_hash()
        found = table.find(_PROBE)
        connection = None if found is None else found.connection
        if connection is not None and connection.left_ns(now_ns) == 0:
            table.drop(connection)
            continue
        is_reply = found is not None and found.is_reply
        if connection is None:
            if not table.make_room():
                return Verdict.DROP
            connection = _begin(network, protocol, options, now_ns)
            if connection is None:
                return _invalid(table)
        outcome = _judge(network, connection, protocol, options, is_reply=is_reply, now_ns=now_ns)
        if outcome == Outcome.REPEAT:
            table.drop(connection)
            continue
        if outcome == Outcome.INVALID:
            return _invalid(table)
        _attach(packet, connection, is_reply=is_reply, counts=outcome != Outcome.IDLE)
        if outcome == Outcome.RESET:
            table.drop(connection)
        return Verdict.ACCEPT
    return Verdict.DROP


def _invalid(table: ConnectionTable) -> Verdict:
    table.statistics.invalid += 1
    return Verdict.ACCEPT


def _begin(network: Network, protocol: int, options: Span[u8], now_ns: int) -> Connection | None:
    """A connection for the tuple of `_PROBE`, by its first packet; None if none can begin. Raises MemoryError."""
    is_icmp = protocol == PROTOCOL_ICMP or protocol == PROTOCOL_ICMP6
    if is_icmp and not is_question(protocol, _PROBE.destination_port):
        return None
    connection = Connection()
    connection.original.take(_PROBE)
    connection.reply.take_inverse(_PROBE)
    connection.reply.is_reply = True
    set_extras(network, connection, now_ns)
    if protocol == PROTOCOL_TCP and not tcp_tracking.begin(network, connection, _SEGMENT, options):
        return None
    return connection


def set_extras(network: Network, connection: Connection, now_ns: int) -> None:
    """Set up what the settings want recorded about a new connection."""
    connection.stream_ns = now_ns + _STREAM_NS
    connection.is_counted = SETTINGS.acct.of(network) != 0
    connection.is_timed = SETTINGS.timestamp.of(network) != 0
    events = SETTINGS.events.of(network)
    connection.is_reported = events != 0 and (events != _AUTOMATIC or WATCH.watcher.has_listener(network))


def _judge(
    network: Network, connection: Connection, protocol: int, options: Span[u8], is_reply: bool, now_ns: int
) -> Outcome:
    """What a packet means to its connection."""
    if protocol == PROTOCOL_TCP:
        return tcp_tracking.take(network, connection, _SEGMENT, options, is_reply=is_reply, now_ns=now_ns)
    if protocol == PROTOCOL_UDP or protocol == PROTOCOL_UDP_LITE:
        _take_datagram(network, connection, now_ns)
        return Outcome.GOOD
    timeout = SETTINGS.generic
    if protocol == PROTOCOL_ICMP:
        timeout = SETTINGS.icmp4
    elif protocol == PROTOCOL_ICMP6:
        timeout = SETTINGS.icmp6
    connection.refresh(in_ns(timeout.of(network)), now_ns)
    return Outcome.GOOD


def _take_datagram(network: Network, connection: Connection, now_ns: int) -> None:
    """UDP: a dialogue that goes on is a stream, lives longer, and is not evicted early."""
    if not connection.has(STATUS_SEEN_REPLY) or now_ns <= connection.stream_ns:
        connection.refresh(in_ns(SETTINGS.udp.of(network)), now_ns)
        return
    connection.refresh(in_ns(SETTINGS.udp_stream.of(network)), now_ns)
    if not connection.has(STATUS_ASSURED):
        connection.status |= STATUS_ASSURED
        connection.note(EVENT_ASSURED)


def _attach(packet: Packet, connection: Connection, is_reply: bool, counts: bool) -> None:
    """Attach the packet to the connection."""
    packet.connection = connection
    if is_reply:
        packet.tracking = TRACKING_ESTABLISHED_REPLY
        if not connection.has(STATUS_SEEN_REPLY):
            connection.status |= STATUS_SEEN_REPLY
            connection.note(EVENT_REPLY)
    else:
        packet.tracking = TRACKING_ESTABLISHED if connection.has(STATUS_SEEN_REPLY) else TRACKING_NEW
    if not connection.is_counted or not counts:
        return
    length = packet.end - packet.network_start
    if is_reply:
        connection.reply_packets += 1
        connection.reply_bytes += length
    else:
        connection.packets += 1
        connection.bytes += length
