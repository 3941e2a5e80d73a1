"""Sending: what, when, how much (RFC 9293 section 3.8; RFC 5681; RFC 6675).

`transmit` sends everything that may be sent now: first what was lost, then new data as far as the peer's window, the
congestion window, Nagle's algorithm and corks allow. All other functions send one segment.

Context: a packet for which there is no memory counts as lost; timers repair that. `Wire.send` must not call back into
the connection: its state is updated before the call, but the callers' loops are still running.
"""

from typing import Final

from kernel.lib.pace import PACE, spend
from kernel.net.internet.group_programs import are_judged
from kernel.net.link.packet import HEADROOM, Packet, StoragePool
from kernel.net.tcp import congestion_marks, pacing
from kernel.net.tcp.connection import FOREVER, NS_PER_MS, Connection, State
from kernel.net.tcp.header import ACK, ECE, FIN, MAX_SACK_BLOCKS, PSH, RST, SYN, URG, OutgoingHeader
from kernel.net.tcp.memory import MEMORY
from kernel.net.tcp.parts import Recovery, Timeout
from kernel.net.tcp.tcp_settings import SETTINGS

TAIL_LOSS_LEAST_NS: Final = 10 * NS_PER_MS
_SHARE: Final = 200_000  # instructions for sending at once; see `kernel.lib.pace.spend`
_PACKET_COST: Final = 4000  # for one packet, besides what those below report to have spent

_header: Final = OutgoingHeader()
_bare_storages: Final = StoragePool(16)


# ---- One segment ----------------------------------------------------------------------------------------------


def _bare_packet() -> Packet:
    """A packet for a segment without data, usually in the storage of a sent one that is done with. Raises
    MemoryError.
    """
    storage = _bare_storages.take()
    packet = Packet(0) if storage is None else Packet(0, HEADROOM, storage)
    packet.pool = _bare_storages
    return packet


def _emit(c: Connection, packet: Packet, sequence: int, flags: int, now_ns: int) -> None:
    """Complete a segment of a synchronized connection, and send it."""
    header = _header
    length = len(packet)
    header.clear_options()
    header.source_port = c.local_port
    header.destination_port = c.remote_port
    header.sequence = sequence
    header.acknowledgment = c.receiver.nxt
    header.window = offer_window(c) >> c.agreed.receive_scale
    if c.agreed.timestamps:
        header.has_timestamp = True
        header.timestamp = c.timestamp(now_ns)
        header.timestamp_echo = c.agreed.timestamp_recent
    if c.agreed.sack and (len(c.receive.pieces) > 0 or c.receiver.duplicate_right != 0 or c.receiver.fin_sequence != 0):
        _put_sack_blocks(c, header)
    if c.sender.urgent_end > sequence:
        flags |= URG
        header.urgent = min(c.sender.urgent_end - sequence, 0xFFFF)
    header.flags = flags | ECE if c.marks.owes_echo else flags
    header.put_before(packet)
    count = 1
    if length > c.sizes.mss:
        packet.segment_size = c.sizes.mss
        count = (length + c.sizes.mss - 1) // c.sizes.mss
    c.receiver.acknowledged_to = c.receiver.nxt
    c.receiver.ack_now = False
    c.receiver.ack_wanted = False
    c.timers.delayed_ack_ns = FOREVER
    c.counters.segments_out += count
    c.network.tcp.out_segments += count
    if length > 0:
        c.counters.data_segments_out += count
        c.counters.bytes_sent += length
        c.timers.last_sent_ns = now_ns
        pacing.sent(c, length, now_ns)
        if now_ns - c.receiver.last_data_ns < 40 * NS_PER_MS:
            c.receiver.is_ping_pong = True
    c.wire.send(c, packet)


def _put_sack_blocks(c: Connection, header: OutgoingHeader) -> None:
    """Write the range that came twice, if any did; then the runs beyond gaps, newest first."""
    limit = 3 if c.agreed.timestamps else MAX_SACK_BLOCKS
    count = 0
    if c.receiver.duplicate_right != 0:
        header.sack_left[0] = c.receiver.duplicate_left
        header.sack_right[0] = c.receiver.duplicate_right
        c.receiver.duplicate_right = 0
        count = 1
    queue = c.receive
    for i in range(min(queue.block_count, limit - count)):
        header.sack_left[count] = queue.block_left[i]
        header.sack_right[count] = queue.block_right[i]
        count += 1
    if c.receiver.fin_sequence != 0:
        count = _put_early_fin(c, header, count, limit)
    header.sack_count = count


