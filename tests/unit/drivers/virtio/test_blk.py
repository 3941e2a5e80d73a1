"""The disk driver against a model of the device: data arrives where it should, and no device can do harm."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.block.device import BLOCK_DEVICES, BlockRequest, Operation
from kernel.drivers.virtio import blk, ring
from kernel.drivers.virtio.blk import VirtioDisk
from kernel.drivers.virtio.transport import F_EVENT_INDEX, F_INDIRECT
from kernel.lang import EIO, ENODEV, ENOMEM, Errno
from kernel.mm.frames import PAGE_SIZE, Frame, allocate_frame, frame_span, free_frame_count, put_frame
from tests.unit.drivers.virtio.model import Buffers, ModelTransport

pytestmark = pytest.mark.usefixtures("machine")

SECTORS = 2048
F_RING = F_INDIRECT | F_EVENT_INDEX
ALL = blk.F_SEG_MAX | blk.F_FLUSH | blk.F_BLOCK_SIZE | F_EVENT_INDEX | F_INDIRECT


class Disk(ModelTransport):
    """Keeps requests until the test has it serve them, or serves at once."""

    def __init__(
        self, offered: int = ALL, queue_size: int = 128, segments: int = 126, block_size: int = 512, write_back: int = 1
    ) -> None:
        configuration = struct.pack("<QIIIIBBHIB", SECTORS, PAGE_SIZE, segments, 0, block_size, 3, 0, 0, 0, write_back)
        super().__init__(2, offered, configuration, [queue_size])
        self.data = bytearray(random.Random(1).randbytes(SECTORS * 512))
        self.serves_at_once = True
        self.pending: list[Buffers] = []
        self.flushes = 0
        self.notifications = 0
        self.most_pending = 0
        self.failing_sectors: set[int] = set()
        self.work = self.notified

    def notified(self, index: int) -> None:
        self.notifications += 1
        while (buffers := self.queue(0).pop()) is not None:
            self.pending.append(buffers)
        self.most_pending = max(self.most_pending, len(self.pending))
        if self.serves_at_once:
            self.serve(len(self.pending))

    def serve(self, count: int) -> None:
        """Carry out some of what is pending, in any order."""
        random.Random(count).shuffle(self.pending)
        for buffers in self.pending[:count]:
            self.queue(0).push(buffers.head, self.carry_out(buffers))
        del self.pending[:count]
        self.interrupt(0)

    def carry_out(self, buffers: Buffers) -> int:
        request = buffers.content()
        kind, _, sector = struct.unpack("<IIQ", request[:16])
        room = buffers.room()
        if sector in self.failing_sectors:
            return buffers.fill(bytes(room - 1) + b"\x01")
        if kind == 0:
            content = self.data[sector * 512 :][: room - 1]
            assert len(content) == room - 1
            return buffers.fill(bytes(content) + b"\x00")
        assert room == 1
        if kind == 1:
            self.data[sector * 512 : sector * 512 + len(request) - 16] = request[16:]
        else:
            assert kind == 4 and len(request) == 16
            self.flushes += 1
        return buffers.fill(b"\x00")


@pytest.fixture(autouse=True)
def no_disks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    BLOCK_DEVICES.clear()
    monkeypatch.setattr(blk, "_disk_count", 0)
    yield
    BLOCK_DEVICES.clear()


def start(model: Disk) -> VirtioDisk:
    blk.start(model)
    disk = BLOCK_DEVICES[254 << 8]
    assert isinstance(disk, VirtioDisk)
    assert disk.sectors == SECTORS
    return disk


def request(operation: Operation, sector: int, length: int, offset: int = 0) -> BlockRequest:
    made = BlockRequest(operation, sector)
    made.length = length
    made.offset = offset
    made.frames = [allocate_frame() for _ in range((offset + length + PAGE_SIZE - 1) // PAGE_SIZE)]
    return made


def content(made: BlockRequest) -> bytes:
    pages = b"".join(bytes(frame_span(Frame(frame)).to_bytes()) for frame in made.frames)
    return pages[made.offset : made.offset + made.length]


def fill(made: BlockRequest, data: bytes) -> None:
    for i in range(made.length):
        place = made.offset + i
        frame_span(Frame(made.frames[place // PAGE_SIZE]))[place % PAGE_SIZE] = data[i]


@pytest.mark.parametrize("features", [ALL, ALL & ~F_INDIRECT, ALL & ~F_EVENT_INDEX, ALL & ~F_RING])
def test_reads_and_writes(features: int) -> None:
    model = Disk(features)
    disk = start(model)
    for sector, length, offset in [(0, 512, 0), (7, 1024, 3584), (100, 3 * PAGE_SIZE, 0), (2047, 512, 512)]:
        reading = request(Operation.READ, sector, length, offset)
        disk.start(reading)
        assert reading.error == 0
        assert content(reading) == model.data[sector * 512 : sector * 512 + length]
        new = random.Random(sector).randbytes(length)
        writing = request(Operation.WRITE, sector, length, offset)
        fill(writing, new)
        disk.start(writing)
        assert writing.error == 0
        assert model.data[sector * 512 : sector * 512 + length] == new


@pytest.mark.parametrize("features", [ALL, ALL & ~F_INDIRECT])
def test_more_requests_than_the_queue_holds(features: int) -> None:
    """All are carried out, many at a time, whatever the order in which the device finishes them."""
    model = Disk(features, queue_size=16)
    disk = start(model)
    model.serves_at_once = False
    requests = [request(Operation.READ, 8 * i, 2 * 512, offset=PAGE_SIZE - 512) for i in range(100)]
    for each in requests:
        disk.start(each)
    assert model.most_pending >= (16 if features & F_INDIRECT else 4)
    for _ in range(100):
        model.serve(min(3, len(model.pending)))
    assert all(each.error == 0 for each in requests)
    for i, each in enumerate(requests):
        assert content(each) == model.data[8 * i * 512 : 8 * i * 512 + 1024]
    assert disk.statistics.in_flight == 0


def test_a_flush_waits_for_the_device() -> None:
    model = Disk()
    disk = start(model)
    assert disk.has_volatile_cache
    model.serves_at_once = False
    flush = BlockRequest(Operation.FLUSH, 0)
    disk.start(flush)
    assert not flush.is_finished()
    model.serve(1)
    assert flush.error == 0 and model.flushes == 1


def test_without_a_cache_there_is_nothing_to_flush() -> None:
    model = Disk(ALL & ~blk.F_FLUSH)
    disk = start(model)
    assert not disk.has_volatile_cache
    flush = BlockRequest(Operation.FLUSH, 0)
    disk.start(flush)
    assert flush.error == 0 and model.flushes == 0


def test_a_cache_that_writes_through() -> None:
    assert not start(Disk(ALL | blk.F_CONFIG_WCE, write_back=0)).has_volatile_cache


def test_errors_of_the_medium_reach_their_own_request_only() -> None:
    model = Disk()
    disk = start(model)
    model.failing_sectors = {8}
    model.serves_at_once = False
    requests = [request(Operation.READ, 8 * i, PAGE_SIZE) for i in range(3)]
    for each in requests:
        disk.start(each)
    model.serve(3)
    assert [each.error for each in requests] == [0, EIO, 0]


def test_what_the_device_says_of_itself() -> None:
    disk = start(Disk(ALL | blk.F_TOPOLOGY | blk.F_READ_ONLY, block_size=1024, segments=10))
    assert disk.read_only
    assert (disk.logical_block_size, disk.physical_block_size) == (1024, 8192)
    assert disk.largest_transfer == 10


@pytest.mark.parametrize("block_size", [0, 1, 513, 8192, 1 << 31])
def test_block_sizes_that_make_no_sense(block_size: int) -> None:
    with pytest.raises(Errno) as caught:
        blk.start(Disk(block_size=block_size))
    assert caught.value.code == ENODEV
    assert not BLOCK_DEVICES


def test_the_longest_buffer_is_kept_to() -> None:
    model = Disk(ALL | blk.F_SIZE_MAX)
    disk = start(model)
    model.serves_at_once = False
    reading = request(Operation.READ, 0, 4 * PAGE_SIZE)
    disk.start(reading)
    assert max(length for _, length in model.pending[0].writable) <= PAGE_SIZE
    model.serve(1)
    assert content(reading) == model.data[: 4 * PAGE_SIZE]


def test_requests_that_do_not_fit_are_refused() -> None:
    disk = start(Disk(segments=2))
    large = request(Operation.READ, 0, 3 * PAGE_SIZE)
    large.frames.sort()
    large.frames.reverse()
    disk.start(large)
    assert large.error == EIO
    short = request(Operation.READ, 0, PAGE_SIZE)
    short.length = 2 * PAGE_SIZE
    disk.start(short)
    assert short.error == EIO


def test_frames_in_a_row_count_as_one() -> None:
    model = Disk(segments=2)
    disk = start(model)
    large = request(Operation.READ, 0, 3 * PAGE_SIZE)
    large.frames.sort()
    assert large.frames[2] == large.frames[0] + 2
    disk.start(large)
    assert large.error == 0
    assert content(large) == model.data[: 3 * PAGE_SIZE]


def test_the_device_is_told_once_of_several_requests() -> None:
    model = Disk()
    disk = start(model)
    model.notifications = 0
    requests = [request(Operation.READ, 8 * i, PAGE_SIZE) for i in range(5)]
    disk.hold_back()
    for each in requests:
        disk.start(each)
        assert not each.is_finished()
    disk.let_go()
    assert model.notifications == 1
    assert [each.error for each in requests] == [0] * 5


def test_a_request_that_waits_and_cannot_begin_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs a table, for which there is no memory, and nothing is under way whose end would let it try again."""

    def no_memory() -> Frame:
        raise MemoryError

    def pieces() -> BlockRequest:
        made = request(Operation.READ, 0, 200 * PAGE_SIZE)
        made.frames.reverse()  # each frame is a buffer
        return made

    model = Disk(segments=254)
    disk = start(model)
    model.serves_at_once = False
    large, small = pieces(), request(Operation.READ, 8, PAGE_SIZE)
    with monkeypatch.context() as shortage:
        shortage.setattr(ring, "allocate_zeroed_frame", no_memory)
        first = request(Operation.READ, 0, PAGE_SIZE)
        for each in (first, large, small):
            disk.start(each)
        assert not large.is_finished()
        model.serve(1)
        assert first.error == 0 and large.is_finished() and large.error == ENOMEM
        model.serve(1)
        assert small.is_finished() and small.error == 0
    again = pieces()
    disk.start(again)
    model.serve(1)
    assert again.is_finished() and again.error == 0


