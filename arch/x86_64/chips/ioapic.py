"""The I/O APIC: interrupt lines beyond the 8259's, each sent to the processor with a vector of its own.

Only lines that a driver asks for are used; the PC's first sixteen stay with the 8259.

Context: boot; nothing sleeps.
Safety: the registers are where ACPI's tables say that an I/O APIC is; only the two of the window are touched.
Source: Intel 82093AA data sheet (290566-001), chapter 3.
"""

from typing import Final

from arch.x86_64.chips import apic
from arch.x86_64.chips.acpi_devices import hardware
from arch.x86_64.layout import direct_map
from arch.x86_64.paging import is_mapped, map_device
from kernel.lang import ENODEV, Errno
from kernel.lang.unsafe import mmio_load_u32, mmio_store_u32

REGISTER_SELECT: Final = 0x00
REGISTER_DATA: Final = 0x10
WINDOW_SIZE: Final = 0x20

VERSION: Final = 0x01  # the number of the last line is in bits 16 … 23
REDIRECTION: Final = 0x10  # two words a line

LEVEL_TRIGGERED: Final = 1 << 15
MASKED: Final = 1 << 16
DESTINATION_SHIFT: Final = 24  # in the upper word


def route_line(line: int, vector: int) -> None:
    """Let a level-triggered line, active high, interrupt this processor with a vector. Lines are numbered through all
    I/O APICs, as ACPI's global system interrupts. Raises ENODEV when there is no such line, MemoryError.
    """
    if not apic.is_present():
        raise Errno(ENODEV)
    for i in range(hardware.apic_count):
        first = hardware.apic_first_line[i]
        if line < first:
            continue
        registers = map_device(hardware.apic_address[i], WINDOW_SIZE)
        if line - first > _read(registers, VERSION) >> 16 & 0xFF:
            continue
        entry = REDIRECTION + 2 * (line - first)
        _write(registers, entry + 1, (apic.identity() & 0xFF) << DESTINATION_SHIFT)
        _write(registers, entry, LEVEL_TRIGGERED | vector)
        return
    raise Errno(ENODEV)


def mask_all() -> None:
    """Hold all lines back that `route_line` let through: it mapped the registers."""
    for i in range(hardware.apic_count):
        registers = direct_map(hardware.apic_address[i])
        if is_mapped(registers):
            for line in range((_read(registers, VERSION) >> 16 & 0xFF) + 1):
                _write(registers, REDIRECTION + 2 * line, MASKED)


def _read(registers: int, register: int) -> int:
    mmio_store_u32(registers + REGISTER_SELECT, register)
    return mmio_load_u32(registers + REGISTER_DATA)


def _write(registers: int, register: int, value: int) -> None:
    mmio_store_u32(registers + REGISTER_SELECT, register)
    mmio_store_u32(registers + REGISTER_DATA, value)
