"""Receive rings, versions 1 and 2: slots of one size, used in turn.

A slot whose status is 0 is the kernel's; the kernel fills it and sets STATUS_USER, the program empties it and sets 0
again. A packet whose slot is still the program's is dropped and counted.

Invariant: `head` is the slot for the next packet. Context: `Tap.saw` and system calls; nothing sleeps or raises.
"""

from typing import Final

from kernel.lang import Span, final, noraise, u8
from kernel.mm.ring_memory import RingMemory
from kernel.net.packet.ring.layout import STATUS_KERNEL, STATUS_LOSING, VERSION_1, Record, RingRequest
from kernel.sched import WaitQueue

NO_SLOT: Final = -1
ROOM_SHIFT: Final = 2  # a quarter of the ring ahead: if it is free, there is no need to check the next slot


@final
class CaptureCounts:
    """The counts that PACKET_STATISTICS reports."""

    def __init__(self) -> None:
        self.packets: int = 0  # packets taken
        self.drops: int = 0
        self.freezes: int = 0  # how often the program lagged by a whole ring (version 3)

    def clear(self) -> None:
        self.packets = 0
        self.drops = 0
        self.freezes = 0


class ReceiveRing:
    """Base of the receive rings."""

    def __init__(self, request: RingRequest, counts: CaptureCounts, waiters: WaitQueue) -> None:
        """Raises MemoryError."""
        self.request: RingRequest = request
        self.counts: CaptureCounts = counts
        self.waiters: WaitQueue = waiters  # threads that poll the socket
        self.record: Record = Record()
        self.memory: RingMemory = RingMemory(request.block_size * request.block_count)

    def largest(self) -> int:
        """The largest size of header and packet together."""
        return self.request.frame_size

    def copies_what_is_cut(self) -> bool:
        """Whether packets truncated to fit may also go to the socket's queue (PACKET_COPY_THRESH)."""
        return True

    def has_room(self) -> bool:
        """Whether there is a free slot to try; if not, the program lags."""
        return False

    def take_slot(self, size: int) -> int:
        """The slot for header and packet, `size` bytes; NO_SLOT if the program has not made room."""
        return NO_SLOT

    def fill(self, slot: int, record: Record, address: bytes, data: Span[u8]) -> None:
        """Put a packet into its slot, and hand it to the program when the version allows."""

    def has_arrivals(self) -> bool:
        """Whether there is something for the program."""
        return False

    @noraise
    def close(self) -> None:
        self.memory.free()


@final
class SlotRing(ReceiveRing):
    """A ring of version 1 or 2."""

    def __init__(self, request: RingRequest, counts: CaptureCounts, waiters: WaitQueue) -> None:
        super().__init__(request, counts, waiters)
        self._head: int = 0

    def _is_free(self, number: int) -> bool:
        at = self.request.slot(number)
        if self.memory.load(at) != STATUS_KERNEL:
            return False
        return self.request.version != VERSION_1 or self.memory.load(at + 4) == 0

    def has_room(self) -> bool:
        count = self.request.frame_count
        return self._is_free((self._head + (count >> ROOM_SHIFT)) % count) or self._is_free(self._head)

    def take_slot(self, size: int) -> int:
        if not self._is_free(self._head):
            return NO_SLOT
        at = self.request.slot(self._head)
        self._head = (self._head + 1) % self.request.frame_count
        return at

    def fill(self, slot: int, record: Record, address: bytes, data: Span[u8]) -> None:
        if self.counts.drops > 0:
            record.status |= STATUS_LOSING
        count = record.encode(self.request.version, address)
        self.memory.write(slot + record.link_offset, data)
        self.memory.write(slot, record.header(count))
        self.memory.store(slot, record.status)
        self.waiters.wake_all()

    def has_arrivals(self) -> bool:
        count = self.request.frame_count
        return not self._is_free((self._head + count - 1) % count)
