"""A watchdog: a timer of the hardware, and what programs have asked of it.

A driver derives from `WatchdogTimer` and enters its timer with `kernel/drivers/watchdog/device_file.py`. A `Watchdog`
keeps what all have in common: whether it runs, whether it may be stopped again, and the warning before it expires.

    inactive --open--> active --ping--> active
    active --close after a `V` was written--> inactive
    active --close--> active: the machine is reset unless somebody opens the device again and pings

Context: thread context; nothing sleeps. The warning's timer expires in an interrupt.
Source: Linux's Documentation/watchdog/watchdog-api.rst, watchdog-kernel-api.rst, and sysfs-class-watchdog in
Documentation/ABI/testing.
"""

from enum import IntEnum
from typing import Final

from kernel.lang import EINVAL, Errno, final, noraise, panic
from kernel.lib import log
from kernel.sched import WaitQueue
from kernel.time.clock import NS_PER_SECOND, monotonic_ns
from kernel.time.timers import FOREVER_NS, Timer

# What a watchdog can do, and its state (WDIOF_*)
CARD_RESET: Final = 0x0020  # the last reset was the watchdog's
SET_TIMEOUT: Final = 0x0080
MAGIC_CLOSE: Final = 0x0100
PRETIMEOUT: Final = 0x0200
KEEPALIVE: Final = 0x8000

_TIMEOUT_LIMIT: Final = 0xFFFF_FFFF // 1000  # seconds: as milliseconds they fit an unsigned int


class WatchdogTimer:
    """The hardware. Base class of drivers; its methods neither sleep nor raise."""

    def __init__(self, identity: bytes, shortest: int, longest: int, seconds: int) -> None:
        """`identity`: up to 31 bytes; the shortest, the longest and the present time in seconds."""
        self.identity: bytes = identity
        self.shortest: int = shortest
        self.longest: int = longest
        self.seconds: int = seconds  # until it resets the machine, from the last restart on
        self.caused_reset: bool = False  # the one before this boot

    @noraise
    def start(self, *, for_good: bool) -> None:
        """Let it run; `for_good`: so that nothing but a reset of the machine stops it."""

    @noraise
    def stop(self) -> bool:
        """Stop it; whether it did."""
        return True

    @noraise
    def restart(self) -> None:
        """Let it count from the beginning."""

    @noraise
    def set_seconds(self, seconds: int) -> None:
        """Change the time, and let it count from the beginning."""


class Governor(IntEnum):
    """What the warning does."""

    NOOP = 0  # it writes a line to the log
    PANIC = 1


GOVERNOR_NAMES: Final[list[bytes]] = [b"noop", b"panic"]


@final
class Watchdog:
    """A timer that programs can use. Raises MemoryError."""

    def __init__(self, timer: WatchdogTimer) -> None:
        self.timer: WatchdogTimer = timer
        self.is_active: bool = False
        self.is_open: bool = False
        self.stays_active: bool = False  # nowayout: once active, it is until the machine is reset
        self.may_stop: bool = False  # `V` was in the last write
        self.was_pinged: bool = False  # since its status was read
        self.pretimeout: int = 0  # seconds before the reset in which the warning comes; 0: there is none
        self.governor: Governor = Governor.NOOP
        self.warning: ExpiryWarning = ExpiryWarning(self)
        self.warning.suspend()

    def options(self) -> int:
        """What it can do."""
        return SET_TIMEOUT | MAGIC_CLOSE | KEEPALIVE

    def boot_status(self) -> int:
        """What is known of the last reset."""
        return CARD_RESET if self.timer.caused_reset else 0

    def take_status(self) -> int:
        """The state. That it was pinged is reported once."""
        status = self.boot_status() | PRETIMEOUT
        if self.may_stop:
            status |= MAGIC_CLOSE
        if self.was_pinged:
            status |= KEEPALIVE
        self.was_pinged = False
        return status

    @noraise
    def start(self) -> None:
        """Let it run, unless it does."""
        if not self.is_active:
            self.was_pinged = True
            self.timer.start(for_good=self.stays_active)
            self.is_active = True
            self._time_warning()

    @noraise
    def stop(self) -> bool:
        """Stop it; False if it goes on."""
        if self.is_active:
            if self.stays_active:
                log.info("watchdog: nowayout prevents that it is stopped")
                return False
            if not self.timer.stop():
                return False
            self.is_active = False
            self._time_warning()
        return True

    @noraise
    def ping(self) -> None:
        """Keep it from expiring, if it runs."""
        if self.is_active:
            self.was_pinged = True
            self.timer.restart()
            self._time_warning()

    def set_timeout(self, seconds: int) -> None:
        """Change the time until the reset, and begin it anew. Raises EINVAL."""
        if not self.timer.shortest <= seconds <= min(self.timer.longest, _TIMEOUT_LIMIT):
            raise Errno(EINVAL)
        self.timer.set_seconds(seconds)
        self.timer.seconds = seconds
        self.ping()

    def set_pretimeout(self, seconds: int) -> None:
        """Change how long before the reset the warning comes: from the next ping on. Raises EINVAL."""
        if seconds != 0 and seconds >= self.timer.seconds:
            raise Errno(EINVAL)
        self.pretimeout = seconds

    def open(self) -> None:
        """A program opens the device, which nobody else has open: that starts the timer."""
        self.start()
        self.is_open = True

    @noraise
    def close(self) -> None:
        """The program closes it, or ends."""
        if self.is_active:
            may_stop = self.may_stop
            self.may_stop = False
            if not (may_stop and self.stop()):
                log.error("watchdog: it was closed and runs on")
                self.ping()
        self.is_open = False

    @noraise
    def _time_warning(self) -> None:
        """The timer was started, restarted or stopped: so is the warning."""
        deadline_ns = FOREVER_NS
        if self.is_active and 0 < self.pretimeout < self.timer.seconds:
            deadline_ns = monotonic_ns() + (self.timer.seconds - self.pretimeout) * NS_PER_SECOND
        self.warning.move(deadline_ns)


@final
class ExpiryWarning(Timer):
    """Expires a while before the watchdog does. It is always armed, so that it needs no memory later."""

    def __init__(self, watchdog: Watchdog) -> None:
        super().__init__()
        self.watchdog: Watchdog = watchdog
        self.has_expired: bool = False  # and the log does not have it yet
        self.expired: WaitQueue = WaitQueue()

    def expire(self, now_ns: int) -> int:
        if self.watchdog.governor == Governor.PANIC:
            panic("watchdog pretimeout event")
        self.has_expired = True
        self.expired.wake_all()
        return FOREVER_NS

    def report_expiry(self) -> None:
        """Wait until it expires, and write that to the log."""
        while not self.has_expired:
            self.expired.sleep(interruptible=False)
        self.has_expired = False
        log.emergency("watchdog: pretimeout event")


WATCHDOGS: Final[list[Watchdog]] = []  # by number


@noraise
def stop_all() -> None:
    """The machine is about to stop, to restart or to run another kernel: watchdogs stop, even those that should stay
    active, except where the hardware does not let them.
    """
    for watchdog in WATCHDOGS:
        if watchdog.is_active:
            watchdog.timer.stop()
