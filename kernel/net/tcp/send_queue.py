"""Data written by a program that the peer has not acknowledged yet.

The bytes are in chunks, each in the storage of the packet as which it will most likely be sent: a whole chunk that is
sent for the first time is not copied; its headers go into the room before it. Everything else
(retransmissions, parts of chunks) is copied into a fresh packet. So the bytes of a chunk are written once, before they
are sent, and the room before it once, when it is sent: packets in flight never change.

Invariants: the chunks hold the bytes `start`…`end` of the stream, without gaps; `end - start` is what is queued.
Sequence numbers are unwrapped (sequence.py).
Context: allocating may raise MemoryError, which leaves the queue as it was. Nothing sleeps.
"""

from typing import Final

from kernel.lang import Span, final, span_of, u8
from kernel.net.link.packet import HEADROOM, Packet

# The cost of a chunk besides its bytes, roughly: counted so that many small writes stay within the buffer's size.
CHUNK_OVERHEAD: Final = 256


@final
class Chunk:
    """Bytes `begin`…`end` of a storage, the first of which has the number `sequence`."""

    def __init__(self, capacity: int, sequence: int) -> None:
        self.storage: bytearray = bytearray(HEADROOM + capacity)
        self.sequence: int = sequence
        self.begin: int = HEADROOM
        self.end: int = HEADROOM
        self.is_sent: bool = False  # some of it was sent: the room before it is taken
        self.next: Chunk | None = None

    def end_sequence(self) -> int:
        return self.sequence + self.end - self.begin

    def room(self) -> int:
        return len(self.storage) - self.end


@final
class SendQueue:
    """The chunks of one connection."""

    def __init__(self, sequence: int) -> None:
        self.start: int = sequence
        self.end: int = sequence
        self.memory: int = 0  # bytes of storages, and CHUNK_OVERHEAD for each
        self.head: Chunk | None = None
        self.tail: Chunk | None = None
        self.cursor: Chunk | None = None  # where the last packet began: the next one begins there, or after it
        self.is_filling: bool = False  # a writer is copying into the tail, which must stay

    def append_chunk(self, capacity: int) -> Chunk:
        """An empty chunk at the end. Raises MemoryError."""
        chunk = Chunk(capacity, self.end)
        tail = self.tail
        if tail is None:
            self.head = chunk
        else:
            tail.next = chunk
        self.tail = chunk
        self.memory += len(chunk.storage) + CHUNK_OVERHEAD
        return chunk

    def room(self, chunk: Chunk, limit: int) -> Span[u8]:
        """The place for the next bytes of the tail, at most `limit` of them; `filled` reports how many were written."""
        count = min(limit, chunk.room())
        return span_of(chunk.storage)[chunk.end : chunk.end + count]

    def filled(self, chunk: Chunk, count: int) -> None:
        chunk.end += count
        self.end += count

    def drop_before(self, sequence: int) -> None:
        """The peer has everything before `sequence`, which is at most `end`."""
        head = self.head
        while head is not None:
            chunk_end = head.end_sequence()
            if chunk_end > sequence or (head is self.tail and self.is_filling):
                break
            self.memory -= len(head.storage) + CHUNK_OVERHEAD
            if self.cursor is head:
                self.cursor = None
            following = head.next
            head.next = None
            self.head = following
            if following is None:
                self.tail = None
            head = following
        if head is not None and head.sequence < sequence:
            head.begin += sequence - head.sequence
            head.sequence = sequence
        self.start = sequence

    def clear(self) -> None:
        """Drop everything: the connection is gone. Breaks the list, so that no chunk keeps another."""
        chunk = self.head
        while chunk is not None:
            following = chunk.next
            chunk.next = None
            chunk = following
        self.head = None
        self.tail = None
        self.cursor = None
        self.memory = 0
        self.start = self.end

    def chunk_at(self, sequence: int) -> Chunk:
        """The chunk that holds the byte `sequence`, which is in the queue."""
        chunk = self.cursor
        if chunk is None or chunk.sequence > sequence:
            chunk = self.head
        while chunk is not None and chunk.end_sequence() <= sequence:
            chunk = chunk.next
        assert chunk is not None
        self.cursor = chunk
        return chunk

    def packet(self, sequence: int, length: int) -> Packet:
        """A packet with `length` bytes (1 or more) of the stream from `sequence` on. Raises MemoryError."""
        chunk = self.chunk_at(sequence)
        if not chunk.is_sent and chunk.sequence == sequence and length == chunk.end - chunk.begin:
            packet = Packet(0, chunk.begin, chunk.storage)
            chunk.is_sent = True
            packet.put(length)
            return packet
        return self.copy(sequence, length)

    def copy(self, sequence: int, length: int) -> Packet:
        """The same in a storage of its own."""
        packet = Packet(length)
        target = packet.put(length)
        chunk: Chunk | None = self.chunk_at(sequence)
        done = 0
        while done < length:
            assert chunk is not None
            chunk.is_sent = True
            at = chunk.begin + sequence + done - chunk.sequence
            count = min(length - done, chunk.end - at)
            target[done : done + count].copy_from(span_of(chunk.storage)[at : at + count])
            done += count
            chunk = chunk.next
        return packet
