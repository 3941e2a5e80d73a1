"""PCI: finding devices, their base address registers and capabilities.

Configuration space is reached as the architecture has it; its first 256 bytes hold all that our drivers need. Bus 0 is
searched, and every bus that a bridge on a searched bus names. Nothing is moved: the firmware has assigned addresses and
lines. If it assigned no addresses at all, as QEMU's qboot, Krait does: devices on bus 0 then get what is free below the
processor's own registers. A bridge that the firmware did not number leads nowhere: Krait assigns no bus numbers, and
devices behind such a bridge are not found.

What a device reports is checked before it is used: lists of capabilities end after a bound, and a register
window lies inside its base address register.

Context: boot; nothing sleeps.
Source: PCI Local Bus Specification 3.0, chapter 6 (configuration space);
PCI-to-PCI Bridge Architecture Specification 1.2, 3.2.
"""

from typing import Final

from arch import (
    DEVICE_ADDRESSES_END,
    DEVICE_ADDRESSES_START,
    PAGE_SHIFT,
    boot_info,
    read_configuration,
    write_configuration,
    write_configuration_u8,
    write_configuration_u16,
)
from kernel.drivers.platform.window import Window, device_window
from kernel.lang import ENODEV, Errno, final
from kernel.lib import log

# Configuration registers.
IDENTITY: Final = 0x00
COMMAND: Final = 0x04
CLASS: Final = 0x08
HEADER: Final = 0x0C
FIRST_BAR: Final = 0x10
BRIDGE_BUSES: Final = 0x18
SUBSYSTEM: Final = 0x2C
CAPABILITIES: Final = 0x34
INTERRUPT: Final = 0x3C

COMMAND_IO: Final = 1 << 0
COMMAND_MEMORY: Final = 1 << 1
COMMAND_MASTER: Final = 1 << 2
COMMAND_NO_LINE: Final = 1 << 10
STATUS_CAPABILITIES: Final = 1 << 20  # in the word at COMMAND

NO_DEVICE: Final = 0xFFFF
MULTIPLE_FUNCTIONS: Final = 0x80
TYPE_DEVICE: Final = 0
TYPE_BRIDGE: Final = 1

BAR_COUNT: Final = 6
BAR_IO: Final = 1 << 0
BAR_WIDE: Final = 2 << 1
BAR_TYPE_MASK: Final = 3 << 1

CAPABILITY_VENDOR: Final = 0x09
CAPABILITY_MSIX: Final = 0x11

_BUS_LIMIT: Final = 256
_CAPABILITY_LIMIT: Final = 48  # as many as fit after the header
_HIGH_LIMIT: Final = 1 << 20  # of the upper half of an address: physical addresses have 52 bits
_WINDOW_LIMIT: Final = 16 << 20  # of one register window; ours are a few pages


@final
class FreeAddresses:
    """Physical addresses for devices that have none: [bottom, top). Nothing is given back."""

    def __init__(self) -> None:
        self.bottom: int = 0
        self.top: int = 0
        self.is_exhausted: bool = False  # a request found no room

    def find(self) -> None:
        """Addresses for devices, above everything that the loader lists there, RAM or reserved."""
        self.top = DEVICE_ADDRESSES_END
        self.bottom = DEVICE_ADDRESSES_START
        for i in range(boot_info.region_count):
            if boot_info.region_start[i] < self.top:
                self.bottom = max(self.bottom, min(boot_info.region_end[i], self.top))

    def take(self, size_bytes: int) -> int:
        """An address for that much, a power of two, aligned to itself and to whole pages; 0: there is no room."""
        address = (self.top - size_bytes) & -max(size_bytes, 1 << PAGE_SHIFT)
        if address < self.bottom or address <= 0:
            if self.top > 0 and not self.is_exhausted:
                self.is_exhausted = True
                log.warn("pci: no room for the registers of some devices")
            return 0
        self.top = address
        return address


FREE_ADDRESSES: Final = FreeAddresses()


