"""A lock that sleeps.

Most kernel code needs none, because it is not interrupted between two sleeps; a Mutex is for what must stay together
across one.

Context: `acquire` sleeps.
"""

from kernel.lang import final, panic, sleeps
from kernel.sched.scheduler import current_thread
from kernel.sched.thread import Thread
from kernel.sched.wait import WaitQueue


@final
class Mutex:
    """`with mutex:` or acquire and release. Not recursive."""

    def __init__(self) -> None:
        self.owner: Thread | None = None
        self.waiters: WaitQueue = WaitQueue()

    @sleeps
    def acquire(self) -> None:
        """Wait until the lock is free, and take it. Raises MemoryError."""
        thread = current_thread()
        if self.owner is thread:
            panic("a mutex is taken twice by one thread")
        while self.owner is not None:
            self.waiters.sleep(interruptible=False)
        self.owner = thread

    def try_acquire(self) -> bool:
        """Take the lock if it is free."""
        if self.owner is not None:
            return False
        self.owner = current_thread()
        return True

    def release(self) -> None:
        """Give it to whoever comes first."""
        self.owner = None
        self.waiters.wake_one()

    def __enter__(self) -> "Mutex":
        self.acquire()
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self.release()
