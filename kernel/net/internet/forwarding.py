"""Forwarding: what a router does with a datagram for another host (RFC 1812 section 5.2, RFC 8200).

Done only if net.ipv4.conf.NAME.forwarding of the receiving interface says so, or net.ipv6.conf.all.forwarding.
The TTL counts down; a datagram that is too large is reported or split, one without a route is reported.

Context: thread context; nothing sleeps.
"""

from kernel.lang import EHOSTUNREACH, EMSGSIZE, Errno, final, span_of
from kernel.net.internet import icmp, icmpv6, ipv4, ipv6
from kernel.net.internet.addresses import is_link_local, is_loopback
from kernel.net.internet.interface_settings import FORWARDING4, sends_redirects
from kernel.net.internet.ipv4 import Ip4Hook
from kernel.net.internet.ipv6 import Ip6Hook
from kernel.net.internet.output import NextHop, resolve
from kernel.net.internet.passage import pass_forward
from kernel.net.internet.rate_limit import rates_of
from kernel.net.internet.routes import UNICAST
from kernel.net.internet.sysctl import IP6_SETTINGS
from kernel.net.link.checksum import checksum, replace_word
from kernel.net.link.network import network_of
from kernel.net.link.packet import Packet
from kernel.net.link.segmentation import fits
from kernel.time import monotonic_ns


def _way(packet: Packet) -> NextHop | None:
    """The route to the destination; None if there is none, and the sender has been notified."""
    code = 0
    try:
        return resolve(network_of(packet), packet.destination, packet.source)
    except Errno as error:
        code = error.code
    if len(packet.source) == 4:
        network_of(packet).ip4.in_no_routes += 1
        icmp.send_error(
            packet, icmp.UNREACHABLE, icmp.HOST_UNREACHABLE if code == EHOSTUNREACH else icmp.NET_UNREACHABLE, 0
        )
    else:
        network_of(packet).ip6.in_no_routes += 1
        icmpv6.send_error(packet, icmpv6.UNREACHABLE, icmpv6.NO_ROUTE, 0)
    return None


@final
class _Forward4(Ip4Hook):
    def send_unreachable(self, packet: Packet, code: int) -> None:
        icmp.send_error(packet, icmp.UNREACHABLE, code, 0)

    def send_parameter_problem(self, packet: Packet, pointer: int) -> None:
        icmp.send_error(packet, icmp.PARAMETER_PROBLEM, 0, pointer << 24)

    def forward(self, packet: Packet) -> None:
        device = packet.device
        if device is None or FORWARDING4.of(device) == 0:
            network_of(packet).ip4.in_address_errors += 1
            return
        packet.network_start = packet.start
        header = packet.span()
        if header[8] <= 1:
            network_of(packet).ip4.in_header_errors += 1
            icmp.send_error(packet, icmp.TIME_EXCEEDED, icmp.TTL_EXCEEDED, 0)
            return
        hop = _way(packet)
        if hop is None:
            return
        if hop.kind != UNICAST:
            network_of(packet).ip4.in_address_errors += 1
            return
        is_fixed = header.load_be16(6) & ipv4.DONT_FRAGMENT != 0
        if is_fixed and not fits(packet, hop.mtu):
            network_of(packet).ip4.fragment_fails += 1
            icmp.send_error(packet, icmp.UNREACHABLE, icmp.FRAGMENTATION_NEEDED, hop.mtu)
            return
        header_length = (header[0] & 0xF) * 4
        if header_length > ipv4.HEADER:
            # Its options record that it passed this host.
            header[8] = header[8] - 1
            header.store_be16(10, 0)
            header.store_be16(10, checksum(header[0:header_length]))
        else:
            old = header.load_be16(8)
            header[8] = header[8] - 1
            header.store_be16(10, replace_word(header.load_be16(10), old, header.load_be16(8)))
        packet.send_on()
        if hop.network.hooks4 is not None and not pass_forward(packet, hop):
            return
        network_of(packet).ip4.forwarded += 1
        if device is hop.device and sends_redirects(device):
            self._tell_better_way(packet, packet.destination if len(hop.gateway) == 0 else hop.gateway)
        try:
            ipv4.transmit(packet, hop, is_fixed)
        except Errno as error:
            if error.code != EMSGSIZE:
                network_of(packet).ip4.out_discards += 1

    def _tell_better_way(self, packet: Packet, gateway: bytes) -> None:
        """Redirect the sender: `gateway`, on its own link, is a better way (RFC 1812, section 5.2.7.2)."""
        if rates_of(network_of(packet)).redirects.allows(packet.source, monotonic_ns()):
            icmp.send_error(packet, icmp.REDIRECT, icmp.REDIRECT_HOST, span_of(gateway).load_be32(0))


@final
class _Forward6(Ip6Hook):
    def send_parameter_problem(self, packet: Packet, code: int, pointer: int) -> None:
        icmpv6.send_error(packet, icmpv6.PARAMETER_PROBLEM, code, pointer)

    def send_no_route(self, packet: Packet) -> None:
        icmpv6.send_error(packet, icmpv6.UNREACHABLE, icmpv6.NO_ROUTE, 0)

    def forward(self, packet: Packet) -> None:
        is_router = IP6_SETTINGS.forwarding.of(network_of(packet)) != 0
        if not is_router or is_link_local(packet.source) or is_loopback(packet.source):
            network_of(packet).ip6.in_address_errors += 1
            return
        header = packet.span()
        if header[7] <= 1:
            network_of(packet).ip6.in_header_errors += 1
            icmpv6.send_error(packet, icmpv6.TIME_EXCEEDED, 0, 0)
            return
        hop = _way(packet)
        if hop is None:
            return
        if hop.kind != UNICAST or is_link_local(packet.destination):
            network_of(packet).ip6.in_address_errors += 1
            return
        if not fits(packet, hop.mtu) and (packet.fragment_size == 0 or packet.fragment_size > hop.mtu):
            network_of(packet).ip6.in_too_big_errors += 1
            icmpv6.send_error(packet, icmpv6.PACKET_TOO_BIG, 0, hop.mtu)
            return
        header[7] = header[7] - 1
        packet.send_on()
        if hop.network.hooks6 is not None and not pass_forward(packet, hop):
            return
        network_of(packet).ip6.forwarded += 1
        try:
            ipv6.transmit(packet, hop, dont_fragment=packet.fragment_size == 0)
        except Errno:
            network_of(packet).ip6.out_discards += 1


ipv4.STATE.hook = _Forward4()
ipv6.STATE.hook = _Forward6()
