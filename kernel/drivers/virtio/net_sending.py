"""The sending half of a virtio network card.

A packet and the virtio header in front of it are one buffer. Sent packets are freed when the next one comes, or the
network thread polls: no interrupt reports them.

A large TCP segment that the device does not cut is cut here (`kernel/net/link/segmentation.py`), when there is room on
the queue and not before. Each of its frames is two buffers: headers, which lie in a place that belongs to the
descriptor, and data, which stay where they are in the packet. So nothing is allocated or copied for a frame, and the
device is notified once for all frames of a segment.

When the queue is full, packets wait in a backlog after the segment that is being cut; one interrupt is then requested
for when half of the queue is free.

Invariants: `_whole` is the segment that is being cut, `_segmenter` its progress; it goes before the backlog.
`_sent[head]` is the owner of a descriptor's buffers, as long as the device has it. Context: thread context. Nothing
sleeps, nothing raises.
"""

from typing import Final

from kernel.drivers.platform.window import bus_address
from kernel.drivers.virtio.net_header import (
    GSO_TCP4,
    GSO_TCP6,
    HEADER_CHECKSUM_OFFSET,
    HEADER_CHECKSUM_START,
    HEADER_FLAGS,
    HEADER_GSO_SIZE,
    HEADER_GSO_TYPE,
    HEADER_LENGTH,
    HEADER_SIZE,
    NEEDS_CHECKSUM,
)
from kernel.drivers.virtio.ring import NOTHING, SplitQueue
from kernel.drivers.virtio.transport import Transport
from kernel.lang import deque, final, span_of, u64
from kernel.net.link.device import OFFLOAD_CHECKSUM, NetworkDevice
from kernel.net.link.ethernet import ETHERNET_HEADER, ETHERTYPE_IP6
from kernel.net.link.packet import CHECKSUM_PARTIAL, Packet
from kernel.net.link.segmentation import CHECKSUM_OFFSET, HEADERS_LIMIT, Segmenter
from kernel.net.link.thread import Work, schedule_work

TRANSMIT_QUEUE: Final = 1
QUEUE_SIZE: Final = 256
BACKLOG_LIMIT: Final = 1000
_PLACE: Final = (HEADER_SIZE + HEADERS_LIMIT + 7) // 8 * 8  # for the headers of one frame
_DESCRIPTORS_OF_FRAME: Final = 2  # of one that was cut


