"""What perf_event_open(2) is allowed, and how much: the settings kernel.perf_event_*.

Source: perf_event_open(2); Documentation/admin-guide/sysctl/kernel.rst.
"""

from typing import Final

from kernel.lang import EACCES, EINVAL, EPERM, Errno, final
from kernel.lib.capabilities import CAP_PERFMON, CAP_SYS_ADMIN
from kernel.lib.credentials import Credentials
from kernel.lib.settings import SystemSetting

TICK_NS: Final = 4_000_000
_TICKS_PER_SECOND: Final = 250
_INT_LEAST: Final = -(1 << 31)
_INT_MOST: Final = (1 << 31) - 1
_MOST_STACK: Final = 640 * 1024
_MOST_CONTEXTS: Final = 1000
_FOR_ADMINISTRATORS: Final = 3  # Debian's additional step, and its default: nobody else opens any event


@final
class _SampleRate(SystemSetting):
    """Samples a second, of one event. It cannot be set while nothing keeps to the share of time below."""

    def store(self, numbers: list[int]) -> None:
        if TIME_PERCENT.value == 0 or TIME_PERCENT.value == 100:
            raise Errno(EINVAL)
        super().store(numbers)


PARANOID: Final = SystemSetting(b"kernel/perf_event_paranoid", [_FOR_ADMINISTRATORS], _INT_LEAST, _INT_MOST)
TIME_PERCENT: Final = SystemSetting(b"kernel/perf_cpu_time_max_percent", [25], 0, 100)
SAMPLE_RATE: Final = _SampleRate(b"kernel/perf_event_max_sample_rate", [100_000], 1, _INT_MOST)
RING_KIB: Final = SystemSetting(b"kernel/perf_event_mlock_kb", [516], _INT_LEAST, _INT_MOST)
STACK_LIMIT: Final = SystemSetting(b"kernel/perf_event_max_stack", [127], 0, _MOST_STACK)
CONTEXT_LIMIT: Final = SystemSetting(b"kernel/perf_event_max_contexts_per_stack", [8], 0, _MOST_CONTEXTS)


def samples_per_tick() -> int:
    """How many samples an event may give in a tick before it is throttled."""
    return (SAMPLE_RATE.value + _TICKS_PER_SECOND - 1) // _TICKS_PER_SECOND


def is_privileged(who: Credentials) -> bool:
    """Whether the settings bind somebody at all."""
    return who.capable(CAP_PERFMON) or who.capable(CAP_SYS_ADMIN)


def check_any(who: Credentials) -> None:
    """Whether somebody may open any event. Raises EACCES."""
    if PARANOID.value >= _FOR_ADMINISTRATORS and not who.capable(CAP_SYS_ADMIN):
        raise Errno(EACCES)


def check_kernel(who: Credentials) -> None:
    """… one that sees the kernel. Raises EACCES."""
    if PARANOID.value > 1 and not is_privileged(who):
        raise Errno(EACCES)


def check_processor(who: Credentials) -> None:
    """… one that sees whatever a processor does. Raises EACCES."""
    if PARANOID.value > 0 and not is_privileged(who):
        raise Errno(EACCES)


def check_tracepoint(who: Credentials) -> None:
    """… one that shows what the kernel's tracepoints show. Raises EPERM."""
    if is_paranoid() and not is_privileged(who):
        raise Errno(EPERM)


def is_paranoid() -> bool:
    """Whether memory for samples is limited, and tracepoints are for the privileged."""
    return PARANOID.value > -1
