"""One end of a connection, or of a future one: its names, its state, its received data, and the credit of both
sides.

Credit: each side announces its buffer size (`buffer_size`) and how many bytes its program has read so far, in whole
packets; the other sends no more than that. Counts are modulo 2**32. A side reports its reads to its peer with every
packet, and with a separate one when the peer may think that there is little room.

When the memory for all connections is used up (kernel/net/vsock/memory.py) a sender may send only once its peer has
read everything, but a message that was begun goes on: its receiver reads nothing before its end.

Invariants: `received` counts the bytes of `queue`, and the ends of messages there. An endpoint is in `waiting` of at
most one listener, and has a socket or an owner there, or is an orphan.
Context: thread context; nothing sleeps.
Source: Virtual I/O Device (VIRTIO) Version 1.2, 5.10.6.3 (buffer space management); states as on Linux.
"""

from collections import deque
from enum import IntEnum
from typing import Final

from kernel.lang import final, noraise, span_of
from kernel.lib.linked import Linked
from kernel.lib.pace import spend
from kernel.net.link.network import Network
from kernel.net.link.timers import NetworkTimer
from kernel.net.vsock.addresses import CID_ANY, PORT_ANY
from kernel.net.vsock.memory import LEAST_BYTES, LEAST_MEMORY, MEMORY
from kernel.net.vsock.packet import (
    END_OF_MESSAGE,
    LARGEST_DATA,
    OP_CREDIT_UPDATE,
    OVERHEAD_BYTES,
    SEQUENCED,
    PacketQueue,
    Unsent,
    VsockPacket,
)
from kernel.net.vsock.parts import Closing, FlowControl, Name, Options, ReceivedData, TablePlace
from kernel.net.vsock.transport import VsockTransport
from kernel.sched import WaitQueue

DEFAULT_BUFFER: Final = 262_144
LEAST_BUFFER: Final = 128
MOST_CREDIT: Final = 1 << 24  # bytes: no peer is promised more room than this, however large the buffer may be
MOST_PACKETS: Final = 32_768  # of messages that wait to be read; a stream's are bounded by its credit
CONNECT_TIMEOUT_NS: Final = 2_000_000_000

# What has ended, bits of `closing.ended` and `closing.peer_ended`.
RECEIVING: Final = 1
SENDING: Final = 2
BOTH: Final = 3

_COUNT: Final = 0xFFFF_FFFF
_SMALL: Final = 128  # bytes: smaller packets are joined with the one before
_JOINED: Final = 1024  # bytes of storage for them
_ENDPOINT_BYTES: Final = 1024  # with its spare packet
_PART: Final = 64  # packets that are dropped in one turn
_PART_COST: Final = 20_000  # instructions


# Packets that an endpoint still has to send, because there was no memory: bits of `reports.owed`.
OWES_UPDATE: Final = 1
OWES_END: Final = 2


class State(IntEnum):
    """Of the protocol; the numbers are TCP's (sock_diag(7))."""

    ESTABLISHED = 1
    CONNECTING = 2
    CLOSED = 7
    LISTENING = 10
    CLOSING = 11


class Phase(IntEnum):
    """The progress of connect(2) and shutdown(2), as far as the program knows."""

    UNCONNECTED = 0
    CONNECTING = 1
    CONNECTED = 2
    DISCONNECTING = 3


@final
class Held:
    """The memory of data received for the connections that wait in a listener."""

    def __init__(self) -> None:
        self.bytes: int = 0


@final
class Reports:
    """What an endpoint has to report to its peer. A packet that still waits in the transport is updated instead of
    sending another one, so there are never many: the updates are at most one more than the other packets that wait.
    """

    def __init__(self, kind: int) -> None:
        self.update: VsockPacket | None = None  # the last OP_CREDIT_UPDATE, unless something was sent after it
        self.end: VsockPacket | None = None  # the last OP_SHUTDOWN
        self.spare: VsockPacket | None = VsockPacket(kind, OP_CREDIT_UPDATE)  # for OP_RESET without memory
        self.owed: int = 0
        self.is_listed: bool = False  # it owes something, and is in the list that `next_debtor` links
        self.next_debtor: Endpoint | None = None


