"""The parts of a connection: sender, receiver, segment sizes, losses, timers, and what both sides agreed on.

They are structs inside the connection, which stays one object, and a field costs what it cost without them.
Names are those of RFC 9293, section 3.3.1: `sender.una` is SND.UNA, `receiver.nxt` is RCV.NXT. Sequence numbers are
unwrapped (sequence.py), times are nanoseconds of one clock, sizes are bytes.
"""

from enum import IntEnum

from kernel.lang import final, struct


class Recovery(IntEnum):
    """The kind of loss being repaired; numbered as `tcpi_ca_state`."""

    OPEN = 0
    FAST = 3  # found by duplicate acknowledgments or SACK
    TIMEOUT = 4


class Timeout(IntEnum):
    """The purpose for which the retransmission timer is armed."""

    NONE = 0
    RETRANSMIT = 1
    PROBE = 2  # the window is closed, or a short segment is held back
    TAIL_LOSS = 3


@struct
class Sender:
    """What was sent, and what may be. The bytes are in the connection's `queue`."""

    initial: int  # the number of our SYN
    una: int  # the first unacknowledged one
    nxt: int
    wnd: int  # that the peer offers
    wl1: int  # the segment that offered it
    largest_window: int  # that the peer ever offered
    fin_queued: bool
    urgent_end: int  # the number after the urgent byte; 0: none
    small_end: int  # after the last segment shorter than a full one
    no_delay: bool  # TCP_NODELAY
    is_corked: bool  # TCP_CORK
    more_follows: bool  # the last write had MSG_MORE
    is_pushing: bool  # a timer sends the data that are held back
    buffer: int
    buffer_fixed: bool  # by SO_SNDBUF
    timed_sequence: int  # the acknowledgment that ends a measurement; 0: none is running
    timed_at_ns: int


@struct
class SegmentSizes:
    """The sizes of segments."""

    path_mtu: int
    network_header: int
    peer_mss: int
    mss_limit: int  # TCP_MAXSEG
    mss: int  # payload of a full segment
    packet_limit: int  # payload of a packet sent to the wire in one piece; 0: a full segment
    advertised_mss: int


@struct
class Losses:
    """What was lost of the flight, and how far the repair is."""

    recovery: Recovery
    recovery_point: int  # repaired once this is acknowledged
    retransmitted_to: int  # HighRxt: in this recovery, gaps below it were sent again
    lost_edge: int  # data below it that the peer does not hold are lost
    tail_probe_end: int  # the number after the last byte when a tail loss probe was sent; 0: none was
    duplicate_acks: int
    window_was_full: bool  # the congestion window stopped us
    is_thin_linear: bool  # TCP_THIN_LINEAR_TIMEOUTS


@struct
class Receiver:
    """What came, what was acknowledged, and what may come. The bytes are in the connection's `receive`."""

    initial: int  # the number of the peer's SYN
    nxt: int
    edge: int  # the right edge of the offered window; never moves back
    buffer: int
    buffer_fixed: bool  # by SO_RCVBUF
    window_clamp: int
    copied: int  # the first byte that the program has not read
    fin_received: bool
    fin_sequence: int  # of a FIN that lies beyond a gap; 0: none
    mss: int  # the apparent size of the peer's full segments
    acknowledged_to: int  # `nxt` as last acknowledged
    quick_acks: int
    is_ping_pong: bool  # the program answers: acknowledgments can wait for that
    ack_now: bool
    ack_wanted: bool
    last_data_ns: int
    duplicate_left: int  # a duplicate range, to be reported in the next SACK (RFC 2883)
    duplicate_right: int
    growth_start_ns: int  # for growing the window: how much is read in a round trip
    growth_copied: int
    urgent_sequence: int  # of the urgent byte; 0: none
    urgent_taken: bool  # the program has read it with MSG_OOB
    urgent_inline: bool


@struct
class Agreed:
    """What both SYNs agreed on (RFC 7323, RFC 2018, RFC 3168)."""

    scaling: bool
    send_scale: int
    receive_scale: int
    timestamps: bool
    timestamp_offset: int
    timestamp_recent: int
    timestamp_recent_ns: int
    sack: bool
    is_ecn: bool


@struct
class Marks:
    """Explicit congestion notification (RFC 3168), if agreed on."""

    owes_echo: bool  # a mark came: every segment reports it, until the peer has slowed down
    owes_reduced: bool  # we have slowed down: the next new data report it
    echo_point: int  # the next echo counts once everything before this is acknowledged


@struct
class Timers:
    """Deadlines, and the values they depend on. An unset deadline is FOREVER."""

    timeout: Timeout
    timeout_ns: int
    resume_ns: int  # of sending that paused for a safe point, or for its pace
    delayed_ack_ns: int
    keepalive_ns: int  # also bounds FIN_WAIT_2
    last_sent_ns: int  # when data were sent last
    last_received_ns: int
    last_challenge_ns: int
    retries: int  # expirations in a row
    first_retry_ns: int
    probes: int  # of a closed window, unanswered
    keepalive_probes_sent: int
    keeps_alive: bool
    keepalive_idle_ns: int
    keepalive_interval_ns: int
    keepalive_probes: int
    user_timeout_ns: int
    syn_retries: int
    fin_wait_ns: int


@final
class Pacing:
    """How fast data are sent, once there has been a limit; see pacing.py."""

    def __init__(self, rate: int) -> None:
        self.most_rate: int = rate  # SO_MAX_PACING_RATE: bytes a second; negative: more than any
        self.next_ns: int = 0  # nothing is sent before


@struct
class Counters:
    """For TCP_INFO."""

    retransmitted: int  # segments
    bytes_acked: int
    bytes_received: int
    bytes_sent: int
    bytes_retransmitted: int
    segments_in: int
    segments_out: int
    data_segments_in: int
    data_segments_out: int
    started_ns: int
