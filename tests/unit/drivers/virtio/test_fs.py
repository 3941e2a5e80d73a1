"""The driver of virtio-fs against a model of the device: a file system works over it, and no device can do harm."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator

import pytest

from kernel.drivers.virtio import fs
from kernel.drivers.virtio.fs import VirtioServer
from kernel.drivers.virtio.transport import F_EVENT_INDEX, F_INDIRECT, RING_FEATURES
from kernel.fs.fuse.connection import Connection
from kernel.fs.fuse.instance import FuseInstance
from kernel.fs.fuse.request import Request
from kernel.fs.fuse.virtiofs import SERVERS, make_virtiofs
from kernel.lang import EBUSY, ECONNABORTED, EEXIST, EINVAL, EIO, ENODEV, ENOENT, ENOTCONN, Errno
from kernel.lib.credentials import Credentials, plain_actor
from kernel.lib.user import KernelBuffer
from kernel.sched.thread import Thread
from kernel.sched.wait import WaitQueue
from tests.unit.drivers.virtio.model import Buffers, ModelTransport
from tests.unit.fs.fuse.daemon import HEADER, Asked, Daemon

pytestmark = pytest.mark.usefixtures("machine")

ROOT = plain_actor(Credentials())


class Host(Daemon):
    """The server behind the device."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = b""

    def reply(self, asked: Asked, error: int, body: bytes = b"") -> None:
        self.answer = struct.pack("<IiQ", 16 + len(body), -error, asked.unique) + body


class Device(ModelTransport):
    """`spoil` changes an answer on its way."""

    def __init__(self, offered: int = RING_FEATURES, tag: bytes = b"tag", queues: int = 1, size: int = 64) -> None:
        super().__init__(26, offered, tag.ljust(36, b"\0") + struct.pack("<I", queues), [size, size])
        self.host = Host()
        self.spoil: Callable[[bytes], bytes] | None = None
        self.claim: Callable[[Buffers, int], tuple[int, int]] = lambda buffers, length: (buffers.head, length)
        self.sleeps = False
        self.work = self.notified

    def notified(self, index: int) -> None:
        while not self.sleeps and (buffers := self.queue(index).pop()) is not None:
            data = buffers.content()
            size, kind, unique, node, uid, gid, pid, _, _ = HEADER.unpack_from(data)
            assert size == len(data) and (index == 0) == (kind in (2, 42))
            self.host.answer = b""
            self.host.seen.append(Asked(kind, unique, node, uid, gid, pid, data[40:]))
            self.host.serve(self.host.seen[-1])
            answer = self.host.answer if self.spoil is None else self.spoil(self.host.answer)
            self.queue(index).push(*self.claim(buffers, buffers.fill(answer[: buffers.room()])))
            self.interrupt(index)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    thread = Thread(b"test")
    monkeypatch.setattr("kernel.sched.mutex.current_thread", lambda: thread)
    monkeypatch.setattr("kernel.fs.fuse.client.current_thread", lambda: thread)
    monkeypatch.setattr(fs, "spawn_kernel_thread", lambda name, function, argument: None)

    def sleep(queue: WaitQueue, interruptible: bool = True) -> None:
        for server in fs._DEVICES:
            server.attend()

    monkeypatch.setattr(WaitQueue, "sleep", sleep)
    SERVERS.clear()
    fs._DEVICES.clear()
    yield
    SERVERS.clear()
    fs._DEVICES.clear()


def start(device: Device) -> VirtioServer:
    fs.start(device)
    (server,) = SERVERS.values()
    assert isinstance(server, VirtioServer)
    return server


def mounted() -> FuseInstance:
    made = make_virtiofs(b"tag", b"")
    assert isinstance(made, FuseInstance)
    return made


def code(function: Callable[..., object], *arguments: object) -> int:
    with pytest.raises(Errno) as caught:
        function(*arguments)
    return caught.value.code


