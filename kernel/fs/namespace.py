"""Namespaces: what a process may have of its own instead of the machine's (namespaces(7)).

Each is an object; processes that share one refer to the same. Programs see them as files of an internal file system,
which /proc/PID/ns leads to: such a file open keeps its namespace, and setns(2) enters it.

Here stand the base class, those kinds of which there is one only, and the files. Mount namespaces are in path.py.
"""

from typing import Final

from kernel.fs.anonymous import InternalMount
from kernel.fs.constants import O_ACCMODE, O_RDONLY, S_IFREG
from kernel.fs.file import File
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.lang import EINVAL, ENOTTY, EPERM, Errno, UserAddr, final
from kernel.lib import user
from kernel.lib.namespace import CLONE_NEWPID, CLONE_NEWUSER, Namespace

NSFS_MAGIC: Final = 0x6E73_6673
NS_GET_USERNS: Final = 0xB701
NS_GET_PARENT: Final = 0xB702
NS_GET_NSTYPE: Final = 0xB703
NS_GET_OWNER_UID: Final = 0xB704

NSFS: Final = InternalMount(b"nsfs", NSFS_MAGIC)


@final
class NamespaceInode(Inode):
    """A namespace as a file."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(NSFS.file_system, namespace.number, S_IFREG | 0o444)
        self.namespace: Namespace = namespace

    def open(self, path: Path, flags: int) -> File:
        if flags & O_ACCMODE != O_RDONLY:
            raise Errno(EPERM)
        return NamespaceFile(path, flags, self.namespace)


@final
class NamespaceFile(File):
    """An open one. It can be entered and asked, and that is all."""

    def __init__(self, path: Path, flags: int, namespace: Namespace) -> None:
        super().__init__(path, flags)
        self.namespace: Namespace = namespace
        namespace.acquire()

    def close(self) -> None:
        self.namespace.release()

    def ioctl(self, command: int, argument: int) -> int:
        """ioctl_ns(2)."""
        kind = self.namespace.kind
        if command == NS_GET_NSTYPE:
            return kind
        if command == NS_GET_PARENT:
            # Of the kinds that are nested there is the first one only, and what is above it nobody may see.
            raise Errno(EPERM if kind in (CLONE_NEWPID, CLONE_NEWUSER) else EINVAL)
        if command == NS_GET_OWNER_UID:
            if kind != CLONE_NEWUSER:
                raise Errno(EINVAL)
            user.write_u32(UserAddr(argument), 0)
            return 0
        raise Errno(ENOTTY)


def namespace_path(namespace: Namespace) -> Path:
    """The place of its file."""
    return NSFS.place(NamespaceInode(namespace), namespace.name + b":")
