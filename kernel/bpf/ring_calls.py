"""Helpers that write records into rings, as they run.

Context: may raise MemoryError.
Source: bpf-helpers(7).
"""

from typing import Final

from kernel.bpf.arithmetic import WORD_MASK
from kernel.bpf.helpers import RING_DISCARD, RING_OUTPUT, RING_QUERY, RING_RESERVE, is_for
from kernel.bpf.machine import MAP_REGION, RECORD_REGION, Memory
from kernel.bpf.maps import PROGRAM_WRITE_ONLY
from kernel.bpf.ring import FORCE_WAKEUP, FULL, MOST_RECORD, NO_WAKEUP, Record, RingMap
from kernel.bpf.state import MOST_HELD
from kernel.lang import EAGAIN, EINVAL, span_of
from kernel.lib.pace import spend

_UNREAD: Final = 0
_SIZE: Final = 1
_READ_POSITION: Final = 2
_WRITE_POSITION: Final = 3


class RingCalls(Memory):
    """A run that writes records. Base class."""

    def map_in(self, register: int, helper: int) -> int:
        """The index of the map that a register points to, which the helper must be for; -1 breaks the program."""
        index = (self.registers[register] >> 32) - MAP_REGION
        if index < 0 or index >= len(self.maps) or not is_for(helper, self.maps[index].kind):
            self.is_broken = True
            return -1
        return index

    def call_ring(self, helper: int) -> int:
        """The result of a helper for rings."""
        if helper == RING_OUTPUT or helper == RING_QUERY or helper == RING_RESERVE:
            index = self.map_in(1, helper)
            if index < 0:
                return 0
            ring = self.maps[index]
            if not isinstance(ring, RingMap):
                self.is_broken = True
                return 0
            if helper == RING_QUERY:
                return self._query(ring, self.registers[2])
            if helper == RING_RESERVE:
                return self._reserve(ring, self.registers[2], self.registers[3])
            return self._output(ring, self.registers[2], self.registers[3], self.registers[4])
        index = (self.registers[1] >> 32) - RECORD_REGION
        is_start = self.registers[1] & WORD_MASK == 0
        if not 0 <= index < len(self.records) or not is_start or not self.records[index].is_open:
            self.is_broken = True
            return 0
        record = self.records[index]
        self._spend(len(record.data))
        record.finish(self.registers[2], discards=helper == RING_DISCARD)
        return 0

    def _spend(self, size: int) -> None:
        spend(size)
        self.helped += size

    def _query(self, ring: RingMap, what: int) -> int:
        if what == _UNREAD:
            return ring.unread()
        if what == _SIZE:
            return ring.most
        if what == _READ_POSITION:
            return ring.read_position()
        return ring.produced if what == _WRITE_POSITION else 0

    def _reserve(self, ring: RingMap, size: int, flags: int) -> int:
        """A pointer to a record, 0 if there is no room."""
        if flags != 0 or not 0 <= size <= MOST_RECORD:
            return 0
        place = 0
        while place < len(self.records) and self.records[place].is_open:
            place += 1
        if place >= MOST_HELD:
            return 0
        self._spend(size + place)
        start: int = FULL
        try:
            record = Record(ring, size)
            if place == len(self.records):
                self.records.append(record)
            else:
                self.records[place] = record
            start = ring.reserve(size)
        except MemoryError:
            pass  # as if there were no room in the ring
        if place == len(self.records):
            return 0
        self.records[place].is_open = start != FULL
        self.records[place].start = start
        if start == FULL:
            return 0
        return (RECORD_REGION + place) << 32

    def _output(self, ring: RingMap, address: int, size: int, flags: int) -> int:
        if flags & ~(NO_WAKEUP | FORCE_WAKEUP) != 0:
            return -EINVAL
        if size < 0:
            self.is_broken = True
            return 0
        if size > MOST_RECORD:
            return -EAGAIN
        storage = self.region(address, size, PROGRAM_WRITE_ONLY)
        if storage is None:
            self.is_broken = True
            return 0
        place = self.place
        self._spend(size)
        try:
            start = ring.reserve(size)
        except MemoryError:
            return -EAGAIN
        if start == FULL:
            return -EAGAIN
        ring.finish(start, span_of(storage)[place : place + size], flags, discards=False)
        return 0

    def drop_records(self) -> None:
        """The run is over: nobody gets the records that it left unfinished."""
        for record in self.records:
            record.finish(0, discards=True)
        self.records.clear()
