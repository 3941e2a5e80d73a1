"""Sleeping for a time, and continuing after a signal (nanosleep(2), clock_nanosleep(2))."""

from kernel.lang import ERESTART_RESTARTBLOCK, ERESTARTNOHAND, Errno, UserAddr, final
from kernel.lib import user
from kernel.sched import sleep_until
from kernel.task.task import RestartBlock, current
from kernel.time.clock import NS_PER_SECOND, monotonic_ns


@final
class SleepRestart(RestartBlock):
    """The rest of a relative sleep."""

    def __init__(self, deadline_ns: int, remaining_address: UserAddr) -> None:
        self.deadline_ns: int = deadline_ns
        self.remaining_address: UserAddr = remaining_address

    def resume(self) -> int:
        return sleep_relative(self.deadline_ns, self.remaining_address)


def sleep_relative(deadline_ns: int, remaining_address: UserAddr) -> int:
    """Sleep until a time of the monotonic clock. A signal writes the remaining time to `remaining_address` (if not 0);
    without a handler the sleep goes on.
    """
    if not _sleep(deadline_ns):
        return 0
    if remaining_address != 0:
        left_ns = max(0, deadline_ns - monotonic_ns())
        user.check(remaining_address, 16)
        user.write_i64(remaining_address, left_ns // NS_PER_SECOND)
        user.write_i64(user.at(remaining_address, 8), left_ns % NS_PER_SECOND)
    current().restart = SleepRestart(deadline_ns, remaining_address)
    raise Errno(ERESTART_RESTARTBLOCK)


def sleep_absolute(deadline_ns: int) -> int:
    """The same without a remainder: the call is simply repeated."""
    if _sleep(deadline_ns):
        raise Errno(ERESTARTNOHAND)
    return 0


def _sleep(deadline_ns: int) -> bool:
    """Sleep; returns whether a signal ended it."""
    while monotonic_ns() < deadline_ns:
        try:
            sleep_until(deadline_ns)
        except Errno:
            return True
    return False
