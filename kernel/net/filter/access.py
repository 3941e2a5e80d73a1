"""What firewall rules ask about a packet's connection (nft(8), "CT").

Context: thread context; nothing sleeps, raises or allocates.
"""

from typing import Final

from kernel.net.filter.connection import (
    EVENT_MARK,
    TRACKING_NEW,
    TRACKING_RELATED,
    TRACKING_RELATED_REPLY,
    Connection,
    is_reply,
)
from kernel.net.filter.connection_table import find_table
from kernel.net.filter.tuples import Tuple, source_hash
from kernel.net.internet.transport import PROTOCOL_TCP
from kernel.net.link.network import Network
from kernel.net.link.packet import UNTRACKED, Packet

STATE_INVALID: Final = 0x1
STATE_ESTABLISHED: Final = 0x2
STATE_RELATED: Final = 0x4
STATE_NEW: Final = 0x8
STATE_UNTRACKED: Final = 0x40

_NS_PER_MS: Final = 1_000_000


def connection_of(packet: Packet) -> Connection | None:
    """The connection that a packet belongs to, if there is one."""
    connection = packet.connection
    return connection if isinstance(connection, Connection) else None


def state_bits(packet: Packet) -> int:
    """The packet's connection state as one of STATE_*."""
    if packet.connection is None:
        return STATE_UNTRACKED if packet.tracking == UNTRACKED else STATE_INVALID
    if packet.tracking == TRACKING_NEW:
        return STATE_NEW
    if packet.tracking == TRACKING_RELATED or packet.tracking == TRACKING_RELATED_REPLY:
        return STATE_RELATED
    return STATE_ESTABLISHED


def is_reply_packet(packet: Packet) -> bool:
    """Whether a packet with a connection travels in the reply direction."""
    return is_reply(packet.tracking)


def tuple_of(connection: Connection, is_reply: bool) -> Tuple:
    """The tuple of a direction."""
    return connection.tuple_of(is_reply)


def set_mark(connection: Connection, mark: int) -> None:
    """Mark a connection with a u32."""
    if connection.mark != mark:
        connection.mark = mark
        connection.note(EVENT_MARK)


def expires_in_ms(connection: Connection, now_ns: int) -> int:
    """How long the connection lives without another packet, in milliseconds."""
    return connection.left_ns(now_ns) // _NS_PER_MS


def identifier(connection: Connection) -> int:
    """A number that distinguishes the connection from others, and means nothing else: 32 bits."""
    original = connection.original
    return source_hash(original.source + original.destination, connection.serial & 0xFFFF, original.protocol)


def attach(answer: Packet, offender: Packet) -> None:
    """A packet of ours, which has not passed OUTPUT, answers another one: it is RELATED to that one's connection."""
    connection = offender.connection
    if connection is None:
        return
    answer.connection = connection
    answer.tracking = TRACKING_RELATED if is_reply(offender.tracking) else TRACKING_RELATED_REPLY


_WANTED: Final = Tuple()  # nothing sleeps while it is used


def original_of(network: Network, own: bytes, own_port: int, peer: bytes, peer_port: int) -> Tuple | None:
    """The original direction of the connection that a TCP socket here is one end of: its destination is the one that
    the other end connected to, before any translation. None if the connection is not tracked.
    """
    table = find_table(network)
    if table is None:
        return None
    _WANTED.source = own
    _WANTED.source_port = own_port
    _WANTED.destination = peer
    _WANTED.destination_port = peer_port
    _WANTED.protocol = PROTOCOL_TCP
    _WANTED.compute_hash()
    found = table.find(_WANTED)
    connection = None if found is None else found.connection
    return None if connection is None else connection.original
