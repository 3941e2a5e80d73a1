"""Namespaces: what a process may have of its own instead of the machine's (namespaces(7)).

Each is an object; processes that share one refer to the same. Programs see them as files of an internal file system,
which /proc/PID/ns leads to: such a file open, or mounted somewhere, keeps its namespace, and setns(2) enters it.

This module has the base class, the kinds of which there is only one, and the files. Mount namespaces are in path.py.
"""

from collections.abc import Callable
from typing import Final

from kernel.fs.anonymous import InternalMount
from kernel.fs.constants import FS_IMMUTABLE_FL, O_ACCMODE, O_RDONLY, S_IFREG
from kernel.fs.file import File
from kernel.fs.inode import Inode
from kernel.fs.path import Mount, MountNamespace, Path
from kernel.lang import EINVAL, ENOENT, ENOTTY, EPERM, Errno, final, noraise
from kernel.lib.namespace import Namespace
from kernel.lib.user import Buffer

NSFS_MAGIC: Final = 0x6E73_6673


@final
class NamespaceQuestions:
    """Answers ioctl_ns(2); entered by the package of tasks, which knows what the caller may see."""

    def __init__(self) -> None:
        self.answer: Callable[[Namespace, int, int], int] | None = None


QUESTIONS: Final = NamespaceQuestions()
NSFS: Final = InternalMount(b"nsfs", NSFS_MAGIC)


@final
class NamespaceInode(Inode):
    """A namespace as a file."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(NSFS.file_system, namespace.number, S_IFREG | 0o444)
        self.flags = FS_IMMUTABLE_FL
        self.namespace: Namespace = namespace

    def mounted(self) -> None:
        self.namespace.hold()

    @noraise
    def unmounted(self) -> None:
        self.namespace.let_go()

    def open(self, path: Path, flags: int) -> File:
        if flags & O_ACCMODE != O_RDONLY:
            raise Errno(EPERM)
        if self.namespace.is_over():
            raise Errno(ENOENT)  # a descriptor with O_PATH does not keep it
        return NamespaceFile(path, flags, self.namespace)


@final
class NamespaceFile(File):
    """An open namespace file. It can only be entered and queried."""

    def __init__(self, path: Path, flags: int, namespace: Namespace) -> None:
        super().__init__(path, flags)
        self.namespace: Namespace = namespace
        namespace.acquire()

    def can_read(self) -> bool:
        return False

    def can_write(self) -> bool:
        return False

    def pread(self, buffer: Buffer, offset: int) -> int:
        raise Errno(EINVAL)

    def close(self) -> None:
        self.namespace.release()

    def ioctl(self, command: int, argument: int) -> int:
        """ioctl_ns(2)."""
        answer = QUESTIONS.answer
        if answer is None:
            raise Errno(ENOTTY)
        return answer(self.namespace, command, argument)


def namespace_at(mount: Mount) -> Namespace | None:
    """The namespace whose file is mounted there, if it is one."""
    inode = mount.root.inode
    return inode.namespace if isinstance(inode, NamespaceInode) else None


def mount_namespace_at(mount: Mount) -> MountNamespace | None:
    """The same for a mount namespace."""
    namespace = namespace_at(mount)
    return namespace if isinstance(namespace, MountNamespace) else None


def namespace_path(namespace: Namespace) -> Path:
    """The place of its file."""
    return NSFS.place(NamespaceInode(namespace), namespace.name + b":")
