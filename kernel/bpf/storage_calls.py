"""Helpers that reach the values of sockets, as they run (`storage.py`).

Context: may raise MemoryError.
Source: bpf-helpers(7).
"""

from typing import Final

from kernel.bpf.helpers import STORAGE_DELETE
from kernel.bpf.machine import CONTEXT_POINTER, SOCKET_POINTER, VALUE_REGION
from kernel.bpf.maps import PROGRAM_WRITE_ONLY
from kernel.bpf.storage import StorageMap
from kernel.bpf.trace_calls import TraceCalls
from kernel.lang import ENOENT, Errno, noinline, span_of
from kernel.lib.pace import spend
from kernel.mm.keeping import has_room_to_keep

_CREATES: Final = 1  # BPF_LOCAL_STORAGE_GET_F_CREATE
_COST: Final = 400


class StorageCalls(TraceCalls):
    """A run that reaches them. Base class."""

    def call_storage(self, helper: int) -> int:
        """The result of a helper: a pointer to a value, 0 if there is none; or an errno."""
        index = self.map_in(1, helper)
        if index < 0:
            return 0
        map_ = self.maps[index]
        owner = self.registers[2]
        is_socket = self.cookie != 0 and (owner == SOCKET_POINTER or owner == CONTEXT_POINTER)
        if not isinstance(map_, StorageMap) or not is_socket:
            self.is_broken = True
            return 0
        spend(_COST)
        self.helped += _COST
        if helper == STORAGE_DELETE:
            return _drop(map_, self.cookie)
        slot = map_.slot_for(self.cookie)
        flags = self.registers[4]
        if not 0 <= flags <= _CREATES:
            return 0
        if slot < 0 and flags == _CREATES and map_.users > 0:  # one that has ended gets no more
            try:  # not in a function of its own: the kernel's stack may be nearly used up here
                value = self._first_value(map_, self.registers[3])
                if value is not None and has_room_to_keep():
                    map_.prepare()
                    slot = map_.add(self.cookie, self.storage_room)
                    map_.set_value(slot, span_of(value))
            except MemoryError:
                return 0  # the program decides
        return 0 if slot < 0 else (VALUE_REGION + index) << 32 | slot * map_.stride()

    @noinline
    def _first_value(self, map_: StorageMap, address: int) -> bytearray | None:
        """What is at an address, or zeros. None breaks the program. Raises MemoryError."""
        size = map_.value_size
        spend(size)
        self.helped += 2 * size
        value = bytearray(size)
        if address != 0:
            storage = self.region(address, size, PROGRAM_WRITE_ONLY)
            if storage is None:
                self.is_broken = True
                return None
            span_of(value).copy_from(span_of(storage)[self.place : self.place + size])
        return value


@noinline
def _drop(map_: StorageMap, cookie: int) -> int:
    try:
        map_.drop_of(cookie)
    except Errno:
        return -ENOENT
    return 0
