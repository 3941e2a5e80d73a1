"""The split ring against a device that follows the specification, and one that does not."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.drivers.virtio.ring import NOTHING, Chain, SplitQueue
from kernel.drivers.virtio.transport import F_EVENT_INDEX, F_INDIRECT
from tests.unit.drivers.virtio.model import DeviceQueue, write

pytestmark = pytest.mark.usefixtures("machine")
shared_machine = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

VARIANTS = [(False, False), (False, True), (True, False), (True, True)]


def pair(size: int, event_index: bool, indirect: bool) -> tuple[SplitQueue, DeviceQueue]:
    queue = SplitQueue(size, event_index, indirect)
    features = (F_EVENT_INDEX if event_index else 0) | (F_INDIRECT if indirect else 0)
    return queue, DeviceQueue(queue, features)


@pytest.mark.parametrize(("event_index", "indirect"), VARIANTS)
@pytest.mark.parametrize("size", [1, 4, 128, 256])
def test_chains_arrive_and_come_back(size: int, event_index: bool, indirect: bool) -> None:
    """For more rounds than indexes have values, in any order of completion, with chains of all lengths."""
    choose = random.Random(size)
    queue, device = pair(size, event_index, indirect)
    chain = Chain(16, 1 << 20)
    held: dict[int, int] = {}
    started = finished = 0
    device_has_work = False
    while finished < 70_000 // (1 if size > 100 else 40):
        for _ in range(choose.randrange(4)):
            chain.clear()
            readable, writable = choose.randrange(3), choose.randrange(3)
            for i in range(readable):
                chain.add(0x1000 * i + 0x10_0000, 16 + i, False)
            for i in range(writable + (readable == 0)):
                chain.add(0x1000 * i + 0x20_0000, 32 + i, True)
            expected = queue.next_head()
            if (readable, writable) == (2, 0) and choose.random() < 0.5:
                head = queue.add_two(0x10_0000, 16, 0x10_1000, 17)
            else:
                head = queue.add(chain)
            if head == NOTHING:
                assert queue.free_count < chain.count
                continue
            assert head == expected and head not in held
            held[head] = chain.count
            started += 1
        device_has_work = queue.publish() or device_has_work
        if device_has_work or choose.random() < 0.1:
            device_has_work = False
            done = []
            while (buffers := device.pop()) is not None:
                assert held[buffers.head] == len(buffers.readable) + len(buffers.writable)
                done.append(buffers.head)
            choose.shuffle(done)
            for head in done:
                device.push(head, head + 1)
            device.show()
        while (head := queue.take()) != NOTHING:
            assert queue.used_length == head + 1
            del held[head]
            finished += 1
    assert not queue.is_broken
    assert started == finished + len(held)


@pytest.mark.parametrize("event_index", [False, True])
def test_no_notification_is_lost(event_index: bool) -> None:
    """The device works only when notified, the driver only when interrupted: still everything is done."""
    choose = random.Random(7)
    queue, device = pair(16, event_index, False)
    notified = interrupted = False
    finished = 0
    sent = 0
    notifications = 0
    assert queue.request_interrupt()
    while finished < 5_000:
        if choose.random() < 0.6 and queue.add_buffer(0x10_0000, 64, False) != NOTHING:
            sent += 1
            if choose.random() < 0.5 and queue.publish():
                notified = True
        if queue.free_count == 0 and queue.publish():
            notified = True
        if notified and choose.random() < 0.5:
            notifications += 1
            notified = False
            while (buffers := device.pop()) is not None:
                device.push(buffers.head, 0)
                if choose.random() < 0.5:
                    interrupted = device.show() or interrupted
            interrupted = device.show() or interrupted
        if interrupted and choose.random() < 0.5:
            interrupted = False
            queue.suppress_interrupts()
            while True:
                while queue.take() != NOTHING:
                    finished += 1
                if queue.request_interrupt():
                    break
        assert notified or interrupted or queue.free_count > 0, "both sides wait for each other"
    assert sent >= finished
    if event_index:
        assert notifications < finished


def test_an_interrupt_after_several() -> None:
    queue, device = pair(16, True, False)
    for _ in range(8):
        queue.add_buffer(0x10_0000, 1, False)
    queue.publish()
    assert queue.request_interrupt(4)
    for done in range(1, 9):
        buffers = device.pop()
        assert buffers is not None
        device.push(buffers.head, 0)
        assert device.show() == (done == 4)
    assert not queue.request_interrupt(8)


def test_buffers_in_a_row_are_joined_up_to_the_limit() -> None:
    chain = Chain(8, 0x3000)
    chain.add(0x1000, 16, False)
    chain.add(0x4000, 0x1000, True)
    for i in range(1, 4):
        chain.add(0x4000 + 0x1000 * i, 0x1000, True)
    assert chain.count == 3 and chain.readable == 1
    assert chain.addresses[:3] == [0x1000, 0x4000, 0x7000]
    assert chain.lengths[:3] == [16, 0x3000, 0x1000]


def test_what_is_read_is_not_joined_with_what_is_written() -> None:
    chain = Chain(8, 1 << 20)
    chain.add(0x1000, 16, False)
    chain.add(0x1010, 16, True)
    assert chain.count == 2


@shared_machine
@given(st.binary(min_size=4, max_size=4 + 8 * 8), st.integers(0, 0xFFFF), st.booleans())
def test_a_device_may_write_anything(entries: bytes, index: int, event_index: bool) -> None:
    queue, _ = pair(8, event_index, True)
    for _ in range(3):
        queue.add_buffer(0x10_0000, 64, True)
    queue.publish()
    write(queue.used_address(), entries)
    write(queue.used_address() + 2, index.to_bytes(2, "little"))
    taken = [head for head in (queue.take() for _ in range(20)) if head != NOTHING]
    assert len(taken) == len(set(taken)) <= 3
    assert queue.free_count == 5 + len(taken)
    queue.request_interrupt()
    queue.publish()
    if queue.is_broken:
        assert queue.take() == NOTHING
