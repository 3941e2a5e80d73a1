"""A core dump in progress: how the process's threads, and threads that would end it, wait for each other (core(5)).

The dumping thread lets the others run to their end, where they wait for it with their memory and registers unchanged.
All of them are "exiting" meanwhile, so signals are dropped; only SIGKILL breaks the dump off.

Invariant: `missing` counts the other threads that have not arrived yet.
Context: `attend` and `gather` sleep.
"""

from typing import Final

from kernel.lang import final, noraise
from kernel.lib.pid import Pid
from kernel.sched import WaitQueue

# Process.dumpable (prctl(2), PR_SET_DUMPABLE)
NOT_DUMPED: Final = 0
DUMPED_FOR_ITSELF: Final = 1
DUMPED_FOR_ROOT: Final = 2

CORE_WAS_DUMPED: Final = 0x80  # in a status as wait(2) reports it


@final
class CoreDump:
    """The dump of one process, while it lasts."""

    def __init__(self, dumper: Pid, missing: int) -> None:
        self.dumper: Pid = dumper
        self.missing: int = missing
        self.is_broken_off: bool = False  # SIGKILL came
        self.has_dumped: bool = False  # some was dumped, at least
        self.is_over: bool = False
        self._arrivals: WaitQueue = WaitQueue()
        self._attending: WaitQueue = WaitQueue()

    def lets_end(self, tid: Pid) -> bool:
        """Whether a thread of the process must end, rather than go on with the dump."""
        return tid != self.dumper or self.is_broken_off

    @noraise
    def attend(self) -> None:
        """Another thread has reached its end: it waits until the dump is over."""
        self.missing -= 1
        if self.missing == 0:
            self._arrivals.wake_all()
        while not self.is_over:
            self._attending.wait()

    @noraise
    def gather(self) -> None:
        """Wait until all other threads have arrived."""
        while self.missing > 0:
            self._arrivals.wait()

    @noraise
    def finish(self) -> None:
        """Let them end."""
        self.is_over = True
        self._attending.wake_all()