def _put_early_fin(c: Connection, header: OutgoingHeader, count: int, limit: int) -> int:
    """A FIN beyond a gap has a number, too: it ends the last run, or is one by itself. Returns the number of blocks.
    """
    for i in range(count):
        if header.sack_right[i] == c.receiver.fin_sequence:
            header.sack_right[i] += 1
            return count
    if count < limit and c.receive.early_end() != c.receiver.fin_sequence:
        header.sack_left[count] = c.receiver.fin_sequence
        header.sack_right[count] = c.receiver.fin_sequence + 1
        count += 1
    return count


def offer_window(c: Connection) -> int:
    """The window to offer, a multiple of the scale's unit; its edge is kept. It never moves left, and
    moves right only by a sizable step (RFC 9293, section 3.8.6.2.2).
    """
    limit = c.window_limit()
    if MEMORY.is_under_pressure:
        limit = min(limit, 4 * c.receiver.mss)
    free = max(0, limit - c.receive.bytes)
    if c.receive.memory > 2 * c.receiver.buffer:
        free = 0
    offered = max(0, c.receiver.edge - c.receiver.nxt)
    unit = 1 << c.agreed.receive_scale
    if free >= offered + min(c.receiver.mss, limit >> 1):
        window = free & -unit
        if window < offered:
            window = offered
    else:
        window = (offered + unit - 1) & -unit
    window = min(window, 0xFFFF << c.agreed.receive_scale)
    c.receiver.edge = max(c.receiver.edge, c.receiver.nxt + window)
    return window


def send_ack(c: Connection, now_ns: int) -> None:
    """Acknowledge the received data."""
    try:
        packet = _bare_packet()
    except MemoryError:
        c.receiver.ack_wanted = True
        c.timers.delayed_ack_ns = now_ns + 40 * NS_PER_MS
        return
    _emit(c, packet, c.sender.nxt, ACK, now_ns)


def send_probe(c: Connection, now_ns: int) -> None:
    """Send a segment that the peer must answer: its number is old (RFC 9293, section 3.8.4)."""
    try:
        _emit(c, _bare_packet(), c.sender.una - 1, ACK, now_ns)
    except MemoryError:
        return  # the timer that asked for it is armed again by its caller


def challenge(c: Connection, now_ns: int) -> None:
    """Answer a suspicious segment with our numbers; at most twice a second (RFC 5961, section 10)."""
    if now_ns - c.timers.last_challenge_ns < 500 * NS_PER_MS:
        return
    c.timers.last_challenge_ns = now_ns
    c.network.tcp_events.challenges.count += 1
    send_ack(c, now_ns)


def send_syn(c: Connection, now_ns: int) -> None:
    """Send our SYN; with the acknowledgment of the peer's, if that is here."""
    header = _header
    header.clear_options()
    header.source_port = c.local_port
    header.destination_port = c.remote_port
    header.sequence = c.sender.initial
    is_answer = c.state == State.SYN_RECEIVED
    header.flags = (SYN | ACK if is_answer else SYN) | congestion_marks.flags_of_syn(c, is_answer)
    header.acknowledgment = c.receiver.nxt if is_answer else 0
    window = min(c.window_limit(), 0xFFFF)  # never scaled in a SYN
    header.window = window
    header.mss = c.sizes.advertised_mss
    header.sack_permitted = c.agreed.sack if is_answer else SETTINGS.sack.of(c.network) != 0
    header.has_timestamp = c.agreed.timestamps if is_answer else SETTINGS.timestamps.of(c.network) != 0
    if header.has_timestamp:
        header.timestamp = c.timestamp(now_ns)
        header.timestamp_echo = c.agreed.timestamp_recent if is_answer else 0
    if c.agreed.scaling if is_answer else SETTINGS.window_scaling.of(c.network) != 0:
        header.scale = c.agreed.receive_scale
    c.receiver.edge = c.receiver.nxt + window
    c.receiver.acknowledged_to = c.receiver.nxt
    c.sender.nxt = max(c.sender.nxt, c.sender.initial + 1)
    c.counters.segments_out += 1
    c.network.tcp.out_segments += 1
    try:
        packet = _bare_packet()
    except MemoryError:
        return  # sent again by the timer
    header.put_before(packet)
    c.wire.send(c, packet)


def send_reset(c: Connection, now_ns: int) -> None:
    """Notify the peer that the connection is gone."""
    try:
        packet = _bare_packet()
    except MemoryError:
        return  # it will learn that when it sends something
    c.network.tcp.out_resets += 1
    _emit(c, packet, c.sender.nxt, RST | ACK, now_ns)


