"""How a driver talks to its device, whatever bus the device is on.

A transport offers the device's registers; `negotiate` brings a device up with them. A driver derives from
`DeviceEvents` to receive interrupts.

Context: bringing up is for boot; `notify` and the events run in interrupts too. Nothing sleeps.
Source: Virtual I/O Device (VIRTIO) Version 1.2, 2.1 (status), 2.2 (features), 2.5 (configuration), 3.1
(initialisation).
"""

from typing import Final

from kernel.drivers.platform.vectors import InterruptHandler
from kernel.drivers.virtio.ring import SIZE_LIMIT, SplitQueue
from kernel.lang import ENODEV, Errno, final, nosleep
from kernel.lib import log
from kernel.lib.bus import BusDevice

DEVICE_NETWORK: Final = 1
DEVICE_BLOCK: Final = 2
DEVICE_CONSOLE: Final = 3
DEVICE_ENTROPY: Final = 4
DEVICE_BALLOON: Final = 5
DEVICE_9P: Final = 9
DEVICE_VSOCK: Final = 19
DEVICE_FS: Final = 26

STATUS_ACKNOWLEDGE: Final = 1
STATUS_DRIVER: Final = 2
STATUS_DRIVER_OK: Final = 4
STATUS_FEATURES_OK: Final = 8
STATUS_FAILED: Final = 128

# Feature bits that all devices share.
F_INDIRECT: Final = 1 << 28
F_EVENT_INDEX: Final = 1 << 29
F_VERSION_1: Final = 1 << 32
RING_FEATURES: Final = F_INDIRECT | F_EVENT_INDEX

# Why a device interrupted, where it can't say so by different messages.
INTERRUPT_QUEUE: Final = 1
INTERRUPT_CONFIGURATION: Final = 2

RESET_LIMIT: Final = 100_000  # reads of the status until a reset must be complete
_RUNNING: Final[list["Transport"]] = []  # devices that were brought up

GENERATION_LIMIT: Final = 100  # attempts to read a configuration that changes meanwhile


class DeviceEvents:
    """What a device reports to its driver. Interrupt context."""

    @nosleep
    def queue_used(self, queue: int) -> None:
        """The device may have used buffers of a queue."""

    @nosleep
    def configuration_changed(self) -> None:
        """The device's configuration may have changed."""


