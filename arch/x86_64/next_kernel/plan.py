"""Where the parts of the next kernel go: pieces of physical memory, none over the other, all in what the firmware calls
RAM.

Invariants: pieces start on a page, and no page belongs to two.
Context: sleeps where a file is read.
"""

from typing import Final

from arch.x86_64.bootinfo import KIND_RAM, LOW_MEMORY_END, LOWEST_FREE, BootInfo, BootInfoError, PhysicalMemory
from arch.x86_64.layout import PAGE_SIZE, page_ceiling, page_floor
from kernel.lang import EADDRNOTAVAIL, ENOEXEC, Errno, Span, final, u8, u64

FROM_KERNEL: Final = 0
FROM_INITRD: Final = 1
FROM_BYTES: Final = 2

HIGH_PLACES: Final = 16 << 20  # kernels like to lie below
HIGH_LIMIT: Final = 1 << 32  # kernels that begin in 32-bit mode see no more
ROOT_POINTER_SIZE: Final = 36  # bytes; ACPI 6.5, 5.2.5.3


class KernelFile:
    """The file of a kernel. Base class: an empty one."""

    def __init__(self, size: int) -> None:
        self.size: int = size  # bytes

    def read(self, offset: int, size: int) -> bytearray:
        """That many bytes from an offset, fewer at the end. Raises Errno, MemoryError."""
        return bytearray()


@final
class Piece:
    """`size` bytes at `destination`, the first `filled` of which are data and the rest zeros."""

    def __init__(self, destination: int, size: int, source: int, offset: int, filled: int, data: bytes) -> None:
        self.destination: int = destination
        self.size: int = size
        self.source: int = source  # FROM_*
        self.offset: int = offset  # in the kernel's file
        self.filled: int = filled
        self.data: bytes = data  # FROM_BYTES

    def end(self) -> int:
        """Where its last page ends."""
        return page_ceiling(self.destination + self.size)


@final
class Plan:
    """The pieces, and how the kernel is entered."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.entry: int = 0
        self.is_narrow: bool = False  # entered with 32 bits and without paging, as PVH wants it
        self.argument: int = 0  # ebx then, else rsi

    def overlaps(self, start: int, end: int) -> int:
        """Where a piece ends that lies over [start, end), or 0."""
        for piece in self.pieces:
            if piece.destination < end and piece.end() > start:
                return piece.end()
        return 0

    def add_fixed(self, info: BootInfo, piece: Piece) -> None:
        """A piece that can lie nowhere else. Raises EADDRNOTAVAIL where there is no RAM, or already something."""
        start = piece.destination
        if start < LOW_MEMORY_END or not is_ram(info, start, piece.end()) or self.overlaps(start, piece.end()) != 0:
            raise Errno(EADDRNOTAVAIL)
        self.pieces.append(piece)

    def find(self, info: BootInfo, size: int, alignment: int, least: int, limit: int) -> int:
        """The lowest place of `size` bytes, at most `limit`, that is free RAM. Raises EADDRNOTAVAIL."""
        for i in range(info.region_count):
            if info.region_kind[i] != KIND_RAM:
                continue
            start = _aligned(max(info.region_start[i], least), alignment)
            end = min(page_floor(info.region_end[i]), limit)
            while start <= end - page_ceiling(size):
                obstacle = max(self.overlaps(start, start + size), _obstacle(info, start, start + size))
                if obstacle == 0:
                    return start
                start = _aligned(obstacle, alignment)
        raise Errno(EADDRNOTAVAIL)

    def add_initrd(self, info: BootInfo, size: int, limit: int) -> int:
        """A place for the initial RAM disk, at most `limit`; 0 if it has no bytes. Raises EADDRNOTAVAIL."""
        if size == 0:
            return 0
        place = self.find(info, size, PAGE_SIZE, HIGH_PLACES, limit)
        self.pieces.append(Piece(place, size, FROM_INITRD, 0, size, b""))
        return place

    def add_argument(self, place: int, data: bytes) -> None:
        """What the kernel finds by its argument."""
        self.argument = place
        self.pieces.append(Piece(place, len(data), FROM_BYTES, 0, len(data), data))

    def find_low(self, info: BootInfo, size: int) -> int:
        """A place below 1 MiB, which no kernel hands out. Raises EADDRNOTAVAIL."""
        return self.find(info, size, PAGE_SIZE, LOWEST_FREE, LOW_MEMORY_END)


def load_address(data: Span[u8], offset: int) -> int:
    """A physical address or size in a file. Raises ENOEXEC for what is beyond any memory: sums of the rest cannot
    overflow.
    """
    high = data.load_u32(offset + 4)
    if high >= 1 << 30:
        raise Errno(ENOEXEC)
    return data.load_u32(offset) | high << 32


def store_address(data: Span[u8], offset: int, value: int) -> None:
    """The same in memory that the next kernel reads."""
    data.store_u64(offset, u64(value))


def store_regions(data: Span[u8], at: int, entry_size: int, count: int, info: BootInfo) -> None:
    """The first `count` regions of memory as entries of start, size and kind, which PVH and Linux have alike."""
    for i in range(count):
        store_address(data, at, info.region_start[i])
        store_address(data, at + 8, info.region_end[i] - info.region_start[i])
        data.store_u32(at + 16, info.region_kind[i])
        at += entry_size


def is_ram(info: BootInfo, start: int, end: int) -> bool:
    """Whether the firmware calls all of [start, end) RAM."""
    for i in range(info.region_count):
        if info.region_kind[i] != KIND_RAM and info.region_start[i] < end and info.region_end[i] > start:
            return False
    covered = start
    for _ in range(info.region_count):
        for i in range(info.region_count):
            if info.region_kind[i] == KIND_RAM and info.region_start[i] <= covered < info.region_end[i]:
                covered = info.region_end[i]
        if covered >= end:
            return True
    return False


def root_pointer(info: BootInfo, memory: PhysicalMemory) -> bytes:
    """A copy of ACPI's root pointer where it lies in RAM, which the next kernel may use for something else; else
    nothing.
    """
    start = info.rsdp
    found = bytearray()
    if start == 0 or not is_ram(info, start, start + ROOT_POINTER_SIZE):
        return b""
    try:
        for i in range(ROOT_POINTER_SIZE):
            found.append(memory.read_u8(start + i))
    except BootInfoError:
        return b""
    return bytes(found)


def _obstacle(info: BootInfo, start: int, end: int) -> int:
    """Where something ends that lies over [start, end) and is no RAM, or what the loader left below 1 MiB; or 0."""
    for i in range(info.region_count):
        if info.region_kind[i] != KIND_RAM and info.region_start[i] < end and info.region_end[i] > start:
            return info.region_end[i]
    for i in range(info.reserved_count):
        is_low = info.reserved_start[i] < LOW_MEMORY_END
        if is_low and info.reserved_start[i] < end and info.reserved_end[i] > start:
            return info.reserved_end[i]
    return 0


def _aligned(address: int, alignment: int) -> int:
    return (address + alignment - 1) & ~(alignment - 1)
