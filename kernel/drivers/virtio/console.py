"""virtio-console: streams between programs of the guest and of the host, each a port (port.py).

Messages on a pair of control queues announce, name and remove ports; a kernel thread handles them, because this may
allocate. The thread also tells the device which ports are ready and which are open in the guest. It compares what was
sent to the device with the present state, so that opening and closing never wait for room on the queue, and it sends a
few messages at a time: QEMU drops its answers where it finds no buffer for them.

A device without multiple ports has one, with number 0, which exists from the start.

A device that breaks the rules is reset, so that it touches no memory any more, and its ports are gone: reads and writes
end with ENODEV. Messages that make no sense (other ports, unknown events, names that are too long) are ignored.

Context: the interrupts only wake. Source: Virtual I/O Device (VIRTIO) Version 1.2, 5.3 (console device).
"""

from typing import Final

from kernel.drivers.platform.window import Window, frame_window
from kernel.drivers.virtio.port import Port, PortFile
from kernel.drivers.virtio.ring import NOTHING, SplitQueue
from kernel.drivers.virtio.transport import RING_FEATURES, DeviceEvents, Transport
from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import EBUSY, ENODEV, ENOSPC, ENXIO, Errno, final
from kernel.lib import log
from kernel.lib.pace import pace
from kernel.mm.frames import allocate_zeroed_frame
from kernel.sched import WaitQueue, spawn_kernel_thread

MAJOR: Final = 242
MINORS: Final = 32  # of one device: more ports are not used
DEVICE_LIMIT: Final = 8

F_MULTIPORT: Final = 1 << 1
WANTED: Final = F_MULTIPORT | RING_FEATURES

CONFIG_PORT_COUNT: Final = 4

# Queues: two of port 0, two for control, two of each further port.
CONTROL_RECEIVE: Final = 2
CONTROL_SEND: Final = 3

# A control message.
MESSAGE_PORT: Final = 0
MESSAGE_EVENT: Final = 4
MESSAGE_VALUE: Final = 6
MESSAGE_SIZE: Final = 8
EVENT_DEVICE_READY: Final = 0
EVENT_PORT_ADD: Final = 1
EVENT_PORT_REMOVE: Final = 2
EVENT_PORT_READY: Final = 3
EVENT_CONSOLE: Final = 4
EVENT_PORT_OPEN: Final = 6
EVENT_PORT_NAME: Final = 7

BUFFER_SIZE: Final = 128  # for an incoming message, perhaps with a name: a frame holds 32 of them
RECEIVE_LIMIT: Final = 32
SEND_LIMIT: Final = 8  # messages under way
_MESSAGE_COST: Final = 2000  # instructions
_PAUSE_NS: Final = 10_000_000  # when there was no memory


def receive_index(port: int) -> int:
    """The queue of a port's input; the next one is for its output."""
    return 0 if port == 0 else 2 * port + 2


