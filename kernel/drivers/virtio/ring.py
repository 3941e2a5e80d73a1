"""The split virtqueue: how a driver hands buffers to a device and gets them back.

A queue is three tables in memory: descriptors, the ring of chains that are available to the device, and the ring of
those that it has used. A chain is one or several buffers, first those that the device reads, then those that it writes.
The driver identifies a chain by its head, the number of its first descriptor: `add` returns it, `take` gives it back.

With indirect descriptors a chain of several buffers takes one descriptor, which points to a table; each head has a
table of its own, allocated when it is first needed and kept. With the event index both sides say when they want to be
notified next; without it they can only switch notification on or off.

Invariants: `_chain_length[head]` is 0 exactly for chains that are not in flight; free descriptors are linked through
`_next`, which the device never sees. `free_count` descriptors are free. Indexes count modulo 2**16.
Context: nothing sleeps; interrupts are off. `add` allocates when it needs a new table.
Source: Virtual I/O Device (VIRTIO) Version 1.2, 2.7 (split virtqueues).
"""

from typing import Final

from arch import order_stores_before_loads
from kernel.drivers.platform.window import Window, frame_window
from kernel.lang import final
from kernel.mm.frames import NO_FRAME, allocate_zeroed_frame, put_frame

# A queue's tables fit two frames: the descriptors; the two rings.
SIZE_LIMIT: Final = 256
USED_RING: Final = 1024  # in the second frame

# A descriptor.
DESCRIPTOR_SIZE: Final = 16
_ADDRESS: Final = 0
_LENGTH: Final = 8
_FLAGS: Final = 12
_NEXT: Final = 14
F_NEXT: Final = 1
F_WRITE: Final = 2
F_INDIRECT: Final = 4

# Both rings.
_RING_FLAGS: Final = 0
_RING_INDEX: Final = 2
_RING_ENTRIES: Final = 4
NO_NOTIFICATION: Final = 1

INDIRECT_LIMIT: Final = 256
"""Buffers of a chain with indirect descriptors: what a frame holds."""

NOTHING: Final = -1


@final
class Chain:
    """Buffers on their way to the device. Allocated once, for `capacity` buffers of at most `buffer_limit` bytes, and
    reused for each request.
    """

    def __init__(self, capacity: int, buffer_limit: int) -> None:
        self.addresses: list[int] = [0] * capacity
        self.lengths: list[int] = [0] * capacity
        self.count: int = 0
        self.readable: int = 0  # how many of the first are read by the device; the others are written
        self._buffer_limit: int = buffer_limit

    def clear(self) -> None:
        self.count = 0
        self.readable = 0

    def add(self, address: int, length: int, device_writes: bool) -> None:
        """Add a buffer at a physical address, joined with the one before if they are contiguous. Buffers that the
        device reads come first.
        """
        count = self.count
        if count > 0 and device_writes == (count > self.readable):
            joined = self.lengths[count - 1] + length
            if self.addresses[count - 1] + self.lengths[count - 1] == address and joined <= self._buffer_limit:
                self.lengths[count - 1] = joined
                return
        assert device_writes or self.readable == count
        self.addresses[count] = address
        self.lengths[count] = length
        self.count = count + 1
        if not device_writes:
            self.readable += 1


