"""Datagrams that several sends make up (MSG_MORE): a part that fails takes those before it along."""

from __future__ import annotations

import pytest

from kernel.lang import EFAULT, EMSGSIZE, EOPNOTSUPP, Errno, Span, u8
from kernel.lib.credentials import Credentials
from kernel.lib.user import KernelBuffer
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.link import ethernet
from kernel.net.link.device import NetworkDevice
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.sockets.inet import encode_inet
from kernel.net.sockets.socket import AF_INET, MSG_DONTWAIT, MSG_MORE, MSG_OOB, Message
from kernel.sched import mutex
from kernel.sched.thread import Thread

HERE = b"\x7f\0\0\1"


class Faulty(KernelBuffer):
    """Memory that cannot be read."""

    def take(self, target: Span[u8]) -> int:
        return 0

    def take_bytes(self, count: int) -> bytes:
        return b""


@pytest.fixture
def ends(loopback: NetworkDevice, monkeypatch: pytest.MonkeyPatch) -> tuple[UdpSocket, UdpSocket]:
    thread = Thread(b"sender")
    monkeypatch.setattr(mutex, "current_thread", lambda: thread)
    client, server = (UdpSocket(AF_INET, Credentials(), FIRST_NETWORK) for _ in range(2))
    server.take_port(7777)
    return client, server


def send(socket: UdpSocket, buffer: KernelBuffer, flags: int) -> int:
    message = Message(buffer, flags)
    message.address = encode_inet(HERE, 7777)
    return socket.send(message)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("flags", [0, MSG_MORE])
@pytest.mark.parametrize(
    ("failing", "code"), [(Faulty(bytearray(3)), EFAULT), (KernelBuffer(bytearray(65535)), EMSGSIZE)]
)
def test_a_part_that_fails_takes_the_others_along(
    ends: tuple[UdpSocket, UdpSocket], parts: int, flags: int, failing: KernelBuffer, code: int
) -> None:
    client, server = ends
    for _ in range(parts):
        send(client, KernelBuffer(bytearray(b"lost")), MSG_MORE)
    with pytest.raises(Errno) as caught:
        send(client, failing, flags)
    assert caught.value.code == code and client.corked is None
    send(client, KernelBuffer(bytearray(b"kept")), 0)
    ethernet.drain()
    buffer = KernelBuffer(bytearray(100))
    assert server.receive(Message(buffer, MSG_DONTWAIT)) == 4 and buffer.storage[:4] == b"kept"
    for each in ends:
        each.close()


@pytest.mark.parametrize(("size", "flags", "code"), [(65536, MSG_MORE, EMSGSIZE), (1, MSG_OOB, EOPNOTSUPP)])
def test_what_is_checked_first_leaves_the_others(
    ends: tuple[UdpSocket, UdpSocket], size: int, flags: int, code: int
) -> None:
    client, server = ends
    send(client, KernelBuffer(bytearray(b"kept")), MSG_MORE)
    with pytest.raises(Errno) as caught:
        send(client, KernelBuffer(bytearray(size)), flags)
    assert caught.value.code == code
    send(client, KernelBuffer(bytearray(b", too")), 0)
    ethernet.drain()
    buffer = KernelBuffer(bytearray(100))
    assert server.receive(Message(buffer, MSG_DONTWAIT)) == 9 and buffer.storage[:9] == b"kept, too"
    for each in ends:
        each.close()