@final
class VirtioConsole:
    """One device. The transport has agreed on features. Raises ENODEV, MemoryError."""

    def __init__(self, transport: Transport, number: int) -> None:
        self.number: int = number
        self.is_dead: bool = False
        self.queue: WaitQueue = WaitQueue()  # where the thread sleeps
        self.has_work: bool = True
        self._transport: Transport = transport
        self._must_die: bool = False
        self._told_ready: bool = False
        self._has_control: bool = transport.has(F_MULTIPORT)
        count = 1
        if self._has_control:
            count = max(1, min(transport.configuration_u32(CONFIG_PORT_COUNT), MINORS))
        self.ports: list[Port] = []
        self._is_known: list[bool] = [False] * count  # has a node in /dev
        self._receiving: SplitQueue | None = None
        self._sending: SplitQueue | None = None
        self._received: Window = frame_window(allocate_zeroed_frame())
        self._sent: Window = frame_window(allocate_zeroed_frame())
        self._kept: int = NOTHING  # the head of a message for which there was no memory
        if self._has_control:
            self._receiving = transport.make_queue(CONTROL_RECEIVE, RECEIVE_LIMIT)
            self._sending = transport.make_queue(CONTROL_SEND, SEND_LIMIT)
        for i in range(count):
            self.ports.append(Port(self, transport, i, receive_index(i), receive_index(i) + 1))
        queues = 2 * count + 2 if self._has_control else 2
        transport.connect(_ConsoleEvents(self), queues)
        self.ports[0].set_up()
        receiving = self._receiving
        sending = self._sending
        if receiving is not None and sending is not None:
            transport.set_queue(CONTROL_RECEIVE, receiving)
            transport.set_queue(CONTROL_SEND, sending)
            for i in range(1, count):
                self.ports[i].set_up()
            while receiving.free_count > 0:
                self._give_buffer(receiving)
        transport.start()
        if receiving is None:
            self._port_added(self.ports[0])
            self.ports[0].host_open = True
        elif receiving.publish():
            transport.notify(CONTROL_RECEIVE)

    # What others tell -------------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """There may be work for the thread. May be called from interrupts."""
        self.has_work = True
        self.queue.wake_all()

    def fail(self) -> None:
        """The device is broken: make the thread stop it."""
        if not self.is_dead:
            self._must_die = True
            self.changed()

    def queue_used(self, queue: int) -> None:
        """The device may have used buffers of a queue. May be called from interrupts."""
        if self._has_control and (queue == CONTROL_RECEIVE or queue == CONTROL_SEND):
            self.changed()
            return
        number = queue // 2 if queue < CONTROL_RECEIVE else queue // 2 - 1
        if number < len(self.ports):
            port = self.ports[number]
            if queue & 1 == 0:
                port.read_queue.wake_all()
            else:
                port.write_queue.wake_all()

    # The thread -------------------------------------------------------------------------------------------------------

    def work(self) -> bool:
        """Do the pending work; returns whether there was any. Raises MemoryError: the message that needs memory is then
        still the next one, and no interrupt will report it again.
        """
        self.has_work = False
        if self.is_dead:
            return False
        is_busy = self._handle_messages()
        is_busy = self._tell_device() or is_busy
        receiving = self._receiving
        sending = self._sending
        if receiving is not None and sending is not None:
            self._must_die = self._must_die or receiving.is_broken or sending.is_broken
        if self._must_die:
            self._die()
        return is_busy or self.has_work

    def _handle_messages(self) -> bool:
        receiving = self._receiving
        if receiving is None:
            return False
        count = 0
        head = self._kept if self._kept != NOTHING else receiving.take()
        while head != NOTHING:
            self._kept = head
            self._handle(head * BUFFER_SIZE, receiving.used_length)
            self._kept = NOTHING
            self._give_buffer(receiving)
            count += 1
            pace(_MESSAGE_COST)
            head = receiving.take()
        if receiving.publish():
            self._transport.notify(CONTROL_RECEIVE)
        return count > 0 or not receiving.request_interrupt()

    def _give_buffer(self, receiving: SplitQueue) -> None:
        """Let the device write a message. Each head has a place of its own for it; there is room on the queue."""
        place = receiving.next_head() * BUFFER_SIZE
        receiving.add_buffer(self._received.physical + place, BUFFER_SIZE, device_writes=True)

    def _handle(self, place: int, length: int) -> None:
        """One message. Raises MemoryError."""
        if not MESSAGE_SIZE <= length <= BUFFER_SIZE:
            return
        number = self._received.load_u32(place + MESSAGE_PORT)
        event = self._received.load_u16(place + MESSAGE_EVENT)
        value = self._received.load_u16(place + MESSAGE_VALUE)
        if number >= len(self.ports):
            return
        port = self.ports[number]
        if event == EVENT_PORT_ADD:
            self._port_added(port)
        elif event == EVENT_PORT_REMOVE:
            port.exists = False
            port.host_open = False
            port.told_ready = False
            port.told_open = False
        elif event == EVENT_CONSOLE:
            port.is_console = True
        elif event == EVENT_PORT_OPEN:
            port.host_open = value != 0
        elif event == EVENT_PORT_NAME:
            name = bytearray()
            for i in range(place + MESSAGE_SIZE, place + length):
                name.append(self._received.load_u8(i))
            port.name = bytes(name).rstrip(b"\0")
        port.wake()

    def _port_added(self, port: Port) -> None:
        """Raises MemoryError."""
        if port.exists:
            return
        if not self._is_known[port.number]:
            name = f"vport{self.number}p{port.number}".encode()
            register_char_device(
                MAJOR, self.number * MINORS + port.number, name, open_port, self._transport.place
            )
            self._is_known[port.number] = True
        port.exists = True

    def _tell_device(self) -> bool:
        """Send messages about changes, if it has read the last ones."""
        sending = self._sending
        if sending is None:
            return False
        while sending.take() != NOTHING:
            pass
        if sending.in_flight_count() > 0:
            return not sending.request_interrupt()
        if not self._told_ready:
            self._told_ready = True
            self._send(sending, 0, EVENT_DEVICE_READY, 1)
        for port in self.ports:
            if sending.free_count == 0:
                break
            if port.exists and not port.told_ready:
                port.told_ready = True
                self._send(sending, port.number, EVENT_PORT_READY, 1)
            elif port.told_ready and port.told_open != port.guest_open:
                port.told_open = port.guest_open
                self._send(sending, port.number, EVENT_PORT_OPEN, 1 if port.guest_open else 0)
        if sending.in_flight_count() == 0:
            return False
        if sending.publish():
            self._transport.notify(CONTROL_SEND)
        return not sending.request_interrupt()

    def _send(self, sending: SplitQueue, port: int, event: int, value: int) -> None:
        """Put a message on the queue, which has room."""
        place = sending.next_head() * MESSAGE_SIZE
        self._sent.store_u32(place + MESSAGE_PORT, port)
        self._sent.store_u16(place + MESSAGE_EVENT, event)
        self._sent.store_u16(place + MESSAGE_VALUE, value)
        sending.add_buffer(self._sent.physical + place, MESSAGE_SIZE, device_writes=False)

    def _die(self) -> None:
        """The device is broken: stop it. Its memory is never given back, so it does no harm if it does not stop."""
        self.is_dead = True
        log.error("virtio-console: the device breaks the rules and is switched off")
        try:
            self._transport.reset()
        except Errno:
            log.error("virtio-console: it does not stop")
        for port in self.ports:
            port.exists = False
            port.host_open = False
            port.wake()


