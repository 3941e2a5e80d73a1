"""A connection: its complete state (the transmission control block of RFC 9293, section 3.3.1).

The modules around this one handle its events: `opening.py`, `input.py`, `acknowledge.py`, `output.py`,
`timers.py`, `closing.py`. Sequence numbers are unwrapped (sequence.py), times are nanoseconds of one clock, an unset
deadline is FOREVER. Nothing here sleeps. Any function that raises MemoryError leaves a connection that goes on as if a
packet had been lost.

Invariants: sender.una <= sender.nxt <= send_end(); the queue starts at sender.una once the SYN is acknowledged.
"""

from enum import IntEnum
from typing import Final

from kernel.lang import final
from kernel.net.link.network import FIRST_NETWORK, Network
from kernel.net.link.packet import Packet
from kernel.net.tcp.cubic import Congestion
from kernel.net.tcp.header import TIMESTAMP_SIZE
from kernel.net.tcp.parts import Agreed, Counters, Losses, Marks, Pacing, Receiver, SegmentSizes, Sender, Timers
from kernel.net.tcp.receive_queue import ReceiveQueue
from kernel.net.tcp.round_trip import RoundTrip
from kernel.net.tcp.scoreboard import Scoreboard
from kernel.net.tcp.send_queue import SendQueue
from kernel.net.tcp.sequence import WRAP
from kernel.net.tcp.tcp_settings import NS_PER_SECOND, SETTINGS

FOREVER: Final = (1 << 63) - 1
_FIN_WAIT_NS: Final = 60 * NS_PER_SECOND  # unless options or settings say otherwise
NS_PER_MS: Final = 1_000_000

DEFAULT_MSS: Final = 536  # of a peer that names none (RFC 9293, section 3.7.1)
DEFAULT_MSS6: Final = 1220  # by IPv6
LARGE_MTU: Final = 16_384
LEAST_MSS: Final = 48  # smaller ones are raised to this: headers would be most of the traffic
_MOST_SEGMENTS: Final = 128  # of one packet: cutting it is a single stretch of work, if the device does not do that
QUICK_ACKS: Final = 16  # at the start of a connection, acknowledgments are not delayed
DELAYED_ACK_NS: Final = 40 * NS_PER_MS

# Events of which waiting threads are notified: `Connection.events`.
EVENT_READABLE: Final = 1
EVENT_WRITABLE: Final = 2
EVENT_STATE: Final = 4
EVENT_URGENT: Final = 8
EVENT_ESTABLISHED: Final = 16  # a passive connection may be accepted
EVENT_CLOSED: Final = 32  # the state is CLOSED now: forget the connection

_LEAST_KEEPALIVE_NS: Final = 4_000_000


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


class Wire:
    """Sends segments. Base class: the stack's sends them to IP, that of tests to a simulation."""

    def send(self, connection: "Connection", packet: Packet) -> None:
        """Send a segment: header and payload, without checksum. One that cannot be sent is lost."""

    def update_path(self, connection: "Connection") -> None:
        """Timeouts happened: the route may have changed."""

    def where(self) -> Network:
        """The network whose settings apply, and whose counters count."""
        return FIRST_NETWORK


