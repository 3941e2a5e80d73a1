"""Maps whose values belong to objects of the kernel in place of keys: to sockets, threads, control groups.

Such a map has a value for each object that was given one. An object is known by a number, which nobody else has while
it lives. System calls name it by a descriptor (`kernel/syscalls/bpf_owners.py`), programs by a pointer.

Invariants: a map is among those of an owner (`Owned.slots`) exactly if the owner is among the map's (`owners`). A slot
is in use by one owner, or in the list of free ones. Its bytes stay when it is given back: a program that still has the
value reads or writes a value of the map, never anything else.

The values go with their owner (`Owners.end`), which must take no long: an owner is in at most MOST_MAPS maps. When the
map goes, the thread "async" takes it from its owners.

Context: changes may raise MemoryError; nothing sleeps but `Departure.run`.
Source: Linux's Documentation/bpf/map_sk_storage.rst, map_cgrp_storage.rst.
"""

from typing import Final

from kernel.bpf.maps import EXIST, GROUP_STORAGE, NO_EXIST, NOT_SUPPORTED, SOCKET_STORAGE, TASK_STORAGE, Map
from kernel.lang import EEXIST, EINVAL, ENOENT, Errno, Span, final, noinline, span_of, u8
from kernel.lib.pace import pace, spend
from kernel.sched.later import Job

MOST_MAPS: Final = 1024  # in which an owner has values
MOST_OWNERS: Final = 65536  # of a map
MOST_VALUE: Final = 65407
CLONED: Final = 0x200  # BPF_F_CLONE: an accepted socket gets the listening one's value
NO_LIMIT: Final = -1
_PIECE: Final = 8192
_MOST_BYTES: Final = 1 << 28  # of a map's values
_ELEMENT_BYTES: Final = 300  # beside the value, about
_VALUE_BYTES: Final = 72  # what a value counts against an owner's limit, beside its own bytes
_OWNER_BYTES: Final = 176  # what the first one counts more
_COST: Final = 400  # instructions


@final
class Owned:
    """The values of one owner."""

    def __init__(self, number: int) -> None:
        self.number: int = number
        slots: dict[int, int] = {}
        self.slots: dict[int, int] = slots  # by the serial number of the map
        maps: dict[int, StorageMap] = {}
        self.maps: dict[int, StorageMap] = maps
        self.counted: int = 0  # bytes, against the limit


@final
class Owners:
    """The objects of one kind that have values, by their numbers."""

    def __init__(self) -> None:
        by_number: dict[int, Owned] = {}
        self.by_number: dict[int, Owned] = by_number

    def end(self, number: int) -> None:
        """An object goes, which may have values."""
        if len(self.by_number) == 0:
            return
        owned = self.by_number.pop(number, None)
        if owned is None:
            return
        for serial in owned.maps:
            owned.maps[serial].lose(owned)
            spend(_COST)
        owned.maps.clear()
        owned.slots.clear()

    def rename(self, number: int, new: int) -> None:
        """An object has another number from now on, which another had that has gone. Raises nothing: where memory is
        short its values go.
        """
        if len(self.by_number) == 0:
            return
        self.end(new)
        owned = self.by_number.get(number)
        if owned is None:
            return
        try:
            self.by_number[new] = owned
        except MemoryError:
            self.end(number)
            return
        self.by_number.pop(number, None)
        owned.number = new

    def clone(self, number: int, new: int, most: int) -> None:
        """A new socket gets copies of the values that maps with CLONED have of another. Raises MemoryError."""
        if len(self.by_number) == 0:
            return
        owned = self.by_number.get(number)
        if owned is None:
            return
        for serial in owned.maps:
            map_ = owned.maps[serial]
            if map_.flags & CLONED != 0 and map_.users != 0:  # not one that is about to leave all its owners
                map_.set_of(new, span_of(map_.value(owned.slots[serial])), 0, most)


SOCKET_OWNERS: Final = Owners()
"""By the numbers of their inodes."""
TASK_OWNERS: Final = Owners()
"""By the numbers of the threads."""
GROUP_OWNERS: Final = Owners()
"""By the numbers of the groups."""


def is_storage(kind: int) -> bool:
    """Whether maps of a kind have values of objects."""
    return kind == SOCKET_STORAGE or kind == TASK_STORAGE or kind == GROUP_STORAGE


def _owners_for(kind: int) -> Owners:
    if kind == SOCKET_STORAGE:
        return SOCKET_OWNERS
    return TASK_OWNERS if kind == TASK_STORAGE else GROUP_OWNERS


@final
class _Serials:
    """The last number that a map got."""

    def __init__(self) -> None:
        self.last: int = 0


_SERIALS: Final = _Serials()


