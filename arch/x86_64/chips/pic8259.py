"""The interrupt controller of the PC: two 8259A in cascade, fifteen lines, vectors 32 to 47.

Every line starts masked; a driver unmasks its own. ISA's lines are edge-triggered, PCI's level-triggered. Both are
acknowledged before their handler runs: handlers run with interrupts off, so the next edge waits, and a level that the
handler did not make go away interrupts again.

Spurious interrupts (the line fell before the processor asked) come as the lowest priority, 7 or 15, without the
in-service bit, and must not be acknowledged at the chip that made them up.

Source: Intel 8259A data sheet (231468-003); Intel ICH9 data sheet, 13.4.9 and 13.4.10 (edge/level control).
"""

from typing import Final

from arch.x86_64.ports import in_u8, out_u8

FIRST_VECTOR: Final = 32
LINE_COUNT: Final = 16

MASTER_COMMAND: Final = 0x20
MASTER_DATA: Final = 0x21
SLAVE_COMMAND: Final = 0xA0
SLAVE_DATA: Final = 0xA1

MASTER_LEVEL: Final = 0x4D0
SLAVE_LEVEL: Final = 0x4D1

CASCADE_LINE: Final = 2

ICW1_INITIALISE: Final = 0x11  # edge-triggered, cascade, ICW4 follows
ICW4_8086: Final = 0x01
OCW2_END_OF_INTERRUPT: Final = 0x20
OCW3_READ_IN_SERVICE: Final = 0x0B

_mask: int = 0xFFFF & ~(1 << CASCADE_LINE)


def initialise() -> None:
    """Moves the lines from vectors 8-15 and 112-119, where the firmware has them among the exceptions, to 32-47; all
    masked.
    """
    out_u8(MASTER_COMMAND, ICW1_INITIALISE)
    out_u8(SLAVE_COMMAND, ICW1_INITIALISE)
    out_u8(MASTER_DATA, FIRST_VECTOR)
    out_u8(SLAVE_DATA, FIRST_VECTOR + 8)
    out_u8(MASTER_DATA, 1 << CASCADE_LINE)
    out_u8(SLAVE_DATA, CASCADE_LINE)
    out_u8(MASTER_DATA, ICW4_8086)
    out_u8(SLAVE_DATA, ICW4_8086)
    _write_mask()


def unmask(line: int) -> None:
    """Lets the interrupts of a line through."""
    global _mask
    _mask &= ~(1 << line)
    _write_mask()


def mask(line: int) -> None:
    """Holds the interrupts of a line back."""
    global _mask
    _mask |= 1 << line
    _write_mask()


def mask_all() -> None:
    """Holds all back."""
    global _mask
    _mask = 0xFFFF
    _write_mask()


def set_level_triggered(line: int) -> None:
    """The line interrupts as long as it is high. Firmware has often said so already."""
    port = MASTER_LEVEL if line < 8 else SLAVE_LEVEL
    out_u8(port, in_u8(port) | 1 << (line & 7))


def acknowledge(line: int) -> bool:
    """Tells the chips that the interrupt arrived. False: it was spurious, nobody called."""
    if line == 7 and not _in_service(MASTER_COMMAND, 7):
        return False
    if line >= 8:
        if line == 15 and not _in_service(SLAVE_COMMAND, 7):
            out_u8(MASTER_COMMAND, OCW2_END_OF_INTERRUPT)  # the cascade line was real
            return False
        out_u8(SLAVE_COMMAND, OCW2_END_OF_INTERRUPT)
    out_u8(MASTER_COMMAND, OCW2_END_OF_INTERRUPT)
    return True


def _in_service(command_port: int, bit: int) -> bool:
    out_u8(command_port, OCW3_READ_IN_SERVICE)
    return in_u8(command_port) & (1 << bit) != 0


def _write_mask() -> None:
    out_u8(MASTER_DATA, _mask & 0xFF)
    out_u8(SLAVE_DATA, _mask >> 8)