def test_the_disk_grows() -> None:
    model = Disk()
    disk = start(model)
    model.configuration[:8] = struct.pack("<Q", 4096)
    assert model.events is not None
    model.events.configuration_changed()
    assert disk.sectors == 4096
    model.configuration[:8] = b"\xff" * 8
    model.events.configuration_changed()
    assert disk.sectors == 0


@pytest.mark.parametrize("nonsense", ["head", "twice", "status"])
def test_a_device_that_breaks_the_rules_is_switched_off(nonsense: str) -> None:
    """Everything ends with EIO, what waits for room too, and the device is stopped before that."""
    model = Disk(queue_size=4)
    disk = start(model)
    model.serves_at_once = False
    requests = [request(Operation.READ, 8 * i, PAGE_SIZE) for i in range(6)]
    for each in requests:
        disk.start(each)
    resets = model.resets
    first = model.pending[0]
    if nonsense == "head":
        model.queue(0).push(77, 0)
    elif nonsense == "twice":
        first.fill(bytes(first.room()))
        model.queue(0).push(first.head, 0)
        model.queue(0).push(first.head, 0)
    else:
        first.fill(bytes(first.room() - 1) + b"\x09")
        model.queue(0).push(first.head, 0)
    model.interrupt(0)
    assert model.resets == resets + 1
    assert [each.error for each in requests[1:]] == [EIO] * 5
    late = request(Operation.READ, 0, 512)
    disk.start(late)
    assert late.error == EIO


