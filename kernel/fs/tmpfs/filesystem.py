"""tmpfs: a file system in memory (tmpfs(5)); also the root file system, and the base of devtmpfs.

A directory is a dictionary of entries, and the same entries in the order of creation (`order.py`). The contents of
regular files are in `file.py`.

Context: never sleeps, except where noted.
"""

from typing import TYPE_CHECKING, Final

from kernel.fs.constants import (
    LINK_MAX,
    NAME_MAX,
    S_IFCHR,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    S_ISGID,
)
from kernel.fs.file import DirectorySink, File, InodeFile
from kernel.fs.filesystem import FileSystem, register_filesystem
from kernel.fs.inode import Inode
from kernel.fs.path import FsContext
from kernel.fs.tmpfs.base import INHERITED_FLAGS, Tmpfs, TmpfsInode, check_tmpfs_options, octal, ramfs_mode
from kernel.fs.tmpfs.file import TmpfsFile
from kernel.fs.tmpfs.order import EntryOrder, TmpfsEntry, find_position
from kernel.lang import EINVAL, EMLINK, ENAMETOOLONG, ENOENT, Errno
from kernel.lib.credentials import Actor, Credentials, caller_credentials
from kernel.lib.pace import pace

if TYPE_CHECKING:
    from kernel.fs.path import Path

_FIRST_POSITION: Final = 2
# Instructions for an entry, for `pace`
_LOOK_COST: Final = 150
_DROP_COST: Final = 600


class TmpfsSpecial(TmpfsInode):
    """A device node, FIFO or socket: only attributes."""


class TmpfsSymlink(TmpfsInode):
    """A symbolic link."""

    def __init__(self, tmpfs: Tmpfs, target: bytes) -> None:
        super().__init__(tmpfs, S_IFLNK | 0o777)
        self.target: bytes = target
        self.size = len(target)

    def read_link(self) -> bytes:
        return self.target


