"""Processing a connection's received segment (RFC 9293, section 3.10.7; RFC 5961; RFC 7323, section 5).

`process` is the entry. It takes over the packet, whose bytes are the payload. Its results are in `Connection.events`;
everything it had to send has been sent when it returns.

Nothing in a segment is trusted: each number is checked against what was sent and offered before it is used.
"""

from kernel.lang import ECONNREFUSED, ECONNRESET, EPIPE
from kernel.net.link.packet import Packet
from kernel.net.tcp import acknowledge, congestion_marks, opening, output
from kernel.net.tcp.closing import enter_time_wait, finish
from kernel.net.tcp.connection import (
    EVENT_READABLE,
    EVENT_STATE,
    EVENT_URGENT,
    NS_PER_MS,
    Connection,
    State,
)
from kernel.net.tcp.header import ACK, FIN, RST, SYN, URG, Segment
from kernel.net.tcp.memory import LEAST_BYTES, MEMORY
from kernel.net.tcp.sequence import HALF, MASK, extend
from kernel.net.tcp.tcp_settings import NS_PER_SECOND

# How old a remembered timestamp may be before it is meaningless (RFC 7323, section 5.5): 24 days.
_TIMESTAMP_AGE_NS = 24 * 86_400 * NS_PER_SECOND

_CALL_AGAIN_NS = 8 * NS_PER_MS


def process(c: Connection, segment: Segment, packet: Packet, now_ns: int) -> bool:
    """Take a segment. False: it needs a reset in answer, which the caller sends, without a connection's state.
    Raises MemoryError: the segment counts as lost.
    """
    c.counters.segments_in += 1
    state = c.state
    if state == State.CLOSED:
        return False
    if state == State.SYN_SENT:
        return _process_syn_sent(c, segment, packet, now_ns)
    flags = segment.flags
    sequence = extend(segment.sequence, c.receiver.nxt)
    if state == State.SYN_RECEIVED and flags & (SYN | RST) == SYN and sequence == c.receiver.initial:
        if flags & ACK == 0:
            output.send_syn(c, now_ns)  # the peer has not received ours
            return True
        if not c.is_passive:
            # Both have called each other. Its SYN is already here; the acknowledgment of ours may have been lost.
            flags &= ~SYN
            sequence += 1
            c.receiver.ack_now = True
    if not _check(c, segment, packet, sequence, flags, now_ns):
        return True
    if flags & RST != 0:
        _process_reset(c, sequence, now_ns)
        return True
    if flags & SYN != 0:
        if state == State.SYN_RECEIVED and c.is_passive and sequence >= c.receiver.nxt:
            c.network.tcp_events.embryonic_resets.count += 1
            finish(c, ECONNRESET)  # back to LISTEN, as if no one had called
            return False
        output.challenge(c, now_ns)
        return True
    if flags & ACK == 0:
        return True
    number = extend(segment.acknowledgment, c.sender.una)
    if state == State.SYN_RECEIVED:
        if number <= c.sender.una or number > c.sender.nxt:
            return False
        _finish_handshake(c, segment, now_ns)
    elif number > c.sender.nxt or number < c.sender.una - max(c.sender.largest_window, 0x1_0000):
        output.challenge(c, now_ns)
        return True
    if c.agreed.timestamps and segment.has_timestamp and sequence <= c.receiver.acknowledged_to:
        # The timestamp of the first unacknowledged segment is the one to echo (RFC 7323, section 4.3).
        if (segment.timestamp - c.agreed.timestamp_recent) & MASK < HALF:
            c.agreed.timestamp_recent = segment.timestamp
            c.agreed.timestamp_recent_ns = now_ns
    c.timers.last_received_ns = now_ns
    c.timers.keepalive_probes_sent = 0
    length = len(packet)
    if c.agreed.is_ecn:
        congestion_marks.take_marks(c, segment, packet)
    acknowledge.process(c, segment, sequence, length + (flags & FIN), now_ns)
    if c.sender.una == c.send_end() and c.sender.fin_queued:
        _fin_acknowledged(c, now_ns)
    if c.state == State.CLOSED:
        return c.timers.fin_wait_ns != 0 or state != State.FIN_WAIT_1
    if flags & URG != 0:
        _process_urgent(c, sequence, segment.urgent)
    if length > 0 or flags & FIN != 0:
        if length > 0 and c.receive_shut and c.sender.fin_queued and sequence + length > c.receiver.nxt:
            # No one will read it, and the peer should know (RFC 9293, section 3.6.1).
            c.network.tcp_events.aborts_on_data.count += 1
            finish(c, 0 if c.is_orphan else ECONNRESET)
            return False
        _process_payload(c, sequence, packet, flags & FIN != 0, now_ns)
    # It may be CLOSED now, and then nothing is due any more.
    output.acknowledge_if_due(c, now_ns)
    return True


