"""Directories of FUSE. A walk asks for a name, unless the server still vouches for the last answer. It finds the inode
with the server's number, if there is one.

Context: everything but closing sleeps. Look-ups and changes run under the file system's lock of names; threads that
wait for it can be killed, because its holder waits for a program.
"""

from typing import Final

from kernel.fs.constants import (
    NAME_MAX,
    O_CREAT,
    O_EXCL,
    O_RDWR,
    RENAME_EXCHANGE,
    RENAME_WHITEOUT,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
)
from kernel.fs.dentry import Dentry
from kernel.fs.file import DirectorySink, File, InodeFile
from kernel.fs.fuse import protocol
from kernel.fs.fuse.file import FuseFile
from kernel.fs.fuse.handle import ServedHandle, hold, open_handle
from kernel.fs.fuse.inode import FuseInode, FuseSpecial, FuseSymlink
from kernel.fs.fuse.instance import FuseInstance
from kernel.fs.fuse.protocol import DirectoryEntry, Entry, take_entry, take_opened
from kernel.fs.fuse.request import Forgotten
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.fs.remote_file import InUse
from kernel.fs.walk import enter_listed
from kernel.lang import EINVAL, EIO, ENOENT, ENOSYS, EXDEV, Errno, final, noraise
from kernel.lib.credentials import Actor
from kernel.lib.pace import pace

_LISTED_AT_ONCE: Final = 8192  # bytes of records
_NAME_COST: Final = 300  # instructions


