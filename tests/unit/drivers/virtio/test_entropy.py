"""The driver of virtio-rng against a model of the device: bytes are given away once, and no device can do harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kernel.drivers.virtio import entropy
from kernel.drivers.virtio.entropy import BUFFER_SIZE, EntropyDevice
from kernel.drivers.virtio.transport import F_EVENT_INDEX, F_INDIRECT
from kernel.lang import EAGAIN, ENODEV, ENOSPC, Errno
from kernel.lib import random
from kernel.lib.user import KernelBuffer
from kernel.sched.wait import Waiter, WaitQueue
from tests.unit.drivers.virtio.model import Buffers, ModelTransport

pytestmark = pytest.mark.usefixtures("machine")


class Device(ModelTransport):
    """Gives the numbers from 1 on, modulo 251, `portion` bytes at a time."""

    def __init__(self, offered: int = 0, portion: int = BUFFER_SIZE, queue_size: int = 8) -> None:
        super().__init__(4, offered, b"", [queue_size])
        self.given = 0
        self.portion = portion
        self.answer: Callable[[Buffers], tuple[int, int]] = self.give
        self.work = self.notified

    def give(self, buffers: Buffers) -> tuple[int, int]:
        content = bytes((self.given + i) % 251 + 1 for i in range(self.portion))
        self.given += self.portion
        return buffers.head, buffers.fill(content)

    def notified(self, index: int) -> None:
        while (buffers := self.queue(index).pop()) is not None:
            self.queue(index).push(*self.answer(buffers))
            self.interrupt(index)


def device(transport: Device) -> EntropyDevice:
    transport.negotiate(entropy.WANTED)
    return EntropyDevice(transport)


def read(source: EntropyDevice, count: int, *, waits: bool = True) -> bytes:
    found = b""
    while len(found) < count:
        buffer = KernelBuffer(bytearray(count - len(found)))
        done = source.read(buffer, waits)
        found += bytes(buffer.storage[:done])
    return found


@pytest.mark.parametrize("features", [0, F_EVENT_INDEX | F_INDIRECT])
@pytest.mark.parametrize("portion", [1, 33, 64])
def test_each_byte_is_given_away_once(features: int, portion: int) -> None:
    source = device(Device(features, portion))
    assert read(source, 1000) == bytes(i % 251 + 1 for i in range(1000))


def test_bytes_stir_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    words: list[int] = []
    monkeypatch.setattr(random, "stir", words.append)
    source = device(Device())
    source.stir()
    assert len(words) == BUFFER_SIZE // 4 and words[0] == 0x04030201
    assert read(source, 3) == bytes([65, 66, 67])


def test_a_device_without_bytes_now() -> None:
    transport = Device()
    transport.work = lambda index: None
    source = device(transport)
    with pytest.raises(Errno) as caught:
        read(source, 1, waits=False)
    assert caught.value.code == EAGAIN


@pytest.mark.parametrize("stirs", [False, True])
def test_who_waits_for_the_device_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch, stirs: bool) -> None:
    """Another thread finds no bytes meanwhile; then it takes all that come, and the first one asks for more."""
    monkeypatch.setattr(random, "stir", lambda word: None)
    transport = Device()
    transport.work = lambda index: None
    source = device(transport)
    slept: list[int] = []

    def others(queue: WaitQueue, interruptible: bool = True) -> None:
        slept.append(1)
        with pytest.raises(Errno) as caught:
            source.read(KernelBuffer(bytearray(1)), waits=False)
        assert caught.value.code == EAGAIN
        if len(slept) == 2:
            transport.work = transport.notified
        transport.notified(0)
        if len(slept) == 1:
            assert len(read(source, BUFFER_SIZE)) == BUFFER_SIZE

    monkeypatch.setattr(WaitQueue, "sleep", others)
    if stirs:
        source.stir()
    else:
        assert read(source, 1) == bytes([BUFFER_SIZE + 1])
    assert len(slept) == 2


def test_who_waits_hears_of_the_end_of_a_device() -> None:
    transport = Device()
    transport.work = lambda index: None
    source = device(transport)
    with pytest.raises(Errno):
        source.read(KernelBuffer(bytearray(1)), waits=False)
    transport.answer = lambda buffers: (buffers.head, BUFFER_SIZE + 1)
    transport.notified(0)

    class Waiting(Waiter):
        told = 0

        def notify(self) -> None:
            Waiting.told += 1

    waiter = Waiting()
    source.answered.add(waiter)
    with pytest.raises(Errno):
        source.read(KernelBuffer(bytearray(1)), waits=False)
    assert Waiting.told == 1
    waiter.leave()


@pytest.mark.parametrize("answer", [
    lambda buffers: (buffers.head, BUFFER_SIZE + 1), lambda buffers: (buffers.head, 0xFFFF_FFFF),
    lambda buffers: (1, 64),
    lambda buffers: (0xFFFF, 64),
])  # fmt: skip
def test_a_device_that_breaks_the_rules(answer: Callable[[Buffers], tuple[int, int]]) -> None:
    transport = Device()
    source = device(transport)
    transport.answer = answer
    for _ in range(2):
        with pytest.raises(Errno) as caught:
            read(source, 1)
        assert caught.value.code == ENODEV
    assert transport.read_status() == 0


@pytest.fixture
def alone() -> Iterator[None]:
    entropy.DEVICES.clear()
    yield
    entropy.DEVICES.clear()


@pytest.mark.usefixtures("alone")
def test_devices_of_no_use() -> None:
    with pytest.raises(Errno) as caught:
        entropy.start(Device(queue_size=0))
    assert caught.value.code == ENODEV and not entropy.DEVICES
    entropy.DEVICES.append(device(Device()))
    with pytest.raises(Errno) as caught:
        entropy.start(Device())
    assert caught.value.code == ENOSPC
