"""Observing when threads get and lose a processor: the events of perf_event_open(2).

Called only if `RUNNING.is_observed`. Registered by the room above (kernel/perf/observer.py).

Context: inside `schedule`, between two threads: nothing there sleeps or raises. Programs of bpf(2) that trace allocate.
"""

from typing import Final

from kernel.lang import final
from kernel.sched.thread import Thread


class SwitchObserver:
    """Base class: ignores everything."""

    def idles(self, thread: Thread) -> None:
        """No thread is ready: the processor waits on the stack of the thread that it ran last."""

    def arrives(self, previous: Thread, following: Thread) -> None:
        """`following` gets the processor of `previous`; they may be the same."""


@final
class Switches:
    """The registered observer."""

    def __init__(self) -> None:
        self.observer: SwitchObserver = SwitchObserver()


SWITCHES: Final = Switches()
