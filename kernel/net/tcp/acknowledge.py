"""The effects of an acknowledgment: data delivered, losses found and repaired, windows moved, round trips measured.

Source: RFC 9293 section 3.10.7.4; RFC 5681 (fast retransmit), RFC 6582 (NewReno), RFC 6675 (SACK), RFC 3042 (limited
transmit: it follows from counting duplicate acknowledgments as packets that have left the network).
"""

from kernel.net.tcp import congestion_marks, output
from kernel.net.tcp.connection import EVENT_WRITABLE, FOREVER, NS_PER_MS, Connection
from kernel.net.tcp.header import ECE, Segment
from kernel.net.tcp.memory import MEMORY
from kernel.net.tcp.parts import Recovery, Timeout
from kernel.net.tcp.scoreboard import DUPLICATE_THRESHOLD
from kernel.net.tcp.sequence import extend
from kernel.net.tcp.tcp_settings import SETTINGS


def process(c: Connection, segment: Segment, sequence: int, payload: int, now_ns: int) -> None:
    """Take the acknowledgment of a segment; its number is at most snd_nxt. `payload` counts data, SYN and FIN."""
    number = extend(segment.acknowledgment, c.sender.una)
    if number < c.sender.una:
        if c.agreed.sack and segment.sack_count > 0:
            _take_sack(c, segment)
        return
    c.timers.probes = 0
    c.soft_error = 0
    window_moved = _take_window(c, segment, sequence, number)
    news = c.agreed.sack and segment.sack_count > 0 and _take_sack(c, segment)
    if number > c.sender.una:
        _advance(c, segment, number, now_ns)
    elif c.sender.nxt > c.sender.una and payload == 0 and (news or not window_moved):
        if news or not c.agreed.sack:
            c.losses.duplicate_acks += 1
    if c.agreed.is_ecn and segment.flags & ECE != 0:
        congestion_marks.take_echo(c)
    if c.losses.recovery == Recovery.OPEN:
        if c.losses.duplicate_acks > 0 and c.sender.nxt > c.sender.una:
            _look_for_loss(c, now_ns)
    elif c.losses.recovery == Recovery.FAST and c.agreed.sack:
        c.losses.lost_edge = max(c.losses.lost_edge, c.scoreboard.lost_edge(c.sizes.mss))
    output.transmit(c, now_ns)


def _take_window(c: Connection, segment: Segment, sequence: int, number: int) -> bool:
    """Whether the offered window changed. Old segments must not change it: one with the numbers of the last one is the
    older of the two if its window is smaller, but not closed, as on Linux.
    """
    window = segment.window << c.agreed.send_scale
    if number <= c.sender.una and sequence <= c.sender.wl1:
        if sequence < c.sender.wl1 or (window <= c.sender.wnd and window != 0):
            return False
    changed = window != c.sender.wnd
    c.sender.wl1 = sequence
    c.sender.wnd = window
    c.saw_window(window)
    if changed and c.timers.timeout == Timeout.PROBE and window > 0:
        c.timers.timeout = Timeout.NONE  # whatever is still held back arms it again
        c.timers.timeout_ns = FOREVER
        c.round_trip.backoff = 0
    return changed


def _take_sack(c: Connection, segment: Segment) -> bool:
    """Mark the ranges that the peer holds; returns whether any of them is new."""
    news = False
    for i in range(segment.sack_count):
        left = extend(segment.sack_left[i], c.sender.una)
        right = extend(segment.sack_right[i], c.sender.una)
        if left < c.sender.una or right <= left or right > c.sender.nxt:
            continue  # a duplicate that the peer reports (RFC 2883), or nonsense
        if c.scoreboard.add(left, right):
            news = True
    return news


