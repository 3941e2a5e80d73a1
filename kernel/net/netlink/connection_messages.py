"""Connections as attributes of messages, and back (libnetfilter_conntrack's CTA_*). Numbers are in the network's order.

Context: system calls, and wherever connections change; nothing sleeps. Raises MemoryError.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, span_of
from kernel.net.filter.access import identifier
from kernel.net.filter.connection import (
    EVENT_DESTROY,
    EVENT_MARK,
    EVENT_NEW,
    EVENT_PROTOCOL,
    EVENT_RELATED,
    Connection,
)
from kernel.net.filter.tcp_state import TcpEnd
from kernel.net.filter.tuples import Tuple, has_ports
from kernel.net.internet.transport import PROTOCOL_ICMP, PROTOCOL_ICMP6
from kernel.net.link.hooks import FAMILY_IP4, FAMILY_IP6
from kernel.net.netlink.messages import NLM_F_CREATE, NLM_F_EXCL, MessageWriter, Request, find_attribute
from kernel.net.netlink.subsystems import NFNL_SUBSYS_CTNETLINK, begin_message
from kernel.time import monotonic_ns

MESSAGE_NEW: Final = 0
MESSAGE_DELETE: Final = 2

TUPLE_ORIGINAL: Final = 1
TUPLE_REPLY: Final = 2
STATUS: Final = 3
PROTOCOL_INFORMATION: Final = 4
HELP: Final = 5
NAT_SOURCE: Final = 6
TIMEOUT: Final = 7
MARK: Final = 8
_COUNTERS_ORIGINAL: Final = 9
_COUNTERS_REPLY: Final = 10
_USE: Final = 11
ID: Final = 12
NAT_DESTINATION: Final = 13
TUPLE_MASTER: Final = 14
ZONE: Final = 18
_TIMESTAMP: Final = 20
MARK_MASK: Final = 21
_PROXY: Final = 24
FILTER: Final = 25
STATUS_MASK: Final = 26

TCP: Final = 1  # in PROTOCOL_INFORMATION
TCP_STATE: Final = 1
_TCP_SCALE_ORIGINAL: Final = 2
_TCP_SCALE_REPLY: Final = 3
_TCP_FLAGS_ORIGINAL: Final = 4
_TCP_FLAGS_REPLY: Final = 5

_TUPLE_IP: Final = 1
_TUPLE_PROTOCOL: Final = 2
_NUMBER: Final = 1
_SOURCE_PORT: Final = 2
_DESTINATION_PORT: Final = 3
_ICMP_ID: Final = 4
_ICMP6_ID: Final = 7

_PACKETS: Final = 1
_BYTES: Final = 2
_START: Final = 1
_STOP: Final = 2

_NESTED: Final = 0x8000
_FLAG_MASK: Final = 0xFF


def family_of(connection: Connection) -> int:
    """AF_INET or AF_INET6."""
    return FAMILY_IP4 if len(connection.original.source) == 4 else FAMILY_IP6


def put_be32(writer: MessageWriter, kind: int, value: int) -> None:
    """Write an attribute with a 32-bit number."""
    writer.attribute(kind, (value & 0xFFFF_FFFF).to_bytes(4, "big"))


def put_be16(writer: MessageWriter, kind: int, value: int) -> None:
    writer.attribute(kind, (value & 0xFFFF).to_bytes(2, "big"))


def put_be64(writer: MessageWriter, kind: int, value: int) -> None:
    writer.attribute(kind, value.to_bytes(8, "big"))


def put_connection(writer: MessageWriter, connection: Connection, uses: int) -> None:
    """Write everything about a connection in a message of its own: the answer to a GET. `uses`: its current holders."""
    begin_message(writer, NFNL_SUBSYS_CTNETLINK, MESSAGE_NEW, family_of(connection))
    _put_tuple(writer, TUPLE_ORIGINAL, connection.original)
    _put_tuple(writer, TUPLE_REPLY, connection.reply)
    put_be32(writer, STATUS, connection.status)
    put_be32(writer, MARK, connection.mark)
    put_be32(writer, ID, identifier(connection))
    put_be32(writer, _USE, uses)
    _put_timeout(writer, connection)
    _put_protocol(writer, connection, is_over=False)
    _put_counters(writer, connection)
    _put_times(writer, connection)
    _put_proxy(writer, connection)
    writer.end()


def put_event(writer: MessageWriter, connection: Connection, changes: int) -> None:
    """Write a message about what happened to a connection (EVENT_*)."""
    if changes & EVENT_DESTROY != 0:
        writer.answer_to(0, 0, 0)
        begin_message(writer, NFNL_SUBSYS_CTNETLINK, MESSAGE_DELETE, family_of(connection))
    else:
        is_new = changes & (EVENT_NEW | EVENT_RELATED) != 0
        writer.answer_to(0, 0, NLM_F_CREATE | NLM_F_EXCL if is_new else 0)
        begin_message(writer, NFNL_SUBSYS_CTNETLINK, MESSAGE_NEW, family_of(connection))
    _put_tuple(writer, TUPLE_ORIGINAL, connection.original)
    _put_tuple(writer, TUPLE_REPLY, connection.reply)
    put_be32(writer, ID, identifier(connection))
    put_be32(writer, STATUS, connection.status)
    if changes & EVENT_DESTROY != 0:
        if connection.left_s(monotonic_ns()) > 0:
            _put_timeout(writer, connection)
        _put_counters(writer, connection)
        _put_times(writer, connection)
        _put_protocol(writer, connection, is_over=True)
    else:
        _put_timeout(writer, connection)
        if changes & EVENT_PROTOCOL != 0:
            _put_protocol(writer, connection, is_over=False)
        _put_proxy(writer, connection)
    if connection.mark != 0 or changes & EVENT_MARK != 0:
        put_be32(writer, MARK, connection.mark)
    writer.end()


def _put_tuple(writer: MessageWriter, kind: int, tuple_: Tuple) -> None:
    whole = writer.begin_attribute(kind | _NESTED)
    addresses = writer.begin_attribute(_TUPLE_IP | _NESTED)
    first = 1 if len(tuple_.source) == 4 else 3
    writer.attribute(first, tuple_.source)
    writer.attribute(first + 1, tuple_.destination)
    writer.end_attribute(addresses)
    protocol = writer.begin_attribute(_TUPLE_PROTOCOL | _NESTED)
    writer.attribute_u8(_NUMBER, tuple_.protocol)
    if has_ports(tuple_.protocol):
        put_be16(writer, _SOURCE_PORT, tuple_.source_port)
        put_be16(writer, _DESTINATION_PORT, tuple_.destination_port)
    elif tuple_.protocol == PROTOCOL_ICMP or tuple_.protocol == PROTOCOL_ICMP6:
        identifier_kind = _ICMP_ID if tuple_.protocol == PROTOCOL_ICMP else _ICMP6_ID
        put_be16(writer, identifier_kind, tuple_.source_port)
        writer.attribute_u8(identifier_kind + 1, tuple_.destination_port >> 8)
        writer.attribute_u8(identifier_kind + 2, tuple_.destination_port)
    writer.end_attribute(protocol)
    writer.end_attribute(whole)


def _put_timeout(writer: MessageWriter, connection: Connection) -> None:
    put_be32(writer, TIMEOUT, connection.left_s(monotonic_ns()))


def _put_protocol(writer: MessageWriter, connection: Connection, is_over: bool) -> None:
    """Write TCP's state; for an ended connection nothing else."""
    tcp = connection.tcp
    if tcp is None:
        return
    whole = writer.begin_attribute(PROTOCOL_INFORMATION | _NESTED)
    inner = writer.begin_attribute(TCP | _NESTED)
    writer.attribute_u8(TCP_STATE, tcp.state)
    if not is_over:
        writer.attribute_u8(_TCP_SCALE_ORIGINAL, tcp.first.scale)
        writer.attribute_u8(_TCP_SCALE_REPLY, tcp.second.scale)
        writer.attribute(_TCP_FLAGS_ORIGINAL, _flags(tcp.first))
        writer.attribute(_TCP_FLAGS_REPLY, _flags(tcp.second))
    writer.end_attribute(inner)
    writer.end_attribute(whole)