@final
class Transmitter:
    """The transmit queue of one card. The transport has agreed on features; raises MemoryError."""

    def __init__(self, device: NetworkDevice, transport: Transport, work: Work, queue: SplitQueue) -> None:
        self._device: NetworkDevice = device
        self._transport: Transport = transport
        self._work: Work = work  # the card's work in the network thread, which calls `go_on`
        self._queue: SplitQueue = queue
        self._sent: list[Packet | None] = [None] * self._queue.size
        self._headers: bytearray = bytearray(self._queue.size * _PLACE)
        self._segmenter: Segmenter = Segmenter()
        self._whole: Packet | None = None
        self._backlog: deque[Packet] = deque()

    def set_up(self) -> None:
        """Tell the device where the queue lies. Raises ENODEV."""
        self._transport.set_queue(TRANSMIT_QUEUE, self._queue)

    def takes_two_places(self) -> bool:
        """Whether a frame may lie in two places: the queue has enough descriptors."""
        return self._queue.size >= _DESCRIPTORS_OF_FRAME

    def is_broken(self) -> bool:
        """Whether the device returned a buffer that it did not have."""
        return self._queue.is_broken

    def transmit(self, packet: Packet) -> bool:
        """Send a packet with its link header. False: it cannot be sent, or too many are waiting."""
        if len(packet) < ETHERNET_HEADER:
            return False
        self._free_sent()
        if self._whole is not None or len(self._backlog) > 0 or self._queue.free_count == 0:
            return self._append_to_backlog(packet)
        if not self._put(packet):
            return False
        self._publish()
        return True

    def go_on(self) -> None:
        """Free what the device has sent, and give it what waited for room."""
        self._free_sent()
        self._put_frames()
        while self._whole is None and len(self._backlog) > 0 and self._queue.free_count > 0:
            if not self._put(self._backlog.popleft()):
                self._device.traffic.sent_dropped += 1
        self._publish()

    def forget(self) -> None:
        """The device has stopped: free everything."""
        for i in range(len(self._sent)):
            self._sent[i] = None
        self._whole = None
        self._backlog.clear()

    def _append_to_backlog(self, packet: Packet) -> bool:
        if len(self._backlog) >= BACKLOG_LIMIT:
            return False
        try:
            self._backlog.append(packet)
        except MemoryError:
            return False
        self._await_room()
        return True

    def _await_room(self) -> None:
        """Have the network thread continue when half of the queue is free."""
        if not self._queue.request_interrupt(max(1, self._queue.in_flight_count() // 2)):
            schedule_work(self._work)

    def _publish(self) -> None:
        """Tell the device what was put on the queue."""
        if self._queue.publish():
            self._transport.notify(TRANSMIT_QUEUE)
        if self._whole is not None or len(self._backlog) > 0:
            self._await_room()

    def _put(self, packet: Packet) -> bool:
        """Put a packet on the queue, where there is room; of a segment that must be cut, as many frames as there is
        room for. False: it cannot be sent.
        """
        if packet.segment_size == 0 or self._device.cuts(packet):
            return self._put_whole(packet)
        if not self._segmenter.begin(packet, self._device.offload & OFFLOAD_CHECKSUM != 0):
            return False
        self._whole = packet
        self._put_frames()
        return True

    def _put_frames(self) -> None:
        """Continue with the segment that is being cut, if there is one."""
        whole = self._whole
        segmenter = self._segmenter
        queue = self._queue
        while whole is not None and queue.free_count >= _DESCRIPTORS_OF_FRAME:
            place = queue.next_head() * _PLACE
            headers = span_of(self._headers)[place : place + HEADER_SIZE + segmenter.headers]
            headers.store_u64(0, u64(0))
            headers.store_u32(8, 0)
            if segmenter.has_partial_sums:
                headers[HEADER_FLAGS] = NEEDS_CHECKSUM
                headers.store_u16(HEADER_CHECKSUM_START, segmenter.transport)
                headers.store_u16(HEADER_CHECKSUM_OFFSET, CHECKSUM_OFFSET)
            segmenter.put_headers(headers[HEADER_SIZE:])
            data = segmenter.data()
            head = queue.add_two(bus_address(headers), len(headers), bus_address(data), len(data))
            assert head != NOTHING
            self._sent[head] = whole
            segmenter.advance()
            if segmenter.left == 0:
                whole = None
                self._whole = None

    def _put_whole(self, packet: Packet) -> bool:
        """Put a packet on the queue as it is. The header is written in front of it. False: there is no memory."""
        if packet.start < HEADER_SIZE:
            try:
                packet = _with_headroom(packet)
            except MemoryError:
                return False
        start = packet.start - HEADER_SIZE
        header = span_of(packet.storage)[start : packet.start]
        header.fill(0)
        if packet.checksum == CHECKSUM_PARTIAL:
            header[HEADER_FLAGS] = NEEDS_CHECKSUM
            checksum_start = packet.checksum_start - packet.start
            header.store_u16(HEADER_CHECKSUM_START, checksum_start)
            header.store_u16(HEADER_CHECKSUM_OFFSET, packet.checksum_offset)
            if packet.segment_size != 0:
                frame = packet.span()
                header[HEADER_GSO_TYPE] = GSO_TCP6 if frame.load_be16(12) == ETHERTYPE_IP6 else GSO_TCP4
                tcp_header = (frame[checksum_start + 12] >> 4) * 4
                header.store_u16(HEADER_LENGTH, checksum_start + tcp_header)
                header.store_u16(HEADER_GSO_SIZE, packet.segment_size)
        data = span_of(packet.storage)[start : packet.end]
        head = self._queue.add_buffer(bus_address(data), len(data), device_writes=False)
        assert head != NOTHING
        self._sent[head] = packet
        return True

    def _free_sent(self) -> None:
        """Free the packets that the device has sent."""
        while True:
            head = self._queue.take()
            if head == NOTHING:
                break
            packet = self._sent[head]
            self._sent[head] = None
            # Other frames of a segment may be under way still.
            if packet is not None and packet.segment_size == 0:
                packet.recycle()
        if self._queue.is_broken:
            schedule_work(self._work)


def _with_headroom(packet: Packet) -> Packet:
    """The same packet with headroom. Raises MemoryError."""
    roomy = Packet(len(packet))
    roomy.put(len(packet)).copy_from(packet.span())
    roomy.checksum = packet.checksum
    roomy.checksum_start = packet.checksum_start - packet.start + roomy.start
    roomy.checksum_offset = packet.checksum_offset
    roomy.segment_size = packet.segment_size
    return roomy
