"""A virtio device as the specification has it, written from the device's side: it walks the rings in simulated memory.

A device looks at a queue only when it is notified, and a driver is interrupted only when it asked for that: so a test
that hangs, with work left over, has found a lost notification.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from arch.x86_64.layout import DIRECT_MAP_BASE, KERNEL_BASE
from kernel.drivers.virtio.ring import SplitQueue
from kernel.drivers.virtio.transport import (
    F_EVENT_INDEX,
    F_INDIRECT,
    F_VERSION_1,
    STATUS_FEATURES_OK,
    DeviceEvents,
    Transport,
)
from kernel.lang.simulation import FIRST_OBJECT_ADDRESS, memory


def address(physical: int) -> int:
    """Where the simulation keeps a physical address: objects of the heap have places of their own there."""
    return physical + KERNEL_BASE if physical >= FIRST_OBJECT_ADDRESS else physical + DIRECT_MAP_BASE


def read(physical: int, length: int) -> bytes:
    data, start = memory.place(address(physical), length)
    return bytes(data[start : start + length])


def write(physical: int, content: bytes) -> None:
    data, start = memory.place(address(physical), len(content))
    data[start : start + len(content)] = content


@dataclass
class Buffers:
    """One chain, as the device sees it."""

    head: int
    readable: list[tuple[int, int]] = field(default_factory=list)
    writable: list[tuple[int, int]] = field(default_factory=list)

    def content(self) -> bytes:
        return b"".join(read(physical, length) for physical, length in self.readable)

    def room(self) -> int:
        return sum(length for _, length in self.writable)

    def fill(self, content: bytes) -> int:
        """Write to the buffers from the start on; how much was written."""
        assert len(content) <= self.room()
        done = 0
        for physical, length in self.writable:
            piece = content[done : done + length]
            write(physical, piece)
            done += len(piece)
        return done


class DeviceQueue:
    """The device's side of a split virtqueue."""

    def __init__(self, queue: SplitQueue, features: int) -> None:
        self.size = queue.size
        self.descriptors = queue.descriptor_address()
        self.available = queue.available_address()
        self.used = queue.used_address()
        self.has_event_index = bool(features & F_EVENT_INDEX)
        self.has_indirect = bool(features & F_INDIRECT)
        self.seen = 0
        self.used_index = 0
        self.told_index = 0  # up to here the driver was interrupted, or did not want it

    def _u16(self, physical: int) -> int:
        return int(struct.unpack("<H", read(physical, 2))[0])

    def pop(self) -> Buffers | None:
        """The next available chain; when there is none, ask to be notified of the next."""
        if self._u16(self.available + 2) == self.seen:
            if self.has_event_index:
                write(self.used + 4 + 8 * self.size, struct.pack("<H", self.seen))
            return None
        head = self._u16(self.available + 4 + 2 * (self.seen % self.size))
        self.seen = (self.seen + 1) & 0xFFFF
        return self._walk(head)

    def _walk(self, head: int) -> Buffers:
        buffers = Buffers(head)
        table, limit, index = self.descriptors, self.size, head
        for _ in range(limit + 256):
            assert index < limit
            physical, length, flags, following = struct.unpack("<QIHH", read(table + 16 * index, 16))
            if flags & 4:
                assert self.has_indirect and table == self.descriptors and not flags & 3 and length % 16 == 0
                table, limit, index = physical, length // 16, 0
                continue
            assert length > 0
            if flags & 2:
                buffers.writable.append((physical, length))
            else:
                assert not buffers.writable, "what the device reads comes first"
                buffers.readable.append((physical, length))
            if not flags & 1:
                return buffers
            index = following
        raise AssertionError("the chain has a loop")

    def push(self, head: int, length: int) -> None:
        """The device is done with a chain."""
        entry = self.used + 4 + 8 * (self.used_index % self.size)
        write(entry, struct.pack("<II", head, length))
        self.used_index = (self.used_index + 1) & 0xFFFF

    def show(self) -> bool:
        """Let the driver see what was pushed; whether it wants an interrupt for it."""
        write(self.used + 2, struct.pack("<H", self.used_index))
        added = (self.used_index - self.told_index) & 0xFFFF
        self.told_index = self.used_index
        if added == 0:
            return False
        if not self.has_event_index:
            return self._u16(self.available) & 1 == 0
        event = self._u16(self.available + 4 + 2 * self.size)
        return (self.used_index - event - 1) & 0xFFFF < added


class ModelTransport(Transport):
    """A device behind a transport without registers. `work(index)` is what it does when it is notified."""

    def __init__(self, device_type: int, offered: int, configuration: bytes, sizes: list[int]) -> None:
        super().__init__(device_type, "model")
        self.offered = offered | F_VERSION_1
        self.configuration = bytearray(configuration)
        self.sizes = sizes
        self.status = 0
        self.taken = 0
        self.resets = 0
        self.refuses_features = False
        self.never_stops = False
        self.queues: list[DeviceQueue | None] = [None] * len(sizes)
        self.events: DeviceEvents | None = None
        self.work: Callable[[int], None] = lambda index: None

    def read_status(self) -> int:
        return self.status

    def write_status(self, status: int) -> None:
        if self.refuses_features:
            status &= ~STATUS_FEATURES_OK
        if status == 0:
            self.resets += 1
            self.queues = [None] * len(self.sizes)
        self.status = status if status != 0 or not self.never_stops else 0x40

    def device_features(self, word: int) -> int:
        return self.offered >> 32 * word & 0xFFFF_FFFF

    def write_driver_features(self, word: int, bits: int) -> None:
        self.taken = self.taken & ~(0xFFFF_FFFF << 32 * word) | bits << 32 * word
        assert self.taken & ~self.offered == 0, "the driver took what was not offered"

    def largest_queue(self, index: int) -> int:
        return self.sizes[index] if index < len(self.sizes) else 0

    def set_queue(self, index: int, queue: SplitQueue) -> None:
        self.queues[index] = DeviceQueue(queue, self.taken)

    def connect(self, events: DeviceEvents, queue_count: int) -> None:
        self.events = events

    def notify(self, index: int) -> None:
        self.work(index)

    def configuration_u8(self, offset: int) -> int:
        return self._field(offset, 1)

    def configuration_u16(self, offset: int) -> int:
        return self._field(offset, 2)

    def configuration_u32(self, offset: int) -> int:
        return self._field(offset, 4)

    def _field(self, offset: int, size: int) -> int:
        return int.from_bytes(self.configuration[offset : offset + size].ljust(size, b"\0"), "little")

    def queue(self, index: int) -> DeviceQueue:
        queue = self.queues[index]
        assert queue is not None
        return queue

    def interrupt(self, index: int) -> None:
        """Show what was used, and interrupt if that is wanted."""
        if self.queue(index).show():
            assert self.events is not None
            self.events.queue_used(index)
