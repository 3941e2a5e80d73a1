"""ICMP: questions, and who gets an answer (RFC 792, RFC 1122 section 3.2.2)."""

from __future__ import annotations

from scapy.layers.inet import ICMP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from tests.packets.internet import counted, letters
from tests.packets.scenarios import scenario
from tests.packets.session import Session
from tests.packets.wire import PEER_LINK


@scenario()
def icmp_echo_sizes(session: Session) -> None:
    with counted(session) as peer:
        for size in (0, 1, 7, 8, 56, 1471, 1472):
            peer.ask(peer.echo(letters(size)), f"echo of {size} bytes")
        for size in (1473, 3000, 8000):
            for number, piece in enumerate(peer.echo(letters(size), id=900 + size % 7).fragment(1480)):
                session.send(piece, "" if number else f"echo of {size} bytes, in fragments")
            session.answers()


@scenario()
def icmp_echo_corners(session: Session) -> None:
    with counted(session) as peer:
        peer.ask(peer.ip() / ICMP(id=0xFFFF, seq=0xFFFF) / Raw(b"x"), "the largest numbers")
        peer.ask(peer.ip() / ICMP(id=7, seq=1, code=5) / Raw(b"x"), "code 5")
        peer.ask(peer.ip() / ICMP(id=7, seq=1, chksum=0) / Raw(b"x"), "checksum 0")
        peer.ask(peer.ip() / ICMP(id=7, seq=1, chksum=0xFFFF) / Raw(b"x"), "checksum 0xffff")
        whole = bytes(peer.echo())[20:]
        for count in range(9):
            peer.ask(peer.ip(proto=1) / Raw(whole[:count]), f"cut to {count} bytes")
        peer.ask(peer.ip() / ICMP(type=0, id=7, seq=1) / Raw(b"x"), "a reply that nobody waits for")


@scenario()
def icmp_echo_to_many(session: Session) -> None:
    with counted(session) as peer:
        for target, link in (
            ("10.9.255.255", "ff:ff:ff:ff:ff:ff"), ("255.255.255.255", "ff:ff:ff:ff:ff:ff"),
            ("224.0.0.1", "01:00:5e:00:00:01"), ("224.0.0.251", "01:00:5e:00:00:fb"),
        ):
            frame = Ether(src=PEER_LINK, dst=link) / peer.echo(dst=target)
            peer.ask_frame(frame, f"echo to {target}")
            session.setting("net/ipv4/icmp_echo_ignore_broadcasts", "0")
            peer.ask_frame(frame, f"echo to {target}")
            session.setting("net/ipv4/icmp_echo_ignore_broadcasts", "1")
        session.setting("net/ipv4/icmp_echo_ignore_all", "1")
        # The session's own ping needs an answer: it is asked for when that is allowed again.
        session.send(peer.echo(), "echo while all are ignored")
        session.setting("net/ipv4/icmp_echo_ignore_all", "0")
        session.answers()


@scenario()
def icmp_other_questions(session: Session) -> None:
    with counted(session) as peer:
        body = b"\x00\x00\x12\x34" + bytes(8)
        peer.ask(peer.ip() / ICMP(type=13, id=7, seq=1, ts_ori=0x1234, ts_rx=0, ts_tx=0), "timestamp")
        peer.ask(peer.ip() / ICMP(type=13, id=7, seq=1, ts_ori=1, ts_rx=5, ts_tx=6) / Raw(b"more"), "a longer one")
        peer.ask(peer.ip(proto=1) / Raw(bytes.fromhex("0d00e6cb") + body[:4]), "timestamp, cut")
        peer.ask(peer.ip(dst="10.9.255.255") / ICMP(type=13, id=7, seq=1), "timestamp to all")
        for kind in (1, 2, 9, 10, 15, 16, 17, 18, 30, 37, 42, 43, 200, 255):
            peer.ask(peer.ip() / ICMP(type=kind, id=7, seq=1) / Raw(bytes(8)), f"type {kind}")


@scenario()
def icmp_closed_ports(session: Session) -> None:
    with counted(session) as peer:
        peer.ask(peer.udp(), "to a closed port")
        peer.ask(peer.udp(letters(1400)), "a long datagram")
        peer.ask(peer.udp(tos=0x10, ttl=3), "with tos and ttl")
        peer.ask(peer.udp(dst="10.9.255.255"), "to all of the network")
        peer.ask(peer.udp(src="10.9.255.255"), "from all of the network")
        peer.ask(peer.udp(src="0.0.0.0"), "from nobody")


@scenario()
def icmp_errors_are_limited(session: Session) -> None:
    """Six at once, then one in a second; echo is not limited."""
    with counted(session) as peer:
        for number in range(10):
            peer.ask(peer.udp(), f"to a closed port, {number}")
        for _ in range(12):
            session.send(peer.echo(), "")
        session.answers()
        session.pause(1.2)
        peer.ask(peer.udp(), "to a closed port")
        peer.ask(peer.udp(), "to a closed port")
