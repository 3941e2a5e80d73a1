"""Maps that are hash tables. Some drop a key when another has no room (`LRU_HASH`).

Which key goes is found by a hand that goes around the elements: one that was used since the hand's last visit is
spared, a bounded number of times.

Invariants: `_first` has the first element for each hash of keys, and each element the next one. The hash is the map's
own (`key_hash.py`), because users choose the keys.

Context: changes may raise MemoryError. Long searches take safe points.
Source: bpf(2).
"""

from typing import Final

from kernel.bpf.key_hash import KeyHash, hash_cost
from kernel.bpf.keyed import KeyedMap
from kernel.bpf.maps import ALL_COPIES, EXIST, LRU_HASH, LRU_PERCPU_HASH, NO_EXIST
from kernel.lang import E2BIG, EEXIST, EINVAL, ENOENT, Errno, Span, u8
from kernel.lib.pace import pace, spend

_LOOK_COST: Final = 20  # instructions
_CHAIN_COST: Final = 60
_SPARED: Final = 64  # elements that the hand passes by before it takes one


class HashMap(KeyedMap):
    """Values by key. Keys come in the order of their elements. Base class of tables of objects."""

    def __init__(self, kind: int, key_size: int, value_size: int, most: int, flags: int, copies: int = 1) -> None:
        super().__init__(kind, key_size, value_size, most, flags, copies)
        self._hash: KeyHash = KeyHash()
        self.find_cost = hash_cost(key_size)
        first: dict[int, int] = {}
        self._first: dict[int, int] = first  # by hash
        self._drops: bool = kind == LRU_HASH or kind == LRU_PERCPU_HASH
        self._hand: int = 0

    def needs_room(self, key: bytes) -> bool:
        return not self.has_free() and not self.is_full() and self.find(key) < 0

    def find(self, key: bytes) -> int:
        element = self._first.get(self._hash.of(key), -1)
        while element >= 0 and self.key(element) != key:
            element = self.behind(element)
            spend(_CHAIN_COST + self.key_size)
        return element

    def touch(self, element: int) -> None:
        if self._drops:
            try:
                self.mark(element, is_recent=1)
            except MemoryError:
                return  # it may be dropped early

    def update(self, key: bytes, value: Span[u8], flags: int, processor: int = ALL_COPIES) -> None:
        if flags > EXIST or flags < 0:
            raise Errno(EINVAL)
        element = self.find(key)
        if element >= 0:
            if flags == NO_EXIST:
                raise Errno(EEXIST)
            self.touch(element)
            self.set_value(element, value, processor)
            return
        if flags == EXIST:
            raise Errno(ENOENT)
        if self._drops and self.is_full():
            self.drop(self.key(self._oldest()))  # such a table holds no objects
        self.set_first(self._add(key), value, processor)

    def _add(self, key: bytes) -> int:
        """An element for a key that has none. Raises E2BIG, MemoryError."""
        if self.is_full():
            raise Errno(E2BIG)
        element = self.take()
        number = self._hash.of(key)
        following = self._first.get(number, -1)
        try:
            self._first[number] = element
        except MemoryError:
            self.give_back(element)
            raise
        self.link(element, following)
        self.set_key(element, key)
        return element

    def _oldest(self) -> int:
        """One that was not used lately, where all elements have keys."""
        for _ in range(_SPARED):
            element = self._hand
            self._hand = element + 1 if element + 1 < self.most else 0
            if not self.was_recent(element):
                return element
            self.mark(element, is_recent=0)
            spend(_LOOK_COST)
        return self._hand

    def remove(self, key: bytes) -> None:
        self.drop(key)

    def drop(self, key: bytes) -> None:
        """Remove a key. Raises ENOENT."""
        number = self._hash.of(key)
        element = self._first.get(number, -1)
        before = -1
        while element >= 0 and self.key(element) != key:
            before = element
            element = self.behind(element)
            spend(_CHAIN_COST + self.key_size)
        if element < 0:
            raise Errno(ENOENT)
        following = self.behind(element)
        if before >= 0:
            self.link(before, following)
        elif following >= 0:
            self._first[number] = following
        else:
            self._first.pop(number, -1)
        if self._drops:
            self.mark(element, is_recent=0)
        self.give_back(element)

    def take_out(self, key: bytes) -> bytes:
        element = self.find(key)
        if element < 0:
            raise Errno(ENOENT)
        value = self.value(element)
        self.remove(key)
        return value

    def next_key(self, key: bytes | None) -> bytes:
        element = self.next_used(0 if key is None else self.find(key) + 1)
        if element < 0:
            raise Errno(ENOENT)
        return self.key(element)

    def next_used(self, element: int) -> int:
        """The first with a key from one on; -1 at the end. Takes safe points."""
        while element < self._made:
            if len(self.key(element)) > 0:
                return element
            element += 1
            pace(_LOOK_COST)
        return -1
