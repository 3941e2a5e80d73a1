"""Dumps of sockets, while others open and close some."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import pytest

from kernel.lib.credentials import Credentials
from kernel.lib.pace import PACE, PACE_BUDGET, Rest
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.link.device import NetworkDevice
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.netlink import inet_diagnosis
from kernel.net.netlink.inet_diagnosis import dump_internet
from kernel.net.netlink.messages import MessageWriter, Request
from kernel.net.netlink.unix_diagnosis import dump_unix
from kernel.net.sockets.socket import AF_INET, AF_UNIX
from kernel.net.tcp.socket import TcpSocket
from kernel.net.unix.datagram import DatagramSocket
from tests.unit.meanwhile import meanwhile

UDP, TCP = 17, 6
BY_FAMILY, REQUEST, BYTECODE = 20, 1, 1


@pytest.fixture(autouse=True)
def caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inet_diagnosis, "current", lambda: SimpleNamespace(credentials=Credentials()))


def request(body: bytes) -> Request:
    return Request(struct.pack("<IHHII", 16 + len(body), BY_FAMILY, REQUEST, 0, 0) + body, 0, FIRST_NETWORK, None)


class Counted(Rest):
    """Counts safe points."""

    def __init__(self) -> None:
        self.count = 0

    def take(self) -> None:
        self.count += 1


def messages(writer: MessageWriter) -> int:
    data, count = bytes(writer.data), 0
    while data:
        data = data[(struct.unpack_from("<I", data)[0] + 3) & ~3 :]
        count += 1
    return count


def count_internet(protocol: int, program: bytes = b"") -> int:
    writer = MessageWriter()
    attribute = struct.pack("<HH", 4 + len(program), BYTECODE) + program if program else b""
    dump_internet(request(struct.pack("<BBBBI", AF_INET, protocol, 0, 0, 0xFFFF_FFFF) + bytes(48) + attribute), writer)
    return messages(writer)


def count_unix() -> int:
    writer = MessageWriter()
    dump_unix(request(struct.pack("<BBHIIIII", AF_UNIX, 0, 0, 0xFFFF_FFFF, 0, 0, 0, 0)), writer)
    return messages(writer)


def test_udp_sockets_may_end_between_two_of_a_dump(loopback: NetworkDevice) -> None:
    made = [UdpSocket(AF_INET, Credentials(), FIRST_NETWORK) for _ in range(4)]
    for index, socket in enumerate(made):
        socket.take_port(7000 + index)
    before = count_internet(UDP)
    with meanwhile(lambda: (made[0].release(), made[3].release())):
        assert count_internet(UDP) == before - 1  # the first has been written
    assert count_internet(UDP) == before - 2
    for socket in made[1:3]:
        socket.release()


def test_listeners_may_end_between_two_of_a_dump(loopback: NetworkDevice) -> None:
    made = [TcpSocket(AF_INET, Credentials(), FIRST_NETWORK) for _ in range(4)]
    for socket in made:
        socket.listen(1)
    before = count_internet(TCP)
    with meanwhile(lambda: (made[0].release(), made[3].release())):
        assert count_internet(TCP) == before - 1
    for socket in made[1:3]:
        socket.release()


@pytest.mark.parametrize("number", [1, 2])
def test_unix_sockets_may_end_between_two_of_a_dump(number: int) -> None:
    made = [DatagramSocket(0, Credentials(), FIRST_NETWORK) for _ in range(4)]
    before = count_unix()
    with meanwhile(lambda: (made[3].release(), made[0].release()), number):
        assert count_unix() == before - 1  # each safe point is after a socket
    for socket in made[1:3]:
        socket.release()


def test_programs_count(loopback: NetworkDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the longest, which a dump runs for each socket."""
    sockets = [UdpSocket(AF_INET, Credentials(), FIRST_NETWORK) for _ in range(2)]
    for index, socket in enumerate(sockets):
        socket.take_port(7000 + index)
    counted = Counted()
    monkeypatch.setattr(PACE, "rest", counted)
    monkeypatch.setattr(PACE, "left", PACE_BUDGET)
    assert count_internet(UDP, bytes([0, 4, 0, 0]) * 4000) >= 2
    assert counted.count >= 2
    for socket in sockets:
        socket.release()
