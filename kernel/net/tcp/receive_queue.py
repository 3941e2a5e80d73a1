"""Received data not read yet: packets in order, and packets beyond a gap.

Payloads stay in the packets they came in; reading them is their only copy. A small payload after others is moved
into a collecting packet, so that many small segments do not hold many large storages.

Invariants: the packets in order hold the bytes up to `next_sequence` without gaps or overlaps. Pieces beyond it are
sorted, disjoint and do not touch, each a run of packets. `memory` is bounded by the connection, which drops what does
not fit.
Context: `add` and `add_early` may raise MemoryError, which leaves the queue as it was. Nothing sleeps.
"""

from typing import Final, Literal

from kernel.lang import Array, final, span_of
from kernel.net.link.packet import Packet

PACKET_OVERHEAD: Final = 256
_SMALL: Final = 512  # payloads up to this are collected …
_COLLECTOR_SIZE: Final = 4096 - 64  # … in packets of this capacity
MAX_PIECES: Final = 256
MAX_BLOCKS: Final = 4


@final
class Piece:
    """A packet beyond a gap: its payload is the bytes `start`…`end` of the stream."""

    def __init__(self, start: int, packet: Packet) -> None:
        self.start: int = start
        self.end: int = start + len(packet)
        self.packet: Packet = packet