@final
class FuseDirectory(FuseInode):
    """A directory."""

    def __init__(self, instance: FuseInstance, entry: Entry) -> None:
        super().__init__(instance, entry)
        self.revalidates = True
        self._is_searched: bool = False  # a name was used since its last listing that looked names up

    # ---- Looking ----------------------------------------------------------------------------------------------

    def doubts(self, name: bytes, child: Inode | None) -> bool:
        if not isinstance(child, FuseInode) or not child.is_still(self, name):
            return True
        if child.came_listed:
            child.came_listed = False
            self._is_searched = True
        return False

    def lookup(self, name: bytes) -> Inode | None:
        self.instance.require_permitted()
        asked_at = self.instance.changes
        try:
            entry = self.client.look_up(self.node, name)
        except Errno as error:
            if error.code != ENOENT:
                raise
            return None
        if entry.node == 0:
            return None
        known = self.instance.known(entry)
        if known is None or known.found_in != self.node or known.found_as != name:
            self._is_searched = True
        return self._inode_of(name, entry, asked_at)

    def _inode_of(self, name: bytes, entry: Entry, asked_at: int) -> FuseInode:
        """The inode found or created by a name; `asked_at` is the instance's count of changes of then. Raises EIO
        (there is no such node), MemoryError; then the server gets a FORGET for the node.
        """
        done = False
        try:
            if entry.node in (0, protocol.ROOT_NODE):
                raise Errno(EIO)
            known = self.instance.known(entry)
            if isinstance(known, FuseInode):
                if known.changed_at <= asked_at:
                    known.take_over(entry.attributes)
            else:
                known = make_inode(self.instance, entry)
                self.instance.enter(known)
            known.found(self, name, entry)
            done = True
            return known
        finally:
            if not done and entry.node not in (0, protocol.ROOT_NODE):
                self._forget(entry.node)

    def _forget(self, node: int) -> None:
        """Have the server forget one look-up. Raises MemoryError."""
        record = Forgotten(node)
        record.lookups = 1
        self.client.forget(record)

    # ---- Listing ----------------------------------------------------------------------------------------------

    def looks_up(self, position: int) -> bool:
        """Whether names from a position on are listed with what they lead to. The server may leave that to the kernel,
        which then wants it at the beginning and after names were used, as Linux does.
        """
        agreed = self.client.connection.agreed
        if agreed is None or agreed.flags & protocol.DO_READDIRPLUS == 0:
            return False
        if agreed.flags & protocol.READDIRPLUS_AUTO == 0:
            return True
        was_searched = self._is_searched
        self._is_searched = False
        return was_searched or position == 0

    def enter_listed(self, place: Dentry, entries: list[DirectoryEntry], asked_at: int) -> None:
        """Take over what was listed with its names, as asked for at a count of changes. While another thread changes
        names, nothing is: what is not taken over is forgotten. Raises MemoryError; then the server keeps some nodes
        longer.
        """
        names = self.instance.names
        is_held = names.try_acquire()
        try:
            for entry in entries:
                if entry.node == 0 or entry.name in (b".", b".."):
                    continue  # the server has counted nothing
                if not (is_held and self._enter_one(place, entry, asked_at)):
                    self._forget(entry.node)
        finally:
            if is_held:
                names.release()

    def _enter_one(self, place: Dentry, listed: DirectoryEntry, asked_at: int) -> bool:
        """False if it was not taken over. Such a name is looked up when it is used."""
        entry = listed.entry
        if entry is None or len(listed.name) > NAME_MAX or self.nlink == 0 or place.deleted:
            return False
        if entry.node == protocol.ROOT_NODE:
            return False
        inode = self._inode_of(listed.name, entry, asked_at)
        inode.came_listed = True
        enter_listed(place, listed.name, inode)
        return True

    def is_empty(self) -> bool:
        """Always true: the server itself refuses to remove a directory that is not empty."""
        return True

    def open(self, path: Path, flags: int) -> File:
        self.instance.require_permitted()
        self.require_known()
        with InUse(self):
            handle = open_handle(self.client, self.node, flags, is_directory=True)
            done = False
            try:
                file = FuseOpenDirectory(path, flags, self, handle)
                done = True
                return file
            finally:
                if not done:
                    handle.release()

    # ---- Changing ---------------------------------------------------------------------------------------------

    def create(self, name: bytes, mode: int, rdev: int, actor: Actor) -> Inode:
        if mode & S_IFMT == S_IFREG and not self.client.connection.lacks(protocol.CREATE):
            try:
                return self._create_file(name, mode, actor)
            except Errno as error:
                if error.code != ENOSYS:
                    raise
        return self.make_node(name, mode, rdev, actor)

    def make_node(self, name: bytes, mode: int, rdev: int, actor: Actor) -> Inode:
        kind = mode & S_IFMT
        if kind == S_IFDIR:
            return self._created(name, kind, self.client.make_directory(self.node, name, mode & 0o7777, actor))
        return self._created(name, kind, self.client.make_node(self.node, name, mode, rdev, actor))

    def _created(self, name: bytes, kind: int, entry: Entry) -> FuseInode:
        """The inode that was created. Raises EIO if it is of another kind; then it is dropped, since no name leads to
        it.
        """
        self.valid_until_ns = 0
        inode = self._inode_of(name, entry, self.instance.changes)
        if inode.mode & S_IFMT != kind:
            with InUse(inode):
                raise Errno(EIO)
        return inode

    def _create_file(self, name: bytes, mode: int, actor: Actor) -> Inode:
        """Create a file that is open at the server already: its description takes over that handle, since the mode may
        forbid opening it again.
        """
        flags = O_RDWR | O_CREAT | O_EXCL
        answer = self.client.create(self.node, name, flags, mode, actor).reading()
        entry = take_entry(answer)
        opened = take_opened(answer)
        handle = hold(self.client, entry.node, opened, O_RDWR, is_directory=False)
        done = False
        try:
            inode = self._created(name, S_IFREG, entry)
            if not isinstance(inode, FuseFile):
                with InUse(inode):
                    raise Errno(EIO)
            inode.contents.keep_open(handle)
            done = True
            return inode
        finally:
            if not done:
                handle.release()

    def create_symlink(self, name: bytes, target: bytes, actor: Actor) -> Inode:
        return self._created(name, S_IFLNK, self.client.make_symlink(self.node, name, target, actor))

    def link(self, name: bytes, target: Inode) -> None:
        if not isinstance(target, FuseInode):
            raise Errno(EXDEV)
        linked = self._created(name, target.mode & S_IFMT, self.client.link(self.node, name, target.node))
        if linked is not target:
            with InUse(linked):
                raise Errno(EIO)

    def unlink(self, name: bytes, target: Inode) -> None:
        self.client.unlink(self.node, name)
        self._lost(target)

    def remove_directory(self, name: bytes, target: Inode) -> None:
        self.client.remove_directory(self.node, name)
        target.nlink = 1
        self._lost(target)

    def _lost(self, target: Inode) -> None:
        """A name of `target` has gone from here."""
        self.valid_until_ns = 0
        if isinstance(target, FuseInode):
            target.valid_until_ns = 0
            target.found_until_ns = 0
        target.drop_link()

    def moves_names(self) -> bool:
        return True

    def rename(
        self,
        name: bytes,
        target: Inode,
        new_parent: Inode,
        new_name: bytes,
        replaced: Inode | None,
        whiteout: Inode | None = None,
    ) -> None:
        if not isinstance(new_parent, FuseDirectory):
            raise Errno(EXDEV)
        self.client.rename(self.node, name, new_parent.node, new_name)
        self._has_moved(target, new_parent, replaced)

    def rename_leaving_whiteout(
        self,
        name: bytes,
        target: Inode,
        new_parent: Inode,
        new_name: bytes,
        replaced: Inode | None,
        actor: Actor,
    ) -> None:
        """The server creates it. Raises EINVAL if it does not know such moves."""
        if not isinstance(new_parent, FuseDirectory):
            raise Errno(EXDEV)
        self._move_by(RENAME_WHITEOUT, name, new_parent, new_name, actor)
        self._has_moved(target, new_parent, replaced)

    def _has_moved(self, target: Inode, new_parent: "FuseDirectory", replaced: Inode | None) -> None:
        self._moved(target)
        new_parent.valid_until_ns = 0
        if replaced is not None:
            if replaced.is_directory():
                replaced.nlink = 1
            new_parent._lost(replaced)

    def exchange(self, name: bytes, target: Inode, other_parent: Inode, other_name: bytes, other: Inode) -> None:
        if not isinstance(other_parent, FuseDirectory):
            raise Errno(EXDEV)
        self._move_by(RENAME_EXCHANGE, name, other_parent, other_name, None)
        self._moved(target)
        other_parent._moved(other)

    def _move_by(
        self, flag: int, name: bytes, other_parent: "FuseDirectory", other_name: bytes, creator: Actor | None
    ) -> None:
        """Let the server move as renameat2(2) does with a flag. Raises EINVAL if it does not know such moves."""
        try:
            self.client.rename_by(flag, self.node, name, other_parent.node, other_name, creator)
        except Errno as error:
            raise Errno(EINVAL if error.code == ENOSYS else error.code) from None

    def _moved(self, target: Inode) -> None:
        """A name of `target` here leads elsewhere."""
        self.valid_until_ns = 0
        if isinstance(target, FuseInode):
            target.valid_until_ns = 0
            target.found_until_ns = 0


