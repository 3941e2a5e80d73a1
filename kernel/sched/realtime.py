"""How much of the time real-time threads may take from all others (sched(7), "Limiting the CPU usage of real-time and
deadline processes").

Within each period real-time threads run for their share before any other thread. Then the others go first, until the
period ends; real-time threads get the time that these leave.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, final
from kernel.lib.settings import SystemSetting

UNLIMITED: Final = -1
_INT_MOST: Final = (1 << 31) - 1


@final
class RealtimePeriod(SystemSetting):
    """Microseconds; not less than the share."""

    def store(self, numbers: list[int]) -> None:
        if numbers[0] < RUNTIME.value:
            raise Errno(EINVAL)
        super().store(numbers)


@final
class RealtimeShare(SystemSetting):
    """Microseconds of each period, or UNLIMITED."""

    def store(self, numbers: list[int]) -> None:
        if numbers[0] > PERIOD.value:
            raise Errno(EINVAL)
        super().store(numbers)


PERIOD: Final = RealtimePeriod(b"kernel/sched_rt_period_us", [1_000_000], 1, _INT_MOST)
RUNTIME: Final = RealtimeShare(b"kernel/sched_rt_runtime_us", [950_000], UNLIMITED, _INT_MOST)
