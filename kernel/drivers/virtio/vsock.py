"""virtio-vsock: connections of AF_VSOCK sockets with the host (kernel/net/vsock).

The device has a queue of incoming packets, one of outgoing packets, and one of events. Frames of memory wait to be
filled; received packets are copied out of them, so the host may send at once as much as they hold, and its connections
no more than their credit. An outgoing packet is a header, which has a place for each descriptor here, and the data
where the sender put them. While the queue is full packets wait in `_pending`: data of connections, bounded by their
credit and by memory; few others for each connection; and at most PENDING_LIMIT that open connections or answer for
nobody, so that a device which keeps sending and takes no answers gets none.

A kernel thread handles received packets. A device that breaks the rules of its queues is reset, and all connections
end; an inconsistent packet is dropped. One for which there is no memory stays where the device has put it, and
the thread tries again later, so nothing of a stream is lost. The event TRANSPORT_RESET, sent when the machine has moved
to another host, ends all connections as well, and the context may be another one afterwards.

Context: `send` is for thread context and does not sleep; the interrupts only wake.
Source: Virtual I/O Device (VIRTIO) Version 1.2, 5.10 (socket device).
"""

from typing import Final

from kernel.drivers.platform.window import Window, bus_address, frame_window
from kernel.drivers.virtio.ring import NOTHING, SplitQueue
from kernel.drivers.virtio.transport import RING_FEATURES, DeviceEvents, Transport
from kernel.lang import ENOBUFS, ENODEV, ENOSPC, Errno, final, noraise, span_of
from kernel.lib import log
from kernel.lib.pace import pace
from kernel.mm.frames import PAGE_SHIFT, PAGE_SIZE, Frame, allocate_frame, allocate_zeroed_frame, frame_span
from kernel.net.vsock.addresses import CID_ANY, CID_HOST
from kernel.net.vsock.packet import HEADER_SIZE, PacketQueue, VsockPacket, announced_length, read_header
from kernel.net.vsock.protocol import receive, transport_lost
from kernel.net.vsock.transport import TRANSPORTS, VsockTransport
from kernel.sched import WaitQueue, spawn_kernel_thread
from kernel.time import monotonic_ns

F_STREAM: Final = 1 << 0
F_SEQUENCED: Final = 1 << 1
WANTED: Final = F_STREAM | F_SEQUENCED | RING_FEATURES

RECEIVE: Final = 0
SEND: Final = 1
EVENTS: Final = 2

RECEIVE_LIMIT: Final = 64  # frames that the device may fill
SEND_LIMIT: Final = 64  # descriptors, two for a packet with data; a frame holds this many headers
EVENT_LIMIT: Final = 8
PENDING_LIMIT: Final = 1024
HEADER_PLACE: Final = 64  # bytes from one header to the next
EVENT_SIZE: Final = 4
EVENT_TRANSPORT_RESET: Final = 0

_CONFIG_CID: Final = 0
_PACKET_COST: Final = 4000  # instructions
_DROP_COST: Final = 300
_PAUSE_NS: Final = 10_000_000  # when there was no memory
_MOVES_NS: Final = 1_000_000_000  # from one line of the log to the next