@final
class _ConsoleEvents(DeviceEvents):
    """The interrupts of one device."""

    def __init__(self, console: VirtioConsole) -> None:
        self.console: VirtioConsole = console

    def queue_used(self, queue: int) -> None:
        self.console.queue_used(queue)


CONSOLES: Final[list[VirtioConsole]] = []


def open_port(path: Path, flags: int) -> File:
    """open(2) of a port. Raises ENXIO (it is gone), EBUSY (it is open already), MemoryError."""
    minor = path.inode().rdev & 0xFF
    index = minor // MINORS
    if index >= len(CONSOLES) or minor % MINORS >= len(CONSOLES[index].ports):
        raise Errno(ENXIO)
    port = CONSOLES[index].ports[minor % MINORS]
    if not port.exists:
        raise Errno(ENXIO)
    if port.guest_open:
        raise Errno(EBUSY)
    port.prepare()
    file = PortFile(path, flags, port)
    port.guest_open = True
    port.console.changed()
    return file


def _serve(number: int) -> None:
    """The thread of one device."""
    console = CONSOLES[number]
    while True:
        lacks_memory = False
        try:
            while console.work():
                pace(_MESSAGE_COST)
        except MemoryError:
            lacks_memory = True
        if lacks_memory:
            console.queue.pause(_PAUSE_NS)
        elif not console.has_work:
            console.queue.sleep(interruptible=False)


def start(transport: Transport) -> None:
    """Bring up a device and start a thread for its ports. Raises Errno if it is unusable, MemoryError."""
    number = len(CONSOLES)
    if number == DEVICE_LIMIT:
        raise Errno(ENOSPC)
    transport.negotiate(WANTED)
    console = VirtioConsole(transport, number)
    if console.is_dead:
        raise Errno(ENODEV)
    CONSOLES.append(console)
    spawn_kernel_thread(b"virtio-console", _serve, number)
    log.info(f"virtio {transport.name}: console device, {len(console.ports)} ports at most")
