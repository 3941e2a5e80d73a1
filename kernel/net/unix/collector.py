"""The thread that looks for unix sockets that nobody can reach, after a program has closed one that is under way.

The last descriptor of a socket is closed while references to it lie in queues: from now on it may be one of a cycle.
Most often it is not, for programs close what they have sent. So the thread waits a while before it looks, once for all
that were closed meanwhile.

Context: the thread sleeps.
"""

from typing import Final

from kernel.lang import Errno, final
from kernel.net.unix.rights import SUSPICION, collect
from kernel.sched import sleep_until, spawn_kernel_thread, yield_now
from kernel.time.clock import monotonic_ns

_DELAY_NS: Final = 500_000_000


@final
class Collector:
    """Whether the thread runs: it starts with the first unix socket."""

    def __init__(self) -> None:
        self.runs: bool = False

    def start(self) -> None:
        """Start the thread unless it runs. Raises MemoryError."""
        if not self.runs:
            spawn_kernel_thread(b"unix", _collect_for_ever, 0)
            self.runs = True


COLLECTOR: Final = Collector()


def _collect_for_ever(_: int) -> None:
    while True:
        try:
            if not SUSPICION.is_raised:
                SUSPICION.queue.sleep(interruptible=False)
            sleep_until(monotonic_ns() + _DELAY_NS)
        except (Errno, MemoryError):
            yield_now()
        if SUSPICION.is_raised:
            SUSPICION.is_raised = False
            collect()
