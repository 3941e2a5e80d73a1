"""Switching off and starting again.

Several ways each, in turn, because no machine has all; in the end the processor stops permanently. None of these
returns.

Source: ACPI Specification 6.5, 4.8.3.2.1 (PM1 control registers), 4.8.3.7 (sleep control register); Intel ICH9 data
sheet, 13.7.5 (reset control register).
"""

from typing import Final

from arch.x86_64.chips.acpi import SoftOff
from arch.x86_64.machine import reset_by_triple_fault, stop, store_device_u8
from arch.x86_64.ports import in_u8, out_u8, out_u16

SLEEP_ENABLE: Final = 1 << 13
REGISTER_SLEEP_ENABLE: Final = 1 << 5
DEVICE_LIMIT: Final = 1 << 40  # an address beyond is taken for a lie

# What QEMU's machines have, where no ACPI tables say so: PIIX4 (pc) and ICH9 (q35), both with type 0 for S5.
PIIX4_PM1A_CONTROL: Final = 0xB004
ICH9_PM1A_CONTROL: Final = 0x604

KEYBOARD_COMMAND: Final = 0x64
KEYBOARD_INPUT_FULL: Final = 0x02
KEYBOARD_PULSE_RESET: Final = 0xFE
RESET_CONTROL: Final = 0xCF9
RESET_PREPARE: Final = 0x02
RESET_NOW: Final = 0x06

SPIN_LIMIT: Final = 100_000

soft_off: Final = SoftOff()


def power_off() -> None:
    """Off: ACPI S5, then QEMU's ports; a machine without them just stops."""
    if 0 < soft_off.register < DEVICE_LIMIT:
        store_device_u8(soft_off.register, soft_off.sleep_type << 2 | REGISTER_SLEEP_ENABLE)
    if soft_off.port != 0:
        out_u16(soft_off.port, soft_off.sleep_type << 10 | SLEEP_ENABLE)
    out_u16(ICH9_PM1A_CONTROL, SLEEP_ENABLE)
    out_u16(PIIX4_PM1A_CONTROL, SLEEP_ENABLE)
    stop()


def restart() -> None:
    """Reset: the keyboard controller, the chip set's register, and a triple fault."""
    for _ in range(SPIN_LIMIT):
        if in_u8(KEYBOARD_COMMAND) & KEYBOARD_INPUT_FULL == 0:
            break
    out_u8(KEYBOARD_COMMAND, KEYBOARD_PULSE_RESET)
    _pause()
    out_u8(RESET_CONTROL, RESET_PREPARE)
    out_u8(RESET_CONTROL, RESET_NOW)
    _pause()
    reset_by_triple_fault()


def _pause() -> None:
    """Time for a reset to arrive. Reading a port takes about a microsecond on any machine."""
    for _ in range(SPIN_LIMIT):
        in_u8(KEYBOARD_COMMAND)
