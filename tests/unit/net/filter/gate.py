"""A router between two networks, reduced to the hooks: packets are bytes that go in at one point and come out."""

from __future__ import annotations

import struct

from kernel.lang import span_of
from kernel.net.filter.access import connection_of, state_bits
from kernel.net.filter.connection import Connection
from kernel.net.filter.connection_table import ConnectionTable, table_of
from kernel.net.filter.nat_chains import add_nat_chain, remove_nat_chain
from kernel.net.filter.tracking import unuse_tracking, use_tracking
from kernel.net.filter.translation import NAT_ADDRESSES, NAT_PORTS, NatRequest, set_up_nat
from kernel.net.link.device import NetworkDevice
from kernel.net.link.hooks import (
    FAMILY_IP4,
    FAMILY_IP6,
    FORWARD,
    INPUT,
    OUTPUT,
    POSTROUTING,
    PREROUTING,
    Hook,
    Place,
    Verdict,
    hooks_of,
)
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import Packet
from kernel.net.link.part import Part
from tests.unit.net.wire_packets import internet_sum

TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
FORWARDED = (PREROUTING, FORWARD, POSTROUTING)
RECEIVED = (PREROUTING, INPUT)
SENT = (OUTPUT, POSTROUTING)


def packet_of(data: bytes) -> Packet:
    packet = Packet(len(data))
    packet.put(len(data)).copy_from(span_of(data))
    packet.network_start = packet.start
    packet.source, packet.destination = addresses_in(data)
    return packet


def addresses_in(data: bytes) -> tuple[bytes, bytes]:
    return (data[12:16], data[16:20]) if data[0] >> 4 == 4 else (data[8:24], data[24:40])


def header_length(data: bytes) -> int:
    return (data[0] & 15) * 4 if data[0] >> 4 == 4 else 40


def protocol_in(data: bytes) -> int:
    return data[9] if data[0] >> 4 == 4 else data[6]


def ip(source: bytes, destination: bytes, protocol: int, payload: bytes) -> bytes:
    if len(source) == 16:
        return struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64) + source + destination + payload
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 7, 0, 64, protocol, 0) + source + destination
    return head[:10] + struct.pack(">H", internet_sum(head)) + head[12:] + payload


def pseudo(source: bytes, destination: bytes, protocol: int, length: int) -> bytes:
    return source + destination + struct.pack(">IHBB", length, 0, 0, protocol)


def summed(source: bytes, destination: bytes, protocol: int, payload: bytes, at: int) -> bytes:
    """A datagram whose transport checksum is at `at`."""
    head = b"" if protocol == ICMP else pseudo(source, destination, protocol, len(payload))
    total = internet_sum(head + payload)
    if protocol == UDP and total == 0:
        total = 0xFFFF
    return ip(source, destination, protocol, payload[:at] + struct.pack(">H", total) + payload[at + 2 :])


def udp(source: bytes, port: int, destination: bytes, to: int, data: bytes = b"hello") -> bytes:
    return summed(source, destination, UDP, struct.pack(">HHHH", port, to, 8 + len(data), 0) + data, 6)


def tcp(
    source: bytes,
    port: int,
    destination: bytes,
    to: int,
    flags: int,
    sequence: int = 0,
    ack: int = 0,
    data: bytes = b"",
    window: int = 64240,
    options: bytes = b"",
) -> bytes:
    length = 20 + len(options)
    head = struct.pack(
        ">HHIIBBHHH", port, to, sequence % 2**32, ack % 2**32, length // 4 << 4, flags, window, 0, 0
    )
    return summed(source, destination, TCP, head + options + data, 16)


def echo(source: bytes, destination: bytes, identifier: int, kind: int | None = None, data: bytes = b"ping") -> bytes:
    is_ip4 = len(source) == 4
    kind = (8 if is_ip4 else 128) if kind is None else kind
    message = struct.pack(">BBHHH", kind, 0, 0, identifier, 1) + data
    return summed(source, destination, ICMP if is_ip4 else ICMP6, message, 2)


def error(source: bytes, destination: bytes, quoted: bytes, kind: int | None = None, code: int = 1) -> bytes:
    """An ICMP "destination unreachable" about a packet."""
    is_ip4 = len(source) == 4
    kind = (3 if is_ip4 else 1) if kind is None else kind
    message = struct.pack(">BBHI", kind, code, 0, 0) + quoted[:200]
    return summed(source, destination, ICMP if is_ip4 else ICMP6, message, 2)


def ports_in(data: bytes) -> tuple[int, int]:
    at = header_length(data)
    first, second = struct.unpack(">HH", data[at : at + 4])
    return first, second


def has_right_sums(data: bytes) -> bool:
    """Whether the checksums of a datagram, and of what an ICMP error quotes, are right as far as they can be known."""
    at = header_length(data)
    source, destination = addresses_in(data)
    protocol = protocol_in(data)
    if len(source) == 4 and internet_sum(data[:at]) != 0:
        return False
    payload = data[at:]
    if protocol == UDP and payload[6:8] == bytes(2):
        return True
    if protocol not in (TCP, UDP, ICMP, ICMP6):
        return True
    head = b"" if protocol == ICMP else pseudo(source, destination, protocol, len(payload))
    if internet_sum(head + payload) != 0:
        return False
    is_error = payload[0] in (3, 4, 11, 12) if protocol == ICMP else protocol == ICMP6 and payload[0] < 128
    return not is_error or has_right_sums(payload[8:])


