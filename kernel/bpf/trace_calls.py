"""Helpers of programs that trace, as they run: they read the memory of the program that is traced, and write samples.

Memory is read as far as it is there. Of the kernel's own a program gets what it has pointers to anyway: its stack, its
context, values of its maps.

Context: may raise MemoryError.
Source: bpf-helpers(7).
"""

from typing import Final

from kernel.bpf.arithmetic import WORD_MASK, signed
from kernel.bpf.helpers import (
    ATTACH_COOKIE,
    EVENT_OUTPUT,
    EVENT_READ,
    EVENT_READ_VALUE,
    JIFFIES,
    OWN_EVENT_VALUE,
    PROBE_KERNEL,
    PROBE_KERNEL_TEXT,
    PROBE_READ,
    PROBE_READ_TEXT,
    PROBE_USER,
    PROBE_USER_TEXT,
    TRACE_PRINTK,
)
from kernel.bpf.machine import CONTEXT_POINTER
from kernel.bpf.maps import PROGRAM_READ_ONLY, PROGRAM_WRITE_ONLY
from kernel.bpf.printed import printed_length
from kernel.bpf.ring_calls import RingCalls
from kernel.lang import E2BIG, EFAULT, EINVAL, ENOENT, ERANGE, Span, span_of, u8

_PROBES: Final[list[int]] = [
    PROBE_READ, PROBE_READ_TEXT, PROBE_USER, PROBE_KERNEL, PROBE_USER_TEXT, PROBE_KERNEL_TEXT,
]  # fmt: skip
_TEXTS: Final[list[int]] = [PROBE_READ_TEXT, PROBE_USER_TEXT, PROBE_KERNEL_TEXT]
_OF_USER: Final[list[int]] = [PROBE_READ, PROBE_READ_TEXT, PROBE_USER, PROBE_USER_TEXT]
_OF_KERNEL: Final[list[int]] = [PROBE_READ, PROBE_READ_TEXT, PROBE_KERNEL, PROBE_KERNEL_TEXT]
_FIRST_OF_KERNEL: Final = -1 << 47
_COUNTS: Final = 24  # struct bpf_perf_event_value: count, time enabled, time running
_READ_COST: Final = 500  # instructions
_SAMPLE_COST: Final = 3000
_PRINT_COST: Final = 20  # of a byte
_TEXT_COST: Final = 10  # … of a text, each of which is looked at
_MOST_SAMPLE: Final = 65000


