"""QEMU's firmware configuration device (fw_cfg): items of bytes, each with a key, that QEMU hands to its guest.

A key is written to the selector, and the item's bytes are then read one after the other; past the end there are
zeros. A device that says so also copies an item to memory by itself: see kernel/drivers/platform/firmware_items.py.

Context: any; nothing sleeps. Whoever selects an item reads it before anybody else selects one.
Source: QEMU's docs/specs/fw_cfg.rst.
"""

from typing import Final

from arch.x86_64.ports import in_u8, out_u16, out_u32
from kernel.lang import Span, u8

SELECTOR: Final = 0x510
DATA: Final = 0x511
TRANSFER_HIGH: Final = 0x514  # big-endian
TRANSFER_LOW: Final = 0x518


def select_firmware_item(key: int) -> None:
    """Read from the start of an item next. `key`: 0 to 0xFFFF."""
    out_u16(SELECTOR, key)


def read_firmware_item(destination: Span[u8]) -> None:
    """The next bytes of the item that was selected."""
    for i in range(len(destination)):
        destination[i] = in_u8(DATA)


def start_firmware_transfer(physical: int) -> None:
    """Let the device do what the command at a physical address says. Writing the low half starts it."""
    out_u32(TRANSFER_HIGH, _swapped(physical >> 32 & 0xFFFF_FFFF))
    out_u32(TRANSFER_LOW, _swapped(physical & 0xFFFF_FFFF))


def _swapped(word: int) -> int:
    """The bytes of a 32-bit word the other way round."""
    return (word & 0xFF) << 24 | (word & 0xFF00) << 8 | (word >> 8 & 0xFF00) | word >> 24
