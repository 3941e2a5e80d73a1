"""Redirect messages of ICMP and ICMPv6: which are believed (RFC 1122 section 3.2.2.2, RFC 4861 section 8.1 and 8.3).

A redirect must come from the gateway of the destination's route, and quote a packet that a socket of this host
has sent.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import Errno, final
from kernel.net.internet import icmpv6, redirects
from kernel.net.internet.addresses import LIMITED_BROADCAST, is_link_local, is_multicast
from kernel.net.internet.icmp import REDIRECTS, RedirectListener
from kernel.net.internet.icmpv6 import HANDLERS, MessageHandler
from kernel.net.internet.interface_settings import accepts_redirects
from kernel.net.internet.ndp import HOP_LIMIT, TARGET_LINK_ADDRESS, find_option, learn_link_address, link_address_in
from kernel.net.internet.output import resolve
from kernel.net.internet.routes import UNICAST, find_route
from kernel.net.link.device import NetworkDevice
from kernel.net.link.neighbours import FAILED, HAS_ADDRESS, neighbour_for
from kernel.net.link.packet import Packet
from kernel.time import monotonic_ns

_HEADER6: Final = 40
_REDIRECTED_HEADER: Final = 4


@final
class _Redirects4(RedirectListener):
    def redirected(self, device: NetworkDevice, destination: bytes, router: bytes, gateway: bytes) -> None:
        if gateway == router or gateway[0] == 0 or is_multicast(gateway) or gateway == LIMITED_BROADCAST:
            return
        if not accepts_redirects(device, 4):
            return
        # All hosts of the link share it, so the gateway may be in another network; but not this host, or a broadcast.
        there = find_route(device.network, gateway)
        if there is not None and there.kind != UNICAST:
            return
        try:
            if resolve(device.network, destination, b"", device.index).gateway != router:
                return
            neighbour = neighbour_for(device, gateway)
        except Errno:
            return  # no route, or no room in the table of neighbours
        if neighbour.state & HAS_ADDRESS == 0:
            # The new gateway must exist. The router will redirect again.
            if neighbour.state == FAILED:
                neighbour.begin()
            return
        redirects.learn(destination, device, router, gateway, monotonic_ns())


@final
class _Redirects6(MessageHandler):
    def receive(self, packet: Packet) -> None:
        device = packet.device
        body = packet.span()
        if device is None or packet.hop_limit != HOP_LIMIT or len(body) < _HEADER6 or body[1] != 0:
            return
        router = packet.source
        if not is_link_local(router):
            return
        target = body[8:24].to_bytes()
        destination = body[24:40].to_bytes()
        options = body[_HEADER6 : len(body)]
        quoted_at = find_option(options, _REDIRECTED_HEADER)
        if quoted_at == -2 or is_multicast(destination) or is_multicast(target):
            return
        is_on_link = target == destination
        if (not is_on_link and not is_link_local(target)) or not accepts_redirects(device, 16):
            return
        link_address = link_address_in(options, TARGET_LINK_ADDRESS)
        if quoted_at >= 0:
            length = options[quoted_at + 1] * 8
            at = _HEADER6 + quoted_at
            packet.trim(at + length)
            packet.pull(at + 8)
            if not icmpv6.was_sent_here(packet):
                return
        try:
            if resolve(device.network, destination, b"", device.index).gateway != router:
                return
        except Errno:
            return
        if len(link_address) == 6:
            neighbour = learn_link_address(device, target, link_address)
            if neighbour is not None and not is_on_link:
                neighbour.is_router = True
        redirects.learn(destination, device, router, b"" if is_on_link else target, monotonic_ns())


REDIRECTS.listener = _Redirects4()
HANDLERS.by_type[icmpv6.REDIRECT] = _Redirects6()
