"""A host on an Ethernet: ARP, echo, fragments, errors, hostile packets."""

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.net.internet import ipv4
from kernel.net.internet.fragments import reassembler_of
from kernel.net.internet.output import resolve
from kernel.net.link import neighbours
from kernel.net.link.ethernet import ETHERTYPE_ARP
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import Packet
from tests.unit.net.conftest import OUR_MAC, PEER_MAC, Wire, pass_time
from tests.unit.net.wire_packets import OURS, PEER, arp, echo, frame, internet_sum, ip4, udp4


def meet(wire: Wire) -> None:
    """Let the host learn the peer's link address."""
    wire.inject(frame(arp(1, PEER, OURS), ETHERTYPE_ARP, b"\xff" * 6))
    wire.take()


def test_an_arp_request_is_answered(wire: Wire) -> None:
    wire.inject(frame(arp(1, PEER, OURS), ETHERTYPE_ARP, b"\xff" * 6))
    [answer] = wire.take()
    assert answer[:6] == PEER_MAC
    assert answer[14:] == arp(2, OURS, PEER, OUR_MAC, PEER_MAC)


def test_an_arp_request_for_another_is_not_answered(wire: Wire) -> None:
    wire.inject(frame(arp(1, PEER, b"\x0a\x00\x00\x09"), ETHERTYPE_ARP, b"\xff" * 6))
    assert wire.take() == []


def test_packets_wait_for_the_answer_to_arp(wire: Wire) -> None:
    hop = resolve(FIRST_NETWORK, PEER)
    for number in range(3):
        packet = Packet(4)
        packet.put(4)[0] = number
        ipv4.send(packet, hop, hop.source, 99)
    [question] = wire.take()
    assert question[14:] == arp(1, OURS, PEER, OUR_MAC)
    wire.inject(frame(arp(2, PEER, OURS, PEER_MAC, OUR_MAC), ETHERTYPE_ARP))
    sent = wire.take()
    assert [f[34] for f in sent] == [0, 1, 2]
    assert all(f[:6] == PEER_MAC for f in sent)


def test_a_neighbour_that_does_not_answer_is_given_up(wire: Wire) -> None:
    before = FIRST_NETWORK.icmp4.out_types[3]
    hop = resolve(FIRST_NETWORK, PEER)
    packet = Packet(4)
    packet.put(4)
    ipv4.send(packet, hop, hop.source, 99)
    pass_time(5)
    assert len(wire.take()) == 3
    assert FIRST_NETWORK.icmp4.out_types[3] == before + 1
    neighbour = neighbours.find_neighbour(wire, PEER)
    assert neighbour is not None and neighbour.state == neighbours.FAILED


def test_echo_is_answered(wire: Wire) -> None:
    meet(wire)
    wire.inject(frame(ip4(echo(), 1)))
    [answer] = wire.take()
    assert answer[34:] == echo(kind=0)
    assert internet_sum(answer[14:34]) == 0


def test_a_broadcast_echo_is_not_answered(wire: Wire) -> None:
    meet(wire)
    wire.inject(frame(ip4(echo(), 1, destination=b"\x0a\x00\x00\xff"), to=b"\xff" * 6))
    assert wire.take() == []


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 0, 1, 2)])
def test_fragments_come_in_any_order(wire: Wire, order: tuple[int, ...]) -> None:
    meet(wire)
    message = echo(bytes(range(256)) * 10)
    pieces = [message[0:1000], message[1000:2000], message[2000:]]
    for index in order:
        more = 0x2000 if index < 2 else 0
        wire.inject(frame(ip4(pieces[index], 1, fields=more | index * 125)))
    sent = wire.take()
    # The answer is longer than the MTU: it goes in two fragments.
    assert len(sent) == 2
    data = sent[0][34:] + sent[1][34:]
    assert data == b"\0" + data[1:2] + data[2:4] + message[4:]
    assert reassembler_of(FIRST_NETWORK).bytes_held == 0


