"""The driver of virtio-vsock against a model of the device: packets arrive whole, and no device can do harm."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest

from kernel.drivers.virtio import vsock
from kernel.drivers.virtio.transport import F_EVENT_INDEX, F_INDIRECT
from kernel.drivers.virtio.vsock import EVENTS, RECEIVE, SEND, VirtioVsock
from kernel.lang import ECONNRESET, ENOBUFS, ENODEV, Errno
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.vsock import protocol
from kernel.net.vsock.endpoint import Endpoint, Phase, State
from kernel.net.vsock.memory import MEMORY
from kernel.net.vsock.packet import (
    OP_CREDIT_UPDATE,
    OP_DATA,
    OP_RESET,
    OP_RESPONSE,
    OP_SHUTDOWN,
    SEQUENCED,
    STREAM,
    VsockPacket,
)
from kernel.net.vsock.protocol import send_packet
from kernel.net.vsock.table import TABLE
from kernel.net.vsock.transport import TRANSPORTS, VsockTransport
from tests.unit.drivers.virtio.model import Buffers, ModelTransport

pytestmark = pytest.mark.usefixtures("machine")

HEADER = struct.Struct("<QQIIIHHIII")
RING = F_EVENT_INDEX | F_INDIRECT
CID, HOST = 42, 2


class Device(ModelTransport):
    """Notes what it is sent, and sends what the test says."""

    def __init__(self, offered: int = vsock.F_SEQUENCED | RING, cid: int = CID, queue_size: int = 64) -> None:
        super().__init__(19, offered, struct.pack("<Q", cid), [queue_size] * 3)
        self.sent: list[tuple[int, ...]] = []
        self.data: list[bytes] = []
        self.waiting: list[Buffers] = []
        self.takes = True
        self.work = self.notified

    def notified(self, index: int) -> None:
        if index == SEND:
            while (buffers := self.queue(index).pop()) is not None:
                assert not buffers.writable
                self.waiting.append(buffers)
            if self.takes:
                self.take()

    def take(self, most: int = 1 << 30) -> None:
        """Read what the driver has sent."""
        for buffers in self.waiting[:most]:
            content = buffers.content()
            self.sent.append(HEADER.unpack(content[: HEADER.size]))
            self.data.append(content[HEADER.size :])
            self.queue(SEND).push(buffers.head, 0)
        del self.waiting[:most]
        self.interrupt(SEND)

    def give(self, content: bytes, length: int | None = None) -> bool:
        """Fill a frame; whether the driver had one."""
        buffers = self.queue(RECEIVE).pop()
        if buffers is None:
            return False
        written = buffers.fill(content)
        self.queue(RECEIVE).push(buffers.head, written if length is None else length)
        self.interrupt(RECEIVE)
        return True

    def operations(self) -> list[int]:
        found = [header[6] for header in self.sent]
        self.sent.clear()
        self.data.clear()
        return found


def packet(operation: int, data: bytes = b"", *, length: int | None = None, remote: int = 5000, kind: int = STREAM,
           source: int = HOST, target: int = CID, flags: int = 0) -> bytes:  # fmt: skip
    size = len(data) if length is None else length
    return HEADER.pack(source, target, remote, 1000, size, kind, operation, flags, 100_000, 0) + data


@pytest.fixture
def device() -> Iterator[Device]:
    yield Device()
    while (endpoint := TABLE.all.first()) is not None:
        protocol.discard(endpoint)
    TRANSPORTS.guest = VsockTransport()
    assert MEMORY.programs.used == 0 and MEMORY.host.used == 0


def driver(transport: Device) -> VirtioVsock:
    transport.negotiate(vsock.WANTED)
    made = VirtioVsock(transport)
    TRANSPORTS.guest = made
    return made


def content(endpoint: Endpoint) -> bytes:
    """What came and was not read."""
    found = b""
    each = endpoint.queue.first()
    while each is not None:
        found += each.storage[each.start : each.end]
        each = each.after()
    return found


def refusal() -> VsockPacket:
    """What answers a packet for nobody."""
    made = VsockPacket(STREAM, OP_RESET)
    made.is_limited = True
    return made


def work(made: VirtioVsock) -> None:
    for _ in range(1000):
        if not made.work():
            return
    raise AssertionError("the thread never rests")


def connected(made: VirtioVsock, transport: Device) -> Endpoint:
    """A connection that the host has opened."""
    listener = Endpoint(STREAM, FIRST_NETWORK)
    TABLE.add(listener)
    TABLE.bind(listener, 0xFFFF_FFFF, 1000)
    listener.backlog = 1
    listener.state = State.LISTENING
    assert transport.give(packet(1))
    work(made)
    assert transport.operations() == [OP_RESPONSE]
    child = listener.waiting.popleft()
    child.phase = Phase.CONNECTED
    return child


@pytest.mark.parametrize("features", [0, RING])
@pytest.mark.parametrize("size", [2, 4, 64])
def test_data_arrive_both_ways(device: Device, features: int, size: int) -> None:
    transport = Device(vsock.F_STREAM | features, queue_size=size)
    made = driver(transport)
    assert made.cid() == CID and not made.takes_sequences()
    endpoint = connected(made, transport)
    source = random.Random(size)
    expected = b""
    for _ in range(300):
        piece = source.randbytes(source.randrange(1, 300))
        expected += piece
        assert transport.give(packet(OP_DATA, piece))
        work(made)
    assert content(endpoint) == expected
    transport.takes = False
    sent = b""
    for _ in range(100):
        data = VsockPacket(STREAM, OP_DATA)
        data.storage = bytearray(source.randbytes(source.randrange(1, 900)))
        data.end = len(data.storage)
        sent += data.storage
        data.charge()
        endpoint.count_sent(data)
        send_packet(endpoint, data, 0)
    assert endpoint.unsent.bytes == len(sent)
    transport.takes = True
    transport.take()
    for _ in range(300):
        work(made)
    assert b"".join(transport.data) == sent and endpoint.unsent.bytes == 0
    assert all(header[0] == CID and header[1] == HOST and header[2] == 1000 for header in transport.sent)
    protocol.close(endpoint)
    assert transport.sent[-1][6] == OP_SHUTDOWN


def test_a_context_that_is_none(device: Device) -> None:
    for cid in (0, 1, 2, 0xFFFF_FFFF, 1 << 40):
        with pytest.raises(Errno) as caught:
            driver(Device(cid=cid))
        assert caught.value.code == ENODEV


@pytest.mark.parametrize("lie", [
    packet(OP_DATA, length=1), packet(OP_DATA, length=0xFFFF_FFFF), packet(OP_DATA, b"x", length=2), b"", b"x" * 43,
    packet(OP_DATA, b"x", target=CID + 1), packet(OP_DATA, b"x", target=CID | 1 << 32),
    packet(1, source=HOST | 1 << 33),
])  # fmt: skip
def test_a_packet_that_lies_about_itself_is_dropped(device: Device, lie: bytes) -> None:
    made = driver(device)
    endpoint = connected(made, device)
    for _ in range(200):
        assert device.give(lie)
        work(made)
    assert device.operations() == [] and endpoint.received.bytes == 0
    assert device.give(packet(OP_DATA, b"still works"))
    work(made)
    assert endpoint.received.bytes == 11


def test_more_data_than_announced_are_cut(device: Device) -> None:
    made = driver(device)
    endpoint = connected(made, device)
    assert device.give(packet(OP_DATA, b"12345", length=3))
    work(made)
    assert endpoint.received.bytes == 3


@pytest.mark.parametrize("length", [4097, 0xFFFF_FFFF])
def test_more_than_a_frame_holds_ends_the_device(device: Device, length: int) -> None:
    made = driver(device)
    endpoint = connected(made, device)
    resets = device.resets
    device.give(packet(OP_DATA, b"x"), length)
    work(made)
    assert made.is_dead and device.resets == resets + 1
    assert endpoint.error == ECONNRESET and endpoint.state == State.CLOSED and made.cid() == 0xFFFF_FFFF
    with pytest.raises(Errno) as caught:
        made.send(VsockPacket(STREAM, OP_RESET))
    assert caught.value.code == ENODEV


@pytest.mark.parametrize(
    ("queue", "head"), [(RECEIVE, 64), (RECEIVE, 0xFFFF_FFFF), (SEND, 0), (SEND, 7), (SEND, 64), (EVENTS, 8)]
)
def test_a_head_that_the_device_does_not_have(device: Device, queue: int, head: int) -> None:
    made = driver(device)
    device.queue(queue).push(head, 0)
    device.queue(queue).show()
    made.has_work = True
    work(made)
    assert made.is_dead


def test_a_flood_for_nobody_is_bounded(device: Device) -> None:
    """The device asks without end, and takes no answer."""
    made = driver(device)
    device.takes = False
    for remote in range(5000):
        assert device.give(packet(1, remote=remote))
        work(made)
    with pytest.raises(Errno) as caught:
        made.send(refusal())
    assert caught.value.code == ENOBUFS
    device.takes = True
    device.take()
    for _ in range(100):
        work(made)
    assert len(device.sent) == vsock.PENDING_LIMIT + made._sending.size
    assert device.give(packet(1))
    work(made)
    assert device.sent[-1][6] == OP_RESET, "it goes on"


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("operation", range(12))
def test_any_operation_of_any_kind(device: Device, kind: int, operation: int) -> None:
    made = driver(device)
    connected(made, device)
    for flags in (0, 1, 2, 3, 0xFFFF_FFFF):
        assert device.give(packet(operation, b"data", kind=kind, flags=flags))
        work(made)
    assert not made.is_dead


def test_the_machine_moves(device: Device) -> None:
    made = driver(device)
    endpoint = connected(made, device)
    device.configuration[:8] = struct.pack("<Q", 77)
    buffers = device.queue(EVENTS).pop()
    assert buffers is not None
    device.queue(EVENTS).push(buffers.head, buffers.fill(struct.pack("<I", 0)))
    device.interrupt(EVENTS)
    work(made)
    assert made.cid() == 77 and endpoint.error == ECONNRESET and not made.is_dead
    assert device.give(packet(1, target=77, remote=6000))
    work(made)
    assert device.operations() == [OP_RESPONSE]


@pytest.mark.parametrize(("event", "length"), [(1, 4), (0, 0), (0, 5), (0xFFFF_FFFF, 4)])
def test_other_events_mean_nothing(device: Device, event: int, length: int) -> None:
    made = driver(device)
    endpoint = connected(made, device)
    for _ in range(20):
        buffers = device.queue(EVENTS).pop()
        assert buffers is not None
        buffers.fill(struct.pack("<I", event))
        device.queue(EVENTS).push(buffers.head, length)
        device.interrupt(EVENTS)
        work(made)
    assert endpoint.error == 0 and not made.is_dead


def test_messages_are_taken_where_they_were_agreed(device: Device) -> None:
    made = driver(device)
    assert made.takes_sequences()
    assert device.give(packet(1, kind=SEQUENCED))
    work(made)
    assert device.operations() == [OP_RESET]


def send_byte(endpoint: Endpoint) -> None:
    data = VsockPacket(STREAM, OP_DATA)
    data.storage = bytearray(1)
    data.end = 1
    data.charge()
    endpoint.count_sent(data)
    send_packet(endpoint, data, 0)


def test_data_that_wait_keep_nobody_from_telling(device: Device) -> None:
    made = driver(device)
    endpoint = connected(made, device)
    device.takes = False
    for _ in range(vsock.PENDING_LIMIT + 100):
        send_byte(endpoint)
    for _ in range(10):
        protocol.tell(endpoint, OP_CREDIT_UPDATE)
    made.send(refusal())
    protocol.send(endpoint, OP_RESPONSE)
    device.takes = True
    device.take()
    for _ in range(200):
        work(made)
    operations = device.operations()
    assert len(operations) == vsock.PENDING_LIMIT + 103, "the updates are one"
    assert operations[-3:] == [OP_CREDIT_UPDATE, OP_RESET, OP_RESPONSE]


def test_a_packet_without_memory_is_taken_later(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(span: object) -> None:
        raise MemoryError

    made = driver(device)
    endpoint = connected(made, device)
    assert device.give(packet(OP_DATA, b"first-"))
    work(made)
    with monkeypatch.context() as shortage:
        shortage.setattr(vsock, "read_header", no_memory)
        assert device.give(packet(OP_DATA, b"second-")) and device.give(packet(OP_DATA, b"third-"))
        for _ in range(5):
            assert not made.work() and made.lacks_memory
    assert content(endpoint) == b"first-"
    work(made)
    assert content(endpoint) == b"first-second-third-" and not made.lacks_memory
    for _ in range(200):
        assert device.give(packet(OP_DATA, b"x"))
        work(made)
    assert endpoint.received.bytes == 219, "all frames are there"


def test_a_device_that_dies_waits_for_no_memory(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(span: object) -> None:
        raise MemoryError

    made = driver(device)
    endpoint = connected(made, device)
    monkeypatch.setattr(vsock, "read_header", no_memory)
    assert device.give(packet(OP_DATA, b"data"))
    device.queue(EVENTS).push(8, 0)
    device.queue(EVENTS).show()
    work(made)
    assert made.is_dead and not made.lacks_memory and endpoint.error == ECONNRESET


def test_sending_on_a_broken_queue_wakes_the_thread(device: Device) -> None:
    made = driver(device)
    device.queue(SEND).push(64, 0)
    device.queue(SEND).show()
    made.has_work = False
    made.send(refusal())
    assert made.has_work
    work(made)
    assert made.is_dead
