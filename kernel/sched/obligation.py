"""What a thread owes to others, so that nobody waits for a dead one.

A bug ends a thread in the middle of what it does, after the clean-up around it (kernel/doors/trap.py). What it had
begun, and others wait for without a limit and without hearing of signals, would never come to an end. So the running
thread notes such a thing as an `Obligation` while it has it, and the trap breaks it off: whoever waits gets an error. A
`Mutex` needs no note, because it knows its owner.

Context: never sleeps or allocates. `broken_off` runs in the trap, on what may be half changed: it marks and wakes, no
more.
"""

from kernel.sched.scheduler import current_thread, wake
from kernel.sched.thread import Thread, first_thread


class Obligation:
    """Base class."""

    def __init__(self) -> None:
        self.next_owed: Obligation | None = None  # what the same thread owes besides

    def owe(self) -> None:
        """The running thread has it from now on."""
        thread = current_thread()
        self.next_owed = thread.owed
        thread.owed = self

    def settle(self) -> None:
        """The running thread has it no more. Fine if it never had."""
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
        """The thread that owes this has died by a bug."""


def lose_thread(thread: Thread) -> None:
    """The running thread ran into a bug and will end: what it owes is broken off, and whoever waits for it looks again.
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
        other = other.all_next
