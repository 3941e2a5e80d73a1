"""Transmit rings: the program fills slots and sets STATUS_SEND_REQUEST, send(2) sends those it finds, in turn.

A slot is the program's again, STATUS_AVAILABLE, as soon as its packet was handed to the interface, which copies it.

Context: system calls; nothing sleeps.
"""

from typing import Final

from kernel.lang import EINVAL, EMSGSIZE, Errno, final, noraise
from kernel.mm.ring_memory import RingMemory
from kernel.net.link.packet import Packet
from kernel.net.packet.ring.layout import (
    ADDRESS_BYTES,
    STATUS_SEND_REQUEST,
    VERSION_1,
    VERSION_3,
    RingRequest,
    slot_header,
)

_NEXT_OFFSET: Final = 0
_STATUS3: Final = 20
_LENGTH_PLACES: Final[list[int]] = [8, 4, 16]  # in each version's header, tp_len
_OFFSET_PLACES: Final[list[int]] = [16, 12, 24]  # … tp_mac, and tp_net in the upper half of the word


@final
class TransmitRing:
    """A transmit ring, of any version."""

    def __init__(self, request: RingRequest) -> None:
        """EINVAL; MemoryError."""
        if request.timeout_ms != 0 or request.private_bytes != 0 or request.features != 0:
            raise Errno(EINVAL)  # blocks are for receiving
        self.request: RingRequest = request
        self._head: int = 0
        self.memory: RingMemory = RingMemory(request.block_size * request.block_count)

    def _status_at(self) -> int:
        slot = self.request.slot(self._head)
        return slot + _STATUS3 if self.request.version == VERSION_3 else slot

    def _is(self, status: int) -> bool:
        """Whether the next slot has this status."""
        at = self._status_at()
        if self.memory.load(at) != status:
            return False
        return self.request.version != VERSION_1 or self.memory.load(at + 4) == 0

    def wants_to_send(self) -> bool:
        return self._is(STATUS_SEND_REQUEST)

    def has_room(self) -> bool:
        """Whether the program may fill the next slot."""
        return self._is(0)

    def set_status(self, status: int) -> None:
        """Set the status of the next slot for the program."""
        at = self._status_at()
        self.memory.store(at, status)
        if self.request.version == VERSION_1:
            self.memory.store(at + 4, 0)

    def advance(self) -> None:
        """Done with the next slot: the one after it becomes the next."""
        self._head = (self._head + 1) % self.request.frame_count

    def take(self, largest: int, chooses_offset: bool, is_cooked: bool) -> Packet:
        """The packet of the next slot, of at most `largest` bytes. `chooses_offset`: the slot says where it starts, in
        tp_net if it has no link header. EMSGSIZE, EINVAL, MemoryError.
        """
        version = self.request.version
        slot = self.request.slot(self._head)
        if version == VERSION_3 and self.memory.load(slot + _NEXT_OFFSET) != 0:
            raise Errno(EINVAL)
        length = self.memory.load(slot + _LENGTH_PLACES[version])
        start = slot_header(version) - ADDRESS_BYTES
        if length > min(largest, self.request.frame_size - start):
            raise Errno(EMSGSIZE)
        if chooses_offset:
            word = self.memory.load(slot + _OFFSET_PLACES[version])
            chosen = word >> 16 if is_cooked else word & 0xFFFF
            if not start <= chosen <= self.request.frame_size - length:
                raise Errno(EINVAL)
            start = chosen
        packet = Packet(length)
        self.memory.read(slot + start, packet.put(length))
        return packet

    @noraise
    def close(self) -> None:
        self.memory.free()
