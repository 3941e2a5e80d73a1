"""The network card's driver against a model of the device: frames of all kinds, offload, full queues, wrong devices."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.drivers.virtio import net, net_sending
from kernel.drivers.virtio.net import VirtioNetworkDevice
from kernel.drivers.virtio.transport import F_EVENT_INDEX, F_INDIRECT, DeviceEvents
from kernel.lib.pace import pace
from kernel.net.link import thread
from kernel.net.link.device import (
    OFFLOAD_CHECKSUM,
    OFFLOAD_GATHER,
    OFFLOAD_TCP4,
    OFFLOAD_TCP6,
    NetworkDevice,
    Tap,
    bring_up,
)
from kernel.net.link.ethernet import complete_checksum
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import CHECKSUM_NONE, CHECKSUM_PARTIAL, CHECKSUM_VERIFIED, Packet
from tests.unit.drivers.virtio.model import Buffers, ModelTransport
from tests.unit.net.link.test_segmentation import Whole, cut
from tests.unit.net.wire_packets import internet_sum

pytestmark = pytest.mark.usefixtures("machine")

MAC = b"\x52\x54\x00\x12\x34\x56"
RING = F_EVENT_INDEX | F_INDIRECT
PLAIN = net.F_MAC | net.F_STATUS | RING
ALL = net.WANTED | net.LARGE_RECEIVE


def forget(device: NetworkDevice) -> None:
    """A card is no interface any more."""
    FIRST_NETWORK.devices.remove(device)
    FIRST_NETWORK.by_index.pop(device.index)
    FIRST_NETWORK.by_name.pop(device.name)


class Card(ModelTransport):
    """Keeps what it is to send, and receives what the test gives it."""

    def __init__(self, offered: int = ALL, mtu: int = 1500, queue_size: int = 16) -> None:
        configuration = MAC + struct.pack("<HHH", 1, 1, mtu)
        super().__init__(1, offered, configuration, [queue_size, queue_size])
        self.frames: list[tuple[bytes, bytes]] = []  # header, frame
        self.waiting: list[Buffers] = []
        self.sends_at_once = True
        self.work = self.notified

    def notified(self, index: int) -> None:
        if index == 1:
            while (buffers := self.queue(1).pop()) is not None:
                self.waiting.append(buffers)
            if self.sends_at_once:
                self.send(len(self.waiting))

    def send(self, count: int) -> None:
        for buffers in self.waiting[:count]:
            content = buffers.content()
            self.frames.append((content[:12], content[12:]))
            self.queue(1).push(buffers.head, 0)
        del self.waiting[:count]
        self.interrupt(1)

    def deliver(
        self, frame: bytes, flags: int = 0, gso: int = 0, size: int = 0, buffers: int | None = None,
        sum_at: tuple[int, int] = (34, 16),
    ) -> int:  # fmt: skip
        """A frame arrives; how many buffers it took. `buffers`: the number that the header claims."""
        queue = self.queue(0)
        taken: list[Buffers] = []
        rest = bytes(12) + frame
        room = 0
        while room < len(rest):
            chain = queue.pop()
            if chain is None:
                return 0
            taken.append(chain)
            room += chain.room()
        count = len(taken) if buffers is None else buffers
        rest = struct.pack("<BBHHHHH", flags, gso, 0, size, *sum_at, count) + frame
        for chain in taken:
            piece, rest = rest[: chain.room()], rest[chain.room() :]
            chain.fill(piece)
            queue.push(chain.head, len(piece))
        self.interrupt(0)
        return len(taken)


class Counter(DeviceEvents):
    """Notes interrupts, and passes them on."""

    def __init__(self, events: DeviceEvents) -> None:
        self.events = events
        self.interrupts: list[int] = []

    def queue_used(self, queue: int) -> None:
        self.interrupts.append(queue)
        self.events.queue_used(queue)


class Listener(Tap):
    def __init__(self) -> None:
        self.packets: list[Packet] = []

    def saw(self, packet: Packet, device: NetworkDevice, is_outgoing: bool) -> None:
        if not is_outgoing:
            self.packets.append(packet.copy())

    def frames(self) -> list[bytes]:
        return [packet.span().to_bytes() for packet in self.packets]


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    before = list(FIRST_NETWORK.devices)
    FIRST_NETWORK.taps.append(made)
    yield made
    FIRST_NETWORK.taps.remove(made)
    for device in [device for device in FIRST_NETWORK.devices if device not in before]:
        forget(device)
    thread._knet.works.take_all()


def start(model: Card) -> VirtioNetworkDevice:
    net.start(model)
    device = FIRST_NETWORK.devices[-1]
    assert isinstance(device, VirtioNetworkDevice)
    bring_up(device)
    work()
    return device


def work() -> None:
    """The network thread's turns, until it sleeps."""
    for _ in range(50):
        if thread._knet.works.is_empty():
            return
        item = thread._knet.works.take_all()
        while item is not None:
            following = item.after()
            item.next = None
            item.is_scheduled = False
            pace(0)  # as the thread does: each turn may take as long as any
            item.run(0)
            item = following
    raise AssertionError("the network thread never sleeps")