def _flags(end: TcpEnd) -> bytes:
    """struct nf_ct_tcp_flags, without a mask."""
    return bytes([end.flags & _FLAG_MASK, 0])


def _put_counters(writer: MessageWriter, connection: Connection) -> None:
    if not connection.is_counted:
        return
    original = writer.begin_attribute(_COUNTERS_ORIGINAL | _NESTED)
    put_be64(writer, _PACKETS, connection.packets)
    put_be64(writer, _BYTES, connection.bytes)
    writer.end_attribute(original)
    reply = writer.begin_attribute(_COUNTERS_REPLY | _NESTED)
    put_be64(writer, _PACKETS, connection.reply_packets)
    put_be64(writer, _BYTES, connection.reply_bytes)
    writer.end_attribute(reply)


def _put_times(writer: MessageWriter, connection: Connection) -> None:
    if not connection.is_timed:
        return
    times = writer.begin_attribute(_TIMESTAMP | _NESTED)
    put_be64(writer, _START, connection.started_ns)
    if connection.stopped_ns != 0:
        put_be64(writer, _STOP, connection.stopped_ns)
    writer.end_attribute(times)


def _put_proxy(writer: MessageWriter, connection: Connection) -> None:
    """Write the place for a SYN proxy's data in connections that a program created; it is always empty here."""
    if not connection.is_by_program:
        return
    whole = writer.begin_attribute(_PROXY | _NESTED)
    for kind in (1, 2, 3):
        put_be32(writer, kind, 0)
    writer.end_attribute(whole)