# ---- Checks ---------------------------------------------------------------------------------------------------


def _check(c: Connection, segment: Segment, packet: Packet, sequence: int, flags: int, now_ns: int) -> bool:
    """Whether the segment is no old duplicate (PAWS) and lies in the window. Any other gets an acknowledgment."""
    if c.agreed.timestamps and segment.has_timestamp and flags & RST == 0:
        age = (segment.timestamp - c.agreed.timestamp_recent) & MASK
        if age >= HALF and now_ns - c.agreed.timestamp_recent_ns < _TIMESTAMP_AGE_NS:
            c.network.tcp_events.old_timestamps.count += 1
            _answer_old(c, sequence, sequence + len(packet), now_ns)
            return False
    end = sequence + len(packet) + (1 if flags & FIN != 0 else 0) + (1 if flags & SYN != 0 else 0)
    edge = max(c.receiver.edge, c.receiver.nxt)
    if end < c.receiver.acknowledged_to or sequence > edge:
        if flags & RST != 0:
            return c.receiver.fin_received and sequence == c.receiver.nxt - 1
        _answer_old(c, sequence, end, now_ns)
        return False
    return True


def _answer_old(c: Connection, sequence: int, end: int, now_ns: int) -> None:
    """Repeat our acknowledgment: the peer has lost it, or asks by a probe. Without data it may be one half of a
    loop of answers, so these are limited in number.
    """
    if end > sequence:
        _note_duplicate(c, sequence, end)
        output.send_ack(c, now_ns)
    elif sequence == c.receiver.nxt - 1 and now_ns - c.timers.last_challenge_ns >= NS_PER_MS:
        c.timers.last_challenge_ns = now_ns - 499 * NS_PER_MS  # a probe of our window or of our presence
        output.send_ack(c, now_ns)
    else:
        output.challenge(c, now_ns)


def _note_duplicate(c: Connection, start: int, end: int) -> None:
    if c.agreed.sack and start < c.receiver.nxt:
        c.receiver.duplicate_left = start
        c.receiver.duplicate_right = min(end, c.receiver.nxt)


def _note_overlap(c: Connection) -> None:
    """Some bytes of the packet that the queue took may be duplicates: note that."""
    if c.agreed.sack and c.receive.overlap_right != 0 and c.receiver.duplicate_right == 0:
        c.receiver.duplicate_left = c.receive.overlap_left
        c.receiver.duplicate_right = c.receive.overlap_right


def _process_reset(c: Connection, sequence: int, now_ns: int) -> None:
    """A reset must have exactly the next number; one elsewhere in the window is a guess (RFC 5961, section 3.2). Also
    accepted, from a peer that knows no better, are the number after the last byte in our SACK, and its own FIN.
    """
    if sequence != c.receiver.nxt:
        follows_sack = c.agreed.sack and sequence == c.receive.early_end()
        is_fin = c.receiver.fin_received and sequence == c.receiver.nxt - 1
        if not follows_sack and not is_fin:
            output.challenge(c, now_ns)
            return
    if c.state == State.SYN_RECEIVED:
        c.network.tcp_events.embryonic_resets.count += 1
    finish(c, EPIPE if c.state == State.CLOSE_WAIT else ECONNRESET)


# ---- Handshake ------------------------------------------------------------------------------------------------


