"""Passing packets through the hooks of their network (`link/hooks.py`), for both versions of IP.

Each function is for one point. It is called only where the network has hooks for the packet's version, with a packet
whose IP header is at `network_start` and whose addresses are set.

Context: thread context; nothing sleeps. May raise MemoryError.
"""

from kernel.lang import EPERM, Errno, noinline
from kernel.net.internet.output import NextHop, resolve
from kernel.net.link.hooks import (
    FAMILY_IP4,
    FAMILY_IP6,
    FORWARD,
    OUTPUT,
    POSTROUTING,
    Place,
    Verdict,
    hooks_of,
)
from kernel.net.link.network import Network, network_of
from kernel.net.link.packet import Packet


def _place(packet: Packet, network: Network, point: int) -> Place:
    return Place(network, FAMILY_IP4 if len(packet.source) == 4 else FAMILY_IP6, point)


def _leaving(packet: Packet, hop: NextHop, point: int) -> Place:
    """The place of a packet that leaves through `hop`."""
    place = _place(packet, hop.network, point)
    place.output = hop.device
    place.gateway = hop.gateway
    place.mtu = hop.mtu
    return place


def _judge(packet: Packet, place: Place) -> Verdict:
    hooks = hooks_of(place.network, place.family)
    return Verdict.ACCEPT if hooks is None else hooks.run(packet, place)


@noinline
def pass_arrival(packet: Packet, point: int) -> bool:
    """PREROUTING and INPUT: whether a received packet goes on."""
    place = _place(packet, network_of(packet), point)
    place.input = packet.device
    return _judge(packet, place) == Verdict.ACCEPT


@noinline
def pass_forward(packet: Packet, hop: NextHop) -> bool:
    """FORWARD and POSTROUTING: whether a packet for another host goes on, through `hop`."""
    for point in (FORWARD, POSTROUTING):
        place = _leaving(packet, hop, point)
        place.input = packet.device
        if _judge(packet, place) != Verdict.ACCEPT:
            return False
    return True


@noinline
def pass_output(packet: Packet, hop: NextHop) -> NextHop | None:
    """OUTPUT: the route on which a packet of ours goes on, which may differ from `hop`; None if a hook took it.
    Raises EPERM if it was dropped, and what `resolve` raises.
    """
    place = _leaving(packet, hop, OUTPUT)
    verdict = _judge(packet, place)
    if verdict == Verdict.DROP:
        raise Errno(EPERM)
    if verdict == Verdict.STOLEN:
        return None
    if place.reroute:
        hop = resolve(hop.network, packet.destination, packet.source)
        packet.from_ourselves = packet.from_ourselves and hop.device.is_loop
    return hop


@noinline
def pass_postrouting(packet: Packet, hop: NextHop) -> bool:
    """POSTROUTING, for a packet of ours: False if a hook took it. Raises EPERM if it was dropped."""
    verdict = _judge(packet, _leaving(packet, hop, POSTROUTING))
    if verdict == Verdict.DROP:
        raise Errno(EPERM)
    return verdict == Verdict.ACCEPT