# ---- Requests ---------------------------------------------------------------------------------------------------


def be32_of(value: bytes, default: int) -> int:
    """The number in an attribute, or without one, the default. Raises EINVAL."""
    if len(value) == 0:
        return default
    if len(value) < 4:
        raise Errno(EINVAL)
    return span_of(value).load_be32(0)


def read_tuple(request: Request, kind: int, family: int) -> Tuple | None:
    """The tuple in an attribute; None if there is none. Raises EINVAL."""
    raw = request.attribute(kind)
    if len(raw) == 0:
        return None
    addresses = find_attribute(raw, 0, _TUPLE_IP)
    protocol = find_attribute(raw, 0, _TUPLE_PROTOCOL)
    size = 4 if family == FAMILY_IP4 else 16
    first = 1 if family == FAMILY_IP4 else 3
    source = find_attribute(addresses, 0, first)
    destination = find_attribute(addresses, 0, first + 1)
    number = find_attribute(protocol, 0, _NUMBER)
    known = family == FAMILY_IP4 or family == FAMILY_IP6
    if not known or len(source) != size or len(destination) != size or len(number) == 0:
        raise Errno(EINVAL)
    found = Tuple()
    found.source = source
    found.destination = destination
    found.protocol = number[0]
    if has_ports(found.protocol):
        found.source_port = _be16_of(find_attribute(protocol, 0, _SOURCE_PORT))
        found.destination_port = _be16_of(find_attribute(protocol, 0, _DESTINATION_PORT))
    elif found.protocol == PROTOCOL_ICMP or found.protocol == PROTOCOL_ICMP6:
        identifier_kind = _ICMP_ID if found.protocol == PROTOCOL_ICMP else _ICMP6_ID
        found.source_port = _be16_of(find_attribute(protocol, 0, identifier_kind))
        message = find_attribute(protocol, 0, identifier_kind + 1)
        code = find_attribute(protocol, 0, identifier_kind + 2)
        if len(message) == 0 or len(code) == 0:
            raise Errno(EINVAL)
        found.destination_port = message[0] << 8 | code[0]
    return found


def _be16_of(value: bytes) -> int:
    if len(value) < 2:
        raise Errno(EINVAL)
    return span_of(value).load_be16(0)
