"""A heap over simulated memory, with types and a stack to put references on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kernel.lang.simulation import memory
from kernel.lang.unsafe import atomic_add_u32, load_i64, load_u32, store_i64, store_u32
from kernel.mm import arena, heap, reclaim, slabs

ARENA = -0x7F80_0000_0000
ARENA_SIZE = 4 << 20
STACK = -0x6000_0000_0000
STACK_SIZE = 4096
TYPES = 0x10_0000


class HeapWorld:
    """What compiled code does with objects, step by step."""

    def __init__(self, size: int = ARENA_SIZE) -> None:
        self.end()
        memory.map(ARENA, size)
        memory.map(STACK, STACK_SIZE)
        memory.map(TYPES, 65536)
        self.next_type = TYPES
        self.is_marked = True
        self.is_complete = True
        assert arena.start(ARENA, size)
        reclaim.configure(reclaim.no_stack_top, self.scan, 0)

    def scan(self) -> bool:
        """The stack is marked anew in each pass, unless it sleeps and holds what it refers to."""
        if self.is_marked:
            reclaim.scan_stack(STACK, STACK + STACK_SIZE)
        return self.is_complete

    def end(self) -> None:
        """No memory, and nothing that points into it."""
        memory.reset()
        for size_class in slabs.CLASSES:
            size_class.free = size_class.partial = size_class.slabs = 0
        slabs.SLABS.__init__()  # type: ignore[misc]
        heap.TABLE.__init__()  # type: ignore[misc]
        reclaim.RECLAIMER.__init__()  # type: ignore[misc]

    def type(self, kind: int, size: int, element: int = 0, pointers: tuple[int, ...] = ()) -> int:
        """A type descriptor; `pointers` are offsets of references."""
        descriptor = self.next_type
        offsets = descriptor + 64
        self.next_type += 128
        for place, value in enumerate((kind, size, element, len(pointers), 0, 0)):
            store_u32(descriptor + 4 * place, value)
        store_i64(descriptor + 24, 0)
        store_i64(descriptor + 32, offsets)
        for place, offset in enumerate(pointers):
            store_u32(offsets + 4 * place, offset)
        return descriptor

    def new(self, descriptor: int, size: int) -> int:
        address = heap.allocate(descriptor, size)
        assert address != 0
        return address

    def set(self, holder: int, offset: int, value: int) -> None:
        """Store a reference into a field, counted, as compiled code does."""
        old = load_i64(holder + offset)
        if value != 0:
            atomic_add_u32(value, 1)
        store_i64(holder + offset, value)
        if old != 0 and atomic_add_u32(old, -1) == 1:
            heap.count_is_zero(old)

    def hold(self, place: int, address: int) -> None:
        """Keep a reference in a word of the stack."""
        store_i64(STACK + 8 * place, address)

    def alive(self, address: int) -> bool:
        return slabs.slot_of(address) == address

    def count(self, address: int) -> int:
        return load_u32(address) & heap.COUNT_MASK


@contextmanager
def small_heap(size: int) -> Iterator[HeapWorld]:
    world = HeapWorld(size)
    yield world
    world.end()