@pytest.mark.parametrize("never_stops", [False, True])
def test_memory_that_a_broken_device_may_still_write_to_is_given_to_nobody(never_stops: bool) -> None:
    model = Disk(queue_size=4)
    disk = start(model)
    model.serves_at_once = False
    requests = [request(Operation.READ, 8 * i, 2 * PAGE_SIZE) for i in range(6)]  # more than the queue takes
    for each in requests:
        disk.start(each)
    free = free_frame_count()
    model.never_stops = never_stops
    model.queue(0).push(77, 0)
    model.interrupt(0)
    for each in requests:
        assert each.error == EIO
        for frame in each.frames:
            put_frame(Frame(frame))
    assert free_frame_count() == free + (2 * 2 if never_stops else 6 * 2)


def test_a_device_before_version_1() -> None:
    model = Disk()
    model.offered &= 0xFFFF_FFFF
    with pytest.raises(Errno):
        blk.start(model)


def test_a_device_that_refuses_what_was_agreed() -> None:
    model = Disk()
    model.refuses_features = True
    with pytest.raises(Errno):
        blk.start(model)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=40), st.integers(0, (1 << 63) - 1), st.integers(0, 3000))
def test_any_configuration(configuration: bytes, features: int, queue_size: int) -> None:
    blk._disk_count = 0
    model = Disk(features, queue_size)
    model.configuration[:] = configuration
    try:
        blk.start(model)
    except Errno:
        return
    disk = BLOCK_DEVICES[254 << 8]
    assert disk.sectors >= 0 and 512 <= disk.logical_block_size <= PAGE_SIZE
