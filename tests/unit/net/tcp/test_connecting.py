"""connect(2) while another thread does something with the same socket."""

import pytest

from kernel.fs.constants import O_NONBLOCK, POLLERR, POLLHUP, POLLOUT, POLLWRNORM
from kernel.lang import ECONNABORTED, ECONNRESET, EINPROGRESS, EPIPE, Errno
from kernel.lib.credentials import Credentials
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.sockets.inet import encode_inet
from kernel.net.sockets.socket import AF_INET, SHUT_RD, SHUT_RDWR, SHUT_WR
from kernel.net.tcp.connection import State
from kernel.net.tcp.socket import Phase, TcpSocket
from kernel.net.tcp.table import TABLE
from kernel.sched import WaitQueue
from tools.simulated.wire import Wire

PEER = b"\x0a\x00\x00\x02"
NOBODY = bytes(16)


def fails(socket: TcpSocket, address: bytes) -> int:
    with pytest.raises(Errno) as caught:
        socket.connect(address)
    return caught.value.code


@pytest.mark.parametrize("connects_anew", [False, True])
def test_a_socket_that_another_thread_disconnects(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, connects_anew: bool
) -> None:
    socket = TcpSocket(AF_INET, Credentials(), FIRST_NETWORK)
    before = TABLE.connections.count

    def wait(waiting: TcpSocket, queue: WaitQueue, deadline_ns: int) -> None:
        assert waiting is socket and TABLE.connections.count == before + 1
        socket.connect(NOBODY)
        if connects_anew:
            socket.flags |= O_NONBLOCK
            assert fails(socket, encode_inet(PEER, 81)) == EINPROGRESS

    monkeypatch.setattr(TcpSocket, "wait", wait)
    assert fails(socket, encode_inet(PEER, 80)) == EPIPE
    c = socket.connection()
    if connects_anew:
        assert socket.phase == Phase.CONNECTING and socket.remote_port == 81
        assert c is not None and c.state == State.SYN_SENT and TABLE.connections.count == before + 1
    else:
        assert socket.phase == Phase.UNCONNECTED and c is None and socket.take_error() == ECONNRESET
    socket.close()
    assert TABLE.connections.count == before


@pytest.mark.parametrize("how", [SHUT_RD, SHUT_WR, SHUT_RDWR])
@pytest.mark.parametrize("waits", [False, True])
def test_a_socket_that_is_shut_down_before_it_is_connected(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, how: int, waits: bool
) -> None:
    socket = TcpSocket(AF_INET, Credentials(), FIRST_NETWORK)
    before = TABLE.connections.count
    monkeypatch.setattr(TcpSocket, "wait", lambda *_: socket.shut_down(how))
    if waits:
        assert fails(socket, encode_inet(PEER, 80)) == ECONNRESET and socket.take_error() == 0
    else:
        socket.flags |= O_NONBLOCK
        assert fails(socket, encode_inet(PEER, 80)) == EINPROGRESS
        socket.shut_down(how)
        assert socket.poll(None) == POLLOUT | POLLWRNORM | POLLERR | POLLHUP and socket.take_error() == ECONNRESET
    assert socket.phase == Phase.UNCONNECTED and TABLE.connections.count == before
    socket.close()


def test_who_waits_for_a_connection_that_another_ended_leaves_the_next_one_alone(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = TcpSocket(AF_INET, Credentials(), FIRST_NETWORK)

    def wait(waiting: TcpSocket, queue: WaitQueue, deadline_ns: int) -> None:
        socket.shut_down(SHUT_RDWR)
        socket.flags |= O_NONBLOCK
        assert fails(socket, encode_inet(PEER, 81)) == EINPROGRESS

    monkeypatch.setattr(TcpSocket, "wait", wait)
    assert fails(socket, encode_inet(PEER, 80)) == ECONNABORTED
    assert socket.phase == Phase.CONNECTING and socket.remote_port == 81
    socket.close()
