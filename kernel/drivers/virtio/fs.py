"""virtio-fs: file systems that the host serves with FUSE's messages (kernel/fs/fuse).

Queue 0 is for messages without an answer (FORGET), queue 1 for requests. A request is a chain: the message, the data of
WRITE, and room for the answer's header and the answer. The memory of a request stays with the device until it returns
it, even if the waiting thread has gone.

The requesting thread hands a request to the device; a kernel thread takes answers back. A device that breaks the
rules is reset, so that it touches no memory any more, and the file system ends with ENOTCONN.

Context: `wake` and the interrupts never sleep. Source: Virtual I/O Device (VIRTIO) Version 1.2, chapter 5.11.
"""

from typing import Final

from kernel.drivers.platform.window import bus_address
from kernel.drivers.virtio.ring import NOTHING, Chain, SplitQueue
from kernel.drivers.virtio.transport import RING_FEATURES, DeviceEvents, Transport
from kernel.fs.fuse.connection import Connection
from kernel.fs.fuse.device import forget_message
from kernel.fs.fuse.protocol import LOWEST_ERROR, OUT_HEADER_SIZE
from kernel.fs.fuse.request import Request
from kernel.fs.fuse.virtiofs import SERVERS, HostServer
from kernel.lang import EEXIST, EINVAL, EIO, ENODEV, Errno, final, noraise, span_of
from kernel.lib import log
from kernel.sched import WaitQueue, spawn_kernel_thread

CONFIG_TAG: Final = 0
TAG_SIZE: Final = 36
CONFIG_REQUEST_QUEUES: Final = 36
FORGET_QUEUE: Final = 0
REQUEST_QUEUE: Final = 1
QUEUE_COUNT: Final = 2
QUEUE_SIZE: Final = 64
_PIECES: Final = 4  # of a request at most
_LARGEST_BUFFER: Final = 1 << 20
_FORGOTTEN_AT_ONCE: Final = 64
_RETRY_NS: Final = 50_000_000  # until a retry after lack of memory


@final
class _Pending:
    """A request that the device has, with all of its memory."""

    def __init__(self, request: Request, connection: Connection) -> None:
        self.request: Request = request
        self.connection: Connection = connection
        self.message: bytearray = request.message
        self.payload: bytearray | None = request.payload
        self.header: bytearray = bytearray(OUT_HEADER_SIZE)
        self.answer: bytearray = bytearray(request.answer_limit)