class Transport:
    """Base of the buses that a device can be on. `name` is for the log."""

    def __init__(self, device_type: int, name: str) -> None:
        self.device_type: int = device_type  # DEVICE_*
        self.name: str = name
        self.features: int = 0  # what was agreed
        self.place: BusDevice | None = None  # its place in /sys

    def read_status(self) -> int:
        return 0

    def write_status(self, status: int) -> None:
        """0 resets the device."""

    def device_features(self, word: int) -> int:
        """Bits 32 * word … 32 * word + 31 of what the device offers."""
        return 0

    def write_driver_features(self, word: int, bits: int) -> None:
        """What the driver takes of them."""

    def largest_queue(self, index: int) -> int:
        """How many descriptors queue `index` may have; 0: there is no such queue."""
        return 0

    def set_queue(self, index: int, queue: SplitQueue) -> None:
        """Tell the device where queue `index` lies, and let it begin. Raises ENODEV."""
        raise Errno(ENODEV)

    def connect(self, events: DeviceEvents, queue_count: int) -> None:
        """Route interrupts to the driver; called before the queues are set. Raises Errno, MemoryError."""
        raise Errno(ENODEV)

    @nosleep
    def notify(self, index: int) -> None:
        """There are new buffers in queue `index`."""

    @nosleep
    def interrupt_cause(self) -> int:
        """INTERRUPT_* of a device without messages, which are thereby acknowledged."""
        return 0

    def configuration_generation(self) -> int:
        """Changes whenever the configuration does."""
        return 0

    def configuration_u8(self, offset: int) -> int:
        """A field of the device's own configuration; 0 where the device has none."""
        return 0

    def configuration_u16(self, offset: int) -> int:
        return 0

    def configuration_u32(self, offset: int) -> int:
        return 0

    def set_configuration_u32(self, offset: int, value: int) -> None:
        """Write a field of the device's own configuration, if the device has it."""

    # The parts that all buses share --------------------------------------------------------------------------------

    def configuration_u64(self, offset: int) -> int:
        """Two words that belong together. Values of 2**62 and more are invalid, and become 0."""
        for _ in range(GENERATION_LIMIT):
            generation = self.configuration_generation()
            low = self.configuration_u32(offset)
            high = self.configuration_u32(offset + 4)
            if generation == self.configuration_generation():
                return high << 32 | low if high < 1 << 30 else 0
        return 0

    def has(self, feature: int) -> bool:
        """Whether a feature was agreed."""
        return self.features & feature != 0

    def reset(self) -> None:
        """Stop the device: when this returns it touches no memory any more. Raises ENODEV if it does not stop."""
        self.write_status(0)
        for _ in range(RESET_LIMIT):
            if self.read_status() == 0:
                return
        raise Errno(ENODEV)

    def negotiate(self, wanted: int) -> None:
        """Reset the device and agree on features: those that are wanted and offered. Raises ENODEV for a device older
        than VIRTIO 1.0, or one that does not accept these features.
        """
        self.reset()
        self.write_status(STATUS_ACKNOWLEDGE)
        self.write_status(STATUS_ACKNOWLEDGE | STATUS_DRIVER)
        offered = self.device_features(0) | (self.device_features(1) & 0x7FFF_FFFF) << 32
        self.features = offered & (wanted | F_VERSION_1)
        if not self.has(F_VERSION_1):
            self.give_up()
            raise Errno(ENODEV)
        self.write_driver_features(0, self.features & 0xFFFF_FFFF)
        self.write_driver_features(1, self.features >> 32)
        self.write_status(STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK)
        if self.read_status() & STATUS_FEATURES_OK == 0:
            self.give_up()
            raise Errno(ENODEV)

    def make_queue(self, index: int, size_limit: int) -> SplitQueue:
        """Memory of queue `index`, with at most `size_limit` descriptors. `set_queue`, called after `connect`,
        announces it to the device. Raises ENODEV, MemoryError.
        """
        largest = min(self.largest_queue(index), size_limit, SIZE_LIMIT)
        if largest <= 0:
            raise Errno(ENODEV)
        size = 1
        while size * 2 <= largest:
            size *= 2
        return SplitQueue(size, self.has(F_EVENT_INDEX), self.has(F_INDIRECT))

    def start(self) -> None:
        """Everything is set up: the device may work."""
        _RUNNING.append(self)
        self.write_status(STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK)

    def give_up(self) -> None:
        """Tell the device that its driver has given up on it."""
        self.write_status(self.read_status() | STATUS_FAILED)


def reset_all() -> None:
    """The machine is about to run another kernel: stop all devices, so that they touch no memory any more."""
    for transport in _RUNNING:
        try:
            transport.reset()
        except Errno as error:
            log.error(f"virtio {transport.name}: the device does not stop: error {error.code}")


@final
class QueueHandler(InterruptHandler):
    """Answers the message of one queue."""

    def __init__(self, events: DeviceEvents, queue: int) -> None:
        super().__init__()
        self.events: DeviceEvents = events
        self.queue: int = queue

    def interrupt(self) -> None:
        self.events.queue_used(self.queue)


@final
class ConfigurationHandler(InterruptHandler):
    """Answers the message of a change of the configuration."""

    def __init__(self, events: DeviceEvents) -> None:
        super().__init__()
        self.events: DeviceEvents = events

    def interrupt(self) -> None:
        self.events.configuration_changed()


@final
class LineHandler(InterruptHandler):
    """Answers an interrupt line, for all queues and the configuration."""

    def __init__(self, transport: Transport, events: DeviceEvents, queue_count: int) -> None:
        super().__init__()
        self.transport: Transport = transport
        self.events: DeviceEvents = events
        self.queue_count: int = queue_count

    def interrupt(self) -> None:
        cause = self.transport.interrupt_cause()
        if cause & INTERRUPT_QUEUE != 0:
            for queue in range(self.queue_count):
                self.events.queue_used(queue)
        if cause & INTERRUPT_CONFIGURATION != 0:
            self.events.configuration_changed()