def frame_of(length: int, kind: int = 0x1234) -> bytes:
    return MAC + MAC + struct.pack(">H", kind) + random.Random(length).randbytes(length - 14)


def packet_of(frame: bytes, headroom: int = 128) -> Packet:
    packet = Packet(len(frame), headroom)
    span = packet.put(len(frame))
    for i, byte in enumerate(frame):
        span[i] = byte
    return packet


@pytest.mark.parametrize("features", [ALL, PLAIN, PLAIN & ~F_EVENT_INDEX, PLAIN | net.F_MERGEABLE])
@pytest.mark.parametrize("length", [14, 60, 256, 257, 1514])
def test_frames_arrive_in_order(listener: Listener, features: int, length: int) -> None:
    """Many times the queue, so that every buffer is used again."""
    model = Card(features)
    device = start(model)
    sent = []
    for _ in range(20):
        for _ in range(random.Random(length).randrange(1, 9)):
            frame = frame_of(length)
            assert model.deliver(frame) == 1
            sent.append(frame)
        work()
    assert listener.frames() == sent
    assert device.traffic.received_packets == len(sent) and device.traffic.received_errors == 0


def test_large_frames_are_put_together(listener: Listener) -> None:
    model = Card(queue_size=64)
    start(model)
    for length in (3000, 40_000, 65_549):
        frame = frame_of(length)
        assert model.deliver(frame, flags=1, gso=1, size=1448) > 1
        work()
        assert listener.frames()[-1] == frame
        assert listener.packets[-1].checksum == CHECKSUM_VERIFIED
        assert listener.packets[-1].segment_size == 1448


def test_large_frames_get_large_buffers(listener: Listener) -> None:
    """After some of them each lies in one buffer, unless it is larger still; when they have passed, buffers are small,
    and the queue is full, again.
    """
    model = Card(queue_size=64)
    device = start(model)
    sent = []

    def deliver(length: int, times: int) -> list[int]:
        taken = []
        for _ in range(times):
            sent.append(frame_of(length))
            taken.append(model.deliver(sent[-1]))
            work()
        return taken

    assert deliver(60_000, 20)[-1] == 1
    assert device._receiving.in_flight_count() == net.LARGE_COUNT
    assert deliver(65_549, 3)[-1] == 2
    deliver(1000, 60)
    assert device._receiving.in_flight_count() == 64 and device._large_count == 0
    assert deliver(60_000, 1)[-1] > 1
    assert listener.frames() == sent and device.traffic.received_errors == 0


def test_storages_that_come_back_are_used_again(listener: Listener) -> None:
    model = Card(queue_size=64)
    device = start(model)
    device._wants_large = True
    first = device._fresh_buffer()
    storage = first.storage
    first.recycle()
    assert len(first) == 0 and first.storage is not storage
    assert device._fresh_buffer().storage is storage
    assert device._fresh_buffer().storage is not storage


def test_large_frames_are_not_asked_for_where_they_cannot_come() -> None:
    model = Card(PLAIN | net.LARGE_RECEIVE | net.F_GUEST_CHECKSUM)
    net.start(model)
    assert model.taken & net.LARGE_RECEIVE == 0
    forget(FIRST_NETWORK.devices[-1])


