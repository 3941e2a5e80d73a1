"""The console's driver against a model of the device: bytes arrive whole and in order, and no device can do harm."""

from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Iterator

import pytest

from kernel.drivers.virtio import console, port
from kernel.drivers.virtio.console import VirtioConsole
from kernel.drivers.virtio.port import Port, PortFile
from kernel.drivers.virtio.transport import F_EVENT_INDEX, F_INDIRECT, DeviceEvents
from kernel.fs.constants import O_NONBLOCK, O_RDWR, POLLHUP, POLLIN, POLLOUT
from kernel.lang import EAGAIN, EBUSY, ENODEV, ENXIO, Errno
from kernel.lib.user import KernelBuffer
from kernel.sched import mutex
from kernel.sched.thread import Thread
from tests.unit.drivers.virtio.model import Buffers, ModelTransport

pytestmark = pytest.mark.usefixtures("machine")

RING = F_EVENT_INDEX | F_INDIRECT
ADD, REMOVE, READY, CONSOLE, OPEN, NAME = 1, 2, 3, 4, 6, 7


class Device(ModelTransport):
    """Records its messages, and does what the test says."""

    def __init__(self, offered: int = console.F_MULTIPORT | RING, ports: int = 4, queue_size: int = 64) -> None:
        configuration = struct.pack("<HHII", 80, 25, ports, 0)
        super().__init__(3, offered, configuration, [queue_size] * (2 * ports + 2))
        self.told: list[tuple[int, int, int]] = []
        self.output: dict[int, bytearray] = {number: bytearray() for number in range(ports)}
        self.waiting: list[tuple[int, Buffers]] = []
        self.reads_at_once = True
        self.work = self.notified

    def notified(self, index: int) -> None:
        if index == console.CONTROL_SEND:
            while (buffers := self.queue(index).pop()) is not None:
                self.told.append(struct.unpack("<IHH", buffers.content()))
                self.queue(index).push(buffers.head, 0)
            self.interrupt(index)
        elif index & 1 and index != console.CONTROL_RECEIVE:
            while (buffers := self.queue(index).pop()) is not None:
                self.waiting.append((index, buffers))
            if self.reads_at_once:
                self.read_output()

    def read_output(self) -> None:
        """Take what the driver has sent."""
        for index, buffers in self.waiting:
            number = 0 if index == 1 else (index - 3) // 2
            self.output[number] += buffers.content()
            self.queue(index).push(buffers.head, 0)
            self.interrupt(index)
        self.waiting.clear()

    def say(self, number: int, event: int, value: int = 1, name: bytes = b"", length: int | None = None) -> None:
        """A control message; `length`: what the device claims."""
        queue = self.queue(console.CONTROL_RECEIVE)
        buffers = queue.pop()
        assert buffers is not None, "the driver has no buffer for a message"
        message = struct.pack("<IHH", number, event, value) + name
        buffers.fill(message[: buffers.room()])
        queue.push(buffers.head, len(message) if length is None else length)
        self.interrupt(console.CONTROL_RECEIVE)

    def give(self, number: int, data: bytes) -> int:
        """Input for a port, as far as there is room; how much that was."""
        queue = self.queue(console.receive_index(number))
        done = 0
        while done < len(data) and (buffers := queue.pop()) is not None:
            part = data[done : done + buffers.room()]
            buffers.fill(part)
            queue.push(buffers.head, len(part))
            done += len(part)
        self.interrupt(console.receive_index(number))
        return done


class NoPath:
    """Stands for the path of a device file."""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, bytes]]]:
    """No thread, no scheduler, no /dev: nodes are noted."""
    nodes: list[tuple[int, bytes]] = []
    thread = Thread(b"test")
    monkeypatch.setattr(mutex, "current_thread", lambda: thread)
    monkeypatch.setattr(console, "register_char_device", lambda major, minor, name, *_: nodes.append((minor, name)))
    yield nodes


