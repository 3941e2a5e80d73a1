"""The configuration space of PCI devices, through the ports 0xCF8 and 0xCFC, which every PC has. The 256 bytes seen
there hold all that our drivers need.

Source: PCI Local Bus Specification 3.0, 3.2.2.3.2 (configuration mechanism).
"""

from typing import Final

from arch.x86_64.ports import in_u32, out_u8, out_u16, out_u32

ADDRESS_PORT: Final = 0xCF8
DATA_PORT: Final = 0xCFC
ADDRESS_ENABLE: Final = 1 << 31

DEVICE_ADDRESSES_START: Final = 0xC000_0000
DEVICE_ADDRESSES_END: Final = 0xFEC0_0000
"""Physical addresses between, where RAM does not reach up to them, are for devices. Above lie the interrupt
controllers; below, QEMU's q35 has configuration space in memory (256 MiB from 0xB000_0000).
"""


def read_configuration(bus: int, slot: int, function: int, register: int) -> int:
    """A word of a device's configuration space; `register` is a multiple of 4 below 256."""
    _select(bus, slot, function, register)
    return in_u32(DATA_PORT)


def write_configuration(bus: int, slot: int, function: int, register: int, value: int) -> None:
    """Change such a word."""
    _select(bus, slot, function, register)
    out_u32(DATA_PORT, value)


def write_configuration_u8(bus: int, slot: int, function: int, register: int, value: int) -> None:
    """Change one byte, where a device takes no wider store for it; `register` is below 256."""
    _select(bus, slot, function, register)
    out_u8(DATA_PORT + (register & 3), value)


def write_configuration_u16(bus: int, slot: int, function: int, register: int, value: int) -> None:
    """Change two bytes; `register` is a multiple of 2 below 256."""
    _select(bus, slot, function, register)
    out_u16(DATA_PORT + (register & 2), value)


def _select(bus: int, slot: int, function: int, register: int) -> None:
    assert 0 <= register < 256
    out_u32(ADDRESS_PORT, ADDRESS_ENABLE | bus << 16 | slot << 11 | function << 8 | (register & 0xFC))
