"""What programs of bpf(2) learn about a packet (struct __sk_buff), and which of its bytes they see.

Nothing in the network sleeps, so a packet for which programs would take more than MOST_COST instructions is dropped,
and so is one that comes when the running thread has gone MOST_BEHIND instructions past where it should have had a safe
point.

Context: nothing sleeps. May raise MemoryError.
Source: Linux's include/uapi/linux/bpf.h (struct __sk_buff).
"""

from typing import Final

from kernel.bpf.packet_view import PacketView
from kernel.bpf.subject import (
    PACKET_ARRIVED_AT,
    PACKET_CONTEXT,
    PACKET_DEVICE,
    PACKET_KIND,
    PACKET_LENGTH,
    PACKET_MARK,
    PACKET_PROTOCOL,
    PACKET_SEGMENT_SIZE,
    PACKET_SEGMENTS,
)
from kernel.lang import span_of
from kernel.net.link.device import NetworkDevice
from kernel.net.link.packet import PACKET_OUTGOING, Packet

MOST_COST: Final = 150_000  # instructions of the processor for a packet, one way
MOST_BEHIND: Final = 500_000  # with the budget of a stretch, and one packet more, below STRETCH_LIMIT
_TCP_LENGTH: Final = 12  # where a TCP header says how long it is


def packet_context(packet: Packet, length: int, device: NetworkDevice | None, kind: int) -> bytearray:
    """A struct __sk_buff of a packet of which `length` bytes are shown. One that goes out has not arrived anywhere."""
    index = 0 if device is None else device.index
    context = bytearray(PACKET_CONTEXT)
    words = span_of(context)
    words.store_u32(PACKET_LENGTH, length)
    words.store_u32(PACKET_KIND, kind)
    words.store_u32(PACKET_MARK, packet.mark)
    words.store_be16(PACKET_PROTOCOL, packet.protocol)
    words.store_u32(PACKET_ARRIVED_AT, 0 if kind == PACKET_OUTGOING else index)
    words.store_u32(PACKET_DEVICE, index)
    size = packet.segment_size
    if size != 0:
        words.store_u32(PACKET_SEGMENTS, (_payload_bytes(packet) + size - 1) // size)
        words.store_u32(PACKET_SEGMENT_SIZE, size)
    return context


def _payload_bytes(packet: Packet) -> int:
    """Of a packet that holds many segments of TCP."""
    start = packet.transport_start
    if start + _TCP_LENGTH >= packet.end:
        return 0
    return max(packet.end - start - (packet.storage[start + _TCP_LENGTH] >> 4) * 4, 0)


def view_of(packet: Packet, start: int) -> PacketView:
    """The bytes of a packet from `start` in its storage on."""
    view = PacketView(packet.storage, start, packet.end)
    view.network_start = packet.network_start
    view.link_start = packet.filter_link_header()
    return view
