"""Router discovery: what a router's words change (RFC 4861 section 6, RFC 4862 section 5.5)."""

from __future__ import annotations

from scapy.layers.inet6 import (
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from tests.packets.internet import PEER_PORT, Peer, layer, run, sendto
from tests.packets.scenarios import scenario
from tests.packets.session import Session
from tests.packets.text_internet import GUEST_LOCAL6
from tests.packets.wire import PEER_LINK

ROUTER = "fe80::99"
PREFIX = "2001:db8:1::"
MADE = "2001:db8:1:0:5054:ff:fe12:3456"  # what the guest makes of the prefix
ALL_NODES_LINK = "33:33:00:00:00:01"


def _words(*options: Packet, src: str = ROUTER, hlim: int = 255, **fields: object) -> Packet:
    """A router's advertisement."""
    message = layer(ICMPv6ND_RA, {"routerlifetime": 1800, "chlim": 0, **fields})
    packet = Ether(src=PEER_LINK, dst=ALL_NODES_LINK) / IPv6(src=src, dst="ff02::1", hlim=hlim) / message
    for option in (ICMPv6NDOptSrcLLAddr(lladdr=PEER_LINK), *options):
        packet = packet / option
    return packet


def _prefix(**fields: object) -> Packet:
    chosen = {"prefix": PREFIX, "prefixlen": 64, "L": 1, "A": 1, "validlifetime": 7200, "preferredlifetime": 3600}
    return layer(ICMPv6NDOptPrefixInfo, (chosen | fields))


def _state(session: Session) -> None:
    """The routes by way of routers, and the addresses, that the guest has."""
    for line in run(session, "ip -6 route show", is_shown=False).splitlines():
        words = line.split()
        if words and (words[0] == "default" or words[0].startswith("2001:db8")):
            kept = [word for at, word in enumerate(words) if "expires" not in words[max(0, at - 1) : at + 1]]
            ends = " expires" if "expires" in words else ""
            while kept and kept[-1] in ("pref", "medium"):
                kept.pop()
            session.say(f"  route {' '.join(word for word in kept if 'sec' not in word)}{ends}")
    for line in run(session, "cat /proc/net/if_inet6", is_shown=False).splitlines():
        words = line.split()
        if words[0].startswith("20010db8"):
            session.say(f"  address {words[0]}/{int(words[2], 16)} flags {words[4]}")


def _attempt(peer: Peer, description: str, frame: Packet) -> None:
    peer.ask_frame(frame, description)
    _state(peer.session)


@scenario()
def nd_router_default_route(session: Session) -> None:
    peer = Peer(session)
    for description, frame in {
        "hop limit 64": _words(hlim=64),
        "from a global address": _words(src="fd09::99"),
        "code 1": _words(code=1),
        "a wrong checksum": _words(cksum=0x1234),
        "not a router by default": _words(routerlifetime=0),
        "a router": _words(),
        "from a second one": _words(src="fe80::9a"),
        "the first retires": _words(routerlifetime=0),
        "the second retires": _words(src="fe80::9a", routerlifetime=0),
        "an option of length 0": _words(Raw(b"\x05\x00" + bytes(6))),
        "an option that is cut": _words(Raw(b"\x05\x02" + bytes(6))),
        "unknown options": _words(Raw(b"\xfd\x01" + bytes(6))),
        "at last": _words(routerlifetime=0),
    }.items():
        _attempt(peer, description, frame)


@scenario()
def nd_router_prefixes(session: Session) -> None:
    peer = Peer(session)
    for description, frame in {
        "on the link, no addresses": _words(_prefix(A=0), routerlifetime=0),
        "no longer": _words(_prefix(A=0, validlifetime=0, preferredlifetime=0), routerlifetime=0),
        "preferred for longer than valid": _words(_prefix(validlifetime=10, preferredlifetime=20), routerlifetime=0),
        "of 63 bits": _words(_prefix(prefixlen=63, L=0), routerlifetime=0),
        "of 65 bits": _words(_prefix(prefixlen=65, L=0), routerlifetime=0),
        "of 129 bits": _words(_prefix(prefixlen=129), routerlifetime=0),
        "link-local": _words(_prefix(prefix="fe80::"), routerlifetime=0),
        "of groups": _words(_prefix(prefix="ff02::"), routerlifetime=0),
        "valid for no time": _words(_prefix(validlifetime=0, preferredlifetime=0), routerlifetime=0),
        "addresses alone": _words(_prefix(L=0), routerlifetime=0),
    }.items():
        _attempt(peer, description, frame)
    session.pause(2.6)  # the address proves to be its own
    _state(session)
    _attempt(peer, "deprecated", _words(_prefix(L=0, preferredlifetime=0), routerlifetime=0))
    _attempt(peer, "preferred again", _words(_prefix(L=0), routerlifetime=0))
    _attempt(peer, "ends, says somebody", _words(_prefix(validlifetime=0, preferredlifetime=0), routerlifetime=0))
    run(session, f"ip -6 addr del {MADE}/64 dev eth0")
    _state(session)


@scenario()
def nd_router_mtu_and_hop_limit(session: Session) -> None:
    """What the router says of the link is obeyed by what is sent from then on."""
    peer = Peer(session)
    peer.meet6()
    socket = session.socket(10, 2)
    socket.bind("fd09::1", session.port)
    for description, frame in {
        "mtu 1400": _words(ICMPv6NDOptMTU(mtu=1400), routerlifetime=0),
        "mtu 1000": _words(ICMPv6NDOptMTU(mtu=1000), routerlifetime=0),
        "mtu 9000": _words(ICMPv6NDOptMTU(mtu=9000), routerlifetime=0),
        "hop limit 33": _words(chlim=33, routerlifetime=0),
        "hop limit not said": _words(chlim=0, routerlifetime=0),
        "mtu 1500, hop limit 64": _words(ICMPv6NDOptMTU(mtu=1500), chlim=64, routerlifetime=0),
    }.items():
        peer.ask_frame(frame, description)
        sendto(socket, 1430, peer.address6, PEER_PORT)
        session.answers()


@scenario()
def nd_redirects(session: Session) -> None:
    """A router tells of a better way (RFC 4861 section 8)."""
    peer = Peer(session)
    far, better, other_router = "2001:db8:9::9", "fe80::9b", "fe80::9c"
    for address in (far, better, ROUTER):
        session.listen_to(address)
    peer.ask_frame(_words(), "a router")
    socket = session.socket(10, 2)
    socket.bind("fd09::1", session.port)

    def redirect(src: str = ROUTER, target: str = better, dst: str = far, hlim: int = 255, code: int = 0) -> Packet:
        header = IPv6(src=src, dst=GUEST_LOCAL6, hlim=hlim)
        message = ICMPv6ND_Redirect(tgt=target, dst=dst, code=code)
        return Ether(src=PEER_LINK, dst="52:54:00:12:34:56") / header / message

    def attempt(description: str, frame: Packet) -> None:
        peer.ask_frame(frame, description)
        sendto(socket, b"x", far, PEER_PORT)
        session.answers()
        session.answers()  # neighbour discovery needs a turn

    attempt("from somebody else", redirect(src=other_router))
    attempt("hop limit 64", redirect(hlim=64))
    attempt("code 1", redirect(code=1))
    attempt("to a target that is neither link-local nor the destination", redirect(target="fd09::88"))
    attempt("for a group", redirect(dst="ff02::9"))
    attempt("as it should be", redirect())
    peer.ask_frame(_words(routerlifetime=0), "the router retires")
