"""Physical memory before the allocators run: reading what the loader left, and pages for the first tables.

Works on the boot stub's direct map, which reaches to 4 GiB.
"""

from typing import Final

from arch.x86_64.bootinfo import OUT_OF_REACH, BootInfo, BootInfoError, PhysicalMemory, boot_info
from arch.x86_64.layout import PAGE_SIZE, direct_map, physical_of
from kernel.lang import Span, panic, u8
from kernel.lang.unsafe import fill_bytes, load_u8, span_at, symbol_address

REACH: Final = 1 << 32


class LowMemory(PhysicalMemory):
    """The first 4 GiB, through the direct map.

    Safety: reads have no effect on RAM; a lying loader could point at device registers, where a byte read is at worst
    useless.
    """

    def read_u8(self, physical: int) -> int:
        if physical < 0 or physical >= REACH:
            raise BootInfoError(OUT_OF_REACH)
        return load_u8(direct_map(physical))


low_memory: Final = LowMemory()

_next: int = 0
_end: int = 0


def choose(info: BootInfo) -> None:
    """Takes the largest usable range below 4 GiB as the source of early pages."""
    global _next, _end
    best = 0
    for i in range(info.usable_count):
        start = info.usable_start[i]
        end = min(info.usable_end[i], REACH)
        if end - start > best:
            best = end - start
            _next = start
            _end = end


def allocate(size_bytes: int) -> int:
    """The physical address of zeroed pages that are never given back."""
    global _next
    size = (size_bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1)
    if size > _end - _next:
        panic("not enough memory to start")
    start = _next
    _next += size
    fill_bytes(direct_map(start), 0, size)
    return start


def allocate_page() -> int:
    return allocate(PAGE_SIZE)


def first_free() -> int:
    """From here on the chosen range is free; what lies below in it was given out."""
    return _next


def range_end() -> int:
    """End of the chosen range."""
    return _end


def reserve_image(info: BootInfo) -> None:
    """Keeps the kernel's image out of the usable memory. Raises BootInfoError."""
    info.reserve(physical_of(symbol_address("__image_start")), physical_of(symbol_address("__image_end")))


def initrd_span() -> Span[u8]:
    """The initial RAM disk's bytes, through the direct map; empty if there is none.

    Safety: the loader said where it is, and it was checked against the memory map; its pages are reserved until they
    are released.
    """
    return span_at(direct_map(boot_info.initrd_start), max(0, boot_info.initrd_end - boot_info.initrd_start))
