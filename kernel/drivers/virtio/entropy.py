"""virtio-rng: random bytes of the host, for the kernel's generator and for programs that read /dev/hwrng.

The device has one queue. It returns each buffer filled with random bytes, perhaps after a while: the host may ration
them. A kernel thread asks for the first ones, stirs them into the generator and ends; nobody waits for it, because the
processor has seeded the generator before.

A device that breaks the rules is reset, so that it touches no memory any more; from then on reads fail with ENODEV.

Context: reads sleep; the interrupts only wake. Source: Virtual I/O Device (VIRTIO) Version 1.2, 5.4 (entropy device).
"""

from typing import Final

from kernel.drivers.platform.window import bus_address
from kernel.drivers.virtio.ring import NOTHING, SplitQueue
from kernel.drivers.virtio.transport import RING_FEATURES, DeviceEvents, Transport
from kernel.fs.constants import O_NONBLOCK
from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import EAGAIN, EINVAL, ENODEV, ENOSPC, Errno, final, span_of
from kernel.lib import log, random
from kernel.lib.pace import pace, pace_or_end
from kernel.lib.user import Buffer
from kernel.sched import Mutex, WaitQueue, spawn_kernel_thread
from kernel.sched.scheduler import current_thread

MISC_MAJOR: Final = 10
HWRNG_MINOR: Final = 183
QUEUE: Final = 0
BUFFER_SIZE: Final = 64
WANTED: Final = RING_FEATURES
_WORD: Final = 4
_READ_COST: Final = 3000  # instructions, where the device answers at once


@final
class EntropyDevice:
    """One device. The transport has agreed on features. Raises ENODEV, MemoryError."""

    def __init__(self, transport: Transport) -> None:
        self.answered: WaitQueue = WaitQueue()
        self._transport: Transport = transport
        self._queue: SplitQueue = transport.make_queue(QUEUE, 1)
        self._buffer: bytearray = bytearray(BUFFER_SIZE)
        self._is_asked: bool = False
        self._is_dead: bool = False
        self._position: int = 0  # the bytes of the buffer from here to _end are unused
        self._end: int = 0
        self._turn: Mutex = Mutex()
        transport.connect(_EntropyEvents(self), 1)
        transport.set_queue(QUEUE, self._queue)
        transport.start()

    def read(self, buffer: Buffer, waits: bool) -> int:
        """Read some random bytes, each of which is used once. Raises EAGAIN if there are none and the caller does not
        wait, ENODEV, ERESTARTSYS, EINTR.
        """
        while True:
            with self._turn:
                self._ask()
                part = min(buffer.remaining, self._end - self._position)
                if part > 0:
                    done = buffer.put(span_of(self._buffer)[self._position : self._position + part])
                    for i in range(self._position, self._position + part):
                        self._buffer[i] = 0
                    self._position += part
                    self._pass_on()
                    return done
                if not waits:
                    raise Errno(EAGAIN)
                must_wait = self._queue.request_interrupt()
            if must_wait:
                self.answered.sleep()  # without the turn: nobody else has to wait for it
            else:
                pace_or_end(_READ_COST)

    def stir(self) -> None:
        """Wait for bytes, and mix them into the kernel's generator. Raises ENODEV."""
        while True:
            with self._turn:
                self._ask()
                if self._position < self._end:
                    self._stir_in()
                    self._pass_on()
                    return
                must_wait = self._queue.request_interrupt()
            if must_wait:
                self.answered.sleep(interruptible=False)
            else:
                pace(_READ_COST)

    def _stir_in(self) -> None:
        """Mix the bytes that are there into the generator."""
        span = span_of(self._buffer)
        while self._end - self._position >= _WORD:
            random.stir(span.load_u32(self._position))
            span.store_u32(self._position, 0)
            self._position += _WORD
        self._position = self._end  # what is left over is less than a word

    def _pass_on(self) -> None:
        """Once all bytes are used, others that wait ask for more: nothing else would wake them."""
        if self._position == self._end:
            self.answered.wake_all()

    def _ask(self) -> None:
        """Give the buffer to the device, if it is empty. Raises ENODEV."""
        self._collect()
        if self._is_asked or self._position < self._end:
            return
        self._is_asked = True
        self._queue.add_buffer(bus_address(span_of(self._buffer)), BUFFER_SIZE, device_writes=True)
        if self._queue.publish():
            self._transport.notify(QUEUE)

    def _collect(self) -> None:
        """Take the buffer back, if the device is done with it. Raises ENODEV."""
        if not self._is_dead and self._is_asked:
            head = self._queue.take()
            if head != NOTHING and self._queue.used_length <= BUFFER_SIZE:
                self._is_asked = False
                self._position = 0
                self._end = self._queue.used_length
            elif head != NOTHING or self._queue.is_broken:
                self._die()
        if self._is_dead:
            raise Errno(ENODEV)

    def _die(self) -> None:
        """The device is broken: stop it."""
        self._is_dead = True
        log.error("virtio-rng: the device breaks the rules and is switched off")
        try:
            self._transport.reset()
        except Errno:
            log.error("virtio-rng: it does not stop")
        self.answered.wake_all()  # nothing else would, from now on


@final
class _EntropyEvents(DeviceEvents):
    """The interrupts of one device."""

    def __init__(self, device: EntropyDevice) -> None:
        self.device: EntropyDevice = device

    def queue_used(self, queue: int) -> None:
        self.device.answered.wake_all()


DEVICES: Final[list[EntropyDevice]] = []  # the first one is used


@final
class HardwareRandomFile(File):
    """An open /dev/hwrng."""

    def read(self, buffer: Buffer) -> int:
        done = 0
        while buffer.remaining > 0 and not buffer.faulted:
            try:
                done += DEVICES[0].read(buffer, self.flags & O_NONBLOCK == 0)
            except Errno:
                if done == 0:
                    raise
                break
            pace(_READ_COST)
            if current_thread().is_interrupted():
                break  # return what there is; a signal is pending
        return done

    def pread(self, buffer: Buffer, offset: int) -> int:
        return self.read(buffer)


def open_hardware_random(path: Path, flags: int) -> File:
    """open(2) of /dev/hwrng. Raises EINVAL for writing."""
    file = HardwareRandomFile(path, flags)
    if file.writable or not file.readable:
        file.release()
        raise Errno(EINVAL)
    return file


def _stir(number: int) -> None:
    """The thread."""
    try:
        DEVICES[number].stir()
    except Errno as error:
        log.error(f"virtio-rng: no random bytes: error {error.code}")
        return
    log.debug("virtio-rng: the generator has random bytes of the host")


def start(transport: Transport) -> None:
    """Bring up a device. Raises Errno if it is unusable, MemoryError."""
    if len(DEVICES) > 0:
        raise Errno(ENOSPC)
    transport.negotiate(WANTED)
    DEVICES.append(EntropyDevice(transport))
    register_char_device(MISC_MAJOR, HWRNG_MINOR, b"hwrng", open_hardware_random).sys_name = b"hw_random"
    spawn_kernel_thread(b"hwrng", _stir, 0)
    log.info(f"virtio {transport.name}: random bytes")
