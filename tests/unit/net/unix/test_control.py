"""What comes with the bytes of several parcels that one read takes from a stream."""

import pytest

from kernel.ipc.eventfd import EventFile
from kernel.lib.credentials import Credentials
from kernel.lib.ids import KernelGid, KernelUid
from kernel.lib.user import KernelBuffer
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.sockets.socket import (
    SCM_PIDFD,
    SCM_RIGHTS,
    SWITCH_PASS_PIDFD,
    Message,
    release_files,
)
from kernel.net.unix import base
from kernel.net.unix.base import CONNECTED
from kernel.net.unix.parcel import Parcel
from kernel.net.unix.rights import send_files
from kernel.net.unix.stream import StreamSocket
from kernel.sched import mutex
from kernel.sched.thread import Thread
from kernel.task import Process


def put(socket: StreamSocket, byte: int, process: Process) -> Parcel:
    parcel = Parcel(1, socket)
    parcel.storage[0] = byte
    parcel.end = 1
    parcel.set_identity(process, KernelUid(0), KernelGid(0))
    socket.queue.append(parcel)
    return parcel


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[EventFile]:
    """The descriptors of processes that the socket makes."""
    thread = Thread(b"reader")
    made: list[EventFile] = []

    def make(process: Process, flags: int) -> EventFile:
        made.append(EventFile(0, 0, False))
        return made[-1]

    monkeypatch.setattr(mutex, "current_thread", lambda: thread)
    monkeypatch.setattr(base, "PidFile", make)
    return made


@pytest.fixture
def socket() -> StreamSocket:
    socket = StreamSocket(0, Credentials(), FIRST_NETWORK)
    socket.state = CONNECTED
    socket.turn(SWITCH_PASS_PIDFD, on=True)
    return socket


def test_one_read_has_the_bytes_of_one_sender(socket: StreamSocket, made: list[EventFile]) -> None:
    put(socket, ord("a"), object.__new__(Process))
    put(socket, ord("b"), object.__new__(Process))
    for byte in b"ab":
        buffer = KernelBuffer(bytearray(2))
        message = Message(buffer, 0)
        message.wants_control = True
        assert socket.receive(message) == 1 and buffer.storage[0] == byte
        release_files(message.control)
    assert len(made) == 2


def test_one_descriptor_of_the_sender_comes_and_none_is_lost(socket: StreamSocket, made: list[EventFile]) -> None:
    sender = object.__new__(Process)
    put(socket, ord("a"), sender)
    passed = EventFile(0, 0, False)
    send_files(put(socket, ord("b"), sender), [passed], KernelUid(4711))
    buffer = KernelBuffer(bytearray(2))
    message = Message(buffer, 0)
    message.wants_control = True
    assert socket.receive(message) == 2 and bytes(buffer.storage) == b"ab"
    assert message.control is not None
    assert [(entry.kind, entry.files) for entry in message.control] == [
        (SCM_RIGHTS, [passed]),
        (SCM_PIDFD, [made[-1]]),
    ]
    assert sum(each.users for each in made) == 1
    release_files(message.control)
    assert passed.users == 0 and sum(each.users for each in made) == 0