def _process_syn_sent(c: Connection, segment: Segment, packet: Packet, now_ns: int) -> bool:
    flags = segment.flags
    has_ack = flags & ACK != 0
    if has_ack:
        number = extend(segment.acknowledgment, c.sender.una)
        if number <= c.sender.initial or number > c.sender.nxt:
            if c.timers.retries == 0:
                # The peer has an old connection with these ports: our reset ends that, so call again soon, as on Linux.
                c.timers.timeout_ns = min(c.timers.timeout_ns, now_ns + _CALL_AGAIN_NS)
            return flags & RST != 0
    if flags & RST != 0:
        if has_ack:
            finish(c, ECONNREFUSED)
        return True
    if flags & SYN == 0:
        return True
    opening.take_peer_syn(c, segment, packet, now_ns)
    c.receiver.edge = c.receiver.nxt + min(c.window_limit(), 0xFFFF)
    if not has_ack:
        # Both have called each other at the same time.
        c.state = State.SYN_RECEIVED
        output.send_syn(c, now_ns)
        output.arm_retransmission(c, now_ns)
        return True
    _measure_handshake(c, now_ns)
    c.sender.una = c.sender.initial + 1
    opening.established(c, now_ns)
    c.receiver.ack_now = True
    if len(packet) > 0 or flags & FIN != 0:
        _process_payload(c, c.receiver.nxt, packet, flags & FIN != 0, now_ns)
    output.transmit(c, now_ns)
    output.acknowledge_if_due(c, now_ns)
    return True


def _measure_handshake(c: Connection, now_ns: int) -> None:
    if c.sender.timed_sequence != 0:
        c.round_trip.measured(now_ns - c.sender.timed_at_ns)
    c.sender.timed_sequence = 0
    c.round_trip.backoff = 0


def _finish_handshake(c: Connection, segment: Segment, now_ns: int) -> None:
    """Our SYN is acknowledged, and the peer's came before."""
    _measure_handshake(c, now_ns)
    c.sender.una = c.sender.initial + 1
    c.sender.wnd = segment.window << c.agreed.send_scale
    c.saw_window(c.sender.wnd)
    opening.established(c, now_ns)
    if c.sender.fin_queued:
        c.state = State.FIN_WAIT_1


# ---- Ends -----------------------------------------------------------------------------------------------------


def _fin_acknowledged(c: Connection, now_ns: int) -> None:
    state = c.state
    if state == State.FIN_WAIT_1:
        c.state = State.FIN_WAIT_2
        c.events |= EVENT_STATE
        if c.is_orphan:
            if c.timers.fin_wait_ns == 0:
                c.network.tcp_events.aborts_on_data.count += 1
                finish(c, 0)  # TCP_LINGER2 asks for no waiting at all: the peer is notified by a reset
                return
            if MEMORY.is_scarce():
                finish(c, 0)  # all is delivered: it is not worth another's place to learn whether the peer closes, too
                return
            c.timers.keepalive_ns = now_ns + c.timers.fin_wait_ns
    elif state == State.CLOSING:
        enter_time_wait(c)
    elif state == State.LAST_ACK:
        finish(c, 0)


def _process_fin(c: Connection, now_ns: int) -> None:
    """The peer will send no more; everything before its FIN is here."""
    c.receiver.fin_received = True
    c.receiver.fin_sequence = 0
    c.receiver.nxt += 1
    c.events |= EVENT_STATE | EVENT_READABLE
    if c.state == State.ESTABLISHED:
        c.state = State.CLOSE_WAIT
        # As on Linux: most programs close soon after they see the end, and their FIN carries the acknowledgment.
        c.receiver.is_ping_pong = True
        c.receiver.ack_wanted = True
        return
    c.receiver.ack_now = True
    if c.state == State.FIN_WAIT_1:
        c.state = State.CLOSING
    elif c.state == State.FIN_WAIT_2:
        output.send_ack(c, now_ns)
        enter_time_wait(c)


# ---- Data -----------------------------------------------------------------------------------------------------


