"""Closing a socket of datagrams: what comes in meanwhile counts for nobody afterwards."""

from __future__ import annotations

import pytest

from kernel.bpf.subject import SOCKET_RELEASED
from kernel.cgroup.programs import SOCKET_PROGRAMS
from kernel.lib.credentials import Credentials
from kernel.lib.pace import PACE, PACE_BUDGET, STRETCH_LIMIT
from kernel.lib.user import KernelBuffer
from kernel.net.datagram import udp
from kernel.net.datagram.memory import MEMORY
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.link import ethernet
from kernel.net.link.device import NetworkDevice
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import Packet
from kernel.net.sockets import inet_socket
from kernel.net.sockets.inet import encode_inet
from kernel.net.sockets.socket import AF_INET, SWITCH_REUSE_ADDRESS, Message, Socket
from kernel.net.sockets.socket_programs import Names
from tests.unit.meanwhile import meanwhile

HERE = b"\x7f\0\0\1"


def send(socket: UdpSocket, port: int) -> None:
    message = Message(KernelBuffer(bytearray(1000)), 0)
    message.address = encode_inet(HERE, port)
    assert socket.send(message) == 1000


def test_a_datagram_may_come_while_programs_hear_of_the_end(
    loopback: NetworkDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = MEMORY.used
    server, client = (UdpSocket(AF_INET, Credentials(), FIRST_NETWORK) for _ in range(2))
    server.take_port(7777)
    server.begin()
    queued: list[int] = []

    def permit(socket: Socket, purpose: int, names: Names) -> bool:
        if purpose == SOCKET_RELEASED and socket is server:  # what another thread does at a safe point
            send(client, 7777)
            queued.append(server.queue.count)
        return True

    monkeypatch.setattr(inet_socket, "permit", permit)
    monkeypatch.setattr(SOCKET_PROGRAMS, "count", 1)
    send(client, 7777)
    assert MEMORY.used > before
    server.close()
    ethernet.drain()
    client.close()
    assert queued == [2] and server.queue.count == server.queued_bytes == 0
    assert MEMORY.used == before


def test_waiting_datagrams_go_with_safe_points(loopback: NetworkDevice) -> None:
    before = MEMORY.used
    server, client = (UdpSocket(AF_INET, Credentials(), FIRST_NETWORK) for _ in range(2))
    server.take_port(7777)
    for _ in range(5):
        send(client, 7777)
    ethernet.drain()
    left: list[int] = []
    with meanwhile(lambda: left.append(server.queue.count), 3):
        server.close()
    client.close()
    assert left == [2] and server.queue.count == 0 and MEMORY.used == before


def test_a_datagram_for_very_many_is_missed_by_some(loopback: NetworkDevice) -> None:
    """Its receivers take a bounded time between two safe points."""
    sockets = [UdpSocket(AF_INET, Credentials(), FIRST_NETWORK) for _ in range(3000)]
    sender = UdpSocket(AF_INET, Credentials(), FIRST_NETWORK)
    for socket in sockets:
        socket.turn(SWITCH_REUSE_ADDRESS, on=True)
        socket.take_port(7777)
    PACE.left = PACE_BUDGET
    packet = Packet(100)
    packet.put(100)
    packet.device = loopback
    packet.source = packet.destination = HERE
    udp._deliver_to_all(packet, 7777, 1)
    assert PACE_BUDGET - PACE.left < STRETCH_LIMIT
    reached = [socket.queue.count for socket in sockets]
    assert 0 < sum(reached) < len(sockets)
    for socket in [*sockets, sender]:
        socket.close()
