"""Helpers as they run: functions of the kernel that a program calls.

Context: may raise MemoryError.
Source: bpf-helpers(7).
"""

from typing import Final

from kernel.bpf.arithmetic import WORD_MASK
from kernel.bpf.held import Held
from kernel.bpf.helpers import (
    BOOT_NS,
    COMMAND,
    CURRENT_CGROUP,
    DELETE,
    KTIME_NS,
    LOAD_BYTES,
    LOAD_BYTES_RELATIVE,
    LOOKUP,
    LOOKUP_PERCPU,
    NUMA_NODE,
    PEEK,
    PID_TGID,
    POP,
    PROCESSOR,
    PUSH,
    RANDOM,
    RING_OUTPUT,
    RING_QUERY,
    SOCKET_COOKIE,
    SOCKET_UID,
    STORAGE_DELETE,
    STORAGE_GET,
    UID_GID,
    UPDATE,
)
from kernel.bpf.kept_maps import HeldMap
from kernel.bpf.machine import CONTEXT_POINTER, MAP_REGION, VALUE_REGION
from kernel.bpf.maps import BLOOM, PROGRAM_READ_ONLY, PROGRAM_WRITE_ONLY, Map
from kernel.bpf.packet_view import NOWHERE
from kernel.bpf.storage_calls import StorageCalls
from kernel.lang import EFAULT, ENOMEM, Errno, span_of
from kernel.lib.pace import spend
from kernel.mm.keeping import has_room_to_keep

_UPDATE_HASHES: Final = 3  # of a key: to check for room, to find it, to place it
_MOST_MAPS: Final = 1024  # of a program, and found in its maps of maps
_LOOK_COST: Final = 10
_COMMAND_SIZE: Final = 16
_FROM_START: Final = -1  # of what a program is shown of a packet, not of one of its headers


