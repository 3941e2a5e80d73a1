"""The thread "async": work of asynchronous I/O that no other thread can do.

It asks files whether they are ready after a wake, and releases files when the last user has little of its
stack left.

Context: `Job.schedule` is fit for interrupts; `run` may sleep.
"""

from typing import Final

from kernel.lang import final, inline
from kernel.lib.linked import Queue, Queued
from kernel.sched import Thread, safe_point, sleep_until, spawn_kernel_thread, wake, yield_now
from kernel.time.timers import FOREVER_NS


class Job(Queued["Job"]):
    """Work for the thread. Base class."""

    def __init__(self) -> None:
        super().__init__()
        self.is_listed: bool = False

    @inline
    def this(self) -> "Job":
        return self

    def run(self) -> None:
        """Do the work. After MemoryError, which must leave everything consistent, it is called again."""

    def schedule(self) -> None:
        """Have the thread run it soon; calls before it does so count once."""
        if self.is_listed:
            return
        self.is_listed = True
        _THREAD.jobs.append(self)
        thread = _THREAD.thread
        if thread is not None:
            wake(thread)  # directly: a queue could wake other queues, as far as the compiler knows


@final
class AsyncThread:
    """The thread, and its work."""

    def __init__(self) -> None:
        self.jobs: Queue[Job] = Queue()
        self.thread: Thread | None = None

    def take(self) -> Job | None:
        """The next work."""
        job = self.jobs.take()
        if job is not None:
            job.is_listed = False
        return job


_THREAD: Final = AsyncThread()


def start_thread() -> None:
    """Start the thread, once. Raises MemoryError."""
    if _THREAD.thread is None:
        _THREAD.thread = spawn_kernel_thread(b"async", _work_for_ever, 0)


def _work_for_ever(_argument: int) -> None:
    while True:
        job = _THREAD.take()
        if job is None:
            sleep_until(FOREVER_NS, interruptible=False)
        else:
            _run(job)
            safe_point()


def _run(job: Job) -> None:
    try:
        job.run()
    except MemoryError:
        job.schedule()
        yield_now()  # others must run, and free some
