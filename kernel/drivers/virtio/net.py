"""virtio-net: a network card, registered as eth0, eth1, ….

Receiving: the device has buffers, each the storage of a packet. A frame that fills much of one goes up the stack as it
is, and a fresh buffer takes its place; short frames, and those that the device spread over several buffers, are copied
and their buffers reused at once. So memory is bounded; a frame for which there is none is dropped and its buffer
reused.

Buffers are small, a full frame of the wire each, and fill the whole queue. While the device coalesces segments, so that
frames are large on average, it gets a few large buffers instead: a frame is then contiguous, and needs no copy. The
storage of a large buffer returns when the program has read it.

An interrupt only stops further ones and schedules the network thread, which polls: it takes received frames, a share at
a time, and requests an interrupt when it finds no more. Under load there are no interrupts.

Checksums and TCP segmentation are left to the device where it offers that, in both directions. Sending
is in `net_sending.py`.

The control queue is not used: without it a device passes everything on, so no filter is needed.

Context: interrupts, and the network thread. Nothing sleeps.
Source: Virtual I/O Device (VIRTIO) Version 1.2, 5.1 (network device).
"""

from typing import Final

from kernel.drivers.platform.window import bus_address
from kernel.drivers.virtio.net_header import (
    DATA_VALID,
    GSO_ECN,
    GSO_TCP4,
    GSO_TCP6,
    HEADER_BUFFERS,
    HEADER_CHECKSUM_OFFSET,
    HEADER_CHECKSUM_START,
    HEADER_FLAGS,
    HEADER_GSO_SIZE,
    HEADER_GSO_TYPE,
    HEADER_SIZE,
    NEEDS_CHECKSUM,
)
from kernel.drivers.virtio.net_sending import QUEUE_SIZE as TRANSMIT_SIZE
from kernel.drivers.virtio.net_sending import TRANSMIT_QUEUE, Transmitter
from kernel.drivers.virtio.ring import NOTHING, SplitQueue
from kernel.drivers.virtio.transport import RING_FEATURES, DeviceEvents, Transport
from kernel.lang import Errno, final, span_of
from kernel.lib import log, random
from kernel.lib.pace import PACE
from kernel.net.internet.coalesce import Coalescer
from kernel.net.link.device import (
    ARPHRD_ETHER,
    IFF_BROADCAST,
    IFF_MULTICAST,
    OFFLOAD_CHECKSUM,
    OFFLOAD_GATHER,
    OFFLOAD_TCP4,
    OFFLOAD_TCP6,
    NetworkDevice,
    register_device,
    set_carrier,
)
from kernel.net.link.ethernet import ETHERNET_HEADER
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import CHECKSUM_VERIFIED, Packet, StoragePool
from kernel.net.link.thread import Work, schedule_work

F_CHECKSUM: Final = 1 << 0
F_GUEST_CHECKSUM: Final = 1 << 1
F_MTU: Final = 1 << 3
F_MAC: Final = 1 << 5
F_GUEST_TSO4: Final = 1 << 7
F_GUEST_TSO6: Final = 1 << 8
F_HOST_TSO4: Final = 1 << 11
F_HOST_TSO6: Final = 1 << 12
F_MERGEABLE: Final = 1 << 15
F_STATUS: Final = 1 << 16
# Frames larger than a buffer come only when the device may spread them.
LARGE_RECEIVE: Final = F_GUEST_TSO4 | F_GUEST_TSO6
WANTED: Final = (
    F_CHECKSUM | F_GUEST_CHECKSUM | F_MTU | F_MAC | F_HOST_TSO4 | F_HOST_TSO6 | F_MERGEABLE | F_STATUS | RING_FEATURES
)

# The device's configuration.
CONFIG_MAC: Final = 0
CONFIG_STATUS: Final = 6
CONFIG_MTU: Final = 10
STATUS_LINK_UP: Final = 1

RECEIVE_QUEUE: Final = 0
QUEUE_SIZE: Final = 256

DEFAULT_MTU: Final = 1500
SMALLEST_MTU: Final = 68  # RFC 791
_VLAN_TAG: Final = 4

