"""Receive rings, version 3: packets of any length, one after the other in large blocks.

The kernel fills one block, the *current* one. It hands a block to the program when the next packet does not fit, or
when a timeout expires and there is a packet in it. If the next block is still the program's, the ring is
*frozen*: packets are dropped until the program gives that block back.

Invariants: offsets, counts and numbers here are the kernel's own; the block's header repeats them for the program. The
timer is armed as long as the ring lives, so that starting it again needs no memory.
Context: `Tap.saw`, the network's timers and system calls; nothing sleeps, and only creating a ring raises.
"""

from typing import Final

from kernel.lang import Span, final, noraise, u8
from kernel.net.link.timers import NetworkTimer
from kernel.net.packet.ring.layout import (
    BLOCK_HEADER,
    STATUS_BLOCK_TIMEOUT,
    STATUS_LOSING,
    STATUS_USER,
    VERSION_3,
    Record,
    RingRequest,
    aligned,
)
from kernel.net.packet.ring.receive import NO_SLOT, ROOM_SHIFT, CaptureCounts, ReceiveRing
from kernel.sched import WaitQueue
from kernel.time import monotonic_ns, realtime_ns

FEATURE_HASH: Final = 1  # tp_feature_req_word: fill in tp_rxhash

# struct tpacket_block_desc
_VERSION: Final = 0
_PRIVATE_OFFSET: Final = 4
_STATUS: Final = 8
_PACKET_COUNT: Final = 12
_FIRST_OFFSET: Final = 16
_LENGTH: Final = 20
_SEQUENCE: Final = 24
_FIRST_TIME: Final = 32
_LAST_TIME: Final = 40

_ALIGNMENT: Final = 8
_USUAL_TIMEOUT_MS: Final = 8  # of interfaces of unknown speed, as all of ours are
_MS: Final = 1_000_000
_NS: Final = 1_000_000_000
_WORD_MASK: Final = 0xFFFF_FFFF


