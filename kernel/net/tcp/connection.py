"""A connection: everything that is known of it (the transmission control block of RFC 9293, section 3.3.1).

The modules around this one are what happens to a connection: `opening.py`, `input.py`, `acknowledge.py`, `output.py`,
`timers.py`, `closing.py`. Sequence numbers are unwrapped (sequence.py), times are nanoseconds of one clock, a deadline
that is not set is FOREVER. Nothing here sleeps. Whatever raises MemoryError leaves a connection that goes on as if a
packet had been lost.

Invariants: snd_una <= snd_nxt <= send_end(); the queue starts at snd_una once the SYN is acknowledged.
"""

from enum import IntEnum
from typing import Final

from kernel.lang import final
from kernel.net.link.packet import Packet
from kernel.net.tcp.cubic import Congestion
from kernel.net.tcp.header import TIMESTAMP_SIZE
from kernel.net.tcp.receive_queue import ReceiveQueue
from kernel.net.tcp.round_trip import RoundTrip
from kernel.net.tcp.scoreboard import Scoreboard
from kernel.net.tcp.send_queue import SendQueue
from kernel.net.tcp.sequence import WRAP
from kernel.net.tcp.settings import NS_PER_SECOND, SETTINGS

FOREVER: Final = (1 << 63) - 1
NS_PER_MS: Final = 1_000_000

DEFAULT_MSS: Final = 536  # of a peer that tells none (RFC 9293, section 3.7.1)
DEFAULT_MSS6: Final = 1220  # by IPv6
LARGE_MTU: Final = 16_384
LEAST_MSS: Final = 48  # smaller ones are taken as this: headers would be most of the traffic
QUICK_ACKS: Final = 16  # at the start of a connection, acknowledgments are not delayed
DELAYED_ACK_NS: Final = 40 * NS_PER_MS

# What happened and whoever waits should know: `Connection.events`.
EVENT_READABLE: Final = 1
EVENT_WRITABLE: Final = 2
EVENT_STATE: Final = 4
EVENT_URGENT: Final = 8
EVENT_ESTABLISHED: Final = 16  # a passive connection may be accepted
EVENT_CLOSED: Final = 32  # the state is CLOSED now: forget the connection


class State(IntEnum):
    """The states of RFC 9293, numbered as in /proc/net/tcp. LISTEN and TIME_WAIT belong to other objects."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    FIN_WAIT_1 = 4
    FIN_WAIT_2 = 5
    TIME_WAIT = 6
    CLOSED = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11


class Recovery(IntEnum):
    """What losses are being repaired; numbered as `tcpi_ca_state`."""

    OPEN = 0
    FAST = 3  # found by duplicate acknowledgments or SACK
    TIMEOUT = 4


class Timeout(IntEnum):
    """What the retransmission timer is armed for."""

    NONE = 0
    RETRANSMIT = 1
    PROBE = 2  # the window is closed, or a short segment is held back
    TAIL_LOSS = 3


class Wire:
    """Where segments leave. Base class: the stack's goes to IP, that of tests to a simulation."""

    def send(self, connection: "Connection", packet: Packet) -> None:
        """Send a segment: header and payload, without checksum. One that cannot be sent is lost."""

    def update_path(self, connection: "Connection") -> None:
        """Timeouts happened: the route may have changed."""