# A receive buffer: two bytes that make the IP header lie on a word's boundary, the virtio header, the frame.
BUFFER_START: Final = 2
FRAME_START: Final = BUFFER_START + HEADER_SIZE
COPY_LIMIT: Final = 256  # frames up to this are copied, so that they do not hold a whole buffer
# Large buffers: with its overhead one takes 64 KiB, and the longest run of full segments fits in.
LARGE_CAPACITY: Final = 65_536 - 256 - FRAME_START
LARGE_COUNT: Final = 16  # held by the device
SPARE_COUNT: Final = 16  # … and kept for reuse
LARGE_ABOVE: Final = 8192  # frames of this size on average are worth large buffers
SMALL_BELOW: Final = 2048
LARGEST_FRAME: Final = 65_535 + ETHERNET_HEADER + _VLAN_TAG
POLL_SHARE: Final = 64  # frames taken in one turn of the network thread


@final
class VirtioNetworkDevice(NetworkDevice):
    """One card. The transport has agreed on features."""

    def __init__(self, transport: Transport, address: bytes, mtu: int) -> None:
        super().__init__(FIRST_NETWORK, b"eth%d", ARPHRD_ETHER, address, mtu)
        self.flags = IFF_BROADCAST | IFF_MULTICAST
        self.is_hardware = True
        self.place = transport.place
        self._transport: Transport = transport
        self._is_dead: bool = False
        self._link_may_differ: bool = False
        if transport.has(F_CHECKSUM):
            self.offload |= OFFLOAD_CHECKSUM
            if transport.has(F_HOST_TSO4):
                self.offload |= OFFLOAD_TCP4
            if transport.has(F_HOST_TSO6):
                self.offload |= OFFLOAD_TCP6
        self._buffer_size: int = HEADER_SIZE + ETHERNET_HEADER + _VLAN_TAG + DEFAULT_MTU
        self._is_mergeable: bool = transport.has(F_MERGEABLE)
        if not self._is_mergeable:
            self._buffer_size += max(0, mtu - DEFAULT_MTU)
        self._coalescer: Coalescer = Coalescer()
        self._receiving: SplitQueue = transport.make_queue(RECEIVE_QUEUE, QUEUE_SIZE)
        sending = transport.make_queue(TRANSMIT_QUEUE, TRANSMIT_SIZE)
        self._buffers: list[Packet | None] = [None] * self._receiving.size
        self._large_count: int = 0  # of these
        self._wants_large: bool = False
        self._average: int = 0  # of the sizes of frames, the latest weigh most
        self._spare: StoragePool = StoragePool(SPARE_COUNT)
        self._work: PollWork = PollWork(self)
        self._transmitter: Transmitter = Transmitter(self, transport, self._work, sending)
        if self._transmitter.takes_two_places():
            self.offload |= OFFLOAD_GATHER
        transport.connect(_CardEvents(self._work), 2)
        transport.set_queue(RECEIVE_QUEUE, self._receiving)
        self._transmitter.set_up()
        transport.start()
        self.has_carrier = self._link_is_up()

    def _link_is_up(self) -> bool:
        if not self._transport.has(F_STATUS):
            return True
        return self._transport.configuration_u16(CONFIG_STATUS) & STATUS_LINK_UP != 0

    # Receiving -------------------------------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Give the device all the buffers that it has room for. It also works with fewer."""
        if not self._refill():
            log.warn("virtio-net: not enough memory for all receive buffers")
        self._publish_buffers()
        schedule_work(self._work)

    def _refill(self) -> bool:
        """Give the device the intended number of buffers. False: there is no memory for all of them."""
        try:
            while self._receiving.free_count > 0 and not self._has_enough():
                self._give_buffer(self._fresh_buffer())
        except MemoryError:
            return False
        return True

    def _has_enough(self) -> bool:
        """Whether the device has the intended number of large buffers."""
        return self._wants_large and self._large_count >= LARGE_COUNT

    def _fresh_buffer(self) -> Packet:
        """A buffer of the kind that is wanted. Raises MemoryError."""
        if not self._wants_large:
            return Packet(self._buffer_size - HEADER_SIZE, FRAME_START)
        storage = self._spare.take()
        packet = Packet(LARGE_CAPACITY, FRAME_START) if storage is None else Packet(0, FRAME_START, storage)
        packet.pool = self._spare
        return packet

    def _give_buffer(self, packet: Packet) -> None:
        """Let the device fill a buffer, for which there is room."""
        data = span_of(packet.storage)[BUFFER_START:]
        head = self._receiving.add_buffer(bus_address(data), len(data), device_writes=True)
        assert head != NOTHING
        self._buffers[head] = packet
        if packet.pool is not None:
            self._large_count += 1

    def _take_buffer(self, head: int) -> Packet | None:
        """The buffer that the device has filled; None if there is none at this head."""
        buffer = self._buffers[head]
        self._buffers[head] = None
        if buffer is not None and buffer.pool is not None:
            self._large_count -= 1
        return buffer

    def _use_again(self, buffer: Packet) -> None:
        """Reuse a buffer whose contents were copied or dropped. A buffer of the other kind replaces it if that is
        wanted by now.
        """
        is_large = buffer.pool is not None
        if is_large != self._wants_large:
            if self._has_enough():
                return
            try:
                other = self._fresh_buffer()
            except MemoryError:
                other = buffer
            if other is not buffer:
                buffer.recycle()
            buffer = other
        self._give_buffer(buffer)

    def _note_size(self, size: int) -> None:
        """A frame of this size came."""
        self._average += (size - self._average) >> 3
        if not self._is_mergeable:
            return
        if self._average > LARGE_ABOVE:
            self._wants_large = True
        elif self._average < SMALL_BELOW:
            self._wants_large = False

    def _publish_buffers(self) -> None:
        if self._receiving.publish():
            self._transport.notify(RECEIVE_QUEUE)

    def stop_receive_interrupts(self) -> None:
        """Stop receive interrupts: the thread polls from now on."""
        self._receiving.suppress_interrupts()

    def look_at_link(self) -> None:
        """The next poll asks whether there is a carrier."""
        self._link_may_differ = True

    def poll(self) -> None:
        """In the network thread: take a share of the received frames, free what was sent, check the link. Raises
        MemoryError while the device has no buffer at all.
        """
        if self._is_dead:
            return
        has_more = self._receive_share()
        self._coalescer.flush()
        self._transmitter.go_on()
        if self._link_may_differ:
            self._link_may_differ = False
            set_carrier(self, self._link_is_up())
        if self._receiving.is_broken or self._transmitter.is_broken():
            self._die()
        elif has_more:
            schedule_work(self._work)
        elif self._receiving.in_flight_count() == 0:
            raise MemoryError  # without buffers there are no interrupts: the thread must try again

    def _receive_share(self) -> bool:
        """Whether there is more to receive. If not, an interrupt will report it."""
        queue = self._receiving
        for _ in range(POLL_SHARE):
            if PACE.left < 0:
                break  # a firewall may spend much time on each
            head = queue.take()
            if head == NOTHING:
                self._refill()
                self._publish_buffers()
                if queue.is_broken or queue.request_interrupt():
                    return False
                continue
            packet = self._receive(head)
            if packet is not None:
                packet.device = self
                self._note_size(len(packet))
                self._coalescer.receive(packet)
        self._refill()
        self._publish_buffers()
        return True

    def _receive(self, head: int) -> Packet | None:
        """The frame that begins in a used buffer; None if it is invalid, or there is no memory for it."""
        buffer = self._take_buffer(head)
        if buffer is None:
            return None
        header = span_of(buffer.storage)[BUFFER_START:FRAME_START]
        size = self._receiving.used_length - HEADER_SIZE
        capacity = len(buffer.storage) - FRAME_START
        more = header.load_u16(HEADER_BUFFERS) - 1 if self._is_mergeable else 0
        if size < ETHERNET_HEADER or size > capacity:
            self.traffic.received_errors += 1
            self._use_again(buffer)
            self._skip(more)
            return None
        packet: Packet | None = None
        try:
            if more > 0:
                packet = self._gather(buffer, size, more)
            elif size <= COPY_LIMIT or (buffer.pool is not None and 2 * size <= capacity):
                packet = Packet(size)
                packet.put(size).copy_from(span_of(buffer.storage)[FRAME_START : FRAME_START + size])
            else:
                if not self._has_enough():
                    self._give_buffer(self._fresh_buffer())
                buffer.put(size)
                self._note_offload(buffer, buffer)
                return buffer
        except MemoryError:
            self.traffic.received_dropped += 1
        if packet is not None:
            self._note_offload(buffer, packet)
        self._use_again(buffer)
        return packet

    def _gather(self, first: Packet, size: int, more: int) -> Packet | None:
        """A frame that the device spread over several buffers, in one piece. Raises MemoryError."""
        try:
            has_large = first.pool is not None or self._large_count > 0
            packet = Packet(LARGEST_FRAME if has_large else min(size + more * self._buffer_size, LARGEST_FRAME))
        except MemoryError:
            self._skip(more)
            raise
        packet.put(size).copy_from(span_of(first.storage)[FRAME_START : FRAME_START + size])
        for done in range(more):
            head = self._receiving.take()
            buffer = self._take_buffer(head) if head != NOTHING else None
            if buffer is None:  # it announced more buffers than it used
                self._receiving.is_broken = True
                return None
            length = self._receiving.used_length
            if length > len(buffer.storage) - BUFFER_START or length > packet.tailroom():
                self.traffic.received_errors += 1
                self._use_again(buffer)
                self._skip(more - done - 1)
                return None
            packet.put(length).copy_from(span_of(buffer.storage)[BUFFER_START : BUFFER_START + length])
            self._use_again(buffer)
        return packet

    def _skip(self, count: int) -> None:
        """Reuse the remaining buffers of a frame that is dropped."""
        for _ in range(count):
            head = self._receiving.take()
            buffer = self._take_buffer(head) if head != NOTHING else None
            if buffer is None:
                self._receiving.is_broken = True
                return
            self._use_again(buffer)

    def _note_offload(self, buffer: Packet, packet: Packet) -> None:
        """Record what the header says about the checksum and the coalesced segments. A frame with a partial checksum
        comes from the same host: nothing can have changed the data, but the checksum must be completed where the packet
        is forwarded.
        """
        header = span_of(buffer.storage)[BUFFER_START:FRAME_START]
        flags = header[HEADER_FLAGS] if self._transport.has(F_GUEST_CHECKSUM) else 0
        if flags & NEEDS_CHECKSUM != 0:
            start = header.load_u16(HEADER_CHECKSUM_START)
            offset = header.load_u16(HEADER_CHECKSUM_OFFSET)
            if offset != 0 and start + offset + 2 <= len(packet):
                packet.checksum = CHECKSUM_VERIFIED
                packet.checksum_start = packet.start + start
                packet.checksum_offset = offset
        elif flags & DATA_VALID != 0:
            packet.checksum = CHECKSUM_VERIFIED
        kind = header[HEADER_GSO_TYPE] & ~GSO_ECN
        if kind == GSO_TCP4 or kind == GSO_TCP6:
            packet.segment_size = header.load_u16(HEADER_GSO_SIZE)

    # Sending ---------------------------------------------------------------------------------------------------------

    def transmit(self, packet: Packet) -> bool:
        return not self._is_dead and self._transmitter.transmit(packet)

    # The end ---------------------------------------------------------------------------------------------------------

    def _die(self) -> None:
        """The device is broken: stop it. The interface stays, without a carrier."""
        self._is_dead = True
        set_carrier(self, has_carrier=False)
        log.error("virtio-net: the network card breaks the rules and is switched off")
        try:
            self._transport.reset()
        except Errno:
            log.error("virtio-net: it does not stop")
            return  # it may still use the buffers
        for i in range(len(self._buffers)):
            self._buffers[i] = None
        self._transmitter.forget()