def _send_range(c: Connection, start: int, end: int, now_ns: int, again: bool) -> None:
    """Send the bytes `start`…`end` of the stream, of which the last may be the FIN."""
    data_end = min(end, c.queue.end)
    flags = ACK
    if end > c.queue.end:
        flags |= FIN
    if data_end == c.queue.end and not c.sender.more_follows:
        flags |= PSH
    if start >= data_end:
        packet = _bare_packet()
        flags &= ~PSH
    elif again:
        packet = c.queue.copy(start, data_end - start)
    else:
        packet = c.queue.packet(start, data_end - start)
    if again:
        c.network.tcp.retransmitted_segments += 1
        c.counters.retransmitted += 1
        c.counters.bytes_retransmitted += data_end - start if data_end > start else 0
        c.sender.timed_sequence = 0  # an acknowledgment may be for either of the two (Karn)
    elif c.agreed.is_ecn:
        flags |= congestion_marks.mark_new(c, packet)
    _emit(c, packet, start, flags, now_ns)


# ---- How much may be in flight --------------------------------------------------------------------------------


def pipe(c: Connection) -> int:
    """The number of bytes believed to be in flight (RFC 6675, SetPipe)."""
    board = c.scoreboard
    if c.losses.recovery == Recovery.OPEN:
        if c.agreed.sack:
            return c.flight() - board.bytes
        return max(0, c.flight() - c.losses.duplicate_acks * c.sizes.mss)
    edge = max(c.losses.lost_edge, c.sender.una)
    sent_again_to = min(max(c.losses.retransmitted_to, c.sender.una), edge)
    if c.agreed.sack:
        return board.missing(edge, c.sender.nxt) + board.missing(c.sender.una, sent_again_to)
    return max(0, c.sender.nxt - edge - c.losses.duplicate_acks * c.sizes.mss) + sent_again_to - c.sender.una


def transmit(c: Connection, now_ns: int) -> None:
    """Send what may be sent now, and set the timer."""
    if not c.can_send():
        return
    before = c.sender.nxt
    try:
        if c.losses.recovery != Recovery.OPEN:
            _send_lost(c, now_ns)
        if c.sender.nxt < c.send_end():
            _send_new(c, now_ns)
    except MemoryError:
        if c.timers.timeout == Timeout.NONE:
            arm_probe(c, now_ns)
    if c.sender.nxt > c.sender.una:
        if c.timers.timeout == Timeout.NONE or c.timers.timeout == Timeout.PROBE:
            arm_retransmission(c, now_ns)
        elif c.sender.nxt > before:
            _prefer_tail_probe(c, now_ns)
    elif c.sender.nxt < c.send_end() and c.timers.timeout == Timeout.NONE and c.timers.resume_ns == FOREVER:
        arm_probe(c, now_ns)


def _makes_way(c: Connection, now_ns: int, floor: int) -> bool:
    """Whether sending must pause for a safe point that is due: firewalls and the programs of groups drop packets
    sent long after it, and a peer that chooses small segments gets very many of them. So no more is sent than leaves
    `floor` to spend. The timer then resumes soon. Something must be in flight, so that all else is in order.
    """
    if c.sender.nxt == c.sender.una:
        return False
    if PACE.left >= floor and c.network.onlookers == 0 and not are_judged():
        return False
    c.timers.resume_ns = now_ns
    return True


def _send_lost(c: Connection, now_ns: int) -> None:
    """Send lost data again, as far as the congestion window allows."""
    floor = PACE.left - _SHARE
    while True:
        if (PACE.left < 0 and _makes_way(c, now_ns, floor)) or pacing.must_wait(c, now_ns):
            return
        room = c.congestion.window - pipe(c)
        if room < c.sizes.mss and room < c.congestion.window:
            return
        start = c.scoreboard.next_missing(max(c.losses.retransmitted_to, c.sender.una))
        edge = min(c.losses.lost_edge, c.sender.nxt)
        if start >= edge:
            return
        end = c.scoreboard.missing_end(start, min(edge, start + c.sizes.mss))
        c.losses.retransmitted_to = end
        _send_range(c, start, end, now_ns, again=True)
        spend(_PACKET_COST)


def retransmit_first(c: Connection, now_ns: int) -> None:
    """Send the first missing segment again, whatever the windows say."""
    start = c.scoreboard.next_missing(c.sender.una)
    end = c.scoreboard.missing_end(start, min(c.sender.nxt, start + c.sizes.mss))
    if start >= end:
        return
    c.losses.retransmitted_to = end
    try:
        _send_range(c, start, end, now_ns, again=True)
    except MemoryError:
        c.losses.retransmitted_to = start


