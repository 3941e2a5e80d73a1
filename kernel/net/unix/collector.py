"""The thread that looks for unreachable unix sockets, after a program has closed one that is in transit.

The last descriptor of a socket is closed while references to it are in queues: from now on it may be part of a cycle.
Usually it is not, because programs close descriptors they have sent. So the thread waits a while, and then looks once
for all that were closed in the meantime.

Context: the thread sleeps.
"""

from typing import Final

from kernel.lang import Errno, final
from kernel.net.unix.rights import SUSPICION
from kernel.net.unix.unreachable import collect
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
