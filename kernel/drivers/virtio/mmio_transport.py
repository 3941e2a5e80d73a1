"""Virtio devices whose registers lie in memory, without a bus (QEMU's microvm): version 2 of their interface.

Such devices can't be searched for: the firmware says where they are (ACPI), or the kernel's command line does, in
words of the form `virtio_mmio.device=SIZE@ADDRESS:LINE`.

Context: as transport.py.
Source: Virtual I/O Device (VIRTIO) Version 1.2, 4.2 (virtio over MMIO).
"""

from typing import Final

from kernel.drivers.platform import vectors
from kernel.drivers.platform.window import Window, device_window
from kernel.drivers.virtio.ring import SplitQueue
from kernel.drivers.virtio.transport import DeviceEvents, LineHandler, Transport
from kernel.lang import ENODEV, Errno, final

MAGIC: Final = 0x000
VERSION: Final = 0x004
DEVICE_TYPE: Final = 0x008
DEVICE_FEATURES: Final = 0x010
DEVICE_FEATURES_SELECT: Final = 0x014
DRIVER_FEATURES: Final = 0x020
DRIVER_FEATURES_SELECT: Final = 0x024
QUEUE_SELECT: Final = 0x030
QUEUE_SIZE_MAX: Final = 0x034
QUEUE_SIZE: Final = 0x038
QUEUE_READY: Final = 0x044
QUEUE_NOTIFY: Final = 0x050
INTERRUPT_STATUS: Final = 0x060
INTERRUPT_ACKNOWLEDGE: Final = 0x064
STATUS: Final = 0x070
QUEUE_DESCRIPTORS: Final = 0x080
QUEUE_AVAILABLE: Final = 0x090
QUEUE_USED: Final = 0x0A0
GENERATION: Final = 0x0FC
CONFIGURATION: Final = 0x100

MAGIC_VALUE: Final = 0x7472_6976  # "virt"
MODERN_VERSION: Final = 2
SMALLEST_SIZE: Final = 0x200
LARGEST_SIZE: Final = 0x10000


@final
class MmioPlace:
    """Where a device is, and its interrupt line."""

    def __init__(self, address: int, size_bytes: int, line: int) -> None:
        self.address: int = address
        self.size_bytes: int = size_bytes
        self.line: int = line

    def is_sane(self) -> bool:
        """Whether the place can hold registers."""
        return self.address > 0 and self.address & 3 == 0 and SMALLEST_SIZE <= self.size_bytes <= LARGEST_SIZE


def parse_place(text: bytes) -> MmioPlace | None:
    """`SIZE@ADDRESS:LINE`, perhaps followed by `:ID`; None for anything else. Numbers are decimal, hexadecimal with
    0x, and a size may end with K.
    """
    at = text.find(b"@")
    if at < 0:
        return None
    parts = text[at + 1 :].split(b":")
    if len(parts) != 2 and len(parts) != 3:
        return None
    size_text = text[:at]
    unit = 1
    if size_text.endswith(b"K") or size_text.endswith(b"k"):
        size_text = size_text[: len(size_text) - 1]
        unit = 1024
    size = _number(size_text)
    address = _number(parts[0])
    line = _number(parts[1])
    if size < 0 or address < 0 or line < 0:
        return None
    return MmioPlace(address, size * unit, line)


def _number(text: bytes) -> int:
    """A number of at most 12 digits, or -1."""
    base = 10
    if text.startswith(b"0x") or text.startswith(b"0X"):
        base = 16
        text = text[2:]
    if not 0 < len(text) <= 12:
        return -1
    value = 0
    for byte in text:
        digit = byte - ord("0")
        if digit > 9:
            digit = (byte | 0x20) - ord("a") + 10
            if digit < 10:
                return -1
        if not 0 <= digit < base:
            return -1
        value = value * base + digit
    return value


@final
class MmioTransport(Transport):
    """One device. `device_type` is 0 where no device is plugged in. Raises ENODEV if these are not the registers of a
    virtio device of VIRTIO 1.0 or later; MemoryError.
    """

    def __init__(self, place: MmioPlace) -> None:
        if not place.is_sane():
            raise Errno(ENODEV)
        registers = device_window(place.address, place.size_bytes)
        if registers.load_u32(MAGIC) != MAGIC_VALUE or registers.load_u32(VERSION) != MODERN_VERSION:
            raise Errno(ENODEV)
        super().__init__(registers.load_u32(DEVICE_TYPE), f"mmio at {place.address:#x}")
        self._registers: Window = registers
        self._line: int = place.line

    def read_status(self) -> int:
        return self._registers.load_u32(STATUS)

    def write_status(self, status: int) -> None:
        self._registers.store_u32(STATUS, status)

    def device_features(self, word: int) -> int:
        self._registers.store_u32(DEVICE_FEATURES_SELECT, word)
        return self._registers.load_u32(DEVICE_FEATURES)

    def write_driver_features(self, word: int, bits: int) -> None:
        self._registers.store_u32(DRIVER_FEATURES_SELECT, word)
        self._registers.store_u32(DRIVER_FEATURES, bits)

    def largest_queue(self, index: int) -> int:
        self._registers.store_u32(QUEUE_SELECT, index)
        return self._registers.load_u32(QUEUE_SIZE_MAX)

    def set_queue(self, index: int, queue: SplitQueue) -> None:
        self._registers.store_u32(QUEUE_SELECT, index)
        self._registers.store_u32(QUEUE_SIZE, queue.size)
        self._store_address(QUEUE_DESCRIPTORS, queue.descriptor_address())
        self._store_address(QUEUE_AVAILABLE, queue.available_address())
        self._store_address(QUEUE_USED, queue.used_address())
        self._registers.store_u32(QUEUE_READY, 1)

    def _store_address(self, register: int, physical: int) -> None:
        self._registers.store_u32(register, physical & 0xFFFF_FFFF)
        self._registers.store_u32(register + 4, physical >> 32)

    def connect(self, events: DeviceEvents, queue_count: int) -> None:
        vectors.connect(self._line, LineHandler(self, events, queue_count))

    def notify(self, index: int) -> None:
        self._registers.store_u32(QUEUE_NOTIFY, index)

    def interrupt_cause(self) -> int:
        cause = self._registers.load_u32(INTERRUPT_STATUS)
        self._registers.store_u32(INTERRUPT_ACKNOWLEDGE, cause)
        return cause

    def configuration_generation(self) -> int:
        return self._registers.load_u32(GENERATION)

    def configuration_u8(self, offset: int) -> int:
        at = CONFIGURATION + offset
        return self._registers.load_u8(at) if at < self._registers.size_bytes else 0

    def configuration_u16(self, offset: int) -> int:
        at = CONFIGURATION + offset
        return self._registers.load_u16(at) if at + 2 <= self._registers.size_bytes else 0

    def configuration_u32(self, offset: int) -> int:
        at = CONFIGURATION + offset
        return self._registers.load_u32(at) if at + 4 <= self._registers.size_bytes else 0

    def set_configuration_u32(self, offset: int, value: int) -> None:
        at = CONFIGURATION + offset
        if at + 4 <= self._registers.size_bytes:
            self._registers.store_u32(at, value)
