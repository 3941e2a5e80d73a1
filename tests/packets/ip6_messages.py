"""ICMPv6: echo, errors in both directions, groups (RFC 4443, RFC 8201, RFC 3810)."""

from __future__ import annotations

import socket as constants
from ipaddress import IPv6Address

from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from tests.packets.internet import PEER_PORT, Peer, counted, error_queue, layer, letters, receive, sendto
from tests.packets.scenarios import scenario
from tests.packets.session import Session, Socket
from tests.packets.text_internet import ones_sum
from tests.packets.wire import GUEST6, PEER_LINK

IPV6_JOIN_GROUP, IPV6_LEAVE_GROUP, IPV6_MTU, IPV6_RECVERR, IPV6_DONTFRAG = 20, 21, 24, 25, 62
ROUTER = "fd09::fe"
GROUP = "ff05::7:7"


def _message(source: str, target: str, body: bytes, **fields: object) -> Packet:
    """A message of ICMPv6 with its checksum."""
    pseudo = IPv6Address(source).packed + IPv6Address(target).packed + len(body).to_bytes(4, "big") + b"\0\0\0\x3a"
    body = body[:2] + (ones_sum(pseudo + body) ^ 0xFFFF).to_bytes(2, "big") + body[4:]
    return layer(IPv6, {"src": source, "dst": target, "nh": 58, **fields}) / Raw(body)


