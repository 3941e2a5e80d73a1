"""The urgent byte of a stream, while a copy of it to a program sleeps."""

from collections.abc import Callable

import pytest

from kernel.ipc.eventfd import EventFile
from kernel.lang import EFAULT, EINTR, EINVAL, Errno, Span, u8
from kernel.lib.credentials import Credentials
from kernel.lib.user import KernelBuffer
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.sockets.socket import MSG_OOB, MSG_PEEK, Message
from kernel.net.unix.base import CONNECTED
from kernel.net.unix.parcel import Parcel
from kernel.net.unix.rights import send_files
from kernel.net.unix.stream import StreamSocket
from kernel.sched import Mutex, mutex
from kernel.sched.thread import Thread


class Slow(KernelBuffer):
    """A program's memory at which another thread acts in the middle of the first copy."""

    def __init__(self, act: Callable[[], object], has_fault: bool = False) -> None:
        super().__init__(bytearray(1))
        self.act, self.has_fault = act, has_fault

    def put(self, source: Span[u8]) -> int:
        self.act()
        return 0 if self.has_fault else super().put(source)


class Threads:
    """The thread that runs, and another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.running = Thread(b"first")
        self.waits = 0
        monkeypatch.setattr(mutex, "current_thread", lambda: self.running)
        for name in ("_wait", "_wait_unless_dying"):
            monkeypatch.setattr(Mutex, name, lambda lock, thread: self.wait())

    def wait(self) -> None:
        self.waits += 1
        raise Errno(EINTR)

    def as_another(self, act: Callable[[], object]) -> None:
        """Let another thread act, which goes away where it must wait."""
        first = self.running
        self.running = Thread(b"second")
        try:
            act()
        except Errno as error:
            assert error.code == EINTR
        finally:
            self.running = first


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
    return Threads(monkeypatch)


@pytest.fixture
def socket(threads: Threads) -> StreamSocket:
    socket = StreamSocket(0, Credentials(), FIRST_NETWORK)
    socket.state = CONNECTED
    return socket


def send_urgent(socket: StreamSocket, byte: int) -> Parcel:
    parcel = Parcel(1, socket)
    parcel.storage[0] = byte
    parcel.end = 1
    socket.queue.append(parcel)
    socket.take_urgent()
    return parcel


def received(socket: StreamSocket, buffer: KernelBuffer, flags: int = 0) -> bytes:
    assert socket.receive(Message(buffer, MSG_OOB | flags)) == 1
    return bytes(buffer.storage)


def test_it_is_taken_once(socket: StreamSocket, threads: Threads) -> None:
    parcel = send_urgent(socket, ord("a"))
    assert received(socket, KernelBuffer(bytearray(1)), MSG_PEEK) == b"a" and len(parcel) == 1
    second = KernelBuffer(bytearray(1))
    slow = Slow(lambda: threads.as_another(lambda: received(socket, second)))
    assert received(socket, slow) == b"a"
    assert threads.waits == 1 and bytes(second.storage) == b"\0" and len(parcel) == 0
    with pytest.raises(Errno) as caught:
        received(socket, second)
    assert caught.value.code == EINVAL


def test_another_that_comes_meanwhile_is_kept(socket: StreamSocket) -> None:
    parcel = send_urgent(socket, ord("a"))
    slow = Slow(lambda: send_urgent(socket, ord("b")))
    assert received(socket, slow) == b"a" and len(parcel) == 0
    assert received(socket, KernelBuffer(bytearray(1))) == b"b"


def test_a_fault_loses_it(socket: StreamSocket) -> None:
    parcel = send_urgent(socket, ord("a"))
    with pytest.raises(Errno) as caught:
        received(socket, Slow(lambda: None, has_fault=True))
    assert caught.value.code == EFAULT and len(parcel) == 0 and socket.urgent is None


def test_its_descriptors_end_with_it_when_a_reader_passes_over_it(socket: StreamSocket) -> None:
    file = EventFile(0, 0, False)
    parcel = send_urgent(socket, ord("a"))
    send_files(parcel, [file.acquire()], Credentials().uid)
    later = Parcel(1, socket)
    later.storage[0], later.end = ord("b"), 1
    socket.queue.append(later)
    buffer = KernelBuffer(bytearray(1))
    assert socket.receive(Message(buffer, 0)) == 1 and bytes(buffer.storage) == b"b"
    assert file.users == 1