@pytest.mark.parametrize("features", [0, F_EVENT_INDEX, F_INDIRECT, F_EVENT_INDEX | F_INDIRECT])
@pytest.mark.parametrize("size", [4, 64])
def test_files_go_both_ways(features: int, size: int) -> None:
    device = Device(features, size=size)
    start(device)
    instance = mounted()
    client = instance.client
    data = random.Random(1).randbytes(100_000)
    for number in range(20):
        entry = client.make_node(1, b"file %d" % number, 0o100644, 0, ROOT)
        opened = client.open(entry.node, 2, is_directory=False)
        assert client.write(entry.node, opened, 0, 0, KernelBuffer(bytearray(data))) == len(data)
        buffer = KernelBuffer(bytearray(len(data)))
        assert client.read(entry.node, opened, 0, 0, buffer) == len(data) and bytes(buffer.storage) == data
        client.release(client.release_of(entry.node, opened, 2, is_directory=False))
        assert code(client.look_up, 1, b"none") == ENOENT
    listing = client.read_directory(1, client.open(1, 0, is_directory=True), 0, 8192, looks_up=False)
    assert len(listing.entries) == 22


def test_nodes_are_forgotten_by_their_own_queue() -> None:
    device = Device()
    start(device)
    instance = mounted()
    directory = instance.root()
    device.host.add(device.host.nodes[1], b"file", 0o100644)
    inode = directory.lookup(b"file")
    assert inode is not None
    inode.became_idle()
    fs._DEVICES[0].attend()
    assert device.host.lookups == {2: 0}


def test_all_mounts_of_a_tag_are_of_one_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device()
    start(device)
    instance = mounted()
    assert code(make_virtiofs, b"tag", b"") == EBUSY  # who made it may end it yet
    instance.mounts = 1
    assert mounted() is instance and [asked.kind for asked in device.host.seen].count(26) == 1  # INIT
    tried: list[int] = []
    destroy = instance.client.destroy

    def meanwhile() -> None:
        tried.append(code(make_virtiofs, b"tag", b""))
        destroy()

    monkeypatch.setattr(instance.client, "destroy", meanwhile)
    instance.shut_down()
    assert device.host.seen[-1].kind == 38 and tried == [EBUSY]  # DESTROY
    again = mounted()
    assert again is not instance
    again.client.sizes(1)
    assert code(make_virtiofs, b"tag", b"dax") == EINVAL and code(make_virtiofs, b"other", b"") == EINVAL


def test_what_lacked_memory_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """No interrupt tells of it when the device has nothing."""
    device = Device()
    server = start(device)
    client = mounted().client
    client.sizes(1)
    failures = [0]
    sleeps: list[int] = []
    before = fs._Pending

    def fail(request: Request, connection: Connection) -> fs._Pending:
        if failures[0] > 0:
            failures[0] -= 1
            raise MemoryError
        return before(request, connection)

    def sleep_until(queue: WaitQueue, deadline_ns: int, interruptible: bool = True) -> bool:
        assert queue is server.used and not interruptible
        sleeps.append(deadline_ns)
        return False

    def asleep(queue: WaitQueue, interruptible: bool = True) -> None:
        """Whoever waits for an answer, or the driver's thread, once it need not look again."""
        if queue is not server.used:
            woken_before.append(any(other is server.used for other in woken))
            for _ in range(5):
                server.wait()
                server.attend()

    woken: list[WaitQueue] = []  # those of objects of earlier tests, too, when Python collects them
    woken_before: list[bool] = []
    monkeypatch.setattr(fs, "_Pending", fail)
    monkeypatch.setattr("kernel.sched.wait.monotonic_ns", lambda: 1000)
    monkeypatch.setattr(WaitQueue, "sleep_until", sleep_until)
    monkeypatch.setattr(WaitQueue, "sleep", asleep)
    monkeypatch.setattr(WaitQueue, "wake_all", lambda queue: woken.append(queue))
    failures[0] = 3
    client.sizes(1)
    assert failures == [0] and sleeps == [50_001_000] * 3 and woken_before == [True]


