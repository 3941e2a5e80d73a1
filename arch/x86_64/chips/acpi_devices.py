"""What ACPI's tables say of devices that no bus reports: I/O APICs (MADT); virtio devices in memory and QEMU's
fw_cfg (DSDT).

There is no AML interpreter. QEMU's microvm describes each virtio device by a constant name, "LNRO0005", and a constant
resource template after it, so these bytes are searched for; fw_cfg is "QEMU0002", at ports that never change. Read once
at boot, while all low memory is mapped; lying tables give fewer devices.

Source: ACPI Specification 6.5, 5.2.12 (MADT), 6.4.3.4 (32-bit fixed memory range), 6.4.3.6 (extended interrupt).
"""

from typing import Final

from arch.x86_64.bootinfo import BootInfoError, PhysicalMemory
from arch.x86_64.chips.acpi import (
    DSDT_LIMIT,
    FADT_DSDT,
    HEADER_SIZE,
    SIGNATURE_FACP,
    find_root_pointer,
    find_table,
)
from kernel.lang import final

FADT_CENTURY: Final = 108
SIGNATURE_MADT: Final = 0x4349_5041  # "APIC", little-endian
MADT_ENTRIES: Final = 44
MADT_LIMIT: Final = 1 << 16
MADT_IO_APIC: Final = 1
MADT_PROCESSOR: Final = 0
PROCESSOR_IDENTITY: Final = 3
PROCESSOR_FLAGS: Final = 4
MADT_X2APIC: Final = 9
X2APIC_IDENTITY: Final = 4
X2APIC_FLAGS: Final = 8
PROCESSOR_ENABLED: Final = 1
SHORTEST_ENTRY: Final = 8
X2APIC_SIZE: Final = 16
IO_APIC_SIZE: Final = 12
IO_APIC_ADDRESS: Final = 4
IO_APIC_FIRST_LINE: Final = 8
APIC_LIMIT: Final = 8
PROCESSOR_LIMIT: Final = 64

HID_FIRST: Final = 0x4F52_4E4C  # "LNRO"
HID_SECOND: Final = 0x3530_3030  # "0005"
ITEMS_FIRST: Final = 0x554D_4551  # "QEMU"
ITEMS_SECOND: Final = 0x3230_3030  # "0002"
FIXED_MEMORY: Final = 0x0009_86  # the descriptor's kind and its length of 9, in its first three bytes
FIXED_MEMORY_BASE: Final = 4
FIXED_MEMORY_SIZE: Final = 8
EXTENDED_INTERRUPT: Final = 0x0006_89  # length 6: one line
INTERRUPT_LINE: Final = 5
RESOURCE_LIMIT: Final = 128  # from the name to the last resource
DEVICE_LIMIT: Final = 32


@final
class Hardware:
    """Tables of fixed size: they are filled before there is a heap."""

    def __init__(self) -> None:
        self.processor_count: int = 0
        self.processor_identity: list[int] = [0] * PROCESSOR_LIMIT  # of their local APICs, the boot processor's too
        self.apic_count: int = 0
        self.apic_address: list[int] = [0] * APIC_LIMIT
        self.apic_first_line: list[int] = [0] * APIC_LIMIT
        self.century_register: int = 0  # of the clock chip; 0: it has none
        self.has_firmware_items: bool = False  # fw_cfg
        self.virtio_count: int = 0
        self.virtio_address: list[int] = [0] * DEVICE_LIMIT
        self.virtio_size: list[int] = [0] * DEVICE_LIMIT
        self.virtio_line: list[int] = [0] * DEVICE_LIMIT

    def find(self, memory: PhysicalMemory, rsdp: int) -> None:
        """Look everything up. `rsdp` is 0 where the loader gave none."""
        try:
            root = rsdp if rsdp != 0 else find_root_pointer(memory)
            if root == 0:
                return
            madt = find_table(memory, root, SIGNATURE_MADT)
            if madt != 0:
                self._find_apics(memory, madt)
            fadt = find_table(memory, root, SIGNATURE_FACP)
            if fadt != 0:
                self.century_register = memory.read_u8(fadt + FADT_CENTURY)
                self._search_names(memory, memory.read_u32(fadt + FADT_DSDT))
        except BootInfoError:
            return  # what was found until here is as good as the rest

    def _find_apics(self, memory: PhysicalMemory, madt: int) -> None:
        at = madt + MADT_ENTRIES
        end = madt + min(memory.read_u32(madt + 4), MADT_LIMIT)
        while at + SHORTEST_ENTRY <= end:
            length = memory.read_u8(at + 1)
            if length < 2 or at + length > end:
                return
            kind = memory.read_u8(at)
            if kind == MADT_PROCESSOR and length >= SHORTEST_ENTRY:
                self._add_processor(memory.read_u8(at + PROCESSOR_IDENTITY), memory.read_u32(at + PROCESSOR_FLAGS))
            elif kind == MADT_X2APIC and length >= X2APIC_SIZE:
                self._add_processor(memory.read_u32(at + X2APIC_IDENTITY), memory.read_u32(at + X2APIC_FLAGS))
            elif kind == MADT_IO_APIC and length >= IO_APIC_SIZE and self.apic_count < APIC_LIMIT:
                self.apic_address[self.apic_count] = memory.read_u32(at + IO_APIC_ADDRESS)
                self.apic_first_line[self.apic_count] = memory.read_u32(at + IO_APIC_FIRST_LINE)
                self.apic_count += 1
            at += length

    def _add_processor(self, identity: int, flags: int) -> None:
        """A processor that can be used. Those beyond the limit, and doubles, are left alone."""
        if flags & PROCESSOR_ENABLED == 0 or self.processor_count == PROCESSOR_LIMIT:
            return
        for i in range(self.processor_count):
            if self.processor_identity[i] == identity:
                return
        self.processor_identity[self.processor_count] = identity
        self.processor_count += 1

    def _search_names(self, memory: PhysicalMemory, dsdt: int) -> None:
        """Devices by their constant names."""
        at = dsdt + HEADER_SIZE
        end = dsdt + min(memory.read_u32(dsdt + 4), DSDT_LIMIT)
        while at + 8 <= end and self.virtio_count < DEVICE_LIMIT:
            first = memory.read_u8(at)
            if first == HID_FIRST & 0xFF and memory.read_u32(at) == HID_FIRST:
                if memory.read_u32(at + 4) == HID_SECOND:
                    self._add_virtio(memory, at, min(at + RESOURCE_LIMIT, end - 9))
                    at += 7
            elif first == ITEMS_FIRST & 0xFF and memory.read_u32(at) == ITEMS_FIRST:
                if memory.read_u32(at + 4) == ITEMS_SECOND:
                    self.has_firmware_items = True
            at += 1

    def _add_virtio(self, memory: PhysicalMemory, start: int, end: int) -> None:
        """The device whose name is at `start`, if its resources follow before `end`."""
        index = self.virtio_count
        self.virtio_address[index] = 0
        for at in range(start + 8, end):
            head = memory.read_u32(at) & 0xFF_FFFF
            if head == FIXED_MEMORY and self.virtio_address[index] == 0:
                self.virtio_address[index] = memory.read_u32(at + FIXED_MEMORY_BASE)
                self.virtio_size[index] = memory.read_u32(at + FIXED_MEMORY_SIZE)
            elif head == EXTENDED_INTERRUPT and self.virtio_address[index] != 0:
                self.virtio_line[index] = memory.read_u32(at + INTERRUPT_LINE)
                self.virtio_count += 1
                return


hardware: Final = Hardware()