class Rule(Hook):
    """A chain of type nat whose only rule translates what matches."""

    def __init__(self, request: NatRequest, only_from: bytes | None = None, only_to: bytes | None = None) -> None:
        super().__init__(0)
        self.request = request
        self.only_from = only_from
        self.only_to = only_to
        self.asked = 0

    def look(self, packet: Packet, place: Place) -> Verdict:
        self.asked += 1
        if self.only_from is not None and packet.source != self.only_from:
            return Verdict.ACCEPT
        if self.only_to is not None and packet.destination != self.only_to:
            return Verdict.ACCEPT
        return self.decide(packet, place)

    def decide(self, packet: Packet, place: Place) -> Verdict:
        return set_up_nat(packet, place, self.request)


def request_for(
    first: bytes, last: bytes | None = None, ports: tuple[int, int] | None = None, *, to_source: bool, flags: int = 0
) -> NatRequest:
    request = NatRequest(to_source)
    request.first = first
    request.last = first if last is None else last
    request.flags = flags | NAT_ADDRESSES
    if ports is not None:
        request.flags |= NAT_PORTS
        request.first_port, request.last_port = ports
    return request


class Gate:
    """The first network's hooks."""

    def __init__(self) -> None:
        self.chains: list[tuple[int, int, Hook]] = []
        self.is_used = [False, False]

    @property
    def table(self) -> ConnectionTable:
        return table_of(FIRST_NETWORK)

    def use(self) -> None:
        for family in (FAMILY_IP4, FAMILY_IP6):
            use_tracking(FIRST_NETWORK, family)
        self.is_used = [True, True]

    def add(self, point: int, chain: Hook, family: int = FAMILY_IP4) -> None:
        add_nat_chain(FIRST_NETWORK, family, point, chain)
        self.chains.append((family, point, chain))

    def clear(self) -> None:
        """Nobody uses anything any more; check that nothing is left."""
        for family, point, chain in self.chains:
            remove_nat_chain(FIRST_NETWORK, family, point, chain)
        if self.is_used[0]:
            for family in (FAMILY_IP4, FAMILY_IP6):
                unuse_tracking(FIRST_NETWORK, family)
        assert FIRST_NETWORK.hooks4 is None and FIRST_NETWORK.hooks6 is None and FIRST_NETWORK.onlookers == 0
        part = FIRST_NETWORK.connections
        if isinstance(part, ConnectionTable):
            while part.first is not None:
                part.drop(part.first)
            assert part.count == 0 and part.by_hash == {} and part.by_source == {}
            assert part.last is None
        FIRST_NETWORK.connections = Part()

    def pass_packet(
        self,
        packet: Packet,
        points: tuple[int, ...],
        *,
        into: NetworkDevice | None = None,
        out: NetworkDevice | None = None,
    ) -> bool:
        family = FAMILY_IP4 if len(packet.source) == 4 else FAMILY_IP6
        hooks = hooks_of(FIRST_NETWORK, family)
        if hooks is None:
            return True
        for point in points:
            place = Place(FIRST_NETWORK, family, point)
            if point in (PREROUTING, INPUT, FORWARD):
                place.input = into
            if point in (FORWARD, OUTPUT, POSTROUTING):
                place.output = out
            if hooks.run(packet, place) != Verdict.ACCEPT:
                return False
        return True

    def forward(self, data: bytes, *, out: NetworkDevice | None = None) -> bytes | None:
        """What comes out; None: it was dropped."""
        packet = packet_of(data)
        return packet.span().to_bytes() if self.pass_packet(packet, FORWARDED, out=out) else None

    def through(self, data: bytes, points: tuple[int, ...] = FORWARDED) -> bytes:
        """The same for what must not be dropped."""
        packet = packet_of(data)
        assert self.pass_packet(packet, points)
        return packet.span().to_bytes()

    def state(self, data: bytes, points: tuple[int, ...] = FORWARDED) -> int:
        """STATE_* of a packet that passes."""
        packet = packet_of(data)
        assert self.pass_packet(packet, points)
        return state_bits(packet)

    def connection(self, data: bytes) -> Connection | None:
        packet = packet_of(data)
        assert self.pass_packet(packet, FORWARDED)
        return connection_of(packet)


def check_table(table: ConnectionTable) -> None:
    """The invariants: no two connections share a tuple, and all that are linked are found."""
    seen: dict[tuple[object, ...], Connection] = {}
    count = 0
    connection = table.first
    while connection is not None:
        count += 1
        for tuple_ in (connection.original, connection.reply):
            key = (
                tuple_.source, tuple_.destination, tuple_.protocol, tuple_.source_port, tuple_.destination_port
            )
            assert seen.setdefault(key, connection) is connection
            found = table.find(tuple_)
            assert found is not None and found.connection is connection
        connection = connection.next
    assert count == table.count