@pytest.mark.parametrize(("features", "flags", "state"), [
    (ALL, 0, CHECKSUM_NONE), (ALL, 1, CHECKSUM_VERIFIED), (ALL, 2, CHECKSUM_VERIFIED), (PLAIN, 2, CHECKSUM_NONE),
])  # fmt: skip
def test_checksums_that_the_device_answers_for(listener: Listener, features: int, flags: int, state: int) -> None:
    model = Card(features)
    start(model)
    model.deliver(frame_of(100), flags=flags)
    model.deliver(frame_of(1000), flags=flags)
    work()
    assert [packet.checksum for packet in listener.packets] == [state, state]


@pytest.mark.parametrize("length", [100, 1000, 9000])
def test_a_checksum_that_nobody_has_summed_is_completed_when_sent_on(listener: Listener, length: int) -> None:
    model = Card(ALL)
    start(model)
    frame = bytearray(frame_of(length))
    frame[50:52] = b"\0\0"
    model.deliver(bytes(frame), flags=1)
    work()
    packet = listener.packets[0]
    packet.send_on()
    assert packet.checksum == CHECKSUM_PARTIAL
    complete_checksum(packet)
    frame[50:52] = (internet_sum(bytes(frame[34:])) or 0xFFFF).to_bytes(2, "big")
    assert packet.span().to_bytes() == bytes(frame)


@pytest.mark.parametrize("sum_at", [(34, 0), (99, 0), (98, 1), (0xFFFF, 16), (0, 0xFFFF)])
def test_a_checksum_that_lies_elsewhere_is_not_believed(listener: Listener, sum_at: tuple[int, int]) -> None:
    model = Card(ALL)
    start(model)
    model.deliver(frame_of(100)[:100], flags=1, sum_at=sum_at)
    work()
    packet = listener.packets[0]
    packet.send_on()
    assert packet.checksum == CHECKSUM_NONE


def test_under_load_there_are_no_interrupts(listener: Listener) -> None:
    model = Card(queue_size=64)
    device = start(model)
    model.deliver(frame_of(60))
    assert model.events is not None
    counter = Counter(model.events)
    model.events = counter
    for _ in range(30):
        model.deliver(frame_of(60))
    assert counter.interrupts == []
    work()
    model.deliver(frame_of(60))
    assert counter.interrupts == [0]
    work()
    assert device.traffic.received_packets == 32


def test_sending(listener: Listener) -> None:
    model = Card()
    device = start(model)
    frames = [frame_of(length) for length in (14, 60, 1514) * 20]
    for frame in frames:
        assert device.transmit(packet_of(frame))
        work()
    assert [frame for _, frame in model.frames] == frames
    assert all(header == bytes(12) for header, _ in model.frames)


def test_a_packet_without_room_in_front(listener: Listener) -> None:
    model = Card()
    device = start(model)
    packet = packet_of(frame_of(100), headroom=4)
    packet.checksum = CHECKSUM_PARTIAL
    packet.checksum_start = 4 + 34
    packet.checksum_offset = 16
    assert device.transmit(packet)
    assert model.frames == [(struct.pack("<BBHHHHH", 1, 0, 0, 0, 34, 16, 0), frame_of(100))]


@pytest.mark.parametrize(("kind", "gso", "headers"), [(0x0800, 1, 34), (0x86DD, 4, 54)])
def test_segmentation_is_left_to_the_device(listener: Listener, kind: int, gso: int, headers: int) -> None:
    model = Card()
    device = start(model)
    assert device.offload == OFFLOAD_CHECKSUM | OFFLOAD_TCP4 | OFFLOAD_TCP6 | OFFLOAD_GATHER
    frame = bytearray(frame_of(20_000, kind))
    frame[14] = 0x45 if headers == 34 else 0x60
    frame[headers + 12 : headers + 14] = bytes([8 << 4, 0x10])  # a TCP header with 12 bytes of options
    packet = packet_of(bytes(frame))
    packet.checksum = CHECKSUM_PARTIAL
    packet.checksum_start = packet.start + headers
    packet.checksum_offset = 16
    packet.network_start = packet.start + 14
    packet.segment_size = 1448
    assert device.transmit(packet)
    header = struct.pack("<BBHHHHH", 1, gso, headers + 32, 1448, headers, 16, 0)
    assert model.frames == [(header, bytes(frame))]


