"""A whole host that forwards from one wire to another, and hides the one behind its address on the other."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from kernel.lang import span_of
from kernel.net.filter.translation import NatRequest
from kernel.net.internet import ipv4
from kernel.net.internet.output import resolve
from kernel.net.internet.sysctl import IP4_SETTINGS
from kernel.net.link.device import bring_up, register_device
from kernel.net.link.ethernet import ETHERTYPE_ARP
from kernel.net.link.hooks import OUTPUT, POSTROUTING, PREROUTING
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import Packet
from tests.unit.net.conftest import Wire, give_address
from tests.unit.net.filter.gate import Gate, Rule, addresses_in, echo, has_right_sums, ports_in, request_for, udp
from tests.unit.net.filter.test_nat import Masquerade
from tests.unit.net.wire_packets import OURS, PEER, arp, frame

OUTSIDE, SERVER = b"\xc0\xa8\x00\x01", b"\xc0\xa8\x00\x09"


@pytest.fixture
def outside(gate: Gate, wire: Wire) -> Iterator[Wire]:
    """A second interface with 192.168.0.1/24, whose neighbour 192.168.0.9 is known, as is 10.0.0.2 on the first."""
    device = Wire()
    register_device(device)
    bring_up(device)
    give_address(device, OUTSIDE, 24)
    wire.inject(frame(arp(1, PEER, OURS), ETHERTYPE_ARP, b"\xff" * 6))
    device.inject(frame(arp(1, SERVER, OUTSIDE), ETHERTYPE_ARP, b"\xff" * 6))
    wire.take()
    device.take()
    IP4_SETTINGS.ip_forward.set(FIRST_NETWORK, 1)
    yield device
    IP4_SETTINGS.ip_forward.set(FIRST_NETWORK, 0)


def datagrams(wire: Wire) -> list[bytes]:
    return [data[14:] for data in wire.take() if data[12:14] == b"\x08\0"]


def test_hosts_behind_a_router_share_its_address(gate: Gate, wire: Wire, outside: Wire) -> None:
    gate.add(POSTROUTING, Masquerade(NatRequest(to_source=True), only_from=PEER))
    wire.inject(frame(udp(PEER, 5000, SERVER, 53)))
    [sent] = datagrams(outside)
    assert addresses_in(sent) == (OUTSIDE, SERVER) and ports_in(sent) == (5000, 53) and has_right_sums(sent)
    outside.inject(frame(udp(SERVER, 53, OUTSIDE, 5000, b"answer")))
    [answer] = datagrams(wire)
    assert addresses_in(answer) == (SERVER, PEER) and has_right_sums(answer) and answer.endswith(b"answer")
    assert datagrams(outside) == []
    outside.inject(frame(udp(SERVER, 54, OUTSIDE, 5000)))  # nobody asked: it is for this host
    assert datagrams(wire) == []


def test_a_service_behind_a_router_is_reached_by_its_address(gate: Gate, wire: Wire, outside: Wire) -> None:
    gate.add(PREROUTING, Rule(request_for(PEER, ports=(8080, 8080), to_source=False), only_to=OUTSIDE))
    outside.inject(frame(udp(SERVER, 4000, OUTSIDE, 80)))
    [received] = datagrams(wire)
    assert addresses_in(received) == (SERVER, PEER) and ports_in(received) == (4000, 8080) and has_right_sums(received)
    wire.inject(frame(udp(PEER, 8080, SERVER, 4000)))
    [answer] = datagrams(outside)
    assert addresses_in(answer) == (OUTSIDE, SERVER) and ports_in(answer) == (80, 4000) and has_right_sums(answer)


def test_fragments_are_put_together_first(gate: Gate, wire: Wire, outside: Wire) -> None:
    gate.add(POSTROUTING, Masquerade(NatRequest(to_source=True), only_from=PEER))
    whole = udp(PEER, 5000, SERVER, 53, bytes(range(200)) * 10)
    head, data = whole[:20], whole[20:]
    for at in (1000, 0):
        part = data[at : at + 1000] if at == 0 else data[at:]
        fields = at // 8 | (0x2000 if at == 0 else 0)
        header = head[:2] + struct.pack(">HHH", 20 + len(part), 7, fields) + head[8:10] + bytes(2) + head[12:]
        header = header[:10] + struct.pack(">H", _sum(header)) + header[12:]
        wire.inject(frame(header + part))
    sent = datagrams(outside)
    assert len(sent) > 1 and all(addresses_in(part) == (OUTSIDE, SERVER) for part in sent)
    sent.sort(key=lambda part: struct.unpack(">H", part[6:8])[0] & 0x1FFF)
    joined = b"".join(part[20:] for part in sent)
    assert joined[8:] == whole[28:] and ports_in(bytes([0x45]) + bytes(19) + joined) == (5000, 53)


def _sum(header: bytes) -> int:
    total: int = sum(struct.unpack(">10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def test_what_this_host_sends_goes_another_way(gate: Gate, wire: Wire, outside: Wire) -> None:
    gate.add(OUTPUT, Rule(request_for(SERVER, to_source=False), only_to=PEER))
    question = echo(OURS, PEER, 5)[20:]
    packet = Packet(len(question))
    packet.put(len(question)).copy_from(span_of(question))
    ipv4.send(packet, resolve(FIRST_NETWORK, PEER), OURS, 1)
    assert datagrams(wire) == []
    [sent] = datagrams(outside)
    assert addresses_in(sent) == (OURS, SERVER) and has_right_sums(sent)
    assert gate.table.first is not None and gate.table.first.original.destination == PEER
