"""Telling watchers what happens to files: the source of inotify(7) and of dnotify (F_NOTIFY of fcntl(2)).

A `Watch` stands on an inode. What happens to a file is reported to the watches of its inode, and with the file's name
to those of the directory that the name is in. What happens to a name (it appears, goes, moves) is reported to the
directory alone. The file system calls report; nothing is reported of what the kernel does for itself or what goes
through a mapping.

Invariants: an inode with watches has a `WatchList`, which counts as one of its users, so that it stays in memory; the
inode that only its watches keep has gone for good once its last name has (`WatchList.inode_removed`). While nobody
watches anything, reporting costs a look at `WATCHES.count`.

Context: never sleeps and never raises, so a file can be closed from anywhere. Source: inotify(7).
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import noraise, recursion

if TYPE_CHECKING:
    from kernel.fs.dentry import Dentry
    from kernel.fs.descriptors import FileTable
    from kernel.fs.file import File
    from kernel.fs.filesystem import FileSystem
    from kernel.fs.inode import Inode

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
IN_RENAMED: Final = 0x1000_0000  # inside one directory; only dnotify hears of it
IN_ISDIR: Final = 0x4000_0000


class Watch:
    """One who wants to know what happens to an inode. Base class: see ipc/inotify.py and task/file_events.py."""

    def __init__(self, inode: "Inode", mask: int) -> None:
        self.inode: Inode | None = inode  # None once the watch has ended
        self.mask: int = mask

    def happened(self, mask: int, name: bytes, cookie: int) -> None:
        """One of the watch's events: `name` is empty for what happened to the inode itself. May end the watch."""

    def ended(self) -> None:
        """The inode has gone, and the watch with it."""

    def belongs_to(self, file: "File", table: "FileTable") -> bool:
        """Whether it goes when a process closes a descriptor of this description."""
        return False


class WatchList:
    """The watches of one inode."""

    def __init__(self, inode: "Inode") -> None:
        self.inode: Inode | None = inode
        self.watches: list[Watch] = []

    def tell(self, mask: int, name: bytes, cookie: int, is_unlinked: bool) -> None:
        """Tell those whose masks say so. A watch may leave meanwhile."""
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
        """The last name and the last user have gone: the watches end, and then the inode."""
        self.tell(IN_DELETE_SELF, b"", 0, is_unlinked=False)
        self.end()

    @recursion(2)  # an inode that is released with its last watch has no watches
    def end(self) -> None:
        """End all watches. The inode may be evicted."""
        inode = self.inode
        while len(self.watches) > 0:
            watch = self.watches.pop()
            watch.inode = None
            WATCHES.count -= 1
            watch.ended()
        self.inode = None
        if inode is not None:
            inode.watches = None
            WATCHES.lists.pop(inode)
            inode.release()


class Watches:
    """All watches of the machine."""

    def __init__(self) -> None:
        self.count: int = 0
        self.lists: dict[Inode, WatchList] = {}
        self.cookie: int = 0

    def next_cookie(self) -> int:
        """What the two halves of a rename have in common."""
        self.cookie = self.cookie + 1 & 0xFFFF_FFFF
        return self.cookie


WATCHES: Final = Watches()


def add_watch(watch: Watch) -> None:
    """Begin to notify a watch. Raises MemoryError."""
    inode = watch.inode
    assert inode is not None
    found = inode.watches
    if found is None:
        found = WatchList(inode)
        found.watches.append(watch)
        WATCHES.lists[inode] = found
        inode.watches = found
        inode.acquire()
    else:
        found.watches.insert(0, watch)  # who came last hears first, as on Linux
    WATCHES.count += 1


def remove_watch(watch: Watch) -> None:
    """End one watch; `ended` is not called. Nothing happens if it has ended."""
    inode = watch.inode
    if inode is None:
        return
    found = inode.watches
    watch.inode = None
    if found is None:
        return
    found.watches.remove(watch)
    WATCHES.count -= 1
    if len(found.watches) == 0:
        found.end()


@noraise
def descriptor_closed(file: "File", table: "FileTable") -> None:
    """A process closed a descriptor: what it watched through it ends."""
    found = file.inode.watches
    if found is not None:
        for watch in found.watches:
            if watch.belongs_to(file, table):
                remove_watch(watch)
                return


# ---- What happened --------------------------------------------------------------------------------------------------


def tell_inode(inode: "Inode", mask: int) -> None:
    """Something happened to an inode, whatever its names are."""
    found = inode.watches
    if found is not None:
        found.tell(mask | (IN_ISDIR if inode.is_directory() else 0), b"", 0, is_unlinked=False)


def tell_name(directory: "Inode", mask: int, name: bytes, cookie: int) -> None:
    """Something happened to a name in a directory; `mask` says whether it is one of a directory."""
    found = directory.watches
    if found is not None:
        found.tell(mask, name, cookie, is_unlinked=False)


def tell_place(dentry: "Dentry", mask: int) -> None:
    """Something happened to the file at a place: its directory hears of it first."""
    if WATCHES.count == 0:
        return
    inode = dentry.inode
    if inode is None:
        return
    if inode.is_directory():
        mask |= IN_ISDIR
    parent = dentry.parent
    if parent is not None and parent is not dentry:
        above = parent.inode
        if above is not None and above.watches is not None:
            above.watches.tell(mask, dentry.name, 0, dentry.deleted)
    found = inode.watches
    if found is not None:
        found.tell(mask, b"", 0, dentry.deleted)


def tell_file(file: "File", mask: int) -> None:
    """Something happened to an open file."""
    if WATCHES.count != 0:
        tell_place(file.path.dentry, mask)


@noraise
def tell_closed(file: "File") -> None:
    """An open description has ended."""
    tell_place(file.path.dentry, IN_CLOSE_WRITE if file.writable else IN_CLOSE_NOWRITE)


def tell_read(file: "File", count: int) -> int:
    """`count` bytes were read; returns it."""
    if count > 0 and WATCHES.count != 0:
        tell_place(file.path.dentry, IN_ACCESS)
    return count


def tell_written(file: "File", count: int) -> int:
    """`count` bytes were written; returns it."""
    if count > 0 and WATCHES.count != 0:
        tell_place(file.path.dentry, IN_MODIFY)
    return count


def tell_created(directory: "Inode", dentry: "Dentry") -> None:
    """A name was created."""
    inode = dentry.inode
    if WATCHES.count != 0 and inode is not None:
        tell_name(directory, IN_CREATE | (IN_ISDIR if inode.is_directory() else 0), dentry.name, 0)


@noraise
def tell_file_system_ended(file_system: "FileSystem") -> None:
    """A file system goes away, and the watches on it."""
    while WATCHES.count != 0:
        gone = _list_on(file_system)
        if gone is None:
            return
        inode = gone.inode
        if inode is not None:
            tell_inode(inode, IN_UNMOUNT)
        gone.end()


def _list_on(file_system: "FileSystem") -> WatchList | None:
    for found in WATCHES.lists.values():
        inode = found.inode
        if inode is not None and inode.file_system is file_system:
            return found
    return None