class TmpfsDirectory(TmpfsInode):
    """A directory."""

    def __init__(self, tmpfs: Tmpfs, mode: int) -> None:
        self.entries: dict[bytes, TmpfsEntry] = {}  # first: the base counts an inode
        self.order: EntryOrder = EntryOrder()
        super().__init__(tmpfs, mode)
        self.next_position: int = _FIRST_POSITION
        self.above: TmpfsDirectory | None = None  # the way back while the file system is emptied
        self.nlink = 2
        self.size = 2 * tmpfs.entry_size  # "." and ".."

    # ---- Looking ----------------------------------------------------------------------------------------------

    def lookup(self, name: bytes) -> Inode | None:
        entry = self.entries.get(name)
        return entry.inode if entry is not None else None

    def seeks_from_end(self) -> bool:
        return False

    def is_empty(self) -> bool:
        return len(self.entries) == 0

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        order = self.order
        number = order.chunk_at(position)
        index = find_position(order.chunk(number), position)
        while number < order.chunk_count():
            chunk = order.chunk(number)
            while index < len(chunk):
                entry = chunk[index]
                index += 1
                inode = entry.inode
                if not sink.emit(entry.name, inode.ino, inode.directory_entry_type(), entry.position + 1):
                    return
                sink.position = entry.position + 1
            number += 1
            index = 0

    def open(self, path: "Path", flags: int) -> File:
        return InodeFile(path, flags)

    # ---- Changing ---------------------------------------------------------------------------------------------

    def create(self, name: bytes, mode: int, rdev: int, actor: Actor) -> Inode:
        self._require_alive(name)
        inode = self._make(mode, rdev)
        self._own(inode, actor)
        self._add_new(name, inode)
        if inode.is_directory():
            self.nlink += 1
        return inode

    def create_symlink(self, name: bytes, target: bytes, actor: Actor) -> Inode:
        self._require_alive(name)
        inode = TmpfsSymlink(self.tmpfs, target)
        self._own(inode, actor)
        self._add_new(name, inode)
        return inode

    def create_unnamed(self, mode: int, actor: Actor) -> Inode:
        inode = self._make(mode, 0)
        self._own(inode, actor)
        inode.nlink = 0
        return inode

    def create_whiteout(self, actor: Actor) -> Inode:
        if not self.tmpfs.makes_whiteouts:
            raise Errno(EINVAL)
        return self.create_unnamed(S_IFCHR, actor)

    def moves_names(self) -> bool:
        return True

    def link(self, name: bytes, target: Inode) -> None:
        self._require_alive(name)
        if not isinstance(target, TmpfsInode):
            raise Errno(EINVAL)
        if target.nlink >= LINK_MAX:
            raise Errno(EMLINK)
        self._add(name, target)
        target.nlink += 1
        target.ctime_ns = self.ctime_ns

    def unlink(self, name: bytes, target: Inode) -> None:
        self._remove(name)
        target.drop_link()

    def remove_directory(self, name: bytes, target: Inode) -> None:
        self._remove(name)
        self.nlink -= 1
        target.nlink = 1
        target.drop_link()

    def rename(
        self,
        name: bytes,
        target: Inode,
        new_parent: Inode,
        new_name: bytes,
        replaced: Inode | None,
        whiteout: Inode | None = None,
    ) -> None:
        if not isinstance(target, TmpfsInode) or not isinstance(new_parent, TmpfsDirectory):
            raise Errno(EINVAL)
        new_parent._require_alive(new_name)
        # Whatever may fail for lack of memory comes first; after that nothing fails.
        if replaced is not None:
            new_parent._replace(new_name, target, replaced)
        else:
            new_parent._add(new_name, target)
        if isinstance(whiteout, TmpfsInode):
            whiteout.nlink = 1
            self.entries[name].inode = whiteout
            self.touch_modified()
        else:
            self._remove(name)
        if target.is_directory():
            self.nlink -= 1
            new_parent.nlink += 1
        target.ctime_ns = new_parent.ctime_ns

    def exchange(self, name: bytes, target: Inode, other_parent: Inode, other_name: bytes, other: Inode) -> None:
        if not isinstance(other_parent, TmpfsDirectory):
            raise Errno(EINVAL)
        mine = self.entries[name]
        theirs = other_parent.entries[other_name]
        swapped = mine.inode
        mine.inode = theirs.inode
        theirs.inode = swapped
        if target.is_directory() != other.is_directory():
            step = 1 if target.is_directory() else -1
            self.nlink -= step
            other_parent.nlink += step
        self.touch_modified()
        other_parent.touch_modified()
        target.ctime_ns = self.ctime_ns
        other.ctime_ns = self.ctime_ns

    def find_below(self, ino: int, names: list[bytes] | None) -> TmpfsInode | None:
        if self.ino == ino:
            return self
        # Directories visited, each with the index of its parent in this list, and its name there.
        met: list[TmpfsDirectory] = [self]
        above: list[int] = [0]
        called: list[bytes] = [b""]
        place = 0
        while place < len(met):
            position = 0
            while (entry := met[place].order.next_from(position)) is not None:
                position = entry.position + 1
                pace(_LOOK_COST)
                inode = entry.inode
                if inode.ino == ino:
                    if names is not None:
                        names.append(entry.name)
                        while place != 0:
                            names.append(called[place])
                            place = above[place]
                        names.reverse()
                    return inode
                if isinstance(inode, TmpfsDirectory):
                    met.append(inode)
                    above.append(place)
                    called.append(entry.name)
            place += 1
        return None

    def empty_out(self) -> None:
        """The file system goes away: drop every inode, however deep, without recursion or memory. Sleeps."""
        directory = self
        while True:
            pace(_DROP_COST)
            entry = directory.order.pop()
            if entry is not None:
                inode = entry.inode
                directory.entries.pop(entry.name)
                if isinstance(inode, TmpfsDirectory):
                    inode.above = directory
                    directory = inode
                else:
                    inode.drop_link()
                continue
            directory.entries.clear()
            above = directory.above
            directory.above = None
            if directory is self or above is None:
                return
            directory.nlink = 1
            directory.drop_link()
            directory = above

    def _make(self, mode: int, rdev: int) -> TmpfsInode:
        kind = mode & S_IFMT
        if kind == S_IFREG:
            return TmpfsFile(self.tmpfs, mode)
        if kind == S_IFDIR:
            return TmpfsDirectory(self.tmpfs, mode)
        special = TmpfsSpecial(self.tmpfs, mode)
        special.rdev = rdev if special.is_device() else 0
        return special

    def _own(self, inode: TmpfsInode, actor: Actor) -> None:
        """Ownership of a new file: a set-group-ID directory hands its group down."""
        inode.uid = actor.fsuid
        inode.gid = actor.fsgid
        if inode.is_regular() or inode.is_directory():
            inode.flags = self.flags & INHERITED_FLAGS
        if self.mode & S_ISGID != 0:
            inode.gid = self.gid
            if inode.is_directory():
                inode.mode |= S_ISGID

    def _require_alive(self, name: bytes) -> None:
        if self.nlink == 0:
            raise Errno(ENOENT)
        if len(name) > NAME_MAX:
            raise Errno(ENAMETOOLONG)

    def _add_new(self, name: bytes, inode: TmpfsInode) -> None:
        """Add an inode that nobody has seen yet. Raises MemoryError; then it is gone."""
        try:
            self._add(name, inode)
        except MemoryError:
            inode.evict()
            raise

    def _add(self, name: bytes, inode: TmpfsInode) -> None:
        entry = TmpfsEntry(name, inode, self.next_position)
        self.order.append(entry)
        try:
            self.entries[name] = entry
        except MemoryError:
            self.order.remove(entry)
            raise
        self.next_position += 1
        self.size += self.tmpfs.entry_size
        self.touch_modified()

    def _replace(self, name: bytes, inode: TmpfsInode, replaced: Inode) -> None:
        """Make a name lead to another inode; the caller adjusts the directory's own count of links for `inode`."""
        self.entries[name].inode = inode
        self.touch_modified()
        if replaced.is_directory():
            self.nlink -= 1
            replaced.nlink = 1
        replaced.drop_link()

    def _remove(self, name: bytes) -> None:
        entry = self.entries.pop(name)
        self.order.remove(entry)
        self.size -= self.tmpfs.entry_size
        self.touch_modified()


