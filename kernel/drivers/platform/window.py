"""Windows on memory that a device sees or owns: its registers, and the rings that driver and device share.

Every access is volatile and lies inside the window, or traps: offsets are constants of a driver, or were checked
before. The device may write at any time, so each value is read once and then checked.

Safety: a window is created on device memory that `map_device` mapped, or on a frame that the creator owns and keeps, so
accesses inside it touch nothing else. That the device writes only to memory it was given is up to the virtual machine
(there is no IOMMU).
"""

from arch import map_device, physical_of
from kernel.lang import Span, final, u8
from kernel.lang.unsafe import (
    mmio_load_u8,
    mmio_load_u16,
    mmio_load_u32,
    mmio_store_i64,
    mmio_store_u8,
    mmio_store_u16,
    mmio_store_u32,
    span_address,
)
from kernel.mm.frames import PAGE_SHIFT, PAGE_SIZE, Frame, frame_address


@final
class Window:
    """`size_bytes` bytes; offsets count from its start. Values are little-endian, as on PCI and in virtio."""

    def __init__(self, address: int, physical: int, size_bytes: int) -> None:
        self._address: int = address
        self.physical: int = physical  # where the device finds it
        self.size_bytes: int = size_bytes

    def load_u8(self, offset: int) -> int:
        assert 0 <= offset < self.size_bytes
        return mmio_load_u8(self._address + offset)

    def load_u16(self, offset: int) -> int:
        assert 0 <= offset <= self.size_bytes - 2
        return mmio_load_u16(self._address + offset)

    def load_u32(self, offset: int) -> int:
        assert 0 <= offset <= self.size_bytes - 4
        return mmio_load_u32(self._address + offset)

    def store_u8(self, offset: int, value: int) -> None:
        assert 0 <= offset < self.size_bytes
        mmio_store_u8(self._address + offset, value)

    def store_u16(self, offset: int, value: int) -> None:
        assert 0 <= offset <= self.size_bytes - 2
        mmio_store_u16(self._address + offset, value)

    def store_u32(self, offset: int, value: int) -> None:
        assert 0 <= offset <= self.size_bytes - 4
        mmio_store_u32(self._address + offset, value)

    def store_i64(self, offset: int, value: int) -> None:
        """Eight bytes, in one access: for memory, not for registers of 32 bits."""
        assert 0 <= offset <= self.size_bytes - 8
        mmio_store_i64(self._address + offset, value)

    def part(self, offset: int, size_bytes: int) -> "Window":
        """A window on a part of this one; the caller has checked that it lies inside."""
        assert 0 <= offset and 0 <= size_bytes <= self.size_bytes - offset
        return Window(self._address + offset, self.physical + offset, size_bytes)


def device_window(physical: int, size_bytes: int) -> Window:
    """A window on a device's registers. Raises MemoryError.

    Safety: the firmware, or whoever configured the machine, said that a device is there.
    """
    return Window(map_device(physical, size_bytes), physical, size_bytes)


def frame_window(frame: Frame) -> Window:
    """A window on a frame of memory, which the caller owns and never gives back while the window is used."""
    return Window(frame_address(frame), frame << PAGE_SHIFT, PAGE_SIZE)


def bus_address(data: Span[u8]) -> int:
    """Where a device finds bytes of the kernel's heap: a heap object lies in consecutive physical memory.

    Safety: the span is of a heap object or a frame, not of user memory or a stack; the caller keeps the object alive
    as long as the device uses it.
    """
    return physical_of(span_address(data))
