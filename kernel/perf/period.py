"""When an event that counts things gives a sample: after a period of so many, which may follow a frequency.

Pure arithmetic, on numbers of which a program gives some: nothing overflows, since periods are below 2**63 and what is
counted at once is small.

Context: any. Allocates nothing.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.saturation import sum_of

NS_PER_SECOND: Final = 1_000_000_000
LEAST_CLOCK_PERIOD_NS: Final = 10_000
_LARGEST: Final = (1 << 63) - 1
_SMOOTHING: Final = 8
_MOST_LEFT: Final = 8  # periods


@final
class Period:
    """The state of one event."""

    def __init__(self, length: int, frequency: int) -> None:
        """`length` in what is counted; `frequency` in samples a second, 0 for a fixed length."""
        self.length: int = length
        self.last: int = length  # the one that is under way
        self.left: int = length  # negative: what is still to come
        self.frequency: int = frequency
        self.stamp_ns: int = 0  # of the last sample

    def start(self) -> None:
        """The event begins to count."""
        self.last = self.length
        if self.left >= 0:
            self.left = -max(self.length, 1)

    def take_whole(self) -> int:
        """How many periods are over; the next one begins."""
        period = max(self.last, 1)
        self.last = self.length
        if self.left < 0:
            return 0
        count = sum_of(self.left, period) // period
        self.left -= min(count, _LARGEST // period) * period
        return count

    def add(self, count: int) -> int:
        """That many things happened: how many samples are due."""
        self.left = sum_of(self.left, count)
        if self.left < 0:
            return 0
        return self.take_whole()

    def follow_frequency(self, now_ns: int, tick_ns: int) -> None:
        """A sample was given, one period after the last: let the next be due when the frequency says."""
        since_ns = now_ns - self.stamp_ns
        self.stamp_ns = now_ns
        if self.frequency == 0 or not 0 < since_ns < 2 * tick_ns:
            return
        ideal = _scaled(self.last, NS_PER_SECOND, since_ns * max(self.frequency, 1))
        step = ideal - self.length
        step = (step + _SMOOTHING - 1) // _SMOOTHING if step >= 0 else -((_SMOOTHING - 1 - step) // _SMOOTHING)
        self.length = max(self.length + step, 1)
        if self.left > 0 and self.left // _MOST_LEFT > self.length:
            self.left = 0


def _scaled(count: int, factor: int, divisor: int) -> int:
    """count * factor / divisor, both large, within what 62 bits hold."""
    whole = count // divisor
    if whole > (1 << 62) // factor:
        return 1 << 62
    rest = count % divisor
    shift = 0
    while rest > (1 << 62) // factor:
        rest >>= 1
        shift += 1
    return min(whole * factor + rest * factor // max(divisor >> shift, 1), 1 << 62)
