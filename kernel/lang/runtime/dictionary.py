"""The class behind dict: insertion-ordered entries, and an index into them by hash.

Where Python overloads a method, or spells it as syntax, the compiler calls:

| source | here | | source | here |
| --- | --- | --- | --- | --- |
| `d[k]`, `d[k] = v`, `del d[k]`, `k in d` | the dunder methods | | `list(d)`, `list(d.keys())` | `key_list()` |
| `d.get(k)`, `d.get(k, v)` | `get`, `get_default` | | `list(d.values())` | `value_list()` |
| `d.pop(k)`, `d.pop(k, v)`, `d.pop(k, None)` | `pop`, `pop_default`, `pop_optional` | | `d.setdefault(k, v)` | `setdefault` |

`for` runs `i = d.entry_first()`, `while i >= 0`, the body with `d.entry_key(i)` and `d.entry_value(i)`, `i = d.entry_next(i)`, and traps
(TRAP_CHANGED) before `entry_next` if `d.version` is no longer what it was: every insertion and removal changes it.

Layout. `_keys` and `_values` hold `_used` entries, removed ones (hash `REMOVED`, key and value null) included. `_table` holds
`_capacity` hashes of 31 bits, and behind them, in a dictionary of more than `SMALL` entries, an open-addressed index of
2 * `_capacity` cells: 0 free, -1 given up, or the entry's number plus 1. Each entry ever made since the last rebuild uses one cell, so
the index is at most half full and every probe ends. A small dictionary is searched entry by entry.

A frozen dictionary whose keys hash by their address comes from the compiler with `_stale` set: the addresses are known only in the
image, so the first look-up computes hashes and index in place (no memory is needed).
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from kernel.lang import final, i32, inline
from kernel.lang.raw import RawArray, no_array
from kernel.lang.runtime.containers import List
from kernel.lang.runtime.hashing import MASK
from kernel.lang.unsafe import TRAP_KEY, trap

K = TypeVar("K")
V = TypeVar("V")

SMALL: Final = 8  # entries up to which no index is kept
REMOVED: Final = -1
GIVEN_UP: Final = -1


def index_size(capacity: int) -> int:
    """How many cells the index of a dictionary with room for `capacity` entries has."""
    return 0 if capacity <= SMALL else capacity * 2


def capacity_for(entries: int) -> int:
    """The smallest capacity for so many entries: a power of two."""
    capacity = SMALL
    while capacity < entries:
        capacity *= 2
    return capacity


def table_of(hashes: list[int]) -> list[int]:
    """The `_table` of a dictionary with entries of these hashes, in order: for the compiler, which lays out frozen dictionaries."""
    capacity = capacity_for(len(hashes))
    cells = [0] * index_size(capacity)
    for number, hash_value in enumerate(hashes):
        if cells:
            cell = hash_value & (len(cells) - 1)
            while cells[cell] != 0:
                cell = (cell + 1) & (len(cells) - 1)
            cells[cell] = number + 1
    return hashes + [0] * (capacity - len(hashes)) + cells


@final
class Dict(Generic[K, V]):
    """`dict[K, V]`."""

    _keys: RawArray[K]
    _values: RawArray[V]
    _table: RawArray[i32]
    _capacity: int
    _used: int
    _live: int
    version: int
    _stale: bool

    def __init__(self) -> None:
        self._keys = no_array()
        self._values = no_array()
        self._table = no_array()
        self._capacity = 0
        self._used = 0
        self._live = 0
        self.version = 0
        self._stale = False

    @inline
    def __len__(self) -> int:
        return self._live

    def __getitem__(self, key: K) -> V:
        entry = self._find(key, hash(key) & MASK)
        if entry < 0:
            trap(TRAP_KEY)
        return self._values[entry]

    def __setitem__(self, key: K, value: V) -> None:
        hash_value = hash(key) & MASK
        entry = self._find(key, hash_value)
        if entry >= 0:
            self._values[entry] = value
        else:
            self._add(key, hash_value, value)

    def __delitem__(self, key: K) -> None:
        entry = self._find(key, hash(key) & MASK)
        if entry < 0:
            trap(TRAP_KEY)
        self._remove(entry)

    def __contains__(self, key: K) -> bool:
        return self._find(key, hash(key) & MASK) >= 0

    def get(self, key: K) -> V | None:
        """The value of a key, or None."""
        entry = self._find(key, hash(key) & MASK)
        if entry < 0:
            return None
        return self._values[entry]

    def get_default(self, key: K, default: V) -> V:
        """The value of a key, or `default`."""
        entry = self._find(key, hash(key) & MASK)
        return self._values[entry] if entry >= 0 else default

    def setdefault(self, key: K, default: V) -> V:
        """The value of a key, which becomes `default` if it is missing."""
        hash_value = hash(key) & MASK
        entry = self._find(key, hash_value)
        if entry >= 0:
            return self._values[entry]
        self._add(key, hash_value, default)
        return default

    def pop(self, key: K) -> V:
        """Remove a key and return its value."""
        entry = self._find(key, hash(key) & MASK)
        if entry < 0:
            trap(TRAP_KEY)
        value = self._values[entry]
        self._remove(entry)
        return value

    def pop_default(self, key: K, default: V) -> V:
        """Remove a key and return its value, or `default` if it is missing."""
        entry = self._find(key, hash(key) & MASK)
        if entry < 0:
            return default
        value = self._values[entry]
        self._remove(entry)
        return value

    def pop_optional(self, key: K) -> V | None:
        """Remove a key and return its value, or None if it is missing."""
        entry = self._find(key, hash(key) & MASK)
        if entry < 0:
            return None
        value = self._values[entry]
        self._remove(entry)
        return value

    def clear(self) -> None:
        if self._capacity != 0:
            self._keys.clear(0, self._used)
            self._values.clear(0, self._used)
            self._table.clear(0, self._capacity + index_size(self._capacity))
        self._used = 0
        self._live = 0
        self._stale = False
        self.version += 1

    def update(self, other: Dict[K, V]) -> None:
        """Store all entries of another dictionary."""
        entry = other.entry_first()
        while entry >= 0:
            self[other.entry_key(entry)] = other.entry_value(entry)
            entry = other.entry_next(entry)

    def copy(self) -> Dict[K, V]:
        result: Dict[K, V] = Dict()
        result.update(self)
        return result

    def key_list(self) -> List[K]:
        """All keys, in the order of insertion."""
        result: List[K] = List()
        result.reserve(self._live)
        entry = self.entry_first()
        while entry >= 0:
            result.append(self._keys[entry])
            entry = self.entry_next(entry)
        return result

    def value_list(self) -> List[V]:
        """All values, in the order of insertion."""
        result: List[V] = List()
        result.reserve(self._live)
        entry = self.entry_first()
        while entry >= 0:
            result.append(self._values[entry])
            entry = self.entry_next(entry)
        return result

    # Iteration ----------------------------------------------------------------------------------------------------------

    def entry_first(self) -> int:
        """The number of the first entry, or -1."""
        return self.entry_next(-1)

    def entry_next(self, entry: int) -> int:
        """The number of the entry after `entry`, or -1."""
        following = entry + 1
        while following < self._used:
            if self._stale or self._table[following] != REMOVED:
                return following
            following += 1
        return -1

    @inline
    def entry_key(self, entry: int) -> K:
        """The key of an entry that `entry_first` or `entry_next` returned."""
        return self._keys[entry]

    @inline
    def entry_value(self, entry: int) -> V:
        """The value of such an entry."""
        return self._values[entry]

    # Entries and index --------------------------------------------------------------------------------------------------

    def _find(self, key: K, hash_value: int) -> int:
        """The number of the entry of a key, or -1."""
        if self._stale:
            self._rehash()
        table = self._table
        if self._capacity <= SMALL:
            for entry in range(self._used):
                if table[entry] == hash_value and self._keys[entry] == key:
                    return entry
            return -1
        cells = self._capacity
        cell_mask = cells * 2 - 1
        cell = hash_value & cell_mask
        while True:
            number = table[cells + cell]
            if number == 0:
                return -1
            if number > 0 and table[number - 1] == hash_value and self._keys[number - 1] == key:
                return number - 1
            cell = (cell + 1) & cell_mask

    def _add(self, key: K, hash_value: int, value: V) -> None:
        """Add an entry for a key that has none."""
        if self._used == self._capacity:
            self._rebuild(capacity_for(self._live * 2) if self._live >= SMALL // 2 else SMALL)
        entry = self._used
        self._keys[entry] = key
        self._values[entry] = value
        self._table[entry] = hash_value
        self._index_entry(entry, hash_value)
        self._used += 1
        self._live += 1
        self.version += 1

    def _remove(self, entry: int) -> None:
        """Remove an entry: its place stays used until the next rebuild."""
        if self._capacity > SMALL:
            cell_mask = self._capacity * 2 - 1
            cell = self._table[entry] & cell_mask
            while self._table[self._capacity + cell] != entry + 1:
                cell = (cell + 1) & cell_mask
            self._table[self._capacity + cell] = GIVEN_UP
        self._table[entry] = REMOVED
        self._keys.clear(entry, 1)
        self._values.clear(entry, 1)
        self._live -= 1
        if self._live == 0 and self._capacity <= SMALL:
            self._used = 0
        self.version += 1

    def _index_entry(self, entry: int, hash_value: int) -> None:
        """Enter an entry into the index, if there is one."""
        if self._capacity > SMALL:
            cell_mask = self._capacity * 2 - 1
            cell = hash_value & cell_mask
            while self._table[self._capacity + cell] != 0:
                cell = (cell + 1) & cell_mask
            self._table[self._capacity + cell] = entry + 1

    def _rebuild(self, capacity: int) -> None:
        """Move the live entries to arrays of another capacity (at least as many)."""
        keys: RawArray[K] = RawArray(capacity)
        values: RawArray[V] = RawArray(capacity)
        table: RawArray[i32] = RawArray(capacity + index_size(capacity))
        count = 0
        for entry in range(self._used):
            if self._table[entry] != REMOVED:
                keys.take(count, self._keys, entry, 1)
                values.take(count, self._values, entry, 1)
                table[count] = self._table[entry]
                count += 1
        if self._used > 0:
            self._keys.forget(0, self._used)
            self._values.forget(0, self._used)
        self._keys = keys
        self._values = values
        self._table = table
        self._capacity = capacity
        self._used = count
        for entry in range(count):
            self._index_entry(entry, table[entry])

    def _rehash(self) -> None:
        """Compute hashes and index of a frozen dictionary whose keys hash by address. All its entries are live."""
        self._stale = False
        self._table.clear(0, self._capacity + index_size(self._capacity))
        for entry in range(self._used):
            hash_value = hash(self._keys[entry]) & MASK
            self._table[entry] = hash_value
            self._index_entry(entry, hash_value)
