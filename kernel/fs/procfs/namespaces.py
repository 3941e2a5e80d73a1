"""/proc/PID/ns: a link for each namespace that a process is in (namespaces(7), "The /proc/pid/ns/ directory")."""

from typing import Final

from kernel.fs.constants import S_IFLNK
from kernel.fs.file import DirectorySink
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.namespace import namespace_path
from kernel.fs.path import FsContext, Path, path_name
from kernel.fs.procfs.entries import FIRST_POSITION, ComputedDirectory
from kernel.fs.procfs.subject import Subject, give_owner, require_inspection
from kernel.lang import ENOENT, Errno, final
from kernel.lib.namespace import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    Namespace,
)
from kernel.task.namespaces import namespace_of, pids_for_children_of, time_for_children_of
from kernel.task.task import Task, current

_NAMES: Final[list[bytes]] = [
    b"net", b"uts", b"ipc", b"pid", b"pid_for_children", b"user", b"mnt", b"cgroup", b"time", b"time_for_children",
]  # fmt: skip
_KINDS: Final[list[int]] = [
    CLONE_NEWNET, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWCGROUP,
    CLONE_NEWTIME, CLONE_NEWTIME,
]  # fmt: skip
_INO_SHIFT: Final = 8


@final
class NamespaceLink(Inode):
    """A link that leads to a namespace's file."""

    def __init__(self, file_system: FileSystem, ino: int, subject: Subject, name: bytes, kind: int) -> None:
        super().__init__(file_system, ino, S_IFLNK | 0o777)
        self.subject: Subject = subject
        self.name: bytes = name
        self.kind: int = kind
        self.has_magic_link = True
        give_owner(self, subject)

    def place(self) -> Path:
        """Where the link leads. Raises EACCES, ENOENT."""
        require_inspection(self.subject)
        task = self.subject.task_or_none()
        if task is None:
            raise Errno(ENOENT)
        namespace = self._namespace(task)
        if namespace is None:
            raise Errno(ENOENT)
        return namespace_path(namespace)

    def _namespace(self, task: Task) -> Namespace | None:
        if self.name == b"pid_for_children":
            return pids_for_children_of(task)
        if self.name == b"time_for_children":
            return time_for_children_of(task)
        return namespace_of(task, self.kind)

    def follow(self, context: FsContext) -> Path:
        return self.place()

    def read_link(self) -> bytes:
        return path_name(self.place(), current().fs.root)


@final
class NamespaceDirectory(ComputedDirectory):
    """/proc/PID/ns."""

    def __init__(self, file_system: FileSystem, ino: int, subject: Subject) -> None:
        super().__init__(file_system, ino, 0o511)
        self.subject: Subject = subject
        give_owner(self, subject)

    def keeps_mode(self) -> bool:
        return True

    def refresh(self) -> None:
        give_owner(self, self.subject)

    def lookup(self, name: bytes) -> Inode | None:
        for index in range(len(_NAMES)):
            if _NAMES[index] == name:
                ino = self.ino << _INO_SHIFT | index
                return NamespaceLink(self.file_system, ino, self.subject, name, _KINDS[index])
        return None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        require_inspection(self.subject)
        for index in range(max(0, position - FIRST_POSITION), len(_NAMES)):
            following = FIRST_POSITION + index + 1
            if not sink.emit(_NAMES[index], self.ino << _INO_SHIFT | index, S_IFLNK >> 12, following):
                return
            sink.position = following
