"""IPv4: headers, right and wrong (RFC 791, RFC 1122 section 3.2.1)."""

from __future__ import annotations

import struct

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from tests.packets.internet import BROADCAST_LINK, OTHER_HOST, counted, letters, receive
from tests.packets.scenarios import scenario
from tests.packets.session import Session
from tests.packets.wire import GUEST_LINK, PEER_LINK


@scenario()
def ip_wrong_versions_and_lengths(session: Session) -> None:
    with counted(session) as peer:
        for version in (0, 5, 6, 15):
            peer.ask(peer.echo(version=version), f"version {version}")
        for words in (0, 1, 4, 15):
            peer.ask(peer.echo(ihl=words), f"header of {words * 4} bytes")
        whole = bytes(peer.echo(letters(20)))
        for length in (0, 1, 19):
            peer.ask_bytes(whole[:length], f"cut to {length} bytes")
        for length in (0, 19, 20, 24, 27, 28, 40, 48, 49, 1000, 65535):
            header = IP(whole)
            header.len = length
            del header.chksum
            peer.ask(header, f"48 bytes that say they are {length}")
        peer.ask_bytes(whole + b"behind the datagram", "with bytes after it")


@scenario()
def ip_checksums(session: Session) -> None:
    with counted(session) as peer:
        good = IP(bytes(peer.echo())).chksum
        peer.ask(peer.echo(chksum=good), "checksum right")
        for error, checksum in (("0", 0), ("0xffff", 0xFFFF), ("off by 1", good ^ 1), ("off by 0x8000", good ^ 0x8000)):
            peer.ask(peer.echo(chksum=checksum), f"checksum {error}")


@scenario()
def ip_fields(session: Session) -> None:
    with counted(session) as peer:
        for ttl in (0, 1, 2, 255):
            peer.ask(peer.echo(ttl=ttl), f"ttl {ttl}")
        for tos in (0x02, 0x10, 0x2E << 2, 0xFF):
            peer.ask(peer.echo(tos=tos), f"tos {tos:#x}")
        for flags in ("DF", "evil", "evil+DF"):
            peer.ask(peer.echo(flags=flags), f"flags {flags}")
        peer.ask(peer.echo(id=0), "identification 0")


@scenario()
def ip_unknown_protocols(session: Session) -> None:
    with counted(session) as peer:
        for protocol in (0, 4, 41, 47, 58, 132, 253, 255):
            peer.ask(peer.ip(proto=protocol) / Raw(letters(12)), f"protocol {protocol}")


@scenario()
def ip_sources(session: Session) -> None:
    """Martians: addresses that nobody can send from. The socket shows which arrive all the same."""
    with counted(session) as peer:
        socket = peer.receiver()
        for source in (
            "0.0.0.0", "0.1.2.3", "10.9.0.1", "10.9.255.255", "10.9.0.0", "127.0.0.1", "127.9.9.9", "224.0.0.5",
            "239.255.255.255", "240.0.0.1", "255.255.255.254", "255.255.255.255", "192.0.2.1", "169.254.1.1",
        ):
            peer.ask(peer.udp(src=source), f"from {source}")
            receive(socket)


@scenario()
def ip_destinations(session: Session) -> None:
    with counted(session) as peer:
        socket = peer.receiver()
        for target in (
            "10.9.0.1", "10.9.255.255", "10.9.0.0", "255.255.255.255", "0.0.0.0", "127.0.0.1", "127.1.1.1",
            "224.0.0.1", "224.0.0.251", "239.9.9.9", "240.0.0.1", OTHER_HOST, "192.0.2.1",
        ):
            peer.ask(peer.udp(dst=target), f"to {target}")
            receive(socket)


@scenario()
def ip_frames_for_others(session: Session) -> None:
    """What the link says a frame is, and what the datagram in it says."""
    with counted(session) as peer:
        socket = peer.receiver()
        links = {"a broadcast": BROADCAST_LINK, "a group": "01:00:5e:00:00:01", "another": "02:09:09:09:09:09"}
        for description, link in links.items():
            for target in ("10.9.0.1", "10.9.255.255", "224.0.0.1"):
                frame = Ether(src=PEER_LINK, dst=link) / peer.udp(dst=target)
                peer.ask_frame(frame, f"frame to {description}, datagram to {target}")
                receive(socket)
        peer.ask_frame(Ether(src=PEER_LINK, dst=BROADCAST_LINK) / peer.echo(), "echo in a broadcast")
        peer.ask_frame(Ether(src=PEER_LINK, dst=BROADCAST_LINK) / peer.udp(port=9), "to a closed port in a broadcast")
        peer.ask_frame(Ether(src="01:00:00:00:00:01", dst=GUEST_LINK) / peer.echo(), "echo from a group's link address")


@scenario()
def ip_forwarding_is_off(session: Session) -> None:
    with counted(session) as peer:
        session.listen_to(OTHER_HOST)
        peer.ask(peer.echo(dst=OTHER_HOST), "to another host of the network")
        peer.ask(peer.echo(dst=OTHER_HOST, ttl=1), "the same with ttl 1")
        peer.ask(peer.echo(dst="192.0.2.1"), "to another network")


@scenario()
def ip_forwarding(session: Session) -> None:
    """The guest as a router on one link: it forwards, and tells of the better way."""
    with counted(session) as peer:
        session.setting("net/ipv4/ip_forward", "1")
        session.listen_to(OTHER_HOST)
        session.send(peer.echo(dst=OTHER_HOST, flags="DF"), "to another host of the network")
        session.wait(3)  # the echo follows the answer about the other host: before or after a ping's, as it happens
        peer.ask(peer.echo(dst=OTHER_HOST, flags="DF"), "once more")
        session.pause(0.1)
        peer.ask(peer.echo(dst=OTHER_HOST, flags="DF"), "and later")


@scenario()
def ip_forwarding_errors(session: Session) -> None:
    with counted(session) as peer:
        session.setting("net/ipv4/ip_forward", "1")
        host = "10.9.200.2"  # which the guest has not asked for yet, whatever was run before
        session.listen_to(host)
        peer.ask(peer.echo(dst=host, ttl=1), "with ttl 1")
        peer.ask(peer.echo(dst="192.0.2.1"), "to another network")
        peer.ask(peer.echo(dst="240.1.1.1"), "to a class that is reserved")
        peer.ask(peer.ip(dst="10.9.255.255") / ICMP() / Raw(b"x"), "to all of the network")
        session.send(peer.echo(dst=host, src="192.0.2.7", flags="DF"), "from another network")
        session.wait(2)
        peer.ask(peer.echo(dst=host, src="169.254.3.3", flags="DF"), "from a link-local address")
        peer.ask(peer.echo(dst=host, src="127.0.0.1"), "from 127.0.0.1")


@scenario()
def ip_ethernet_types(session: Session) -> None:
    peer = session.address
    with counted(session) as speaker:
        whole = bytes(IP(src=peer, dst="10.9.0.1") / ICMP() / Raw(b"x"))
        for kind in (0x0800, 0x0801, 0x86DD, 0x8100, 0x05DC, 0x0000, struct.unpack("<H", b"\x08\x00")[0]):
            speaker.ask_bytes(whole, f"type {kind:#06x}", kind)
