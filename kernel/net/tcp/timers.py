"""Actions when time passes: retransmission, probes, delayed acknowledgments, keep-alive, FIN_WAIT_2.

Source: RFC 6298 section 5, RFC 9293 sections 3.8.3 to 3.8.6, RFC 8985 section 7 (tail loss probe), RFC 5482 (user
timeout).
"""

from typing import Final

from kernel.lang import ETIMEDOUT
from kernel.net.tcp import congestion_marks, output
from kernel.net.tcp.closing import finish, make_room
from kernel.net.tcp.connection import FOREVER, Connection, State
from kernel.net.tcp.memory import MEMORY
from kernel.net.tcp.parts import Recovery, Timeout
from kernel.net.tcp.round_trip import LARGEST_TIMEOUT_NS, LEAST_TIMEOUT_NS
from kernel.net.tcp.tcp_settings import SETTINGS

_LINEAR_RETRIES: Final = 6
_DOUBLINGS: Final = 9  # of the least timeout until the largest is reached
_THIN_SEGMENTS: Final = 4
_DOUBTFUL: Final = 4  # timeouts in a row, three seconds at least: the peer may have vanished


def expire(c: Connection, now_ns: int) -> None:
    """Do everything that is due; call it when `next_deadline()` has come."""
    if c.timers.delayed_ack_ns <= now_ns:
        c.timers.delayed_ack_ns = FOREVER
        c.receiver.is_ping_pong = False
        c.network.tcp_events.delayed_acks.count += 1
        output.send_ack(c, now_ns)
    if c.timers.resume_ns <= now_ns:
        c.timers.resume_ns = FOREVER
        output.transmit(c, now_ns)
    if c.timers.timeout_ns <= now_ns:
        kind = c.timers.timeout
        c.timers.timeout = Timeout.NONE
        c.timers.timeout_ns = FOREVER
        if kind == Timeout.RETRANSMIT:
            _retransmission_expired(c, now_ns)
        elif kind == Timeout.PROBE:
            _probe_expired(c, now_ns)
        elif kind == Timeout.TAIL_LOSS:
            _tail_loss_expired(c, now_ns)
    if c.timers.keepalive_ns <= now_ns and c.state != State.CLOSED:
        c.timers.keepalive_ns = FOREVER
        _keepalive_expired(c, now_ns)


def _give_up(c: Connection) -> None:
    """The peer is gone, so nothing is sent. An earlier ICMP error is the better reason."""
    c.network.tcp_events.aborts_on_timeout.count += 1
    finish(c, c.soft_error if c.soft_error != 0 else ETIMEDOUT)


def _is_in_vain(c: Connection, now_ns: int) -> bool:
    """Whether unacknowledged data have been retransmitted for long enough. A SYN is repeated a number of times. Data
    are repeated for the least time that this number of attempts can take, however long the connection's own timeouts
    are, as on Linux.
    """
    elapsed_ns = 0 if c.timers.retries == 0 else now_ns - c.timers.first_retry_ns
    if c.timers.user_timeout_ns > 0 and elapsed_ns >= c.timers.user_timeout_ns:
        return True
    if c.state == State.SYN_SENT:
        return c.timers.retries >= c.timers.syn_retries
    if c.state == State.SYN_RECEIVED:
        return c.timers.retries >= SETTINGS.synack_retries.of(c.network)
    return c.timers.user_timeout_ns == 0 and elapsed_ns >= _shortest_ns(_tries(c))


def _tries(c: Connection) -> int:
    """How often data, or a probe, are sent again. An orphan whose timeout can no longer grow is given up."""
    if not c.is_orphan:
        return SETTINGS.retries.of(c.network)
    is_alive = c.round_trip.backed_off_ns() < LARGEST_TIMEOUT_NS
    return SETTINGS.tries_of_orphans(c.network, is_alive, c.soft_error != 0)


def _shortest_ns(tries: int) -> int:
    """The time that this many repetitions take with the least timeout: 102 s for 8, 924 s for 15."""
    doublings = min(tries, _DOUBLINGS)
    return ((2 << doublings) - 1) * LEAST_TIMEOUT_NS + (tries - doublings) * LARGEST_TIMEOUT_NS


def _must_make_room(c: Connection) -> bool:
    """Whether an orphan must end because others need its memory; see memory.py."""
    if not c.is_orphan:
        return False
    return MEMORY.is_exhausted() or (c.round_trip.backoff >= _DOUBTFUL and MEMORY.is_scarce())


