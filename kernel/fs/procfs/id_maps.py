"""/proc/PID/{uid_map,gid_map,projid_map,setgroups}: the numbers of users and groups in the user namespace of a process
(user_namespaces(7)).

An open file keeps the namespace that the process was in then, and its opener: these decide what may be written, and how
numbers are shown.
"""

from typing import Final

from kernel.fs.constants import O_ACCMODE, O_RDWR, O_WRONLY
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.fs.procfs.entries import OpenedText
from kernel.fs.procfs.subject import Subject
from kernel.lang import EACCES, EINVAL, ESRCH, Errno, final
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.credentials import Credentials
from kernel.lib.namespace import UserNamespace
from kernel.lib.user import Buffer
from kernel.task.acting import real_credentials
from kernel.task.id_maps import MapKind, check_map_writer, map_lines, store_map, store_setgroups
from kernel.task.task import current

_MAP_LIMIT: Final = 4096
_WORD_LIMIT: Final = 8


class NamespaceText(OpenedText):
    """An open text about a user namespace. Base class."""

    def __init__(self, path: Path, flags: int, namespace: UserNamespace, opener: Credentials) -> None:
        super().__init__(path, flags, opener)
        self.user_namespace: UserNamespace = namespace


@final
class IdMapFile(NamespaceText):
    """A map."""

    def __init__(self, path: Path, flags: int, namespace: UserNamespace, opener: Credentials, kind: MapKind) -> None:
        super().__init__(path, flags, namespace, opener)
        self.kind: MapKind = kind

    def make_text(self) -> bytes:
        return map_lines(self.user_namespace, self.kind, self.opener.user_namespace)

    def write(self, buffer: Buffer) -> int:
        check_map_writer(self.opener, self.user_namespace)
        text = self.take_text(buffer, _MAP_LIMIT)
        store_map(self.opener, current().credentials, self.user_namespace, self.kind, text)
        self.position = len(text)
        return len(text)


@final
class SetgroupsFile(NamespaceText):
    """Whether groups may be set."""

    def make_text(self) -> bytes:
        return b"allow\n" if self.user_namespace.allows_setgroups else b"deny\n"

    def write(self, buffer: Buffer) -> int:
        text = self.take_text(buffer, _WORD_LIMIT)
        store_setgroups(self.user_namespace, text)
        self.position = len(text)
        return len(text)


def _namespace_of(subject: Subject, error: int) -> UserNamespace:
    task = subject.task_or_none()
    if task is None:
        raise Errno(error)
    return real_credentials(task).user_namespace


def _open_map(path: Path, flags: int, subject: Subject, kind: MapKind) -> File:
    return IdMapFile(path, flags, _namespace_of(subject, EINVAL), current().credentials, kind)


def open_uid_map(path: Path, flags: int, subject: Subject) -> File:
    """open(2) of uid_map. Raises EINVAL once the process is gone."""
    return _open_map(path, flags, subject, MapKind.USERS)


def open_gid_map(path: Path, flags: int, subject: Subject) -> File:
    """open(2) of gid_map."""
    return _open_map(path, flags, subject, MapKind.GROUPS)


def open_projid_map(path: Path, flags: int, subject: Subject) -> File:
    """open(2) of projid_map."""
    return _open_map(path, flags, subject, MapKind.PROJECTS)


def open_setgroups(path: Path, flags: int, subject: Subject) -> File:
    """open(2) of setgroups: only the administrator of the user namespace may write. Raises EACCES, ESRCH."""
    namespace = _namespace_of(subject, ESRCH)
    opener = current().credentials
    if flags & O_ACCMODE in (O_WRONLY, O_RDWR) and not opener.capable_in(namespace, CAP_SYS_ADMIN):
        raise Errno(EACCES)
    return SetgroupsFile(path, flags, namespace, opener)
