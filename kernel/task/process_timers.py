"""The timers of a process that its threads' ticks drive: created when the first of any kind is set.

Guarded by the kernel lock. Ticks read them in interrupt context.
"""

from typing import TYPE_CHECKING

from kernel.lang import final

if TYPE_CHECKING:
    from kernel.task.process import Process


class ProcessTimers:
    """Timers of one kind. Base class: the modules above have a kind each."""

    def ticked(self, process: "Process") -> None:
        """The tick found one of the process's threads running. In interrupt context."""

    def delete_all(self) -> None:
        """The process ends or executes another program. Sleeps if there are many."""

    def cancel_all(self) -> None:
        """The process ends. Never sleeps."""


@final
class Timers:
    """All kinds."""

    def __init__(self) -> None:
        self.interval: ProcessTimers | None = None  # setitimer(2), and RLIMIT_CPU
        self.posix: ProcessTimers | None = None  # timer_create(2)
        self.measuring: ProcessTimers | None = None  # those of timer_create(2) that run on its processor time
        self.sleepers: ProcessTimers | None = None  # sleeps on its processor time (clock_nanosleep(2))

    def ticked(self, process: "Process") -> None:
        """The tick found one of the process's threads running. In interrupt context."""
        interval = self.interval
        if interval is not None:
            interval.ticked(process)
        measuring = self.measuring
        if measuring is not None:
            measuring.ticked(process)
        sleepers = self.sleepers
        if sleepers is not None:
            sleepers.ticked(process)

    def delete_posix(self) -> None:
        """The process executes a new program, or its last thread ends. Sleeps if there are many."""
        posix = self.posix
        if posix is not None:
            posix.delete_all()
            posix.cancel_all()
            self.posix = None

    def cancel_all(self) -> None:
        """The process ends. Sleepers end with their threads."""
        interval = self.interval
        if interval is not None:
            interval.cancel_all()
            self.interval = None
        measuring = self.measuring
        if measuring is not None:
            measuring.cancel_all()
            self.measuring = None
        posix = self.posix
        if posix is not None:
            posix.cancel_all()
            self.posix = None
