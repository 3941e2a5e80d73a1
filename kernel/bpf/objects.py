"""Maps whose elements lead to objects: programs for tail calls, other maps, control groups, events of
perf_event_open(2).

Only system calls change them. A program may look up a map in a map, and go on in another program (`interpreter.py`).
An array of programs lets go of them when nobody has it open, because one of them may be a user of the array itself.

Context: may raise MemoryError.
Source: bpf(2); Linux's Documentation/bpf/map_of_maps.rst.
"""

from typing import Final

from kernel.bpf.hash_map import HashMap
from kernel.bpf.held import Held
from kernel.bpf.maps import (
    ARRAY,
    ARRAY_OF_MAPS,
    EVENT_ARRAY,
    EXIST,
    GROUP_ARRAY,
    HASH_OF_MAPS,
    INNER_MAP,
    KEEP_EVENTS,
    NO_EXIST,
    NOT_SUPPORTED,
    PERCPU_ARRAY,
    PROGRAM_ARRAY,
    Map,
    next_number,
)
from kernel.lang import E2BIG, EEXIST, EINVAL, ENOENT, Errno, final, span_of
from kernel.lib.pace import pace
from kernel.sched.later import Job

MOST_OBJECTS: Final = 8192  # of a map
_ENTRY_BYTES: Final = 100
_LET_GO_COST: Final = 100  # instructions


def fits(like: Map, other: Map) -> bool:
    """Whether a map may be in a map of maps that are like one."""
    if (
        like.kind != other.kind
        or like.key_size != other.key_size
        or like.value_size != other.value_size
        or like.flags != other.flags
    ):
        return False
    return (like.kind != ARRAY and like.kind != PERCPU_ARRAY) or like.flags & INNER_MAP != 0 or like.most == other.most


def is_of_maps(kind: int) -> bool:
    return kind == ARRAY_OF_MAPS or kind == HASH_OF_MAPS


def is_of_objects(kind: int) -> bool:
    return is_of_maps(kind) or kind == PROGRAM_ARRAY or kind == GROUP_ARRAY or kind == EVENT_ARRAY


@final
class Objects:
    """The objects of a map, by element."""

    def __init__(self) -> None:
        by_element: dict[int, Held] = {}
        self.by_element: dict[int, Held] = by_element
        self._departure: Departure = Departure()

    def let_go(self) -> None:
        """Drop the references to all, soon. That is left to the thread "async": a program among them may be the last
        user of another map with such programs, and so on.
        """
        if len(self.by_element) > 0:
            self._departure.objects = self
            self._departure.schedule()


@final
class Departure(Job):
    """What drops them."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: Objects | None = None

    def run(self) -> None:
        objects = self.objects
        if objects is None:
            return
        fresh: dict[int, Held] = {}
        leaving = objects.by_element
        objects.by_element = fresh
        self.objects = None
        for element in leaving:
            leaving[element].release()
            pace(_LET_GO_COST)


@final
class ObjectArray(Map):
    """Objects by number."""

    def __init__(self, kind: int, most: int, flags: int) -> None:
        super().__init__(kind, 4, 4, most, flags)
        self.has_values = False
        self.slots = 0
        self._objects: Objects = Objects()

    def held_bytes(self) -> int:
        return len(self._objects.by_element) * _ENTRY_BYTES + 256

    def find(self, key: bytes) -> int:
        number = span_of(key).load_u32(0)
        return number if number < self.most else -1

    def held(self, element: int) -> Held | None:
        return self._objects.by_element.get(element)

    def needs_room(self, key: bytes) -> bool:
        return self.find(key) not in self._objects.by_element

    def look_up(self, key: bytes) -> bytes:
        if self.kind == GROUP_ARRAY or self.kind == EVENT_ARRAY:
            raise Errno(NOT_SUPPORTED)
        found = self._objects.by_element.get(self.find(key))
        if found is None:
            raise Errno(ENOENT)
        return _as_value(found)

    def put(self, key: bytes, held: Held, flags: int) -> None:
        if flags != 0:
            raise Errno(EINVAL)
        element = self.find(key)
        if element < 0:
            raise Errno(E2BIG)
        before = self._objects.by_element.get(element)
        if before is None and len(self._objects.by_element) >= MOST_OBJECTS:
            raise Errno(E2BIG)
        held.keep()
        try:
            self._objects.by_element[element] = held
        except MemoryError:
            held.release()
            raise
        if before is not None:
            before.release()

    def remove(self, key: bytes) -> None:
        element = self.find(key)
        if element < 0:
            raise Errno(E2BIG)
        found = self._objects.by_element.get(element)
        if found is None:
            raise Errno(ENOENT)
        self._objects.by_element.pop(element, found)
        found.release()

    def next_key(self, key: bytes | None) -> bytes:
        return next_number(key, self.most)

    def clear(self) -> None:
        self._objects.let_go()

    def abandon(self) -> None:
        if self.kind == PROGRAM_ARRAY or (self.kind == EVENT_ARRAY and self.flags & KEEP_EVENTS == 0):
            self.clear()


@final
class ObjectTable(HashMap):
    """Objects by key."""

    def __init__(self, kind: int, key_size: int, most: int, flags: int) -> None:
        super().__init__(kind, key_size, 4, most, flags)
        self.has_values = False
        self.slots = 0
        self._objects: Objects = Objects()

    def held_bytes(self) -> int:
        return super().held_bytes() + len(self._objects.by_element) * _ENTRY_BYTES

    def held(self, element: int) -> Held | None:
        return self._objects.by_element.get(element)

    def look_up(self, key: bytes) -> bytes:
        found = self._objects.by_element.get(self.find(key))
        if found is None:
            raise Errno(ENOENT)
        return _as_value(found)

    def take_out(self, key: bytes) -> bytes:
        raise Errno(NOT_SUPPORTED)

    def put(self, key: bytes, held: Held, flags: int) -> None:
        if not 0 <= flags <= EXIST:
            raise Errno(EINVAL)
        element = self.find(key)
        if element < 0 and flags == EXIST:
            raise Errno(ENOENT)
        if element >= 0 and flags == NO_EXIST:
            raise Errno(EEXIST)
        if element < 0 and len(self._objects.by_element) >= MOST_OBJECTS:
            raise Errno(E2BIG)
        held.keep()
        try:
            if element < 0:
                element = self._add(key)
        except (Errno, MemoryError):
            held.release()
            raise
        before = self._objects.by_element.get(element)
        try:
            self._objects.by_element[element] = held
        except MemoryError:
            if before is None:
                self.drop(key)
            held.release()
            raise
        if before is not None:
            before.release()

    def remove(self, key: bytes) -> None:
        element = self.find(key)
        super().remove(key)
        found = self._objects.by_element.get(element)
        if found is not None:
            self._objects.by_element.pop(element, found)
            found.release()

    def clear(self) -> None:
        self._objects.let_go()


def _as_value(held: Held) -> bytes:
    """The number of an object. Raises MemoryError."""
    found = bytearray(4)
    span_of(found).store_u32(0, held.number())
    return bytes(found)
