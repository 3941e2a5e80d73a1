"""Helpers that reach the values of sockets, as they run (`storage.py`).

Context: may raise MemoryError.
Source: bpf-helpers(7).
"""

from typing import Final

from kernel.bpf.helpers import STORAGE_DELETE
from kernel.bpf.machine import CONTEXT_POINTER, SOCKET_POINTER, VALUE_REGION
from kernel.bpf.maps import NO_EXIST, PROGRAM_WRITE_ONLY
from kernel.bpf.ring_calls import RingCalls
from kernel.bpf.storage import StorageMap
from kernel.lang import ENOENT, Errno, span_of
from kernel.lib.pace import spend
from kernel.mm.keeping import has_room_to_keep

_CREATES: Final = 1  # BPF_LOCAL_STORAGE_GET_F_CREATE
_COST: Final = 400


class StorageCalls(RingCalls):
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
            try:
                map_.drop_of(self.cookie)
            except Errno:
                return -ENOENT
            return 0
        slot = map_.slot_for(self.cookie)
        flags = self.registers[4]
        if not 0 <= flags <= _CREATES:
            return 0
        if slot < 0 and flags == _CREATES:
            slot = self._create(map_, self.registers[3])
        return 0 if slot < 0 else (VALUE_REGION + index) << 32 | slot * map_.stride()

    def _create(self, map_: StorageMap, address: int) -> int:
        """A value for the socket: what is at an address, or zeros. Returns its slot, or -1."""
        size = map_.value_size
        spend(size)
        self.helped += 2 * size
        try:
            value = bytearray(size)
            if address != 0:
                storage = self.region(address, size, PROGRAM_WRITE_ONLY)
                if storage is None:
                    self.is_broken = True
                    return -1
                span_of(value).copy_from(span_of(storage)[self.place : self.place + size])
            if not has_room_to_keep():
                return -1
            return map_.set_of(self.cookie, span_of(value), NO_EXIST, self.storage_room)
        except (Errno, MemoryError):
            return -1  # the program decides
