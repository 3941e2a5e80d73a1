"""What the boot loader says: memory, command line, initial RAM disk, ACPI. Three dialects, one answer.

Invariants: nothing that a loader writes is trusted. Every read goes through a `PhysicalMemory`, which refuses what is
out of reach; counts are bounded; sums are checked; a lie raises `BootInfoError` (its code says which) and never traps.
After a successful parse the answer refers to the loader's memory only by address ranges, all of which are on the
reserved list.

Context: runs before there is a heap, so all tables have fixed sizes and are part of the image.

Sources: Xen's hvm/start_info.h; Multiboot Specification 0.6.96, section 3.3; Multiboot2 Specification 2.0, section 3.6.
"""

from typing import Final

from arch.x86_64.layout import PAGE_SIZE, page_ceiling, page_floor
from kernel.lang import KernelError

PROTOCOL_PVH: Final = 1
PROTOCOL_MULTIBOOT1: Final = 2
PROTOCOL_MULTIBOOT2: Final = 3

KIND_RAM: Final = 1
KIND_ACPI: Final = 3
"""ACPI tables: not usable, but mapped, to be read. Every other kind is just reserved."""

REGION_LIMIT: Final = 256
RESERVED_LIMIT: Final = 64
USABLE_LIMIT: Final = REGION_LIMIT + RESERVED_LIMIT
COMMAND_LINE_LIMIT: Final = 4096
MODULE_LIMIT: Final = 16

PHYSICAL_LIMIT: Final = 1 << 46
"""Where the direct map ends: memory above is ignored."""
LOW_MEMORY_END: Final = 0x10_0000
"""Below lie firmware data, the loader's tables and the spots where further processors wake: never handed out."""

LOWEST_FREE: Final = 0x1000
"""Below lie the BIOS's interrupt vectors and data, which nobody writes over."""

PVH_MAGIC: Final = 0x336E_C578
PVH_INFO_SIZE: Final = 56
PVH_MODULE_SIZE: Final = 32
PVH_MEMORY_ENTRY_SIZE: Final = 24

MB1_MAP_SIZE_LIMIT: Final = 1 << 16
MB2_TAG_END: Final = 0
MB2_TAG_COMMAND_LINE: Final = 1
MB2_TAG_MODULE: Final = 3
MB2_TAG_MEMORY_MAP: Final = 6
MB2_TAG_ACPI_OLD: Final = 14
MB2_TAG_ACPI_NEW: Final = 15
MB2_SIZE_LIMIT: Final = 1 << 20

# Codes of BootInfoError.
BAD_PROTOCOL: Final = 1
OUT_OF_REACH: Final = 2
BAD_MAGIC: Final = 3
TOO_MANY_REGIONS: Final = 4
BAD_RANGE: Final = 5
BAD_SIZE: Final = 6
NO_MEMORY: Final = 7


class BootInfoError(KernelError):
    """The loader's information can't be used."""


class PhysicalMemory:
    """Reads of physical memory. The kernel's reads through the direct map (boot_memory.py), a test's from bytes."""

    def read_u8(self, physical: int) -> int:
        """The byte at an address; raises BootInfoError when there is none."""
        raise BootInfoError(OUT_OF_REACH)

    def read_u32(self, physical: int) -> int:
        value = 0
        for i in range(4):
            value |= self.read_u8(physical + i) << (8 * i)
        return value

    def read_address(self, physical: int) -> int:
        """A 64-bit physical address or size. What has not two bits to spare is a lie, and sums of the rest can't
        overflow.
        """
        high = self.read_u32(physical + 4)
        if high >= 1 << 30:
            raise BootInfoError(BAD_RANGE)
        return self.read_u32(physical) | high << 32


