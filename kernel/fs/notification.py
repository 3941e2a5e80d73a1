"""Notifying watchers of what happens to files: the source of inotify(7), fanotify(7) and dnotify (F_NOTIFY of
fcntl(2)).

A `Watch` belongs to an inode. Events of a file are reported to the watches of its inode, and with the file's name to
those of the directory that has the name. Events of a name (created, removed, moved) are reported to the directory
alone. The file system calls report; what the kernel does for itself or what goes through a mapping is not reported. The
marks of fanotify belong to inodes, mounts and file systems, and get the same events (marks.py).

Invariants: an inode with watches or marks has a `WatchList`, which counts as one of its users, so that it stays in
memory, unless all are evictable marks; an inode that only its watches keep is gone for good once its last name is
(`WatchList.inode_removed`). The lists of a file system are linked with each other (`FileSystem.watched`), and ended one
by one when it goes. Without any watch or mark, reporting costs one test of `WATCHES.count`.

Context: reporting never sleeps and never raises, so a file can be closed from anywhere (`tell_moved` alone sleeps).
There may be many listeners, and each calls `spend` for its cost: a call with several events takes safe points in
between. What ends watches may sleep. Source: inotify(7).
"""

from typing import TYPE_CHECKING, Final

from kernel.fs.constants import O_PATH, O_SILENT
from kernel.fs.marks import (
    MARKS,
    OPENED_FOR_RUNNING,
    Mark,
    count_mark,
    end_marks,
    forget_mark,
    tell_marks,
    tell_removed,
    tell_renamed,
)
from kernel.lang import inline, noraise, recursion
from kernel.lib.linked import Linked
from kernel.lib.pace import pace

if TYPE_CHECKING:
    from kernel.fs.dentry import Dentry
    from kernel.fs.descriptors import FileTable
    from kernel.fs.file import File
    from kernel.fs.filesystem import FileSystem
    from kernel.fs.inode import Inode
    from kernel.fs.path import Mount, Path

IN_ACCESS: Final = 0x1
IN_MODIFY: Final = 0x2
IN_ATTRIB: Final = 0x4
IN_CLOSE_WRITE: Final = 0x8
IN_CLOSE_NOWRITE: Final = 0x10
IN_OPEN: Final = 0x20
IN_MOVED_FROM: Final = 0x40
IN_MOVED_TO: Final = 0x80
IN_CREATE: Final = 0x100
IN_DELETE: Final = 0x200
IN_DELETE_SELF: Final = 0x400
IN_MOVE_SELF: Final = 0x800
IN_UNMOUNT: Final = 0x2000
IN_Q_OVERFLOW: Final = 0x4000
IN_IGNORED: Final = 0x8000
IN_EXCL_UNLINK: Final = 0x0400_0000
IN_RENAMED: Final = 0x1000_0000  # inside one directory; only dnotify gets it
IN_ISDIR: Final = 0x4000_0000

# Instructions, for `pace`
_END_COST: Final = 1000  # for the watches of an inode
TELL_COST: Final = 300  # for an event, apart from what each listener spends


class Watch:
    """A watch on an inode. Base class: see ipc/inotify.py and task/file_events.py."""

    def __init__(self, inode: "Inode", mask: int) -> None:
        self.inode: Inode | None = inode  # None once the watch has ended
        self.mask: int = mask

    def happened(self, mask: int, name: bytes, cookie: int) -> None:
        """One of the watch's events: `name` is empty for events of the inode itself. May end the watch."""

    def ended(self) -> None:
        """The inode is gone, and the watch with it."""

    def belongs_to(self, file: "File", table: "FileTable") -> bool:
        """Whether it ends when a process closes a descriptor of this description."""
        return False


