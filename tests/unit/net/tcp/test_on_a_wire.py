"""TCP against packets from outside, and between two programs, on a booted machine."""

import os
import struct
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from kernel.lib.socket_group import SENDER_RULES
from kernel.net.internet import ip
from kernel.net.link.device import bring_up
from kernel.net.link.network import LOOPBACK
from kernel.net.link.packet import Packet as KernelPacket
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program
from tools.simulated.wire import OUR_MAC, Wire, attach_wire

AF_INET = 2
SOCK_STREAM = 1
OURS = "10.0.0.1"
PEER = "10.0.0.2"
PEER_MAC = "02:00:00:00:00:02"


def address(port: int, host: int = 0) -> bytearray:
    """struct sockaddr_in."""
    return bytearray(struct.pack("<H", AF_INET) + struct.pack(">HI", port, host) + bytes(8))


def listen(program: Program, port: int) -> int:
    listening = program.socket(AF_INET, SOCK_STREAM, 0)
    program.bind(listening, address(port), 16)
    program.listen(listening, 5)
    return listening


class Peer:
    """The other end of the wire, made of scapy's packets."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.inject(ARP(op=1, hwsrc=PEER_MAC, psrc=PEER, pdst=OURS))  # so we are known

    def inject(self, packet: Packet) -> None:
        self.wire.inject(bytes(Ether(src=PEER_MAC, dst=OUR_MAC) / packet))

    def take(self) -> list[TCP]:
        """The TCP segments that have come since the last call."""
        return [frame[TCP] for data in self.wire.take() if TCP in (frame := Ether(data))]

    def segment(self, flags: str, seq: int, ack: int = 0, data: bytes = b"") -> list[TCP]:
        """Send one, and give what comes back at once."""
        header = TCP(sport=1234, dport=80, flags=flags, seq=seq, ack=ack, window=1000)
        self.inject(IP(src=PEER, dst=OURS) / header / data)
        return self.take()


@booted
def test_a_connection_by_hand(machine: Machine) -> None:
    host = machine.host
    peer = Peer(attach_wire(bytes([10, 0, 0, 1]), 24))
    listening = listen(host, 80)
    [syn_ack] = peer.segment("S", 100)
    assert syn_ack.flags == "SA" and syn_ack.ack == 101
    ours = syn_ack.seq + 1
    assert peer.segment("A", 101, ours) == []
    connected = host.accept4(listening, 0, 0, os.O_NONBLOCK)
    answers = peer.segment("PA", 101, ours, b"question")
    host.nanosleep(struct.pack("<QQ", 1, 0), None)  # the acknowledgement may be delayed
    [ack] = answers + peer.take()
    assert ack.flags == "A" and ack.ack == 109
    buffer = bytearray(20)
    assert host.read(connected, buffer, 20) == 8 and buffer[:8] == b"question"
    host.write(connected, b"answer", 6)
    [data] = peer.take()
    assert bytes(data.payload) == b"answer" and data.seq == ours and data.ack == 109
    assert peer.segment("A", 109, ours + 6) == []
    host.close(connected)
    [fin] = peer.take()
    assert fin.flags == "FA" and fin.seq == ours + 6


@booted
def test_a_closed_port_resets(machine: Machine) -> None:
    peer = Peer(attach_wire(bytes([10, 0, 0, 1]), 24))
    [reset] = peer.segment("S", 7)
    assert reset.flags == "RA" and reset.ack == 8


@booted
def test_two_programs_over_loopback(machine: Machine) -> None:
    host = machine.host
    bring_up(LOOPBACK)
    listening = listen(host, 80)
    data = bytes(range(256)) * 800  # more than the window

    def client(program: Program) -> None:
        connection = program.socket(AF_INET, SOCK_STREAM, 0)
        program.connect(connection, address(80, 0x7F00_0001), 16)
        sent = 0
        while sent < len(data):
            sent += program.write(connection, data[sent : sent + 50_000], len(data[sent : sent + 50_000]))
        program.close(connection)

    child = host.fork(client)
    connected = host.accept(listening, 0, 0)
    received = b""
    buffer = bytearray(40_000)
    while count := host.read(connected, buffer, len(buffer)):
        received += buffer[:count]
    assert received == data
    assert machine.wait(child) == 0


@booted
def test_segments_name_who_opened_their_socket(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener for its answer to a SYN, then whoever accepts; nobody before that, and nobody after the end."""
    host = machine.host
    peer = Peer(attach_wire(bytes([10, 0, 0, 1]), 24))
    listening = listen(host, 80)
    named: list[bool] = []
    send = ip.send

    def noted(packet: KernelPacket, *rest: Any, **named_rest: Any) -> None:  # noqa: ANN401  (as `ip.send` has them)
        named.append(packet.sender is not None)
        send(packet, *rest, **named_rest)

    monkeypatch.setattr(ip, "send", noted)
    monkeypatch.setattr(SENDER_RULES, "count", 1)
    [syn_ack] = peer.segment("S", 100)
    ours = syn_ack.seq + 1
    assert named == [True]
    peer.segment("A", 101, ours)
    peer.segment("PA", 105, ours, b"out of order")
    assert named == [True, False]
    connected = host.accept4(listening, 0, 0, os.O_NONBLOCK)
    peer.segment("PA", 101, ours, b"ques")
    host.write(connected, b"answer", 6)
    assert len(named) >= 3 and all(named[2:])
    before = len(named)
    host.close(connected)
    assert len(named) > before and not any(named[before + 1 :])
