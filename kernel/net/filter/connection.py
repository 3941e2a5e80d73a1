"""Connections: two tuples, and the state kept about the packets in both directions.

A connection belongs to its first packet alone until that packet has passed the last hook; then it is entered in the
table (STATUS_CONFIRMED). When it leaves the table it is DYING; packets may still hold it.

Context: thread context; nothing sleeps.
Source: conntrack(8), the headers of Linux's interface for programs (enum ip_conntrack_status, ip_conntrack_info).
"""

from typing import Final

from kernel.lang import final
from kernel.net.filter.tcp_state import TcpState
from kernel.net.filter.tuples import Tuple
from kernel.net.link.packet import Flow
from kernel.net.link.timers import NetworkTimer

# Status (IPS_*).
STATUS_EXPECTED: Final = 0x1
STATUS_SEEN_REPLY: Final = 0x2
STATUS_ASSURED: Final = 0x4  # never dropped early
STATUS_CONFIRMED: Final = 0x8
STATUS_SRC_NAT: Final = 0x10
STATUS_DST_NAT: Final = 0x20
STATUS_SEQ_ADJUST: Final = 0x40
STATUS_SRC_NAT_DONE: Final = 0x80
STATUS_DST_NAT_DONE: Final = 0x100
STATUS_DYING: Final = 0x200
STATUS_FIXED_TIMEOUT: Final = 0x400
STATUS_NAT: Final = STATUS_SRC_NAT | STATUS_DST_NAT
STATUS_NAT_DONE: Final = STATUS_SRC_NAT_DONE | STATUS_DST_NAT_DONE

# How a packet belongs to its connection (IP_CT_*), `Packet.tracking`.
TRACKING_ESTABLISHED: Final = 0
TRACKING_RELATED: Final = 1
TRACKING_NEW: Final = 2
TRACKING_ESTABLISHED_REPLY: Final = 3
TRACKING_RELATED_REPLY: Final = 4
_TICK_NS: Final = 4_000_000
_SECOND_NS: Final = 1_000_000_000
_REPLY: Final = 3  # values from here on are of the reply direction

# What changed, a bit each (IPCT_*).
EVENT_NEW: Final = 0x1
EVENT_RELATED: Final = 0x2
EVENT_DESTROY: Final = 0x4
EVENT_REPLY: Final = 0x8
EVENT_ASSURED: Final = 0x10
EVENT_PROTOCOL: Final = 0x20
EVENT_MARK: Final = 0x80


@final
class Connection(Flow):
    """A tracked connection."""

    def __init__(self) -> None:
        self.original: Tuple = Tuple()
        self.reply: Tuple = Tuple()
        self.status: int = 0  # STATUS_*
        self.mark: int = 0
        self.timeout_ns: int = 0  # until it is confirmed: how long it will live
        self.timer: NetworkTimer | None = None  # afterwards: when it ends
        self.tcp: TcpState | None = None
        self.stream_ns: int = 0  # UDP: from this time on, questions and answers are a stream
        self.masquerade_device: int = 0  # the number of the device whose address it borrows; 0: none
        self.serial: int = 0  # unique among all of its network
        # Its neighbours in the table.
        self.previous: Connection | None = None
        self.next: Connection | None = None
        self.next_of_source: Connection | None = None  # translated ones whose sources have the same hash
        self.previous_of_source: Connection | None = None
        self.source_key: int = 0  # that hash
        self.is_by_source: bool = False
        self.is_counted: bool = False  # packets and bytes are counted
        self.packets: int = 0
        self.bytes: int = 0
        self.reply_packets: int = 0
        self.reply_bytes: int = 0
        self.is_timed: bool = False  # the times are shown
        self.started_ns: int = 0  # of the wall clock
        self.stopped_ns: int = 0
        self.is_by_program: bool = False  # created by ctnetlink
        self.is_reported: bool = False  # listeners are notified of it
        self.changes: int = 0  # EVENT_*: what they have not been notified of yet

    def has(self, status: int) -> bool:
        """Whether any of these bits is set."""
        return self.status & status != 0

    def tuple_of(self, is_reply: bool) -> Tuple:
        """The tuple of a direction."""
        return self.reply if is_reply else self.original

    def refresh(self, timeout_ns: int, now_ns: int) -> None:
        """A packet came: extend the lifetime to this timeout."""
        if self.status & STATUS_FIXED_TIMEOUT != 0:
            return
        timer = self.timer
        if timer is None:
            self.timeout_ns = timeout_ns
        elif self.status & STATUS_DYING == 0:
            timer.start(now_ns + timeout_ns)  # needs no memory: the timer stays in the heap until the end

    def left_ns(self, now_ns: int) -> int:
        """How long the connection lives without another packet."""
        timer = self.timer
        return self.timeout_ns if timer is None else max(timer.deadline_ns - now_ns, 0)

    def left_s(self, now_ns: int) -> int:
        """The same in seconds, as programs see it: by a clock that ticks."""
        return (self.left_ns(now_ns) + _TICK_NS - 1) // _SECOND_NS

    def note(self, changes: int) -> None:
        """Record changes; listeners are notified once the packet is through."""
        if self.is_reported:
            self.changes |= changes


def is_reply(tracking: int) -> bool:
    """Whether a packet with this tracking value travels in the reply direction."""
    return tracking >= _REPLY
