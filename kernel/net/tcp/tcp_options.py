"""Options of level IPPROTO_TCP, and other settings of a program's connections (tcp(7)).

`TcpOptions` belongs to a socket; connections that a listener accepts get a copy.

Context: system calls; nothing sleeps.
"""

from typing import Final

from kernel.lang import final
from kernel.net.sockets.inet_options import InternetOptions
from kernel.net.sockets.option_names import NO_RATE
from kernel.net.tcp.connection import NS_PER_MS, Connection
from kernel.net.tcp.parts import Pacing
from kernel.net.tcp.tcp_settings import NS_PER_SECOND, SETTINGS

TCP_NODELAY: Final = 1
TCP_MAXSEG: Final = 2
TCP_CORK: Final = 3
TCP_KEEPIDLE: Final = 4
TCP_KEEPINTVL: Final = 5
TCP_KEEPCNT: Final = 6
TCP_SYNCNT: Final = 7
TCP_LINGER2: Final = 8
TCP_DEFER_ACCEPT: Final = 9
TCP_WINDOW_CLAMP: Final = 10
TCP_INFO: Final = 11
TCP_QUICKACK: Final = 12
TCP_CONGESTION: Final = 13
TCP_THIN_LINEAR_TIMEOUTS: Final = 16
TCP_THIN_DUPACK: Final = 17
TCP_USER_TIMEOUT: Final = 18
TCP_REPAIR: Final = 19
TCP_REPAIR_QUEUE: Final = 20
TCP_QUEUE_SEQ: Final = 21
TCP_TIMESTAMP: Final = 24
TCP_NOTSENT_LOWAT: Final = 25
TCP_CC_INFO: Final = 26
TCP_SAVED_SYN: Final = 28
TCP_REPAIR_WINDOW: Final = 29
TCP_ULP: Final = 31
TCP_INQ: Final = 36  # and TCP_CM_INQ
TCP_IS_MPTCP: Final = 43


@final
class TcpOptions:
    """Settings that last longer than the present connection."""

    def __init__(self, internet: InternetOptions) -> None:
        self.internet: InternetOptions = internet
        self.no_delay: bool = False
        self.is_corked: bool = False
        self.mss_limit: int = 0
        self.keeps_alive: bool = False
        self.keepalive_idle_s: int = 0  # 0: the network's value, as in the next three
        self.keepalive_interval_s: int = 0
        self.keepalive_probes: int = 0
        self.syn_retries: int = 0
        self.linger2_s: int = 0  # 0: the default; -1: FIN_WAIT_2 is skipped
        self.defer_accept_s: int = 0
        self.user_timeout_ms: int = 0
        self.window_clamp: int = 0
        self.not_sent_limit: int = 0  # 0: none
        self.is_ping_pong: bool = False  # TCP_QUICKACK, while there is no connection
        self.is_thin: bool = False  # TCP_THIN_LINEAR_TIMEOUTS
        self.tells_queued: bool = False  # TCP_INQ
        self.use_cubic: bool = True
        self.pacing: Pacing | None = None  # until a limit is set
        self.urgent_inline: bool = False
        self.send_buffer: int = 0  # 0: SO_SNDBUF was not set, the buffer grows by itself
        self.receive_buffer: int = 0

    def copy(self) -> "TcpOptions":
        """A copy for an accepted connection."""
        other = TcpOptions(InternetOptions(self.internet.network))
        other.internet.ttl = self.internet.ttl
        other.internet.tos = self.internet.tos
        other.internet.hop_limit = self.internet.hop_limit
        other.internet.min_ttl = self.internet.min_ttl
        other.internet.min_hops = self.internet.min_hops
        other.internet.traffic_class = self.internet.traffic_class
        other.internet.switches = self.internet.switches
        other.no_delay = self.no_delay
        other.is_corked = self.is_corked
        other.mss_limit = self.mss_limit
        other.keeps_alive = self.keeps_alive
        other.keepalive_idle_s = self.keepalive_idle_s
        other.keepalive_interval_s = self.keepalive_interval_s
        other.keepalive_probes = self.keepalive_probes
        other.syn_retries = self.syn_retries
        other.linger2_s = self.linger2_s
        other.user_timeout_ms = self.user_timeout_ms
        other.window_clamp = self.window_clamp
        other.not_sent_limit = self.not_sent_limit
        other.is_thin = self.is_thin
        other.tells_queued = self.tells_queued
        other.use_cubic = self.use_cubic
        if self.pacing is not None:
            other.limit_rate(self.pacing.most_rate)
        other.urgent_inline = self.urgent_inline
        other.send_buffer = self.send_buffer
        other.receive_buffer = self.receive_buffer
        return other

    def most_rate(self) -> int:
        """SO_MAX_PACING_RATE."""
        return NO_RATE if self.pacing is None else self.pacing.most_rate

    def limit_rate(self, rate: int) -> None:
        """Set SO_MAX_PACING_RATE, for `apply`. Raises MemoryError."""
        if self.pacing is not None:
            self.pacing.most_rate = rate
        elif rate != NO_RATE:
            self.pacing = Pacing(rate)

    def apply(self, c: Connection) -> None:
        """Apply them to a connection."""
        c.sender.no_delay = self.no_delay
        c.sender.is_corked = self.is_corked
        c.sizes.mss_limit = self.mss_limit
        c.timers.keeps_alive = self.keeps_alive
        if self.keepalive_idle_s != 0:
            c.timers.keepalive_idle_ns = self.keepalive_idle_s * NS_PER_SECOND
        if self.keepalive_interval_s != 0:
            c.timers.keepalive_interval_ns = self.keepalive_interval_s * NS_PER_SECOND
        if self.keepalive_probes != 0:
            c.timers.keepalive_probes = self.keepalive_probes
        if self.syn_retries != 0:
            c.timers.syn_retries = self.syn_retries
        c.timers.user_timeout_ns = self.user_timeout_ms * NS_PER_MS
        c.losses.is_thin_linear = self.is_thin
        c.congestion.use_cubic = self.use_cubic
        if c.pacing is not self.pacing:
            c.pacing = self.pacing
            if c.pacing is not None:
                c.pacing.next_ns = 0  # what an earlier connection waited for
        c.receiver.urgent_inline = self.urgent_inline
        fin_timeout_s = self.linger2_s if self.linger2_s != 0 else SETTINGS.fin_timeout.of(c.network)
        c.timers.fin_wait_ns = max(fin_timeout_s, 0) * NS_PER_SECOND
        if self.window_clamp > 0:
            c.receiver.window_clamp = self.window_clamp
        if self.send_buffer > 0:
            c.sender.buffer = self.send_buffer
            c.sender.buffer_fixed = True
        if self.receive_buffer > 0:
            c.receiver.buffer = self.receive_buffer
            c.receiver.buffer_fixed = True
