"""IPv6: fragments and their reassembly (RFC 8200 section 4.5, RFC 5722, RFC 6946, RFC 7112)."""

from __future__ import annotations

import socket as constants
from collections.abc import Iterable

from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from tests.packets.internet import PEER_PORT, Peer, counted, letters, receive
from tests.packets.scenarios import scenario
from tests.packets.session import Session, Socket

Piece = tuple[int, int]
PAYLOAD = letters(72)


def _data(peer: Peer, payload: bytes = PAYLOAD) -> bytes:
    packet = peer.ip6() / UDP(sport=PEER_PORT, dport=peer.port) / Raw(payload)
    return bytes(IPv6(bytes(packet)))[40:]


def _piece(data: bytes, begin: int, end: int, number: int, more: bool, following: int = 17) -> Raw:
    header = bytes([following, 0]) + (begin | more).to_bytes(2, "big") + number.to_bytes(4, "big")
    return Raw(header + data[begin:end])


def _send(
    peer: Peer, data: bytes, pieces: Iterable[Piece], number: int, more: bool | None = None, following: int = 17,
    **fields: object,
) -> None:
    for begin, end in pieces:
        is_more = end < len(data) if more is None else more
        packet = peer.ip6(**{"nh": 44, **fields}) / _piece(data, begin, end, number, is_more, following)
        peer.ask(packet, f"#{number}: {begin} to {end}{' and more' if is_more else ''}")


def _receiver(peer: Peer) -> Socket:
    return peer.receiver(family=constants.AF_INET6)


@scenario()
def ip6_fragment_orders(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        socket = _receiver(peer)
        orders: dict[str, list[Piece]] = {
            "in order": [(0, 24), (24, 48), (48, 80)],
            "reversed": [(48, 80), (24, 48), (0, 24)],
            "the middle last": [(0, 24), (48, 80), (24, 48)],
            "the first is tiny": [(0, 8), (8, 80)],
            "each of eight bytes": [(at, at + 8) for at in (32, 0, 72, 16, 48, 8, 64, 24, 40, 56)],
        }
        for number, (description, pieces) in enumerate(orders.items(), 100):
            session.say(f"--- {description}")
            _send(peer, _data(peer), pieces, number)
            receive(socket)


@scenario()
def ip6_fragment_overlaps(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        socket = _receiver(peer)
        overlaps: dict[str, list[Piece]] = {
            "the same twice": [(0, 24), (0, 24), (24, 80)],
            "the second begins in the first": [(0, 32), (24, 80), (0, 24)],
            "the first ends in the second": [(24, 80), (0, 32), (0, 24)],
            "inside another": [(0, 48), (16, 24), (48, 80)],
            "around another": [(16, 24), (0, 48), (48, 80)],
            "the same begin, longer": [(0, 24), (0, 48), (48, 80)],
            "the same begin, shorter": [(0, 48), (0, 24), (48, 80)],
            "over the end": [(48, 80), (40, 80), (0, 48)],
        }
        for number, (description, pieces) in enumerate(overlaps.items(), 200):
            session.say(f"--- {description}")
            _send(peer, _data(peer), pieces, number)
            receive(socket)


@scenario()
def ip6_fragment_lengths(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        socket = _receiver(peer)
        data = _data(peer)
        session.say("--- not a multiple of eight, and more")
        _send(peer, data, [(0, 21)], 300)
        session.say("--- nothing in it")
        _send(peer, data, [(0, 24), (24, 24), (24, 80)], 301)
        receive(socket)
        session.say("--- two ends")
        _send(peer, data, [(40, 48)], 303, more=False)
        _send(peer, data, [(0, 40), (48, 80)], 303)
        receive(socket)
        session.say("--- something past the end")
        _send(peer, data, [(64, 80)], 304)
        _send(peer, data + letters(8), [(80, 88)], 304, more=True)
        _send(peer, data, [(0, 64)], 304)
        receive(socket)
        session.say("--- too long together")
        for begin, count in ((65528, 7), (65528, 8), (65520, 15), (65512, 24)):
            header = bytes([17, 0]) + begin.to_bytes(2, "big") + (400 + count).to_bytes(4, "big")
            peer.ask(peer.ip6(nh=44) / Raw(header + letters(count)), f"{count} bytes at {begin}")


@scenario()
def ip6_atomic_fragments(session: Session) -> None:
    """A fragment that is the whole packet is taken by itself, whatever else has its number (RFC 6946)."""
    with counted(session) as peer:
        peer.meet6()
        socket = _receiver(peer)
        data = _data(peer)
        _send(peer, data, [(0, 80)], 500)
        receive(socket)
        _send(peer, data, [(0, 40)], 501)
        _send(peer, data, [(0, 80)], 501)
        receive(socket)
        _send(peer, data, [(40, 80)], 501)
        receive(socket)
        echo = bytes(IPv6(bytes(peer.echo6())))[40:]
        _send(peer, echo, [(0, len(echo))], 502, following=58)
        _send(peer, b"", [(0, 0)], 503)


@scenario()
def ip6_first_fragments(session: Session) -> None:
    """The first fragment must hold the headers up to the transport's (RFC 7112)."""
    with counted(session) as peer:
        peer.meet6()
        data = bytes([58, 0, 1, 4, 0, 0, 0, 0]) + bytes(IPv6(bytes(peer.echo6(letters(24)))))[40:]
        _send(peer, data, [(0, 8)], 600, following=60)
        _send(peer, data, [(8, 40)], 600, following=60)
        _send(peer, data, [(0, 16), (16, 40)], 601, following=60)
        _send(peer, data, [(0, 24), (24, 40)], 602, following=60)


@scenario()
def ip6_fragments_within(session: Session) -> None:
    """Fragment headers in packets that are put together, and headers before and after."""
    with counted(session) as peer:
        peer.meet6()
        echo = bytes(IPv6(bytes(peer.echo6(letters(24)))))[40:]
        inner = bytes([58, 0, 0, 0, 0, 0, 0, 9]) + echo
        _send(peer, inner, [(0, 16), (16, 40)], 700, following=44)
        _send(peer, inner, [(0, 40)], 701, following=44)
        pad = bytes([44, 0, 1, 4, 0, 0, 0, 0])
        for begin, end in ((0, 16), (16, 32)):
            piece = bytes(_piece(echo, begin, end, 702, end < 32, 58))
            peer.ask(peer.ip6(nh=60) / Raw(pad + piece), f"after destination options: {begin} to {end}")
        for begin, end in ((0, 16), (16, 32)):
            piece = bytes(_piece(echo, begin, end, 703, end < 32, 58))
            peer.ask(peer.ip6(nh=0) / Raw(pad + piece), f"after hop-by-hop options: {begin} to {end}")


@scenario()
def ip6_fragments_time_out(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        session.setting("net/ipv6/ip6frag_time", "1")
        data = _data(peer)
        _send(peer, data, [(0, 40)], 800)
        session.wait(1)
        _send(peer, data, [(40, 80)], 801)
        session.pause(1.4)
        session.answers()


@scenario()
def ip6_largest_packet(session: Session) -> None:
    with counted(session) as peer:
        peer.meet6()
        socket = _receiver(peer)
        data = _data(peer, letters(65527))
        for begin in range(0, len(data), 1440):
            end = min(begin + 1440, len(data))
            session.send(peer.ip6(nh=44) / _piece(data, begin, end, 900, end < len(data)), "")
        session.answers()
        receive(socket)