def test_overlapping_fragments_are_dropped(wire: Wire) -> None:
    meet(wire)
    before = FIRST_NETWORK.ip4.reassembly_fails
    wire.inject(frame(ip4(bytes(1000), 1, fields=0x2000)))
    wire.inject(frame(ip4(bytes(1000), 1, fields=0x2000 | 100)))
    assert FIRST_NETWORK.ip4.reassembly_fails == before + 1
    assert reassembler_of(FIRST_NETWORK).bytes_held == 0


def test_incomplete_datagrams_are_forgotten(wire: Wire) -> None:
    meet(wire)
    wire.inject(frame(ip4(echo(bytes(992)), 1, fields=0x2000)))
    assert reassembler_of(FIRST_NETWORK).bytes_held > 0
    pass_time(31)
    assert reassembler_of(FIRST_NETWORK).bytes_held == 0
    assert not reassembler_of(FIRST_NETWORK).datagrams
    assert wire.take()[-1][34:36] == b"\x0b\x01"  # time exceeded, reassembly


def test_memory_for_fragments_is_bounded(wire: Wire) -> None:
    meet(wire)
    for number in range(6000):
        wire.inject(frame(ip4(bytes(1400), 1, identification=number, fields=0x2000)))
    assert reassembler_of(FIRST_NETWORK).bytes_held <= 4 << 20


def test_a_closed_port_is_reported(wire: Wire) -> None:
    meet(wire)
    before = FIRST_NETWORK.udp4.no_ports
    datagram = ip4(udp4(b"hello", 1000, 2000), 17)
    wire.inject(frame(datagram))
    [answer] = wire.take()
    assert answer[34:36] == b"\x03\x03"
    assert answer[42:] == datagram
    assert FIRST_NETWORK.udp4.no_ports == before + 1


def test_errors_are_limited(wire: Wire) -> None:
    meet(wire)
    for _ in range(100):
        wire.inject(frame(ip4(udp4(b"hello", 1000, 2000), 17)))
    assert 1 <= len(wire.take()) <= 10


def test_no_error_about_an_error(wire: Wire) -> None:
    meet(wire)
    inner = ip4(udp4(b"x", 1, 2), 17, source=OURS, destination=PEER)
    body = struct.pack(">BBHI", 3, 2, 0, 0) + inner
    body = body[:2] + struct.pack(">H", internet_sum(body)) + body[4:]
    wire.inject(frame(ip4(body, 1)))
    assert wire.take() == []


def test_bad_headers_are_counted_and_dropped(wire: Wire) -> None:
    meet(wire)
    good = ip4(echo(), 1)
    bad = [
        b"\x55" + good[1:],  # version 5
        b"\x44" + good[1:],  # header of 16 bytes
        b"\x4f" + good[1:],  # header longer than the datagram
        good[:2] + b"\x00\x05" + good[4:],  # total length below the header's
        good[:10] + b"\x12\x34" + good[12:],  # checksum
        good[:15],
    ]
    before = FIRST_NETWORK.ip4.in_header_errors
    for packet in bad:
        wire.inject(frame(packet))
    assert wire.take() == []
    assert FIRST_NETWORK.ip4.in_header_errors == before + len(bad)


def test_source_routes_are_refused(wire: Wire) -> None:
    meet(wire)
    wire.inject(frame(ip4(echo(), 1, options=b"\x83\x07\x04\x0a\x00\x00\x09\x00")))
    assert wire.take() == []


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([0x0800, 0x0806, 0x86DD]), st.binary(max_size=120), st.booleans())
def test_noise_does_no_harm(wire: Wire, ethertype: int, noise: bytes, is_broadcast: bool) -> None:
    wire.inject(frame(noise, ethertype, b"\xff" * 6 if is_broadcast else OUR_MAC))
    wire.take()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([1, 2, 17, 6, 58, 255]), st.binary(max_size=100), st.integers(0, 0xFFFF))
def test_noise_behind_a_good_header_does_no_harm(wire: Wire, protocol: int, noise: bytes, fields: int) -> None:
    wire.inject(frame(ip4(noise, protocol, fields=fields)))
    wire.take()
