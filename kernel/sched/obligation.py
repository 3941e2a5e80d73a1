"""A thread's obligations to others, so that no one waits for a dead thread.

A bug ends a thread in the middle of its work, after the clean-up around it (kernel/doors/trap.py). Operations that it
had begun, and for which others wait without a limit and without handling signals, would never end. So the running
thread records such an operation as an `Obligation`, and the trap breaks it off: waiting threads get an error. A
`Mutex` needs no record, because it knows its owner.

Context: never sleeps or allocates. `broken_off` runs in the trap, on half-changed state: it only marks and
wakes.
"""

from kernel.lib.linked import NEXT
from kernel.sched.scheduler import current_thread, wake
from kernel.sched.thread import Thread, first_thread


class Obligation:
    """Base class."""

    def __init__(self) -> None:
        self.next_owed: Obligation | None = None  # the same thread's next obligation

    def owe(self) -> None:
        """The running thread has it from now on."""
        thread = current_thread()
        self.next_owed = thread.owed
        thread.owed = self

    def settle(self) -> None:
        """The running thread no longer has it. Harmless if it never had."""
        thread = current_thread()
        if thread.owed is self:
            thread.owed = self.next_owed
        else:
            before = thread.owed
            while before is not None and before.next_owed is not self:
                before = before.next_owed
            if before is not None:
                before.next_owed = self.next_owed
        self.next_owed = None

    def broken_off(self) -> None:
        """The thread with this obligation has died by a bug."""


def lose_thread(thread: Thread) -> None:
    """The running thread ran into a bug and will end: break off its obligations, and wake threads that wait for it.
    """
    thread.is_lost = True
    while thread.owed is not None:
        obligation = thread.owed
        thread.owed = obligation.next_owed
        obligation.next_owed = None
        obligation.broken_off()
    other = first_thread()
    while other is not None:
        if other.waits_for is thread:
            wake(other)
        other = other.all_links[NEXT]
