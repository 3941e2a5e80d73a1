"""Directories of the host. Every walk asks for a name again, and finds the inode with the same identity, if it is
known.

Context: everything but closing sleeps. Look-ups and changes run under the file system's lock of names.
"""

from typing import Final

from kernel.fs.constants import (
    O_CREAT,
    O_EXCL,
    O_RDONLY,
    O_RDWR,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    device_major,
    device_minor,
)
from kernel.fs.file import DirectorySink, File, InodeFile
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.fs.plan9.client import REMOVE_DIRECTORY, Attributes, DirectoryEntry, Fid
from kernel.fs.plan9.file import SharedFile
from kernel.fs.plan9.handle import OpenFid
from kernel.fs.plan9.inode import SharedInode, SharedSpecial, SharedSymlink
from kernel.fs.plan9.instance import SharedInstance
from kernel.fs.remote_file import InUse
from kernel.lang import EIO, ENOENT, EXDEV, Errno, final, noraise
from kernel.lib.credentials import Actor
from kernel.lib.pace import pace

_FIRST_POSITION: Final = 2
_NAMES_LIMIT: Final = 1 << 22  # of a directory
_NAME_COST: Final = 300  # instructions


@final
class SharedDirectory(SharedInode):
    """A directory."""

    def __init__(self, shared: SharedInstance, fid: Fid, attributes: Attributes) -> None:
        super().__init__(shared, fid, attributes)
        self.revalidates = True

    # ---- Looking ----------------------------------------------------------------------------------------------

    def lookup(self, name: bytes) -> Inode | None:
        try:
            return self.find(name)
        except Errno as error:
            if error.code != ENOENT:
                raise
            return None

    def find(self, name: bytes) -> SharedInode:
        """The child. Raises ENOENT."""
        fid = self.client.walk(self.living_fid(), name)
        done = False
        try:
            attributes = self.client.attributes(fid)
            known = self.shared.known(attributes)
            if isinstance(known, SharedInode):
                known.found_by(fid, attributes)
                done = True
                return known
            found = make_inode(self.shared, fid, attributes)
            self.shared.enter(found)
            done = True
            return found
        finally:
            if not done:
                self.client.retire(fid)

    def is_empty(self) -> bool:
        """Always true: the host itself refuses to remove a directory that is not empty."""
        return True

    def open(self, path: Path, flags: int) -> File:
        with InUse(self):
            fid = self.client.clone(self.living_fid())
            done = False
            try:
                self.client.open(fid, O_RDONLY)
                file = SharedOpenDirectory(path, flags, self, OpenFid(self.client, fid, O_RDONLY))
                done = True
                return file
            finally:
                if not done:
                    self.client.retire(fid)

    # ---- Changing ---------------------------------------------------------------------------------------------

    def create(self, name: bytes, mode: int, rdev: int, actor: Actor) -> Inode:
        here = self.living_fid()
        kind = mode & S_IFMT
        gid = int(actor.fsgid)
        if kind == S_IFREG:
            return self._create_file(name, mode, gid)
        if kind == S_IFDIR:
            self.client.make_directory(here, name, mode & 0o7777, gid)
        else:
            self.client.make_node(here, name, mode, device_major(rdev), device_minor(rdev), gid)
        return self.find(name)

    def _create_file(self, name: bytes, mode: int, gid: int) -> Inode:
        fid = self.client.clone(self.living_fid())
        done = False
        try:
            self.client.create(fid, name, O_RDWR | O_CREAT | O_EXCL, mode & 0o7777, gid)
            found = self.find(name)
            if not isinstance(found, SharedFile):
                raise Errno(EIO)  # somebody at the host has put something else there
            found.contents.keep_open(OpenFid(self.client, fid, O_RDWR))
            done = True
            return found
        finally:
            if not done:
                self.client.retire(fid)

    def create_symlink(self, name: bytes, target: bytes, actor: Actor) -> Inode:
        self.client.make_symlink(self.living_fid(), name, target, int(actor.fsgid))
        return self.find(name)

    def link(self, name: bytes, target: Inode) -> None:
        if not isinstance(target, SharedInode):
            raise Errno(EXDEV)
        self.client.link(self.living_fid(), target.living_fid(), name)
        target.nlink += 1

    def unlink(self, name: bytes, target: Inode) -> None:
        self.client.unlink(self.living_fid(), name, 0)
        target.drop_link()

    def remove_directory(self, name: bytes, target: Inode) -> None:
        self.client.unlink(self.living_fid(), name, REMOVE_DIRECTORY)
        target.nlink = 1
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
        if not isinstance(new_parent, SharedDirectory):
            raise Errno(EXDEV)
        self.client.rename(self.living_fid(), name, new_parent.living_fid(), new_name)
        if replaced is not None:
            if replaced.is_directory():
                replaced.nlink = 1
            replaced.drop_link()


def make_inode(shared: SharedInstance, fid: Fid, attributes: Attributes) -> SharedInode:
    """An inode for a found file, by its kind; it takes over the fid. Raises MemoryError."""
    kind = attributes.mode & S_IFMT
    if kind == S_IFREG:
        return SharedFile(shared, fid, attributes)
    if kind == S_IFDIR:
        return SharedDirectory(shared, fid, attributes)
    if kind == S_IFLNK:
        return SharedSymlink(shared, fid, attributes)
    return SharedSpecial(shared, fid, attributes)


@final
class SharedOpenDirectory(InodeFile):
    """An open directory. Its names are read as a whole when its beginning is read; positions count them."""

    def __init__(self, path: Path, flags: int, directory: SharedDirectory, handle: OpenFid) -> None:
        super().__init__(path, flags)
        self.directory: SharedDirectory = directory
        self.handle: OpenFid = handle
        self._entries: list[DirectoryEntry] | None = None  # once they are read

    def read_directory(self, sink: DirectorySink) -> None:
        if self.position == 0 or self._entries is None:
            self._read_names()
        super().read_directory(sink)

    def _read_names(self) -> None:
        entries: list[DirectoryEntry] = []
        offset = 0
        while True:
            more = self.directory.client.read_directory(self.handle.fid, offset)
            if len(more) == 0:
                break
            before = offset
            offset = more[len(more) - 1].next_offset
            if offset == before or len(entries) > _NAMES_LIMIT:
                raise Errno(EIO)  # it would never end
            for entry in more:
                if entry.name.find(b"/") >= 0 or entry.name.find(b"\0") >= 0 or len(entry.name) == 0:
                    raise Errno(EIO)
                if entry.name != b"." and entry.name != b"..":
                    entries.append(entry)
            pace(_NAME_COST * len(more))
        self._entries = entries

    def emit_entries(self, position: int, sink: DirectorySink) -> None:
        entries = self._entries
        if entries is None:
            return
        index = position - _FIRST_POSITION
        while 0 <= index < len(entries):
            entry = entries[index]
            index += 1
            if not sink.emit(entry.name, entry.number, entry.kind, index + _FIRST_POSITION):
                return
            sink.position = index + _FIRST_POSITION

    def fsync(self) -> None:
        self.directory.client.sync(self.handle.fid, only_data=False)

    @noraise
    def close(self) -> None:
        self.handle.release()
