"""Pacing: SO_MAX_PACING_RATE limits how fast a connection sends, and spreads what it sends.

The rate is a bit more than what the congestion window allows in a round trip, or the limit, if that is less. It is
known for each connection, but only one with a limit waits: without one, acknowledgments are clock enough. After each
segment the next one waits for as long as that one takes at the rate, less some of the time that passed without sending.
The first segments do not wait: a short answer is over before a rate says much.

Rates are bytes a second; negative ones stand for those of 2**63 and more.
Source: tcp(7), socket(7); Linux's answers to TCP_INFO.
"""

from typing import Final

from kernel.net.sockets.option_names import NO_RATE
from kernel.net.tcp.connection import FOREVER, Connection
from kernel.net.tcp.tcp_settings import NS_PER_SECOND

_EARLY_PERCENT: Final = 200  # of the congestion window in a round trip, in slow start
_PERCENT: Final = 120  # … and after it
_LARGEST_WINDOW: Final = 1 << 31
_FREE_SEGMENTS: Final = 10
_BURST_SHIFT: Final = 10  # segments in one packet: what the rate allows in about a millisecond
_LEAST_BURST: Final = 2  # segments


def rate(c: Connection) -> int:
    """The rate at which a connection sends."""
    most = NO_RATE if c.pacing is None else c.pacing.most_rate
    smoothed_ns = c.round_trip.smoothed_ns
    if smoothed_ns == 0:
        return most
    window = min(max(c.congestion.window, c.flight()), _LARGEST_WINDOW)
    percent = _EARLY_PERCENT if c.congestion.window < c.congestion.threshold >> 1 else _PERCENT
    own = window * percent // 100 * NS_PER_SECOND // smoothed_ns
    return own if most < 0 else min(own, most)


def must_wait(c: Connection, now_ns: int) -> bool:
    """Whether nothing may be sent yet; then a timer will send it."""
    pacing = c.pacing
    if pacing is None or pacing.next_ns <= now_ns:
        return False
    c.timers.resume_ns = min(c.timers.resume_ns, pacing.next_ns)
    return True


def largest_packet(c: Connection, limit: int) -> int:
    """How many of `limit` bytes may be sent in one packet: whole segments."""
    if c.pacing is None:
        return limit
    allowed = rate(c)
    if allowed < 0:
        return limit
    mss = c.sizes.mss
    return min(limit, max((allowed >> _BURST_SHIFT) // mss, _LEAST_BURST) * mss)


def sent(c: Connection, length: int, now_ns: int) -> None:
    """Bytes were sent: what follows waits."""
    pacing = c.pacing
    if pacing is None:
        return
    start_ns = max(pacing.next_ns, now_ns)
    unused_ns = start_ns - pacing.next_ns
    pacing.next_ns = start_ns
    allowed = rate(c)
    if allowed <= 0 or c.counters.data_segments_out < _FREE_SEGMENTS:
        return
    takes_ns = length * NS_PER_SECOND // allowed
    takes_ns -= min(takes_ns >> 1, unused_ns)
    pacing.next_ns = start_ns + min(takes_ns, FOREVER - 1 - start_ns)
