"""Directories of FUSE. A walk asks for a name, unless the server still vouches for the last answer. It finds the inode
with the server's number, if there is one.

Context: everything but closing sleeps. Look-ups and changes run under the file system's lock of names; threads that
wait for it can be killed, because its holder waits for a program.
"""

from typing import Final

from kernel.fs.constants import O_CREAT, O_EXCL, O_RDWR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG
from kernel.fs.file import DirectorySink, File, InodeFile
from kernel.fs.fuse import protocol
from kernel.fs.fuse.file import FuseFile
from kernel.fs.fuse.handle import ServedHandle, hold, open_handle
from kernel.fs.fuse.inode import FuseInode, FuseSpecial, FuseSymlink
from kernel.fs.fuse.instance import FuseInstance
from kernel.fs.fuse.protocol import Entry, take_entry, take_opened
from kernel.fs.fuse.request import Forgotten
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.fs.remote_file import InUse
from kernel.lang import EINVAL, EIO, ENOENT, ENOSYS, EXDEV, Errno, final, noraise
from kernel.lib.credentials import Credentials
from kernel.lib.pace import pace

_LISTED_AT_ONCE: Final = 8192  # bytes of records
_NAME_COST: Final = 300  # instructions


@final
class FuseDirectory(FuseInode):
    """A directory."""

    def __init__(self, instance: FuseInstance, entry: Entry) -> None:
        super().__init__(instance, entry)
        self.revalidates = True

    # ---- Looking ----------------------------------------------------------------------------------------------

    def doubts(self, name: bytes, child: Inode | None) -> bool:
        return not isinstance(child, FuseInode) or not child.is_still(self, name)

    def lookup(self, name: bytes) -> Inode | None:
        self.instance.require_permitted()
        try:
            entry = self.client.look_up(self.node, name)
        except Errno as error:
            if error.code != ENOENT:
                raise
            return None
        return self._inode_of(name, entry) if entry.node != 0 else None

    def _inode_of(self, name: bytes, entry: Entry) -> FuseInode:
        """The inode found or created by a name. Raises EIO (there is no such node), MemoryError; then the server gets a
        FORGET for the node.
        """
        done = False
        try:
            if entry.node in (0, protocol.ROOT_NODE):
                raise Errno(EIO)
            known = self.instance.known(entry)
            if isinstance(known, FuseInode):
                known.take_over(entry.attributes)
            else:
                known = make_inode(self.instance, entry)
                self.instance.enter(known)
            known.found(self, name, entry)
            done = True
            return known
        finally:
            if not done and entry.node not in (0, protocol.ROOT_NODE):
                record = Forgotten(entry.node)
                record.lookups = 1
                self.client.forget(record)

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

    def create(self, name: bytes, mode: int, rdev: int, credentials: Credentials) -> Inode:
        if mode & S_IFMT == S_IFREG and not self.client.connection.lacks(protocol.CREATE):
            try:
                return self._create_file(name, mode)
            except Errno as error:
                if error.code != ENOSYS:
                    raise
        return self.make_node(name, mode, rdev, credentials)

    def make_node(self, name: bytes, mode: int, rdev: int, credentials: Credentials) -> Inode:
        kind = mode & S_IFMT
        if kind == S_IFDIR:
            return self._created(name, kind, self.client.make_directory(self.node, name, mode & 0o7777))
        return self._created(name, kind, self.client.make_node(self.node, name, mode, rdev))

    def _created(self, name: bytes, kind: int, entry: Entry) -> FuseInode:
        """The inode that was created. Raises EIO if it is of another kind; then it is dropped, since no name leads to
        it.
        """
        self.valid_until_ns = 0
        inode = self._inode_of(name, entry)
        if inode.mode & S_IFMT != kind:
            with InUse(inode):
                raise Errno(EIO)
        return inode

    def _create_file(self, name: bytes, mode: int) -> Inode:
        """Create a file that is open at the server already: its description takes over that handle, since the mode may
        forbid opening it again.
        """
        flags = O_RDWR | O_CREAT | O_EXCL
        answer = self.client.create(self.node, name, flags, mode).reading()
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

    def create_symlink(self, name: bytes, target: bytes, credentials: Credentials) -> Inode:
        return self._created(name, S_IFLNK, self.client.make_symlink(self.node, name, target))

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

    def rename(
        self, name: bytes, target: Inode, new_parent: Inode, new_name: bytes, replaced: Inode | None
    ) -> None:
        if not isinstance(new_parent, FuseDirectory):
            raise Errno(EXDEV)
        self.client.rename(self.node, name, new_parent.node, new_name)
        self._moved(target)
        new_parent.valid_until_ns = 0
        if replaced is not None:
            if replaced.is_directory():
                replaced.nlink = 1
            new_parent._lost(replaced)

    def exchange(self, name: bytes, target: Inode, other_parent: Inode, other_name: bytes, other: Inode) -> None:
        if not isinstance(other_parent, FuseDirectory):
            raise Errno(EXDEV)
        try:
            self.client.exchange(self.node, name, other_parent.node, other_name)
        except Errno as error:
            raise Errno(EINVAL if error.code == ENOSYS else error.code) from None
        self._moved(target)
        other_parent._moved(other)

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
        node = self.directory.node
        sink.position = self.position
        has_room = True
        while has_room:
            entries = self.directory.client.read_directory(node, self.handle.opened, sink.position, _LISTED_AT_ONCE)
            before = sink.position
            for entry in entries:
                has_room = sink.emit(entry.name, entry.number, entry.kind, entry.next_offset)
                if not has_room:
                    break
                sink.position = entry.next_offset
            pace(_NAME_COST * len(entries))
            if sink.position == before:
                break  # the end, or unusable names
        self.position = sink.position

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
