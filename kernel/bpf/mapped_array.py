"""Arrays that processes may map (BPF_F_MMAPABLE): their values lie in whole pages.

A value may cross the end of a page, so a program reaches it by a copy, which goes back once it has written it
(`machine.py`).

Context: only `grow` and `clear` take long; `grow`, `value` and `borrow` may raise MemoryError.
Source: bpf(2); the case bpf_mapped.
"""

from kernel.bpf.maps import ArrayMap
from kernel.bpf.pages import PageRelease
from kernel.lang import Span, final, span_of, u8
from kernel.lib.pace import pace_bytes, spend
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from kernel.mm.ring_memory import RingMemory


@final
class MappedArray(ArrayMap):
    """Such an array."""

    def __init__(self, kind: int, key_size: int, value_size: int, most: int, flags: int) -> None:
        super().__init__(kind, key_size, value_size, most, flags)
        self.memory: RingMemory = RingMemory(0)
        self._nothing: RingMemory = RingMemory(0)  # in its place at the end
        self._release: PageRelease = PageRelease()

    def page_count(self) -> int:
        """All pages that it has once it is grown."""
        return self.slots * self.stride() + PAGE_MASK >> PAGE_SHIFT

    def grow(self) -> bool:
        if len(self.memory.frames) >= self.page_count():
            return False
        self.memory.add_page()
        pace_bytes(PAGE_SIZE)
        return True

    def held_bytes(self) -> int:
        return (self.page_count() << PAGE_SHIFT) + 256

    def clear(self) -> None:
        leaving = self.memory
        self.memory = self._nothing
        self._release.begin(leaving)

    def value(self, element: int) -> bytes:
        return bytes(self.borrow(element * self.stride(), self.value_size))

    def borrow(self, place: int, size: int) -> bytearray:
        """A copy of bytes inside a value: zeros if nobody has the map any more."""
        found = bytearray(size)
        if place + size <= self.memory.size_bytes():
            self.memory.read(place, span_of(found))
        spend(size)
        return found

    def give_back(self, place: int, data: Span[u8]) -> None:
        """Store bytes inside a value."""
        if place + len(data) <= self.memory.size_bytes():
            self.memory.write(place, data)
        spend(len(data))

    def _set_slot(self, slot: int, value: Span[u8]) -> None:
        self.give_back(slot * self.stride(), value)
