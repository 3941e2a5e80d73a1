"""IPv4: options of the header (RFC 791 section 3.1, RFC 1122 section 3.2.1.8)."""

from __future__ import annotations

from ipaddress import IPv4Address

from scapy.layers.inet import IP
from scapy.packet import Packet

from tests.packets.internet import Peer, counted, receive
from tests.packets.scenarios import scenario
from tests.packets.session import Session


def _with(packet: Packet, options: bytes) -> Packet:
    """The datagram with these bytes as options, filled up to a multiple of four."""
    options += bytes(-len(options) % 4)
    whole = bytes(packet)
    header = IP(whole[:20] + options + whole[20:])
    header.ihl = 5 + len(options) // 4
    header.len = len(whole) + len(options)
    raw = bytearray(bytes(header))
    raw[0] = 0x40 | header.ihl
    raw[2:4] = header.len.to_bytes(2, "big")
    raw[10:12] = bytes(2)
    total = sum(int.from_bytes(raw[at : at + 2], "big") for at in range(0, header.ihl * 4, 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    raw[10:12] = (total ^ 0xFFFF).to_bytes(2, "big")
    return IP(bytes(raw))


def _echo(peer: Peer, options: bytes, description: str) -> None:
    peer.ask(_with(peer.echo(), options), description)


def _route(kind: int, pointer: int, addresses: list[str]) -> bytes:
    data = b"".join(IPv4Address(address).packed for address in addresses)
    return bytes([kind, 3 + len(data), pointer]) + data


@scenario()
def ip_options_padding(session: Session) -> None:
    with counted(session) as peer:
        _echo(peer, b"\x01\x01\x01\x01", "four times nothing")
        _echo(peer, b"\x00\x00\x00\x00", "the end")
        _echo(peer, b"\x00\xff\xff\xff", "the end, and rubbish after it")
        _echo(peer, b"\x01" * 40, "forty times nothing")
        _echo(peer, b"\x94\x04\x00\x00", "router alert")
        _echo(peer, b"\x94\x04\x00\x01", "router alert with a value")
        _echo(peer, b"\x94\x02", "router alert that is too short")
        _echo(peer, b"\x82\x0b" + bytes(9), "security")
        _echo(peer, b"\x88\x04\x12\x34", "stream identifier")
        _echo(peer, b"\xfe\x04ab", "an unknown option")


@scenario()
def ip_options_malformed(session: Session) -> None:
    with counted(session) as peer:
        _echo(peer, b"\xfe\x00ab", "length 0")
        _echo(peer, b"\xfe\x01ab", "length 1")
        _echo(peer, b"\xfe\x05ab", "longer than the header")
        _echo(peer, b"\x01\x01\x01\xfe", "no room for a length")
        _echo(peer, b"\x07\x03\x00", "record route with pointer 0")
        _echo(peer, b"\x07\x07\x03" + bytes(4), "record route with pointer 3")
        _echo(peer, b"\x07\x06\x04" + bytes(3), "record route with room for three bytes")
        _echo(peer, b"\x07\x02", "record route without a pointer")
        _echo(peer, b"\x44\x03\x05", "time stamps, cut")


@scenario()
def ip_record_route(session: Session) -> None:
    with counted(session) as peer:
        _echo(peer, _route(7, 4, ["0.0.0.0"] * 3), "room for three")
        _echo(peer, _route(7, 8, ["192.0.2.1", "0.0.0.0"]), "one is there")
        _echo(peer, _route(7, 8, ["192.0.2.1"]), "full")
        _echo(peer, _route(7, 12, ["192.0.2.1"]), "pointer beyond the end")
        _echo(peer, _route(7, 4, ["0.0.0.0"]) * 2, "twice")
        _echo(peer, b"\x01" + _route(7, 4, ["0.0.0.0"] * 9), "as long as can be")


@scenario()
def ip_time_stamps(session: Session) -> None:
    with counted(session) as peer:
        _echo(peer, b"\x44\x08\x09\x00" + bytes(4), "full")
        _echo(peer, b"\x44\x08\x09\xf0" + bytes(4), "full, and the counter of those that found no room too")
        _echo(peer, b"\x44\x08\x04\x00" + bytes(4), "pointer 4")
        _echo(peer, b"\x44\x0c\x05\x03" + IPv4Address("192.0.2.1").packed + bytes(4), "for another address")
        _echo(peer, b"\x44\x07\x05\x00" + bytes(3), "room for three bytes")


@scenario()
def ip_source_routes(session: Session) -> None:
    with counted(session) as peer:
        socket = peer.receiver()
        for kind, name in ((131, "loose"), (137, "strict")):
            _echo(peer, _route(kind, 4, ["10.9.200.1"]), f"{name}, with a stage to come")
            _echo(peer, _route(kind, 8, ["10.9.200.1"]), f"{name}, at its end")
        peer.ask(_with(peer.udp(), _route(131, 8, ["10.9.200.1"])), "datagram at the end of its route")
        receive(socket)


@scenario()
def ip_options_and_sockets(session: Session) -> None:
    with counted(session) as peer:
        socket = peer.receiver()
        peer.ask(_with(peer.udp(b"with options"), _route(7, 4, ["0.0.0.0"] * 2)), "datagram with record route")
        receive(socket)
        peer.ask(_with(peer.udp(port=9), b"\x01\x01\x01\x01"), "to a closed port")
        peer.ask(_with(peer.udp(port=9), _route(7, 4, ["0.0.0.0"] * 2)), "to a closed port, with record route")
