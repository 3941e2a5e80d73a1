"""A lock that sleeps, and the patience for long waits.

Most kernel code needs none, because it is not interrupted between two sleeps; a Mutex is for state that must stay
consistent across one.

A thread that runs into a bug releases its locks by the `with` or `finally` around the place; the next caller gets them.
If it ends with a lock all the same (`Thread.is_lost`), no one can get that any more: `acquire` raises EIO, also for
threads that already wait.

Context: `acquire` sleeps.
"""

from typing import Final

from kernel.lang import EINTR, EIO, Errno, final, inline, noinline, noraise, panic, sleeps
from kernel.sched.scheduler import current_thread
from kernel.sched.thread import Thread
from kernel.sched.wait import WaitQueue
from kernel.time.clock import monotonic_ns

PARTING_NS: Final = 2_000_000_000
_LOOK_AGAIN_NS: Final = 50_000_000  # the longest time until a kill is noticed
_PROMPT_NS: Final = 50_000_000  # up to that, an answer is prompt
_PROMPT_SHARE: Final = 5  # the part of that time that costs patience: 1 / 5


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
        while self._must_wait(thread):
            try:
                self.waiters.wait()
            finally:
                thread.waits_for = None

    @sleeps
    def acquire_unless_dying(self) -> None:
        """The same for a wait that may be long: a thread that must end gives up. Raises EINTR, EIO."""
        thread = current_thread()
        if self.owner is not None:
            self._wait_unless_dying(thread)
        self.owner = thread

    @noinline
    @sleeps
    def _wait_unless_dying(self, thread: Thread) -> None:
        while self._must_wait(thread):
            try:
                if thread.is_dying():
                    self.waiters.wake_one()  # the wake of this thread may have been meant for another
                    raise Errno(EINTR)
                self.waiters.sleep_until(monotonic_ns() + _LOOK_AGAIN_NS, interruptible=False)
            finally:
                thread.waits_for = None

    @sleeps
    def acquire_unless_interrupted(self) -> None:
        """The same for a wait that may last as long as a program likes: a signal ends it. Raises ERESTARTSYS, EIO."""
        thread = current_thread()
        if self.owner is not None:
            self._wait_unless_interrupted(thread)
        self.owner = thread

    @noinline
    @sleeps
    def _wait_unless_interrupted(self, thread: Thread) -> None:
        while self._must_wait(thread):
            try:
                self.waiters.sleep(interruptible=True)
            except (Errno, MemoryError):
                self.waiters.wake_one()  # the wake of this thread may have been meant for another
                raise
            finally:
                thread.waits_for = None

    def present_owner(self) -> Thread | None:
        """`owner`, read again after a sleep."""
        return self.owner

    def _must_wait(self, thread: Thread) -> bool:
        """Whether another thread has the lock; if so, `waits_for` names that thread. Raises EIO."""
        owner = self.owner
        if owner is None:
            return False
        if owner.is_lost:
            raise Errno(EIO)
        if owner is thread:
            panic("a mutex is taken twice by one thread")
        thread.waits_for = owner
        return True

    def try_acquire(self) -> bool:
        """Take the lock if it is free."""
        if self.owner is not None:
            return False
        self.owner = current_thread()
        return True

    def release(self) -> None:
        """Give it to the first waiter."""
        self.owner = None
        self.waiters.wake_one()

    def __enter__(self) -> "Mutex":
        self.acquire()
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self.release()


@inline
def mutex_or_new(lock: Mutex | None) -> Mutex:
    """A lock that few objects need, to be stored before it is taken; it is created with the first need. Raises
    MemoryError.
    """
    return Mutex() if lock is None else lock


@final
class Patience:
    """How long a thread waits for others who may never come, for all the sleeps of one wait: until it must end. One
    that is already ending (`is_parting`), which no kill can reach, waits for at most `PARTING_NS` without success in
    its whole end: prompt answers count for a fifth, so that it never waits for more than 10 s in all. Call `end` when
    the wait is over.
    """

    def __init__(self) -> None:
        self._thread: Thread = current_thread()
        self.is_bounded: bool = self._thread.is_parting()
        self._began_ns: int = 0
        self._ends_ns: int = 0
        if self.is_bounded:
            now = monotonic_ns()
            left = PARTING_NS - self._thread.parting_waited_ns
            self._began_ns = now
            self._ends_ns = now + _PROMPT_NS + left if left > 0 else now

    def sleep(self, queue: WaitQueue) -> bool:
        """Sleep until woken, or for a moment; False if a signal is pending. Raises EINTR (the thread must end, or has
        waited long enough), MemoryError.
        """
        thread = self._thread
        if thread.is_doomed() or (self.is_bounded and monotonic_ns() >= self._ends_ns):
            raise Errno(EINTR)
        if not self.is_bounded and not thread.is_interrupted():
            try:
                queue.sleep(interruptible=True)
            except Errno:
                return False
            return True
        queue.sleep_until(monotonic_ns() + _LOOK_AGAIN_NS, interruptible=False)
        return self.is_bounded

    @noraise
    def end(self) -> None:
        """Count the time that the wait took."""
        if self.is_bounded:
            waited_ns = monotonic_ns() - self._began_ns
            prompt_ns = min(waited_ns, _PROMPT_NS)
            self._thread.parting_waited_ns += waited_ns - prompt_ns + prompt_ns // _PROMPT_SHARE
