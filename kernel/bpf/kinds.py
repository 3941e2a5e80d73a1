"""The kinds of maps, and what each may be asked for.

Context: making one may raise MemoryError.
Source: bpf(2); the cases bpf_maps and bpf_kinds.
"""

from typing import Final

from kernel.bpf.bloom import BloomMap, field_bits
from kernel.bpf.hash_map import HashMap
from kernel.bpf.lines import LineMap
from kernel.bpf.mapped_array import MappedArray
from kernel.bpf.maps import (
    ARRAY,
    ARRAY_OF_MAPS,
    BLOOM,
    EVENT_ARRAY,
    FOR_EACH_PROCESSOR,
    GROUP_ARRAY,
    GROUP_STORAGE,
    HASH,
    HASH_OF_MAPS,
    INNER_MAP,
    KEEP_EVENTS,
    LRU_HASH,
    LRU_PERCPU_HASH,
    MAPPED,
    NO_COMMON_LRU,
    NO_PREALLOCATION,
    NOT_SUPPORTED,
    NUMA_NODE,
    PERCPU_ARRAY,
    PERCPU_HASH,
    PREFIXES,
    PROGRAM_ARRAY,
    PROGRAM_READ_ONLY,
    PROGRAM_WRITE_ONLY,
    QUEUE,
    READ_ONLY,
    RING,
    SOCKET_STORAGE,
    STACK,
    TASK_STORAGE,
    WRITE_ONLY,
    ZERO_SEED,
    ArrayMap,
    Map,
)
from kernel.bpf.objects import ObjectArray, ObjectTable, is_of_objects
from kernel.bpf.prefixes import LENGTH_BYTES, PrefixMap
from kernel.bpf.ring import RingMap
from kernel.bpf.storage import CLONED, MOST_VALUE, StorageMap, is_storage
from kernel.lang import E2BIG, EINVAL, Errno
from kernel.mm.frames import PAGE_MASK

_MOST_VALUE: Final = 65536
_MOST_VALUE_EACH: Final = 32768  # where each processor has one
_MOST_KEY: Final = 4096
_MOST_BYTES: Final = 1 << 30
_MOST_FIELD_BITS: Final = 1 << 33
_LONGEST_PREFIX: Final = 256  # bytes
_DESCRIPTOR: Final = 4
_HASHES: Final = [HASH, PERCPU_HASH, LRU_HASH, LRU_PERCPU_HASH, HASH_OF_MAPS]
_KINDS: Final = [
    HASH, ARRAY, PROGRAM_ARRAY, PERCPU_HASH, PERCPU_ARRAY, GROUP_ARRAY, LRU_HASH, LRU_PERCPU_HASH, PREFIXES,
    ARRAY_OF_MAPS, HASH_OF_MAPS, QUEUE, STACK, RING, BLOOM, EVENT_ARRAY,
    SOCKET_STORAGE, TASK_STORAGE, GROUP_STORAGE,
]  # fmt: skip
_FOR_PROGRAMMERS: Final = [
    LRU_HASH, LRU_PERCPU_HASH, PREFIXES, QUEUE, STACK, RING, BLOOM,
    SOCKET_STORAGE, TASK_STORAGE, GROUP_STORAGE,
]  # fmt: skip
"""Those that require CAP_BPF."""


def is_known(kind: int) -> bool:
    """Whether there are maps of that kind."""
    return kind in _KINDS


def is_for_everybody(kind: int) -> bool:
    """Whether maps of a kind need no right where the administrator lets everybody in."""
    return kind not in _FOR_PROGRAMMERS


def is_table(kind: int) -> bool:
    """Whether it is a hash table of some kind."""
    return kind in _HASHES


def _flags_of(kind: int) -> int:
    """The flags that a map of a kind may have, beside those about access."""
    if kind in _HASHES:
        return NO_PREALLOCATION | NO_COMMON_LRU | NUMA_NODE | ZERO_SEED
    if kind == PREFIXES:
        return NO_PREALLOCATION | NUMA_NODE
    if kind == BLOOM:
        return NUMA_NODE | ZERO_SEED
    if kind == EVENT_ARRAY:
        return NUMA_NODE | KEEP_EVENTS
    return NUMA_NODE | INNER_MAP | MAPPED if kind == ARRAY else NUMA_NODE


