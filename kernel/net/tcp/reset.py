"""Resets in answer to segments that belong to no connection (RFC 9293, section 3.10.7.1)."""

from typing import Final

from kernel.net.link.packet import Packet
from kernel.net.tcp.header import ACK, FIN, RST, SYN, OutgoingHeader, Segment

_header: Final = OutgoingHeader()


def answer(segment: Segment, payload: int) -> Packet | None:
    """The reset for a segment with `payload` bytes of data; None for a reset, which is never answered. Raises
    MemoryError.
    """
    if segment.flags & RST != 0:
        return None
    header = _header
    header.clear_options()
    header.source_port = segment.destination_port
    header.destination_port = segment.source_port
    header.window = 0
    if segment.flags & ACK != 0:
        header.flags = RST
        header.sequence = segment.acknowledgment
        header.acknowledgment = 0
    else:
        header.flags = RST | ACK
        header.sequence = 0
        length = payload + (1 if segment.flags & SYN != 0 else 0) + (1 if segment.flags & FIN != 0 else 0)
        header.acknowledgment = segment.sequence + length
    packet = Packet(0)
    header.put_before(packet)
    return packet
