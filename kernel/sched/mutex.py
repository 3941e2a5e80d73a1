"""A lock that sleeps.

Most kernel code needs none, because it is not interrupted between two sleeps; a Mutex is for what must stay together
across one.

A thread that runs into a bug gives back what `with` or `finally` around the place would; the next caller gets the lock.
If it ends with a lock all the same (`Thread.is_lost`), nobody gets that any more: `acquire` raises EIO, for those who
wait already too.

Context: `acquire` sleeps.
"""

from typing import Final

from kernel.lang import EINTR, EIO, Errno, final, noinline, panic, sleeps
from kernel.sched.scheduler import current_thread
from kernel.sched.thread import Thread
from kernel.sched.wait import WaitQueue
from kernel.time.clock import monotonic_ns

_LOOK_AGAIN_NS: Final = 50_000_000  # how long it takes at most until a kill is noticed


@final
class Mutex:
    """`with mutex:` or acquire and release. Not recursive."""

    def __init__(self) -> None:
        self.owner: Thread | None = None
        self.waiters: WaitQueue = WaitQueue()

    @sleeps
    def acquire(self) -> None:
        """Wait until the lock is free, and take it. Raises EIO (its owner was lost)."""
        thread = current_thread()
        if self.owner is not None:
            self._wait(thread)
        self.owner = thread

    @noinline
    @sleeps
    def _wait(self, thread: Thread) -> None:
        """Sleep until the lock is free."""
        owner = self.owner
        while owner is not None:
            if owner.is_lost:
                raise Errno(EIO)
            if owner is thread:
                panic("a mutex is taken twice by one thread")
            thread.waits_for = owner
            try:
                self.waiters.wait()
            finally:
                thread.waits_for = None
            owner = self.present_owner()

    @sleeps
    def acquire_unless_dying(self) -> None:
        """The same for a wait that may be long: a thread that is to end gives up. Raises EINTR, EIO."""
        thread = current_thread()
        owner = self.owner
        while owner is not None:
            if owner.is_lost:
                raise Errno(EIO)
            if owner is thread:
                panic("a mutex is taken twice by one thread")
            if thread.is_dying():
                self.waiters.wake_one()  # what woke this thread was perhaps for another
                raise Errno(EINTR)
            thread.waits_for = owner
            try:
                self.waiters.sleep_until(monotonic_ns() + _LOOK_AGAIN_NS, interruptible=False)
            finally:
                thread.waits_for = None
            owner = self.present_owner()
        self.owner = thread

    def present_owner(self) -> Thread | None:
        """`owner`, asked anew after a sleep."""
        return self.owner

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