def _advance(c: Connection, segment: Segment, number: int, now_ns: int) -> None:
    """New data was acknowledged."""
    count = number - c.sender.una
    _measure(c, segment, number, now_ns)
    c.counters.bytes_acked += count
    c.sender.una = number
    if c.losses.tail_probe_end != 0 and number >= c.losses.tail_probe_end:
        c.losses.tail_probe_end = 0
    c.queue.drop_before(min(number, c.queue.end))
    if c.scoreboard.left:
        c.scoreboard.acknowledged(number)
    c.timers.retries = 0
    round_trip = c.round_trip.smoothed_ns
    if c.losses.recovery == Recovery.OPEN:
        c.losses.duplicate_acks = 0
        if c.losses.window_was_full:
            c.congestion.acknowledged(count, now_ns, round_trip)
    else:
        _advance_recovery(c, count, now_ns)
    if not c.sender.buffer_fixed and 2 * c.congestion.window > c.sender.buffer and not MEMORY.is_under_pressure:
        c.sender.buffer = min(2 * c.congestion.window, SETTINGS.send_limit)
    if c.sender.una == c.sender.nxt:
        c.losses.window_was_full = False
        c.timers.timeout = Timeout.NONE
        c.timers.timeout_ns = FOREVER
    else:
        output.arm_retransmission(c, now_ns)
    if c.is_writable():
        c.events |= EVENT_WRITABLE


def _measure(c: Connection, segment: Segment, number: int, now_ns: int) -> None:
    if c.sender.timed_sequence != 0:
        if number >= c.sender.timed_sequence:
            c.sender.timed_sequence = 0
            c.round_trip.measured(now_ns - c.sender.timed_at_ns)
    elif (
        c.agreed.timestamps
        and segment.has_timestamp
        and (c.round_trip.backoff > 0 or c.losses.recovery != Recovery.OPEN)
    ):
        # An echoed timestamp identifies the acknowledged transmission, so it may be used even now (RFC 7323, 4.1).
        elapsed_ms = (c.timestamp(now_ns) - segment.timestamp_echo) & 0xFFFF_FFFF
        if segment.timestamp_echo != 0 and elapsed_ms < 120_000:
            c.round_trip.measured(max(1, elapsed_ms) * NS_PER_MS)
    else:
        c.round_trip.backoff = 0


def _advance_recovery(c: Connection, count: int, now_ns: int) -> None:
    if c.sender.una >= c.losses.recovery_point:
        if c.losses.recovery == Recovery.FAST:
            c.congestion.window = min(c.congestion.threshold, max(output.pipe(c), c.sizes.mss) + c.sizes.mss)
            c.congestion.window = max(c.congestion.window, 2 * c.sizes.mss)
        c.losses.recovery = Recovery.OPEN
        c.losses.duplicate_acks = 0
        c.losses.lost_edge = 0
        c.congestion.window = max(c.congestion.window, min(c.congestion.threshold, 2 * c.sizes.mss))
        return
    if c.losses.recovery == Recovery.TIMEOUT:
        c.congestion.acknowledged(count, now_ns, c.round_trip.smoothed_ns)
        return
    if not c.agreed.sack:
        # A partial acknowledgment: the next segment was lost too, and others have arrived (RFC 6582, section 3.2).
        c.losses.duplicate_acks = max(0, c.losses.duplicate_acks - max(0, count // c.sizes.mss - 1))
        c.losses.lost_edge = min(c.sender.una + c.sizes.mss, c.losses.recovery_point)


def _look_for_loss(c: Connection, now_ns: int) -> None:
    """Enter fast recovery if something is lost."""
    edge = c.scoreboard.lost_edge(c.sizes.mss) if c.agreed.sack else 0
    if (
        c.losses.tail_probe_end != 0
        and len(c.scoreboard.left) > 0
        and c.scoreboard.highest() >= c.losses.tail_probe_end
    ):
        # The probe, sent long after the data below it, has arrived first.
        edge = c.scoreboard.left[len(c.scoreboard.left) - 1]
    if c.losses.duplicate_acks < DUPLICATE_THRESHOLD and edge <= c.sender.una:
        return
    event = c.network.tcp_events.sack_recoveries if c.agreed.sack else c.network.tcp_events.reno_recoveries
    event.count += 1
    c.congestion.lost(c.flight())
    c.congestion.window = c.congestion.threshold
    congestion_marks.slowed_down(c)
    c.losses.recovery = Recovery.FAST
    c.losses.recovery_point = c.sender.nxt
    c.losses.tail_probe_end = 0
    c.losses.retransmitted_to = c.sender.una
    c.losses.lost_edge = max(edge, min(c.sender.una + c.sizes.mss, c.sender.nxt))
    # The first segment is sent again whatever the window says.
    output.retransmit_first(c, now_ns)
    output.arm_retransmission(c, now_ns)
