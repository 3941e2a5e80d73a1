"""MSI-X: a PCI device interrupts by writing a message to the processor, one of several by its own table.

Context: boot.
Source: PCI Local Bus Specification 3.0, 6.8.2 (MSI-X capability and table structures).
"""

from typing import Final

from arch import message_address, takes_messages
from kernel.drivers.platform import pci
from kernel.drivers.platform.pci import PciDevice
from kernel.drivers.platform.vectors import InterruptHandler, allocate_vector
from kernel.drivers.platform.window import Window
from kernel.lang import Errno, final

# In the capability.
TABLE: Final = 4

CONTROL_ENABLE: Final = 1 << 31  # of the word whose upper half is the control register
CONTROL_MASK_ALL: Final = 1 << 30

ENTRY_SIZE: Final = 16
ENTRY_ADDRESS: Final = 0
ENTRY_ADDRESS_HIGH: Final = 4
ENTRY_DATA: Final = 8
ENTRY_CONTROL: Final = 12
ENTRY_MASKED: Final = 1


@final
class MsixTable:
    """The messages that a device may send."""

    def __init__(self, device: PciDevice, capability: int, table: Window, count: int) -> None:
        self._device: PciDevice = device
        self._capability: int = capability
        self._table: Window = table
        self.count: int = count
        """How many messages the table has room for."""

    def enable(self) -> None:
        """Switch from raising the interrupt line to sending messages. All entries are still masked."""
        for i in range(self.count):
            self._table.store_u32(i * ENTRY_SIZE + ENTRY_CONTROL, ENTRY_MASKED)
        word = self._device.read_u32(self._capability)
        self._device.write_u32(self._capability, word & ~CONTROL_MASK_ALL | CONTROL_ENABLE)
        self._device.change_command(0, pci.COMMAND_NO_LINE)

    def connect(self, index: int, handler: InterruptHandler) -> None:
        """Enable message `index`, to be handled by `handler`. Raises ENOSPC when no vector is left."""
        entry = index * ENTRY_SIZE
        self._table.store_u32(entry + ENTRY_ADDRESS, message_address())
        self._table.store_u32(entry + ENTRY_ADDRESS_HIGH, 0)
        self._table.store_u32(entry + ENTRY_DATA, allocate_vector(handler))
        self._table.store_u32(entry + ENTRY_CONTROL, 0)


def find_table(device: PciDevice) -> MsixTable | None:
    """The device's table, or None where messages can't be used. Raises MemoryError."""
    if not takes_messages():
        return None
    capability = device.find_capability(pci.CAPABILITY_MSIX)
    if capability == 0:
        return None
    count = (device.read_u32(capability) >> 16 & 0x7FF) + 1
    place = device.read_u32(capability + TABLE)
    try:
        table = device.window(place & 7, place & ~7, count * ENTRY_SIZE)
    except Errno:
        return None
    return MsixTable(device, capability, table, count)