class WatchList(Linked["WatchList"]):
    """The watches and marks of one inode. Linked with those of its file system."""

    def __init__(self, inode: "Inode") -> None:
        super().__init__()
        self.inode: Inode | None = inode
        self.watches: list[Watch] = []
        self.marks: list[Mark] = []

    @inline
    def this(self) -> "WatchList":
        return self

    def is_empty(self) -> bool:
        return len(self.watches) == 0 and len(self.marks) == 0

    def alone(self, links: int, names: int) -> None:
        """Nobody else uses the inode, which has that many links, and that many dentries that lead to it."""
        if links == 0:
            self.inode_removed()
        elif names == 0:
            self.leave_memory()

    @noraise
    def leave_memory(self) -> None:
        """Nobody else uses the inode, and no dentry leads to it: end the marks if they are evictable. Never sleeps."""
        inode = self.inode
        if inode is None or not self._can_go():
            return
        WATCHES.count -= len(self.marks)
        end_marks(self.marks)
        self._forget()
        inode.users -= 1
        inode.became_idle()

    def _can_go(self) -> bool:
        """Whether the inode need not stay in memory for what watches it: all of that is evictable marks."""
        inode = self.inode
        if inode is None or not inode.file_system.drops_inodes() or len(self.watches) > 0:
            return False
        for mark in self.marks:
            if not mark.is_evictable:
                return False
        return True

    def tell(self, mask: int, name: bytes, cookie: int, is_unlinked: bool) -> None:
        """Notify the watches whose masks include the event. A watch may end meanwhile."""
        watches = self.watches
        index = 0
        while index < len(watches):
            watch = watches[index]
            if watch.mask & mask & ~IN_ISDIR != 0 and not (is_unlinked and watch.mask & IN_EXCL_UNLINK != 0):
                watch.happened(mask, name, cookie)
            if index < len(watches) and watches[index] is watch:
                index += 1

    @noraise
    def inode_removed(self) -> None:
        """The last name and the last user are gone: end the watches, and then the inode."""
        self.tell(IN_DELETE_SELF, b"", 0, is_unlinked=False)
        inode = self.inode
        if inode is not None and MARKS.count != 0:
            tell_removed(inode, IN_DELETE_SELF)
        self._end_watches()
        self._forget()
        if inode is not None:
            inode.users -= 1  # not `release`, whose notifications were sent already
            if inode.users == 0:
                inode.evict()

    @recursion(2)  # an inode that is released with its last watch has no watches
    def end(self) -> None:
        """End all watches. The inode may be evicted."""
        inode = self.inode
        self._end_watches()
        self._forget()
        if inode is not None:
            inode.release()

    def _end_watches(self) -> None:
        while len(self.watches) > 0:
            watch = self.watches.pop()
            watch.inode = None
            WATCHES.count -= 1
            watch.ended()
        WATCHES.count -= len(self.marks)
        end_marks(self.marks)

    def _forget(self) -> None:
        inode = self.inode
        self.inode = None
        if inode is None:
            return
        inode.watches = None
        inode.file_system.watched.unlink(self)


class Watches:
    """All watches of the machine."""

    def __init__(self) -> None:
        self.count: int = 0
        self.cookie: int = 0

    def next_cookie(self) -> int:
        """The number that the two halves of a rename share."""
        self.cookie = self.cookie + 1 & 0xFFFF_FFFF
        return self.cookie


WATCHES: Final = Watches()


def add_watch(watch: Watch) -> None:
    """Begin to notify a watch. Raises MemoryError."""
    inode = watch.inode
    assert inode is not None
    found = _list_of(inode)
    try:
        found.watches.insert(0, watch)  # the newest is notified first, as on Linux
    except MemoryError:
        _end_if_empty(found)
        raise
    WATCHES.count += 1


def _list_of(inode: "Inode") -> WatchList:
    """The watch list of an inode, created if needed. Raises MemoryError."""
    found = inode.watches
    if found is None:
        found = WatchList(inode)
        inode.file_system.watched.link_first(found)
        inode.watches = found
        inode.acquire()
    return found


def _end_if_empty(found: WatchList) -> None:
    if found.is_empty():
        found.end()


def remove_watch(watch: Watch) -> None:
    """End one watch; `ended` is not called. Does nothing if it has ended."""
    inode = watch.inode
    if inode is None:
        return
    found = inode.watches
    watch.inode = None
    if found is None:
        return
    found.watches.remove(watch)
    WATCHES.count -= 1
    _end_if_empty(found)


def add_mark(mark: Mark) -> None:
    """Put a mark on what it names. Raises MemoryError."""
    inode = mark.inode
    mount = mark.mount
    file_system = mark.file_system
    if inode is not None:
        found = _list_of(inode)
        try:
            found.marks.append(mark)
        except MemoryError:
            _end_if_empty(found)
            raise
    elif mount is not None:
        mount.marks = _with_mark(mount.marks, mark)
    elif file_system is not None:
        file_system.marks = _with_mark(file_system.marks, mark)
    WATCHES.count += 1
    count_mark(mark, 1)


def _with_mark(marks: list[Mark] | None, mark: Mark) -> list[Mark]:
    if marks is None:
        return [mark]
    marks.append(mark)
    return marks


def remove_mark(mark: Mark) -> None:
    """Remove a mark that its group has dropped already; `ended` is not called."""
    inode = mark.inode
    mount = mark.mount
    file_system = mark.file_system
    mark.inode = None
    mark.mount = None
    mark.file_system = None
    WATCHES.count -= 1
    if inode is not None:
        found = inode.watches
        if found is not None:
            forget_mark(found.marks, mark)
            _end_if_empty(found)
    elif mount is not None and mount.marks is not None:
        forget_mark(mount.marks, mark)
        if len(mount.marks) == 0:
            mount.marks = None
    elif file_system is not None and file_system.marks is not None:
        forget_mark(file_system.marks, mark)
        if len(file_system.marks) == 0:
            file_system.marks = None


@noraise
def descriptor_closed(file: "File", table: "FileTable") -> None:
    """A process closed a descriptor: end what it watched through it."""
    found = file.inode.watches
    if found is not None:
        for watch in found.watches:
            if watch.belongs_to(file, table):
                remove_watch(watch)
                return


# ---- What happened --------------------------------------------------------------------------------------------------