class TraceCalls(RingCalls):
    """A run of a program that traces. Base class."""

    def call_trace(self, helper: int) -> int:
        """The result of such a helper; of what is none, the run is broken."""
        if helper in _PROBES:
            return self._probe(helper, self.registers[1], self.registers[2], self.registers[3])
        if helper == EVENT_OUTPUT:
            return self._write_event()
        if helper == EVENT_READ or helper == EVENT_READ_VALUE:
            return self._read_event(helper)
        if helper == JIFFIES:
            return self.world.jiffies()
        if helper == TRACE_PRINTK:
            return self._print(self.registers[1], self.registers[2])
        if (helper == ATTACH_COOKIE or helper == OWN_EVENT_VALUE) and self.registers[1] == CONTEXT_POINTER:
            return self.cookie if helper == ATTACH_COOKIE else self._own_value(self.registers[2], self.registers[3])
        self.is_broken = True
        return 0

    def _room(self, address: int, size: int, forbidding: int) -> Span[u8]:
        """Memory at a pointer; without any the run is broken."""
        storage = self.region(address, size, forbidding) if 0 <= size <= WORD_MASK else None
        if storage is None:
            self.is_broken = True
            return span_of(self.context)[0:0]
        self._spend(size)
        return span_of(storage)[self.place : self.place + size]

    # Memory ---------------------------------------------------------------------------------------------------------

    def _probe(self, helper: int, address: int, size: int, source: int) -> int:
        """Copy bytes, or a text; zeros if they cannot be read."""
        may_be_own = helper in _OF_KERNEL and 0 <= size <= WORD_MASK
        own = self.region(source, size, PROGRAM_WRITE_ONLY) if may_be_own else None
        copied = bytearray(0 if own is None else size)
        if own is not None:
            self._spend(size)
            span_of(copied).copy_from(span_of(own)[self.place : self.place + size])
        target = self._room(address, size, PROGRAM_READ_ONLY)
        if self.is_broken or size == 0:
            return 0
        self.helped += _READ_COST
        is_text = helper in _TEXTS
        result = -1
        if helper in _OF_USER:
            if is_text:
                result = self.world.read_text(source, target)
            elif self.world.read_memory(source, target):
                result = 0
        if result < 0 and own is not None:
            result = _copy_text(target, span_of(copied)) if is_text else 0
            if not is_text:
                target.copy_from(span_of(copied))
        if is_text:
            self._spend((size if result < 0 else result) * _TEXT_COST)
        if result < 0:
            target.fill(0)
        self.stored()
        if result >= 0:
            return result
        return -EFAULT if helper in _OF_USER or _FIRST_OF_KERNEL <= source < 0 else -ERANGE

    # Events ---------------------------------------------------------------------------------------------------------

    def _event_at(self, register: int, helper: int, flags: int) -> int:
        """The map's element that flags name, or an error."""
        index = self.map_in(register, helper)
        if index < 0:
            return -ENOENT
        if flags >> 32 != 0:
            return -EINVAL
        element = self.world.processor() if flags == WORD_MASK else flags
        return element if element < self.maps[index].most else -E2BIG

    def _write_event(self) -> int:
        element = self._event_at(2, EVENT_OUTPUT, self.registers[3])
        if self.registers[1] != CONTEXT_POINTER:
            self.is_broken = True
        data = self._room(self.registers[4], self.registers[5], PROGRAM_WRITE_ONLY)
        if self.is_broken or element < 0:
            return element
        if len(data) > _MOST_SAMPLE:
            return -E2BIG
        held = self.maps[self.map_in(2, EVENT_OUTPUT)].held(element)
        if held is None:
            return -ENOENT
        self.helped += _SAMPLE_COST
        return self.world.write_event(held, data)

    def _read_event(self, helper: int) -> int:
        """A count as the result, or with times into memory. Like Linux, the former mixes it with errors."""
        element = self._event_at(1, helper, self.registers[2])
        counts = bytearray(_COUNTS)
        result = element
        if element >= 0:
            held = self.maps[self.map_in(1, helper)].held(element)
            result = -ENOENT if held is None else self.world.read_event(held, span_of(counts))
            self.helped += _READ_COST
        if helper == EVENT_READ_VALUE:
            return self._store_counts(self.registers[3], self.registers[4], result, counts)
        return result if result < 0 else signed(span_of(counts).load_u64(0))

    def _own_value(self, address: int, size: int) -> int:
        """What the event has counted for which the program runs."""
        counts = bytearray(_COUNTS)
        return self._store_counts(address, size, self.world.read_event(None, span_of(counts)), counts)

    def _store_counts(self, address: int, size: int, result: int, counts: bytearray) -> int:
        target = self._room(address, size, PROGRAM_READ_ONLY)
        if self.is_broken:
            return 0
        if size != _COUNTS or result < 0:
            target.fill(0)
        else:
            target.copy_from(span_of(counts))
        self.stored()
        return -EINVAL if size != _COUNTS else min(result, 0)

    # Messages -------------------------------------------------------------------------------------------------------

    def _print(self, address: int, size: int) -> int:
        """The length of a message, which nobody reads: there is no trace buffer."""
        form = self._room(address, size, PROGRAM_WRITE_ONLY)
        if self.is_broken:
            return 0
        self.helped += size * _PRINT_COST
        return printed_length(form, self.registers[3], self.registers[4], self.registers[5])


def _copy_text(target: Span[u8], source: Span[u8]) -> int:
    """Copy up to a zero byte, which there is at the end. Returns how many bytes."""
    count = 0
    while count < len(target) - 1 and source[count] != 0:
        target.store_u8(count, source[count])
        count += 1
    target.store_u8(count, 0)
    return count + 1
