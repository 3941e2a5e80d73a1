"""Maps of BPF: arrays and hash tables of values of one size, which programs and processes share.

Values are in slots, and slots in pieces of at most 32 KiB, so that no allocation takes long. A program reaches a value
by the number of its slot and an offset, both checked at each access. A removed slot of a hash table keeps
its bytes until another key gets it: a program that still has the value then reads or writes a value, never anything
else.

Invariants: in a hash table, `_first` has the first slot for each hash of keys, and the chunks have the slot that
follows each, and the slots' contents. The slots below `_made` without a key are in the list that begins with `_free`.
The hash is the map's own (`key_hash.py`), because users choose the keys.

Context: `grow` and changes may raise MemoryError. Long searches take safe points.
Source: bpf(2).
"""

from typing import Final

from kernel.bpf.key_hash import KeyHash, hash_cost
from kernel.lang import E2BIG, EEXIST, EINVAL, ENOENT, EPERM, Errno, Span, final, span_of, u8
from kernel.lib.pace import pace, pace_bytes, spend

HASH: Final = 1
ARRAY: Final = 2

# Flags of creation.
NO_PREALLOCATION: Final = 1
NUMA_NODE: Final = 4
READ_ONLY: Final = 8  # for system calls
WRITE_ONLY: Final = 16
ZERO_SEED: Final = 64
PROGRAM_READ_ONLY: Final = 128
PROGRAM_WRITE_ONLY: Final = 256

# Flags of updates.
ANY: Final = 0
NO_EXIST: Final = 1
EXIST: Final = 2

_PIECE: Final = 32768
_MOST_VALUE: Final = 65536
_MOST_KEY: Final = 4096
_MOST_BYTES: Final = 1 << 30
_SLOT_BYTES: Final = 160  # of a key with its place in the table, beyond the key's bytes
_LOOK_COST: Final = 20  # instructions
_CHAIN_COST: Final = 60
_CHUNK_SHIFT: Final = 12  # slots in a chunk of a hash table: growing lists stay short, because copying takes long
_IN_CHUNK: Final = (1 << _CHUNK_SHIFT) - 1