def make_inode(instance: FuseInstance, entry: Entry) -> FuseInode:
    """An inode for what was found, by its kind. Raises MemoryError."""
    kind = entry.attributes.mode & S_IFMT
    if kind == S_IFREG:
        return FuseFile(instance, entry)
    if kind == S_IFDIR:
        return FuseDirectory(instance, entry)
    if kind == S_IFLNK:
        return FuseSymlink(instance, entry)
    return FuseSpecial(instance, entry)


@final
class FuseOpenDirectory(InodeFile):
    """An open directory. A position is the offset that the server sends with each name; `.` and `..` are names like
    others.
    """

    def __init__(self, path: Path, flags: int, directory: FuseDirectory, handle: ServedHandle) -> None:
        super().__init__(path, flags)
        self.directory: FuseDirectory = directory
        self.handle: ServedHandle = handle

    def read_directory(self, sink: DirectorySink) -> None:
        """One message at a time. Raises EIO if nothing but nonsense comes from here on."""
        directory = self.directory
        sink.position = self.position
        looks_up = directory.looks_up(self.position)
        asked_at = directory.instance.changes
        listing = directory.client.read_directory(
            directory.node, self.handle.opened, self.position, _LISTED_AT_ONCE, looks_up=looks_up
        )
        entries = listing.entries
        if looks_up:
            directory.enter_listed(self.path.dentry, entries, asked_at)
        for entry in entries:
            if not sink.emit(entry.name, entry.number, entry.kind, entry.next_offset):
                break
            sink.position = entry.next_offset
        self.position = sink.position
        pace(_NAME_COST * len(entries))
        if listing.is_broken and len(entries) == 0:
            raise Errno(EIO)

    def fsync(self) -> None:
        try:
            self.directory.client.sync(
                self.directory.node, self.handle.opened, only_data=False, is_directory=True
            )
        except Errno as error:
            if error.code != ENOSYS:
                raise

    @noraise
    def close(self) -> None:
        self.handle.release()
