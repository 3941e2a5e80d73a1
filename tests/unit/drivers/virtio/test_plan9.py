"""The driver of virtio-9p against a model of the device: messages go and come whole, and no device can do harm."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest

from kernel.drivers.virtio import plan9
from kernel.drivers.virtio.plan9 import VirtioChannel
from kernel.drivers.virtio.transport import F_EVENT_INDEX, F_INDIRECT
from kernel.fs.plan9.channel import CHANNELS
from kernel.lang import EEXIST, EINVAL, EIO, ENODEV, Errno, span_of
from kernel.sched.wait import WaitQueue
from tests.unit.drivers.virtio.model import Buffers, ModelTransport

pytestmark = pytest.mark.usefixtures("machine")


class Device(ModelTransport):
    """Answers each message with the same in capitals, unless the test says otherwise."""

    def __init__(self, offered: int, tag: bytes = b"share0", queue_size: int = 8, claimed: int | None = None) -> None:
        configuration = struct.pack("<H", len(tag) if claimed is None else claimed) + tag
        super().__init__(9, offered, configuration, [queue_size])
        self.answer: Callable[[Buffers], tuple[int, int]] = self.say_it_louder
        self.work = self.notified

    def say_it_louder(self, buffers: Buffers) -> tuple[int, int]:
        """The head and the length of the answer."""
        return buffers.head, buffers.fill(buffers.content().upper())

    def notified(self, index: int) -> None:
        while (buffers := self.queue(index).pop()) is not None:
            self.queue(index).push(*self.answer(buffers))
            self.interrupt(index)


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    CHANNELS.clear()
    yield
    CHANNELS.clear()


def start(device: Device) -> VirtioChannel:
    plan9.start(device)
    (channel,) = CHANNELS.values()
    assert isinstance(channel, VirtioChannel)
    return channel


def transact(channel: VirtioChannel, text: bytes, room: int = 100) -> bytes:
    reply = bytearray(room)
    length = channel.transact(span_of(bytearray(text)), span_of(reply))
    return bytes(reply[:length])


@pytest.mark.parametrize("features", [0, F_EVENT_INDEX, F_INDIRECT, F_EVENT_INDEX | F_INDIRECT])
@pytest.mark.parametrize("queue_size", [2, 128])
def test_messages_are_answered(features: int, queue_size: int) -> None:
    channel = start(Device(plan9.F_MOUNT_TAG | features, queue_size=queue_size))
    assert list(CHANNELS) == [b"share0"]
    for number in range(300):
        assert transact(channel, b"message %d" % number) == b"MESSAGE %d" % number


@pytest.mark.parametrize("answer", [
    lambda buffers: (buffers.head, 101), lambda buffers: (buffers.head, 0xFFFF_FFFF),
    lambda buffers: (buffers.head ^ 1, 7),
    lambda buffers: (0xFFFF, 7),
])  # fmt: skip
def test_a_device_that_breaks_the_rules(answer: Callable[[Buffers], tuple[int, int]]) -> None:
    device = Device(plan9.WANTED)
    channel = start(device)
    device.answer = answer
    for _ in range(3):
        with pytest.raises(Errno) as caught:
            transact(channel, b"message")
        assert caught.value.code == EIO
    assert device.read_status() == 0


def test_room_that_is_found_is_used_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device has answered all that filled its queue, and owes nothing that could wake the sender."""
    device = Device(plan9.F_MOUNT_TAG | F_EVENT_INDEX, queue_size=2)
    channel = start(device)
    answer = device.work
    device.work = lambda index: None
    before = plan9._Pending()
    text, reply = bytearray(b"before"), bytearray(10)
    channel._send(span_of(text), span_of(reply), before)
    device.work = answer

    def sleep(queue: WaitQueue, interruptible: bool = True) -> None:
        raise AssertionError("nobody would wake it")

    monkeypatch.setattr(WaitQueue, "sleep", sleep)
    answer(plan9.QUEUE)
    assert transact(channel, b"message") == b"MESSAGE"
    assert before.length == 6 and reply[:6] == b"BEFORE"


def test_a_queue_that_is_too_small() -> None:
    channel = start(Device(plan9.F_MOUNT_TAG, queue_size=1))
    with pytest.raises(Errno) as caught:
        transact(channel, b"message")
    assert caught.value.code == EIO


@pytest.mark.parametrize(("device", "code"), [
    (Device(0), EINVAL), (Device(plan9.F_MOUNT_TAG, claimed=0), EINVAL),
    (Device(plan9.F_MOUNT_TAG, claimed=65), EINVAL),
    (Device(plan9.F_MOUNT_TAG, queue_size=0), ENODEV),
])  # fmt: skip
def test_devices_of_no_use(device: Device, code: int) -> None:
    with pytest.raises(Errno) as caught:
        plan9.start(device)
    assert caught.value.code == code and not CHANNELS


def test_two_of_one_name() -> None:
    start(Device(plan9.WANTED))
    with pytest.raises(Errno) as caught:
        plan9.start(Device(plan9.WANTED))
    assert caught.value.code == EEXIST
