"""Explicit congestion notification: routers mark packets instead of dropping them (RFC 3168).

Both sides agree in their SYNs. From then on new data leaves with a code in its IP header that lets a router mark it; a
receiver that sees a mark echoes it in every segment (ECE) until the sender, who has halved its window as for a loss,
says so with new data (CWR).

Retransmissions and acknowledgments must not be marked: the loss of data, or of an acknowledgment, would go unnoticed.
"""

from typing import Final

from kernel.net.link.packet import Packet
from kernel.net.tcp.connection import Connection
from kernel.net.tcp.header import ACK, CWR, ECE, Segment
from kernel.net.tcp.parts import Recovery
from kernel.net.tcp.tcp_settings import SETTINGS

_CODES: Final = 3  # of the traffic class
CAPABLE: Final = 2  # ECT(0)
_MARKED: Final = 3  # CE
_ASKS: Final = 1  # a value of tcp_ecn


def flags_of_syn(c: Connection, is_answer: bool) -> int:
    """The flags for our SYN."""
    if is_answer:
        return ECE if c.agreed.is_ecn else 0
    return ECE | CWR if SETTINGS.ecn.of(c.network) == _ASKS and c.timers.retries == 0 else 0


def take_syn(c: Connection, segment: Segment, packet: Packet) -> None:
    """Take the peer's SYN, or its answer to ours. A SYN that may be marked asks for a newer protocol than this."""
    wants = segment.flags & (ECE | CWR)
    if segment.flags & ACK != 0:
        c.agreed.is_ecn = wants == ECE and SETTINGS.ecn.of(c.network) == _ASKS
    else:
        c.agreed.is_ecn = wants == ECE | CWR and SETTINGS.ecn.of(c.network) != 0 and packet.traffic_class & _CODES == 0


def take_marks(c: Connection, segment: Segment, packet: Packet) -> None:
    """Take the marks of a segment, which may hold data and lies in the window."""
    if segment.flags & CWR != 0:
        c.marks.owes_echo = False
        if len(packet) > 0:
            c.receiver.ack_now = True
    if len(packet) > 0 and packet.traffic_class & _CODES == _MARKED:
        c.network.tcp_events.marks_received.count += 1
        if not c.marks.owes_echo:
            c.receiver.quick_acks = max(c.receiver.quick_acks, 2)
        c.marks.owes_echo = True


def take_echo(c: Connection) -> None:
    """The peer has seen a mark: slow down, once per window, unless a loss has already slowed us down."""
    if c.losses.recovery != Recovery.OPEN or c.sender.una < c.marks.echo_point:
        return
    c.congestion.lost(c.flight())
    c.congestion.window = c.congestion.threshold
    slowed_down(c)


def slowed_down(c: Connection) -> None:
    """The window became smaller, for whatever reason."""
    c.marks.echo_point = c.sender.nxt
    c.marks.owes_reduced = True


def mark_new(c: Connection, packet: Packet) -> int:
    """Allow marks on a packet that was not sent before, if it has data. Returns the flags for its header."""
    if len(packet) == 0:
        return 0
    packet.traffic_class = CAPABLE
    if not c.marks.owes_reduced:
        return 0
    c.marks.owes_reduced = False
    return CWR
