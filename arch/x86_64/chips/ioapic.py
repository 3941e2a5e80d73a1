"""The I/O APIC: interrupt lines beyond the 8259's, each sent to the processor with a vector of its own.

Only lines that a driver asks for are used; the PC's first sixteen stay with the 8259.

Context: boot; nothing sleeps.
Source: Intel 82093AA data sheet (290566-001), chapter 3.
"""

from typing import Final

from arch.x86_64 import apic
from kernel.drivers.platform.acpi_devices import hardware
from kernel.drivers.platform.vectors import InterruptHandler, allocate_vector
from kernel.drivers.platform.window import Window, device_window
from kernel.lang import ENODEV, Errno

REGISTER_SELECT: Final = 0x00
REGISTER_DATA: Final = 0x10
WINDOW_SIZE: Final = 0x20

VERSION: Final = 0x01  # the number of the last line is in bits 16 … 23
REDIRECTION: Final = 0x10  # two words a line

LEVEL_TRIGGERED: Final = 1 << 15
DESTINATION_SHIFT: Final = 24  # in the upper word


def connect(line: int, handler: InterruptHandler) -> None:
    """Let a level-triggered line, active high, interrupt this processor. Lines are numbered through all I/O APICs, as
    ACPI's global system interrupts. Raises ENODEV when there is no such line, ENOSPC, MemoryError.
    """
    if not apic.is_present():
        raise Errno(ENODEV)
    for i in range(hardware.apic_count):
        first = hardware.apic_first_line[i]
        if line < first:
            continue
        registers = device_window(hardware.apic_address[i], WINDOW_SIZE)
        if line - first > _read(registers, VERSION) >> 16 & 0xFF:
            continue
        entry = REDIRECTION + 2 * (line - first)
        _write(registers, entry + 1, (apic.identity() & 0xFF) << DESTINATION_SHIFT)
        _write(registers, entry, LEVEL_TRIGGERED | allocate_vector(handler))
        return
    raise Errno(ENODEV)


def _read(registers: Window, register: int) -> int:
    registers.store_u32(REGISTER_SELECT, register)
    return registers.load_u32(REGISTER_DATA)


def _write(registers: Window, register: int, value: int) -> None:
    registers.store_u32(REGISTER_SELECT, register)
    registers.store_u32(REGISTER_DATA, value)
