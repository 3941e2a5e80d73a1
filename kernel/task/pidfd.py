"""Process descriptors: a file that means a process, and becomes readable when that ends (pidfd_open(2)).

The number of the process may be given to another after it was waited for; the descriptor goes on meaning the old one.

Context: nothing sleeps.
"""

from kernel.fs.anonymous import anonymous_path
from kernel.fs.constants import O_RDWR, POLLHUP, READABLE
from kernel.fs.file import File
from kernel.lang import EBADF, ESRCH, Errno
from kernel.sched import PollWaiter
from kernel.task.process import Process


class PidFile(File):
    """A process descriptor. Without a process while clone(2) is still making that."""

    def __init__(self, process: Process | None, flags: int) -> None:
        super().__init__(anonymous_path(b"[pidfd]"), O_RDWR | flags)
        self.process: Process | None = process

    def living(self) -> Process:
        """The process, if it was not yet waited for. Raises ESRCH."""
        process = self.process
        if process is None or process.is_reaped:
            raise Errno(ESRCH)
        return process

    def poll(self, waiter: PollWaiter | None) -> int:
        process = self.process
        if process is None:
            return 0
        if waiter is not None:
            waiter.wait_on(process.exit_waiters)
        if process.is_reaped:
            return READABLE | POLLHUP
        return READABLE if process.is_zombie else 0

    def describe(self) -> bytes:
        process = self.process
        pid = -1 if process is None or process.is_reaped else process.pid
        return f"Pid:\t{pid}\nNSpid:\t{pid}\n".encode()


def pid_file(file: File) -> PidFile:
    """The file of a descriptor as what it must be. Raises EBADF."""
    if not isinstance(file, PidFile):
        raise Errno(EBADF)
    return file
