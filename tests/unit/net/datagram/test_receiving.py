"""Receiving a datagram while another thread receives, too."""

from __future__ import annotations

import pytest

from kernel.lib.credentials import Credentials
from kernel.lib.user import KernelBuffer
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.link import ethernet
from kernel.net.link.device import NetworkDevice
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.sockets.inet import encode_inet
from kernel.net.sockets.inet_socket import InetSocket
from kernel.net.sockets.socket import AF_INET, MSG_PEEK, Message

HERE = b"\x7f\0\0\1"
PORT = 7778


def received(socket: UdpSocket, flags: int = 0) -> bytes:
    buffer = KernelBuffer(bytearray(10))
    message = Message(buffer, flags)
    message.wants_address = True
    length = socket.receive(message)
    return bytes(buffer.storage[:length])


@pytest.mark.parametrize("flags", [0, MSG_PEEK])
def test_a_datagram_that_another_thread_takes_while_its_address_is_judged(
    loopback: NetworkDevice, monkeypatch: pytest.MonkeyPatch, flags: int
) -> None:
    """Programs of bpf(2) that judge it have safe points. Each datagram is received once, or seen by whoever peeks."""
    server, client = (UdpSocket(AF_INET, Credentials(), FIRST_NETWORK) for _ in range(2))
    server.take_port(PORT)
    for text in (b"first", b"second", b"third"):
        message = Message(KernelBuffer(bytearray(text)), 0)
        message.address = encode_inet(HERE, PORT)
        client.send(message)
    ethernet.drain()
    others: list[bytes] = []
    judged_name = InetSocket.judged_name

    def judge(socket: InetSocket, place: int, name: bytes) -> bytes:
        if len(others) == 0:
            others.append(b"")  # once
            others[0] = received(server)
        return judged_name(socket, place, name)

    monkeypatch.setattr(InetSocket, "judged_name", judge)
    assert received(server, flags) == (b"first" if flags == MSG_PEEK else b"second")
    assert others == [b"first"]
    assert server.queue.count == (2 if flags == MSG_PEEK else 1)
    assert received(server) == (b"second" if flags == MSG_PEEK else b"third")
    for each in (server, client):
        each.close()