class Map:
    """A map. Base class of both kinds: the storage of values."""

    def __init__(self, kind: int, key_size: int, value_size: int, most: int, flags: int) -> None:
        self.kind: int = kind
        self.key_size: int = key_size
        self.value_size: int = value_size
        self.most: int = most  # entries
        self.flags: int = flags
        self.name: bytes = b""
        self.identifier: int = 0
        self.is_frozen: bool = False
        self.users: int = 0  # descriptors and programs
        self.hash_cost: int = 0  # instructions for each hash of a key, about
        self._pieces: list[bytearray] = []
        self._stride: int = (value_size + 7) & ~7
        self._per_piece: int = max(_PIECE // self._stride, 1)

    def grow(self) -> bool:
        """Allocate one more piece; False when all exist. Until then, the map must not be used. Raises MemoryError."""
        made = len(self._pieces) * self._per_piece
        if made >= self.most:
            return False
        size = min(self._per_piece, self.most - made) * self._stride
        self._pieces.append(bytearray(size))
        pace_bytes(size)
        return True

    def held_bytes(self) -> int:
        """The memory that the map holds, about."""
        return self.most * self._stride + 256

    # Values -------------------------------------------------------------------------------------------------------

    def stride(self) -> int:
        """The distance between slots, in bytes."""
        return self._stride

    def storage(self, slot: int) -> bytearray:
        """The piece that contains a slot, which must exist."""
        return self._pieces[slot // self._per_piece]

    def start(self, slot: int) -> int:
        """The offset in its piece."""
        return slot % self._per_piece * self._stride

    def value(self, slot: int) -> bytes:
        """The bytes of a value. Raises MemoryError."""
        start = self.start(slot)
        return bytes(self.storage(slot)[start : start + self.value_size])

    def set_value(self, slot: int, value: Span[u8]) -> None:
        """`value` has the size of one."""
        start = self.start(slot)
        span_of(self.storage(slot))[start : start + self.value_size].copy_from(value)

    # Keys ---------------------------------------------------------------------------------------------------------

    def find(self, key: bytes) -> int:
        """The slot of a key, which has the right size; -1 if there is none."""
        return -1

    def needs_room(self, key: bytes) -> bool:
        """Whether a key is a new one, for which memory is allocated."""
        return False

    def update(self, key: bytes, value: Span[u8], flags: int) -> None:
        """Raises EINVAL, E2BIG, EEXIST, ENOENT, MemoryError."""
        raise Errno(EINVAL)

    def remove(self, key: bytes) -> None:
        """Raises ENOENT, EINVAL."""
        raise Errno(EINVAL)

    def next_key(self, key: bytes | None) -> bytes:
        """The key after another, the first for None or a missing one. Raises ENOENT at the end, MemoryError."""
        raise Errno(ENOENT)


@final
class ArrayMap(Map):
    """Values by number: all exist from the beginning, as zeros, and none can be removed."""

    def find(self, key: bytes) -> int:
        number = span_of(key).load_u32(0)
        return number if number < self.most else -1

    def update(self, key: bytes, value: Span[u8], flags: int) -> None:
        if flags > EXIST or flags < 0:
            raise Errno(EINVAL)
        slot = self.find(key)
        if slot < 0:
            raise Errno(E2BIG)
        if flags == NO_EXIST:
            raise Errno(EEXIST)
        self.set_value(slot, value)

    def next_key(self, key: bytes | None) -> bytes:
        number = 0
        if key is not None:
            before = span_of(key).load_u32(0)
            if before == self.most - 1:
                raise Errno(ENOENT)
            number = before + 1 if before < self.most else 0
        storage = bytearray(4)
        span_of(storage).store_u32(0, number)
        return bytes(storage)


@final
class _Chunk:
    """Consecutive slots: their keys, and the slot that follows each."""

    def __init__(self) -> None:
        keys: list[bytes] = []
        following: list[int] = []
        self.keys: list[bytes] = keys  # empty where none is used
        self.following: list[int] = following  # one with the same hash, or the next free one; -1 at the end


@final
class HashMap(Map):
    """Values by key. Keys come in the order of their slots."""

    def __init__(self, kind: int, key_size: int, value_size: int, most: int, flags: int) -> None:
        super().__init__(kind, key_size, value_size, most, flags)
        self._hash: KeyHash = KeyHash()
        self.hash_cost = hash_cost(key_size)
        first: dict[int, int] = {}
        chunks: list[_Chunk] = []
        self._first: dict[int, int] = first  # by hash
        self._chunks: list[_Chunk] = chunks
        self._made: int = 0  # slots that are or were used
        self._free: int = -1  # the first free slot

    def held_bytes(self) -> int:
        return super().held_bytes() + self._made * (_SLOT_BYTES + 2 * self.key_size)

    def needs_room(self, key: bytes) -> bool:
        return self._free < 0 and self._made < self.most and self.find(key) < 0

    # Slots --------------------------------------------------------------------------------------------------------

    def _key(self, slot: int) -> bytes:
        return self._chunks[slot >> _CHUNK_SHIFT].keys[slot & _IN_CHUNK]

    def _behind(self, slot: int) -> int:
        return self._chunks[slot >> _CHUNK_SHIFT].following[slot & _IN_CHUNK]

    def _link(self, slot: int, following: int) -> None:
        self._chunks[slot >> _CHUNK_SHIFT].following[slot & _IN_CHUNK] = following

    def _take_slot(self) -> int:
        """A slot for a new key. Raises E2BIG, MemoryError."""
        slot = self._free
        if slot >= 0:
            self._free = self._behind(slot)
            return slot
        slot = self._made
        if slot >= self.most:
            raise Errno(E2BIG)
        if len(self._chunks) <= slot >> _CHUNK_SHIFT:
            self._chunks.append(_Chunk())
        chunk = self._chunks[slot >> _CHUNK_SHIFT]
        chunk.following.append(-1)
        try:
            chunk.keys.append(b"")
        except MemoryError:
            chunk.following.pop()
            raise
        self._made += 1
        return slot

    def _give_slot(self, slot: int) -> None:
        """Free a slot."""
        self._chunks[slot >> _CHUNK_SHIFT].keys[slot & _IN_CHUNK] = b""
        self._link(slot, self._free)
        self._free = slot

    # Keys ---------------------------------------------------------------------------------------------------------

    def find(self, key: bytes) -> int:
        slot = self._first.get(self._hash.of(key), -1)
        while slot >= 0 and self._key(slot) != key:
            slot = self._behind(slot)
            spend(_CHAIN_COST + self.key_size)
        return slot

    def update(self, key: bytes, value: Span[u8], flags: int) -> None:
        if flags > EXIST or flags < 0:
            raise Errno(EINVAL)
        slot = self.find(key)
        if slot >= 0:
            if flags == NO_EXIST:
                raise Errno(EEXIST)
            self.set_value(slot, value)
            return
        if flags == EXIST:
            raise Errno(ENOENT)
        slot = self._take_slot()
        number = self._hash.of(key)
        following = self._first.get(number, -1)
        try:
            self._first[number] = slot
        except MemoryError:
            self._give_slot(slot)
            raise
        self._link(slot, following)
        self._chunks[slot >> _CHUNK_SHIFT].keys[slot & _IN_CHUNK] = key
        self.set_value(slot, value)

    def remove(self, key: bytes) -> None:
        number = self._hash.of(key)
        slot = self._first.get(number, -1)
        before = -1
        while slot >= 0 and self._key(slot) != key:
            before = slot
            slot = self._behind(slot)
            spend(_CHAIN_COST + self.key_size)
        if slot < 0:
            raise Errno(ENOENT)
        following = self._behind(slot)
        if before >= 0:
            self._link(before, following)
        elif following >= 0:
            self._first[number] = following
        else:
            self._first.pop(number, -1)
        self._give_slot(slot)

    def next_key(self, key: bytes | None) -> bytes:
        slot = -1 if key is None else self.find(key)
        while True:
            slot += 1
            if slot >= self._made:
                raise Errno(ENOENT)
            found = self._key(slot)
            if len(found) > 0:
                return found
            pace(_LOOK_COST)


def make_map(kind: int, key_size: int, value_size: int, most: int, flags: int) -> Map:
    """A map without storage yet (`grow`). Raises EINVAL, E2BIG, MemoryError."""
    known = NUMA_NODE | READ_ONLY | WRITE_ONLY | PROGRAM_READ_ONLY | PROGRAM_WRITE_ONLY
    if kind == HASH:
        known |= NO_PREALLOCATION | ZERO_SEED
    elif kind != ARRAY:
        raise Errno(EINVAL)
    if flags & ~known != 0 or flags & NUMA_NODE != 0:
        raise Errno(EINVAL)
    if flags & READ_ONLY != 0 and flags & WRITE_ONLY != 0:
        raise Errno(EINVAL)
    if flags & PROGRAM_READ_ONLY != 0 and flags & PROGRAM_WRITE_ONLY != 0:
        raise Errno(EINVAL)
    if most == 0 or key_size == 0 or value_size == 0:
        raise Errno(EINVAL)
    if kind == ARRAY and key_size != 4:
        raise Errno(EINVAL)
    if value_size > _MOST_VALUE or key_size > _MOST_KEY or most * ((value_size + 7) & ~7) > _MOST_BYTES:
        raise Errno(E2BIG)
    if kind == HASH:
        return HashMap(kind, key_size, value_size, most, flags)
    return ArrayMap(kind, key_size, value_size, most, flags)


def freeze(map_: Map) -> None:
    """System calls can no longer change the map. Raises EPERM if that is already so."""
    if map_.is_frozen:
        raise Errno(EPERM)
    map_.is_frozen = True