@final
class VirtioVsock(VsockTransport):
    """One device. The transport has agreed on features. Raises ENODEV, MemoryError."""

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self.queue: WaitQueue = WaitQueue()  # where the thread sleeps
        self.has_work: bool = True
        self.is_dead: bool = False
        self.lacks_memory: bool = False  # for the packet in `_kept`
        self._transport: Transport = transport
        self._cid: int = _context_of(transport)
        self._receiving: SplitQueue = transport.make_queue(RECEIVE, RECEIVE_LIMIT)
        self._sending: SplitQueue = transport.make_queue(SEND, SEND_LIMIT)
        self._events: SplitQueue = transport.make_queue(EVENTS, EVENT_LIMIT)
        if self._sending.size < 2:
            raise Errno(ENODEV)
        self._frames: list[Frame] = [Frame(0)] * self._receiving.size  # of each head
        self._sent: list[VsockPacket | None] = [None] * self._sending.size  # of each head, what the device reads
        self._headers: Window = frame_window(allocate_zeroed_frame())
        self._event_place: Window = frame_window(allocate_zeroed_frame())
        self._header: bytearray = bytearray(HEADER_SIZE)
        self._pending: PacketQueue = PacketQueue()
        self._limited: int = 0  # those in it that are limited
        self._kept: int = NOTHING  # a filled frame that was not examined yet
        self._kept_length: int = 0
        self._told_ns: int = 0  # when a move was last logged
        transport.connect(_VsockEvents(self), 3)
        transport.set_queue(RECEIVE, self._receiving)
        transport.set_queue(SEND, self._sending)
        transport.set_queue(EVENTS, self._events)
        while self._receiving.free_count > 0:
            self._offer(allocate_frame())
        while self._events.free_count > 0:
            self._offer_event()
        transport.start()
        self._publish(RECEIVE, self._receiving)
        self._publish(EVENTS, self._events)

    # What sockets see -------------------------------------------------------------------------------------------------

    def cid(self) -> int:
        return self._cid

    def takes_sequences(self) -> bool:
        return self._transport.has(F_SEQUENCED)

    def send(self, packet: VsockPacket) -> None:
        """Raises ENODEV once the device is gone, ENOBUFS for a limited packet."""
        if self.is_dead:
            raise Errno(ENODEV)
        self._collect()
        if not self._pending.is_empty() or not self._put(packet):
            if packet.is_limited:
                if self._limited >= PENDING_LIMIT:
                    raise Errno(ENOBUFS)
                self._limited += 1
            packet.is_waiting = True
            self._pending.append(packet)
        self._publish(SEND, self._sending)
        if self._sending.is_broken:
            self.has_work = True  # the thread switches the device off
            self.queue.wake_all()

    # Sending ----------------------------------------------------------------------------------------------------------

    @noraise
    def _put(self, packet: VsockPacket) -> bool:
        """Put a packet on the queue, if there is room."""
        sending = self._sending
        length = len(packet)
        if sending.free_count < (1 if length == 0 else 2):
            return False
        place = sending.next_head() * HEADER_PLACE
        header = span_of(self._header)
        packet.write_header(header)
        for at in range(0, HEADER_SIZE, 4):
            self._headers.store_u32(place + at, header.load_u32(at))
        address = self._headers.physical + place
        if length == 0:
            head = sending.add_buffer(address, HEADER_SIZE, device_writes=False)
        else:
            data = bus_address(span_of(packet.storage)[packet.start : packet.end])
            head = sending.add_two(address, HEADER_SIZE, data, length)
        self._sent[head] = packet
        return True

    @noraise
    def _collect(self) -> int:
        """Take back what the device has sent, and replace it by waiting packets; returns how many."""
        sending = self._sending
        count = 0
        head = sending.take()
        while head != NOTHING:
            packet = self._sent[head]
            self._sent[head] = None
            if packet is not None:
                packet.was_sent()
                packet.release()
            count += 1
            head = sending.take()
        waiting = self._pending.first()
        while waiting is not None and self._put(waiting):
            self._take_pending()
            waiting = self._pending.first()
        return count

    @noraise
    def _take_pending(self) -> VsockPacket | None:
        """Take out the first of those that wait."""
        packet = self._pending.take()
        if packet is not None:
            packet.is_waiting = False
            if packet.is_limited:
                self._limited -= 1
        return packet

    def _publish(self, index: int, queue: SplitQueue) -> None:
        if queue.publish():
            self._transport.notify(index)

    # The thread -------------------------------------------------------------------------------------------------------

    def work(self) -> bool:
        """Do the pending work; returns whether there was some, or may be."""
        self.has_work = False
        if self.is_dead:
            return False
        is_busy = self._receive_packets()
        is_busy = self._collect() > 0 or is_busy
        self._publish(SEND, self._sending)
        is_busy = self._receive_events() or is_busy
        if self._receiving.is_broken or self._sending.is_broken or self._events.is_broken:
            self._die("virtio-vsock: the device breaks the rules of its queues and is switched off")
            return False
        if self.is_dead or self.lacks_memory:
            return False
        waits = self._receiving.request_interrupt()
        waits = self._sending.request_interrupt() and waits
        waits = self._events.request_interrupt() and waits
        return is_busy or not waits or self.has_work

    def _receive_packets(self) -> bool:
        """Hand out the packets that came, with safe points between them."""
        receiving = self._receiving
        count = 0
        self.lacks_memory = False
        head = self._kept if self._kept != NOTHING else receiving.take()
        length = self._kept_length if self._kept != NOTHING else receiving.used_length
        while head != NOTHING:
            frame = self._frames[head]
            packet: VsockPacket | None = None
            try:
                packet = self._packet_in(frame, length)
                self._kept = NOTHING
            except MemoryError:
                self._kept = head
                self._kept_length = length
                self.lacks_memory = True
                break
            self._offer(frame)
            if packet is not None:
                receive(self, packet)
            count += 1
            pace(_PACKET_COST)
            if self.is_dead:
                return False
            head = receiving.take()
            length = receiving.used_length
        self._publish(RECEIVE, receiving)
        return count > 0

    def _packet_in(self, frame: Frame, length: int) -> VsockPacket | None:
        """The packet in a frame, of which the device has written `length` bytes; None for one that is dropped: it is
        truncated, or for another context. An impossible length breaks the queue. Raises MemoryError.
        """
        if length > PAGE_SIZE:
            self._receiving.is_broken = True
            return None
        if length < HEADER_SIZE:
            return None
        storage = frame_span(frame)
        size = announced_length(storage[0:HEADER_SIZE])
        if size > length - HEADER_SIZE:
            return None
        packet = read_header(storage[0:HEADER_SIZE])
        if packet is None or packet.target_cid != self._cid:
            return None
        if size > 0:
            packet.storage = bytearray(size)
            span_of(packet.storage).copy_from(storage[HEADER_SIZE : HEADER_SIZE + size])
            packet.end = size
        return packet

    @noraise
    def _offer(self, frame: Frame) -> None:
        """Let the device fill a frame; there is room on the queue."""
        head = self._receiving.add_buffer(frame << PAGE_SHIFT, PAGE_SIZE, device_writes=True)
        self._frames[head] = frame

    def _offer_event(self) -> None:
        place = self._events.next_head() * EVENT_SIZE
        self._events.add_buffer(self._event_place.physical + place, EVENT_SIZE, device_writes=True)

    def _receive_events(self) -> bool:
        events = self._events
        count = 0
        has_moved = False
        head = events.take()
        while head != NOTHING:
            event = self._event_place.load_u32(head * EVENT_SIZE)
            is_whole = events.used_length == EVENT_SIZE
            self._offer_event()
            has_moved = has_moved or (is_whole and event == EVENT_TRANSPORT_RESET)
            count += 1
            pace(_PACKET_COST)
            head = events.take()
        self._publish(EVENTS, events)
        if has_moved:
            self._move()
        return count > 0

    def _move(self) -> None:
        """The machine has moved to another host: connections end, and its context may have changed."""
        now_ns = monotonic_ns()
        if self._told_ns == 0 or now_ns - self._told_ns >= _MOVES_NS:
            self._told_ns = now_ns
            log.info("virtio-vsock: all connections are reset")
        cid = self._cid
        try:
            cid = _context_of(self._transport)
        except Errno:
            self._die("virtio-vsock: the device has no context any more and is switched off")
            return
        self._cid = cid
        transport_lost(self)

    def _die(self, why: str) -> None:
        """The device is broken: stop it. Its frames are never given back, so it does no harm if it does not stop. `why`
        is the whole line of the log: there may be no memory to make one.
        """
        self.is_dead = True
        self.lacks_memory = False
        self._cid = CID_ANY
        log.error(why)
        has_stopped = True
        try:
            self._transport.reset()
        except Errno:
            log.error("virtio-vsock: it does not stop")
            has_stopped = False
        if has_stopped:
            for head in range(len(self._sent)):
                packet = self._sent[head]
                self._sent[head] = None
                if packet is not None:
                    packet.was_sent()
                    packet.release()
        waiting = self._take_pending()
        while waiting is not None:
            waiting.was_sent()
            waiting.release()
            pace(_DROP_COST)
            waiting = self._take_pending()
        transport_lost(self)


