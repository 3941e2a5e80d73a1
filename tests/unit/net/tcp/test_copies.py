"""What others do with a connection while a copy to or from a program sleeps."""

from collections.abc import Callable

import pytest

from kernel.lang import ECONNRESET, EINTR, EPIPE, Errno, Span, u8
from kernel.lib.credentials import Credentials
from kernel.lib.user import KernelBuffer
from kernel.net.internet.output import NextHop
from kernel.net.internet.routes import LOCAL
from kernel.net.link.network import FIRST_NETWORK, LOOPBACK
from kernel.net.sockets.inet_options import InternetOptions
from kernel.net.sockets.socket import AF_INET, MSG_PEEK, SHUT_WR, Message
from kernel.net.tcp import closing, stream
from kernel.net.tcp.channel import Channel
from kernel.net.tcp.connection import Connection
from kernel.net.tcp.socket import TcpSocket
from kernel.net.tcp.stream import Stream
from kernel.net.tcp.tcp_options import TcpOptions
from kernel.sched import Mutex, WaitQueue, mutex
from kernel.sched.thread import Thread
from tests.unit.net.tcp.simulation import Side, World


class Slow(KernelBuffer):
    """A program's memory at which another thread acts in the middle of the first copy, or a later one."""

    def __init__(self, storage: bytearray, act: Callable[[], None], earlier: int = 0) -> None:
        super().__init__(storage)
        self.act = act
        self.earlier = earlier  # how many copies come first

    def put(self, source: Span[u8]) -> int:
        self.let_act()
        return super().put(source)

    def take(self, destination: Span[u8]) -> int:
        moved = super().take(destination)
        self.let_act()
        return moved

    def let_act(self) -> None:
        self.earlier -= 1
        if self.earlier == -1:
            self.act()


class Others:
    """Threads other than the one that runs, which go away where they must wait for a lock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.running = Thread(b"first")
        self.waits = 0
        self.wait_for_lock: Callable[[], None] = self.go_away
        monkeypatch.setattr(mutex, "current_thread", lambda: self.running)
        for name in ("_wait", "_wait_unless_dying"):
            monkeypatch.setattr(Mutex, name, lambda lock, thread: self.wait_for_lock())

    def go_away(self) -> None:
        self.waits += 1
        raise Errno(EINTR)

    def run(self, act: Callable[[], object]) -> None:
        first = self.running
        self.running = Thread(b"another")
        try:
            act()
        except Errno as error:
            assert error.code == EINTR
        finally:
            self.running = first


@pytest.fixture(autouse=True)
def others(monkeypatch: pytest.MonkeyPatch) -> Others:
    return Others(monkeypatch)


@pytest.fixture
def world() -> World:
    world = World()
    world.open()
    return world


def socket_of(side: Side) -> tuple[TcpSocket, Stream, Connection]:
    """A socket that has the side's connection."""
    c = side.connection
    assert c is not None
    socket = TcpSocket(AF_INET, Credentials(), FIRST_NETWORK)
    hop = NextHop(b"\x7f\0\0\1", LOOPBACK, LOCAL)
    channel = Channel(hop, TcpOptions(InternetOptions(FIRST_NETWORK)), AF_INET, WaitQueue(), WaitQueue())
    channel.connection = c
    socket.stream = Stream(channel)
    return socket, socket.stream, c


def arrive(world: World, data: bytes) -> None:
    """Let the second side get data."""
    assert world.a.write(data) == len(data)
    b = world.b.connection
    assert b is not None
    end = b.receive.next_sequence + len(data)
    assert world.run(until=lambda: b.receive.next_sequence == end)


@pytest.mark.parametrize("count", [50, 100])
def test_a_socket_is_disconnected_while_it_is_read(world: World, count: int) -> None:
    socket, found, c = socket_of(world.b)
    arrive(world, b"x" * 100)
    buffer = Slow(bytearray(count), lambda: socket.connect(bytes(16)))
    assert stream.receive(socket, found, Message(buffer, 0)) == count
    assert bytes(buffer.storage) == b"x" * count
    assert c.receive.bytes == c.receive.memory == 0 and c.receive.head is None
    assert found.channel.connection is None


def test_a_writer_finishes_its_copy_before_the_fin(world: World, others: Others) -> None:
    socket, found, c = socket_of(world.a)
    buffer = Slow(bytearray(b"x" * 100), lambda: others.run(lambda: socket.shut_down(SHUT_WR)))
    assert stream.send(socket, found, Message(buffer, 0)) == 100
    assert others.waits == 1 and not c.sender.fin_queued
    socket.shut_down(SHUT_WR)
    b = world.b.connection
    assert b is not None and world.run(until=lambda: b.receiver.fin_received)
    assert world.b.read() == b"x" * 100


@pytest.mark.parametrize("error", [ECONNRESET, 0])
def test_a_writer_waits_for_another_while_the_connection_ends(world: World, others: Others, error: int) -> None:
    socket, found, c = socket_of(world.a)

    def end() -> None:
        closing.finish(c, error)

    others.wait_for_lock = end
    found.send_lock.owner = Thread(b"first writer")
    with pytest.raises(Errno) as caught:
        stream.send(socket, found, Message(KernelBuffer(bytearray(100)), 0))
    assert caught.value.code == (error or EPIPE)
    assert c.queue.memory == 0 and c.queue.tail is None


def test_an_error_after_a_part_is_for_the_next_call(world: World) -> None:
    socket, found, c = socket_of(world.a)
    c.queue.append_chunk(50)
    buffer = Slow(bytearray(10_000), lambda: closing.finish(c, ECONNRESET), earlier=1)
    assert stream.send(socket, found, Message(buffer, 0)) == 50
    with pytest.raises(Errno) as caught:
        stream.send(socket, found, Message(KernelBuffer(bytearray(100)), 0))
    assert caught.value.code == ECONNRESET


def test_small_segments_come_while_a_program_peeks(world: World) -> None:
    """They join the packet that is copied, and are not passed over for what comes after it."""
    socket, found, c = socket_of(world.b)
    data = bytes(range(1, 251)) * 20
    arrive(world, data[:1])
    arrive(world, data[1:50])

    def act() -> None:
        arrive(world, data[50:100])
        arrive(world, data[100:1100])

    first = c.receive.head
    assert first is not None and len(first) == 1
    buffer = Slow(bytearray(2000), act, earlier=1)
    assert stream.receive(socket, found, Message(buffer, MSG_PEEK)) == 1100
    assert bytes(buffer.storage[:1100]) == data[:1100]
    assert world.b.read() == data[:1100]
