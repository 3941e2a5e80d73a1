"""Files without a place in the tree: pipes, sockets, event descriptors, memfds.

Each kind has an internal file system with one internal mount. Such a file's path is a dentry whose name is what
/proc/PID/fd shows. That of pipes and sockets ends with a colon, and `path_name` adds the inode's number: "pipe:[17]"
need not be written for each that is created.
"""

from typing import Final

from kernel.fs.constants import ANON_INODE_FS_MAGIC, PIPEFS_MAGIC, SEEK_HOLE, SOCKFS_MAGIC
from kernel.fs.dentry import Dentry
from kernel.fs.file import File
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.path import Mount, Path
from kernel.lang import EINVAL, ENXIO, Errno
from kernel.lib.ids import KernelGid, KernelUid


class InternalFileSystem(FileSystem):
    """Hands out inode numbers."""

    def __init__(self, type_name: bytes, magic: int) -> None:
        super().__init__(type_name, type_name, magic)
        self.next_ino: int = 1

    def root(self) -> Inode:
        return Inode(self, 0, 0o040500)

    def new_ino(self) -> int:
        ino = self.next_ino
        self.next_ino += 1
        return ino


class AnonymousInode(Inode):
    """The inode of a pipe, socket or event descriptor: attributes only."""

    def open(self, path: Path, flags: int) -> File:
        raise Errno(ENXIO)


class InternalMount:
    """A file system and its mount, created when the kernel is built."""

    def __init__(self, type_name: bytes, magic: int) -> None:
        self.file_system: InternalFileSystem = InternalFileSystem(type_name, magic)
        self.mount: Mount = Mount(self.file_system, Dentry(None, b"/", self.file_system.root()), 0)
        self.mount.is_internal = True

    def place(self, inode: Inode, name: bytes) -> Path:
        return Path(self.mount, Dentry(None, name, inode))


PIPES: Final = InternalMount(b"pipefs", PIPEFS_MAGIC)
SOCKETS: Final = InternalMount(b"sockfs", SOCKFS_MAGIC)
ANONYMOUS: Final = InternalMount(b"anon_inodefs", ANON_INODE_FS_MAGIC)
_SHARED_INODE: Final = AnonymousInode(ANONYMOUS.file_system, 1, 0o600)


def pipe_path(inode: Inode) -> Path:
    """The place of a pipe's inode."""
    return PIPES.place(inode, b"pipe:")


def socket_path(uid: KernelUid, gid: KernelGid) -> Path:
    """A place for a new socket."""
    inode = AnonymousInode(SOCKETS.file_system, SOCKETS.file_system.new_ino(), 0o140777)
    inode.uid = uid
    inode.gid = gid
    return SOCKETS.place(inode, b"socket:")


class DescriptorFile(File):
    """Base of descriptors that have no position, and yet let lseek(2) pass, as Linux's do."""

    def can_be_spliced(self) -> bool:
        return False

    def has_offsets(self) -> bool:
        return False

    def seek(self, offset: int, whence: int) -> int:
        if not 0 <= whence <= SEEK_HOLE:
            raise Errno(EINVAL)
        return 0


def anonymous_path(kind: bytes) -> Path:
    """A place for an event descriptor, epoll set and so on: they all share one inode, as on Linux."""
    return ANONYMOUS.place(_SHARED_INODE, b"anon_inode:" + kind)