@scenario()
def ip6_echo_sizes(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        for size in (0, 1, 7, 8, 56, 1451, 1452):
            peer.ask(peer.echo6(letters(size)), f"echo of {size} bytes")
        peer.ask(peer.ip6() / ICMPv6EchoRequest(id=7, seq=1, code=3), "code 3")
        peer.ask(peer.ip6() / ICMPv6EchoRequest(id=7, seq=1, cksum=0), "checksum 0")
        whole = bytes(peer.echo6())[40:]
        for count in (0, 1, 3, 4, 7, 8):
            peer.ask(peer.ip6(nh=58) / Raw(whole[:count]), f"cut to {count} bytes")
        for count in (4, 7):
            peer.ask(_message(peer.address6, GUEST6, whole[:count].ljust(count, b"\0")), f"{count} bytes, sum right")


@scenario()
def ip6_echo_to_many(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        for target, link in (
            ("ff02::1", "33:33:00:00:00:01"), ("ff02::2", "33:33:00:00:00:02"), ("ff02::1:ff00:1", "33:33:ff:00:00:01"),
        ):
            peer.ask_frame(Ether(src=PEER_LINK, dst=link) / peer.echo6(dst=target), f"echo to {target}")


@scenario()
def ip6_other_messages(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        for kind in (0, 5, 100, 127, 129, 138, 139, 140, 144, 151, 200, 255):
            peer.ask(_message(peer.address6, GUEST6, bytes([kind, 0, 0, 0]) + bytes(20)), f"type {kind}")


@scenario()
def ip6_closed_ports(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        peer.ask(peer.udp6(), "to a closed port")
        peer.ask(peer.udp6(letters(1400)), "a long datagram")
        peer.ask(peer.udp6(tc=0x10, hlim=3), "with class and hop limit")
        frame = Ether(src=PEER_LINK, dst="33:33:00:00:00:01") / peer.udp6(dst="ff02::1")
        peer.ask_frame(frame, "to all nodes")
        peer.ask(peer.udp6(src="::"), "from nobody")


@scenario()
def ip6_errors_are_limited(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        for number in range(10):
            peer.ask(peer.udp6(), f"to a closed port, {number}")


@scenario()
def ip6_udp(session: Session) -> None:
    """Unlike IPv4's, a datagram without a checksum is wrong."""
    with counted(session) as peer:
        peer.meet6()
        socket = peer.receiver(family=constants.AF_INET6)
        good = bytes(IPv6(bytes(peer.udp6(letters(10)))))[40:]
        for description, data in (
            ("right", good), ("without a checksum", good[:6] + bytes(2) + good[8:]),
            ("with a wrong one", good[:6] + b"\x12\x34" + good[8:]), ("length 0", good[:4] + bytes(2) + good[6:]),
            ("length 7", good[:4] + b"\0\7" + good[6:]), ("length 100", good[:4] + b"\0\x64" + good[6:]),
            ("cut", good[:7]),
        ):
            peer.ask(peer.ip6(nh=17) / Raw(data), description)
            receive(socket)


def _quoted(peer: Peer, **fields: object) -> bytes:
    header = layer(IPv6, {"src": GUEST6, "dst": peer.address6, "nh": 17, "plen": 16, **fields})
    return bytes(header) + peer.port.to_bytes(2, "big") + PEER_PORT.to_bytes(2, "big") + b"\0\x10\x12\x34" + letters(8)


def _error(peer: Peer, kind: int, code: int, info: int = 0, quoted: bytes | None = None) -> Packet:
    body = bytes([kind, code, 0, 0]) + info.to_bytes(4, "big") + (_quoted(peer) if quoted is None else quoted)
    return _message(ROUTER, GUEST6, body)


def _connected(peer: Peer, *, recverr: bool = False) -> Socket:
    socket = peer.receiver(GUEST6, constants.AF_INET6)
    socket.call("connect", f"{peer.address6} {PEER_PORT}", "to the peer")
    if recverr:
        socket.set(constants.IPPROTO_IPV6, IPV6_RECVERR, 1, "IPV6_RECVERR")
    return socket


@scenario()
def ip6_errors(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        socket = _connected(peer)
        kinds = [(1, code) for code in range(9)] + [(2, 1), (3, 0), (3, 1), (4, 0), (4, 1), (4, 2), (4, 7)]
        for kind, code in kinds:
            peer.ask(_error(peer, kind, code, 1500 if kind == 2 else 0), f"type {kind} code {code}")
            socket.error()
        socket.set(constants.IPPROTO_IPV6, IPV6_RECVERR, 1, "IPV6_RECVERR")
        for kind, code in ((1, 0), (1, 1), (1, 3), (1, 4), (3, 0), (4, 1)):
            peer.ask(_error(peer, kind, code, 40 if kind == 4 else 0), f"type {kind} code {code}")
            error_queue(socket)
            socket.error()


@scenario()
def ip6_errors_about_others(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        socket = _connected(peer, recverr=True)
        whole = _quoted(peer)
        for count in (0, 39, 40, 44, 47, 48):
            peer.ask(_error(peer, 1, 4, quoted=whole[:count]), f"{count} bytes are quoted")
            error_queue(socket)
        for description, quoted in (
            ("from another source", _quoted(peer, src="fd09::77")), ("to another", _quoted(peer, dst="fd09::77")),
            ("of TCP", _quoted(peer, nh=6)), ("of version 4", _quoted(peer, version=4)),
            ("after options", _quoted(peer, nh=60)[:40] + bytes([17, 0, 1, 4, 0, 0, 0, 0]) + whole[40:]),
            ("in a later fragment", _quoted(peer, nh=44)[:40] + bytes([17, 0, 0, 8, 0, 0, 0, 1]) + whole[40:]),
            ("in a first fragment", _quoted(peer, nh=44)[:40] + bytes([17, 0, 0, 1, 0, 0, 0, 1]) + whole[40:]),
        ):
            peer.ask(_error(peer, 1, 4, quoted=quoted), description)
            error_queue(socket)


@scenario()
def ip6_path_mtu(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        socket = _connected(peer)
        socket.get(constants.IPPROTO_IPV6, IPV6_MTU, "IPV6_MTU")
        for mtu in (2000, 1500, 1400, 1450, 1280, 1000, 0):
            peer.ask(_error(peer, 2, 0, mtu), f"too big, mtu {mtu}")
            socket.error()
            socket.get(constants.IPPROTO_IPV6, IPV6_MTU, "IPV6_MTU")
            sendto(socket, 1300, peer.address6)
            session.answers()


@scenario()
def ip6_groups(session: Session) -> None:
    """MLD: a group that is joined, asked for, and left."""
    peer = Peer(session)
    session.listen_to("ff02::16")
    socket = peer.receiver(family=constants.AF_INET6)

    def change(name: int, description: str) -> None:
        value = IPv6Address(GROUP).packed + (2).to_bytes(4, "little")
        socket.set(constants.IPPROTO_IPV6, name, value, f"{description} {GROUP}")
        session.wait(2)

    def query(group: str, description: str, **fields: object) -> None:
        target = "ff02::1" if group == "::" else group
        body = bytes([130, 0, 0, 0, 0, 1, 0, 0]) + IPv6Address(group).packed + bytes(4)
        low = IPv6Address(target).packed[12:]
        link = "33:33:" + ":".join(f"{byte:02x}" for byte in low)
        alert = bytes([58, 0, 5, 2, 0, 0, 1, 0])
        message = _message("fe80::99", target, body)
        header = layer(IPv6, {"src": "fe80::99", "dst": target, "hlim": 1, "nh": 0, **fields})
        session.say(f"> {description}")
        session.send_frame(Ether(src=PEER_LINK, dst=link) / header / Raw(alert + bytes(message)[40:]))
        session.wait(1, 0.12)

    change(IPV6_JOIN_GROUP, "join")
    query(GROUP, "a query for the group")
    query("ff05::7:8", "a query for another")
    query(GROUP, "a query with hop limit 2", hlim=2)
    change(IPV6_LEAVE_GROUP, "leave")