@final
class Connection:
    """One connection's state."""

    def __init__(self, wire: Wire, local: bytes, local_port: int, remote: bytes, remote_port: int) -> None:
        self.wire: Wire = wire
        self.local: bytes = local
        self.local_port: int = local_port
        self.remote: bytes = remote
        self.remote_port: int = remote_port
        self.state: State = State.CLOSED
        self.events: int = 0
        self.error: int = 0  # why it ended: an errno
        self.soft_error: int = 0  # what ICMP said: the reason, if the connection then times out

        # Sending.
        self.initial_send: int = WRAP
        self.snd_una: int = WRAP
        self.snd_nxt: int = WRAP
        self.snd_wnd: int = 0
        self.snd_wl1: int = 0
        self.largest_window: int = 0  # that the peer ever offered
        self.scaling: bool = False
        self.send_scale: int = 0
        self.queue: SendQueue = SendQueue(WRAP)
        self.fin_queued: bool = False
        self.urgent_end: int = 0  # unwrapped number behind the urgent byte; 0: none
        self.small_end: int = 0  # behind the last segment that was shorter than a full one
        self.no_delay: bool = False
        self.is_corked: bool = False
        self.more_follows: bool = False  # the last write said MSG_MORE
        self.is_pushing: bool = False  # a timer sends what is held back
        self.send_buffer: int = SETTINGS.send_default
        self.send_buffer_fixed: bool = False

        # Segment sizes.
        self.path_mtu: int = 1500
        self.network_header: int = 20
        self.peer_mss: int = DEFAULT_MSS
        self.mss_limit: int = 0  # TCP_MAXSEG
        self.mss: int = DEFAULT_MSS  # payload of a full segment
        self.packet_limit: int = 0  # payload of what goes to the wire in one piece; 0: a full segment
        self.advertised_mss: int = 1460

        # Losses.
        self.is_thin_linear: bool = False  # TCP_THIN_LINEAR_TIMEOUTS
        self.congestion: Congestion = Congestion(DEFAULT_MSS, True)
        self.scoreboard: Scoreboard = Scoreboard()
        self.recovery: Recovery = Recovery.OPEN
        self.recovery_point: int = 0  # repaired once this is acknowledged
        self.retransmitted_to: int = 0  # HighRxt: in this recovery, gaps below it were sent again
        self.lost_edge: int = 0  # below it, what the peer does not hold is lost
        self.tail_probe_end: int = 0  # behind the last byte when a tail loss probe was sent; 0: none was
        self.duplicate_acks: int = 0
        self.window_was_full: bool = False  # the congestion window stopped us
        self.round_trip: RoundTrip = RoundTrip()
        self.timed_sequence: int = 0  # the acknowledgment that ends a measurement; 0: none is going on
        self.timed_at_ns: int = 0

        # Receiving.
        self.initial_receive: int = WRAP
        self.rcv_nxt: int = WRAP
        self.receive_edge: int = WRAP  # the right edge of the offered window; never moves back
        self.receive_scale: int = 0
        self.receive: ReceiveQueue = ReceiveQueue(WRAP)
        self.receive_buffer: int = SETTINGS.receive_default
        self.receive_buffer_fixed: bool = False
        self.window_clamp: int = 1 << 30
        self.copied: int = WRAP  # the first byte that the program has not read
        self.fin_received: bool = False
        self.fin_sequence: int = 0  # of a FIN that lies beyond a gap; 0: none
        self.receive_mss: int = DEFAULT_MSS  # how large full segments of the peer seem to be
        self.acknowledged_to: int = WRAP  # RCV.NXT as it was sent last
        self.quick_acks: int = QUICK_ACKS
        self.is_ping_pong: bool = False  # the program answers: acknowledgments can wait for that
        self.ack_now: bool = False
        self.ack_wanted: bool = False
        self.last_data_ns: int = 0
        self.duplicate_left: int = 0  # a duplicate that came, to be told in the next SACK (RFC 2883)
        self.duplicate_right: int = 0
        self.growth_start_ns: int = 0  # for growing the window: how much is read in a round trip
        self.growth_copied: int = WRAP
        self.urgent_sequence: int = 0  # of the urgent byte; 0: none
        self.urgent_taken: bool = False  # the program has read it with MSG_OOB
        self.urgent_inline: bool = False

        # Options of the connection.
        self.timestamps: bool = False
        self.timestamp_offset: int = 0
        self.timestamp_recent: int = 0
        self.timestamp_recent_ns: int = 0
        self.sack: bool = False
        self.last_challenge_ns: int = -NS_PER_SECOND

        # Time.
        self.timeout: Timeout = Timeout.NONE
        self.timeout_ns: int = FOREVER
        self.delayed_ack_ns: int = FOREVER
        self.keepalive_ns: int = FOREVER  # also how long FIN_WAIT_2 may last
        self.last_sent_ns: int = 0  # data
        self.last_received_ns: int = 0
        self.last_ack_ns: int = 0
        self.retries: int = 0  # expirations in a row
        self.first_retry_ns: int = 0
        self.probes: int = 0  # of a closed window, unanswered
        self.keepalive_probes_sent: int = 0
        self.keeps_alive: bool = False
        self.keepalive_idle_ns: int = SETTINGS.keepalive_time.value * NS_PER_SECOND
        self.keepalive_interval_ns: int = SETTINGS.keepalive_interval.value * NS_PER_SECOND
        self.keepalive_probes: int = SETTINGS.keepalive_probes.value
        self.user_timeout_ns: int = 0
        self.syn_retries: int = SETTINGS.syn_retries.value
        self.fin_wait_ns: int = SETTINGS.fin_timeout.value * NS_PER_SECOND

        # Ends.
        self.is_passive: bool = False  # a listener made it
        self.is_orphan: bool = False  # no program has it any more
        self.receive_shut: bool = False  # the program reads no more
        self.is_counted_orphan: bool = False  # memory.py counts it
        self.charged: int = 0  # bytes that memory.py counts for the queues
        self.rests_in_time_wait: bool = False  # CLOSED, and the stack keeps the pair of ports for a while

        # Counters for TCP_INFO.
        # Explicit congestion notification (RFC 3168).
        self.is_ecn: bool = False  # both sides agreed to it
        self.owes_echo: bool = False  # a mark came: every segment says so, until the peer has slowed down
        self.owes_reduced: bool = False  # we have slowed down: the next new data says so
        self.echo_point: int = 0  # the next echo counts once everything before this is acknowledged
        self.total_retransmitted: int = 0
        self.bytes_acked: int = 0
        self.bytes_received: int = 0
        self.bytes_sent: int = 0
        self.bytes_retransmitted: int = 0
        self.segments_in: int = 0
        self.segments_out: int = 0
        self.data_segments_in: int = 0
        self.data_segments_out: int = 0
        self.started_ns: int = 0

    # ---- What follows from the state --------------------------------------------------------------------------

    def send_end(self) -> int:
        """Behind everything that is to be sent, the FIN too."""
        return self.queue.end + 1 if self.fin_queued else self.queue.end

    def flight(self) -> int:
        """Bytes that were sent and are not acknowledged."""
        return self.snd_nxt - self.snd_una

    def can_receive(self) -> bool:
        """Whether the peer may still send data."""
        state = self.state
        return state == State.ESTABLISHED or state == State.FIN_WAIT_1 or state == State.FIN_WAIT_2

    def can_send(self) -> bool:
        """Whether data of the queue may go out."""
        state = self.state
        return (
            state == State.ESTABLISHED
            or state == State.CLOSE_WAIT
            or state == State.FIN_WAIT_1
            or state == State.LAST_ACK
            or state == State.CLOSING
        )

    def is_synchronized(self) -> bool:
        """Whether both sides have agreed on sequence numbers."""
        state = self.state
        return state != State.CLOSED and state != State.SYN_SENT and state != State.SYN_RECEIVED

    def timestamp(self, now_ns: int) -> int:
        """The value of our timestamp option: milliseconds."""
        return (now_ns // NS_PER_MS + self.timestamp_offset) & 0xFFFF_FFFF

    def next_deadline(self) -> int:
        """When `timers.expire` must be called."""
        return min(self.timeout_ns, self.delayed_ack_ns, self.keepalive_ns)

    def fix_segment_size(self) -> None:
        """Compute `mss` from the path and the peer's word."""
        size = min(self.path_mtu - self.network_header - 20, self.peer_mss)
        if self.mss_limit != 0:
            size = min(size, self.mss_limit)
        # A peer with a small window gets it in two parts, or it would delay each acknowledgment. Loopback's segments
        # are as large as windows, and its receivers read at once.
        window = self.largest_window
        if window > 0 and self.path_mtu < LARGE_MTU:
            size = min(size, window >> 1 if window > DEFAULT_MSS else window)
        size = max(size, LEAST_MSS)
        if self.timestamps:
            size -= TIMESTAMP_SIZE
        self.mss = size
        self.congestion.set_mss(size)

    def saw_window(self, window: int) -> None:
        """The peer offers so many bytes: if that is more than ever before, segments may be larger."""
        before = self.largest_window
        if window > before:
            self.largest_window = window
            if before >> 1 <= self.mss + TIMESTAMP_SIZE:
                self.fix_segment_size()

    def window_limit(self) -> int:
        """How many unread bytes there may be: half of the buffer, since headers and unused room count too."""
        return min(self.receive_buffer >> 1, self.window_clamp)

    def send_room(self) -> int:
        """How many bytes a write may add."""
        return self.send_buffer - self.queue.memory

    def is_writable(self) -> bool:
        """Whether poll says so: a third of the buffer is free."""
        return 2 * (self.send_buffer - self.queue.memory) >= self.queue.memory

    def readable_bytes(self) -> int:
        """FIONREAD: unread bytes up to the urgent one, if that has come."""
        place = self.urgent_sequence
        if self.urgent_inline or place == 0 or place < self.copied or place >= self.receive.next_sequence:
            return self.receive.bytes
        return place - self.copied

    def is_readable(self, low_water: int) -> bool:
        """Whether poll says so: a read that stands on the urgent mark skips a byte."""
        if self.urgent_sequence != 0 and not self.urgent_inline and self.urgent_sequence == self.copied:
            low_water += 1
        return self.receive.bytes >= low_water
