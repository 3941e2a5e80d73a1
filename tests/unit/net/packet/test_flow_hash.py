"""The number of a packet's flow: one for both directions, another for each flow."""

from __future__ import annotations

import struct

from kernel.lang import span_of
from kernel.net.link.packet import Packet
from kernel.net.packet.flow_hash import flow_hash

IP4, IP6, ARP = 0x0800, 0x86DD, 0x0806
TCP, UDP, ICMP = 6, 17, 1
HERE, THERE = b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02"


def number(protocol: int, data: bytes) -> int:
    packet = Packet(len(data))
    packet.protocol = protocol
    packet.network_start = packet.start
    packet.put(len(data)).copy_from(span_of(data))
    return flow_hash(packet)


def number4(source: bytes, destination: bytes, ports: tuple[int, int], kind: int = TCP, fragment: int = 0) -> int:
    header = struct.pack(">BBHHHBBH", 0x45, 0, 40, 1, fragment, 64, kind, 0) + source + destination
    return number(IP4, header + struct.pack(">HH", *ports))


def number6(source: bytes, destination: bytes, ports: tuple[int, int]) -> int:
    header = struct.pack(">IHBB", 6 << 28, 4, UDP, 64) + source.rjust(16, b"\xfd") + destination.rjust(16, b"\xfd")
    return number(IP6, header + struct.pack(">HH", *ports))


def test_both_directions_have_one_number() -> None:
    for of in (number4, number6):
        assert of(HERE, THERE, (80, 5000)) == of(THERE, HERE, (5000, 80))


def test_other_flows_have_others() -> None:
    flows = {number4(HERE, bytes([10, 0, 1, host]), (80, port)) for host in range(20) for port in range(5000, 5020)}
    assert len(flows) > 395  # of 400, in 32 bits: two may meet, rarely
    assert 0 not in flows
    assert number4(HERE, THERE, (80, 5000), UDP) != number4(HERE, THERE, (80, 5000), TCP)


def test_fragments_have_the_number_of_their_addresses_alone() -> None:
    first, later = 0x2000, 0x0010
    numbers = {number4(HERE, THERE, (80, port), fragment=part) for port in (1, 2) for part in (first, later)}
    assert len(numbers) == 1 and numbers != {number4(HERE, THERE, (80, 1))}
    assert number4(HERE, THERE, (1, 2), ICMP) == number4(HERE, THERE, (3, 4), ICMP)


def test_packets_cut_short_and_strange_ones_have_a_number_too() -> None:
    for length in range(24):
        assert number(IP4, bytes(length)) != 0 and number(IP6, bytes(length)) != 0
    assert number(ARP, b"one") == number(ARP, b"two") != number(IP4, b"")