@final
class ReceiveQueue:
    """The packets of one connection."""

    # The runs beyond gaps that are reported to the peer, newest first (RFC 2018, section 4).
    block_left: Array[int, Literal[4]]
    block_right: Array[int, Literal[4]]

    def __init__(self, sequence: int) -> None:
        self.next_sequence: int = sequence  # the first byte not received (RCV.NXT without SYN and FIN)
        self.bytes: int = 0  # in order and unread
        self.memory: int = 0  # all storages, and PACKET_OVERHEAD for each
        self.early_bytes: int = 0
        self.head: Packet | None = None
        self.tail: Packet | None = None
        self.collector: Packet | None = None  # the tail, if it may be written to
        self.pieces: list[Piece] = []
        self.block_count: int = 0
        # The part of the last packet that was a duplicate, to be reported (RFC 2883); `overlap_right` is 0 for none.
        self.overlap_left: int = 0
        self.overlap_right: int = 0

    def add(self, packet: Packet) -> None:
        """Append the payload of `packet`, one byte or more, which is next in the stream."""
        length = len(packet)
        if self.bytes > 0 and length <= _SMALL:
            self._collect(packet, length)
        else:
            self._append(packet)
            self.collector = None
        self.bytes += length
        self.next_sequence += length
        self.overlap_right = 0
        if self.pieces:
            if self.pieces[0].start < self.next_sequence:
                right = self.pieces[self._run_end(0) - 1].end
                self._note_overlap(self.pieces[0].start, min(right, self.next_sequence))
            self._join()

    def _append(self, packet: Packet) -> None:
        packet.next = None
        tail = self.tail
        if tail is None:
            self.head = packet
        else:
            tail.next = packet
        self.tail = packet
        self.memory += len(packet.storage) + PACKET_OVERHEAD

    def _collect(self, packet: Packet, length: int) -> None:
        collector = self.collector
        if collector is None or collector.tailroom() < length:
            collector = Packet(_COLLECTOR_SIZE, 0)
            self._append(collector)
            self.collector = collector
        collector.put(length).copy_from(packet.span())

    def _join(self) -> None:
        """Move pieces that are no longer beyond a gap to the packets in order."""
        pieces = self.pieces
        done = 0
        for piece in pieces:
            if piece.start > self.next_sequence:
                break
            done += 1
            self.early_bytes -= piece.end - piece.start
            self.memory -= len(piece.packet.storage) + PACKET_OVERHEAD
            if piece.end > self.next_sequence:
                piece.packet.pull(self.next_sequence - piece.start)
                self._append(piece.packet)
                self.collector = None
                self.bytes += piece.end - self.next_sequence
                self.next_sequence = piece.end
        if done > 0:
            del pieces[:done]
            self._keep_blocks(0, 0, self.next_sequence)

    def add_early(self, start: int, packet: Packet) -> bool:
        """Insert a payload beyond a gap. Where it overlaps existing ones, the piece that begins earlier wins, and of
        two that begin together the longer one, as on Linux. False: none of it is needed, or there are too many gaps.
        """
        pieces = self.pieces
        end = start + len(packet)
        self.overlap_right = 0
        at = len(pieces)
        while at > 0 and pieces[at - 1].start > start:
            at -= 1
        if at > 0 and pieces[at - 1].end > start:
            before = pieces[at - 1]
            self._note_overlap(start, min(before.end, end))
            if before.end >= end:
                self._tell_of(at - 1)
                return False
            if before.start < start:
                packet.pull(before.end - start)
                start = before.end
            else:
                at -= 1
        covered = at
        while covered < len(pieces) and pieces[covered].end <= end:
            self._note_overlap(pieces[covered].start, pieces[covered].end)
            covered += 1
        if covered == at and len(pieces) >= MAX_PIECES:
            return False
        pieces.insert(at, Piece(start, packet))
        covered += 1
        for index in range(at + 1, covered):
            self._forget(pieces[index])
        if covered > at + 1:
            del pieces[at + 1 : covered]
        self.early_bytes += end - start
        self.memory += len(packet.storage) + PACKET_OVERHEAD
        if at + 1 < len(pieces) and pieces[at + 1].start < end:
            self._cut_front(pieces[at + 1], end)
        self._tell_of(at)
        return True

    def _cut_front(self, piece: Piece, start: int) -> None:
        """Cut the front off: the piece now begins at `start`, after its old start and before its end."""
        self._note_overlap(piece.start, start)
        self.early_bytes -= start - piece.start
        piece.packet.pull(start - piece.start)
        piece.start = start

    def _note_overlap(self, left: int, right: int) -> None:
        """Note bytes that came twice; only the first run of such bytes is kept."""
        if self.overlap_right == 0:
            self.overlap_left = left
            self.overlap_right = right
        elif self.overlap_right == left:
            self.overlap_right = right

    def _tell_of(self, index: int) -> None:
        """Make the run that holds piece `index` the first block to be reported."""
        piece = self.pieces[index]
        if self.block_count > 0 and self.block_right[0] == piece.start and index == len(self.pieces) - 1:
            self.block_right[0] = piece.end
            return
        left = self.pieces[self._run_start(index)].start
        right = self.pieces[self._run_end(index) - 1].end
        # Move those before the first one inside the run, or all but the last, one place back.
        place = 0
        while place < min(self.block_count, MAX_BLOCKS - 1):
            if left <= self.block_left[place] and self.block_right[place] <= right:
                break
            place += 1
        if place == self.block_count:
            self.block_count += 1
        for i in range(place, 0, -1):
            self.block_left[i] = self.block_left[i - 1]
            self.block_right[i] = self.block_right[i - 1]
        self.block_left[0] = left
        self.block_right[0] = right
        self._keep_blocks(1, left, right)

    def _keep_blocks(self, first: int, left: int, right: int) -> None:
        """Of the blocks from `first` on, drop those that lie in `left`…`right`."""
        kept = first
        for i in range(first, self.block_count):
            if self.block_left[i] < left or self.block_right[i] > right:
                self.block_left[kept] = self.block_left[i]
                self.block_right[kept] = self.block_right[i]
                kept += 1
        self.block_count = kept

    def _forget(self, piece: Piece) -> None:
        self.early_bytes -= piece.end - piece.start
        self.memory -= len(piece.packet.storage) + PACKET_OVERHEAD

    def drop_early(self) -> None:
        """Drop everything beyond gaps: memory is short. The peer sends it again."""
        for piece in self.pieces:
            self._forget(piece)
        self.pieces.clear()
        self.block_count = 0

    def _run_start(self, index: int) -> int:
        """The index of the first piece of the gapless run that holds piece `index`."""
        while index > 0 and self.pieces[index - 1].end == self.pieces[index].start:
            index -= 1
        return index

    def _run_end(self, index: int) -> int:
        """The index after the last piece of the run."""
        index += 1
        while index < len(self.pieces) and self.pieces[index - 1].end == self.pieces[index].start:
            index += 1
        return index

    def early_end(self) -> int:
        """The number after the last byte beyond a gap; 0: there is none."""
        return self.pieces[len(self.pieces) - 1].end if self.pieces else 0

    def consume(self, count: int) -> None:
        """`count` bytes, at most `bytes`, were read."""
        self.bytes -= count
        while count > 0:
            head = self.head
            assert head is not None
            length = len(head)
            if count < length:
                head.pull(count)
                return
            count -= length
            self.memory -= len(head.storage) + PACKET_OVERHEAD
            following = head.next
            head.next = None
            head.recycle()
            self.head = following
            if following is None:
                self.tail = None
                self.collector = None

    def byte_at(self, offset: int) -> int:
        """The byte `offset` after the first unread one; it must exist."""
        packet = self.head
        assert packet is not None
        while offset >= len(packet):
            offset -= len(packet)
            packet = packet.next
            assert packet is not None
        return span_of(packet.storage)[packet.start + offset]

    def clear(self) -> None:
        """Drop everything."""
        packet = self.head
        while packet is not None:
            following = packet.next
            packet.next = None
            packet = following
        self.head = None
        self.tail = None
        self.collector = None
        self.pieces.clear()
        self.block_count = 0
        self.bytes = 0
        self.early_bytes = 0
        self.memory = 0