def _process_payload(c: Connection, sequence: int, packet: Packet, has_fin: bool, now_ns: int) -> None:
    """Process data and FIN: trim them to the window, and put them in order."""
    end = sequence + len(packet)
    if c.receiver.fin_received or not c.can_receive():
        if sequence < c.receiver.nxt:
            c.receiver.ack_now = True  # the peer sends its FIN again; bytes after that are not answered
        return
    if end <= c.receiver.nxt and not (has_fin and end == c.receiver.nxt):
        _note_duplicate(c, sequence, end)
        c.receiver.ack_now = True
        return
    if sequence < c.receiver.nxt:
        if len(packet) > 0:
            _note_duplicate(c, sequence, c.receiver.nxt)
            packet.pull(c.receiver.nxt - sequence)
        sequence = c.receiver.nxt
    edge = max(c.receiver.edge, c.receiver.nxt)
    if end > edge:
        packet.trim(max(0, edge - sequence))
        end = sequence + len(packet)
        has_fin = False
        c.receiver.ack_now = True
    if len(packet) > 0:
        kept = _fit_into_memory(c, packet, sequence)
        if kept is None:
            c.receiver.ack_now = True
            return
        if kept is not packet:
            packet = kept
            end = sequence + len(packet)
            has_fin = False
            c.receiver.ack_now = True
        c.counters.data_segments_in += 1
        if sequence == c.receiver.nxt:
            _take_data(c, packet, now_ns)
        else:
            c.receive.add_early(sequence, packet)
            _note_overlap(c)
            c.receiver.ack_now = True
    if has_fin and end >= c.receiver.nxt:
        c.receiver.fin_sequence = end
        if end > c.receiver.nxt:
            c.receiver.ack_now = True
    if c.receiver.fin_sequence != 0 and c.receiver.fin_sequence == c.receiver.nxt:
        _process_fin(c, now_ns)


def _fit_into_memory(c: Connection, packet: Packet, sequence: int) -> Packet | None:
    """The part of the packet that may be kept. An empty queue always takes it, or the connection would stall; when all
    connections together have no memory left, it takes a small piece.
    """
    if MEMORY.is_exhausted():
        if c.receive.early_bytes > 0:
            c.receive.drop_early()
        if sequence != c.receiver.nxt or c.receive.memory + LEAST_BYTES > 2 * LEAST_BYTES:
            return None
        if len(packet.storage) <= LEAST_BYTES:
            return packet
        count = min(len(packet), LEAST_BYTES >> 1)
        piece = Packet(count, 0)
        piece.put(count).copy_from(packet.span()[:count])
        return piece
    if c.receive.memory == 0 or c.receive.memory + len(packet.storage) <= 2 * c.receiver.buffer + 0x1_0000:
        return packet
    if c.receive.early_bytes > 0:
        c.receive.drop_early()
    if c.receive.bytes == 0 or c.receive.memory + len(packet.storage) <= 2 * c.receiver.buffer + 0x1_0000:
        return packet
    return None


def _take_data(c: Connection, packet: Packet, now_ns: int) -> None:
    length = len(packet)
    had_gap = bool(c.receive.pieces)
    c.receive.add(packet)
    _note_overlap(c)
    c.counters.bytes_received += c.receive.next_sequence - c.receiver.nxt
    c.receiver.nxt = c.receive.next_sequence
    unit = packet.segment_size if packet.segment_size != 0 else length
    if unit > c.receiver.mss:
        c.receiver.mss = min(unit, c.window_limit() >> 1)
    c.receiver.ack_wanted = True
    if had_gap:
        c.receiver.ack_now = True  # the gap is closed, or a part of it
    if now_ns - c.receiver.last_data_ns > c.round_trip.timeout_ns:
        # After a pause the sender may be in slow start: it needs each acknowledgment.
        c.receiver.quick_acks = max(c.receiver.quick_acks, 2)
    c.receiver.last_data_ns = now_ns
    c.events |= EVENT_READABLE


def _process_urgent(c: Connection, sequence: int, pointer: int) -> None:
    """Note an urgent byte, the one before the pointer (tcp(7); RFC 6093, section 3.1). A pointer to
    nowhere means the segment's first byte, as on Linux.
    """
    place = sequence + max(0, pointer - 1)
    if place < c.receiver.copied or place < c.receiver.nxt or place <= c.receiver.urgent_sequence:
        return
    c.receiver.urgent_sequence = place
    c.receiver.urgent_taken = False
    c.events |= EVENT_URGENT
