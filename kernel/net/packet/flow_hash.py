"""A number for the flow of a packet: the same for all its packets, in both directions.

Invariant: never 0, which stands for "not known". The key is random, so that no one can aim at one number.
Context: thread context; never sleeps. Of truncated packets only the remaining part counts.
"""

from typing import Final

from kernel.lang import Span, span_of, u8
from kernel.lib.half_sip_hash import HalfSipHash
from kernel.net.internet.transport import PROTOCOL_TCP, PROTOCOL_UDP
from kernel.net.link.ethernet import ETHERTYPE_IP4, ETHERTYPE_IP6
from kernel.net.link.packet import Packet

_FRAGMENT_BITS: Final = 0x3FFF  # of an IPv4 header's flags and offset: any of them marks a fragment

_HASHER: Final = HalfSipHash()


def flow_hash(packet: Packet) -> int:
    """32 bits, from protocol, addresses and ports; for fragments, and other protocols, without the ports."""
    header = span_of(packet.storage)[packet.network_start : packet.end]
    _HASHER.start()
    _HASHER.add(packet.protocol)
    if packet.protocol == ETHERTYPE_IP4 and len(header) >= 20:
        _add_pair(header, 12, 16, 4)
        if header.load_be16(6) & _FRAGMENT_BITS == 0:
            _add_ports(header, header[9], (header[0] & 15) * 4)
    elif packet.protocol == ETHERTYPE_IP6 and len(header) >= 40:
        _add_pair(header, 8, 24, 16)
        _add_ports(header, header[6], 40)
    result = _HASHER.finish()
    return result if result != 0 else 1


def _add_pair(header: Span[u8], first: int, second: int, size: int) -> None:
    """Add two addresses to the hash, in either order."""
    for at in range(0, size, 4):
        a = header.load_be32(first + at)
        b = header.load_be32(second + at)
        _HASHER.add(a ^ b)
        _HASHER.add(a & b)


def _add_ports(header: Span[u8], protocol: int, start: int) -> None:
    _HASHER.add(protocol)
    if (protocol == PROTOCOL_TCP or protocol == PROTOCOL_UDP) and len(header) >= start + 4:
        a = header.load_be16(start)
        b = header.load_be16(start + 2)
        _HASHER.add(min(a, b) << 16 | max(a, b))
