"""IGMP: groups that the guest listens to, as routers hear of them (RFC 3376)."""

from __future__ import annotations

import socket as constants
from ipaddress import IPv4Address

from scapy.layers.inet import IP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from tests.packets.internet import Peer, layer
from tests.packets.scenarios import scenario
from tests.packets.session import Session, Socket
from tests.packets.text_internet import ones_sum
from tests.packets.wire import PEER_LINK

GROUP = "239.7.7.7"
ALL_ROUTERS3 = "224.0.0.22"


def _join(socket: Socket, group: str = GROUP, *, leave: bool = False) -> None:
    name = 36 if leave else 35
    value = IPv4Address(group).packed + bytes([10, 9, 0, 1])
    socket.set(constants.IPPROTO_IP, name, value, f"{'leave' if leave else 'join'} {group}")


def _query(peer: Peer, group: str = "0.0.0.0", code: int = 1, *, version: int = 3, **fields: object) -> Packet:
    body = bytearray([0x11, code, 0, 0]) + IPv4Address(group).packed
    if version == 3:
        body += bytes(4)
    body[2:4] = (ones_sum(bytes(body)) ^ 0xFFFF).to_bytes(2, "big")
    target = group if group != "0.0.0.0" else "224.0.0.1"
    header = layer(IP, {"src": peer.address, "dst": target, "ttl": 1, "proto": 2, "options": [], **fields})
    low = IPv4Address(target).packed
    link = f"01:00:5e:{low[1] & 0x7F:02x}:{low[2]:02x}:{low[3]:02x}"
    return Ether(src=PEER_LINK, dst=link) / header / Raw(bytes(body))


@scenario()
def ip_group_joined_and_left(session: Session) -> None:
    peer = Peer(session)
    session.listen_to(ALL_ROUTERS3)
    socket = peer.receiver()
    _join(socket)
    session.wait(2)
    _join(socket, leave=True)
    session.wait(2)


@scenario()
def ip_group_queries(session: Session) -> None:
    peer = Peer(session)
    session.listen_to(ALL_ROUTERS3)
    socket = peer.receiver()
    _join(socket)
    session.wait(2)

    def attempt(description: str, frame: Packet) -> None:
        session.say(f"> {description}")
        session.send_frame(frame)
        session.wait(1, 0.12)

    attempt("a query for all groups", _query(peer))
    attempt("a query for this group", _query(peer, GROUP))
    attempt("a query for another group", _query(peer, "239.7.7.8"))
    _join(socket, leave=True)
    session.wait(2)
