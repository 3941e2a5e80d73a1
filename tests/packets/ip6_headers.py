"""IPv6: headers, right and wrong (RFC 8200 section 3), and whom a packet is for."""

from __future__ import annotations

import socket as constants

from scapy.layers.inet6 import IPv6, IPv6ExtHdrRouting
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from tests.packets.internet import Peer, counted, letters, receive
from tests.packets.scenarios import scenario
from tests.packets.session import Session
from tests.packets.wire import GUEST6, GUEST_LINK, PEER_LINK

ALL_NODES = "ff02::1"
ALL_NODES_LINK = "33:33:00:00:00:01"


@scenario()
def ip6_wrong_versions_and_lengths(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        for version in (0, 4, 5, 7, 15):
            peer.ask(peer.echo6(version=version), f"version {version}")
        whole = bytes(peer.echo6(letters(20)))
        for length in (0, 1, 20, 39, 40, 41):
            peer.ask_bytes(whole[:length], f"cut to {length} bytes", 0x86DD)
        for length in (0, 1, 4, 7, 8, 20, 28, 29, 1000, 65535):
            peer.ask_bytes(
                whole[:4] + length.to_bytes(2, "big") + whole[6:], f"28 bytes that say they are {length}", 0x86DD
            )
        peer.ask_bytes(whole + b"behind the packet", "with bytes after it", 0x86DD)


@scenario()
def ip6_fields(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        for limit in (0, 1, 2, 255):
            peer.ask(peer.echo6(hlim=limit), f"hop limit {limit}")
        for traffic_class in (0x02, 0x10, 0xB8, 0xFF):
            peer.ask(peer.echo6(tc=traffic_class), f"class {traffic_class:#x}")
        peer.ask(peer.echo6(fl=0x12345), "a flow label")


@scenario()
def ip6_next_headers(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        for number in (59, 1, 2, 4, 41, 47, 132, 135, 139, 253, 254, 255):
            peer.ask(peer.ip6(nh=number) / Raw(letters(12)), f"next header {number}")


@scenario()
def ip6_sources(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        socket = peer.receiver(family=constants.AF_INET6)
        for source in (
            "::", "::1", "fd09::1", "ff02::1", "ff05::9", "::ffff:10.9.1.1", "::10.9.1.1", "fe80::99", "2001:db8::1",
            "fec0::1",
        ):
            peer.ask(peer.udp6(src=source), f"from {source}")
            receive(socket)


@scenario()
def ip6_destinations(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        socket = peer.receiver(family=constants.AF_INET6)
        for target in (
            "fd09::1", "::", "::1", "::ffff:10.9.0.1", "fd09::", "fd09::77", "2001:db8::1", "fe80::5054:ff:fe12:3456",
            "fe80::1", "ff02::1", "ff01::1", "ff00::1", "ff02::2", "ff02::1:ff00:1", "ff02::1:ff99:9999", "ff05::1",
            "ff0e::1",
        ):
            peer.ask(peer.udp6(dst=target), f"to {target}")
            receive(socket)


@scenario()
def ip6_frames_for_others(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        socket = peer.receiver(family=constants.AF_INET6)
        links = {"a broadcast": "ff:ff:ff:ff:ff:ff", "a group": ALL_NODES_LINK, "another": "02:09:09:09:09:09"}
        for description, link in links.items():
            for target in ("fd09::1", ALL_NODES):
                frame = Ether(src=PEER_LINK, dst=link) / peer.udp6(dst=target)
                peer.ask_frame(frame, f"frame to {description}, packet to {target}")
                receive(socket)
        peer.ask_frame(Ether(src=PEER_LINK, dst=ALL_NODES_LINK) / peer.echo6(), "echo in a group's frame")
        peer.ask_frame(Ether(src=PEER_LINK, dst=ALL_NODES_LINK) / peer.udp6(port=9), "to a closed port, the same way")


@scenario()
def ip6_forwarding_is_off(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        session.listen_to("fd09::2:1")
        peer.ask(peer.echo6(dst="fd09::2:1"), "to another host of the network")
        peer.ask(peer.echo6(dst="fd09::2:1", hlim=1), "the same with hop limit 1")
        peer.ask(peer.echo6(dst="2001:db8::1"), "to another network")


# ---- Extension headers ----------------------------------------------------------------------------------------------


DESTINATION, HOP_BY_HOP = 60, 0


def _options(peer: Peer, data: bytes, number: int = DESTINATION, target: str = GUEST6) -> Packet:
    """An echo request after a header with these options, which must fill 6, 14, 22 … bytes."""
    body = bytes(IPv6(bytes(peer.echo6(dst=target))))[40:]
    return peer.ip6(nh=number, dst=target) / Raw(bytes([58, (len(data) + 2) // 8 - 1]) + data + body)


@scenario()
def ip6_options(session: Session) -> None:
    """Padding, and options that nobody knows: the two highest bits say what to do (RFC 8200 section 4.2)."""
    with counted(session) as peer:
        peer.meet6()
        for kind, name in ((DESTINATION, "destination"), (HOP_BY_HOP, "hop-by-hop")):
            session.say(f"--- {name}")
            peer.ask(_options(peer, b"\x00" * 6, kind), "six times Pad1")
            peer.ask(_options(peer, b"\x01\x04" + bytes(4), kind), "PadN")
            peer.ask(_options(peer, b"\x01\x04" + b"abcd", kind), "PadN that is not zero")
            peer.ask(_options(peer, b"\x01\x0c" + bytes(12), kind), "PadN of 14 bytes")
            peer.ask(_options(peer, b"\x01\x05" + bytes(4), kind), "PadN beyond the end")
            peer.ask(_options(peer, b"\x00" * 5 + b"\x01", kind), "PadN without a length")
            for option in (0x1E, 0x5E, 0x9E, 0xDE):
                peer.ask(_options(peer, bytes([option, 4]) + b"abcd", kind), f"option {option:#x}")
            peer.ask(_options(peer, b"\x05\x02\x00\x00\x01\x00", kind), "router alert")
            peer.ask(_options(peer, b"\x05\x03\x00\x00\x00\x00", kind), "router alert of three bytes")
            peer.ask(_options(peer, b"\xc2\x04\x00\x01\x00\x00", kind), "jumbo of 65536 bytes")


@scenario()
def ip6_options_to_a_group(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        for option in (0x1E, 0x5E, 0x9E, 0xDE):
            packet = _options(peer, bytes([option, 4]) + b"abcd", target=ALL_NODES)
            peer.ask_frame(Ether(src=PEER_LINK, dst=ALL_NODES_LINK) / packet, f"option {option:#x}")


@scenario()
def ip6_header_chains(session: Session) -> None:
    """Extension headers in all orders."""
    with counted(session) as peer:
        peer.meet6()
        pad = b"\x01\x04" + bytes(4)
        hop, destination, nothing = 0, 60, 59
        chains: dict[str, list[int]] = {
            "hop-by-hop, destination": [hop, destination],
            "destination, hop-by-hop": [destination, hop],
            "hop-by-hop twice": [hop, hop],
            "destination twice": [destination, destination],
            "destination eight times": [destination] * 8,
            "destination twenty times": [destination] * 20,
            "destination, then nothing": [destination, nothing],
        }
        for description, chain in chains.items():
            numbers = [*chain, 58]
            data = b"".join(
                bytes([numbers[at + 1], 0]) + pad for at in range(len(chain)) if chain[at] != nothing
            )
            body = bytes(IPv6(bytes(peer.echo6())))[40:]
            peer.ask(peer.ip6(nh=chain[0]) / Raw(data + body), description)


@scenario()
def ip6_headers_cut(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        for number in (0, 43, 44, 60):
            for data in (b"", b"\x3a", b"\x3a\x00", b"\x3a\x00\x01\x04\x00", b"\x3a\x01\x01\x04" + bytes(4)):
                peer.ask(peer.ip6(nh=number) / Raw(data), f"header {number} of {len(data)} bytes")


@scenario()
def ip6_routing_headers(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        body = bytes(IPv6(bytes(peer.echo6())))[40:]
        for kind in (0, 1, 2, 3, 4, 5):
            for left in (0, 1):
                header = IPv6ExtHdrRouting(nh=58, type=kind, segleft=left, addresses=["fd09::99"])
                peer.ask(peer.ip6(nh=43) / Raw(bytes(header) + body), f"type {kind}, {left} left")


@scenario()
def ip6_ethernet_types(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        frame = Ether(src=PEER_LINK, dst=GUEST_LINK, type=0x0800) / Raw(bytes(IPv6(bytes(peer.echo6()))))
        peer.ask_frame(frame, "IPv6 that the link says is IPv4")
