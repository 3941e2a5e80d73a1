"""IOCB_CMD_POLL: requests that wait until a file is ready (io_submit(2)).

A request waits on the queues of its file. A wake, which may come from an interrupt, has the thread "async" ask the
file: it completes the request if the awaited event has come, or leaves it waiting.

Context: `start` raises MemoryError; a wake is fit for interrupts. The thread sleeps if a file's `poll` does.
"""

from kernel.fs.constants import POLLERR, POLLHUP
from kernel.fs.file import File
from kernel.ipc.aio import AioContext, LaterRequest
from kernel.ipc.eventfd import EventFile
from kernel.lang import EINVAL, Errno, final, noraise
from kernel.sched import LastingWaiter
from kernel.sched.later import Job, start_thread


@final
class RequestWaiter(LastingWaiter):
    """A request's places on queues."""

    def __init__(self) -> None:
        super().__init__()
        self.request: PollRequest | None = None  # until it begins, and once it is done

    def notified(self) -> None:
        request = self.request
        if request is not None:
            request.job.schedule()


@final
class Look(Job):
    """The thread's part of a request."""

    def __init__(self) -> None:
        super().__init__()
        self.request: PollRequest | None = None  # until it begins, and once it is done

    def run(self) -> None:
        request = self.request
        if request is not None:
            request.look()


@final
class PollRequest(LaterRequest):
    """One request. It holds its file, and the eventfd that is notified of its end."""

    def __init__(
        self, context: AioContext, file: File, events: int, address: int, data: int, bell: EventFile | None
    ) -> None:
        super().__init__(address)
        self.context: AioContext | None = context  # None: it is done
        self.file: File | None = file  # until it is let go
        self.events: int = events | POLLERR | POLLHUP
        self.data: int = data
        self.bell: EventFile | None = bell
        self.waiter: RequestWaiter = RequestWaiter()
        self.job: Look = Look()
        self.has_begun: bool = False
        self.woken_early: bool = False  # before it had begun
        # Last, because they refer back: an error above would leave a cycle of references behind.
        self.waiter.request = self
        self.job.request = self

    def start(self) -> None:
        """Complete it at once if the file is ready; otherwise it waits. Takes over the caller's references to file and
        eventfd, unless it raises EINVAL (a file that never wakes anyone) or MemoryError.
        """
        context = self.context
        file = self.file
        assert context is not None and file is not None
        try:
            start_thread()
            ready = file.poll(self.waiter) & self.events
            if ready == 0 and self.waiter.entry_count == 0:
                raise Errno(EINVAL)
            if ready == 0 and not context.has_ended():
                context.add_later(self)
            self.has_begun = True
        finally:
            if not self.has_begun:
                self._leave_queues()
                self.context = None
                self.job.request = None
        if ready != 0 or context.has_ended():
            self._finish(context, ready)
            self._let_go()
        elif self.woken_early:
            self.job.schedule()  # while asking the file slept

    def look(self) -> None:
        """A queue was woken: check whether the awaited event is there. Or it was cancelled. May sleep. MemoryError,
        with nothing changed.
        """
        if not self.has_begun:
            self.woken_early = True
            return
        context = self.context
        file = self.file
        if context is None or file is None:
            self._let_go()
            return
        if context.has_ended():
            return
        file.acquire()  # it may be cancelled while this sleeps
        try:
            ready = file.poll(None) & self.events
            if ready != 0 and self.waits():
                context.drop_later(self)
                self._finish(context, ready)
                self._let_go()
        finally:
            file.release()

    def waits(self) -> bool:
        """Whether its end is left to the thread. A method, because it is checked again after a sleep."""
        context = self.context
        return context is not None and not context.has_ended()

    @noraise
    def cancel(self) -> None:
        # Its file is left to the thread: the end of an address space comes where little of the stack is left.
        context = self.context
        if context is not None:
            self._finish(context, 0)
            self.job.schedule()

    @noraise
    def _finish(self, context: AioContext, result: int) -> None:
        self.context = None
        self._leave_queues()
        context.complete(self.address, self.data, result, self.bell)

    @noraise
    def _let_go(self) -> None:
        """It is done: release everything."""
        self.job.request = None
        bell = self.bell
        self.bell = None
        if bell is not None:
            bell.release()
        file = self.file
        self.file = None
        if file is not None:
            file.release()

    @noraise
    def _leave_queues(self) -> None:
        self.waiter.close()
        self.waiter.request = None
