"""Which extension headers of IPv6 a program is shown."""

from __future__ import annotations

from kernel.lang import span_of
from kernel.net.datagram.extension_headers import put_extensions
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import Packet
from kernel.net.sockets import inet_names as names
from kernel.net.sockets.inet_options import InternetOptions
from kernel.net.sockets.socket import ControlMessage

HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION, UDP = 0, 43, 44, 60, 17
FIXED = 40


def packet_with(headers: list[tuple[int, bytes]]) -> Packet:
    """A packet as IP hands it up: `headers` are kinds, and what follows their first byte, which names the next."""
    packet = Packet(200)
    packet.network_start = packet.start
    kinds = [kind for kind, _ in headers] + [UDP]
    data = bytearray(FIXED)
    data[6] = kinds[0]
    for following, (_, rest) in zip(kinds[1:], headers, strict=True):
        data += bytes([following]) + rest
    packet.put(len(data)).copy_from(span_of(data))
    packet.transport_start = packet.network_start + len(data)
    return packet


def shown(packet: Packet, switches: int) -> list[ControlMessage]:
    options = InternetOptions(FIRST_NETWORK)
    options.turn(switches, True)
    found: list[ControlMessage] = []
    put_extensions(packet, options, found)
    return found


HOPS = (HOP_BY_HOP, b"\0" + b"h" * 6)
ROUTE = (ROUTING, b"\1" + b"r" * 14)
PART = (FRAGMENT, b"\xff" + b"f" * 6)  # of one length, whatever its second byte says
LAST = (DESTINATION, b"\0" + b"d" * 6)


def test_each_is_shown_as_it_came_in_the_packet_s_order() -> None:
    packet = packet_with([HOPS, ROUTE, PART, LAST])
    all_of_them = names.ON_RECVHOPOPTS | names.ON_RECVRTHDR | names.ON_RECVDSTOPTS
    found = [(message.level, message.kind, message.data) for message in shown(packet, all_of_them)]
    assert found == [
        (names.SOL_IPV6, names.IPV6_HOPOPTS, bytes([ROUTING]) + HOPS[1]),
        (names.SOL_IPV6, names.IPV6_RTHDR, bytes([FRAGMENT]) + ROUTE[1]),
        (names.SOL_IPV6, names.IPV6_DSTOPTS, bytes([UDP]) + LAST[1]),
    ]


def test_only_what_was_asked_for_is_shown_and_under_the_name_asked_for() -> None:
    packet = packet_with([HOPS, LAST])
    assert [message.kind for message in shown(packet, names.ON_RECVDSTOPTS)] == [names.IPV6_DSTOPTS]
    assert [message.kind for message in shown(packet, names.ON_2292HOPOPTS)] == [names.IPV6_2292HOPOPTS]
    both = names.ON_RECVHOPOPTS | names.ON_2292HOPOPTS
    assert [message.kind for message in shown(packet, both)] == [names.IPV6_HOPOPTS, names.IPV6_2292HOPOPTS]
    assert shown(packet_with([]), both) == []


def test_a_length_that_leads_beyond_the_headers_ends_the_walk() -> None:
    packet = packet_with([HOPS, (ROUTING, b"\x20" + b"r" * 6)])
    found = shown(packet, names.ON_RECVHOPOPTS | names.ON_RECVRTHDR)
    assert [message.kind for message in found] == [names.IPV6_HOPOPTS]