@final
class SplitQueue:
    """One queue of a device. `size`: a power of two, at most SIZE_LIMIT. Raises MemoryError."""

    def __init__(self, size: int, has_event_index: bool, has_indirect: bool) -> None:
        assert 0 < size <= SIZE_LIMIT and size & (size - 1) == 0
        self.size: int = size
        self.free_count: int = size
        self.used_length: int = 0  # bytes that the device claims to have written, after `take`
        self.is_broken: bool = False  # the device returned a chain that it did not have
        self._has_event_index: bool = has_event_index
        self._has_indirect: bool = has_indirect
        self._descriptors: Window = frame_window(allocate_zeroed_frame())
        rings = frame_window(allocate_zeroed_frame())
        self._rings: Window = rings
        self._used_event: int = _RING_ENTRIES + 2 * size
        self._available_event: int = USED_RING + _RING_ENTRIES + 8 * size
        self._next: list[int] = [i + 1 for i in range(size)]
        self._free_head: int = 0
        self._chain_length: list[int] = [0] * size
        self._tables: list[Window | None] = [None] * size
        self._available_index: int = 0  # where the next chain goes
        self._published_index: int = 0  # the device has been notified up to here
        self._used_index: int = 0  # the next one to take

    def descriptor_address(self) -> int:
        """Physical address of the descriptor table."""
        return self._descriptors.physical

    def available_address(self) -> int:
        """Physical address of the available ring."""
        return self._rings.physical

    def used_address(self) -> int:
        """Physical address of the used ring."""
        return self._rings.physical + USED_RING

    def in_flight_count(self) -> int:
        """Descriptors that the device has."""
        return self.size - self.free_count

    def next_head(self) -> int:
        """What the next `add` will return if it finds room."""
        return self._free_head

    def add_buffer(self, address: int, length: int, device_writes: bool) -> int:
        """Make one buffer available, once it is published; returns its head, or NOTHING when the queue is full."""
        head = self._free_head
        if self.free_count == 0:
            return NOTHING
        self._write_descriptor(self._descriptors, head, address, length, F_WRITE if device_writes else 0, 0)
        self._free_head = self._next[head]
        self._make_available(head, 1)
        return head

    def add_two(self, first: int, first_length: int, second: int, second_length: int) -> int:
        """The same for two buffers that the device reads one after the other, without a chain and its table."""
        head = self._free_head
        if self.free_count < 2:
            return NOTHING
        link = self._next[head]
        self._write_descriptor(self._descriptors, head, first, first_length, F_NEXT, link)
        self._write_descriptor(self._descriptors, link, second, second_length, 0, 0)
        self._free_head = self._next[link]
        self._make_available(head, 2)
        return head

    def add(self, chain: Chain) -> int:
        """Make a chain available, once published; returns its head, or NOTHING if there is no room for it now."""
        count = chain.count
        if count == 1:
            return self.add_buffer(chain.addresses[0], chain.lengths[0], chain.readable == 0)
        head = self._free_head
        if self._has_indirect and self.free_count > 0 and count <= INDIRECT_LIMIT:
            table = self._table_of(head)
            if table is not None:
                for i in range(count):
                    self._write_descriptor(table, i, chain.addresses[i], chain.lengths[i], _flags(chain, i), i + 1)
                self._write_descriptor(
                    self._descriptors, head, table.physical, count * DESCRIPTOR_SIZE, F_INDIRECT, 0
                )
                self._free_head = self._next[head]
                self._make_available(head, 1)
                return head
        if count > self.free_count:
            return NOTHING
        at = head
        for i in range(count):
            following = self._next[at]
            link = following if i + 1 < count else 0
            self._write_descriptor(
                self._descriptors, at, chain.addresses[i], chain.lengths[i], _flags(chain, i), link
            )
            at = following
        self._free_head = at
        self._make_available(head, count)
        return head

    def _table_of(self, head: int) -> Window | None:
        """The indirect table of a head; None when there is no memory for it. It is kept: a queue has one for each of
        the requests that were under way at the same time.
        """
        table = self._tables[head]
        if table is not None:
            return table
        frame = NO_FRAME
        try:
            frame = allocate_zeroed_frame()
            table = frame_window(frame)
        except MemoryError:
            if frame != NO_FRAME:
                put_frame(frame)
            return None
        self._tables[head] = table
        return table

    def _write_descriptor(self, table: Window, index: int, address: int, length: int, flags: int, link: int) -> None:
        at = index * DESCRIPTOR_SIZE
        table.store_i64(at + _ADDRESS, address)
        table.store_u32(at + _LENGTH, length)
        table.store_u16(at + _FLAGS, flags)
        table.store_u16(at + _NEXT, link)

    def _make_available(self, head: int, descriptors: int) -> None:
        self._chain_length[head] = descriptors
        self.free_count -= descriptors
        self._rings.store_u16(_RING_ENTRIES + 2 * (self._available_index & (self.size - 1)), head)
        self._available_index = (self._available_index + 1) & 0xFFFF

    def publish(self) -> bool:
        """Publish what was added since the last time; returns whether the device wants to be notified."""
        added = (self._available_index - self._published_index) & 0xFFFF
        if added == 0:
            return False
        self._rings.store_u16(_RING_INDEX, self._available_index)
        self._published_index = self._available_index
        order_stores_before_loads()
        if not self._has_event_index:
            return self._rings.load_u16(USED_RING + _RING_FLAGS) & NO_NOTIFICATION == 0
        event = self._rings.load_u16(self._available_event)
        return (self._available_index - event - 1) & 0xFFFF < added

    def has_used(self) -> bool:
        """Whether `take` would return something."""
        return not self.is_broken and self._rings.load_u16(USED_RING + _RING_INDEX) != self._used_index

    def take(self) -> int:
        """The head of a chain that the device is done with, or NOTHING. It is free again; `used_length` is how much the
        device claims to have written, which the caller checks.
        """
        if not self.has_used():
            return NOTHING
        entry = USED_RING + _RING_ENTRIES + 8 * (self._used_index & (self.size - 1))
        head = self._rings.load_u32(entry)
        if head >= self.size or self._chain_length[head] == 0:
            self.is_broken = True
            return NOTHING
        self.used_length = self._rings.load_u32(entry + 4)
        self._used_index = (self._used_index + 1) & 0xFFFF
        self._free(head)
        return head

    def _free(self, head: int) -> None:
        count = self._chain_length[head]
        self._chain_length[head] = 0
        self.free_count += count
        last = head
        for _ in range(count - 1):
            last = self._next[last]
        self._next[last] = self._free_head
        self._free_head = head

    def suppress_interrupts(self) -> None:
        """Ask the device not to interrupt for this queue. It may do so all the same."""
        if self._has_event_index:
            # The index just passed is the one that will be reached last.
            self._rings.store_u16(self._used_event, (self._used_index - 1) & 0xFFFF)
        else:
            self._rings.store_u16(_RING_FLAGS, NO_NOTIFICATION)

    def request_interrupt(self, after: int = 1) -> bool:
        """Ask for an interrupt once `after` more chains are used (without the event index: once one is). False: there
        are some already, and the caller must look again, because the interrupt for these may never come.
        """
        if self._has_event_index:
            self._rings.store_u16(self._used_event, (self._used_index + after - 1) & 0xFFFF)
        else:
            self._rings.store_u16(_RING_FLAGS, 0)
        order_stores_before_loads()
        used = self._rings.load_u16(USED_RING + _RING_INDEX)
        return (used - self._used_index) & 0xFFFF < after


def _flags(chain: Chain, index: int) -> int:
    """A descriptor's flags: all but the last continue."""
    flags = F_WRITE if index >= chain.readable else 0
    return flags | F_NEXT if index + 1 < chain.count else flags