@final
class PciDevice:
    """One function of a device, at `bus`:`slot`.`function`."""

    def __init__(self, bus: int, slot: int, function: int) -> None:
        self.bus: int = bus
        self.slot: int = slot
        self.function: int = function
        identity = self.read_u32(IDENTITY)
        self.vendor: int = identity & 0xFFFF
        self.device: int = identity >> 16
        self.class_code: int = self.read_u32(CLASS) >> 8  # class, subclass, interface
        self.subsystem: int = self.read_u32(SUBSYSTEM) >> 16
        self.header_type: int = self.read_u8(HEADER + 2)
        self._bar_address: list[int] = [0] * BAR_COUNT
        self._bar_size: list[int] = [0] * BAR_COUNT  # 0: unusable

    def name(self) -> str:
        """As Linux writes it: domain, bus, slot, function."""
        return f"0000:{self.bus:02x}:{self.slot:02x}.{self.function}"

    def read_u32(self, register: int) -> int:
        """A word of configuration space; `register` is a multiple of 4."""
        return read_configuration(self.bus, self.slot, self.function, register)

    def write_u32(self, register: int, value: int) -> None:
        write_configuration(self.bus, self.slot, self.function, register, value)

    def write_u16(self, register: int, value: int) -> None:
        """Two bytes, in a store of that width; `register` is a multiple of 2."""
        write_configuration_u16(self.bus, self.slot, self.function, register, value)

    def write_u8(self, register: int, value: int) -> None:
        """One byte, in a store of that width."""
        write_configuration_u8(self.bus, self.slot, self.function, register, value)

    def read_u16(self, register: int) -> int:
        return self.read_u32(register & 0xFC) >> 8 * (register & 2) & 0xFFFF

    def read_u8(self, register: int) -> int:
        return self.read_u32(register & 0xFC) >> 8 * (register & 3) & 0xFF

    def change_command(self, clear: int, put: int) -> None:
        """Clear and set bits of the command register. Its upper half is the status, where a one would clear a bit."""
        command = self.read_u32(COMMAND) & 0xFFFF
        self.write_u32(COMMAND, command & ~clear | put)

    def enable(self) -> None:
        """Measure the base address registers; then let the device answer at its addresses, and reach memory by itself.

        It does not respond while it is measured, so that it cannot respond at a wrong address. All are measured at
        once, because a virtual machine needs a millisecond to take a device's memory away and to give it back.
        """
        self.change_command(COMMAND_MEMORY | COMMAND_IO, 0)
        bar = 0
        while bar < self._bar_count():
            bar += self._measure(bar)
        self.change_command(0, COMMAND_MEMORY | COMMAND_MASTER)

    def _bar_count(self) -> int:
        return BAR_COUNT if self.header_type & ~MULTIPLE_FUNCTIONS == TYPE_DEVICE else 0

    def _measure(self, bar: int) -> int:
        """Find address and size of a memory BAR: the bits that stay 0 when all are written as ones. What can't be used
        keeps the size 0. Returns how many registers it takes.
        """
        register = FIRST_BAR + 4 * bar
        low = self.read_u32(register)
        if low & BAR_IO != 0:
            return 1
        wide = low & BAR_TYPE_MASK == BAR_WIDE
        if wide and bar == BAR_COUNT - 1:
            return 1
        high = self.read_u32(register + 4) if wide else 0
        self.write_u32(register, 0xFFFF_FFFF)
        ones = self.read_u32(register) & ~0xF
        self.write_u32(register, low)
        size = ones & -ones
        if wide and size == 0:  # 4 GiB or more
            self.write_u32(register + 4, 0xFFFF_FFFF)
            ones = self.read_u32(register + 4)
            self.write_u32(register + 4, high)
            size = min(ones & -ones, _HIGH_LIMIT) << 32
        if high < _HIGH_LIMIT:
            address = high << 32 | low & ~0xF
            if address == 0 and size > 0 and self.bus == 0:
                address = FREE_ADDRESSES.take(size)
                self.write_u32(register, address | low & 0xF)
            self._bar_address[bar] = address
            self._bar_size[bar] = size
        return 2 if wide else 1

    def has_addresses(self) -> bool:
        """Whether the firmware gave it memory."""
        for bar in range(self._bar_count()):
            low = self.read_u32(FIRST_BAR + 4 * bar)
            if low & BAR_IO == 0 and low & ~0xF != 0:
                return True
        return False

    def interrupt_line(self) -> int:
        """The line of the 8259 to which the firmware connected the device, or -1."""
        word = self.read_u32(INTERRUPT)
        line = word & 0xFF
        pin = word >> 8 & 0xFF
        return line if pin != 0 and line < 16 else -1

    def find_capability(self, wanted: int, after: int = 0) -> int:
        """The register where a capability of a kind begins, or 0. `after`: the one found before, to find more."""
        if self.read_u32(COMMAND) & STATUS_CAPABILITIES == 0:
            return 0
        at = self.read_u8(CAPABILITIES) & 0xFC
        passed = after == 0
        for _ in range(_CAPABILITY_LIMIT):
            if at < 0x40:
                return 0
            head = self.read_u32(at)
            if passed and head & 0xFF == wanted:
                return at
            if at == after:
                passed = True
            at = head >> 8 & 0xFC
        return 0

    def bar_address(self, bar: int) -> int:
        """Where the memory behind a base address register lies, once it was measured."""
        return self._bar_address[bar]

    def bar_size(self, bar: int) -> int:
        """Its bytes; 0 if there is none, or it was not measured."""
        return self._bar_size[bar]

    def window(self, bar: int, offset: int, size_bytes: int) -> Window:
        """A window on registers behind a base address register of an enabled device. Raises ENODEV when there is no
        such memory, MemoryError.
        """
        if not 0 <= bar < BAR_COUNT or not 0 < size_bytes <= _WINDOW_LIMIT:
            raise Errno(ENODEV)
        size = self._bar_size[bar]
        if offset < 0 or offset > size or size_bytes > size - offset or self._bar_address[bar] == 0:
            raise Errno(ENODEV)
        return device_window(self._bar_address[bar] + offset, size_bytes)


def scan() -> list[PciDevice]:
    """Every function on every bus that can be reached. Raises MemoryError."""
    found = _search()
    for device in found:
        if device.has_addresses():
            return found
    FREE_ADDRESSES.find()
    return found


def _search() -> list[PciDevice]:
    found: list[PciDevice] = []
    buses = [0]
    seen = [False] * _BUS_LIMIT
    seen[0] = True
    while len(buses) > 0:
        bus = buses.pop()
        for slot in range(32):
            for function in range(8):
                device = PciDevice(bus, slot, function)
                if device.vendor == NO_DEVICE:
                    if function == 0:
                        break
                    continue
                found.append(device)
                if device.header_type & ~MULTIPLE_FUNCTIONS == TYPE_BRIDGE:
                    below = device.read_u32(BRIDGE_BUSES) >> 8 & 0xFF
                    if not seen[below]:
                        seen[below] = True
                        buses.append(below)
                if function == 0 and device.header_type & MULTIPLE_FUNCTIONS == 0:
                    break
    return found
