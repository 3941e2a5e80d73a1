"""How much of memory may be dirty. Pure: numbers in, numbers out.

Above the background limit the flusher writes until it is below. Above the hard limit whoever dirties pages writes or
waits. Both are shares of what file contents could use at most: free memory plus what the caches hold already.
"""

from typing import Final

from kernel.lang import final

BACKGROUND_PERCENT: Final = 10
HARD_PERCENT: Final = 20
EXPIRE_NS: Final = 30_000_000_000  # how long a page may stay dirty
INTERVAL_NS: Final = 5_000_000_000  # how often the flusher looks


@final
class DirtyLimits:
    """The limits of a moment, in pages."""

    def __init__(
        self,
        available: int,
        cached: int,
        background_percent: int = BACKGROUND_PERCENT,
        hard_percent: int = HARD_PERCENT,
    ) -> None:
        usable = max(0, available) + cached
        self.hard: int = max(16, usable * hard_percent // 100)
        background = usable * background_percent // 100
        self.background: int = max(8, background if background < self.hard else self.hard // 2)

    def wants_flusher(self, dirty: int) -> bool:
        """Whether the flusher should write before pages expire."""
        return dirty > self.background

    def wants_throttling(self, dirty: int, writing: int) -> bool:
        """Whether a thread that dirties pages must help to write."""
        return dirty + writing > self.hard


def is_expired(dirty_since_ns: int, now_ns: int, expire_ns: int = EXPIRE_NS) -> bool:
    """Whether a cache has been dirty for too long."""
    return now_ns - dirty_since_ns >= expire_ns
