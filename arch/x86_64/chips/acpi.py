"""As much of ACPI as switching off needs: the PM1a control port, or the sleep register of a machine without such ports,
and the value that means "soft off" (\\_S5).

The tables are found from the root pointer, which the boot loader gives or which lies in the BIOS's memory. There is no
AML interpreter: \\_S5 is a constant package in every machine that we know, so its bytes are searched for in the DSDT.
Read once at boot, while all low memory is mapped; lying tables give "not found".

Source: ACPI Specification 6.5, 5.2.5 (RSDP), 5.2.9 (FADT), 5.2.3.2 (generic addresses), 7.4.2 (_Sx), 20.2.5 (package
encoding).
"""

from typing import Final

from arch.x86_64.bootinfo import BootInfoError, PhysicalMemory

BIOS_AREA_START: Final = 0xE0000
BIOS_AREA_END: Final = 0x100000

SIGNATURE_FACP: Final = 0x5043_4146  # "FACP", little-endian
SIGNATURE_RSD: Final = 0x2044_5352  # "RSD "
SIGNATURE_PTR: Final = 0x2052_5450  # "PTR "
NAME_S5: Final = 0x5F35_535F  # "_S5_"

HEADER_SIZE: Final = 36
FADT_DSDT: Final = 40
FADT_PM1A_CONTROL: Final = 64
FADT_FLAGS: Final = 112
FADT_SLEEP_CONTROL: Final = 244  # a generic address: space, width, offset, access size (a byte each), address
FLAG_HARDWARE_REDUCED: Final = 1 << 20
SPACE_MEMORY: Final = 0
SLEEP_CONTROL_END: Final = FADT_SLEEP_CONTROL + 12
TABLE_LIMIT: Final = 128
DSDT_LIMIT: Final = 1 << 20
SHORTEST_S5: Final = 9  # name, package, length, count, and a value of two bytes

PACKAGE_OP: Final = 0x12
BYTE_PREFIX: Final = 0x0A


class SoftOff:
    """How to switch off: through a port, or through a register in memory; 0: there is none."""

    def __init__(self) -> None:
        self.port: int = 0
        self.register: int = 0  # physical address
        self.sleep_type: int = 0

    def find(self, memory: PhysicalMemory, rsdp: int) -> None:
        """Looks the two numbers up. `rsdp` is 0 where the loader gave none."""
        try:
            root = rsdp if rsdp != 0 else find_root_pointer(memory)
            fadt = find_table(memory, root, SIGNATURE_FACP) if root != 0 else 0
            if fadt == 0:
                return
            sleep_type = find_s5(memory, memory.read_u32(fadt + FADT_DSDT))
            if sleep_type < 0:
                return
            self.sleep_type = sleep_type
            if memory.read_u32(fadt + FADT_FLAGS) & FLAG_HARDWARE_REDUCED == 0:
                self.port = memory.read_u32(fadt + FADT_PM1A_CONTROL) & 0xFFFF
            elif memory.read_u32(fadt + 4) >= SLEEP_CONTROL_END:
                if memory.read_u8(fadt + FADT_SLEEP_CONTROL) == SPACE_MEMORY:
                    self.register = memory.read_address(fadt + FADT_SLEEP_CONTROL + 4)
        except BootInfoError:
            self.port = 0
            self.register = 0


def find_root_pointer(memory: PhysicalMemory) -> int:
    """The RSDP in the BIOS's read-only memory (on a 16-byte boundary), or 0."""
    for address in range(BIOS_AREA_START, BIOS_AREA_END, 16):
        if memory.read_u32(address) == SIGNATURE_RSD and memory.read_u32(address + 4) == SIGNATURE_PTR:
            return address
    return 0


def find_table(memory: PhysicalMemory, rsdp: int, signature: int) -> int:
    """The address of a table, by the XSDT where there is one, else the RSDT; or 0. Raises BootInfoError."""
    wide = memory.read_u8(rsdp + 15) >= 2
    table = memory.read_address(rsdp + 24) if wide else 0
    if table == 0:
        wide = False
        table = memory.read_u32(rsdp + 16)
    entry_size = 8 if wide else 4
    count = min((memory.read_u32(table + 4) - HEADER_SIZE) // entry_size, TABLE_LIMIT)
    for i in range(count):
        entry = table + HEADER_SIZE + i * entry_size
        address = memory.read_address(entry) if wide else memory.read_u32(entry)
        if memory.read_u32(address) == signature:
            return address
    return 0


def find_s5(memory: PhysicalMemory, dsdt: int) -> int:
    """SLP_TYPa of \\_S5: Name (_S5, Package {type_a, …}); or -1.

    After the name: PackageOp, PkgLength (its top two bits count further bytes), element count, first element.
    """
    end = dsdt + min(memory.read_u32(dsdt + 4), DSDT_LIMIT)
    at = dsdt + HEADER_SIZE
    while at + SHORTEST_S5 <= end:
        if memory.read_u8(at) == 0x5F and memory.read_u32(at) == NAME_S5 and memory.read_u8(at + 4) == PACKAGE_OP:
            element = at + 7 + (memory.read_u8(at + 5) >> 6)
            value = memory.read_u8(element)
            if value == BYTE_PREFIX:
                value = memory.read_u8(element + 1)
            return value & 7
        at += 1
    return -1
