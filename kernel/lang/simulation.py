"""Memory under CPython: what `kernel.lang.unsafe` reads and writes without a machine.

Memory is a set of regions, each of bytes at a base address; a test maps the ones that it needs (`memory.map`),
puts devices at others (`memory.map_device`) and names linker symbols (`memory.define_symbol`). Any other access
raises `SimulatedFault`, like the page fault that it would be, unless `memory.translate` knows where the address leads:
a simulated machine walks its page tables there. Structs and spans get an address, and a region that
shares their bytes, on request.
"""

# ruff: noqa: ANN401  (this is a simulation of memory: its values have any type)

from __future__ import annotations

import bisect
import mmap
from collections.abc import Callable
from typing import Any, Protocol


class SimulatedFault(Exception):
    """An access to an address where nothing is."""


class Device(Protocol):
    """A model of a device's registers."""

    def read(self, offset: int, size_bytes: int) -> int: ...

    def write(self, offset: int, size_bytes: int, value: int) -> None: ...


class Region:
    """Bytes, or a device, from `base` on."""

    def __init__(self, base: int, size: int, data: Any, start: int = 0, device: Device | None = None) -> None:
        self.base = base
        self.size = size
        self.data = data
        self.start = start
        self.device = device


Bytes = bytearray | mmap.mmap  # what can be written

LARGE = 1 << 20
FIRST_OBJECT_ADDRESS = 0x6000_0000_0000
FIRST_SYMBOL_ADDRESS = 0x7000_0000_0000
SYMBOL_REGION_SIZE = 0x1_0000


def _go_on() -> None:
    pass


class SimulatedMemory:
    """All regions, by address; and the addresses given to objects."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything: between tests. `translate` maps an address without a region to another one, or to itself
        if there is none.
        """
        self._bases: list[int] = []
        self._regions: list[Region] = []
        self._symbols: dict[str, int] = {}
        self._objects: dict[int, Any] = {}
        self._addresses: dict[int, int] = {}
        self._next_object = FIRST_OBJECT_ADDRESS
        self._next_symbol = FIRST_SYMBOL_ADDRESS
        self.translate: Callable[[int], int] | None = None
        self.at_fence: Callable[[], None] = _go_on  # other simulated processors may go on there

    def map(self, base: int, size: int) -> Bytes:
        """Put zeroed memory at an address; returns its bytes, to read or write. Pages of much memory that nobody
        touches cost nothing; a forked process has its own.
        """
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        data = bytearray(size) if size < LARGE else mmap.mmap(-1, size, flags=private)
        self._add(Region(base, size, data))
        return data

    def map_device(self, base: int, size: int, device: Device) -> None:
        """Put a device's registers at an address."""
        self._add(Region(base, size, bytearray(0), 0, device))

    def define_symbol(self, name: str, address: int) -> None:
        """Say where a linker symbol lies."""
        self._symbols[name] = address

    def symbol(self, name: str) -> int:
        """The address of a symbol; an undefined one gets 64 KiB of its own."""
        if name not in self._symbols:
            self._symbols[name] = self._next_symbol
            self.map(self._next_symbol, SYMBOL_REGION_SIZE)
            self._next_symbol += 2 * SYMBOL_REGION_SIZE
        return self._symbols[name]

    def _add(self, region: Region) -> None:
        place = bisect.bisect(self._bases, region.base)
        before = self._regions[place - 1] if place > 0 else None
        if before is not None and before.base + before.size > region.base:
            raise ValueError(f"memory at {region.base:#x} is there already")
        if place < len(self._regions) and region.base + region.size > self._bases[place]:
            raise ValueError(f"memory at {region.base:#x} reaches into {self._bases[place]:#x}")
        self._bases.insert(place, region.base)
        self._regions.insert(place, region)

    def find(self, address: int, size: int) -> tuple[Region, int]:
        """The region of an access, and the offset in it."""
        place = bisect.bisect(self._bases, address) - 1
        if place >= 0:
            region = self._regions[place]
            offset = address - region.base
            if offset + size <= region.size:
                return region, offset
        if self.translate is not None:
            real = self.translate(address)
            if real != address and self.translate(address + size - 1) - real == size - 1:
                return self.find(real, size)
        raise SimulatedFault(f"{size} bytes at {address:#x}")

    def place(self, address: int, size: int) -> tuple[Any, int]:
        """The buffer and the offset of bytes that do not belong to a device."""
        region, offset = self.find(address, size)
        if region.device is not None:
            raise SimulatedFault(f"{address:#x} is a device register")
        return region.data, region.start + offset

    def load(self, address: int, size: int) -> int:
        region, offset = self.find(address, size)
        if region.device is not None:
            return region.device.read(offset, size)
        start = region.start + offset
        return int.from_bytes(region.data[start : start + size], "little")

    def store(self, address: int, size: int, value: int) -> None:
        region, offset = self.find(address, size)
        if region.device is not None:
            region.device.write(offset, size, value)
            return
        start = region.start + offset
        region.data[start : start + size] = value.to_bytes(size, "little")

    def address_of_bytes(self, buffer: Any, start: int, size: int) -> int:
        """The address of bytes of a buffer: where the buffer is mapped, or a new place for all of it."""
        for region in self._regions:
            if region.data is buffer and region.start <= start and start + size <= region.start + region.size:
                return region.base + start - region.start
        base = self._take_address(len(buffer))
        self._add(Region(base, len(buffer), buffer))
        return base + start

    def address_of_object(self, value: Any) -> int:
        """A number that stands for an object, the same each time."""
        known = self._addresses.get(id(value))
        if known is None:
            known = self._take_address(64)
            self._addresses[id(value)] = known
            self._objects[known] = value
        return known

    def object_at(self, address: int) -> Any:
        """The object whose address was asked for."""
        if address not in self._objects:
            raise SimulatedFault(f"no object at {address:#x}")
        return self._objects[address]

    def _take_address(self, size: int) -> int:
        address = self._next_object
        self._next_object += (size + 63) // 64 * 64 + 64
        return address


memory = SimulatedMemory()


class OwnPage:
    """The objects that a processor finds in its own page, by offset; a simulation of several processors changes
    `objects`.
    """

    def __init__(self) -> None:
        self.objects: dict[int, Any] = {}


own_page = OwnPage()