@final
class Endpoint(Linked["Endpoint"]):
    """An endpoint, as described above."""

    options: Options
    flow: FlowControl
    local: Name
    remote: Name
    place: TablePlace
    closing: Closing
    received: ReceivedData

    def __init__(self, kind: int, network: Network) -> None:
        super().__init__()
        self.kind: int = kind  # STREAM, SEQUENCED
        self.network: Network = network  # where it was created; only shown
        self.state: State = State.CLOSED
        self.phase: Phase = Phase.UNCONNECTED
        self.local.cid = CID_ANY
        self.local.port = PORT_ANY
        self.remote.cid = CID_ANY
        self.remote.port = PORT_ANY
        self.next_connected: Endpoint | None = None  # in the table of connections
        self.transport: VsockTransport | None = None
        self.generation: int = 0  # of the transport, when it was chosen
        self.error: int = 0
        self.inode_number: int = 0  # of its socket
        self.timer: NetworkTimer | None = None
        self.received.low_water = 1
        self.read_queue: WaitQueue = WaitQueue()
        self.write_queue: WaitQueue = WaitQueue()
        self.options.buffer_size = DEFAULT_BUFFER
        self.options.buffer_least = LEAST_BUFFER
        self.options.buffer_most = DEFAULT_BUFFER
        self.options.connect_timeout_ns = CONNECT_TIMEOUT_NS
        # A listener's.
        self.waiting: deque[Endpoint] = deque()  # connections to be accepted
        self.backlog: int = 0
        self.held: Held = Held()
        self.holder: Held | None = None  # the listener's, in a connection that waits
        # Received data.
        self.queue: PacketQueue = PacketQueue()
        # Sent data.
        self.unsent: Unsent = Unsent()
        self.is_half_sent: bool = False  # the beginning of a message was sent, but not its end
        self.reports: Reports = Reports(kind)

    def this(self) -> "Endpoint":
        return self

    def has_name(self) -> bool:
        return self.local.port != PORT_ANY

    def inherit(self, listener: "Endpoint") -> None:
        """Copy the options of the listener to which this connection came."""
        self.options = listener.options

    def held_bytes(self) -> int:
        """What it costs with its queue, its transport's packets, and its waiting connections."""
        return (1 + len(self.waiting)) * _ENDPOINT_BYTES + self.received.memory + self.unsent.memory + self.held.bytes

    def await_acceptance(self, child: "Endpoint") -> None:
        """Queue a connection that waits to be accepted. Raises MemoryError."""
        self.waiting.append(child)
        child.holder = self.held

    @noraise
    def was_taken(self) -> None:
        """It no longer waits."""
        holder = self.holder
        if holder is not None:
            holder.bytes -= self.received.memory
            self.holder = None

    @noraise
    def _count_memory(self, change: int) -> None:
        self.received.memory += change
        holder = self.holder
        if holder is not None:
            holder.bytes += change

    @noraise
    def wake(self) -> None:
        """Something changed: let all waiting threads look again."""
        self.read_queue.wake_all()
        self.write_queue.wake_all()

    # ---- Credit ---------------------------------------------------------------------------------------------------

    def credit(self) -> int:
        """The number of bytes that the peer may send at once."""
        return min(self.options.buffer_size, MOST_CREDIT)

    def stamp(self, packet: VsockPacket) -> None:
        """Write into the packet how much was read, and how much room there is."""
        packet.buffer_size = self.credit()
        packet.forwarded = self.flow.forwarded
        self.flow.reported = self.flow.forwarded

    def note_credit(self, packet: VsockPacket) -> None:
        """Note the same values from the peer."""
        self.flow.peer_buffer = packet.buffer_size
        self.flow.peer_forwarded = packet.forwarded

    def peer_limit(self) -> int:
        """How much may be in flight at most: no more than this side would take itself, whatever the peer says."""
        return min(self.flow.peer_buffer, self.credit())

    def room(self) -> int:
        """The number of bytes that may be sent now."""
        under_way = (self.flow.sent - self.flow.peer_forwarded) & _COUNT
        limit = self.peer_limit()
        budget = MEMORY.programs
        if budget.is_exhausted() and not self.is_half_sent:
            budget.is_wanted = True
            if under_way > 0:
                return 0
            if self.kind != SEQUENCED:
                limit = min(limit, LEAST_BYTES)
        return max(0, limit - under_way)

    def count_sent(self, packet: VsockPacket) -> None:
        """Count data that are sent."""
        self.flow.sent = (self.flow.sent + len(packet)) & _COUNT
        self.unsent.bytes += len(packet)
        self.unsent.memory += packet.memory()
        packet.unsent = self.unsent

    @noraise
    def count_forwarded(self, length: int) -> None:
        """A packet with that many bytes was read to its end, or is lost: the peer may send as many."""
        self.flow.forwarded = (self.flow.forwarded + length) & _COUNT

    def owes_update(self) -> bool:
        """Whether the peer may be waiting for a report of reads: it sees little room, or all was read."""
        untold = (self.flow.forwarded - self.flow.reported) & _COUNT
        return untold > 0 and (self.credit() - untold < LARGEST_DATA or self.received.bytes < self.received.low_water)

    # ---- Receiving ------------------------------------------------------------------------------------------------

    def can_take(self, packet: VsockPacket) -> bool:
        """Whether the peer was allowed to send these data. A sender in this machine takes care of memory: data that it
        has charged are accepted.
        """
        credit = self.credit()
        if self.received.bytes + len(packet) > credit or (self.kind == SEQUENCED and self.queue.count >= MOST_PACKETS):
            return False
        if packet.is_charged():
            return True
        if not packet.budget.is_exhausted() or (self.kind == SEQUENCED and self.received.messages == 0):
            return True
        share = packet.budget.limit // max(1, MEMORY.connections)
        return self.received.memory + len(packet) + OVERHEAD_BYTES <= max(LEAST_MEMORY, share)

    @noraise
    def enqueue(self, packet: VsockPacket) -> None:
        """Append received data, for which there is room."""
        length = len(packet)
        ends = self.kind == SEQUENCED and packet.flags & END_OF_MESSAGE != 0
        if length == 0 and not ends:
            packet.release()
            return
        if length > _SMALL or not self._join(packet):
            packet.charge()
            self.queue.append(packet)
            self._count_memory(packet.memory())
        self.received.bytes += length
        if ends:
            self.received.messages += 1

    @noraise
    def _join(self, packet: VsockPacket) -> bool:
        """Append the bytes of a small packet to those of the last one, if there is room; else make room for later ones,
        if there is memory.
        """
        length = len(packet)
        last = self.queue.last()
        if last is not None:
            is_whole = self.kind == SEQUENCED and last.flags & END_OF_MESSAGE != 0
            if not is_whole and len(last.storage) - last.end >= length:
                span_of(last.storage)[last.end : last.end + length].copy_from(
                    span_of(packet.storage)[packet.start : packet.end]
                )
                last.end += length
                last.flags |= packet.flags
                packet.release()
                return True
        if last is None or (self.kind == SEQUENCED and packet.flags & END_OF_MESSAGE != 0):
            return False  # data read at once, and a whole message, need no room after them
        try:
            storage = bytearray(_JOINED)
        except MemoryError:
            return False
        span_of(storage)[0:length].copy_from(span_of(packet.storage)[packet.start : packet.end])
        packet.release()
        packet.storage = storage
        packet.start = 0
        packet.end = length
        return False

    @noraise
    def drop_first(self) -> None:
        """The first packet was read. Only now its bytes count as read: until then it takes all of its memory."""
        packet = self.queue.take()
        if packet is None:
            return
        self.count_forwarded(packet.end)
        self._count_memory(-packet.memory())
        if self.kind == SEQUENCED and packet.flags & END_OF_MESSAGE != 0:
            self.received.messages -= 1
        packet.release()

    @noraise
    def forget_part(self) -> bool:
        """No one will read the received data: drop a part of them; returns whether there were any."""
        for _ in range(_PART):
            packet = self.queue.first()
            if packet is None:
                self.received.bytes = 0
                self.received.messages = 0
                return False
            self.received.bytes -= len(packet)
            self.drop_first()
        return True

    @noraise
    def forget_data(self) -> None:
        """The same for all data, if they are few, or there is no time for safe points."""
        while self.forget_part():
            spend(_PART_COST)

    def is_ready_to_read(self) -> bool:
        """Whether poll(2) reports that there is enough."""
        return self.received.bytes >= self.received.low_water
