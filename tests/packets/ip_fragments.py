"""IPv4: fragments and their reassembly (RFC 791 section 3.2, RFC 1858, RFC 3128)."""

from __future__ import annotations

from collections.abc import Iterable

from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from tests.packets.internet import Peer, counted, letters, receive
from tests.packets.scenarios import scenario
from tests.packets.session import Session
from tests.packets.wire import GUEST

Piece = tuple[int, int]  # from, to: of the datagram after the IP header
PAYLOAD = letters(72)  # with UDP's header: ten times eight bytes


def _data(peer: Peer, payload: bytes = PAYLOAD) -> bytes:
    return bytes(IP(src=peer.address, dst=GUEST) / UDP(sport=40000, dport=peer.port) / Raw(payload))[20:]


def _send(
    peer: Peer, data: bytes, pieces: Iterable[Piece], number: int, more: bool | None = None, **fields: object
) -> None:
    """Fragments of a datagram; the one that ends it says so unless `more` decides."""
    for begin, end in pieces:
        is_more = end < len(data) if more is None else more
        flags = fields.get("flags", "MF" if is_more else "")
        header = peer.ip(**{"proto": 17, **fields, "id": number, "frag": begin // 8, "flags": flags})
        peer.ask(header / Raw(data[begin:end]), f"#{number}: {begin} to {end}{' and more' if is_more else ''}")


ORDERS: dict[str, list[Piece]] = {
    "in order": [(0, 24), (24, 48), (48, 80)],
    "reversed": [(48, 80), (24, 48), (0, 24)],
    "the middle last": [(0, 24), (48, 80), (24, 48)],
    "the first is tiny": [(0, 8), (8, 80)],
    "the last is tiny": [(0, 72), (72, 80)],
    "each of eight bytes": [(at, at + 8) for at in (32, 0, 72, 16, 48, 8, 64, 24, 40, 56)],
}
OVERLAPS: dict[str, list[Piece]] = {
    "the same twice": [(0, 24), (0, 24), (24, 80)],
    "the same last one twice": [(48, 80), (48, 80), (0, 48)],
    "the second begins in the first": [(0, 32), (24, 80), (0, 24)],
    "the first ends in the second": [(24, 80), (0, 32), (0, 24)],
    "inside another": [(0, 48), (16, 24), (48, 80)],
    "around another": [(16, 24), (0, 48), (48, 80)],
    "the same begin, longer": [(0, 24), (0, 48), (48, 80)],
    "the same begin, shorter": [(0, 48), (0, 24), (48, 80)],
    "across two": [(0, 24), (24, 48), (16, 32), (48, 80)],
    "over the end": [(48, 80), (40, 80), (0, 48)],
}


@scenario()
def ip_fragment_orders(session: Session) -> None:
    with counted(session) as peer:
        socket = peer.receiver()
        for number, (description, pieces) in enumerate(ORDERS.items(), 100):
            session.say(f"--- {description}")
            _send(peer, _data(peer), pieces, number)
            receive(socket)


@scenario()
def ip_fragment_overlaps(session: Session) -> None:
    """Afterwards the rest is sent once more: what is not contradicted any longer may be completed by it."""
    with counted(session) as peer:
        socket = peer.receiver()
        for number, (description, pieces) in enumerate(OVERLAPS.items(), 200):
            session.say(f"--- {description}")
            _send(peer, _data(peer), pieces, number)
            receive(socket)


@scenario()
def ip_fragment_lengths(session: Session) -> None:
    with counted(session) as peer:
        socket = peer.receiver()
        data = _data(peer)
        session.say("--- not a multiple of eight, and more")
        _send(peer, data, [(0, 21)], 300)
        _send(peer, data, [(16, 80)], 300)
        receive(socket)
        session.say("--- nothing in it")
        _send(peer, data, [(0, 24), (24, 24), (24, 80)], 301)
        receive(socket)
        session.say("--- nothing in it, first of all")
        _send(peer, data, [(24, 24), (0, 24), (24, 80)], 302, )
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
        session.say("--- only the header of the first")
        _send(peer, data, [(0, 80)], 305, more=True)
        _send(peer, data + b"", [(80, 80)], 305, more=False)
        receive(socket)


@scenario()
def ip_fragments_too_long(session: Session) -> None:
    """Together longer than a datagram can be."""
    with counted(session) as peer:
        socket = peer.receiver()
        data = _data(peer)
        for begin, count in ((65528, 7), (65528, 8), (65528, 100), (65512, 23), (65512, 24)):
            header = peer.ip(proto=17, id=400 + count, frag=begin // 8)
            peer.ask(header / Raw(letters(count)), f"the last: {count} bytes at {begin}")
            peer.ask(peer.ip(proto=17, id=400 + count, flags="MF") / Raw(data), "the first")
            receive(socket)


@scenario()
def ip_largest_datagram(session: Session) -> None:
    with counted(session) as peer:
        socket = peer.receiver()
        data = _data(peer, letters(65507))
        for begin in range(0, len(data), 1480):
            part = data[begin : begin + 1480]
            flags = "MF" if begin + 1480 < len(data) else ""
            session.send(peer.ip(proto=17, id=7, frag=begin // 8, flags=flags) / Raw(part), "")
        session.answers()
        receive(socket)


@scenario()
def ip_fragments_belong_together(session: Session) -> None:
    """By source, destination, identification and protocol."""
    with counted(session) as peer:
        socket = peer.receiver()
        data = _data(peer)
        _send(peer, data, [(0, 40)], 500)
        _send(peer, data, [(40, 80)], 501)
        _send(peer, data, [(40, 80)], 500, proto=253)
        _send(peer, data, [(40, 80)], 500, src="10.9.199.2")
        _send(peer, data, [(40, 80)], 500, dst="10.9.255.255")
        receive(socket)
        _send(peer, data, [(40, 80)], 500)
        receive(socket)
        session.say("--- two datagrams at once")
        _send(peer, data, [(0, 40)], 502)
        _send(peer, data[::1], [(0, 32)], 503)
        _send(peer, data, [(40, 80)], 502)
        _send(peer, data, [(32, 80)], 503)
        receive(socket)
        receive(socket)


@scenario()
def ip_fragments_with_flags(session: Session) -> None:
    """Fragments that say that they must not be fragmented, and with ECN's codes (RFC 3168 section 5.3)."""
    with counted(session) as peer:
        data = bytes(peer.echo(letters(40)))[20:]
        pieces = [(0, 24), (24, 48)]
        session.say("--- DF")
        for begin, end in pieces:
            flags = "MF+DF" if end < len(data) else "DF"
            peer.ask(peer.ip(proto=1, id=600, frag=begin // 8, flags=flags) / Raw(data[begin:end]), f"{begin} to {end}")
        for first, second in ((1, 1), (1, 2), (2, 3), (0, 3), (0, 1), (3, 3)):
            session.say(f"--- ECN {first} and {second}")
            for (begin, end), tos in zip(pieces, (first, second), strict=True):
                flags = "MF" if end < len(data) else ""
                header = peer.ip(proto=1, id=610 + 4 * first + second, frag=begin // 8, flags=flags, tos=tos)
                peer.ask(header / Raw(data[begin:end]), f"{begin} to {end}")


@scenario()
def ip_fragments_time_out(session: Session) -> None:
    with counted(session) as peer:
        session.setting("net/ipv4/ipfrag_time", "1")
        data = _data(peer)
        _send(peer, data, [(0, 40)], 700)
        session.wait(1)
        _send(peer, data, [(40, 80)], 701)
        _send(peer, data, [(0, 40)], 702, dst="10.9.255.255")
        session.pause(1.5)
        session.answers()


@scenario()
def ip_fragments_flood(session: Session) -> None:
    """Thousands of datagrams that are never completed do not keep the guest from others."""
    peer = Peer(session)
    session.setting("net/ipv4/ipfrag_time", "1")
    filler = Raw(letters(1400))
    for number in range(1, 4000):
        session.send(peer.ip(proto=17, id=number, frag=8, flags="MF", src="10.9.199.3") / filler, "")
        if number % 500 == 0:
            session.answers()
    socket = peer.receiver()
    _send(peer, _data(peer), ORDERS["in order"], 9999)
    receive(socket)
    session.pause(1.2)
