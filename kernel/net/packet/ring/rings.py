"""The rings of one packet socket: their options, and what mmap(2) maps (packet(7)).

Rings are created and freed only while nothing maps them; an area that does keeps the socket, and so its rings, alive.

Context: system calls; only creating a ring sleeps.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import EBUSY, EINVAL, Errno, final, noraise
from kernel.net.packet.ring.blocks import BlockRing
from kernel.net.packet.ring.layout import VERSION_1, VERSION_3, RingRequest, header_bytes
from kernel.net.packet.ring.memory import MappedAreas, RingMapping
from kernel.net.packet.ring.receive import CaptureCounts, ReceiveRing, SlotRing
from kernel.net.packet.ring.transmit import TransmitRing
from kernel.net.sockets.inet_options import int_bytes, int_of
from kernel.sched import WaitQueue

RX_RING: Final = 5
_STATISTICS: Final = 6
_COPY_THRESHOLD: Final = 7
_VERSION: Final = 10
_RESERVE: Final = 12
_TX_RING: Final = 13
_LOSS: Final = 14
_TIMESTAMP: Final = 17
_TX_HAS_OFFSET: Final = 19

NOT_OURS: Final = b""


@final
class Rings:
    """The rings of a socket."""

    def __init__(self, waiters: WaitQueue) -> None:
        self.receive: ReceiveRing | None = None
        self.transmit: TransmitRing | None = None
        self.counts: CaptureCounts = CaptureCounts()
        self.areas: MappedAreas = MappedAreas()
        self.copy_threshold: int = 0  # not 0: packets truncated in the ring go whole to the queue
        self.goes_on_after_errors: bool = False  # PACKET_LOSS: malformed slots are skipped
        self.chooses_offset: bool = False  # PACKET_TX_HAS_OFF
        self._version: int = VERSION_1
        self.reserve: int = 0  # bytes that the program wants before each packet
        self._timestamp: int = 0
        self._is_making: bool = False  # a ring is being created, which takes time
        self._waiters: WaitQueue = waiters

    def _has_any(self) -> bool:
        return self.receive is not None or self.transmit is not None or self._is_making

    def size_bytes(self) -> int:
        """The size of the rings."""
        receive = self.receive
        transmit = self.transmit
        return (0 if receive is None else receive.memory.size_bytes()) + (
            0 if transmit is None else transmit.memory.size_bytes()
        )

    # ---- Options --------------------------------------------------------------------------------------------------

    def set_option(self, name: int, value: bytes) -> bool:
        """Set an option about rings; False for others. EINVAL, EBUSY, MemoryError."""
        if name == RX_RING or name == _TX_RING:
            self._set_ring(RingRequest(value, self._version), name == _TX_RING)
            return True
        if name not in (_COPY_THRESHOLD, _VERSION, _RESERVE, _LOSS, _TIMESTAMP, _TX_HAS_OFFSET):
            return False
        if len(value) != 4:
            raise Errno(EINVAL)
        number = int_of(value)
        if name == _COPY_THRESHOLD:
            self.copy_threshold = number
        elif name == _TIMESTAMP:
            self._timestamp = number
        elif name == _TX_HAS_OFFSET:
            if not self._has_any():
                self.chooses_offset = number != 0
        else:
            self._set_before_rings(name, number)
        return True

    def _set_before_rings(self, name: int, number: int) -> None:
        """Set an option that shapes rings, and so cannot change while there are any."""
        if name == _VERSION and not VERSION_1 <= number <= VERSION_3:
            raise Errno(EINVAL)
        if name == _RESERVE and number < 0:
            raise Errno(EINVAL)
        if self._has_any():
            raise Errno(EBUSY)
        if name == _VERSION:
            self._version = number
        elif name == _RESERVE:
            self.reserve = number
        else:
            self.goes_on_after_errors = number != 0

    def get_option(self, name: int) -> bytes:
        """The value of an option about rings; NOT_OURS for others. Reading statistics resets them."""
        if name == _STATISTICS:
            return self._take_statistics()
        if name == _COPY_THRESHOLD:
            return int_bytes(self.copy_threshold)
        if name == _VERSION:
            return int_bytes(self._version)
        if name == _RESERVE:
            return int_bytes(self.reserve)
        if name == _LOSS:
            return int_bytes(1 if self.goes_on_after_errors else 0)
        if name == _TIMESTAMP:
            return int_bytes(self._timestamp)
        if name == _TX_HAS_OFFSET:
            return int_bytes(1 if self.chooses_offset else 0)
        return NOT_OURS

    def header_length(self, request: bytes) -> bytes:
        """PACKET_HDRLEN: the header size of a version, whose number is passed in the value. EINVAL."""
        version = int_of(request)
        if not VERSION_1 <= version <= VERSION_3:
            raise Errno(EINVAL)
        return int_bytes(header_bytes(version))

    def _take_statistics(self) -> bytes:
        """struct tpacket_stats, or tpacket_stats_v3. Dropped packets are also counted among those seen."""
        counts = self.counts
        value = int_bytes(counts.packets + counts.drops) + int_bytes(counts.drops)
        if self._version == VERSION_3:
            value += int_bytes(counts.freezes)
        counts.clear()
        return value

    # ---- Rings ----------------------------------------------------------------------------------------------------

    def _set_ring(self, request: RingRequest, for_sending: bool) -> None:
        """Create a ring, or free one. EBUSY while it is mapped, or exists; EINVAL; MemoryError."""
        if self.areas.count > 0 or self._is_making:
            raise Errno(EBUSY)
        if request.block_count == 0:
            if request.frame_count != 0:
                raise Errno(EINVAL)
            self._end_ring(for_sending)
            return
        if (self.transmit is not None) if for_sending else (self.receive is not None):
            raise Errno(EBUSY)
        request.check(self.reserve)
        self._is_making = True
        try:
            if for_sending:
                self.transmit = TransmitRing(request)
            elif self._version == VERSION_3:
                self.receive = BlockRing(request, self.counts, self._waiters)
            else:
                self.receive = SlotRing(request, self.counts, self._waiters)
        finally:
            self._is_making = False

    @noraise
    def _end_ring(self, for_sending: bool) -> None:
        if for_sending:
            transmit = self.transmit
            self.transmit = None
            if transmit is not None:
                transmit.close()
        else:
            receive = self.receive
            self.receive = None
            if receive is not None:
                receive.close()

    @noraise
    def close(self) -> None:
        """The socket ends."""
        self._end_ring(for_sending=True)
        self._end_ring(for_sending=False)

    def mapping(self, socket: File, offset: int, size_bytes: int) -> RingMapping:
        """The object for mmap(2): all rings, whole, or nothing. EINVAL."""
        if self._is_making:
            raise Errno(EINVAL)
        receive = self.receive
        transmit = self.transmit
        result = RingMapping(
            socket,
            self.areas,
            None if receive is None else receive.memory,
            None if transmit is None else transmit.memory,
        )
        if offset != 0 or result.size_bytes() == 0 or result.size_bytes() != size_bytes:
            raise Errno(EINVAL)
        return result