class HelperCalls(StorageCalls):
    """A run that calls helpers. Base class."""

    def call_helper(self, helper: int) -> None:
        result = 0
        world = self.world
        if helper == LOOKUP or helper == UPDATE or helper == DELETE or helper == LOOKUP_PERCPU:
            result = self._call_map(helper)
        elif helper == PUSH or helper == POP or helper == PEEK:
            result = self._call_line(helper)
        elif RING_OUTPUT <= helper <= RING_QUERY:
            result = self.call_ring(helper)
        elif helper == STORAGE_GET or helper == STORAGE_DELETE:
            result = self.call_storage(helper)
        elif helper == KTIME_NS:
            result = world.now_ns()
        elif helper == BOOT_NS:
            result = world.boot_ns()
        elif helper == RANDOM:
            result = world.random()
        elif helper == PROCESSOR:
            result = world.processor()
        elif helper == PID_TGID:
            result = world.pid_tgid()
        elif helper == UID_GID:
            result = world.uid_gid()
        elif helper == CURRENT_CGROUP:
            result = world.control_group()
        elif helper == LOAD_BYTES:
            result = self._load_bytes(self.registers[2], self.registers[3], self.registers[4], _FROM_START)
        elif helper == LOAD_BYTES_RELATIVE:
            header = self.registers[5] & WORD_MASK
            result = self._load_bytes(self.registers[2], self.registers[3], self.registers[4], header)
        elif helper == SOCKET_COOKIE or helper == SOCKET_UID:
            result = self._tell_of_socket(helper)
        elif helper == COMMAND:
            self._write_command(self.registers[1], self.registers[2])
        elif helper != NUMA_NODE:
            result = self.call_trace(helper)
        self.registers[0] = result

    def _call_map(self, helper: int) -> int:
        index = self.map_in(1, helper)
        if index < 0:
            return 0
        map_ = self.maps[index]
        key = self.bytes(self.registers[2], map_.key_size)
        if key is None:
            return 0
        self.helped += map_.find_cost * (_UPDATE_HASHES if helper == UPDATE else 1)
        if helper == LOOKUP or helper == LOOKUP_PERCPU:
            return self._look_up(index, map_.find(key), helper)
        if map_.copies > 1 and helper == UPDATE:
            self.helped += map_.copies * map_.stride()  # those of a new key are cleared
        if map_.flags & PROGRAM_READ_ONLY != 0:
            self.is_broken = True
            return 0
        try:
            if helper == DELETE:
                map_.remove(key)
                return 0
            value = self.bytes(self.registers[3], map_.value_size)
            flags = self.registers[4]
            if value is not None:
                if map_.needs_room(key) and not has_room_to_keep():
                    return -ENOMEM
                map_.update(key, span_of(value), flags if 0 <= flags <= 2 else -1, self._processor(map_))
        except Errno as error:
            return -error.code
        except MemoryError:
            return -ENOMEM  # the program decides
        return 0

    def _processor(self, map_: Map) -> int:
        """Whose copies of values are the program's own."""
        return 0 if map_.copies == 1 else self.world.processor() % map_.copies

    def _look_up(self, index: int, element: int, helper: int) -> int:
        """A pointer to the value of an element, or to the map that is there; 0 if there is none."""
        map_ = self.maps[index]
        if element < 0:
            return 0
        if not map_.has_values:
            return self._inner_map(map_.held(element))
        map_.touch(element)
        processor = self._processor(map_)
        if helper == LOOKUP_PERCPU:
            processor = self.registers[3] & WORD_MASK
            if processor >= map_.copies:
                return 0
        return (VALUE_REGION + index) << 32 | map_.slot_of(element, processor) * map_.stride()

    def _inner_map(self, found: Held | None) -> int:
        """A pointer to a map that was found in another, which stays while the program runs. Raises MemoryError."""
        if not isinstance(found, HeldMap):
            return 0
        for index in range(self.own_maps, len(self.maps)):
            if self.maps[index] is found.map:
                return (MAP_REGION + index) << 32
            spend(_LOOK_COST)
            self.helped += _LOOK_COST
        if len(self.maps) >= _MOST_MAPS:
            self.is_broken = True
            return 0
        if len(self.maps) == self.own_maps:
            self.maps = list(self.maps)  # the program's own list stays as it is
        self.maps.append(found.map)
        return (MAP_REGION + len(self.maps) - 1) << 32

    def _call_line(self, helper: int) -> int:
        """Add a value to a map without keys, or get one."""
        index = self.map_in(1, helper)
        if index < 0:
            return 0
        map_ = self.maps[index]
        size = map_.value_size
        is_read = helper == PUSH or map_.kind == BLOOM
        storage = self.region(self.registers[2], size, PROGRAM_WRITE_ONLY if is_read else PROGRAM_READ_ONLY)
        if storage is None or (map_.flags & PROGRAM_READ_ONLY != 0 and helper != PEEK):
            self.is_broken = True
            return 0
        spend(size)
        self.helped += size + map_.find_cost
        value = span_of(storage)[self.place : self.place + size]
        try:
            if helper == PUSH:
                map_.push(value, self.registers[3] if 0 <= self.registers[3] <= 2 else -1)
            elif helper == POP:
                map_.pop(value)
            else:
                map_.peek(value)
        except Errno as error:
            return -error.code
        finally:
            if not is_read:
                self.stored()
        return 0

    def _load_bytes(self, offset: int, address: int, size: int, header: int) -> int:
        """Copy bytes of the packet, from a header on. What is not all there is filled with zeros."""
        packet = self.packet
        if packet is None or size <= 0 or size > WORD_MASK or self.registers[1] != CONTEXT_POINTER:
            self.is_broken = True
            return 0
        storage = self.region(address, size, PROGRAM_READ_ONLY)
        if storage is None:
            self.is_broken = True
            return 0
        spend(size)
        self.helped += size
        target = span_of(storage)[self.place : self.place + size]
        offset &= WORD_MASK
        if header == _FROM_START:
            start = packet.place_for_helper(offset, size)
        else:
            start = packet.place_in_header(header, offset, size)
        if start == NOWHERE:
            target.fill(0)
        else:
            target.copy_from(span_of(packet.storage)[start : start + size])
        self.stored()
        return -EFAULT if start == NOWHERE else 0

    def _tell_of_socket(self, helper: int) -> int:
        """The socket's number, or its owner's."""
        if self.registers[1] != CONTEXT_POINTER:
            self.is_broken = True
            return 0
        packet = self.packet
        if packet is None:
            return self.cookie
        return packet.cookie if helper == SOCKET_COOKIE else packet.uid

    def _write_command(self, address: int, size: int) -> None:
        """Write the thread's name, truncated or filled with zeros."""
        if size <= 0 or size > WORD_MASK:
            self.is_broken = True
            return
        storage = self.region(address, size, PROGRAM_READ_ONLY)
        if storage is None:
            self.is_broken = True
            return
        spend(size)
        self.helped += size
        name = self.world.command()
        span_of(storage)[self.place : self.place + size].fill(0)
        for index in range(min(size, _COMMAND_SIZE) - 1):
            if index < len(name):
                storage[self.place + index] = name[index]
        self.stored()
