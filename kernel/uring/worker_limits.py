"""Limits of the workers and of the polling of a ring, which do not change what requests do.

Linux leaves requests that must wait to worker threads, and may poll network devices before it sleeps. Krait has no such
workers: a request is its task's work. Packets come by interrupts. So the numbers are kept and reported, as a Linux with
CONFIG_NET_RX_BUSY_POLL does, and there is nothing that they could limit or hasten.

Source: io_uring_register(2).
"""

from typing import Final

from kernel.lang import final

MOST_POLLED_US: Final = 10_000


@final
class WorkerLimits:
    """How many workers a task may have: for work that ends soon (of files), and for other work. 0: not set."""

    def __init__(self) -> None:
        self.bounded: int = 0
        self.unbounded: int = 0
        self.change: int = 0  # the number of the change that was the last

    def set(self, bounded: int, unbounded: int) -> None:
        """0 leaves a number as it is."""
        if bounded != 0:
            self.bounded = bounded
        if unbounded != 0:
            self.unbounded = unbounded


@final
class Changes:
    """Numbers changes of limits, so that it is known which came last."""

    def __init__(self) -> None:
        self.last: int = 0

    def next(self) -> int:
        self.last += 1
        return self.last


CHANGES: Final = Changes()


@final
class RingSettings:
    """Those of a ring."""

    def __init__(self) -> None:
        self.workers: WorkerLimits = WorkerLimits()  # of tasks that submit here
        self.polls: bool = False  # IORING_REGISTER_NAPI
        self.polled_us: int = 0
        self.prefers_polling: bool = False
