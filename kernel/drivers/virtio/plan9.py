"""virtio-9p: messages to a server of files at the host (kernel/fs/plan9).

The device has one queue. A request is a chain of two buffers: the message, and room for the answer. The name by which
mount(2) finds the server is in the device's configuration.

A device that breaks the rules is reset, so that it touches no memory any more; from then on everything fails with EIO.

Context: `transact` sleeps; the interrupts only wake. Source: Virtual I/O Device (VIRTIO) Version 1.2, chapter 5, which
has only the device's number; the rest follows QEMU's device and Linux's driver.
"""

from typing import Final

from kernel.drivers.platform.window import bus_address
from kernel.drivers.virtio.ring import NOTHING, Chain, SplitQueue
from kernel.drivers.virtio.transport import RING_FEATURES, DeviceEvents, Transport
from kernel.fs.plan9.channel import CHANNELS, Channel
from kernel.lang import EEXIST, EINVAL, EIO, Errno, Span, final, u8
from kernel.lib import log
from kernel.sched import WaitQueue

F_MOUNT_TAG: Final = 1 << 0
WANTED: Final = F_MOUNT_TAG | RING_FEATURES
CONFIG_TAG_LENGTH: Final = 0
CONFIG_TAG: Final = 2
QUEUE: Final = 0
QUEUE_SIZE: Final = 16
_TAG_LIMIT: Final = 64
_LARGEST_BUFFER: Final = 1 << 20
_UNDER_WAY: Final = -1


@final
class _Pending:
    """A request that the device has."""

    def __init__(self) -> None:
        self.length: int = _UNDER_WAY  # of the answer, as the device claims it


@final
class VirtioChannel(Channel):
    """One device. The transport has agreed on features. Raises ENODEV, MemoryError."""

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self._transport: Transport = transport
        self._waiters: WaitQueue = WaitQueue()
        self._queue: SplitQueue = transport.make_queue(QUEUE, QUEUE_SIZE)
        self._pending: list[_Pending | None] = [None] * self._queue.size  # by head
        self._chain: Chain = Chain(2, _LARGEST_BUFFER)
        self._is_dead: bool = False
        transport.connect(_ChannelEvents(self), 1)
        transport.set_queue(QUEUE, self._queue)
        transport.start()

    def wake(self) -> None:
        """The device may have answered. May be called from interrupts."""
        self._waiters.wake_all()

    def transact(self, request: Span[u8], reply: Span[u8]) -> int:
        pending = _Pending()
        self._send(request, reply, pending)
        while pending.length == _UNDER_WAY:
            self._collect()
            if self._is_dead:
                raise Errno(EIO)
            if pending.length == _UNDER_WAY and self._queue.request_interrupt():
                self._waiters.sleep(interruptible=False)
        if pending.length > len(reply):
            self._die()
            raise Errno(EIO)
        return pending.length

    def _send(self, request: Span[u8], reply: Span[u8], pending: "_Pending") -> None:
        """Give a request to the device, once there is room."""
        while not self._is_dead:
            chain = self._chain
            chain.clear()
            chain.add(bus_address(request), len(request), device_writes=False)
            chain.add(bus_address(reply), len(reply), device_writes=True)
            head = self._queue.add(chain)
            if head != NOTHING:
                self._pending[head] = pending
                if self._queue.publish():
                    self._transport.notify(QUEUE)
                return
            taken = self._queue.in_flight_count()
            if taken == 0:
                break  # a queue that is too small for one request
            self._collect()
            # If something came back there is room, and perhaps nothing left that could wake this thread.
            if self._queue.in_flight_count() == taken and self._queue.request_interrupt():
                self._waiters.sleep(interruptible=False)
        raise Errno(EIO)

    def _collect(self) -> None:
        """Take answers back, and wake their waiting threads."""
        head = self._queue.take()
        while head != NOTHING:
            pending = self._pending[head]
            self._pending[head] = None
            if pending is not None:
                pending.length = self._queue.used_length
            self._waiters.wake_all()
            head = self._queue.take()
        if self._queue.is_broken:
            self._die()

    def _die(self) -> None:
        """The device is broken: stop it."""
        if self._is_dead:
            return
        self._is_dead = True
        log.error("virtio-9p: the device breaks the rules and is switched off")
        try:
            self._transport.reset()
        except Errno:
            log.error("virtio-9p: it does not stop")
        self._waiters.wake_all()


@final
class _ChannelEvents(DeviceEvents):
    """The interrupts of one device."""

    def __init__(self, channel: VirtioChannel) -> None:
        self.channel: VirtioChannel = channel

    def queue_used(self, queue: int) -> None:
        self.channel.wake()


def start(transport: Transport) -> None:
    """Bring a device up and let mount(2) find it. Raises Errno if it is unusable, MemoryError."""
    transport.negotiate(WANTED)
    tag = _tag_of(transport)
    if tag in CHANNELS:
        transport.give_up()
        raise Errno(EEXIST)
    CHANNELS[tag] = VirtioChannel(transport)
    log.info(f"virtio {transport.name}: 9p server {log.printable(tag)}")


def _tag_of(transport: Transport) -> bytes:
    """Raises EINVAL."""
    length = transport.configuration_u16(CONFIG_TAG_LENGTH) if transport.has(F_MOUNT_TAG) else 0
    if not 0 < length <= _TAG_LIMIT:
        transport.give_up()
        raise Errno(EINVAL)
    tag = bytearray()
    for i in range(length):
        tag.append(transport.configuration_u8(CONFIG_TAG + i))
    return bytes(tag)
