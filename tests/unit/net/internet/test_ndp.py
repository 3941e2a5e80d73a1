"""IPv6 on an Ethernet: link-local addresses, duplicate address detection, neighbours, routers."""

import struct

from kernel.lang import span_of
from kernel.net.internet import icmpv6
from kernel.net.internet.addresses import ADDRESS_DADFAILED, ALL_NODES6, find_on, list_addresses, solicited_node
from kernel.net.internet.routes import find_route
from kernel.net.link.checksum import checksum, pseudo_header
from kernel.net.link.ethernet import ETHERTYPE_IP6
from kernel.net.link.network import FIRST_NETWORK
from tests.unit.net.conftest import OUR_MAC, PEER_MAC, Wire, pass_time

LINK_LOCAL = b"\xfe\x80" + bytes(6) + b"\x00\x00\x00\xff\xfe\x00\x00\x01"
PEER_LL = b"\xfe\x80" + bytes(7) + b"\x00\x00\xff\xfe\x00\x00\x02"
PREFIX = b"\x20\x01\x0d\xb8" + bytes(12)


def message(body: bytes, source: bytes, destination: bytes, hop_limit: int = 255) -> bytes:
    """A frame with an ICMPv6 message whose checksum is filled in."""
    body = body[:2] + b"\0\0" + body[4:]
    total = checksum(span_of(body), pseudo_header(source, destination, 58, len(body)))
    body = body[:2] + struct.pack(">H", total) + body[4:]
    header = struct.pack(">IHBB", 0x60000000, len(body), 58, hop_limit) + source + destination
    to = b"\x33\x33" + destination[12:] if destination[0] == 0xFF else OUR_MAC
    return to + PEER_MAC + struct.pack(">H", ETHERTYPE_IP6) + header + body


def router_advertisement(lifetime: int = 1800, valid: int = 3600, preferred: int = 1800) -> bytes:
    body = struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, lifetime, 0, 0)
    body += b"\x01\x01" + PEER_MAC
    body += struct.pack(">BBBBIII", 3, 4, 64, 0xC0, valid, preferred, 0) + PREFIX
    return message(body, PEER_LL, ALL_NODES6)


def kinds(frames: list[bytes]) -> list[int]:
    return [f[54] for f in frames if f[12:14] == b"\x86\xdd" and f[20] == 58]


def test_an_interface_proves_its_link_local_address(wire6: Wire) -> None:
    entry = find_on(wire6, LINK_LOCAL)
    assert entry is not None and not entry.is_usable()
    pass_time(0.5)
    [probe] = [f for f in wire6.take() if f[20] == 58]
    assert probe[22:38] == bytes(16)
    assert probe[38:54] == solicited_node(LINK_LOCAL)
    assert probe[62:78] == LINK_LOCAL
    pass_time(2)
    assert entry.is_usable()
    assert kinds(wire6.take()) == [icmpv6.ROUTER_SOLICITATION]


def test_a_duplicate_is_found(wire6: Wire) -> None:
    pass_time(0.5)
    body = struct.pack(">BBHI", 136, 0, 0, 0x20000000) + LINK_LOCAL + b"\x02\x01" + PEER_MAC
    wire6.inject(message(body, LINK_LOCAL, ALL_NODES6))
    entry = find_on(wire6, LINK_LOCAL)
    assert entry is not None and entry.flags & ADDRESS_DADFAILED


def test_a_router_brings_address_and_route(wire6: Wire) -> None:
    pass_time(3)
    wire6.take()
    wire6.inject(router_advertisement())
    pass_time(3)
    found = [e.address for e in list_addresses(wire6, 16)]
    assert PREFIX[:8] + LINK_LOCAL[8:] in found
    route = find_route(FIRST_NETWORK, b"\x26" + bytes(15))
    assert route is not None and route.gateway == PEER_LL
    pass_time(1801)
    assert find_route(FIRST_NETWORK, b"\x26" + bytes(15)) is None
    pass_time(7200)
    assert [e.address for e in list_addresses(wire6, 16)] == [LINK_LOCAL]


def test_a_forged_router_from_afar_is_ignored(wire6: Wire) -> None:
    pass_time(3)
    frame = bytearray(router_advertisement())
    frame[21] = 64  # the hop limit: it crossed a router
    wire6.inject(bytes(frame))
    assert find_route(FIRST_NETWORK, b"\x26" + bytes(15)) is None


def test_a_neighbour_solicitation_is_answered(wire6: Wire) -> None:
    pass_time(3)
    wire6.take()
    body = struct.pack(">BBHI", 135, 0, 0, 0) + LINK_LOCAL + b"\x01\x01" + PEER_MAC
    wire6.inject(message(body, PEER_LL, solicited_node(LINK_LOCAL)))
    [answer] = wire6.take()
    assert answer[:6] == PEER_MAC
    assert answer[54] == icmpv6.NEIGHBOUR_ADVERTISEMENT
    assert answer[58] == 0x60
    assert answer[62:78] == LINK_LOCAL
    assert answer[78:86] == b"\x02\x01" + OUR_MAC


def test_echo_is_answered_after_asking_for_the_neighbour(wire6: Wire) -> None:
    pass_time(3)
    wire6.take()
    wire6.inject(message(struct.pack(">BBHHH", 128, 0, 0, 1, 2) + b"data", PEER_LL, LINK_LOCAL, 64))
    assert kinds(wire6.take()) == [icmpv6.NEIGHBOUR_SOLICITATION]
    body = struct.pack(">BBHI", 136, 0, 0, 0x60000000) + PEER_LL + b"\x02\x01" + PEER_MAC
    wire6.inject(message(body, PEER_LL, LINK_LOCAL))
    [answer] = wire6.take()
    assert answer[54:56] == b"\x81\x00"
    assert answer[58:] == struct.pack(">HH", 1, 2) + b"data"


def test_unknown_next_headers_are_reported(wire6: Wire) -> None:
    pass_time(3)
    body = struct.pack(">BBHI", 135, 0, 0, 0) + LINK_LOCAL + b"\x01\x01" + PEER_MAC
    wire6.inject(message(body, PEER_LL, solicited_node(LINK_LOCAL)))
    wire6.take()
    header = struct.pack(">IHBB", 0x60000000, 8, 200, 64) + PEER_LL + LINK_LOCAL
    wire6.inject(OUR_MAC + PEER_MAC + b"\x86\xdd" + header + bytes(8))
    [answer] = wire6.take()
    assert answer[54:56] == b"\x04\x01"
    assert answer[58:62] == b"\0\0\0\x06"
