"""The classes that implement list, dict, deque and bytearray.

Each method does what Python's does, or traps; never anything else. A negative index traps, unless the source wrote it
as a literal: then the compiler calls `from_end`. Slices are Python's, negative bounds included.

Where Python overloads a method, or spells it as syntax, the compiler calls:

| source | here |
| --- | --- |
| `x[-k]`, k literal | `from_end(k)` |
| `x[a:b]`, `del x[a:b]` | `slice(a, b)`, `delete_slice(a, b)`, with 0 and `LAST` for what is left out |
| `x + y`, `x * n`, `x += y` | `concat(y)`, `repeat(n)`, `extend(y)` |
| `x.pop()`, `x.pop(i)` | `pop_last()`, `pop_at(i)`; a deque's `pop()` is `pop()` |
| `x.copy()`, `list(x)` | `copy()` |
| `b.extend(data)` | `extend_bytes`, `extend_array`, `extend_span` by the type of `data` |
| `bytes(b)`, `bytearray(n)`, `bytearray(data)` | `to_bytes()`, `ByteArray(n)`, `byte_array_of(data)` |
| `d.get(k)`, `d.get(k, v)` | `get`, `get_default` |
| `d.get(b[i:j])` of bytes | `get_part(b, i, j)` |
| `d.pop(k)`, `d.pop(k, v)`, `d.pop(k, None)` | `pop`, `pop_default`, `pop_optional` |
| `list(d)`, `list(d.keys())`, `list(d.values())` | `key_list()`, `value_list()` |

`for` over a dict runs `i = d.entry_first()`, `while i >= 0`, the body with `d.entry_key(i)` and `d.entry_value(i)`, `i
= d.entry_next(i)`, and traps (TRAP_CHANGED) before `entry_next` if `d.version` is no longer what it was: every
insertion and removal changes it. Deques have a `version` too.

Storage comes from `RawArray`s, at least doubled when full; growing raises MemoryError with the container unchanged. A
container without elements has no storage. A removed element is dropped at once, so that its count falls.

This file is long because the compiler knows these four classes by this module's name.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from kernel.lang import Span, final, i32, inline, noinline, u8
from kernel.lang.raw import RawArray, array_span, become_bytes, byte_at, copy_in, no_array, word_at
from kernel.lang.runtime.hashing import MASK, hash_part
from kernel.lang.runtime.large_dict import LargeTable
from kernel.lang.unsafe import TRAP_CHANGED, TRAP_INDEX, TRAP_KEY, TRAP_RANGE, trap

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

FIRST_CAPACITY: Final = 4
LAST: Final = (1 << 63) - 1  # the stop of a slice that has none
SMALL: Final = 8  # entries up to which no index is kept
LARGE: Final = 1024  # entries from which on a full dictionary becomes a large one
REMOVED: Final = -1
# Kinds of dictionaries.
IN_ARRAYS: Final = 0
STALE: Final = 1  # frozen, in arrays, without hashes
IN_TABLE: Final = 2  # large
GIVEN_UP: Final = -1


@inline
def slice_start(start: int, length: int) -> int:
    """Where a slice begins that names `start`: inside 0…length."""
    if start < 0:
        start = start + length
    return 0 if start < 0 else length if start > length else start


@inline
def slice_stop(stop: int, start: int, length: int) -> int:
    """Where a slice ends that names `stop`: inside start…length. `start` is already inside."""
    if stop < 0:
        stop = stop + length
    return start if stop < start else length if stop > length else stop


@final
class List(Generic[T]):
    """`list[T]`."""

    _items: RawArray[T]
    _length: int
    _capacity: int

    def __init__(self) -> None:
        self._items = no_array()
        self._length = 0
        self._capacity = 0

    @inline
    def __len__(self) -> int:
        return self._length

    @inline
    def __getitem__(self, index: int) -> T:
        if index < 0 or index >= self._length:
            trap(TRAP_INDEX)
        return self._items[index]

    @inline
    def __setitem__(self, index: int, value: T) -> None:
        if index < 0 or index >= self._length:
            trap(TRAP_INDEX)
        self._items[index] = value

    def __delitem__(self, index: int) -> None:
        if index < 0 or index >= self._length:
            trap(TRAP_INDEX)
        self._close_gap(index, 1)

    def from_end(self, back: int) -> T:
        """`self[-back]`."""
        return self[self._length - back]

    def __contains__(self, value: T) -> bool:
        return self._find(value) >= 0

    def index(self, value: T) -> int:
        """The first index of a value; traps if there is none."""
        found = self._find(value)
        if found < 0:
            trap(TRAP_KEY)
        return found

    @inline
    def _find(self, value: T) -> int:
        """The first index of a value, or -1. An `__eq__` may change the list meanwhile."""
        i = 0
        while i < self._length:
            if self._items[i] == value:
                return i
            i += 1
        return -1

    def count(self, value: T) -> int:
        """How many elements equal a value."""
        found = 0
        i = 0
        while i < self._length:
            if self._items[i] == value:
                found += 1
            i += 1
        return found

    @inline
    def append(self, value: T) -> None:
        if self._length == self._capacity:
            self.reserve(self._length + 1)
        self._items[self._length] = value
        self._length += 1

    @noinline
    def append_reserved(self, value: T) -> None:
        """`append` where `reserve` has made room: for long literals."""
        self._items[self._length] = value
        self._length += 1

    def pop_last(self) -> T:
        """`pop()`."""
        last = self._length - 1
        if last < 0:
            trap(TRAP_INDEX)
        value = self._items[last]
        self._items.clear(last, 1)
        self._length = last
        return value

    def pop_at(self, index: int) -> T:
        """`pop(index)`."""
        if index < 0 or index >= self._length:
            trap(TRAP_INDEX)
        value = self._items[index]
        self._close_gap(index, 1)
        return value

    def insert(self, index: int, value: T) -> None:
        """Insert before an index, which Python clamps."""
        at = slice_start(index, self._length)
        if self._length == self._capacity:
            self.reserve(self._length + 1)
        self._items.move(at + 1, at, self._length - at)
        self._items.forget(at, 1)
        self._items[at] = value
        self._length += 1

    def remove(self, value: T) -> None:
        """Remove the first element that equals a value; traps if there is none."""
        found = self.index(value)
        if found < self._length:  # else an `__eq__` has removed it
            self._close_gap(found, 1)

    def clear(self) -> None:
        self._items_clear(0, self._length)
        self._length = 0

    def extend(self, other: List[T]) -> None:
        """Append all of another list, which may be this one."""
        added = other._length
        self.reserve(self._length + added)
        for i in range(added):
            self._items[self._length + i] = other._items[i]
        self._length += added

    def reverse(self) -> None:
        low = 0
        high = self._length - 1
        while low < high:
            kept = self._items[low]
            self._items[low] = self._items[high]
            self._items[high] = kept
            low += 1
            high -= 1

    def sort(self: List[int]) -> None:
        """Sort ints upwards, in place (heap sort: no memory, no bad case)."""
        for root in range(self._length // 2 - 1, -1, -1):
            sift_down(self._items, root, self._length)
        for end in range(self._length - 1, 0, -1):
            largest = self._items[0]
            self._items[0] = self._items[end]
            self._items[end] = largest
            sift_down(self._items, 0, end)

    def slice(self, start: int, stop: int) -> List[T]:
        """`self[start:stop]`."""
        first = slice_start(start, self._length)
        end = slice_stop(stop, first, self._length)
        part: List[T] = List()
        part.reserve(end - first)
        for i in range(first, end):
            part._items[i - first] = self._items[i]
        part._length = max(end - first, 0)  # never less: but the compiler wants to see that
        return part

    def delete_slice(self, start: int, stop: int) -> None:
        """`del self[start:stop]`."""
        first = slice_start(start, self._length)
        self._close_gap(first, slice_stop(stop, first, self._length) - first)

    def copy(self) -> List[T]:
        return self.slice(0, self._length)

    def concat(self, other: List[T]) -> List[T]:
        """`self + other`."""
        both: List[T] = List()
        both.reserve(self._length + other._length)
        both.extend(self)
        both.extend(other)
        return both

    def repeat(self, times: int) -> List[T]:
        """`self * times`."""
        result: List[T] = List()
        if times > 0:
            result.reserve(self._length * times)
            if self._length == 1:
                value = self._items[0]
                for i in range(times):
                    result._items[i] = value
                result._length = times
                return result
            for _ in range(times):
                result.extend(self)
        return result

    def reserve(self, capacity: int) -> None:
        """Make room for `capacity` elements in all."""
        if capacity <= self._capacity:
            return
        larger = max(FIRST_CAPACITY, self._capacity * 2, capacity)
        items: RawArray[T] = RawArray(larger)
        if self._length > 0:
            items.take(0, self._items, 0, self._length)
            self._items.forget(0, self._length)
        self._items = items
        self._capacity = larger

    def _close_gap(self, first: int, count: int) -> None:
        """Remove `count` elements from `first`."""
        if count == 0:
            return
        self._items_clear(first, count)
        end = first + count
        moved = self._length - end
        if moved > 0:
            self._items.move(first, end, moved)
        # What is left after the last element was cleared, or its bits now count elsewhere.
        self._items.forget(first + moved, count)
        self._length = max(self._length - count, 0)  # as above

    def _items_clear(self, first: int, count: int) -> None:
        if count > 0:
            self._items.clear(first, count)


def sift_down(items: RawArray[int], root: int, end: int) -> None:
    """Let `items[root]` sink in the heap that ends before `end`."""
    value = items[root]
    while True:
        child = root * 2 + 1
        if child >= end:
            break
        if child + 1 < end and items[child] < items[child + 1]:
            child += 1
        if items[child] <= value:
            break
        items[root] = items[child]
        root = child
    items[root] = value


def sorted_ints(values: List[int]) -> List[int]:
    """`sorted(values)`."""
    result = values.copy()
    result.sort()
    return result


def index_size(capacity: int) -> int:
    """How many cells the index of a dictionary with room for `capacity` entries has."""
    return 0 if capacity <= SMALL else capacity * 2


def capacity_for(entries: int) -> int:
    """The smallest capacity for that many entries: a power of two."""
    capacity = SMALL
    while capacity < entries:
        capacity *= 2
    return capacity


def table_of(hashes: list[int]) -> list[int]:
    """The `_table` of a dictionary with entries of these hashes, in order: for the compiler, which lays out frozen
    dictionaries."""
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
    """`dict[K, V]`: insertion-ordered entries, and an index into them by hash.

    `_keys` and `_values` hold `_used` entries, removed ones (hash `REMOVED`, key and value null) included. `_table`
    holds `_capacity` hashes of 31 bits, and after them, in a dictionary of more than `SMALL` entries, an
    open-addressed index of 2 * `_capacity` cells: 0 free, -1 given up, or the entry's number plus 1. Each entry ever
    added since the last rebuild uses one cell at most, so the index is half empty and every probe ends. A small
    dictionary is searched entry by entry. The first `_gone` entries are removed ones, so that repeatedly taking the
    first entry does not rescan all those taken before.

    Where one with `LARGE` entries is full, they move to a `LargeTable`, which never moves more than one entry at once:
    `_kind` is `IN_TABLE` then, there are no arrays, and the numbers of entries are the table's.

    A frozen dictionary whose keys hash by their address comes from the compiler with the `_kind` `STALE`: the addresses
    are known only in the image, so the first look-up computes hashes and index in place (no memory is needed).
    """

    _keys: RawArray[K]
    _values: RawArray[V]
    _table: RawArray[i32]
    _capacity: int
    _used: int
    _live: int
    version: int
    _gone: i32
    _kind: u8
    _large: LargeTable[K, V] | None

    def __init__(self) -> None:
        self._keys = no_array()
        self._values = no_array()
        self._table = no_array()
        self._capacity = 0
        self._used = 0
        self._live = 0
        self.version = 0
        self._gone = 0
        self._kind = IN_ARRAYS
        self._large = None

    @inline
    def __len__(self) -> int:
        return self._live

    def __getitem__(self, key: K) -> V:
        entry = self._find(key, hash(key) & MASK)
        if entry < 0:
            trap(TRAP_KEY)
        return self.entry_value(entry)

    def __setitem__(self, key: K, value: V) -> None:
        hash_value = hash(key) & MASK
        entry = self._find(key, hash_value)
        if entry < 0:
            self._add(key, hash_value, value)
        elif self._kind == IN_TABLE:
            self._set_value_in_table(entry, value)
        else:
            self._values[entry] = value

    def reserve(self, entries: int) -> None:
        """Make room for that many entries in an empty dictionary."""
        self._rebuild(capacity_for(entries))

    @noinline
    def set_reserved(self, key: K, value: V) -> None:
        """`self[key] = value` where `reserve` has made room: for long literals."""
        try:
            self[key] = value
        except MemoryError:
            trap(TRAP_RANGE)

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
        return self.entry_value(entry)

    def get_part(self: Dict[bytes, V], data: bytes, start: int, stop: int) -> V | None:
        """`get(data[start:stop])`, without making the slice."""
        first = slice_start(start, len(data))
        end = slice_stop(stop, first, len(data))
        hash_value = hash_part(data, first, end)
        if self._capacity <= SMALL:
            if self._kind == IN_TABLE:
                return self._get_part_from_table(hash_value, data, first, end)
            for entry in range(self._used):
                if self._table[entry] == hash_value and is_part(self._keys[entry], data, first, end):
                    return self._values[entry]
            return None
        cells = self._capacity
        cell_mask = cells * 2 - 1
        cell = hash_value & cell_mask
        while True:
            number = self._table[cells + cell]
            if number == 0:
                return None
            if number > 0 and self._table[number - 1] == hash_value:
                if is_part(self._keys[number - 1], data, first, end):
                    return self._values[number - 1]
            cell = (cell + 1) & cell_mask

    def get_default(self, key: K, default: V) -> V:
        """The value of a key, or `default`."""
        entry = self._find(key, hash(key) & MASK)
        return self.entry_value(entry) if entry >= 0 else default

    def setdefault(self, key: K, default: V) -> V:
        """The value of a key, which becomes `default` if it is missing."""
        hash_value = hash(key) & MASK
        entry = self._find(key, hash_value)
        if entry >= 0:
            return self.entry_value(entry)
        self._add(key, hash_value, default)
        return default

    def pop(self, key: K) -> V:
        """Remove a key and return its value."""
        entry = self._find(key, hash(key) & MASK)
        if entry < 0:
            trap(TRAP_KEY)
        value = self.entry_value(entry)
        self._remove(entry)
        return value

    def pop_default(self, key: K, default: V) -> V:
        """Remove a key and return its value, or `default` if it is missing."""
        entry = self._find(key, hash(key) & MASK)
        if entry < 0:
            return default
        value = self.entry_value(entry)
        self._remove(entry)
        return value

    def pop_optional(self, key: K) -> V | None:
        """Remove a key and return its value, or None if it is missing."""
        entry = self._find(key, hash(key) & MASK)
        if entry < 0:
            return None
        value = self.entry_value(entry)
        self._remove(entry)
        return value

    def clear(self) -> None:
        if self._capacity != 0:
            self._keys.clear(0, self._used)
            self._values.clear(0, self._used)
            self._table.clear(0, self._capacity + index_size(self._capacity))
        self._used = 0
        self._live = 0
        self._gone = 0
        self._kind = IN_ARRAYS
        self._large = None
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
            result.append(self.entry_key(entry))
            entry = self.entry_next(entry)
        return result

    def value_list(self) -> List[V]:
        """All values, in the order of insertion."""
        result: List[V] = List()
        result.reserve(self._live)
        entry = self.entry_first()
        while entry >= 0:
            result.append(self.entry_value(entry))
            entry = self.entry_next(entry)
        return result

    # Iteration
    # ----------------------------------------------------------------------------------------------------------

    def entry_first(self) -> int:
        """The number of the first entry, or -1."""
        return self.entry_next(self._gone - 1)

    def entry_next(self, entry: int) -> int:
        """The number of the entry after `entry`, or -1."""
        following = entry + 1
        while following < self._used:
            if self._table[following] != REMOVED:
                return following
            following += 1
        return self._next_in_table(entry) if self._kind == IN_TABLE else -1

    @inline
    def entry_key(self, entry: int) -> K:
        """The key of an entry that `entry_first` or `entry_next` returned."""
        if self._kind == IN_TABLE:
            return self._key_in_table(entry)
        return self._keys[entry]

    @inline
    def entry_value(self, entry: int) -> V:
        """The value of such an entry."""
        if self._kind == IN_TABLE:
            return self._value_in_table(entry)
        return self._values[entry]

    # Large dictionaries: out of the way of the others
    # --------------------------------------------------------------------------------

    # (A dictionary to which nothing is ever added never has a table. So its functions here do nothing but trap, and
    # must do so themselves: a function that calls something and never returns counts as the end of a thread.)

    @noinline
    def _find_in_table(self, key: K, hash_value: int) -> int:
        large = self._large
        if large is None:
            trap(TRAP_KEY)
        return large.find(key, hash_value)

    @noinline
    def _next_in_table(self, entry: int) -> int:
        large = self._large
        if large is None:
            trap(TRAP_KEY)
        return large.index.newer_than(entry)

    @noinline
    def _key_in_table(self, entry: int) -> K:
        large = self._large
        if large is None:
            trap(TRAP_KEY)
        return large.key(entry)

    @noinline
    def _value_in_table(self, entry: int) -> V:
        large = self._large
        if large is None:
            trap(TRAP_KEY)
        return large.value(entry)

    @noinline
    def _set_value_in_table(self, entry: int, value: V) -> None:
        large = self._large
        if large is None:
            trap(TRAP_KEY)
        large.set_value(entry, value)

    @noinline
    def _get_part_from_table(self: Dict[bytes, V], hash_value: int, data: bytes, start: int, stop: int) -> V | None:
        large = self._large
        if large is None:
            trap(TRAP_KEY)
        number = large.index.first_with(hash_value)
        while number >= 0:
            if is_part(large.key(number), data, start, stop):
                return large.value(number)
            number = large.index.next_with(number, hash_value)
        return None

    @noinline
    def _add_to_table(self, key: K, hash_value: int, value: V) -> None:
        """Add an entry for a key that has none, to a full dictionary that is large or becomes so."""
        large = self._large
        if large is None:
            large = self._become_large()
        large.add(key, hash_value, value)
        self._large = large  # whoever was asked for memory may have removed all the others
        self._kind = IN_TABLE
        self._live += 1
        self.version += 1

    def _become_large(self) -> LargeTable[K, V]:
        """Move the entries to a table: 2 * `LARGE` at most, or as many as a literal reserved room for. Raises
        MemoryError, with nothing changed.
        """
        large = self._in_table()
        self._keys = no_array()
        self._values = no_array()
        self._table = no_array()
        self._capacity = 0
        self._used = 0
        self._gone = 0
        self._large = large
        self._kind = IN_TABLE
        return large

    def _in_table(self) -> LargeTable[K, V]:
        """A table with the entries. Raises MemoryError."""
        while True:
            large: LargeTable[K, V] = LargeTable()
            version = self.version
            large.index.begin(max(1, self._live))
            for entry in range(self._used):
                if self._table[entry] != REMOVED:
                    large.add(self._keys[entry], self._table[entry], self._values[entry])
            if self.version == version:
                return large
            # Whoever was asked for memory has removed entries (large_dict.py), perhaps of those that had moved.

    @noinline
    def _remove_from_table(self, entry: int) -> None:
        large = self._large
        if large is None:
            trap(TRAP_KEY)
        large.remove(entry)
        self._live -= 1
        if self._live == 0:
            self._large = None
            self._kind = IN_ARRAYS
        self.version += 1

    # Entries and index
    # --------------------------------------------------------------------------------------------------

    def _find(self, key: K, hash_value: int) -> int:
        """The number of the entry of a key, or -1."""
        if self._kind != IN_ARRAYS:
            if self._kind == IN_TABLE:
                return self._find_in_table(key, hash_value)
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
            if self._live >= LARGE or self._kind == IN_TABLE:
                self._add_to_table(key, hash_value, value)
                return
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
        if self._kind == IN_TABLE:
            self._remove_from_table(entry)
            return
        if self._capacity > SMALL:
            cell_mask = self._capacity * 2 - 1
            cell = self._table[entry] & cell_mask
            while self._table[self._capacity + cell] != entry + 1:
                cell = (cell + 1) & cell_mask
            self._give_up(cell, cell_mask)
        self._table[entry] = REMOVED
        self._keys.clear(entry, 1)
        self._values.clear(entry, 1)
        self._live -= 1
        if self._live == 0 and self._capacity <= SMALL:
            self._used = 0
            self._gone = 0
        elif entry == self._gone:
            self._skip_removed(entry)
        self.version += 1

    def _skip_removed(self, entry: int) -> None:
        """The first of the entries that were left is removed: look for the next one."""
        following = entry + 1
        while following < self._used and self._table[following] == REMOVED:
            following += 1
        self._gone = following

    def _give_up(self, cell: int, cell_mask: int) -> None:
        """Empty a cell of the index: free again if no probe has to pass it, and so are those given up before it."""
        cells = self._capacity
        if self._table[cells + ((cell + 1) & cell_mask)] != 0:
            self._table[cells + cell] = GIVEN_UP
            return
        self._table[cells + cell] = 0
        before = (cell - 1) & cell_mask
        while self._table[cells + before] == GIVEN_UP:
            self._table[cells + before] = 0
            before = (before - 1) & cell_mask

    def _index_entry(self, entry: int, hash_value: int) -> None:
        """Enter an entry, whose key has none, into the index, if there is one. A cell that was given up serves again:
        otherwise a name that comes and goes would lengthen its next probe each time.
        """
        if self._capacity > SMALL:
            cell_mask = self._capacity * 2 - 1
            cell = hash_value & cell_mask
            while self._table[self._capacity + cell] > 0:
                cell = (cell + 1) & cell_mask
            self._table[self._capacity + cell] = entry + 1

    def _rebuild(self, capacity: int) -> None:
        """Move the live entries to arrays of another capacity (at least as many), in runs: no other thread runs
        meanwhile, however many there are.
        """
        keys: RawArray[K] = RawArray(capacity)
        values: RawArray[V] = RawArray(capacity)
        table: RawArray[i32] = RawArray(capacity + index_size(capacity))
        count = 0
        entry = 0
        while entry < self._used:
            first = entry
            while entry < self._used and self._table[entry] != REMOVED:
                entry += 1
            if entry > first:
                keys.take(count, self._keys, first, entry - first)
                values.take(count, self._values, first, entry - first)
                table.take(count, self._table, first, entry - first)
                count += entry - first
            entry += 1
        if self._used > 0:
            self._keys.forget(0, self._used)
            self._values.forget(0, self._used)
        self._keys = keys
        self._values = values
        self._table = table
        self._capacity = capacity
        self._used = count
        self._gone = 0
        if capacity > SMALL:
            cell_mask = capacity * 2 - 1
            for entry in range(count):
                cell = table[entry] & cell_mask
                while table[capacity + cell] > 0:
                    cell = (cell + 1) & cell_mask
                table[capacity + cell] = entry + 1

    def _rehash(self) -> None:
        """Compute hashes and index of a frozen dictionary whose keys hash by address. All its entries are live."""
        self._kind = IN_ARRAYS
        self._table.clear(0, self._capacity + index_size(self._capacity))
        for entry in range(self._used):
            hash_value = hash(self._keys[entry]) & MASK
            self._table[entry] = hash_value
            self._index_entry(entry, hash_value)


def is_part(key: bytes, data: bytes, start: int, stop: int) -> bool:
    """Whether `key == data[start:stop]`. Safety: the part lies inside."""
    return len(key) == stop - start and equal_at(key, 0, data, start, stop - start)


def equal_at(left: bytes, left_at: int, right: bytes, right_at: int, count: int) -> bool:
    """Whether `count` bytes are the same; both ranges lie inside."""
    place = 0
    while place + 8 <= count:
        if word_at(left, left_at + place) != word_at(right, right_at + place):
            return False
        place += 8
    while place < count:
        if byte_at(left, left_at + place) != byte_at(right, right_at + place):
            return False
        place += 1
    return True


@final
class Deque(Generic[T]):
    """`deque[T]`: a ring whose capacity is a power of two. `version` changes with every change of length: `for` traps
    on it."""

    _items: RawArray[T]
    _length: int
    _capacity: int
    _head: int
    version: int

    def __init__(self) -> None:
        self._items = no_array()
        self._length = 0
        self._capacity = 0
        self._head = 0
        self.version = 0

    @inline
    def __len__(self) -> int:
        return self._length

    @inline
    def _place(self, index: int) -> int:
        """Where the element of an index in 0…capacity-1 lies."""
        return (self._head + index) & (self._capacity - 1)

    def __getitem__(self, index: int) -> T:
        if index < 0 or index >= self._length:
            trap(TRAP_INDEX)
        return self._items[self._place(index)]

    def __setitem__(self, index: int, value: T) -> None:
        if index < 0 or index >= self._length:
            trap(TRAP_INDEX)
        self._items[self._place(index)] = value

    def from_end(self, back: int) -> T:
        """`self[-back]`."""
        return self[self._length - back]

    def __contains__(self, value: T) -> bool:
        version = self.version
        for i in range(self._length):
            if self._items[self._place(i)] == value:
                return True
            if self.version != version:  # by an `__eq__`
                trap(TRAP_CHANGED)
        return False

    def append(self, value: T) -> None:
        self._grow_if_full()
        self._items[self._place(self._length)] = value
        self._length += 1
        self.version += 1

    def appendleft(self, value: T) -> None:
        self._grow_if_full()
        self._head = (self._head - 1) & (self._capacity - 1)
        self._items[self._head] = value
        self._length += 1
        self.version += 1

    def pop(self) -> T:
        if self._length == 0:
            trap(TRAP_INDEX)
        place = self._place(self._length - 1)
        value = self._items[place]
        self._items.clear(place, 1)
        self._length -= 1
        self.version += 1
        return value

    def popleft(self) -> T:
        if self._length == 0:
            trap(TRAP_INDEX)
        value = self._items[self._head]
        self._items.clear(self._head, 1)
        self._head = (self._head + 1) & (self._capacity - 1)
        self._length -= 1
        self.version += 1
        return value

    def remove(self, value: T) -> None:
        """Remove the first element that equals a value; traps if there is none."""
        version = self.version
        for i in range(self._length):
            is_found = self._items[self._place(i)] == value
            if self.version != version:  # by an `__eq__`
                trap(TRAP_CHANGED)
            if is_found:
                for later in range(i, self._length - 1):
                    self._items[self._place(later)] = self._items[self._place(later + 1)]
                self.pop()
                return
        trap(TRAP_KEY)

    def extend(self, other: List[T]) -> None:
        """Append all of a list."""
        for i in range(len(other)):
            self.append(other[i])

    def clear(self) -> None:
        for i in range(self._length):
            self._items.clear(self._place(i), 1)
        self._length = 0
        self._head = 0
        self.version += 1

    def _grow_if_full(self) -> None:
        if self._length < self._capacity:
            return
        larger = max(FIRST_CAPACITY, self._capacity * 2)
        items: RawArray[T] = RawArray(larger)
        if self._length > 0:
            upper = self._capacity - self._head
            items.take(0, self._items, self._head, upper)
            items.take(upper, self._items, 0, self._head)
            self._items.forget(0, self._capacity)
        self._items = items
        self._capacity = larger
        self._head = 0


@final
class ByteArray:
    """`bytearray`: bytes from `_start` in an array. Deleting at the front moves the start, so that queues of bytes are
    cheap."""

    _items: RawArray[u8]
    _start: int
    _length: int
    _capacity: int

    def __init__(self, size: int = 0) -> None:
        self._items = no_array()
        self._start = 0
        self._length = 0
        self._capacity = 0
        if size < 0:
            trap(TRAP_RANGE)
        if size > 0:
            self.reserve(size)
            self._length = size

    @inline
    def __len__(self) -> int:
        return self._length

    @inline
    def __getitem__(self, index: int) -> int:
        if index < 0 or index >= self._length:
            trap(TRAP_INDEX)
        return self._items[self._start + index]

    @inline
    def __setitem__(self, index: int, value: u8) -> None:
        if index < 0 or index >= self._length:
            trap(TRAP_INDEX)
        self._items[self._start + index] = value

    def from_end(self, back: int) -> int:
        """`self[-back]`."""
        return self[self._length - back]

    def __contains__(self, value: int) -> bool:
        if value < 0 or value > 255:
            trap(TRAP_RANGE)
        for i in range(self._length):
            if self._items[self._start + i] == value:
                return True
        return False

    @inline
    def append(self, value: u8) -> None:
        if self._start + self._length == self._capacity:
            self.reserve(self._length + 1)
        self._items[self._start + self._length] = value
        self._length += 1

    def pop_last(self) -> int:
        """`pop()`."""
        return self.pop_at(self._length - 1)

    def pop_at(self, index: int) -> int:
        """`pop(index)`."""
        value = self[index]
        self.delete_slice(index, index + 1)
        return value

    def extend_bytes(self, data: bytes) -> None:
        """Append a byte string."""
        added = len(data)
        self.reserve(self._length + added)
        copy_in(self._items, self._start + self._length, data, 0, added)
        self._length += added

    def extend_array(self, other: ByteArray) -> None:
        """Append another bytearray, or this one itself."""
        added = other._length
        self.reserve(self._length + added)
        for i in range(added):
            self._items[self._start + self._length + i] = other._items[other._start + i]
        self._length += added

    def extend_span(self, other: Span[u8]) -> None:
        """Append what a span shows. The span must not show this bytearray."""
        added = len(other)
        self.reserve(self._length + added)
        if added > 0:
            array_span(self._items, self._start + self._length, added).copy_from(other)
        self._length += added

    def clear(self) -> None:
        self._start = 0
        self._length = 0

    def slice(self, start: int, stop: int) -> ByteArray:
        """`self[start:stop]`."""
        first = slice_start(start, self._length)
        count = slice_stop(stop, first, self._length) - first
        part = ByteArray(count)
        if count > 0:
            part._items.take(0, self._items, self._start + first, count)
        return part

    def slice_bytes(self, start: int, stop: int) -> bytes:
        """`bytes(self[start:stop])`, copying once."""
        first = slice_start(start, self._length)
        count = slice_stop(stop, first, self._length) - first
        array: RawArray[u8] = RawArray(count + 1)
        if count > 0:
            array.take(0, self._items, self._start + first, count)
        return become_bytes(array, count)

    def to_bytes(self) -> bytes:
        """`bytes(self)`."""
        return self.slice_bytes(0, self._length)

    def delete_slice(self, start: int, stop: int) -> None:
        """`del self[start:stop]`."""
        first = slice_start(start, self._length)
        count = slice_stop(stop, first, self._length) - first
        if first == 0:
            self._start += count
        else:
            self._items.move(self._start + first, self._start + first + count, self._length - first - count)
        self._length -= count
        if self._length == 0:
            self._start = 0

    def __delitem__(self, index: int) -> None:
        if index < 0 or index >= self._length:
            trap(TRAP_INDEX)
        self.delete_slice(index, index + 1)

    def span(self) -> Span[u8]:
        """A view of the bytes; it goes stale when the bytearray grows."""
        return array_span(self._items, self._start, self._length)

    def reserve(self, length: int) -> None:
        """Make room for `length` bytes in all, from `_start` on."""
        if self._start + length <= self._capacity:
            return
        if length <= self._capacity and self._start >= self._length:
            # At least half lies free in front: move down.
            self._items.move(0, self._start, self._length)
        else:
            larger = max(16, self._capacity * 2, length)
            items: RawArray[u8] = RawArray(larger)
            if self._length > 0:
                items.take(0, self._items, self._start, self._length)
            self._items = items
            self._capacity = larger
        self._start = 0


def byte_array_of(data: bytes) -> ByteArray:
    """`bytearray(data)`."""
    result = ByteArray()
    result.extend_bytes(data)
    return result