@final
class Connection:
    """One connection's state."""

    sender: Sender
    sizes: SegmentSizes
    losses: Losses
    receiver: Receiver
    agreed: Agreed
    marks: Marks
    timers: Timers
    counters: Counters

    def __init__(self, wire: Wire, local: bytes, local_port: int, remote: bytes, remote_port: int) -> None:
        self.wire: Wire = wire
        self.network: Network = wire.where()
        self.local: bytes = local
        self.local_port: int = local_port
        self.remote: bytes = remote
        self.remote_port: int = remote_port
        self.state: State = State.CLOSED
        self.events: int = 0
        self.error: int = 0  # why it ended: an errno
        self.soft_error: int = 0  # the last ICMP error: the reason, if the connection then times out

        self.queue: SendQueue = SendQueue(WRAP)
        self.receive: ReceiveQueue = ReceiveQueue(WRAP)
        self.scoreboard: Scoreboard = Scoreboard()
        self.congestion: Congestion = Congestion(DEFAULT_MSS, use_cubic=True)
        self.round_trip: RoundTrip = RoundTrip()

        # The parts begin as zeros.
        self.sender.initial = WRAP
        self.sender.una = WRAP
        self.sender.nxt = WRAP
        self.sender.buffer = SETTINGS.send_default
        self.sizes.path_mtu = 1500
        self.sizes.network_header = 20
        self.sizes.peer_mss = DEFAULT_MSS
        self.sizes.mss = DEFAULT_MSS
        self.sizes.advertised_mss = 1460
        self.receiver.initial = WRAP
        self.receiver.nxt = WRAP
        self.receiver.edge = WRAP
        self.receiver.copied = WRAP
        self.receiver.acknowledged_to = WRAP
        self.receiver.growth_copied = WRAP
        self.receiver.buffer = SETTINGS.receive_default
        self.receiver.window_clamp = 1 << 30
        self.receiver.mss = DEFAULT_MSS
        self.receiver.quick_acks = QUICK_ACKS
        self.pacing: Pacing | None = None  # without a limit, nothing waits
        self.timers.timeout_ns = FOREVER
        self.timers.resume_ns = FOREVER
        self.timers.delayed_ack_ns = FOREVER
        self.timers.keepalive_ns = FOREVER
        self.timers.last_challenge_ns = -NS_PER_SECOND
        self.timers.keepalive_idle_ns = _keepalive_ns(SETTINGS.keepalive_time.of(self.network))
        self.timers.keepalive_interval_ns = _keepalive_ns(SETTINGS.keepalive_interval.of(self.network))
        self.timers.keepalive_probes = SETTINGS.keepalive_probes.of(self.network)
        self.timers.syn_retries = SETTINGS.syn_retries.of(self.network)
        self.timers.fin_wait_ns = _FIN_WAIT_NS

        # Ends.
        self.is_passive: bool = False  # a listener created it
        self.is_orphan: bool = False  # no program holds it any more
        self.receive_shut: bool = False  # the program reads no more
        self.is_counted_orphan: bool = False  # memory.py counts it
        self.charged: int = 0  # bytes that memory.py counts for the queues
        self.rests_in_time_wait: bool = False  # CLOSED, and the stack keeps the pair of ports for a while

    # ---- Derived state --------------------------------------------------------------------------------------------

    def send_end(self) -> int:
        """The number after everything to be sent, including the FIN."""
        return self.queue.end + 1 if self.sender.fin_queued else self.queue.end

    def unsent(self) -> int:
        """Bytes still to be sent, including the FIN."""
        return max(0, self.send_end() - self.sender.nxt)

    def unacknowledged(self) -> int:
        """Bytes to be sent, and those sent but not acknowledged."""
        return max(0, self.send_end() - self.sender.una)

    def flight(self) -> int:
        """Bytes sent but not acknowledged."""
        return self.sender.nxt - self.sender.una

    def can_receive(self) -> bool:
        """Whether the peer may still send data."""
        state = self.state
        return state == State.ESTABLISHED or state == State.FIN_WAIT_1 or state == State.FIN_WAIT_2

    def can_send(self) -> bool:
        """Whether data of the queue may be sent."""
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
        return (now_ns // NS_PER_MS + self.agreed.timestamp_offset) & 0xFFFF_FFFF

    def next_deadline(self) -> int:
        """The time at which `timers.expire` must be called."""
        return min(
            self.timers.timeout_ns, self.timers.resume_ns, self.timers.delayed_ack_ns, self.timers.keepalive_ns
        )

    def fix_segment_size(self) -> None:
        """Compute `mss` from the path and the peer's limit."""
        size = min(self.sizes.path_mtu - self.sizes.network_header - 20, self.sizes.peer_mss)
        if self.sizes.mss_limit != 0:
            size = min(size, self.sizes.mss_limit)
        # A peer with a small window gets it in two parts, or it would delay each acknowledgment. Loopback's segments
        # are as large as windows, and its receivers read at once.
        window = self.sender.largest_window
        if window > 0 and self.sizes.path_mtu < LARGE_MTU:
            size = min(size, window >> 1 if window > DEFAULT_MSS else window)
        size = max(size, LEAST_MSS)
        if self.agreed.timestamps:
            size -= TIMESTAMP_SIZE
        self.sizes.mss = size
        self.congestion.set_mss(size)

    def largest_payload(self) -> int:
        """The most data of one packet: whole segments."""
        mss = self.sizes.mss
        return max(min(self.sizes.packet_limit // mss, _MOST_SEGMENTS), 1) * mss

    def saw_window(self, window: int) -> None:
        """The peer offers this many bytes: if that is the most so far, segments may become larger."""
        before = self.sender.largest_window
        if window > before:
            self.sender.largest_window = window
            if before >> 1 <= self.sizes.mss + TIMESTAMP_SIZE:
                self.fix_segment_size()

    def window_limit(self) -> int:
        """The largest number of unread bytes: half of the buffer, since headers and unused room count too."""
        return min(self.receiver.buffer >> 1, self.receiver.window_clamp)

    def send_room(self) -> int:
        """How many bytes a write may add."""
        return self.sender.buffer - self.queue.memory

    def is_writable(self) -> bool:
        """Whether poll reports it writable: a third of the buffer is free."""
        return 2 * (self.sender.buffer - self.queue.memory) >= self.queue.memory

    def readable_bytes(self) -> int:
        """FIONREAD: unread bytes up to the urgent one, if that has come."""
        place = self.receiver.urgent_sequence
        if (
            self.receiver.urgent_inline
            or place == 0
            or place < self.receiver.copied
            or place >= self.receive.next_sequence
        ):
            return self.receive.bytes
        return place - self.receiver.copied

    def is_readable(self, low_water: int) -> bool:
        """Whether poll reports it readable: a read at the urgent mark skips a byte."""
        if (
            self.receiver.urgent_sequence != 0
            and not self.receiver.urgent_inline
            and self.receiver.urgent_sequence == self.receiver.copied
        ):
            low_water += 1
        return self.receive.bytes >= low_water


def _keepalive_ns(seconds: int) -> int:
    """The time that a setting means: not less than a tick of Linux, however small it is."""
    return max(seconds * NS_PER_SECOND, _LEAST_KEEPALIVE_NS)