def _context_of(transport: Transport) -> int:
    """The context of this machine. Raises ENODEV for an invalid one."""
    cid = transport.configuration_u64(_CONFIG_CID)
    if not CID_HOST < cid < CID_ANY:
        raise Errno(ENODEV)
    return cid


@final
class _VsockEvents(DeviceEvents):
    """The interrupts of the device."""

    def __init__(self, device: VirtioVsock) -> None:
        self.device: VirtioVsock = device

    def queue_used(self, queue: int) -> None:
        self.device.has_work = True
        self.device.queue.wake_all()


DEVICES: Final[list[VirtioVsock]] = []  # one at the most


def _serve(number: int) -> None:
    """The thread."""
    device = DEVICES[number]
    while True:
        while device.work():
            pace(_PACKET_COST)
        if device.lacks_memory:
            device.queue.pause(_PAUSE_NS)
        elif not device.has_work:
            device.queue.sleep(interruptible=False)


def start(transport: Transport) -> None:
    """Bring a device up. Raises Errno if it is unusable, MemoryError."""
    if len(DEVICES) > 0:
        raise Errno(ENOSPC)
    transport.negotiate(WANTED)
    device = VirtioVsock(transport)
    DEVICES.append(device)
    TRANSPORTS.guest = device
    spawn_kernel_thread(b"virtio-vsock", _serve, 0)
    log.info(f"virtio {transport.name}: sockets to the host, context {device.cid()}")
