"""/proc/PID/{mounts,mountinfo,mountstats}: the tree as the process sees it (proc_pid_mounts(5), …).

An open file keeps the namespace and the root that the process had then. Its text is produced one mount at a time, since
there may be many.
"""

from kernel.fs.constants import POLLERR, POLLPRI, READABLE, WRITABLE
from kernel.fs.file import File
from kernel.fs.mount_lists import numbers_in
from kernel.fs.mount_text import MountView
from kernel.fs.path import FsContext, Mount, MountNamespace, Path
from kernel.fs.procfs.entries import PiecesFile
from kernel.fs.procfs.process_files import context_of
from kernel.fs.procfs.subject import Subject
from kernel.lang import EINVAL, Errno, noraise
from kernel.lib.sorting import sort_paced
from kernel.sched import PollWaiter


class MountsFile(PiecesFile):
    """One of them, open. Base class."""

    def __init__(self, path: Path, flags: int, context: FsContext) -> None:
        view = MountView(context.root)
        numbers: list[int] = []
        super().__init__(path, flags)
        self.view: MountView = view
        self.numbers: list[int] = numbers  # of the mounts to come, the next one at the end
        self.namespace: MountNamespace = context.namespace
        self.seen: int = context.namespace.changes
        context.namespace.acquire()
        context.root.pin()

    @noraise
    def close(self) -> None:
        self.view.root.unpin()
        self.namespace.release()

    def can_be_watched(self) -> bool:
        return True

    def poll(self, waiter: PollWaiter | None) -> int:
        """Also POLLERR and POLLPRI, once after each change of the tree."""
        namespace = self.namespace
        if waiter is not None:
            waiter.wait_on(namespace.watchers)
        namespace.is_told = False
        if self.seen == namespace.changes:
            return READABLE
        self.seen = namespace.changes
        return READABLE | POLLERR | POLLPRI

    def begin(self) -> None:
        self.view = MountView(self.view.root)
        numbers = numbers_in(self.namespace)
        sort_paced(numbers)
        numbers.reverse()
        self.numbers = numbers

    def next_piece(self) -> bytes | None:
        if len(self.numbers) == 0:
            return None
        mount = self.namespace.mounts.get(self.numbers.pop())
        return b"" if mount is None else self.line(mount)

    def line(self, mount: Mount) -> bytes:
        """The text about one mount."""
        return b""


class MountinfoFile(MountsFile):
    """mountinfo."""

    def line(self, mount: Mount) -> bytes:
        return self.view.mountinfo_line(mount)


class FstabFile(MountsFile):
    """mounts: a line a mount, as in fstab(5)."""

    def line(self, mount: Mount) -> bytes:
        return self.view.mounts_line(mount)


class MountstatsFile(MountsFile):
    """mountstats: the same in words; no file system has statistics to add."""

    def can_be_watched(self) -> bool:
        return False

    def poll(self, waiter: PollWaiter | None) -> int:
        return READABLE | WRITABLE

    def line(self, mount: Mount) -> bytes:
        return self.view.mountstats_line(mount)


def _context(subject: Subject) -> FsContext:
    """EINVAL for zombies."""
    context = context_of(subject)
    if context is None:
        raise Errno(EINVAL)
    return context


def open_mounts(path: Path, flags: int, subject: Subject) -> File:
    """open(2) of mounts."""
    return FstabFile(path, flags, _context(subject))


def open_mountinfo(path: Path, flags: int, subject: Subject) -> File:
    """open(2) of mountinfo."""
    return MountinfoFile(path, flags, _context(subject))


def open_mountstats(path: Path, flags: int, subject: Subject) -> File:
    """open(2) of mountstats."""
    return MountstatsFile(path, flags, _context(subject))
