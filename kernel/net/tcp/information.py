"""What programs see of a connection: the running timer, and TCP_INFO, struct tcp_info (linux/tcp.h). Times are
microseconds, or milliseconds for the times of last events.

Counts that Linux has and we do not are 0, as on Linux for a connection without such events.
"""

from typing import Final

from kernel.lang import Span, span_of, u8, u64
from kernel.net.sockets.option_names import NO_RATE
from kernel.net.tcp import output, pacing
from kernel.net.tcp.connection import FOREVER, NS_PER_MS, Connection, State
from kernel.net.tcp.cubic import UNLIMITED
from kernel.net.tcp.parts import Timeout
from kernel.net.tcp.tcp_options import TcpOptions

TIMER_NONE: Final = 0
TIMER_RETRANSMIT: Final = 1
TIMER_KEEPALIVE: Final = 2
TIMER_TIME_WAIT: Final = 3
TIMER_PROBE: Final = 4

_SIZE: Final = 248
_OPTION_TIMESTAMPS: Final = 1
_OPTION_SACK: Final = 2
_OPTION_SCALE: Final = 4
_NS_PER_US: Final = 1000
_WORD: Final = 0xFFFF_FFFF


def information(options: TcpOptions, c: Connection | None, idle_state: State, now_ns: int) -> bytes:
    """The struct; without a connection, little more than the state."""
    storage = bytearray(_SIZE)
    out = span_of(storage)
    if c is None:
        out[0] = idle_state.value
        out.store_u32(8, 1_000_000)
        out.store_u32(16, 536)
        out.store_u32(20, 88)
        out.store_u32(80, 10)
        out.store_u32(76, 0x7FFF_FFFF)
        _put_rates(out, options.most_rate(), options.most_rate())
        return bytes(storage)
    out[0] = c.state.value
    out[1] = c.losses.recovery.value
    out[2] = min(c.timers.retries, 255)
    out[3] = min(c.timers.probes, 255)
    out[4] = min(c.round_trip.backoff, 255)
    flags = 0
    if c.agreed.timestamps:
        flags |= _OPTION_TIMESTAMPS
    if c.agreed.sack:
        flags |= _OPTION_SACK
    if c.agreed.scaling:
        flags |= _OPTION_SCALE
    out[5] = flags
    out[6] = c.agreed.send_scale | c.agreed.receive_scale << 4
    _put_sizes(c, out)
    _put_times(c, out, now_ns)
    _put_counters(c, out)
    return bytes(storage)


def _put_sizes(c: Connection, out: Span[u8]) -> None:
    mss = c.sizes.mss
    out.store_u32(16, mss)
    out.store_u32(20, min(c.receiver.mss, _WORD))
    out.store_u32(24, (c.flight() + mss - 1) // mss)
    out.store_u32(28, (c.scoreboard.bytes + mss - 1) // mss)
    lost = max(0, c.flight() - output.pipe(c) - c.scoreboard.bytes)
    out.store_u32(32, (lost + mss - 1) // mss)
    out.store_u32(36, 1 if c.timers.timeout == Timeout.RETRANSMIT and c.timers.retries > 0 else 0)
    out.store_u32(60, c.sizes.path_mtu)
    out.store_u32(64, min(c.window_limit(), _WORD))
    threshold = c.congestion.threshold
    out.store_u32(76, 0x7FFF_FFFF if threshold >= UNLIMITED else threshold // mss)
    out.store_u32(80, max(1, c.congestion.window // mss))
    out.store_u32(84, c.sizes.advertised_mss)
    out.store_u32(88, 3)
    out.store_u32(96, min(c.window_limit(), _WORD))
    out.store_u32(144, max(0, min(c.queue.end - c.sender.nxt, _WORD)))
    out.store_u32(228, min(c.sender.wnd, _WORD))
    out.store_u32(232, max(0, min(c.receiver.edge - c.receiver.nxt, _WORD)))


def _put_times(c: Connection, out: Span[u8], now_ns: int) -> None:
    out.store_u32(8, min(c.round_trip.backed_off_ns() // _NS_PER_US, _WORD))
    out.store_u32(12, 40_000)
    out.store_u32(
        44, _elapsed_ms(now_ns, c.timers.last_sent_ns if c.timers.last_sent_ns != 0 else c.counters.started_ns)
    )
    out.store_u32(
        52, _elapsed_ms(now_ns, c.receiver.last_data_ns if c.receiver.last_data_ns != 0 else c.counters.started_ns)
    )
    out.store_u32(56, _elapsed_ms(now_ns, c.timers.last_received_ns))
    out.store_u32(68, min(c.round_trip.smoothed_ns // _NS_PER_US, _WORD))
    out.store_u32(72, min(c.round_trip.variation_ns // _NS_PER_US, _WORD))
    out.store_u32(148, min(c.round_trip.least_ns // _NS_PER_US, _WORD))


def _elapsed_ms(now_ns: int, then_ns: int) -> int:
    return max(0, min((now_ns - then_ns) // NS_PER_MS, _WORD))


def _put_counters(c: Connection, out: Span[u8]) -> None:
    out.store_u32(100, min(c.counters.retransmitted, _WORD))
    _put_rates(out, pacing.rate(c), NO_RATE if c.pacing is None else c.pacing.most_rate)
    out.store_u64(120, u64(c.counters.bytes_acked))
    out.store_u64(128, u64(c.counters.bytes_received))
    out.store_u32(136, c.counters.segments_out & _WORD)
    out.store_u32(140, c.counters.segments_in & _WORD)
    out.store_u32(152, c.counters.data_segments_in & _WORD)
    out.store_u32(156, c.counters.data_segments_out & _WORD)
    out.store_u64(200, u64(c.counters.bytes_sent))
    out.store_u64(208, u64(c.counters.bytes_retransmitted))


def _put_rates(out: Span[u8], rate: int, most: int) -> None:
    """The rate of sending and its limit: 64 bits, all set for none."""
    out.store_u32(104, rate & _WORD)
    out.store_u32(108, rate >> 32 & _WORD)
    out.store_u32(112, most & _WORD)
    out.store_u32(116, most >> 32 & _WORD)


def pending_timer(c: Connection) -> tuple[int, int]:
    """The running timer of a connection (TIMER_*), and its deadline; FOREVER for none."""
    if c.timers.timeout == Timeout.RETRANSMIT or c.timers.timeout == Timeout.TAIL_LOSS:
        return TIMER_RETRANSMIT, c.timers.timeout_ns
    if c.timers.timeout == Timeout.PROBE:
        return TIMER_PROBE, c.timers.timeout_ns
    if c.timers.keepalive_ns != FOREVER:
        return TIMER_KEEPALIVE, c.timers.keepalive_ns
    return TIMER_NONE, FOREVER
