"""Live objects of a kernel's heap by class, and who holds them: read from a dump of the guest's memory.

    (qemu) pmemsave 0 0x20000000 /tmp/memory         all of it, at QEMU's monitor
    python -m tools.heap /tmp/memory [/tmp/later]    counts; with a second dump, what has come since
    python -m tools.heap /tmp/memory --holders kernel.fs.file.File

The kernel has nothing of it. What the words mean: kernel/mm/slabs.py and docs/compiler-abi.md.
"""

from __future__ import annotations

import argparse
import mmap
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from arch.x86_64.layout import DIRECT_MAP_BASE
from kernel.mm.reclaim import (
    ARRAY_COUNT,
    ARRAY_ITEMS,
    BURIED,
    KIND_INSTANCE,
    KIND_REFERENCE_ARRAY,
    KIND_WEAK,
    WEAK_TARGET,
)
from kernel.mm.slabs import UNIT_HEAD, UNIT_SHIFT
from tools.paths import KERNEL

_IMAGE_BASE = -(2 << 30)  # the image lies at this plus its physical address
_SLABS_FIELDS = struct.Struct("<8xqqq")  # span_start, span_end, unit_map
_SLAB = struct.Struct("<qqqIIqIIIIII")
_DESCRIPTOR = struct.Struct("<IIIIIIqq")
_TYPE = "krait.type."
_NOBODY = "(globals, stacks)"


@dataclass(frozen=True)
class Type:
    """What a descriptor says."""

    name: str
    kind: int
    pointers: tuple[int, ...]  # offsets of references


class Heap:
    """The objects in a dump of all memory, which the kernel in build/ has used."""

    def __init__(self, memory: Path, kernel: Path = KERNEL) -> None:
        with memory.open("rb") as file:
            self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._symbols: dict[str, int] = {}
        for line in subprocess.run(["nm", str(kernel)], check=True, capture_output=True, text=True).stdout.splitlines():
            self._symbols[line[19:]] = int(line[:16], 16) - (1 << 64)
        self._names = {address: name for name, address in self._symbols.items() if name.startswith(_TYPE)}
        self._types: dict[int, Type] = {}
        self.objects: dict[int, Type] = dict(self._live())

    def _place(self, address: int) -> int:
        return address - (_IMAGE_BASE if address >= _IMAGE_BASE else DIRECT_MAP_BASE)

    def _word(self, address: int) -> int:
        place = self._place(address)
        return int.from_bytes(self._memory[place : place + 8], "little", signed=True)

    def _live(self) -> Iterator[tuple[int, Type]]:
        state = self._place(self._symbols["krait.object.kernel.mm.slabs.SLABS"])
        start, end, unit_map = _SLABS_FIELDS.unpack_from(self._memory, state)
        first = self._place(unit_map)
        for unit, mark in enumerate(self._memory[first : first + (end - start >> UNIT_SHIFT)]):
            if mark == UNIT_HEAD:
                head = start + (unit << UNIT_SHIFT)
                _, _, _, _, slots, slot_size, _, offset, *_ = _SLAB.unpack_from(self._memory, self._place(head))
                for slot in range(head + offset, head + offset + slots * slot_size, slot_size):
                    word = self._word(slot) >> 32 & 0xFFFF_FFFF
                    if word != 0 and word & BURIED == 0:
                        yield slot, self._type(word - (1 << 32))

    def _type(self, address: int) -> Type:
        found = self._types.get(address)
        if found is None:
            kind, _, _, count, _, _, _, pointers = _DESCRIPTOR.unpack_from(self._memory, self._place(address))
            offsets = struct.unpack_from(f"<{count}I", self._memory, self._place(pointers)) if count else ()
            name = self._names.get(address, f"{_TYPE}{address:#x}").removeprefix(_TYPE)
            self._types[address] = found = Type(name, kind, offsets)
        return found

    @property
    def counts(self) -> Counter[str]:
        """How many live objects each class has."""
        return Counter(each.name for each in self.objects.values())

    def _references(self, address: int, type_: Type) -> Iterator[int]:
        if type_.kind == KIND_INSTANCE:
            yield from (self._word(address + offset) for offset in type_.pointers)
        elif type_.kind == KIND_REFERENCE_ARRAY:
            count = self._word(address + ARRAY_COUNT)
            yield from (self._word(address + ARRAY_ITEMS + 8 * index) for index in range(count))
        elif type_.kind == KIND_WEAK:
            yield self._word(address + WEAK_TARGET)

    @cached_property
    def _holders(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {address: [] for address in self.objects}
        for address, type_ in self.objects.items():
            for target in self._references(address, type_):
                if target in found:
                    found[target].append(address)
        return found

    def holders(self, name: str, depth: int = 4) -> Counter[str]:
        """Chains of classes that lead to the objects of a class, `depth` steps back, by the first holder of each."""
        chains: Counter[str] = Counter()
        for address, type_ in self.objects.items():
            if type_.name != name:
                continue
            chain, seen = [name], {address}
            place = address
            for _ in range(depth):
                place = next((each for each in self._holders[place] if each not in seen), 0)
                seen.add(place)
                chain.append(self.objects[place].name if place else _NOBODY)
                if not place:
                    break
            chains[" < ".join(chain)] += 1
        return chains


def describe(counts: Counter[str], most: int = 25) -> str:
    """A line for each class, the most frequent first."""
    return "\n".join(f"{number:8} {name}" for name, number in counts.most_common(most))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.heap", description=__doc__)
    parser.add_argument("memory", type=Path, help="a dump")
    parser.add_argument("later", type=Path, nargs="?", help="a later one: count what has come since")
    parser.add_argument("--holders", metavar="CLASS", help="show which classes lead to the objects of a class")
    options = parser.parse_args()
    heap = Heap(options.later or options.memory)
    counts = heap.counts - Heap(options.memory).counts if options.later else heap.counts
    print(describe(heap.holders(options.holders) if options.holders else counts, 60))


if __name__ == "__main__":
    main()