def _check_flags(kind: int, flags: int) -> None:
    """Raises EINVAL, ENOTSUPP."""
    access = READ_ONLY | WRITE_ONLY
    if not is_of_objects(kind) or kind == HASH_OF_MAPS:
        access |= PROGRAM_READ_ONLY | PROGRAM_WRITE_ONLY
    if flags & ~(_flags_of(kind) | access) != 0 or flags & NUMA_NODE != 0:
        raise Errno(EINVAL)
    if flags & READ_ONLY != 0 and flags & WRITE_ONLY != 0:
        raise Errno(EINVAL)
    if flags & PROGRAM_READ_ONLY != 0 and flags & PROGRAM_WRITE_ONLY != 0:
        raise Errno(EINVAL)
    drops = kind == LRU_HASH or kind == LRU_PERCPU_HASH
    if flags & NO_COMMON_LRU != 0 and not drops:
        raise Errno(EINVAL)
    if drops and flags & NO_PREALLOCATION != 0:
        raise Errno(NOT_SUPPORTED)
    if kind == PREFIXES and flags & NO_PREALLOCATION == 0:
        raise Errno(EINVAL)


def _check_sizes(kind: int, key_size: int, value_size: int, most: int) -> None:
    """Raises EINVAL, E2BIG."""
    if most == 0 or value_size == 0:
        raise Errno(EINVAL)
    if is_of_objects(kind) and value_size != _DESCRIPTOR:
        raise Errno(EINVAL)
    if kind == QUEUE or kind == STACK or kind == BLOOM:
        if key_size != 0:
            raise Errno(EINVAL)
    elif kind == PREFIXES:
        if not LENGTH_BYTES < key_size <= LENGTH_BYTES + _LONGEST_PREFIX:
            raise Errno(EINVAL)
    elif kind in _HASHES:
        if key_size == 0:
            raise Errno(EINVAL)
    elif key_size != _DESCRIPTOR:
        raise Errno(EINVAL)
    if value_size > (_MOST_VALUE_EACH if kind in FOR_EACH_PROCESSOR else _MOST_VALUE) or key_size > _MOST_KEY:
        raise Errno(E2BIG)


def make_map(
    kind: int, key_size: int, value_size: int, most: int, flags: int, extra: int = 0, processors: int = 1
) -> Map:
    """A map without storage yet (`grow`). Raises EINVAL, E2BIG, ENOTSUPP, MemoryError."""
    if not is_known(kind):
        raise Errno(EINVAL)
    if extra != 0 and (kind != BLOOM or not 0 < extra <= 0xF):
        raise Errno(EINVAL)
    if kind == RING:
        if flags & ~NUMA_NODE != 0 or key_size != 0 or value_size != 0:
            raise Errno(EINVAL)
        if most == 0 or most & most - 1 != 0 or most & PAGE_MASK != 0:
            raise Errno(EINVAL)
        if most > _MOST_BYTES:
            raise Errno(E2BIG)
        return RingMap(most, flags)
    if is_storage(kind):
        if flags & ~CLONED != NO_PREALLOCATION or key_size != _DESCRIPTOR or value_size == 0 or most != 0:
            raise Errno(EINVAL)
        if value_size > MOST_VALUE:
            raise Errno(E2BIG)
        return StorageMap(kind, value_size, flags)
    _check_flags(kind, flags)
    _check_sizes(kind, key_size, value_size, most)
    if kind == BLOOM:
        if field_bits(most, max(extra, 1)) > _MOST_FIELD_BITS:
            raise Errno(E2BIG)
        return BloomMap(value_size, most, flags, extra)
    if kind == HASH_OF_MAPS:
        return ObjectTable(kind, key_size, most, flags)
    if is_of_objects(kind):
        return ObjectArray(kind, most, flags)
    copies = processors if kind in FOR_EACH_PROCESSOR else 1
    if most * copies * ((value_size + 7) & ~7) > _MOST_BYTES:
        raise Errno(E2BIG)
    if kind == QUEUE or kind == STACK:
        return LineMap(kind, value_size, most, flags)
    if kind == PREFIXES:
        return PrefixMap(kind, key_size, value_size, most, flags)
    if kind in _HASHES:
        return HashMap(kind, key_size, value_size, most, flags, copies)
    if flags & MAPPED != 0:
        return MappedArray(kind, key_size, value_size, most, flags)
    return ArrayMap(kind, key_size, value_size, most, flags, copies)
