"""Maps whose elements come and go with their keys: the numbers of elements, and the keys themselves.

The slots of a removed element keep their bytes until another key gets them: a program that still has the value then
reads or writes a value, never anything else.

Invariants: the elements below `_made` without a key are in the list that begins with `_free`.

Context: may raise MemoryError.
"""

from typing import Final

from kernel.bpf.maps import Map
from kernel.lang import final

_ELEMENT_BYTES: Final = 160  # of a key with its place in the table, beyond the key's bytes
CHUNK_SHIFT: Final = 12  # elements in a chunk: growing lists stay short, because copying takes long
IN_CHUNK: Final = (1 << CHUNK_SHIFT) - 1


@final
class Chunk:
    """Consecutive elements: their keys, and the element that follows each."""

    def __init__(self) -> None:
        keys: list[bytes] = []
        following: list[int] = []
        self.keys: list[bytes] = keys  # empty where none is used
        self.following: list[int] = following  # one with the same hash, or the next free one; -1 at the end
        self.recent: bytearray = bytearray()  # 1 where used since the last look, in maps that drop the least recent


class KeyedMap(Map):
    """A map of keys. Base class."""

    def __init__(self, kind: int, key_size: int, value_size: int, most: int, flags: int, copies: int = 1) -> None:
        super().__init__(kind, key_size, value_size, most, flags, copies)
        chunks: list[Chunk] = []
        self._chunks: list[Chunk] = chunks
        self._made: int = 0  # elements that are or were used
        self._free: int = -1  # the first free one

    def held_bytes(self) -> int:
        return super().held_bytes() + self._made * (_ELEMENT_BYTES + 2 * self.key_size)

    def has_free(self) -> bool:
        """Whether an element is there for one more key, without more memory."""
        return self._free >= 0

    def is_full(self) -> bool:
        """Whether all elements are used."""
        return self._free < 0 and self._made >= self.most

    def key(self, element: int) -> bytes:
        """Empty if it has none."""
        return self._chunks[element >> CHUNK_SHIFT].keys[element & IN_CHUNK]

    def set_key(self, element: int, key: bytes) -> None:
        """Of one that was taken."""
        self._chunks[element >> CHUNK_SHIFT].keys[element & IN_CHUNK] = key

    def behind(self, element: int) -> int:
        """The one that follows it in its list; -1 at the end."""
        return self._chunks[element >> CHUNK_SHIFT].following[element & IN_CHUNK]

    def link(self, element: int, following: int) -> None:
        """Let another follow."""
        self._chunks[element >> CHUNK_SHIFT].following[element & IN_CHUNK] = following

    def take(self) -> int:
        """An element for a new key, of a map that is not full. Raises MemoryError."""
        element = self._free
        if element >= 0:
            self._free = self.behind(element)
            return element
        element = self._made
        if len(self._chunks) <= element >> CHUNK_SHIFT:
            self._chunks.append(Chunk())
        chunk = self._chunks[element >> CHUNK_SHIFT]
        chunk.following.append(-1)
        try:
            chunk.keys.append(b"")
        except MemoryError:
            chunk.following.pop()
            raise
        self._made += 1
        return element

    def give_back(self, element: int) -> None:
        """Free an element."""
        self.set_key(element, b"")
        self.link(element, self._free)
        self._free = element

    def mark(self, element: int, is_recent: int) -> None:
        """Note whether an element was used. Raises MemoryError the first time of its chunk."""
        chunk = self._chunks[element >> CHUNK_SHIFT]
        if len(chunk.recent) == 0:
            if is_recent == 0:
                return
            chunk.recent = bytearray(IN_CHUNK + 1)
        chunk.recent[element & IN_CHUNK] = is_recent

    def was_recent(self, element: int) -> bool:
        """Whether it was used since it was last marked otherwise."""
        recent = self._chunks[element >> CHUNK_SHIFT].recent
        return len(recent) > 0 and recent[element & IN_CHUNK] != 0
