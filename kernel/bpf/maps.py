"""Maps of BPF: what all kinds have in common, and arrays of values. The other kinds are in files of their own
(`kinds.py` lists them).

Values have one size, and programs and processes share them. They are in slots, and slots in pieces of at most 32 KiB,
so that no allocation takes long. A program reaches a value by the number of its slot and an offset, both checked at
each access. An element has one slot, or one for each processor (`copies`), of which a program sees its own and a system
call all.

Context: `grow` and changes may raise MemoryError. Long searches take safe points.
Source: bpf(2).
"""

from typing import Final

from kernel.bpf.btf import Btf, release_btf
from kernel.bpf.held import Held
from kernel.lang import E2BIG, EBUSY, EEXIST, EINVAL, ENOENT, EPERM, Errno, Span, span_of, u8
from kernel.lib.pace import pace_bytes, spend

# Kinds.
HASH: Final = 1
ARRAY: Final = 2
PROGRAM_ARRAY: Final = 3
EVENT_ARRAY: Final = 4
PERCPU_HASH: Final = 5
PERCPU_ARRAY: Final = 6
GROUP_ARRAY: Final = 8
LRU_HASH: Final = 9
LRU_PERCPU_HASH: Final = 10
FOR_EACH_PROCESSOR: Final = [PERCPU_ARRAY, PERCPU_HASH, LRU_PERCPU_HASH]  # have a value for each
PREFIXES: Final = 11
ARRAY_OF_MAPS: Final = 12
HASH_OF_MAPS: Final = 13
QUEUE: Final = 22
STACK: Final = 23
SOCKET_STORAGE: Final = 24
RING: Final = 27
TASK_STORAGE: Final = 29
BLOOM: Final = 30
GROUP_STORAGE: Final = 32

NOT_SUPPORTED: Final = 524  # ENOTSUPP, which Linux does not export

# Flags of creation.
NO_PREALLOCATION: Final = 1
NO_COMMON_LRU: Final = 2
NUMA_NODE: Final = 4
READ_ONLY: Final = 8  # for system calls
WRITE_ONLY: Final = 16
ZERO_SEED: Final = 64
PROGRAM_READ_ONLY: Final = 128
PROGRAM_WRITE_ONLY: Final = 256
MAPPED: Final = 0x400  # processes may map it
KEEP_EVENTS: Final = 0x800  # an array of events keeps them when its last descriptor is closed
INNER_MAP: Final = 0x1000  # arrays of any length may take its place in a map of maps

# Flags of updates.
ANY: Final = 0
NO_EXIST: Final = 1
EXIST: Final = 2

ALL_COPIES: Final = -1  # in place of a processor: the value has those of all

_PIECE: Final = 32768
_COPY_SHIFT: Final = 2  # bytes copied by an instruction, about