def _retransmission_expired(c: Connection, now_ns: int) -> None:
    """All data in flight count as lost: slow start from one segment, the first missing one first."""
    if c.sender.una == c.sender.nxt:
        return
    if _must_make_room(c):
        make_room(c, now_ns)
        return
    if _is_in_vain(c, now_ns):
        _give_up(c)
        return
    if c.timers.retries == 0:
        c.timers.first_retry_ns = now_ns
    c.network.tcp_events.timeouts.count += 1
    c.timers.retries += 1
    c.round_trip.backoff += 1
    if c.timers.retries >= 3:
        c.wire.update_path(c)
    c.sender.timed_sequence = 0
    if c.state == State.SYN_SENT or c.state == State.SYN_RECEIVED:
        c.network.tcp.retransmitted_segments += 1
        c.counters.retransmitted += 1
        output.send_syn(c, now_ns)
        output.arm_retransmission(c, now_ns)
        return
    board = c.scoreboard
    if len(board.left) > 0 and board.left[0] <= c.sender.una:
        board.clear()  # the peer may have dropped what it reported (RFC 2018, section 8)
    if c.losses.is_thin_linear and c.timers.retries <= _LINEAR_RETRIES and c.flight() < _THIN_SEGMENTS * c.sizes.mss:
        c.round_trip.backoff = 0  # too little is in flight for fast retransmission: only the timer can help
    c.congestion.timed_out(c.flight(), c.losses.recovery != Recovery.TIMEOUT)
    congestion_marks.slowed_down(c)
    c.losses.recovery = Recovery.TIMEOUT
    c.losses.recovery_point = c.sender.nxt
    c.losses.duplicate_acks = 0
    c.losses.tail_probe_end = 0
    c.losses.retransmitted_to = c.sender.una
    c.losses.lost_edge = c.sender.nxt
    output.retransmit_first(c, now_ns)
    output.arm_retransmission(c, now_ns)


def _tail_loss_expired(c: Connection, now_ns: int) -> None:
    """No acknowledgment for a while: new data, or the last segment again, makes the peer report what it has."""
    if c.sender.una == c.sender.nxt:
        return
    if c.losses.recovery == Recovery.OPEN:
        c.network.tcp_events.loss_probes.count += 1
        output.send_tail_probe(c, now_ns)
    c.timers.timeout = Timeout.RETRANSMIT
    c.timers.timeout_ns = now_ns + c.round_trip.backed_off_ns()


def _probe_expired(c: Connection, now_ns: int) -> None:
    """The peer's window is closed, or a short segment was held back for long enough."""
    if c.sender.nxt > c.sender.una:
        output.arm_retransmission(c, now_ns)
        return
    if c.sender.nxt >= c.send_end():
        return
    if c.sender.wnd > 0:
        output.push_tail(c, now_ns)
        if c.sender.nxt > c.sender.una or c.timers.resume_ns != FOREVER:
            return
    if _must_make_room(c):
        make_room(c, now_ns)
        return
    if c.timers.probes == 0:
        c.timers.first_retry_ns = now_ns
    is_over = (
        c.timers.user_timeout_ns > 0
        and c.timers.probes > 0
        and now_ns - c.timers.first_retry_ns >= c.timers.user_timeout_ns
    )
    if is_over or c.timers.probes >= _tries(c):
        _give_up(c)
        return
    c.timers.probes += 1
    c.round_trip.backoff += 1
    output.send_probe(c, now_ns)
    output.arm_probe(c, now_ns)


def _keepalive_expired(c: Connection, now_ns: int) -> None:
    if c.is_orphan:
        if c.state == State.FIN_WAIT_2:
            finish(c, 0)  # the peer never closed
        return
    if not c.timers.keeps_alive or not c.is_synchronized():
        return
    if c.sender.nxt > c.sender.una or c.sender.nxt < c.send_end():
        c.timers.keepalive_ns = now_ns + c.timers.keepalive_idle_ns  # data in flight are already a probe
        return
    idle = now_ns - c.timers.last_received_ns
    if idle < c.timers.keepalive_idle_ns:
        c.timers.keepalive_ns = c.timers.last_received_ns + c.timers.keepalive_idle_ns
        return
    sent = c.timers.keepalive_probes_sent
    if sent >= c.timers.keepalive_probes or (
        c.timers.user_timeout_ns > 0 and sent > 0 and idle >= c.timers.user_timeout_ns
    ):
        c.network.tcp_events.aborts_on_timeout.count += 1
        output.send_reset(c, now_ns)
        finish(c, ETIMEDOUT)
        return
    c.network.tcp_events.keepalives.count += 1
    c.timers.keepalive_probes_sent += 1
    output.send_probe(c, now_ns)
    c.timers.keepalive_ns = now_ns + c.timers.keepalive_interval_ns