def test_a_full_queue_and_a_full_backlog(listener: Listener) -> None:
    """What does not fit waits in order; what does not fit there either is refused."""
    model = Card()
    device = start(model)
    model.sends_at_once = False
    frames = [frame_of(60 + i % 7) for i in range(16 + net_sending.BACKLOG_LIMIT)]
    for frame in frames:
        assert device.transmit(packet_of(frame))
    assert not device.transmit(packet_of(frame_of(60)))
    while model.waiting:
        model.send(3)
        work()
    assert [frame for _, frame in model.frames] == frames


# Segments that the driver cuts. Which bytes the frames consist of: tests/unit/net/link/test_segmentation.py.

WHOLE = Whole(True, b"", b"\x01" * 12, random.Random(1).randbytes(20_000), 1448, 7, 0x18, 0)  # 14 frames


def large(whole: Whole = WHOLE) -> Packet:
    """The segment as it comes from the stack."""
    packet = whole.packet()
    packet.checksum = CHECKSUM_PARTIAL
    packet.checksum_start = packet.start + 34
    packet.checksum_offset = 16
    return packet


@pytest.mark.parametrize("features", [PLAIN, PLAIN & ~F_EVENT_INDEX, PLAIN | net.F_CHECKSUM])
def test_a_large_segment_is_cut_and_announced_once(listener: Listener, features: int) -> None:
    model = Card(features, queue_size=64)
    device = start(model)
    notified: list[int] = []

    def work_of_card(index: int) -> None:
        notified.append(index)
        model.notified(index)

    model.work = work_of_card
    assert device.transmit(large())
    partial = features & net.F_CHECKSUM != 0
    header = struct.pack("<BBHHHHH", 1, 0, 0, 0, 34, 16, 0) if partial else bytes(12)
    assert model.frames == [(header, frame) for frame in cut(WHOLE, partial)]
    assert notified == [1]


def test_what_does_not_fit_on_the_queue_is_cut_later_and_in_order(listener: Listener) -> None:
    """With frames of all kinds before, between and after; and nothing is cut before there is room."""
    model = Card(PLAIN, queue_size=16)
    device = start(model)
    model.sends_at_once = False
    small = [frame_of(60 + i) for i in range(3)]
    for frame in small:
        assert device.transmit(packet_of(frame)) and device.transmit(large())
    assert len(model.waiting) == 1 + 7
    count = 8
    while model.waiting:
        model.send(count := count % 5 + 1)
        work()
    expected = [frame for one in small for frame in (one, *cut(WHOLE, False))]
    assert [frame for _, frame in model.frames] == expected
    device.poll()
    assert device._transmitter._queue.free_count == 16 and not any(device._transmitter._sent)


def test_a_device_may_be_done_with_frames_in_any_order(listener: Listener) -> None:
    """What the others consist of stays as it is."""
    model = Card(PLAIN, queue_size=64)
    device = start(model)
    model.sends_at_once = False
    assert device.transmit(large())
    random.Random(2).shuffle(model.waiting)
    for _ in range(14):
        model.send(1)
        device.poll()
    assert sorted(frame for _, frame in model.frames) == sorted(cut(WHOLE, False))


def test_a_segment_that_announces_a_reduction_is_not_left_to_the_device(listener: Listener) -> None:
    """It would announce it in each frame."""
    whole = replace(WHOLE, flags=WHOLE.flags | 0x80)
    model = Card(queue_size=64)
    assert start(model).transmit(large(whole))
    assert [frame for _, frame in model.frames] == cut(whole, True)


def test_a_broken_device_ends_a_segment_that_is_being_cut(listener: Listener) -> None:
    model = Card(PLAIN)
    device = start(model)
    model.sends_at_once = False
    assert device.transmit(large()) and device.transmit(large())
    model.queue(1).push(5_000, 0)
    model.queue(1).show()
    device.poll()
    assert not device.has_carrier and not device.transmit(large())
    assert device._transmitter._whole is None


