"""Changes to files by others, reported by a signal: broken leases (F_SETLEASE), changes in
directories (F_NOTIFY, "dnotify") of fcntl(2).

The signal goes to the owner of the description (async_io.py), by default the process that asked for it.

Context: starting may raise MemoryError; reporting needs no memory.
"""

from typing import Final

from kernel.fs.constants import F_RDLCK, F_UNLCK, F_WRLCK
from kernel.fs.descriptors import FileTable
from kernel.fs.file import File
from kernel.fs.leases import Lease, end_lease, set_lease
from kernel.fs.notification import (
    IN_ACCESS,
    IN_ATTRIB,
    IN_CREATE,
    IN_DELETE,
    IN_ISDIR,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_RENAMED,
    Watch,
    add_watch,
    descriptor_closed,
    remove_watch,
)
from kernel.lang import EACCES, EINVAL, ENOTDIR, Errno, final
from kernel.lib.capabilities import CAP_LEASE
from kernel.lib.settings import INT_LEAST, INT_MOST, SystemSetting
from kernel.task.async_io import own_unless_owned, tell_message
from kernel.task.task import current

DN_MULTISHOT: Final = 0x8000_0000
# DN_*, and after each the events that it means.
_EVENTS: Final[list[int]] = [
    0x1, IN_ACCESS,
    0x2, IN_MODIFY,
    0x4, IN_CREATE | IN_MOVED_TO,
    0x8, IN_DELETE | IN_MOVED_FROM,
    0x10, IN_RENAMED,
    0x20, IN_ATTRIB,
]  # fmt: skip
_ENABLED: Final = SystemSetting(b"fs/dir-notify-enable", [1], INT_LEAST, INT_MOST)


@final
class OwnedLease(Lease):
    """A lease whose holder is notified by a signal."""

    def __init__(self, file: File, kind: int, descriptor: int) -> None:
        super().__init__(file, kind)
        self.descriptor: int = descriptor  # si_fd: the one through which it was taken

    def broken(self) -> None:
        file = self.file
        if file is not None:
            tell_message(file, self.descriptor)


def choose_lease(file: File, descriptor: int, kind: int) -> None:
    """F_SETLEASE. Raises EINVAL, EACCES, EAGAIN, MemoryError."""
    if kind not in (F_RDLCK, F_WRLCK, F_UNLCK):
        raise Errno(EINVAL)
    inode = file.inode
    credentials = current().credentials
    if file.path.mount.actor(credentials).fsuid != inode.uid and not credentials.capable(CAP_LEASE):
        raise Errno(EACCES)
    if not inode.is_regular():
        raise Errno(EINVAL)
    if kind == F_UNLCK:
        end_lease(file)
        return
    set_lease(file, OwnedLease(file, kind, descriptor))
    own_unless_owned(file)


@final
class DirectoryWatch(Watch):
    """The watch of one process on a directory through one description. It keeps neither open: the watch ends
    when the process closes a descriptor of the description.
    """

    def __init__(self, file: File, table: FileTable, descriptor: int, mask: int, repeats: bool) -> None:
        super().__init__(file.inode, mask)
        self.file: File | None = file
        self.table: FileTable | None = table
        self.descriptor: int = descriptor
        self.repeats: bool = repeats

    def happened(self, mask: int, name: bytes, cookie: int) -> None:
        file = self.file
        if file is None or (len(name) == 0 and mask & IN_ISDIR == 0):
            return
        descriptor = self.descriptor
        if not self.repeats:
            remove_watch(self)
            self.ended()
        tell_message(file, descriptor)

    def ended(self) -> None:
        self.file = None
        self.table = None

    def belongs_to(self, file: File, table: FileTable) -> bool:
        return self.file is file and self.table is table


def watch_directory(file: File, descriptor: int, what: int) -> None:
    """F_NOTIFY: notify the owner once, or always, of DN_* events; they are added to those that it waits for already.
    No event ends it. Raises EINVAL, ENOTDIR, MemoryError.
    """
    if _ENABLED.value == 0:
        raise Errno(EINVAL)
    table = current().files
    if what & ~DN_MULTISHOT == 0:
        descriptor_closed(file, table)
        return
    if not file.inode.is_directory():
        raise Errno(ENOTDIR)
    mask = 0
    for index in range(0, len(_EVENTS), 2):
        if what & _EVENTS[index] != 0:
            mask |= _EVENTS[index + 1]
    repeats = what & DN_MULTISHOT != 0
    own_unless_owned(file)
    found = file.inode.watches
    if found is not None:
        for watch in found.watches:
            if isinstance(watch, DirectoryWatch) and watch.belongs_to(file, table):
                watch.descriptor = descriptor
                watch.mask |= mask
                watch.repeats = watch.repeats or repeats
                return
    add_watch(DirectoryWatch(file, table, descriptor, mask, repeats))