def settle(driver: VirtioConsole) -> None:
    """Let the thread do what it has to do."""
    for _ in range(100):
        if not driver.work():
            return
    raise AssertionError("the thread does not come to rest")


def start(device: Device) -> VirtioConsole:
    device.negotiate(console.WANTED)
    driver = VirtioConsole(device, 0)
    settle(driver)
    return driver


def opened(device: Device, driver: VirtioConsole, number: int = 1) -> Port:
    """A port that both sides have open."""
    device.say(number, ADD)
    device.say(number, OPEN)
    settle(driver)
    it = driver.ports[number]
    it.prepare()
    it.guest_open = True
    settle(driver)
    return it


def read(it: Port, size: int) -> bytes:
    storage = bytearray(size)
    done = it.read(KernelBuffer(storage), False)
    return bytes(storage[:done])


def error(action: object, *arguments: object) -> int:
    assert callable(action)
    with pytest.raises(Errno) as caught:
        action(*arguments)
    return caught.value.code


def test_a_message_without_memory_is_handled_later(
    alone: list[tuple[int, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    device = Device()
    driver = start(device)
    with monkeypatch.context() as shortage:
        shortage.setattr(console, "register_char_device", no_memory)
        device.say(1, ADD)
        device.say(2, ADD)
        for _ in range(3):
            with pytest.raises(MemoryError):
                driver.work()
    assert [port.exists for port in driver.ports[1:3]] == [False, False]
    settle(driver)
    assert [minor for minor, _ in alone] == [1, 2]
    assert [port.exists for port in driver.ports[1:3]] == [True, True]
    for _ in range(200):
        device.say(1, OPEN)
        settle(driver)


def test_ports_come_and_are_told_of(alone: list[tuple[int, bytes]]) -> None:
    device = Device()
    driver = start(device)
    assert device.told == [(0, 0, 1)]
    it = opened(device, driver, 2)
    device.say(2, NAME, 1, b"org.krait.agent\0")
    settle(driver)
    assert alone == [(2, b"vport0p2")] and it.name == b"org.krait.agent"
    assert device.told[1:] == [(2, READY, 1), (2, OPEN, 1)]
    it.guest_open = False
    settle(driver)
    assert device.told[-1] == (2, OPEN, 0)


@pytest.mark.parametrize("size", [2, 8, 64])
@pytest.mark.parametrize("offered", [0, RING, F_INDIRECT, F_EVENT_INDEX])
@pytest.mark.parametrize("seed", range(3))
def test_bytes_arrive_whole_and_in_order(seed: int, offered: int, size: int) -> None:
    chance = random.Random(seed)
    device = Device(console.F_MULTIPORT | offered, queue_size=64)
    for index in range(4, len(device.sizes)):
        device.sizes[index] = size
    driver = start(device)
    it = opened(device, driver)
    device.reads_at_once = chance.random() < 0.5
    sent, received, given_bytes, written = bytearray(), bytearray(), bytearray(), bytearray()
    for _ in range(60):
        match chance.randrange(4):
            case 0:
                data = chance.randbytes(chance.choice([1, 100, 4096, 5000, 70_000]))
                given_bytes += data[: device.give(1, data)]
            case 1:
                if it.has_input():
                    received += read(it, chance.choice([1, 100, 4096, 70_000]))
                else:
                    assert error(read, it, 1) == EAGAIN
            case 2:
                data = chance.randbytes(chance.choice([1, 100, 32_768, 100_000]))
                if it.has_room():
                    written += data[: it.write(KernelBuffer(bytearray(data)), False)]
                else:
                    assert error(it.write, KernelBuffer(bytearray(data)), False) == EAGAIN
            case 3:
                device.read_output()
    while it.has_input():
        received += read(it, 100_000)
    device.read_output()
    sent += device.output[1]
    assert received == given_bytes and sent == written
    assert not driver.is_dead


def test_a_reader_hears_of_a_hang_up() -> None:
    device = Device()
    driver = start(device)
    it = opened(device, driver)
    device.give(1, b"last words")
    device.say(1, OPEN, 0)
    device.say(1, OPEN, 1)  # the next one is there before anybody looked
    settle(driver)
    assert read(it, 100) == b"last words"
    assert error(read, it, 100) == EAGAIN
    device.say(1, OPEN, 0)
    settle(driver)
    assert read(it, 1) == b"" == read(it, 1)
    assert error(it.write, KernelBuffer(bytearray(b"x")), False) == EAGAIN


def test_states_of_a_port_for_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device()
    driver = start(device)
    it = opened(device, driver)
    file = PortFile.__new__(PortFile)
    file.port, file.flags = it, O_RDWR | O_NONBLOCK

    def state() -> int:
        return file.poll(None) & (POLLIN | POLLOUT | POLLHUP)

    assert state() == POLLOUT
    device.give(1, b"x")
    assert state() == POLLIN | POLLOUT
    assert read(it, 5) == b"x" and state() == POLLOUT
    device.reads_at_once = False
    with pytest.raises(Errno):
        while True:
            it.write(KernelBuffer(bytearray(port.SEND_SIZE)), False)
    assert state() == 0
    device.read_output()
    assert state() == POLLOUT
    device.say(1, OPEN, 0)
    settle(driver)
    assert state() == POLLIN | POLLHUP
    device.say(1, REMOVE)
    settle(driver)
    assert file.poll(None) == POLLHUP and error(read, it, 1) == ENODEV


def test_one_program_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Inode:
        rdev = console.MAJOR << 8 | 1

    class Place:
        def inode(self) -> Inode:
            return Inode()

    made: list[Port] = []
    monkeypatch.setattr(console, "PortFile", lambda path, flags, it: made.append(it))
    device = Device()
    driver = start(device)
    monkeypatch.setattr(console, "CONSOLES", [driver])
    assert error(console.open_port, Place(), O_RDWR) == ENXIO
    device.say(1, ADD)
    settle(driver)
    console.open_port(Place(), O_RDWR)  # type: ignore[arg-type]  # a stand-in
    assert made == [driver.ports[1]]
    assert error(console.open_port, Place(), O_RDWR) == EBUSY
    monkeypatch.setattr(Inode, "rdev", console.MAJOR << 8 | 31)
    assert error(console.open_port, Place(), O_RDWR) == ENXIO


def test_a_device_without_several_ports_has_one(alone: list[tuple[int, bytes]]) -> None:
    device = Device(RING, ports=1)
    device.sizes = [16, 16]
    driver = start(device)
    it = driver.ports[0]
    it.prepare()
    assert alone == [(0, b"vport0p0")]
    assert it.write(KernelBuffer(bytearray(b"hello")), False) == 5 and device.output[0] == b"hello"
    device.give(0, b"there")
    assert read(it, 100) == b"there"


def test_interrupts_wake_the_port_that_they_are_for() -> None:
    class Listener(DeviceEvents):
        pass

    device = Device()
    driver = start(device)
    woken: list[tuple[int, str]] = []
    for it in driver.ports:
        it.read_queue.wake_all = lambda n=it.number: woken.append((n, "read"))  # type: ignore[method-assign,misc]
        it.write_queue.wake_all = lambda n=it.number: woken.append((n, "write"))  # type: ignore[method-assign,misc]
    for queue in (0, 1, 4, 5, 8, 9, 10, 250):
        driver.queue_used(queue)
    assert woken == [(0, "read"), (0, "write"), (1, "read"), (1, "write"), (3, "read"), (3, "write")]


# ---- Devices that lie ----


@pytest.mark.parametrize("claim", [4097, 0xFFFF_FFFF])
def test_more_input_than_there_was_room_for(claim: int) -> None:
    device = Device()
    driver = start(device)
    it = opened(device, driver)
    queue = device.queue(4)
    buffers = queue.pop()
    assert buffers is not None
    queue.push(buffers.head, claim)
    device.interrupt(4)
    assert error(read, it, 10_000) == EAGAIN or it.receiving.is_broken
    assert error(read, it, 10_000) in (EAGAIN, ENODEV)
    settle(driver)
    assert driver.is_dead and error(read, it, 1) == ENODEV and device.status == 0


@pytest.mark.parametrize("queue", [console.CONTROL_RECEIVE, console.CONTROL_SEND, 4, 5])
@pytest.mark.parametrize("head", [63, 0xFFFF_FFFF, 3])
def test_buffers_that_it_does_not_have(queue: int, head: int) -> None:
    device = Device()
    driver = start(device)
    it = opened(device, driver)
    if queue in (console.CONTROL_RECEIVE, 4) and head == 3:
        return  # the device has this one
    device.queue(queue).push(head, 1)
    device.interrupt(queue)
    for _ in range(3):
        with pytest.raises(Errno):
            it.read(KernelBuffer(bytearray(1)), False)
        with contextlib.suppress(Errno):
            it.write(KernelBuffer(bytearray(1)), False)
        settle(driver)
    assert driver.is_dead and not it.exists


def test_a_device_that_does_not_stop() -> None:
    device = Device()
    driver = start(device)
    it = opened(device, driver)
    device.never_stops = True
    driver.fail()
    settle(driver)
    assert driver.is_dead and not it.exists
    for queue in range(8):
        driver.queue_used(queue)
    settle(driver)
    assert not it.exists and error(it.write, KernelBuffer(bytearray(1)), False) == ENODEV


def test_frames_without_bytes() -> None:
    device = Device()
    driver = start(device)
    it = opened(device, driver)
    queue = device.queue(4)
    for _ in range(3):
        buffers = queue.pop()
        assert buffers is not None
        queue.push(buffers.head, 0)
    device.interrupt(4)
    assert error(read, it, 10) == EAGAIN
    device.give(1, b"x")
    assert read(it, 10) == b"x"


@pytest.mark.parametrize("seed", range(10))
def test_any_control_messages(seed: int) -> None:
    chance = random.Random(seed)
    messages = [
        (chance.choice([0, 1, 2, 3, 4, 31, 32, 0xFFFF_FFFF]), chance.choice([*range(10), 0xFFFF]),
         chance.randrange(65536), chance.randbytes(chance.choice([0, 1, 30, 130])),
         chance.choice([None, 0, 7, 8, 128, 129, 1 << 31]))
        for _ in range(100)
    ]  # fmt: skip
    device = Device()
    driver = start(device)
    for number, event, value, name, length in messages:
        device.say(number, event, value, name, length)
        settle(driver)
    assert not driver.is_dead
    it = opened(device, driver)
    assert it.write(KernelBuffer(bytearray(b"x")), False) == 1


def test_a_flood_of_messages_leaves_buffers_for_answers() -> None:
    device = Device(ports=32)
    driver = start(device)
    for number in range(1, 32):
        device.say(number, ADD)
    settle(driver)
    assert sum(event == READY for _, event, _ in device.told) == 31
    ready = [number for number, event, _ in device.told if event == READY]
    assert ready == list(range(1, 32))


@pytest.mark.parametrize("ports", [0, 1, 33, 0xFFFF_FFFF])
def test_odd_numbers_of_ports(ports: int) -> None:
    device = Device()
    device.configuration[4:8] = struct.pack("<I", ports)
    device.sizes = [16] * 70
    driver = start(device)
    assert 1 <= len(driver.ports) <= console.MINORS


def test_queues_that_are_missing() -> None:
    device = Device()
    device.sizes[6] = 0
    device.negotiate(console.WANTED)
    assert error(VirtioConsole, device, 0) == ENODEV
