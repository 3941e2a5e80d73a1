"""Process descriptors: a file that refers to a process or a thread, and becomes readable when it ends (pidfd_open(2)).

The number of a reaped process may be reused; the descriptor still refers to the old one.

Context: nothing sleeps.
"""

from typing import Final

from kernel.fs.anonymous import AnonymousInode, InternalMount
from kernel.fs.constants import FS_IMMUTABLE_FL, MS_NOEXEC, O_RDWR, POLLHUP, READABLE
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import EBADF, EINVAL, EOPNOTSUPP, ESRCH, Errno, final
from kernel.lib.user import Buffer
from kernel.sched import PollWaiter
from kernel.task.pid_namespace import PidNamespace
from kernel.task.process import Process
from kernel.task.task import Task

PIDFD_THREAD: Final = 0x80  # O_EXCL
_MAGIC: Final = 0x50494446
_PIDFDS: Final = InternalMount(b"pidfs", _MAGIC)
_PIDFDS.mount.flags = MS_NOEXEC


@final
class PidInode(AnonymousInode):
    """The inode of a descriptor, which nobody can change. Opened (/proc/PID/fd), it gives another descriptor of the
    same process or thread. It counts as a regular file, but stat(2) shows no type.
    """

    def __init__(self, ino: int) -> None:
        super().__init__(_PIDFDS.file_system, ino, 0o700)
        self.flags = FS_IMMUTABLE_FL
        self.process: Process | None = None
        self.thread: Task | None = None  # PIDFD_THREAD

    def is_regular(self) -> bool:
        return True

    def check_changeable(self) -> None:
        raise Errno(EOPNOTSUPP)

    def open(self, path: Path, flags: int) -> File:
        return PidFile(self.process, flags, self.thread, path)


def _path_of(process: Process | None) -> Path:
    """A place for a descriptor. All of a process have the same inode number, and no other process ever has it."""
    ino = 0 if process is None else process.origin.descriptor_ino
    if ino == 0:
        ino = _PIDFDS.file_system.new_ino()
        if process is not None:
            process.origin.descriptor_ino = ino
    return _PIDFDS.place(PidInode(ino), b"anon_inode:[pidfd]")


class PidFile(File):
    """A process descriptor. Without a process while clone(2) is still creating it."""

    def __init__(
        self, process: Process | None, flags: int, thread: Task | None = None, place: Path | None = None
    ) -> None:
        super().__init__(_path_of(process) if place is None else place, flags if place is not None else O_RDWR | flags)
        self.process: Process | None = None
        self.thread: Task | None = None  # PIDFD_THREAD: the thread referred to
        self._refer_to(process, thread)

    def refer_to(self, process: Process, thread: Task | None) -> None:
        """The process has been created, or the thread in it. Other descriptors of the process show the same inode."""
        self._refer_to(process, thread)
        if thread is None and process.origin.descriptor_ino == 0:
            process.origin.descriptor_ino = self.inode.ino

    def _refer_to(self, process: Process | None, thread: Task | None) -> None:
        self.process = process
        self.thread = thread
        inode = self.inode
        if isinstance(inode, PidInode):
            inode.process = process
            inode.thread = thread

    def can_be_spliced(self) -> bool:
        return False

    def pread(self, buffer: Buffer, offset: int) -> int:
        raise Errno(EINVAL)

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        raise Errno(EINVAL)

    def can_read(self) -> bool:
        return False

    def can_write(self) -> bool:
        return False

    def living(self) -> Process:
        """The process, if it was not yet reaped; for a thread's descriptor, only if that is its first. Raises ESRCH."""
        process = self.process
        thread = self.thread
        if process is None or process.ending.is_reaped or (thread is not None and process.leader is not thread):
            raise Errno(ESRCH)
        return process

    def living_thread(self) -> Task:
        """The thread referred to, or the process's first. Raises ESRCH."""
        process = self.process
        thread = self.thread
        if process is not None and thread is None:
            thread = process.leader
        if process is None or process.ending.is_reaped or thread is None or self._has_gone(thread, process):
            raise Errno(ESRCH)
        return thread

    def member(self) -> Task:
        """A living thread: the one referred to, or any of the process. Raises ESRCH."""
        thread = self.thread
        if thread is None:
            thread = self.living().any_thread()
        if thread is None or thread.is_exiting:
            raise Errno(ESRCH)
        return thread

    def _has_gone(self, thread: Task, process: Process) -> bool:
        """Whether the thread can no longer be found. The first one stays until the process is reaped."""
        return thread.is_exiting and process.leader is not thread

    def poll(self, waiter: PollWaiter | None) -> int:
        process = self.process
        if process is None:
            return 0
        if waiter is not None:
            waiter.wait_on(process.exit_waiters)
        thread = self.thread
        if process.ending.is_reaped or (thread is not None and self._has_gone(thread, process)):
            return READABLE | POLLHUP
        if thread is not None and thread.is_exiting:
            return READABLE
        return READABLE if process.ending.is_zombie else 0

    def describe_to(self, pids: PidNamespace) -> bytes:
        """The lines of /proc/PID/fdinfo, by the numbers of a namespace and those below it."""
        process = self.process
        thread = self.thread
        if process is None or process.ending.is_reaped or (thread is not None and self._has_gone(thread, process)):
            return b"Pid:\t-1\nNSpid:\t-1\n"
        pid = process.pid if thread is None else thread.tid
        number = pids.shown(pid)
        below = ""
        walker: PidNamespace | None = process.pids
        while number != 0 and walker is not None and walker.level > pids.level:
            below = f"\t{walker.shown(pid)}" + below
            walker = walker.parent
        return f"Pid:\t{number}\nNSpid:\t{number}{below}\n".encode()


def pid_file(file: File) -> PidFile:
    """The file of a descriptor as a process descriptor. Raises EBADF."""
    if not isinstance(file, PidFile):
        raise Errno(EBADF)
    return file