class Map:
    """A map. Base class of all kinds: the storage of values."""

    def __init__(self, kind: int, key_size: int, value_size: int, most: int, flags: int, copies: int = 1) -> None:
        self.kind: int = kind
        self.key_size: int = key_size
        self.value_size: int = value_size
        self.most: int = most  # entries
        self.flags: int = flags
        self.copies: int = copies
        self.has_copies: bool = kind in FOR_EACH_PROCESSOR  # maybe for one processor
        self.slots: int = most * copies
        self.extra: int = 0  # what was asked for beside the sizes
        self.name: bytes = b""
        self.identifier: int = 0
        self.is_frozen: bool = False
        self.has_values: bool = True  # programs may have pointers to its values
        self.users: int = 0  # descriptors, names, programs and other maps
        self.openers: int = 0  # descriptors and names among them
        self.inner: Map | None = None  # of a map of maps: what they must be like; nobody uses its values
        self.owner_kind: int = -1  # of an array of programs: their type, once there was one
        self.owner_place: int = 0
        self.btf: Btf | None = None  # the types of keys and values, if its creator named them
        self.key_type: int = 0
        self.value_type: int = 0
        self.writers: int = 0  # areas through which a process may write it
        self.find_cost: int = 0  # instructions that finding a key takes, about
        self._pieces: list[bytearray] = []
        self._stride: int = (value_size + 7) & ~7
        self._per_piece: int = max(_PIECE // max(self._stride, 1), 1)

    def grow(self) -> bool:
        """Allocate one more piece; False when all exist. Until then, the map must not be used. Raises MemoryError."""
        made = len(self._pieces) * self._per_piece
        if made >= self.slots:
            return False
        size = min(self._per_piece, self.slots - made) * self._stride
        self._pieces.append(bytearray(size))
        pace_bytes(size)
        return True

    def held_bytes(self) -> int:
        """The memory that the map holds, about."""
        return self.slots * self._stride + 256

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

    def slot_of(self, element: int, processor: int) -> int:
        """Where a program on a processor finds the value of an element."""
        return element if self.copies == 1 else element * self.copies + processor

    def outer_size(self) -> int:
        """The size of a value in a system call, in bytes."""
        return self._stride * self.copies if self.has_copies else self.value_size

    def value(self, element: int) -> bytes:
        """The bytes of a value as a system call sees it. Raises MemoryError."""
        if not self.has_copies:
            start = self.start(element)
            return bytes(self.storage(element)[start : start + self.value_size])
        found = bytearray(self.outer_size())
        target = span_of(found)
        for processor in range(self.copies):
            slot = self.slot_of(element, processor)
            start = self.start(slot)
            at = processor * self._stride
            copied = span_of(self.storage(slot))[start : start + self._stride]
            target[at : at + self._stride].copy_from(copied)
            spend(self._stride >> _COPY_SHIFT)
        return bytes(found)

    def set_value(self, element: int, value: Span[u8], processor: int = ALL_COPIES) -> None:
        """`value` has the size of one for a processor, or the outer size for ALL_COPIES."""
        if not self.has_copies:
            self._set_slot(element, value)
        elif processor != ALL_COPIES:
            self._set_slot(self.slot_of(element, processor), value)
        else:
            for each in range(self.copies):
                at = each * self._stride
                self._set_slot(self.slot_of(element, each), value[at : at + self._stride])

    def set_first(self, element: int, value: Span[u8], processor: int) -> None:
        """The same for a new element, whose other copies become zeros."""
        if self.copies != 1 and processor != ALL_COPIES:
            for each in range(self.copies):
                slot = self.slot_of(element, each)
                start = self.start(slot)
                span_of(self.storage(slot))[start : start + self._stride].fill(0)
                spend(self._stride >> _COPY_SHIFT)
        self.set_value(element, value, processor)

    def _set_slot(self, slot: int, value: Span[u8]) -> None:
        start = self.start(slot)
        span_of(self.storage(slot))[start : start + len(value)].copy_from(value)

    # Keys ---------------------------------------------------------------------------------------------------------

    def find(self, key: bytes) -> int:
        """The element of a key, which has the right size; -1 if there is none."""
        return -1

    def touch(self, element: int) -> None:
        """A program has looked an element up."""

    def needs_room(self, key: bytes) -> bool:
        """Whether a key is a new one, for which memory is allocated."""
        return False

    def look_up(self, key: bytes) -> bytes:
        """The value of a key as a system call sees it. Raises ENOENT, ENOTSUPP, MemoryError."""
        element = self.find(key)
        if element < 0:
            raise Errno(ENOENT)
        return self.value(element)

    def take_out(self, key: bytes) -> bytes:
        """The value of a key, which is removed. Raises ENOENT, ENOTSUPP, MemoryError."""
        raise Errno(NOT_SUPPORTED)

    def update(self, key: bytes, value: Span[u8], flags: int, processor: int = ALL_COPIES) -> None:
        """Raises EINVAL, E2BIG, EEXIST, ENOENT, MemoryError."""
        raise Errno(EINVAL)

    def remove(self, key: bytes) -> None:
        """Raises ENOENT, EINVAL."""
        raise Errno(EINVAL)

    def next_key(self, key: bytes | None) -> bytes:
        """The key after another, the first for None or a missing one. Raises ENOENT at the end, MemoryError."""
        raise Errno(ENOENT)

    # Values without keys (`lines.py`, `bloom.py`) -------------------------------------------------------------------

    def push(self, value: Span[u8], flags: int) -> None:
        """Add a value. Raises EINVAL, E2BIG."""
        raise Errno(EINVAL)

    def peek(self, value: Span[u8]) -> None:
        """Copy the next value, or see whether it is one. Raises ENOENT, EINVAL."""
        raise Errno(EINVAL)

    def pop(self, value: Span[u8]) -> None:
        """Copy the next value, which is removed. Raises ENOENT, EINVAL."""
        raise Errno(EINVAL)

    # Objects (`objects.py`) -----------------------------------------------------------------------------------------

    def put(self, key: bytes, held: Held, flags: int) -> None:
        """Let a key lead to an object. Raises EINVAL, E2BIG, EEXIST, ENOENT, MemoryError."""
        raise Errno(EINVAL)

    def held(self, element: int) -> Held | None:
        """What an element leads to."""
        return None

    def clear(self) -> None:
        """Let go of all objects."""

    def end(self) -> None:
        """Nobody has the map any more: let go of everything."""
        btf = self.btf
        self.btf = None
        if btf is not None:
            release_btf(btf)
        self.clear()

    def abandon(self) -> None:
        """The last descriptor or name is gone. A program may still have the map."""


def next_number(key: bytes | None, most: int) -> bytes:
    """The key after another, of a map with all numbers as keys. Raises ENOENT, MemoryError."""
    number = 0
    if key is not None:
        before = span_of(key).load_u32(0)
        if before == most - 1:
            raise Errno(ENOENT)
        number = before + 1 if before < most else 0
    storage = bytearray(4)
    span_of(storage).store_u32(0, number)
    return bytes(storage)


class ArrayMap(Map):
    """Values by number: all exist from the beginning, as zeros, and none can be removed. Base class of those that can
    be mapped (`mapped_array.py`).
    """

    def find(self, key: bytes) -> int:
        number = span_of(key).load_u32(0)
        return number if number < self.most else -1

    def update(self, key: bytes, value: Span[u8], flags: int, processor: int = ALL_COPIES) -> None:
        if flags > EXIST or flags < 0:
            raise Errno(EINVAL)
        element = self.find(key)
        if element < 0:
            raise Errno(E2BIG)
        if flags == NO_EXIST:
            raise Errno(EEXIST)
        self.set_value(element, value, processor)

    def next_key(self, key: bytes | None) -> bytes:
        return next_number(key, self.most)


def freeze(map_: Map) -> None:
    """System calls can no longer change the map. Raises EPERM if that is already so, EBUSY if a process may write its
    memory.
    """
    if map_.is_frozen:
        raise Errno(EPERM)
    if map_.writers > 0:
        raise Errno(EBUSY)
    map_.is_frozen = True