class BootInfo:
    """The parsed answer. Ranges are [start, end) in bytes."""

    def __init__(self) -> None:
        self.protocol: int = 0
        self.region_count: int = 0
        self.region_start: list[int] = [0] * REGION_LIMIT
        self.region_end: list[int] = [0] * REGION_LIMIT
        self.region_kind: list[int] = [0] * REGION_LIMIT
        self.reserved_count: int = 0
        self.reserved_start: list[int] = [0] * RESERVED_LIMIT
        self.reserved_end: list[int] = [0] * RESERVED_LIMIT
        self.usable_count: int = 0
        self.usable_start: list[int] = [0] * USABLE_LIMIT
        self.usable_end: list[int] = [0] * USABLE_LIMIT
        self.command_line_length: int = 0
        self.command_line_was_cut: bool = False  # it was longer than COMMAND_LINE_LIMIT
        self.command_line_bytes: list[int] = [0] * COMMAND_LINE_LIMIT
        self.initrd_start: int = 0
        self.initrd_end: int = 0
        """The first module; start == end: none."""
        self.rsdp: int = 0
        """Physical address of the ACPI root pointer, 0 when the loader gave none."""

    def command_line(self) -> bytes:
        """A copy; needs the heap."""
        text = bytearray()
        for i in range(self.command_line_length):
            text.append(self.command_line_bytes[i])
        return bytes(text)

    def parse(self, memory: PhysicalMemory, protocol: int, info: int) -> None:
        """Reads the loader's information at physical address `info`. Raises BootInfoError."""
        self.protocol = protocol
        if info < 0 or info >= PHYSICAL_LIMIT:
            raise BootInfoError(OUT_OF_REACH)
        if protocol == PROTOCOL_PVH:
            self._parse_pvh(memory, info)
        elif protocol == PROTOCOL_MULTIBOOT1:
            self._parse_multiboot1(memory, info)
        elif protocol == PROTOCOL_MULTIBOOT2:
            self._parse_multiboot2(memory, info)
        else:
            raise BootInfoError(BAD_PROTOCOL)

    def reserve(self, start: int, end: int) -> None:
        """Keeps a range out of the usable memory. Raises BootInfoError."""
        if start < 0 or end < start:
            raise BootInfoError(BAD_RANGE)
        if start == end:
            return
        if self.reserved_count == RESERVED_LIMIT:
            raise BootInfoError(TOO_MANY_REGIONS)
        self.reserved_start[self.reserved_count] = start
        self.reserved_end[self.reserved_count] = end
        self.reserved_count += 1

    def find_usable(self) -> None:
        """Fills the usable ranges: whole pages of RAM that nobody reserved, disjoint. Raises BootInfoError when
        there are none.
        """
        self.usable_count = 0
        for i in range(self.region_count):
            if self.region_kind[i] == KIND_RAM:
                self._add_usable_of(i)
        if self.usable_count == 0:
            raise BootInfoError(NO_MEMORY)

    def usable_bytes(self) -> int:
        total = 0
        for i in range(self.usable_count):
            total += self.usable_end[i] - self.usable_start[i]
        return total

    def _add_usable_of(self, region: int) -> None:
        """What is left of one RAM region. `cursor` runs up; `hole` is the lowest obstacle that ends above it."""
        cursor = page_ceiling(self.region_start[region])
        end = page_floor(self.region_end[region])
        while cursor < end:
            hole_start = end
            hole_end = end
            for i in range(self.region_count):
                # Of overlapping entries the more restrictive wins, and of two for RAM the first.
                if self.region_kind[i] == KIND_RAM and i >= region:
                    continue
                if self.region_end[i] > cursor and self.region_start[i] < hole_start:
                    hole_start = self.region_start[i]
                    hole_end = self.region_end[i]
            for i in range(self.reserved_count):
                if self.reserved_end[i] > cursor and self.reserved_start[i] < hole_start:
                    hole_start = self.reserved_start[i]
                    hole_end = self.reserved_end[i]
            if LOW_MEMORY_END > cursor and hole_start > 0:
                hole_start = 0
                hole_end = LOW_MEMORY_END
            stop = min(page_floor(hole_start), end)
            if stop > cursor:
                if self.usable_count == USABLE_LIMIT:
                    raise BootInfoError(TOO_MANY_REGIONS)
                self.usable_start[self.usable_count] = cursor
                self.usable_end[self.usable_count] = stop
                self.usable_count += 1
            cursor = max(cursor + PAGE_SIZE, page_ceiling(hole_end)) if hole_start < end else end

    # ---- Parts that the protocols share ----------------------------------------------------------------------

    def _add_region(self, start: int, size_bytes: int, kind: int) -> None:
        end = min(start + min(size_bytes, PHYSICAL_LIMIT), PHYSICAL_LIMIT) if start < PHYSICAL_LIMIT else start
        if end <= start:
            return
        if self.region_count == REGION_LIMIT:
            raise BootInfoError(TOO_MANY_REGIONS)
        self.region_start[self.region_count] = start
        self.region_end[self.region_count] = end
        self.region_kind[self.region_count] = kind
        self.region_count += 1

    def _set_command_line(self, memory: PhysicalMemory, address: int) -> None:
        """Copies a C string; what is longer than COMMAND_LINE_LIMIT is cut."""
        length = 0
        while length < COMMAND_LINE_LIMIT:
            byte = memory.read_u8(address + length)
            if byte == 0:
                break
            self.command_line_bytes[length] = byte
            length += 1
        self.command_line_length = length
        self.command_line_was_cut = length == COMMAND_LINE_LIMIT and memory.read_u8(address + length) != 0

    def _add_module(self, start: int, end: int) -> None:
        """The first module is the initial RAM disk; the others are only kept out of the way."""
        if start < 0 or end < start or end > PHYSICAL_LIMIT:
            raise BootInfoError(BAD_RANGE)
        self.reserve(start, end)
        if self.initrd_end == 0:
            self.initrd_start = start
            self.initrd_end = end

    # ---- PVH ---------------------------------------------------------------------------------------------------

    def _parse_pvh(self, memory: PhysicalMemory, info: int) -> None:
        if memory.read_u32(info) != PVH_MAGIC:
            raise BootInfoError(BAD_MAGIC)
        if memory.read_u32(info + 4) < 1:  # version 0 has no memory map
            raise BootInfoError(NO_MEMORY)
        self.reserve(info, info + PVH_INFO_SIZE)
        module_count = memory.read_u32(info + 12)
        modules = memory.read_address(info + 16)
        command_line = memory.read_address(info + 24)
        self.rsdp = memory.read_address(info + 32)
        entries = memory.read_address(info + 40)
        entry_count = memory.read_u32(info + 48)
        if module_count > MODULE_LIMIT:
            raise BootInfoError(BAD_SIZE)
        if entry_count > REGION_LIMIT:
            raise BootInfoError(TOO_MANY_REGIONS)
        for i in range(module_count):
            # A module's own command line is left alone: qboot does not set the pointer.
            module = modules + i * PVH_MODULE_SIZE
            start = memory.read_address(module)
            size_bytes = memory.read_address(module + 8)
            if start > PHYSICAL_LIMIT or size_bytes > PHYSICAL_LIMIT:
                raise BootInfoError(BAD_RANGE)
            self._add_module(start, start + size_bytes)
        if command_line != 0:
            self._set_command_line(memory, command_line)
        for i in range(entry_count):
            entry = entries + i * PVH_MEMORY_ENTRY_SIZE
            self._add_region(memory.read_address(entry), memory.read_address(entry + 8), memory.read_u32(entry + 16))

    # ---- Multiboot ---------------------------------------------------------------------------------------------

    def _parse_multiboot1(self, memory: PhysicalMemory, info: int) -> None:
        flags = memory.read_u32(info)
        self.reserve(info, info + 120)
        if flags & (1 << 2) != 0:
            self._set_command_line(memory, memory.read_u32(info + 16))
        if flags & (1 << 3) != 0:
            module_count = memory.read_u32(info + 20)
            modules = memory.read_u32(info + 24)
            if module_count > MODULE_LIMIT:
                raise BootInfoError(BAD_SIZE)
            for i in range(module_count):
                self._add_module(memory.read_u32(modules + i * 16), memory.read_u32(modules + i * 16 + 4))
        if flags & (1 << 6) == 0:
            raise BootInfoError(NO_MEMORY)
        length = memory.read_u32(info + 44)
        start = memory.read_u32(info + 48)
        if length > MB1_MAP_SIZE_LIMIT:
            raise BootInfoError(BAD_SIZE)
        at = start
        while at + 24 <= start + length:
            entry_size = memory.read_u32(at)  # does not count itself
            if entry_size < 20:
                raise BootInfoError(BAD_SIZE)
            self._add_region(memory.read_address(at + 4), memory.read_address(at + 12), memory.read_u32(at + 20))
            at += entry_size + 4

    def _parse_multiboot2(self, memory: PhysicalMemory, info: int) -> None:
        total_size = memory.read_u32(info)
        if total_size < 16 or total_size > MB2_SIZE_LIMIT:
            raise BootInfoError(BAD_SIZE)
        self.reserve(info, info + total_size)
        at = info + 8
        end = info + total_size
        while at + 8 <= end:
            tag = memory.read_u32(at)
            size_bytes = memory.read_u32(at + 4)
            if tag == MB2_TAG_END:
                return
            if size_bytes < 8 or at + size_bytes > end:
                raise BootInfoError(BAD_SIZE)
            self._parse_multiboot2_tag(memory, tag, at, size_bytes)
            at += (size_bytes + 7) & ~7

    def _parse_multiboot2_tag(self, memory: PhysicalMemory, tag: int, at: int, size_bytes: int) -> None:
        if tag == MB2_TAG_COMMAND_LINE:
            self._set_command_line(memory, at + 8)
        elif tag == MB2_TAG_MODULE and size_bytes >= 16:
            self._add_module(memory.read_u32(at + 8), memory.read_u32(at + 12))
        elif tag == MB2_TAG_MEMORY_MAP and size_bytes >= 16:
            entry_size = memory.read_u32(at + 8)
            if entry_size < 24:
                raise BootInfoError(BAD_SIZE)
            entry = at + 16
            while entry + entry_size <= at + size_bytes:
                kind = memory.read_u32(entry + 16)
                self._add_region(memory.read_address(entry), memory.read_address(entry + 8), kind)
                entry += entry_size
        elif tag == MB2_TAG_ACPI_NEW or (tag == MB2_TAG_ACPI_OLD and self.rsdp == 0):
            self.rsdp = at + 8  # a copy of the structure itself


boot_info: Final = BootInfo()
"""What the boot loader said of this machine. Parsed once, at the start."""
