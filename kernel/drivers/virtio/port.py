"""A port of a virtio console device: a stream of bytes to and from a program of the host, as the file /dev/vportNpM.

Receiving: the device has frames of memory to fill. A reader copies out of the oldest one and gives it back once it is
empty, so the host can send only what the program reads plus what these frames hold. Sending: a writer copies into
pieces of heap memory, which lie in one run each, and waits while the device has all of them.

As on Linux one program at a time has the port open, a read returns 0 while nobody on the host is connected, and a write
waits for a connection. A hang-up that is over before anybody looks is not reported.

A device that claims to have written more than there was room for, or returns a buffer that it does not have, is broken:
see console.py, which stops it.

Context: reads and writes sleep; the interrupts only wake. Source: Virtual I/O Device (VIRTIO) Version 1.2, 5.3.
"""

from typing import TYPE_CHECKING, Final

from kernel.drivers.platform.window import bus_address
from kernel.drivers.virtio.ring import NOTHING, SplitQueue
from kernel.drivers.virtio.transport import Transport
from kernel.fs.constants import O_NONBLOCK, POLLHUP, READABLE, WRITABLE
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import EAGAIN, ENODEV, Errno, final, span_of
from kernel.lib.pace import pace
from kernel.lib.user import Buffer
from kernel.mm.frames import PAGE_SHIFT, PAGE_SIZE, Frame, allocate_frame, frame_span
from kernel.sched import Mutex, PollWaiter, WaitQueue

if TYPE_CHECKING:
    from kernel.drivers.virtio.console import VirtioConsole

RECEIVE_LIMIT: Final = 32  # frames that the device may fill
SEND_LIMIT: Final = 4  # pieces under way
SEND_SIZE: Final = 32_768  # bytes of one
_EMPTY_COST: Final = 1000  # instructions


