"""Virtio devices on PCI, as of VIRTIO 1.0: registers found by capabilities, interrupts by MSI-X or by line.

Context: as transport.py.
Source: Virtual I/O Device (VIRTIO) Version 1.2, 4.1 (virtio over PCI bus).
"""

from typing import Final

from kernel.drivers.platform import pci
from kernel.drivers.platform.msix import MsixTable, find_table
from kernel.drivers.platform.pci import PciDevice
from kernel.drivers.platform.vectors import add_to_line
from kernel.drivers.platform.window import Window
from kernel.drivers.virtio.ring import SplitQueue
from kernel.drivers.virtio.transport import (
    ConfigurationHandler,
    DeviceEvents,
    LineHandler,
    QueueHandler,
    Transport,
)
from kernel.lang import ENODEV, Errno, final

VENDOR: Final = 0x1AF4
FIRST_TRANSITIONAL: Final = 0x1000  # the subsystem of these is their type
FIRST_MODERN: Final = 0x1040
END_OF_MODERN: Final = 0x1080

# A virtio capability.
CAPABILITY_TYPE: Final = 3
CAPABILITY_BAR: Final = 4
CAPABILITY_OFFSET: Final = 8
CAPABILITY_LENGTH: Final = 12
CAPABILITY_MULTIPLIER: Final = 16

TYPE_COMMON: Final = 1
TYPE_NOTIFY: Final = 2
TYPE_ISR: Final = 3
TYPE_DEVICE: Final = 4

# The common configuration.
DEVICE_FEATURE_SELECT: Final = 0
DEVICE_FEATURE: Final = 4
DRIVER_FEATURE_SELECT: Final = 8
DRIVER_FEATURE: Final = 12
CONFIG_VECTOR: Final = 16
QUEUE_COUNT: Final = 18
STATUS: Final = 20
GENERATION: Final = 21
QUEUE_SELECT: Final = 22
QUEUE_SIZE: Final = 24
QUEUE_VECTOR: Final = 26
QUEUE_ENABLE: Final = 28
QUEUE_NOTIFY_OFFSET: Final = 30
QUEUE_DESCRIPTORS: Final = 32
QUEUE_AVAILABLE: Final = 40
QUEUE_USED: Final = 48
COMMON_SIZE: Final = 56

NO_VECTOR: Final = 0xFFFF
_NOTIFY_LIMIT: Final = 1 << 20
_CONFIGURATION_LIMIT: Final = 4096


def device_type(device: PciDevice) -> int:
    """Which virtio device this is (DEVICE_*), or 0 if it is none."""
    if device.vendor != VENDOR:
        return 0
    if FIRST_MODERN <= device.device < END_OF_MODERN:
        return device.device - FIRST_MODERN
    if FIRST_TRANSITIONAL <= device.device < FIRST_MODERN:
        return device.subsystem
    return 0


def _find_registers(device: PciDevice, kind: int) -> int:
    """The first capability of a type, or 0."""
    at = device.find_capability(pci.CAPABILITY_VENDOR)
    while at != 0 and device.read_u8(at + CAPABILITY_TYPE) != kind:
        at = device.find_capability(pci.CAPABILITY_VENDOR, at)
    return at


def _registers(device: PciDevice, capability: int, least: int, most: int) -> Window:
    """A window on the registers of a capability, `least` to `most` bytes of them. Raises ENODEV, MemoryError."""
    if capability == 0:
        raise Errno(ENODEV)
    length = device.read_u32(capability + CAPABILITY_LENGTH)
    if length < least:
        raise Errno(ENODEV)
    offset = device.read_u32(capability + CAPABILITY_OFFSET)
    return device.window(device.read_u8(capability + CAPABILITY_BAR), offset, min(length, most))