@final
class BlockRing(ReceiveRing):
    """A ring of version 3."""

    def __init__(self, request: RingRequest, counts: CaptureCounts, waiters: WaitQueue) -> None:
        super().__init__(request, counts, waiters)
        self._current: int = 0  # the block
        self._sequence: int = 1  # of the block that will be opened next
        self._packet_count: int = 0  # in the current block
        self._next: int = 0  # in the current block, the offset of the next packet
        self._last: int = 0  # … of the last one
        self._last_time_ns: int = 0  # when that one came
        self._is_frozen: bool = False
        self._at_last_tick: int = 0  # the current block when the timer was started
        self._timeout_ns: int = (request.timeout_ms if request.timeout_ms != 0 else _USUAL_TIMEOUT_MS) * _MS
        self._timer: RetireTimer = RetireTimer(self)
        counts.freezes = 0
        try:
            self._timer.start(monotonic_ns() + self._timeout_ns)
        except MemoryError:
            self.close()
            raise
        self._open_block()

    def largest(self) -> int:
        return self.request.block_size - self.request.first_packet()

    def copies_what_is_cut(self) -> bool:
        return False

    def _block(self, number: int) -> int:
        return number * self.request.block_size

    def _is_users(self, number: int) -> bool:
        """Whether the program owns a block."""
        return self.memory.load(self._block(number) + _STATUS) & STATUS_USER != 0

    def _is_free(self, number: int) -> bool:
        return self.memory.load(self._block(number) + _STATUS) == 0

    def has_room(self) -> bool:
        count = self.request.block_count
        return self._is_free((self._current + (count >> ROOM_SHIFT)) % count) or self._is_free(self._current)

    def has_arrivals(self) -> bool:
        count = self.request.block_count
        return not self._is_free((self._current + count - 1) % count)

    # ---- Packets --------------------------------------------------------------------------------------------------

    def take_slot(self, size: int) -> int:
        if self._is_frozen:
            if self._is_users(self._current):
                return NO_SLOT
            self._open_block()
        size = aligned(size, _ALIGNMENT)
        # A packet that would end where the block ends goes to the next one, as on Linux.
        if self._next + size >= self.request.block_size:
            self._retire_block(0)
            if not self._go_on():
                return NO_SLOT
        block = self._block(self._current)
        self._last = self._next
        self._next += size
        self._packet_count += 1
        self.memory.store(block + _LENGTH, self._next)
        self.memory.store(block + _PACKET_COUNT, self._packet_count)
        return block + self._last

    def fill(self, slot: int, record: Record, address: bytes, data: Span[u8]) -> None:
        count = record.encode(VERSION_3, address)
        self.memory.write(slot + record.link_offset, data)
        self.memory.write(slot, record.header(count))
        self.memory.store(slot, self._next - self._last)
        self._last_time_ns = record.time_ns

    # ---- Blocks ---------------------------------------------------------------------------------------------------

    def _open_block(self) -> None:
        """Start to fill the current block, which is ours; the ring is no longer frozen."""
        first = self.request.first_packet()
        block = self._block(self._current)
        self._packet_count = 0
        self._next = first
        self._last = first
        self._is_frozen = False
        self.memory.store(block + _VERSION, VERSION_3)
        self.memory.store(block + _PRIVATE_OFFSET, BLOCK_HEADER)
        self.memory.store(block + _PACKET_COUNT, 0)
        self.memory.store(block + _FIRST_OFFSET, first)
        self.memory.store(block + _LENGTH, first)
        self.memory.store(block + _SEQUENCE, self._sequence & _WORD_MASK)
        self.memory.store(block + _SEQUENCE + 4, self._sequence >> 32)
        self._store_time(block + _FIRST_TIME, realtime_ns())
        self._sequence += 1
        self.refresh_timer()

    def _store_time(self, at: int, time_ns: int) -> None:
        self.memory.store(at, time_ns // _NS & _WORD_MASK)
        self.memory.store(at + 4, time_ns % _NS)

    def _retire_block(self, why: int) -> None:
        """Hand the current block to the program, unless that has taken it in the meantime."""
        if not self._is_free(self._current):
            return
        block = self._block(self._current)
        self.memory.store(block + self._last, 0)  # tp_next_offset: none follows it
        self._store_time(block + _LAST_TIME, self._last_time_ns if self._packet_count > 0 else realtime_ns())
        losing = STATUS_LOSING if self.counts.drops > 0 else 0
        self.memory.store(block + _STATUS, STATUS_USER | losing | why)
        self._current = (self._current + 1) % self.request.block_count
        self.waiters.wake_all()

    def _go_on(self) -> bool:
        """Open the block that is now the current one. False, and the ring is frozen, if the program owns it."""
        if self._is_users(self._current):
            self._is_frozen = True
            self.counts.freezes += 1
            return False
        self._open_block()
        return True

    # ---- Time -----------------------------------------------------------------------------------------------------

    def refresh_timer(self) -> None:
        self._at_last_tick = self._current
        self._timer.start(monotonic_ns() + self._timeout_ns)

    def time_is_over(self) -> None:
        """No block was handed over since the timer was started: hand one over if packets wait, or check whether the
        program has given back the block that froze the ring.
        """
        if self._at_last_tick == self._current:
            if self._is_frozen:
                if not self._is_users(self._current):
                    self._open_block()
            elif self._packet_count > 0:
                self._retire_block(STATUS_BLOCK_TIMEOUT)
                self._go_on()
        self.refresh_timer()

    @noraise
    def close(self) -> None:
        self._timer.remove()
        self._timer.ring = None
        super().close()


@final
class RetireTimer(NetworkTimer):
    """Reports to a ring that its block has been filled for long enough."""

    def __init__(self, ring: BlockRing) -> None:
        super().__init__()
        self.ring: BlockRing | None = ring  # until that is closed

    def expire(self, now_ns: int) -> None:
        ring = self.ring
        if ring is not None:
            ring.time_is_over()