@final
class PollWork(Work):
    """A card's work in the network thread."""

    def __init__(self, device: VirtioNetworkDevice) -> None:
        super().__init__()
        self.device: VirtioNetworkDevice = device

    def run(self, now_ns: int) -> None:
        self.device.poll()


@final
class _CardEvents(DeviceEvents):
    """The interrupts of one card."""

    def __init__(self, work: PollWork) -> None:
        self.work: PollWork = work

    def queue_used(self, queue: int) -> None:
        if queue == RECEIVE_QUEUE:
            self.work.device.stop_receive_interrupts()
        schedule_work(self.work)

    def configuration_changed(self) -> None:
        self.work.device.look_at_link()
        schedule_work(self.work)


def start(transport: Transport) -> None:
    """Bring up a card and register it. Raises Errno if it is unusable, MemoryError."""
    transport.negotiate(WANTED | LARGE_RECEIVE)
    if transport.has(LARGE_RECEIVE) and not (transport.has(F_MERGEABLE) and transport.has(F_GUEST_CHECKSUM)):
        transport.negotiate(WANTED)
    mtu = DEFAULT_MTU
    if transport.has(F_MTU):
        offered = transport.configuration_u16(CONFIG_MTU)
        mtu = offered if offered >= SMALLEST_MTU else DEFAULT_MTU
    device = VirtioNetworkDevice(transport, _address(transport), mtu)
    register_device(device)
    log.info(f"virtio {transport.name}: network card {device.name.decode()}, MTU {mtu}")


def _address(transport: Transport) -> bytes:
    """The card's own address; a random one, locally administered, where it has none or a multicast one."""
    address = bytearray(6)
    if transport.has(F_MAC):
        for i in range(6):
            address[i] = transport.configuration_u8(CONFIG_MAC + i)
        if address[0] & 1 == 0:
            return bytes(address)
    random.fill(span_of(address))
    address[0] = address[0] & 0xFC | 2
    return bytes(address)
