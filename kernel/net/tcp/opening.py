"""How connections begin (RFC 9293, section 3.5): by our SYN, by the peer's, by both at once, from a SYN cookie."""

from kernel.net.link.network import Network
from kernel.net.link.packet import Packet
from kernel.net.tcp import congestion_marks, cookie_options, output
from kernel.net.tcp.connection import (
    DEFAULT_MSS,
    DEFAULT_MSS6,
    EVENT_ESTABLISHED,
    EVENT_STATE,
    EVENT_WRITABLE,
    FOREVER,
    Connection,
    State,
)
from kernel.net.tcp.header import LARGEST_SCALE, Segment
from kernel.net.tcp.parts import Timeout
from kernel.net.tcp.sequence import WRAP
from kernel.net.tcp.tcp_settings import SETTINGS


def _begin(c: Connection, initial_sequence: int, now_ns: int) -> None:
    start = WRAP + initial_sequence
    c.sender.initial = start
    c.sender.una = start
    c.sender.nxt = start
    c.queue.start = start + 1
    c.queue.end = start + 1
    c.counters.started_ns = now_ns
    c.timers.last_received_ns = now_ns
    c.receiver.growth_start_ns = now_ns


def receive_scale_for(network: Network, buffer: int) -> int:
    """A scale with which the window can grow to its limit; `buffer` is what SO_RCVBUF fixed, or 0."""
    if SETTINGS.window_scaling.of(network) == 0:
        return 0
    largest = buffer if buffer != 0 else SETTINGS.receive_limit
    scale = 0
    while scale < LARGEST_SCALE and largest >> scale > 0xFFFF:
        scale += 1
    return scale


def choose_receive_scale(c: Connection) -> None:
    """See `receive_scale_for`."""
    c.agreed.receive_scale = receive_scale_for(c.network, c.receiver.buffer if c.receiver.buffer_fixed else 0)


def connect(c: Connection, initial_sequence: int, now_ns: int) -> None:
    """Open actively: send a SYN. Addresses, ports and path are set; `initial_sequence` has 32 bits."""
    _begin(c, initial_sequence, now_ns)
    c.state = State.SYN_SENT
    choose_receive_scale(c)
    output.send_syn(c, now_ns)
    c.sender.timed_sequence = c.sender.nxt
    c.sender.timed_at_ns = now_ns
    output.arm_retransmission(c, now_ns)


def segment_size_of(segment: Segment, remote: bytes) -> int:
    """The segment size in the SYN from the address, or the default if it has none."""
    if segment.mss != 0:
        return segment.mss
    return DEFAULT_MSS if len(remote) == 4 else DEFAULT_MSS6


def take_peer_syn(c: Connection, segment: Segment, packet: Packet, now_ns: int) -> None:
    """Read the peer's SYN: its numbers, and the options that both sides want."""
    c.receiver.initial = WRAP + segment.sequence
    start = c.receiver.initial + 1
    c.receiver.nxt = start
    c.receiver.copied = start
    c.receiver.growth_copied = start
    c.receive.next_sequence = start
    c.receiver.acknowledged_to = start
    c.sizes.peer_mss = segment_size_of(segment, c.remote)
    c.agreed.scaling = SETTINGS.window_scaling.of(c.network) != 0 and segment.scale >= 0
    if c.agreed.scaling:
        c.agreed.send_scale = segment.scale
    else:
        c.agreed.receive_scale = 0
    c.agreed.sack = SETTINGS.sack.of(c.network) != 0 and segment.sack_permitted
    c.agreed.timestamps = SETTINGS.timestamps.of(c.network) != 0 and segment.has_timestamp
    if c.agreed.timestamps:
        c.agreed.timestamp_recent = segment.timestamp
        c.agreed.timestamp_recent_ns = now_ns
    c.sender.wnd = segment.window
    c.sender.largest_window = segment.window
    c.sender.wl1 = c.receiver.initial
    congestion_marks.take_syn(c, segment, packet)
    c.fix_segment_size()
    c.receiver.mss = min(c.sizes.mss, max(c.window_limit() >> 1, DEFAULT_MSS))


def accept(c: Connection, segment: Segment, packet: Packet, initial_sequence: int, now_ns: int) -> None:
    """Open passively: answer a SYN that came for a listener."""
    _begin(c, initial_sequence, now_ns)
    c.is_passive = True
    c.state = State.SYN_RECEIVED
    choose_receive_scale(c)
    take_peer_syn(c, segment, packet, now_ns)
    output.send_syn(c, now_ns)
    c.sender.timed_sequence = c.sender.nxt
    c.sender.timed_at_ns = now_ns
    output.arm_retransmission(c, now_ns)


def accept_cookie(c: Connection, segment: Segment, mss: int, now_ns: int) -> None:
    """Take an acknowledgment that holds a SYN cookie of ours, for a peer with this segment size. The other options
    are in the timestamp, if there is one.
    """
    _begin(c, (segment.acknowledgment - 1) & (WRAP - 1), now_ns)
    c.is_passive = True
    c.receiver.initial = WRAP + ((segment.sequence - 1) & (WRAP - 1))
    start = c.receiver.initial + 1
    c.receiver.nxt = start
    c.receiver.copied = start
    c.receiver.growth_copied = start
    c.receive.next_sequence = start
    c.receiver.acknowledged_to = start
    c.receiver.edge = start + min(c.window_limit(), 0xFFFF)
    c.sizes.peer_mss = mss
    if SETTINGS.timestamps.of(c.network) != 0 and segment.has_timestamp:
        options = cookie_options.taken_from(segment.timestamp_echo - c.agreed.timestamp_offset)
        c.agreed.timestamps = True
        c.agreed.timestamp_recent = segment.timestamp
        c.agreed.timestamp_recent_ns = now_ns
        c.agreed.sack = options.sack
        c.agreed.scaling = options.scale != cookie_options.NO_SCALE
        if c.agreed.scaling:
            c.agreed.send_scale = options.scale
            choose_receive_scale(c)
    c.fix_segment_size()
    c.receiver.mss = c.sizes.mss
    c.sender.nxt = c.sender.initial + 1
    c.sender.una = c.sender.initial
    c.sender.wl1 = c.receiver.initial
    c.state = State.SYN_RECEIVED


def established(c: Connection, now_ns: int) -> None:
    """Both SYNs are acknowledged."""
    c.state = State.ESTABLISHED
    c.timers.retries = 0
    c.timers.timeout = Timeout.NONE
    c.timers.timeout_ns = FOREVER
    c.events |= EVENT_ESTABLISHED | EVENT_STATE | EVENT_WRITABLE
    start_keepalive(c, now_ns)
    if not c.sender.buffer_fixed:
        c.sender.buffer = min(max(c.sender.buffer, 2 * c.congestion.window), SETTINGS.send_limit)


def start_keepalive(c: Connection, now_ns: int) -> None:
    """SO_KEEPALIVE is on: probe an idle peer."""
    if c.timers.keeps_alive and c.is_synchronized():
        c.timers.keepalive_ns = now_ns + c.timers.keepalive_idle_ns
