"""The end of a listener."""

import struct

import pytest

from kernel.lang import ECONNRESET, EINPROGRESS, EINVAL, Errno
from kernel.lib.credentials import Credentials
from kernel.lib.pace import PACE, PACE_BUDGET
from kernel.net.link.device import NetworkDevice
from kernel.net.link.loopback import BACKLOG
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.sockets.socket import AF_INET, SHUT_RD
from kernel.net.tcp.socket import TcpSocket
from tests.unit.meanwhile import meanwhile


def test_connections_that_nobody_accepted_end_with_safe_points_between(
    loopback: NetworkDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = TcpSocket(AF_INET, Credentials(), FIRST_NETWORK)
    server.listen(100)
    listener = server.listener
    assert listener is not None
    address = struct.pack("<H", AF_INET) + struct.pack(">H", server.binding.port) + bytes([127, 0, 0, 1]) + bytes(8)
    clients = [TcpSocket(AF_INET, Credentials(), FIRST_NETWORK) for _ in range(50)]
    for client in clients:
        with pytest.raises(Errno) as raised:
            client.connect_at_once(address)
        assert raised.value.code == EINPROGRESS
    assert len(listener.ready) == 50
    left: list[int] = []

    def look() -> None:
        left.append(len(listener.ready))
        assert BACKLOG.queue.count == 0
        monkeypatch.setattr(server, "listener", listener)  # of a thread that waits
        with pytest.raises(Errno) as raised:
            server.accept(0)
        assert raised.value.code == EINVAL
        monkeypatch.setattr(server, "listener", None)

    monkeypatch.setattr(PACE, "left", PACE_BUDGET)
    with meanwhile(look):
        server.shut_down(SHUT_RD)
    assert 0 < left[0] < 50
    assert len(listener.ready) == 0 and server.port_group is None
    assert [client.take_error() for client in clients] == [ECONNRESET] * 50
    for socket in [server, *clients]:
        socket.release()
