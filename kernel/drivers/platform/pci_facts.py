"""What /sys/bus/pci shows of a function of a device; lspci(8) reads it.

The sizes of register windows are known for devices that a driver has brought up: measuring takes a device's memory away
for a moment, which is not done to a device without a driver. Other windows are not listed in `resource`.

Context: thread context. Configuration space is read when a file is.
Source: Linux's Documentation/ABI/testing/sysfs-bus-pci; PCI Local Bus Specification 3.0, 6.1.
"""

from typing import Final

from kernel.drivers.platform.pci import (
    BAR_COUNT,
    CLASS,
    MULTIPLE_FUNCTIONS,
    SUBSYSTEM,
    TYPE_DEVICE,
    PciDevice,
)
from kernel.lang import final
from kernel.lib.bus import PROCESSORS_HOOK, ROOT_PCI, BusDevice, bus_root

_NAMES: Final[list[bytes]] = [
    b"class", b"config", b"device", b"irq", b"local_cpulist", b"modalias", b"numa_node", b"resource", b"revision",
    b"subsystem_device", b"subsystem_vendor", b"vendor",
]  # fmt: skip
_CONFIGURATION_WORDS: Final = 64
_MEMORY_RESOURCE: Final = 0x200
_RESOURCES: Final = 13  # as many lines as Linux has: six windows, a ROM, and those of bridges


@final
class PciFunction(BusDevice):
    """One function."""

    def __init__(self, device: PciDevice) -> None:
        super().__init__(bus_root(ROOT_PCI), device.name().encode(), b"pci")
        self.device: PciDevice = device

    def fact_names(self) -> list[bytes]:
        return _NAMES

    def fact(self, name: bytes) -> bytes:
        device = self.device
        match name:
            case b"vendor":
                return f"{device.vendor:#06x}\n".encode()
            case b"device":
                return f"{device.device:#06x}\n".encode()
            case b"subsystem_vendor":
                return f"{self._subsystem() & 0xFFFF:#06x}\n".encode()
            case b"subsystem_device":
                return f"{self._subsystem() >> 16:#06x}\n".encode()
            case b"class":
                return f"{device.class_code:#08x}\n".encode()
            case b"revision":
                return f"{device.read_u8(CLASS):#04x}\n".encode()
            case b"irq":
                return f"{max(0, device.interrupt_line())}\n".encode()
            case b"modalias":
                return self._alias() + b"\n"
            case b"config":
                return self._configuration()
            case b"resource":
                return self._resources()
            case b"numa_node":
                return b"-1\n"
            case _:  # local_cpulist
                processors = PROCESSORS_HOOK.list
                return processors()

    def properties(self) -> bytes:
        device = self.device
        subsystem = self._subsystem()
        return (
            (
                f"PCI_CLASS={device.class_code:X}\nPCI_ID={device.vendor:04X}:{device.device:04X}\n"
                f"PCI_SUBSYS_ID={subsystem & 0xFFFF:04X}:{subsystem >> 16:04X}\n"
            ).encode()
            + b"PCI_SLOT_NAME="
            + self.name
            + b"\nMODALIAS="
            + self._alias()
            + b"\n"
        )

    def _subsystem(self) -> int:
        """Vendor and device of the card; bridges have none."""
        return self.device.read_u32(SUBSYSTEM) if self._is_plain() else 0

    def _is_plain(self) -> bool:
        return self.device.header_type & ~MULTIPLE_FUNCTIONS == TYPE_DEVICE

    def _alias(self) -> bytes:
        device = self.device
        subsystem = self._subsystem()
        code = device.class_code
        return (
            f"pci:v{device.vendor:08X}d{device.device:08X}sv{subsystem & 0xFFFF:08X}sd{subsystem >> 16:08X}"
            f"bc{code >> 16:02X}sc{code >> 8 & 0xFF:02X}i{code & 0xFF:02X}"
        ).encode()

    def _configuration(self) -> bytes:
        """The 256 bytes of configuration space."""
        found = bytearray()
        for index in range(_CONFIGURATION_WORDS):
            word = self.device.read_u32(4 * index)
            for shift in range(0, 32, 8):
                found.append(word >> shift & 0xFF)
        return bytes(found)

    def _resources(self) -> bytes:
        text = b""
        for index in range(_RESOURCES):
            start = 0
            end = 0
            flags = 0
            if index < BAR_COUNT and self.device.bar_size(index) > 0:
                start = self.device.bar_address(index)
                end = start + self.device.bar_size(index) - 1
                flags = _MEMORY_RESOURCE
            text += f"{start:#018x} {end:#018x} {flags:#018x}\n".encode()
        return text
