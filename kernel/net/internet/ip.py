"""A common interface to both versions of IP, for the protocols above.

Context: thread context; nothing sleeps.
"""

from kernel.net.internet import icmp, icmpv6, ipv4, ipv6
from kernel.net.internet.addresses import LIMITED_BROADCAST, is_multicast
from kernel.net.internet.output import NextHop
from kernel.net.internet.routes import BROADCAST, find_route
from kernel.net.link.network import Network
from kernel.net.link.packet import Packet


def send(
    packet: Packet,
    hop: NextHop,
    source: bytes,
    protocol: int,
    ttl: int,
    tos: int,
    dont_fragment: bool,
    options: bytes = b"",
    loops: bool = False,
) -> None:
    """Send a packet that starts with its transport header. EMSGSIZE, ENOBUFS, MemoryError."""
    if len(source) == 4:
        ipv4.send(packet, hop, source, protocol, ttl, tos, dont_fragment, options, loops)
    else:
        ipv6.send(packet, hop, source, protocol, ttl, tos, dont_fragment, loops)


def send_port_unreachable(packet: Packet) -> None:
    """Report that no socket here receives a datagram. May raise MemoryError."""
    if len(packet.source) == 4:
        icmp.send_error(packet, icmp.UNREACHABLE, icmp.PORT_UNREACHABLE, 0)
    else:
        icmpv6.send_error(packet, icmpv6.UNREACHABLE, icmpv6.PORT_UNREACHABLE, 0)


def is_broadcast(network: Network, address: bytes) -> bool:
    """Whether an IPv4 address is a broadcast, everywhere or on one of our links."""
    if address == LIMITED_BROADCAST:
        return True
    if is_multicast(address):
        return False
    route = find_route(network, address)
    return route is not None and route.kind == BROADCAST
