"""The driver of virtio-balloon against a model of the device: what the host has is nobody else's, and comes back."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from kernel.drivers.virtio import balloon
from kernel.drivers.virtio.balloon import F_DEFLATE_ON_OOM, F_HINTS, F_REPORTING, F_STATISTICS, Balloon
from kernel.drivers.virtio.transport import F_EVENT_INDEX, F_INDIRECT
from kernel.lang import ENODEV, Errno
from kernel.mm import frames
from tests.unit.drivers.virtio.model import Buffers, ModelTransport

pytestmark = pytest.mark.usefixtures("machine")

BLOCK_FRAMES = 1 << frames.MAX_ORDER


class Device(ModelTransport):
    """Keeps the frames that it was given, and the blocks that it was shown."""

    def __init__(self, offered: int = 0, wanted: int = 0) -> None:
        super().__init__(5, offered, struct.pack("<II", wanted, 0), [32] * 5)
        self.frames: set[int] = set()
        self.blocks: list[tuple[int, int]] = []
        self.statistics: list[dict[int, int]] = []
        self.reporting = 3 if offered & F_STATISTICS else 2
        if offered & F_HINTS:
            self.reporting += 1
        self.answer: Callable[[Buffers], tuple[int, int]] = lambda buffers: (buffers.head, 0)
        self.work = self.notified

    @property
    def actual(self) -> int:
        return self._field(4, 4)

    def set_configuration_u32(self, offset: int, value: int) -> None:
        self.configuration[offset : offset + 4] = struct.pack("<I", value)

    def want(self, count: int) -> None:
        self.set_configuration_u32(0, count)

    def notified(self, index: int) -> None:
        while (buffers := self.queue(index).pop()) is not None:
            if index == self.reporting:
                self.blocks += buffers.writable
            elif index == 2:
                values = struct.iter_unpack("<HQ", buffers.content())
                self.statistics.append(dict(values))
                continue  # it keeps the buffer, until it wants to know more
            else:
                numbers = {number for (number,) in struct.iter_unpack("<I", buffers.content())}
                assert numbers.isdisjoint(self.frames) if index == 0 else numbers <= self.frames
                self.frames ^= numbers
            self.queue(index).push(*self.answer(buffers))
            self.interrupt(index)


def start(device: Device) -> Balloon:
    device.negotiate(balloon.WANTED)
    return Balloon(device)


@pytest.mark.parametrize("features", [0, F_EVENT_INDEX | F_INDIRECT])
def test_the_size_that_the_host_wants(features: int) -> None:
    device = Device(features)
    found = start(device)
    total, free = frames.total_frame_count(), frames.free_frame_count()
    for wanted in (1, 600, 257, 0, 1000, 0):
        device.want(wanted)
        assert found._follow()
        assert len(device.frames) == device.actual == found.size == wanted
        assert frames.total_frame_count() == total - wanted
        assert frames.free_frame_count() == free - wanted
        taken = frames.allocate_frame()
        assert int(taken) not in device.frames
        frames.put_frame(taken)


def test_programs_keep_a_part() -> None:
    device = Device(wanted=1 << 20)
    found = start(device)
    assert not found._follow()
    assert frames.available_frame_count() >= 256
    assert len(device.frames) == device.actual == found.size
    device.want(0)
    assert found._follow() and not device.frames


def test_it_gives_way() -> None:
    device = Device(F_DEFLATE_ON_OOM, wanted=1300)
    total = frames.total_frame_count()
    found = start(device)
    assert found._follow() and frames.total_frame_count() == total
    found.give_way()
    assert found.size == len(device.frames) == device.actual < 1300
    left = found.size
    assert found._follow() and found.size == left, "no more until the host says another size"
    found.size_changed()
    assert found._follow() and found.size == 1300


@pytest.mark.parametrize("hints", [0, F_HINTS])
def test_free_blocks_are_shown_once(hints: int) -> None:
    device = Device(F_REPORTING | F_STATISTICS | hints)
    found = start(device)
    free = frames.free_frame_count()
    found._report()
    shown = list(device.blocks)
    assert shown and sum(size for _, size in shown) % (BLOCK_FRAMES << 12) == 0
    assert frames.free_frame_count() == free
    found._report()
    assert device.blocks == shown
    block = frames.allocate_frames(frames.MAX_ORDER)
    frames.free_frames(block, frames.MAX_ORDER)
    found._report()
    assert device.blocks[len(shown) :] == [(block << 12, BLOCK_FRAMES << 12)]


def test_what_was_not_shown_is_used_first() -> None:
    device = Device(F_REPORTING | F_STATISTICS)
    found = start(device)
    first = frames.allocate_frames(frames.MAX_ORDER)
    found._report()
    frames.free_frames(first, frames.MAX_ORDER)
    assert frames.allocate_frames(frames.MAX_ORDER) == first


def test_statistics_are_answered_when_the_host_asks() -> None:
    device = Device(F_STATISTICS)
    found = start(device)
    assert len(device.statistics) == 1
    assert device.statistics[0][5] == frames.total_frame_count() << 12
    found._give_statistics()
    assert len(device.statistics) == 1
    device.queue(2).push(0, 0)
    device.interrupt(2)
    found._give_statistics()
    assert len(device.statistics) == 2


@pytest.mark.parametrize("answer", [lambda buffers: (buffers.head ^ 1, 0), lambda buffers: (0xFFFF, 0)])
@pytest.mark.parametrize("reports", [False, True])
def test_a_device_that_breaks_the_rules(answer: Callable[[Buffers], tuple[int, int]], reports: bool) -> None:
    device = Device(F_REPORTING | F_STATISTICS, wanted=10)
    found = start(device)
    device.answer = answer
    for _ in range(2):
        with pytest.raises(Errno) as caught:
            if reports:
                found._report()
            else:
                found.serve()
        assert caught.value.code == ENODEV
    assert device.read_status() == 0 and found.is_dead


def test_a_device_without_queues() -> None:
    device = Device()
    device.sizes = [32]
    with pytest.raises(Errno) as caught:
        start(device)
    assert caught.value.code == ENODEV


def test_where_memory_is_short_the_thread_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    found = start(Device())
    attempts: list[int] = []
    pauses: list[int] = []

    def serve() -> None:
        attempts.append(1)
        if len(attempts) < 4:
            raise MemoryError
        raise Errno(ENODEV)

    monkeypatch.setattr(found, "serve", serve)
    monkeypatch.setattr(found.queue, "pause", pauses.append)
    monkeypatch.setattr(balloon, "BALLOONS", [found])
    balloon._serve(0)
    assert len(attempts) == 4 and len(pauses) == 3 and min(pauses) > 0