@final
class PciTransport(Transport):
    """One device. Raises ENODEV if it lacks the registers of VIRTIO 1.0, MemoryError."""

    def __init__(self, device: PciDevice) -> None:
        super().__init__(device_type(device), device.name())
        self._pci: PciDevice = device
        device.enable()
        notify = _find_registers(device, TYPE_NOTIFY)
        configuration = _find_registers(device, TYPE_DEVICE)
        self._common: Window = _registers(device, _find_registers(device, TYPE_COMMON), COMMON_SIZE, COMMON_SIZE)
        self._isr: Window = _registers(device, _find_registers(device, TYPE_ISR), 1, 1)
        self._notify: Window = _registers(device, notify, 2, _NOTIFY_LIMIT)
        self._notify_multiplier: int = device.read_u32(notify + CAPABILITY_MULTIPLIER)
        self._notify_offsets: list[int] = []
        self._configuration: Window | None = None  # a device may have none
        if configuration != 0:
            self._configuration = _registers(device, configuration, 1, _CONFIGURATION_LIMIT)
        self._messages: MsixTable | None = None

    def read_status(self) -> int:
        return self._common.load_u8(STATUS)

    def write_status(self, status: int) -> None:
        self._common.store_u8(STATUS, status)

    def device_features(self, word: int) -> int:
        self._common.store_u32(DEVICE_FEATURE_SELECT, word)
        return self._common.load_u32(DEVICE_FEATURE)

    def write_driver_features(self, word: int, bits: int) -> None:
        self._common.store_u32(DRIVER_FEATURE_SELECT, word)
        self._common.store_u32(DRIVER_FEATURE, bits)

    def largest_queue(self, index: int) -> int:
        if index >= self._common.load_u16(QUEUE_COUNT):
            return 0
        self._common.store_u16(QUEUE_SELECT, index)
        return self._common.load_u16(QUEUE_SIZE)

    def set_queue(self, index: int, queue: SplitQueue) -> None:
        common = self._common
        common.store_u16(QUEUE_SELECT, index)
        common.store_u16(QUEUE_SIZE, queue.size)
        offset = common.load_u16(QUEUE_NOTIFY_OFFSET) * self._notify_multiplier
        if offset > self._notify.size_bytes - 2:
            raise Errno(ENODEV)
        while len(self._notify_offsets) <= index:
            self._notify_offsets.append(0)
        self._notify_offsets[index] = offset
        self._store_address(QUEUE_DESCRIPTORS, queue.descriptor_address())
        self._store_address(QUEUE_AVAILABLE, queue.available_address())
        self._store_address(QUEUE_USED, queue.used_address())
        if self._messages is not None:
            self._use_message(QUEUE_VECTOR, index + 1)
        common.store_u16(QUEUE_ENABLE, 1)

    def _store_address(self, register: int, physical: int) -> None:
        """64-bit registers are written in halves (4.1.3.1)."""
        self._common.store_u32(register, physical & 0xFFFF_FFFF)
        self._common.store_u32(register + 4, physical >> 32)

    def connect(self, events: DeviceEvents, queue_count: int) -> None:
        """Message 0 is for the configuration, message 1 + n for queue n. A table too small is not used."""
        messages = find_table(self._pci)
        if messages is not None and messages.count > queue_count:
            messages.enable()
            messages.connect(0, ConfigurationHandler(events))
            for queue in range(queue_count):
                messages.connect(queue + 1, QueueHandler(events, queue))
            self._messages = messages
            self._use_message(CONFIG_VECTOR, 0)
            return
        line = self._pci.interrupt_line()
        if line < 0:
            raise Errno(ENODEV)
        add_to_line(line, LineHandler(self, events, queue_count), level_triggered=True)

    def _use_message(self, register: int, message: int) -> None:
        """Raises ENODEV if the device lacks the resources for it."""
        self._common.store_u16(register, message)
        if self._common.load_u16(register) == NO_VECTOR:
            raise Errno(ENODEV)

    def notify(self, index: int) -> None:
        self._notify.store_u16(self._notify_offsets[index], index)

    def interrupt_cause(self) -> int:
        return self._isr.load_u8(0)

    def configuration_generation(self) -> int:
        return self._common.load_u8(GENERATION)

    def configuration_u8(self, offset: int) -> int:
        window = self._configuration
        return window.load_u8(offset) if window is not None and offset < window.size_bytes else 0

    def configuration_u16(self, offset: int) -> int:
        window = self._configuration
        return window.load_u16(offset) if window is not None and offset + 2 <= window.size_bytes else 0

    def configuration_u32(self, offset: int) -> int:
        window = self._configuration
        return window.load_u32(offset) if window is not None and offset + 4 <= window.size_bytes else 0

    def set_configuration_u32(self, offset: int, value: int) -> None:
        window = self._configuration
        if window is not None and offset + 4 <= window.size_bytes:
            window.store_u32(offset, value)