def new_tmpfs(type_name: bytes, source: bytes, options: bytes, maker: Credentials | None = None) -> Tmpfs:
    """An instance with an empty root directory. Raises EINVAL, MemoryError."""
    tmpfs = Tmpfs(type_name, source, options, maker)
    enter_root(tmpfs, TmpfsDirectory(tmpfs, S_IFDIR | tmpfs.root_mode))
    return tmpfs


def enter_root(tmpfs: Tmpfs, top: TmpfsDirectory) -> None:
    """Let an instance have its root directory."""
    top.uid = tmpfs.root_uid
    top.gid = tmpfs.root_gid
    tmpfs.top = top


def make_tmpfs(source: bytes, options: bytes) -> FileSystem:
    return new_tmpfs(b"tmpfs", source, options, caller_credentials())


def check_ramfs_options(context: FsContext, options: bytes) -> None:
    """Raise EINVAL."""
    ramfs_mode(options)


def make_ramfs(source: bytes, options: bytes) -> FileSystem:
    ramfs = new_tmpfs(b"ramfs", source, b"mode=" + octal(ramfs_mode(options)), caller_credentials())
    ramfs.takes_direct_transfers = False
    ramfs.shows_options = False
    ramfs.makes_whiteouts = False
    ramfs.entry_size = 0
    ramfs.root().size = 0
    ramfs.page_limit = 1 << 50
    ramfs.inode_limit = 1 << 50
    return ramfs


_TMPFS: Final = register_filesystem(b"tmpfs", make_tmpfs, is_for_all=True)
_TMPFS.check_options = check_tmpfs_options
_TMPFS.refuses_nameless = True
_RAMFS: Final = register_filesystem(b"ramfs", make_ramfs, is_for_all=True)
_RAMFS.check_options = check_ramfs_options
_RAMFS.ignores_unknown = True