@final
class Port:
    """One port. `receive_index`, `send_index`: the numbers of its queues."""

    def __init__(
        self, console: "VirtioConsole", transport: Transport, number: int, receive_index: int, send_index: int
    ) -> None:
        self.number: int = number
        self.console: VirtioConsole = console
        self.exists: bool = False  # the device has announced it, and not taken it away
        self.is_console: bool = False  # meant for a terminal
        self.host_open: bool = False  # somebody is connected at the host
        self.guest_open: bool = False  # a program has it open
        self.told_ready: bool = False  # what was reported to the device (console.py)
        self.told_open: bool = False
        self.name: bytes = b""
        self.read_queue: WaitQueue = WaitQueue()
        self.write_queue: WaitQueue = WaitQueue()
        self._transport: Transport = transport
        self._receive_index: int = receive_index
        self._send_index: int = send_index
        self.receiving: SplitQueue = transport.make_queue(receive_index, RECEIVE_LIMIT)
        self.sending: SplitQueue = transport.make_queue(send_index, RECEIVE_LIMIT)
        self._frames: list[int] = [0] * self.receiving.size  # by head; allocated when the port is first opened
        self._has_frames: bool = False
        self._current: int = NOTHING  # the head whose frame is being read
        self._offset: int = 0
        self._length: int = 0
        self._pieces: list[bytearray] = []
        self._free_pieces: list[int] = []
        self._piece_of: list[int] = [0] * self.sending.size  # by head
        self._reading: Mutex = Mutex()
        self._writing: Mutex = Mutex()

    def set_up(self) -> None:
        """Tell the device where the queues are. Raises ENODEV."""
        self._transport.set_queue(self._receive_index, self.receiving)
        self._transport.set_queue(self._send_index, self.sending)

    def prepare(self) -> None:
        """Called before the port is opened: give the device memory to fill. Raises MemoryError."""
        if self._has_frames:
            return
        while self.receiving.free_count > 0:
            frame = allocate_frame()
            head = self.receiving.add_buffer(frame << PAGE_SHIFT, PAGE_SIZE, device_writes=True)
            assert head != NOTHING
            self._frames[head] = frame
        self._has_frames = True
        self._publish_frames()

    def _publish_frames(self) -> None:
        if self.receiving.publish():
            self._transport.notify(self._receive_index)

    def wake(self) -> None:
        """Something changed: wake everybody to look again. May be called from interrupts."""
        self.read_queue.wake_all()
        self.write_queue.wake_all()

    def _check(self) -> None:
        """Raises ENODEV once the port is gone, or its device broken."""
        if self.receiving.is_broken or self.sending.is_broken:
            self.console.fail()
            raise Errno(ENODEV)
        if not self.exists:
            raise Errno(ENODEV)

    # Receiving -------------------------------------------------------------------------------------------------------

    def has_input(self) -> bool:
        """Whether there is input. If not, an interrupt will report some."""
        return self._current != NOTHING or not self.receiving.request_interrupt()

    def read(self, buffer: Buffer, waits: bool) -> int:
        """The next bytes; 0 when nobody is connected. Raises EAGAIN, ENODEV, ERESTARTSYS."""
        if buffer.remaining == 0:
            return 0
        while True:
            self._check()
            if self.has_input():
                with self._reading:
                    done = self._take(buffer)
                if done > 0 or buffer.faulted:
                    return done
                pace(_EMPTY_COST)  # a device that uses frames without writing to them must not keep us here
            elif not self.host_open:
                return 0
            elif not waits:
                raise Errno(EAGAIN)
            else:
                self.read_queue.sleep()

    def _take(self, buffer: Buffer) -> int:
        """Copy the available bytes, as far as they fit. The caller holds `_reading`."""
        done = 0
        for _ in range(self.receiving.size):
            if buffer.remaining == 0 or buffer.faulted or not self._next_frame():
                break
            frame = frame_span(Frame(self._frames[self._current]))
            part = min(self._length - self._offset, buffer.remaining)
            moved = buffer.put(frame[self._offset : self._offset + part])
            done += moved
            self._offset += moved
            if self._offset == self._length:
                self._give_back()
        self._publish_frames()
        return done

    def _next_frame(self) -> bool:
        """Advance `_current` to a frame with unread bytes. False if there is none."""
        if self._current != NOTHING:
            return True
        head = self.receiving.take()
        if head == NOTHING:
            return False
        length = self.receiving.used_length
        if length > PAGE_SIZE:
            self.receiving.is_broken = True
            return False
        self._current = head
        self._offset = 0
        self._length = length
        return True

    def _give_back(self) -> None:
        """The frame of `_current` was read: the device may fill it again."""
        frame = self._frames[self._current]
        self._current = NOTHING
        head = self.receiving.add_buffer(frame << PAGE_SHIFT, PAGE_SIZE, device_writes=True)
        assert head != NOTHING
        self._frames[head] = frame

    # Sending ---------------------------------------------------------------------------------------------------------

    def has_room(self) -> bool:
        """Whether a write would send something at once. If not, an interrupt will report when it would."""
        if not self.host_open:
            return False
        return self._collect() or not self.sending.request_interrupt()

    def _collect(self) -> bool:
        """Take back the pieces that the device has sent. Returns whether one is free or can be allocated."""
        head = self.sending.take()
        while head != NOTHING:
            self._free_pieces.append(self._piece_of[head])
            head = self.sending.take()
        if self.sending.free_count == 0:
            return False
        return len(self._free_pieces) > 0 or len(self._pieces) < SEND_LIMIT

    def write(self, buffer: Buffer, waits: bool) -> int:
        """Send all bytes, waiting for room. A write that is interrupted returns what it has done. Raises EAGAIN,
        ENODEV, ERESTARTSYS, MemoryError.
        """
        if buffer.remaining == 0:
            return 0
        done = 0
        try:
            while buffer.remaining > 0 and not buffer.faulted:
                self._check()
                if self.has_room():
                    with self._writing:
                        done += self._send(buffer)
                elif not waits:
                    raise Errno(EAGAIN)
                else:
                    self.write_queue.sleep()
        except Errno:
            if done == 0:
                raise
        return done

    def _send(self, buffer: Buffer) -> int:
        """Copy one piece and hand it to the device; 0 if another thread was quicker. The caller holds `_writing`."""
        if not self._collect():
            return 0
        if len(self._free_pieces) == 0:
            self._pieces.append(bytearray(SEND_SIZE))
            self._free_pieces.append(len(self._pieces) - 1)
        number = self._free_pieces.pop()
        piece = span_of(self._pieces[number])
        size = buffer.take(piece[0 : min(buffer.remaining, SEND_SIZE)])
        if size == 0:
            self._free_pieces.append(number)
            return 0
        head = self.sending.add_buffer(bus_address(piece), size, device_writes=False)
        assert head != NOTHING
        self._piece_of[head] = number
        if self.sending.publish():
            self._transport.notify(self._send_index)
        return size


@final
class PortFile(File):
    """An open port."""

    def __init__(self, path: Path, flags: int, port: Port) -> None:
        super().__init__(path, flags)
        self.port: Port = port

    def read(self, buffer: Buffer) -> int:
        return self.port.read(buffer, self.flags & O_NONBLOCK == 0)

    def write(self, buffer: Buffer) -> int:
        return self.port.write(buffer, self.flags & O_NONBLOCK == 0)

    def read_at_once(self, buffer: Buffer) -> int:
        return self.port.read(buffer, waits=False)

    def write_at_once(self, buffer: Buffer) -> int:
        return self.port.write(buffer, waits=False)

    def poll(self, waiter: PollWaiter | None) -> int:
        port = self.port
        if waiter is not None:
            waiter.wait_on(port.read_queue)
            waiter.wait_on(port.write_queue)
        if not port.exists:
            return POLLHUP
        state = 0
        if port.has_input() or not port.host_open:
            state |= READABLE
        if port.has_room():
            state |= WRITABLE
        if not port.host_open:
            state |= POLLHUP
        return state

    def input_queue(self) -> WaitQueue | None:
        return self.port.read_queue

    def output_queue(self) -> WaitQueue | None:
        return self.port.write_queue

    def close(self) -> None:
        self.port.guest_open = False
        self.port.console.changed()