@final
class StorageMap(Map):
    """A map of that kind."""

    def __init__(self, kind: int, value_size: int, flags: int) -> None:
        super().__init__(kind, 4, value_size, 0, flags)
        _SERIALS.last += 1
        self._serial: int = _SERIALS.last
        self._all: Owners = _owners_for(kind)
        owners: dict[int, Owned] = {}
        self.owners: dict[int, Owned] = owners  # by slot
        self._free: list[int] = []
        self._per_piece = max(_PIECE // self._stride, 1)
        self._departure: Departure = Departure()

    def held_bytes(self) -> int:
        return self.slots * self._stride + len(self.owners) * _ELEMENT_BYTES + 512

    def needs_room(self, key: bytes) -> bool:
        return True

    # Values of owners -----------------------------------------------------------------------------------------------

    def slot_for(self, number: int) -> int:
        """Where the value of an owner is; -1 if it has none."""
        owned = self._all.by_number.get(number)
        return -1 if owned is None else owned.slots.get(self._serial, -1)

    def set_of(self, number: int, value: Span[u8], flags: int, most: int = NO_LIMIT) -> int:
        """Give an owner a value, which replaces the one that it has. Returns its slot. `most`: the bytes that the owner
        may have in all maps. Raises EINVAL, EEXIST, ENOENT, MemoryError.
        """
        if not 0 <= flags <= EXIST:
            raise Errno(EINVAL)
        slot = self.slot_for(number)
        if slot >= 0 and flags == NO_EXIST:
            raise Errno(EEXIST)
        if slot < 0 and flags == EXIST:
            raise Errno(ENOENT)
        if slot < 0:
            self.prepare()
            slot = self.add(number, most)
        else:
            self._check_limit(self._all.by_number.get(number), most)  # the old value counts, too, as on Linux
        spend(self.value_size)
        self.set_value(slot, value)
        return slot

    def _check_limit(self, owned: Owned | None, most: int) -> int:
        """What one more value of an owner counts. Raises MemoryError if that is too much."""
        size = self.value_size + _VALUE_BYTES
        counted = 0
        if owned is None:
            size += _OWNER_BYTES
        else:
            counted = owned.counted
        if most != NO_LIMIT and counted + size >= most:
            raise MemoryError
        return size

    def drop_of(self, number: int) -> None:
        """Take an owner's value away. Raises ENOENT."""
        owned = self._all.by_number.get(number)
        if owned is None or self._serial not in owned.slots:
            raise Errno(ENOENT)
        self.lose(owned)
        owned.maps.pop(self._serial, self)
        self._forget(owned)

    def _forget(self, owned: Owned) -> None:
        """An owner has no value here any more."""
        owned.slots.pop(self._serial, -1)
        owned.counted -= self.value_size + _VALUE_BYTES
        if len(owned.slots) == 0:
            self._all.by_number.pop(owned.number, owned)

    def lose(self, owned: Owned) -> None:
        """Give back the slot of an owner, who forgets the map."""
        slot = owned.slots.get(self._serial, -1)
        if slot < 0:
            return
        self.owners.pop(slot, owned)
        try:
            self._free.append(slot)
        except MemoryError:
            return  # the slot stays unused until the map goes

    @noinline
    def add(self, number: int, most: int) -> int:
        """A slot for an owner that has none, after `prepare`. Raises MemoryError, with nothing changed."""
        owned = self._all.by_number.get(number)
        added = self._check_limit(owned, most)
        if len(self.owners) >= MOST_OWNERS or (owned is not None and len(owned.slots) >= MOST_MAPS):
            raise MemoryError
        fresh = Owned(number) if owned is None else owned
        slot = self._free[-1]
        try:
            self.owners[slot] = fresh
            fresh.slots[self._serial] = slot
            fresh.maps[self._serial] = self
            if owned is None:
                self._all.by_number[number] = fresh
        except MemoryError:
            self.owners.pop(slot, fresh)
            fresh.slots.pop(self._serial, slot)
            fresh.maps.pop(self._serial, self)
            raise
        self._free.pop()
        fresh.counted += added
        return slot

    @noinline
    def prepare(self) -> None:
        """Allocate one more piece of values, if no slot is free. Raises MemoryError."""
        if len(self._free) > 0:
            return
        size = self._per_piece * self._stride
        if self.slots * self._stride + size > _MOST_BYTES:
            raise MemoryError
        piece = bytearray(size)
        last = self.slots + self._per_piece - 1
        free = [last - place for place in range(self._per_piece)]
        self._pieces.append(piece)
        self.slots += self._per_piece
        self._free = free  # there was none
        spend(size)

    # System calls, and the end ----------------------------------------------------------------------------------------

    def next_key(self, key: bytes | None) -> bytes:
        raise Errno(NOT_SUPPORTED)

    def clear(self) -> None:
        if len(self.owners) > 0:
            self._departure.map = self
            self._departure.schedule()

    def leave(self, slot: int) -> None:
        """Let the owner of a slot forget the map, which nobody uses any more."""
        owned = self.owners.pop(slot, None)
        if owned is not None:
            owned.maps.pop(self._serial, self)
            self._forget(owned)


@final
class Departure(Job):
    """What takes a map from its owners."""

    def __init__(self) -> None:
        super().__init__()
        self.map: StorageMap | None = None

    def run(self) -> None:
        map_ = self.map
        if map_ is None:
            return
        self.map = None
        for slot in range(map_.slots):
            map_.leave(slot)
            pace(_COST)