def test_what_an_allocation_posts_is_sent_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that is made room for may be that of open files. The driver is at work then."""
    device = Device()
    start(device)
    client = mounted().client
    node = client.make_node(1, b"file", 0o100644, 0, ROOT).node
    opened = client.open(node, 2, is_directory=False)
    to_release = [client.release_of(node, opened, 2, is_directory=False)]
    before = fs._Pending

    def make_room(request: Request, connection: Connection) -> fs._Pending:
        while to_release:
            client.release(to_release.pop())
        return before(request, connection)

    monkeypatch.setattr(fs, "_Pending", make_room)
    client.sizes(1)
    assert [asked.kind for asked in device.host.seen[-2:]] == [17, 18]  # STATFS, RELEASE


def test_what_lacked_memory_is_tried_again_though_the_device_has_something(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device()
    server = start(device)
    client = mounted().client
    requests = []
    for name in (b"a", b"b"):
        node = client.make_node(1, name, 0o100644, 0, ROOT).node
        opened = client.open(node, 2, is_directory=False)
        requests.append(client.release_of(node, opened, 2, is_directory=False))
    sleeps: list[bool] = []
    monkeypatch.setattr(WaitQueue, "sleep_until", lambda queue, deadline_ns, interruptible=True: sleeps.append(True))
    monkeypatch.setattr(WaitQueue, "sleep", lambda queue, interruptible=True: sleeps.append(False))
    device.sleeps = True
    client.release(requests[0])
    server.attend()
    server.wait()
    before = fs._Pending

    def fail(request: Request, connection: Connection) -> fs._Pending:
        raise MemoryError

    monkeypatch.setattr(fs, "_Pending", fail)
    client.release(requests[1])
    server.attend()
    server.wait()
    assert sleeps == [False, True]
    monkeypatch.setattr(fs, "_Pending", before)
    device.sleeps = False
    server.attend()
    device.notified(fs.REQUEST_QUEUE)
    assert [asked.kind for asked in device.host.seen[-2:]] == [18, 18]


LIES: list[Callable[[bytes], bytes]] = [
    lambda answer: answer[:4], lambda answer: b"", lambda answer: bytes(len(answer)),
    lambda answer: struct.pack("<I", 1 << 20) + answer[4:],
    lambda answer: answer[:4] + struct.pack("<i", -4096) + answer[8:],
    lambda answer: answer[:4] + struct.pack("<i", 5) + answer[8:],
    lambda answer: answer[:8] + bytes([answer[8] ^ 4]) + answer[9:],
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_device_that_lies_is_switched_off(lie: Callable[[bytes], bytes]) -> None:
    device = Device()
    start(device)
    client = mounted().client
    client.sizes(1)
    device.spoil = lie
    assert code(client.sizes, 1) == ECONNABORTED
    assert code(client.sizes, 1) == ENOTCONN
    assert device.read_status() == 0 and code(make_virtiofs, b"tag", b"") == EIO


@pytest.mark.parametrize("claim", [
    lambda buffers, length: (buffers.head, 1 << 20), lambda buffers, length: (buffers.head ^ 1, length),
    lambda buffers, length: (0xFFFF, length), lambda buffers, length: (buffers.head, 0),
])  # fmt: skip
def test_a_device_that_breaks_the_rules_is_switched_off(claim: Callable[[Buffers, int], tuple[int, int]]) -> None:
    device = Device()
    start(device)
    client = mounted().client
    client.sizes(1)
    device.claim = claim
    assert code(client.sizes, 1) == ECONNABORTED and device.read_status() == 0


def test_answers_of_a_wrong_length_are_errors() -> None:
    device = Device()
    start(device)
    client = mounted().client
    client.sizes(1)
    device.spoil = lambda answer: struct.pack("<I", len(answer) - 1) + answer[4:-1]
    assert code(client.sizes, 1) == EIO
    device.spoil = None
    client.sizes(1)


def test_more_requests_than_there_is_room_for() -> None:
    device = Device(size=8)
    server = start(device)
    instance = mounted()
    client = instance.client
    client.sizes(1)
    opened = [client.open(1, 0, is_directory=True) for _ in range(50)]
    device.sleeps = True
    for each in opened:
        client.release(client.release_of(1, each, 0, is_directory=True))
    device.sleeps = False
    device.notified(1)
    for _ in range(50):
        server.attend()
    assert device.host.opened == {}
    connection = server.connection
    assert isinstance(connection, Connection) and connection._unattended == 0


@pytest.mark.parametrize(("device", "failure"), [
    (Device(tag=b""), EINVAL), (Device(queues=0), EINVAL), (Device(size=0), ENODEV),
    (Device(size=2), ENODEV),
])  # fmt: skip
def test_devices_of_no_use(device: Device, failure: int) -> None:
    assert code(fs.start, device) == failure and not SERVERS


def test_two_of_one_name() -> None:
    start(Device())
    assert code(fs.start, Device()) == EEXIST
