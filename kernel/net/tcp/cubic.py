"""Congestion control: slow start and congestion avoidance (RFC 5681), CUBIC (RFC 9438), or Reno by choice.

The window is counted in bytes. CUBIC's curve is W(t) = C (t - K)**3 + W_max with C = 0.4 segments / s**3 and K the cube
root of W_max * (1 - beta) / C; here t is in milliseconds and windows in segments of `mss` bytes, in integers.
"""

from typing import Final

from kernel.lang import final

INITIAL_SEGMENTS: Final = 10  # RFC 6928
UNLIMITED: Final = 1 << 40
NS_PER_MS: Final = 1_000_000
_LONGEST_MS: Final = 100_000  # of the curve: past that, the window has long met other limits


def cube_root(value: int) -> int:
    """The integer cube root, rounded down. 0 <= value < 2**62."""
    low = 0
    high = 1 << 20
    while low < high:
        middle = (low + high + 1) >> 1
        if middle * middle * middle <= value:
            low = middle
        else:
            high = middle - 1
    return low


@final
class Congestion:
    """The congestion window of one connection."""

    def __init__(self, mss: int, use_cubic: bool) -> None:
        self.mss: int = mss
        self.use_cubic: bool = use_cubic
        self.window: int = INITIAL_SEGMENTS * mss
        self.threshold: int = UNLIMITED  # ssthresh
        self.window_max: int = 0  # W_max, bytes
        self.epoch_ns: int = 0  # when the present curve began; 0: not yet
        self.root_ms: int = 0  # K
        self.origin: int = 0  # the curve's middle, bytes
        self.reno_window: int = 0  # W_est: what Reno would have by now
        self.fraction: int = 0  # acknowledged bytes that do not yet add up to a segment of growth

    def set_mss(self, mss: int) -> None:
        """The segment size is known or has changed; a window that never moved moves with it."""
        if self.window == INITIAL_SEGMENTS * self.mss:
            self.window = INITIAL_SEGMENTS * mss
        self.mss = mss

    def acknowledged(self, count: int, now_ns: int, round_trip_ns: int) -> None:
        """`count` bytes were acknowledged while the window was fully used, outside recovery."""
        if self.window < self.threshold:
            growth = min(count, self.threshold - self.window)
            self.window += growth
            count -= growth
            if count == 0:
                return
        if not self.use_cubic:
            self._grow(count, self.window)
            return
        if self.epoch_ns == 0:
            self._begin_curve(now_ns)
        elapsed_ms = min((now_ns - self.epoch_ns + round_trip_ns) // NS_PER_MS, _LONGEST_MS)
        distance = elapsed_ms - self.root_ms
        curve = distance * distance * distance * 4 // 10_000_000 * self.mss // 1_000
        target = min(max(self.origin + curve, self.window), self.window + (self.window >> 1))
        # Where Reno would be faster, be as fast as Reno: 3 (1 - beta) / (1 + beta) = 9/17 segments a round trip.
        self.reno_window += count * 9 * self.mss // (17 * self.window)
        target = max(target, self.reno_window)
        if target > self.window:
            self._grow(count * (target - self.window) // self.mss, self.window)
        else:
            self._grow(count // 100, self.window)

    def _grow(self, count: int, per_segment: int) -> None:
        """Grow by a segment for each `per_segment` bytes."""
        self.fraction += count
        if self.fraction >= per_segment:
            segments = self.fraction // per_segment
            self.fraction -= segments * per_segment
            self.window += segments * self.mss

    def _begin_curve(self, now_ns: int) -> None:
        self.epoch_ns = now_ns
        self.fraction = 0
        self.reno_window = self.window
        if self.window < self.window_max:
            segments = min((self.window_max - self.window) // self.mss, 1 << 30)
            self.root_ms = cube_root(segments * 2_500_000_000)
            self.origin = self.window_max
        else:
            self.root_ms = 0
            self.origin = self.window

    def lost(self, flight: int) -> None:
        """A loss was found with `flight` bytes in flight: lower the threshold, but not yet the window."""
        mss = self.mss
        self.epoch_ns = 0
        self.fraction = 0
        if not self.use_cubic:
            self.threshold = max(flight >> 1, 2 * mss)
            return
        window = self.window
        # Fast convergence: a connection that loses again before the old maximum gives way to newcomers.
        self.window_max = window * 17 // 20 if window < self.window_max else window
        self.threshold = max(window * 7 // 10, 2 * mss)

    def timed_out(self, flight: int, is_first: bool) -> None:
        """The retransmission timer expired."""
        if is_first:
            self.lost(flight)
        self.window = self.mss

    def idle(self, timeouts: int) -> None:
        """Nothing was sent for `timeouts` retransmission timeouts: knowledge of the path is stale (RFC 2861)."""
        if self.threshold != UNLIMITED:
            self.threshold = max(self.threshold, self.window * 3 // 4)
        least = min(INITIAL_SEGMENTS * self.mss, self.window)
        self.window = max(self.window >> min(timeouts, 40), least)
        self.epoch_ns = 0