def tell_inode(inode: "Inode", mask: int) -> None:
    """Something happened to an inode, whatever its names."""
    if WATCHES.count == 0:
        return
    if inode.is_directory():
        mask |= IN_ISDIR
    found = inode.watches
    if found is not None:
        found.tell(mask, b"", 0, is_unlinked=False)
    if MARKS.count != 0:
        tell_marks(mask, inode, None, None, b"", is_entry=False)


def tell_name(directory: "Inode", mask: int, name: bytes, cookie: int, inode: "Inode") -> None:
    """Something happened to a name of `inode` in a directory; `mask` says whether it is one of a directory."""
    found = directory.watches
    if found is not None:
        found.tell(mask, name, cookie, is_unlinked=False)
    if MARKS.count != 0:
        tell_marks(mask, inode, None, directory, name, is_entry=True)


def tell_moved(directory: "Inode", old_name: bytes, target: "Inode", new_name: bytes, inode: "Inode") -> None:
    """`inode` has another name: notify both directories. The caller, which holds all three but no names, reports events
    of the inodes themselves. Has safe points.
    """
    cookie = WATCHES.next_cookie()
    kind = IN_ISDIR if inode.is_directory() else 0
    found = directory.watches
    if directory is target and found is not None:
        found.tell(IN_RENAMED | kind, new_name, 0, is_unlinked=False)
    if MARKS.count != 0:
        tell_renamed(kind, inode, directory, old_name, target, new_name)
    pace(TELL_COST)
    tell_name(directory, IN_MOVED_FROM | kind, old_name, cookie, inode)
    pace(TELL_COST)
    tell_name(target, IN_MOVED_TO | kind, new_name, cookie, inode)
    pace(TELL_COST)


def tell_place(dentry: "Dentry", mask: int) -> None:
    """Something happened to the file at a place, whoever has it open: its directory is notified first."""
    if WATCHES.count != 0:
        _tell_at(dentry, mask, None)


def _tell_at(dentry: "Dentry", mask: int, path: "Path | None") -> None:
    """The same; `path` is how it was opened, if it was."""
    inode = dentry.inode
    if inode is None:
        return
    if inode.is_directory():
        mask |= IN_ISDIR
    parent = dentry.parent
    above = None if parent is None or parent is dentry else parent.inode
    for_watches = mask & ~OPENED_FOR_RUNNING
    if above is not None and above.watches is not None:
        above.watches.tell(for_watches, dentry.name, 0, dentry.deleted)
    found = inode.watches
    if found is not None:
        found.tell(for_watches, b"", 0, dentry.deleted)
    if MARKS.count != 0:
        tell_marks(mask, inode, path, above, dentry.name, is_entry=False)


def tell_file(file: "File", mask: int) -> None:
    """Something happened to an open file."""
    if WATCHES.count != 0 and file.flags & O_SILENT == 0:
        _tell_at(file.path.dentry, mask, file.path)


def tell_opened(file: "File", for_running: bool) -> None:
    """A file was opened, perhaps to run it."""
    tell_file(file, IN_OPEN | (OPENED_FOR_RUNNING if for_running else 0))


@noraise
def tell_closed(file: "File") -> None:
    """An open description has ended."""
    if file.flags & (O_SILENT | O_PATH) == 0:
        _tell_at(file.path.dentry, IN_CLOSE_WRITE if file.writable else IN_CLOSE_NOWRITE, file.path)


def tell_read(file: "File", count: int) -> int:
    """`count` bytes were read; returns it."""
    if WATCHES.count != 0 and count > 0:
        tell_file(file, IN_ACCESS)
    return count


def tell_written(file: "File", count: int) -> int:
    """`count` bytes were written; returns it."""
    if WATCHES.count != 0 and count > 0:
        tell_file(file, IN_MODIFY)
    return count


def tell_created(directory: "Inode", dentry: "Dentry") -> None:
    """A name was created."""
    inode = dentry.inode
    if WATCHES.count != 0 and inode is not None:
        tell_name(directory, IN_CREATE | (IN_ISDIR if inode.is_directory() else 0), dentry.name, 0, inode)


@noraise
def tell_inode_gone(inode: "Inode") -> None:
    """An inode without watches has lost its last name and its last user: for groups that marked its file system."""
    if inode.file_system.marks is not None:
        tell_removed(inode, IN_DELETE_SELF)


@noraise
def tell_mount_ended(mount: "Mount") -> None:
    """A mount goes away, and the marks on it."""
    marks = mount.marks
    if marks is not None:
        mount.marks = None
        WATCHES.count -= len(marks)
        end_marks(marks)


@noraise
def tell_file_system_ended(file_system: "FileSystem") -> None:
    """A file system goes away, and the watches and marks on it."""
    marks = file_system.marks
    if marks is not None:
        file_system.marks = None
        WATCHES.count -= len(marks)
        end_marks(marks)
    while (gone := file_system.watched.first()) is not None:
        inode = gone.inode
        if inode is not None:
            tell_inode(inode, IN_UNMOUNT)
        gone.end()
        pace(_END_COST)
