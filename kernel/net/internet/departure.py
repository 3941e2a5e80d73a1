"""Sending datagrams: what both versions of IP share: hooks, copies for this host, the path's MTU.

Context: thread context; nothing sleeps.
"""

from kernel.lang import EMSGSIZE, Errno
from kernel.net.internet.output import NextHop
from kernel.net.internet.passage import pass_output, pass_postrouting
from kernel.net.internet.routes import BROADCAST, MULTICAST
from kernel.net.link.counters import IpCounters
from kernel.net.link.packet import CHECKSUM_PARTIAL, CHECKSUM_VERIFIED, Packet
from kernel.net.link.segmentation import fits


def pass_hooks(packet: Packet, hop: NextHop, loops: bool) -> NextHop | None:
    """Pass a complete packet through the hooks. Returns its route from there on, or None if a hook took it. `loops`:
    this host gets a copy (`loop_back`). EPERM, MemoryError, and those of `resolve`.
    """
    way = pass_output(packet, hop)
    if way is None:
        return None
    if loops:
        loop_back(packet, way)
    return way if pass_postrouting(packet, way) else None


def loop_back(packet: Packet, hop: NextHop) -> None:
    """Deliver a copy of a packet for a group, or of IPv4 for all, complete with its header, to this host as well. Does
    nothing for others, and for those that come back here anyway.
    """
    is_for_many = hop.kind == MULTICAST or (hop.kind == BROADCAST and len(hop.destination) == 4)
    if not is_for_many or hop.device.is_loop:
        return
    copy = packet.copy()
    if copy.checksum == CHECKSUM_PARTIAL:
        copy.checksum = CHECKSUM_VERIFIED
    copy.from_ourselves = True
    loopback = hop.network.loopback
    if loopback.is_up() and loopback.transmit(copy):
        copy.device = hop.device


def send_whole(packet: Packet, hop: NextHop, counters: IpCounters, dont_fragment: bool) -> bool:
    """Send a packet with a complete header if the path has room for it; False: it must be cut. EMSGSIZE where it must
    not be, MemoryError.
    """
    if packet.fragment_size == 0 and fits(packet, hop.mtu):
        counters.out_transmits += 1
        counters.out_bytes += len(packet)
        hop.transmit(packet)
        return True
    if dont_fragment:
        counters.fragment_fails += 1
        raise Errno(EMSGSIZE)
    return False
