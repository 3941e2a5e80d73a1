"""How much of the time real-time threads may take from all others (sched(7), "Limiting the CPU usage of real-time and
deadline processes").

Within each period real-time threads run for their share before any other thread. Then the others go first, until the
period ends; real-time threads get the time that these leave. Threads with deadlines together have no more than that
share of each processor, less a part that is kept for the fair classes, so they are never paused.
"""

from typing import Final

from kernel.lang import EBUSY, EINVAL, Errno, final
from kernel.lib.settings import SystemSetting
from kernel.sched.processor import PROCESSORS

UNLIMITED: Final = -1
RATIO_SHIFT: Final = 20  # parts of the time are in units of 2**-20
_WHOLE: Final = 1 << RATIO_SHIFT
_INT_MOST: Final = (1 << 31) - 1
_UNSIGNED_MOST: Final = (1 << 32) - 1


def ratio(part: int, whole: int) -> int:
    """How much a part is, in units of 2**-RATIO_SHIFT. Both are at most 2**42, and `whole` is not 0."""
    return (part << RATIO_SHIFT) // whole


_KEPT: Final = ratio(50, 1000)
"""The part of each processor's time that no thread with deadlines may have. Linux gives it to a server for the fair
classes, which it counts with them.
"""


@final
class Bandwidth:
    """The parts of the time that threads with deadlines have, added up."""

    def __init__(self) -> None:
        self.admitted: int = 0  # of all that count
        self.active: int = 0  # of those that use theirs

    def limit(self) -> int:
        """What threads with deadlines may have of a processor."""
        return _WHOLE if RUNTIME.value == UNLIMITED else ratio(RUNTIME.value, PERIOD.value)

    def in_use(self) -> int:
        """What of a processor's time is not free for threads that reclaim unused time."""
        return self.active // len(PROCESSORS) + _KEPT

    def check(self, old: int, fresh: int) -> None:
        """Raise EBUSY if there is no room for a new part in place of an old one."""
        if RUNTIME.value == UNLIMITED or fresh == old:
            return
        if self.admitted - old + fresh > (self.limit() - _KEPT) * len(PROCESSORS):
            raise Errno(EBUSY)

    def check_limit(self, share_us: int, period_us: int) -> None:
        """Raise EBUSY if more has been admitted than there would be by other settings."""
        share = _WHOLE if share_us == UNLIMITED else ratio(share_us, period_us)
        if share * len(PROCESSORS) < self.admitted:
            raise Errno(EBUSY)


BANDWIDTH: Final = Bandwidth()


@final
class RealtimePeriod(SystemSetting):
    """Microseconds; not less than the share."""

    def store(self, numbers: list[int]) -> None:
        if numbers[0] < RUNTIME.value:
            raise Errno(EINVAL)
        BANDWIDTH.check_limit(RUNTIME.value, numbers[0])
        super().store(numbers)


@final
class RealtimeShare(SystemSetting):
    """Microseconds of each period, or UNLIMITED."""

    def store(self, numbers: list[int]) -> None:
        if numbers[0] > PERIOD.value:
            raise Errno(EINVAL)
        BANDWIDTH.check_limit(numbers[0], PERIOD.value)
        super().store(numbers)


@final
class LongestPeriod(SystemSetting):
    """Microseconds: what a thread with deadlines may ask for."""

    def store(self, numbers: list[int]) -> None:
        if numbers[0] < SHORTEST_PERIOD.value:
            raise Errno(EINVAL)
        super().store(numbers)


@final
class ShortestPeriod(SystemSetting):
    """The same."""

    def store(self, numbers: list[int]) -> None:
        if numbers[0] > LONGEST_PERIOD.value:
            raise Errno(EINVAL)
        super().store(numbers)


PERIOD: Final = RealtimePeriod(b"kernel/sched_rt_period_us", [1_000_000], 1, _INT_MOST)
RUNTIME: Final = RealtimeShare(b"kernel/sched_rt_runtime_us", [950_000], UNLIMITED, _INT_MOST)
LONGEST_PERIOD: Final = LongestPeriod(b"kernel/sched_deadline_period_max_us", [1 << 22], 0, _UNSIGNED_MOST)
SHORTEST_PERIOD: Final = ShortestPeriod(b"kernel/sched_deadline_period_min_us", [100], 0, _UNSIGNED_MOST)