@final
class VirtioServer(HostServer):
    """One device. The transport has agreed on features. Raises ENODEV, MemoryError."""

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self._transport: Transport = transport
        self._forgetting: SplitQueue = transport.make_queue(FORGET_QUEUE, QUEUE_SIZE)
        self._requests: SplitQueue = transport.make_queue(REQUEST_QUEUE, QUEUE_SIZE)
        if self._requests.size < _PIECES:
            transport.give_up()
            raise Errno(ENODEV)
        self._messages: list[bytearray | None] = [None] * self._forgetting.size  # by head
        self._pending: list[_Pending | None] = [None] * self._requests.size  # by head
        self._chain: Chain = Chain(_PIECES, _LARGEST_BUFFER)
        self._is_dead: bool = False
        self.used: WaitQueue = WaitQueue()  # where the kernel thread waits
        transport.connect(_ServerEvents(self), QUEUE_COUNT)
        transport.set_queue(FORGET_QUEUE, self._forgetting)
        transport.set_queue(REQUEST_QUEUE, self._requests)
        transport.start()

    def is_broken(self) -> bool:
        return self._is_dead

    # ---- To the device ----------------------------------------------------------------------------------------

    @noraise
    def wake(self) -> None:
        """Hand over as many requests as there is room for. What lacks memory now, the thread hands over later."""
        connection = self.connection
        if connection is None or self._is_dead or not connection.is_connected:
            return
        try:
            while connection.next_interrupt() != 0:
                pass  # the device knows no INTERRUPT
            self._send_forgotten(connection)
            self._send_requests(connection)
        except MemoryError:
            log.debug("virtio-fs: no memory to send a request")
            self.used.wake_all()

    @noraise
    def wake_later(self) -> None:
        self.used.wake_all()

    def _send_forgotten(self, connection: Connection) -> None:
        """Raises MemoryError; then the server keeps some nodes longer."""
        while self._forgetting.free_count > 0:
            first = connection.take_forgotten(_FORGOTTEN_AT_ONCE)
            if first is None:
                break
            message = forget_message(first)
            head = self._forgetting.add_buffer(bus_address(span_of(message)), len(message), device_writes=False)
            if head == NOTHING:
                break
            self._messages[head] = message
        if self._forgetting.publish():
            self._transport.notify(FORGET_QUEUE)

    def _send_requests(self, connection: Connection) -> None:
        """Raises MemoryError; then the request is still the next one."""
        try:
            while self._requests.free_count >= _PIECES:
                request = connection.next_request(self)
                if request is None:
                    break
                done = False
                try:
                    done = self._send(_Pending(request, connection))
                finally:
                    if not done:
                        connection.give_back(request)
                if not done:
                    break
        finally:
            if self._requests.publish():
                self._transport.notify(REQUEST_QUEUE)

    def _send(self, pending: _Pending) -> bool:
        chain = self._chain
        chain.clear()
        chain.add(bus_address(span_of(pending.message)), len(pending.message), device_writes=False)
        payload = pending.payload
        if payload is not None:
            chain.add(bus_address(span_of(payload)), len(payload), device_writes=False)
        chain.add(bus_address(span_of(pending.header)), OUT_HEADER_SIZE, device_writes=True)
        if len(pending.answer) > 0:
            chain.add(bus_address(span_of(pending.answer)), len(pending.answer), device_writes=True)
        head = self._requests.add(chain)
        if head == NOTHING:
            return False
        self._pending[head] = pending
        return True

    # ---- From the device --------------------------------------------------------------------------------------

    def attend(self) -> None:
        """Take answers back until there are none, and hand over what waits for room. After that an interrupt will
        report more.
        """
        while not self._is_dead:
            self._collect()
            self.wake()
            if self._requests.request_interrupt() and self._forgetting.request_interrupt():
                return

    def wait(self) -> None:
        """Sleep until there may be work: the device has used something, or a request that lacked memory may be retried,
        which no interrupt reports. (If there was room for it, it lacked memory.)
        """
        connection = self.connection
        is_stuck = (
            connection is not None and connection.is_connected and connection.has_requests() and not self._is_dead
            and self._requests.free_count >= _PIECES
        )  # fmt: skip
        if is_stuck:
            self.used.pause(_RETRY_NS)
        else:
            self.used.sleep(interruptible=False)

    def _collect(self) -> None:
        head = self._requests.take()
        while head != NOTHING:
            pending = self._pending[head]
            self._pending[head] = None
            if pending is not None and not self._accept(pending, self._requests.used_length):
                self._die()
                return
            head = self._requests.take()
        head = self._forgetting.take()
        while head != NOTHING:
            self._messages[head] = None
            head = self._forgetting.take()
        if self._requests.is_broken or self._forgetting.is_broken:
            self._die()

    def _accept(self, pending: _Pending, length: int) -> bool:
        """Deliver an answer to its waiting thread; False if it is invalid."""
        request = pending.request
        header = span_of(pending.header)
        if not OUT_HEADER_SIZE <= length <= OUT_HEADER_SIZE + len(pending.answer) or header.load_u32(0) != length:
            return False
        word = header.load_u32(4)
        error = word - (1 << 32) if word >= 1 << 31 else word
        if error > 0 or error < LOWEST_ERROR or (error != 0 and length != OUT_HEADER_SIZE):
            return False
        if header.load_u32(8) != request.unique & 0xFFFF_FFFF or header.load_u32(12) != request.unique >> 32:
            return False
        if error == 0:
            request.answer = pending.answer
            request.answer_length = length - OUT_HEADER_SIZE
            if not request.accepts(request.answer_length):
                error = -EIO
        pending.connection.finish(request, -error)
        return True

    def _die(self) -> None:
        """The device is broken: stop it."""
        if self._is_dead:
            return
        self._is_dead = True
        log.error("virtio-fs: the device breaks the rules and is switched off")
        try:
            self._transport.reset()
        except Errno:
            log.error("virtio-fs: it does not stop")
        connection = self.connection
        if connection is not None:
            connection.abort()


@final
class _ServerEvents(DeviceEvents):
    """The interrupts of one device."""

    def __init__(self, server: VirtioServer) -> None:
        self.server: VirtioServer = server

    def queue_used(self, queue: int) -> None:
        self.server.used.wake_all()


_DEVICES: Final[list[VirtioServer]] = []


def _attend_forever(number: int) -> None:
    server = _DEVICES[number]
    while True:
        server.attend()
        server.wait()


def start(transport: Transport) -> None:
    """Bring up a device and let mount(2) find it. Raises Errno if it is unusable, MemoryError."""
    transport.negotiate(RING_FEATURES)
    tag = _tag_of(transport)
    if tag in SERVERS:
        transport.give_up()
        raise Errno(EEXIST)
    server = VirtioServer(transport)
    _DEVICES.append(server)
    spawn_kernel_thread(b"virtio-fs", _attend_forever, len(_DEVICES) - 1)
    SERVERS[tag] = server
    log.info(f"virtio {transport.name}: file system {log.printable(tag)}")


def _tag_of(transport: Transport) -> bytes:
    """Raises EINVAL."""
    tag = bytearray()
    for i in range(TAG_SIZE):
        byte = transport.configuration_u8(CONFIG_TAG + i)
        if byte == 0:
            break
        tag.append(byte)
    if len(tag) == 0 or transport.configuration_u32(CONFIG_REQUEST_QUEUES) == 0:
        transport.give_up()
        raise Errno(EINVAL)
    return bytes(tag)