def send_flight_again(c: Connection, now_ns: int) -> None:
    """The path takes only smaller segments: resend the data in flight, cut anew (RFC 1191, section 6.4). That says
    nothing about congestion.
    """
    if c.sender.nxt == c.sender.una:
        return
    c.losses.recovery = Recovery.TIMEOUT
    c.losses.recovery_point = c.sender.nxt
    c.losses.duplicate_acks = 0
    c.losses.tail_probe_end = 0
    c.losses.retransmitted_to = c.sender.una
    c.losses.lost_edge = c.sender.nxt
    transmit(c, now_ns)
    arm_retransmission(c, now_ns)


def send_tail_probe(c: Connection, now_ns: int) -> None:
    """Send new data if there are some, else the last segment again."""
    before = c.sender.nxt
    push_tail(c, now_ns)
    c.losses.tail_probe_end = c.sender.nxt
    if c.sender.nxt > before:
        return
    start = max(c.sender.una, c.sender.nxt - c.sizes.mss)
    try:
        _send_range(c, start, c.sender.nxt, now_ns, again=True)
    except MemoryError:
        return  # the retransmission timer is armed after it


def _send_new(c: Connection, now_ns: int) -> None:
    congestion = c.congestion
    if (
        c.sender.nxt == c.sender.una
        and c.timers.last_sent_ns != 0
        and now_ns - c.timers.last_sent_ns > c.round_trip.timeout_ns
    ):
        congestion.idle((now_ns - c.timers.last_sent_ns) // c.round_trip.timeout_ns)
    queue = c.queue
    mss = c.sizes.mss
    limit = pacing.largest_packet(c, c.largest_payload())
    floor = PACE.left - _SHARE
    while True:
        if (PACE.left < 0 and _makes_way(c, now_ns, floor)) or pacing.must_wait(c, now_ns):
            return
        start = c.sender.nxt
        available = queue.end - start
        if available <= 0:
            # A FIN has a number, for which the window must have room.
            if c.sender.fin_queued and start == queue.end and start < c.sender.una + c.sender.wnd:
                c.sender.nxt = start + 1
                _send_range(c, start, start + 1, now_ns, again=False)
            return
        usable = c.sender.una + c.sender.wnd - start
        # Frames that a segment is cut into would have the same urgent pointer.
        length = min(available, usable, limit if c.sender.urgent_end <= start else mss)
        if length <= 0:
            return
        in_flight = pipe(c)
        room = congestion.window - in_flight
        if room < length:
            c.losses.window_was_full = True
            length = room // mss * mss if room >= mss else 0
            if length == 0:
                if in_flight > 0:
                    return
                length = min(available, usable, mss)
        if length < available and length % mss != 0:
            # A part of the queue that is not a multiple of full segments: the window ends here. Sending small pieces
            # again and again would be the silly window syndrome (RFC 9293, section 3.8.6.2.1).
            if length > mss:
                length -= length % mss
            elif length < mss and 2 * length < c.sender.largest_window and not c.sender.is_pushing:
                return
        elif length == available and length % mss != 0 and not _may_send_tail(c):
            if length < mss:
                return
            length -= length % mss
        # A whole chunk needs no copy: prefer it to cutting at multiples of the segment size.
        chunk = queue.chunk_at(start)
        size = chunk.end_sequence() - start
        if not chunk.is_sent and chunk.sequence == start and mss <= size < length:
            length = size
        end = start + length
        if end == queue.end and c.sender.fin_queued and end < c.sender.una + c.sender.wnd:
            end += 1
        if c.sender.timed_sequence == 0:
            c.sender.timed_sequence = end
            c.sender.timed_at_ns = now_ns
        c.sender.nxt = end
        try:
            _send_range(c, start, end, now_ns, again=False)
        except MemoryError:
            c.sender.nxt = start
            c.sender.timed_sequence = 0
            raise
        if length % mss != 0:
            c.sender.small_end = start + length
        spend(_PACKET_COST)


def _may_send_tail(c: Connection) -> bool:
    """Whether the last, short segment of the queue may go: corks, and Nagle's algorithm (RFC 9293, section 3.7.4) in
    Minshall's form, as on Linux: full segments in flight hold nothing back, only another short one does.
    """
    if c.sender.is_pushing or c.sender.fin_queued or c.sender.urgent_end > c.sender.nxt:
        return True
    if c.sender.is_corked or c.sender.more_follows:
        return False
    return c.sender.no_delay or c.sender.small_end <= c.sender.una


def push_tail(c: Connection, now_ns: int) -> None:
    """Send the data that Nagle's algorithm or a cork holds back, as far as the window allows."""
    c.sender.is_pushing = True
    transmit(c, now_ns)
    c.sender.is_pushing = False


# ---- Timers ---------------------------------------------------------------------------------------------------


def arm_retransmission(c: Connection, now_ns: int) -> None:
    """Data are in flight: wait for their acknowledgment. The last packets of a flight are probed for earlier than
    the timeout, because no duplicate acknowledgments can reveal their loss (RFC 8985, section 7).
    """
    c.timers.timeout = Timeout.RETRANSMIT
    c.timers.timeout_ns = now_ns + c.round_trip.backed_off_ns()
    _prefer_tail_probe(c, now_ns)


def _prefer_tail_probe(c: Connection, now_ns: int) -> None:
    """Probe for the loss of the last data sent, if that is due before the timer expires; once per flight."""
    smoothed = c.round_trip.smoothed_ns
    if (
        c.agreed.sack
        and c.losses.recovery == Recovery.OPEN
        and smoothed != 0
        and c.timers.retries == 0
        and c.losses.tail_probe_end == 0
        and c.scoreboard.bytes == 0
        and c.can_send()
    ):
        due_ns = now_ns + 2 * smoothed + TAIL_LOSS_LEAST_NS
        if c.flight() <= c.sizes.mss:
            due_ns += 200 * NS_PER_MS  # a delayed acknowledgment may be in flight
        # If the retransmission would come first, the probe takes its place, and it follows (RFC 8985, section 7.2).
        c.timers.timeout = Timeout.TAIL_LOSS
        c.timers.timeout_ns = min(c.timers.timeout_ns, due_ns)


def arm_probe(c: Connection, now_ns: int) -> None:
    """Nothing is in flight, but there are data to send: the peer's next update may be lost, so probe it, less and
    less often as long as its window stays closed, even if it answers (RFC 9293, section 3.8.6.1).
    """
    c.timers.timeout = Timeout.PROBE
    c.timers.timeout_ns = now_ns + c.round_trip.backed_off_ns()


# ---- After taking a segment -----------------------------------------------------------------------------------


def acknowledge_if_due(c: Connection, now_ns: int) -> None:
    """Acknowledge at once, or wait for data to carry it, or for the timer (RFC 5681, section 4.2)."""
    if c.receiver.ack_now:
        send_ack(c, now_ns)
        return
    if not c.receiver.ack_wanted:
        return
    waiting = c.receiver.nxt - c.receiver.acknowledged_to
    if waiting > c.receiver.mss and c.receiver.edge - c.receiver.nxt < c.window_limit() - c.receive.bytes + waiting:
        send_ack(c, now_ns)
    elif (c.receiver.quick_acks > 0 and not c.receiver.is_ping_pong) or len(c.receive.pieces) > 0:
        if c.receiver.quick_acks > 0:
            c.receiver.quick_acks -= 1
        send_ack(c, now_ns)
    elif c.timers.delayed_ack_ns == FOREVER:
        c.timers.delayed_ack_ns = now_ns + 40 * NS_PER_MS


def after_read(c: Connection, now_ns: int) -> None:
    """The program has read: grow the window, and notify the peer if it can use that."""
    _grow_window(c, now_ns)
    if c.receiver.fin_received or not c.can_receive():
        return
    if c.receiver.ack_wanted and c.receiver.nxt - c.receiver.acknowledged_to > c.receiver.mss:
        send_ack(c, now_ns)
        return
    limit = c.window_limit()
    offered = max(0, c.receiver.edge - c.receiver.nxt)
    gain = limit - c.receive.bytes - offered
    if gain >= min(2 * c.receiver.mss, limit >> 1) and 2 * offered <= limit:
        send_ack(c, now_ns)


def _grow_window(c: Connection, now_ns: int) -> None:
    """A program that reads half a window or more in a round trip gets a window of twice that."""
    if c.receiver.buffer_fixed or MEMORY.is_under_pressure:
        return
    period = max(c.round_trip.smoothed_ns, NS_PER_MS >> 2)
    if now_ns - c.receiver.growth_start_ns < period:
        return
    read = c.receiver.copied - c.receiver.growth_copied
    c.receiver.growth_start_ns = now_ns
    c.receiver.growth_copied = c.receiver.copied
    if 2 * read >= c.window_limit() and c.receiver.buffer < SETTINGS.receive_limit:
        c.receiver.buffer = min(max(4 * read, c.receiver.buffer), 2 * c.receiver.buffer, SETTINGS.receive_limit)