def test_a_queue_for_one_buffer_gets_frames_in_one_piece() -> None:
    model = Card(PLAIN, queue_size=1)
    net.start(model)
    assert FIRST_NETWORK.devices[-1].offload == 0
    forget(FIRST_NETWORK.devices[-1])


def test_the_link_goes_down_and_up(listener: Listener) -> None:
    model = Card()
    device = start(model)
    assert device.has_carrier
    for state in (0, 1):
        model.configuration[6:8] = struct.pack("<H", state)
        assert model.events is not None
        model.events.configuration_changed()
        work()
        assert device.has_carrier == bool(state)


def test_address_and_mtu(listener: Listener) -> None:
    device = start(Card(mtu=9000))
    assert (device.name, device.address, device.mtu) == (b"eth0", MAC, 9000)
    assert start(Card(mtu=20)).mtu == 1500
    assert start(Card(PLAIN, mtu=9000)).mtu == 1500


def test_a_card_without_an_address_gets_one(listener: Listener) -> None:
    address = start(Card(PLAIN & ~net.F_MAC)).address
    assert len(address) == 6 and address[0] & 3 == 2


def test_jumbo_frames_without_merging(listener: Listener) -> None:
    model = Card(PLAIN | net.F_MTU, mtu=9000)
    start(model)
    frame = frame_of(9014)
    assert model.deliver(frame) == 1
    work()
    assert listener.frames() == [frame]


@pytest.mark.parametrize("length", [0, 13])
def test_frames_without_a_header_are_errors(listener: Listener, length: int) -> None:
    model = Card()
    device = start(model)
    for _ in range(40):
        model.deliver(bytes(length))
        work()
    assert listener.packets == [] and device.traffic.received_errors == 40
    model.deliver(frame_of(60))
    work()
    assert listener.frames() == [frame_of(60)]


def test_more_buffers_promised_than_used(listener: Listener) -> None:
    """The device is switched off; sending fails, nothing else happens."""
    model = Card()
    device = start(model)
    resets = model.resets
    model.deliver(frame_of(60), buffers=5)
    work()
    assert model.resets == resets + 1
    assert not device.has_carrier and not device.transmit(packet_of(frame_of(60)))


def test_without_memory_frames_are_dropped_and_buffers_kept(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Card()
    device = start(model)

    def no_memory(capacity: int, headroom: int = 0) -> Packet:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(net, "Packet", no_memory)
        for length in (60, 1000, 3000):
            for _ in range(20):
                model.deliver(frame_of(length))
                work()
    assert device.traffic.received_dropped == 60 and listener.packets == []
    model.deliver(frame_of(1000))
    work()
    assert listener.frames() == [frame_of(1000)]


def test_a_card_that_came_up_without_memory_gets_buffers_later(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any it never interrupts, so nobody else would look again."""
    model = Card()
    net.start(model)

    def no_memory(capacity: int, headroom: int = 0) -> Packet:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(net, "Packet", no_memory)
        device = FIRST_NETWORK.devices[-1]
        assert isinstance(device, VirtioNetworkDevice)
        bring_up(device)
        for _ in range(3):
            with pytest.raises(MemoryError):  # for which the thread tries again
                device.poll()
    device.poll()
    model.deliver(frame_of(1000))
    work()
    assert listener.frames() == [frame_of(1000)]


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.binary(max_size=80), st.integers(0, 70_000), st.integers(0, 20)), max_size=20), st.booleans()
)
def test_a_device_may_say_anything(listener: Listener, steps: list[tuple[bytes, int, int]], mergeable: bool) -> None:
    """Any bytes in the buffers, any lengths, any heads."""
    model = Card(ALL if mergeable else PLAIN)
    start(model)
    for content, length, head in steps:
        queue = model.queues[0]
        if queue is None:  # switched off
            break
        chain = queue.pop()
        if chain is not None:
            chain.fill(content)
            queue.push(chain.head if head < 18 else head, length)
            model.interrupt(0)
        work()
