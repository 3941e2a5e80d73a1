"""/proc/PID/attr: what security modules keep about a thread (proc_pid_attr_current(5)). The modules here keep nothing
(kernel/syscalls/lsm_list_modules.py), so that every read and write fails, as on a Linux that runs the same modules.

Context: see entries.py.
"""

from typing import Final

from kernel.fs.constants import S_IFREG
from kernel.fs.file import DirectorySink
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.procfs.entries import FIRST_POSITION, ComputedDirectory, TextInode
from kernel.fs.procfs.subject import Subject, give_owner
from kernel.lang import EACCES, EINVAL, Errno, final
from kernel.task.task import current

_NAMES: Final[list[bytes]] = [b"current", b"prev", b"exec", b"fscreate", b"keycreate", b"sockcreate"]
_PREVIOUS: Final = b"prev"  # it cannot be set
_INO_SHIFT: Final = 3


@final
class SecurityAttribute(TextInode):
    """One of them."""

    def __init__(self, file_system: FileSystem, ino: int, subject: Subject, mode: int) -> None:
        super().__init__(file_system, ino, S_IFREG | mode)
        self.subject: Subject = subject
        self.reads_alone = True
        give_owner(self, subject)

    def refresh(self) -> None:
        give_owner(self, self.subject)

    def keeps_mode(self) -> bool:
        return True

    def has_offsets_to_write(self) -> bool:
        return True

    def can_be_watched(self) -> bool:
        return False

    def make_text(self) -> bytes:
        self.subject.task()
        raise Errno(EINVAL)

    def store_text(self, text: bytes, offset: int) -> int:
        if self.subject.task() is not current():
            raise Errno(EACCES)
        raise Errno(EINVAL)


@final
class SecurityDirectory(ComputedDirectory):
    """/proc/PID/attr."""

    def __init__(self, file_system: FileSystem, ino: int, subject: Subject) -> None:
        super().__init__(file_system, ino, 0o555)
        self.subject: Subject = subject
        give_owner(self, subject)

    def refresh(self) -> None:
        give_owner(self, self.subject)

    def keeps_mode(self) -> bool:
        return True

    def lookup(self, name: bytes) -> Inode | None:
        for index in range(len(_NAMES)):
            if _NAMES[index] == name:
                mode = 0o444 if name == _PREVIOUS else 0o666
                return SecurityAttribute(self.file_system, self.ino << _INO_SHIFT | index, self.subject, mode)
        return None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        for index in range(max(0, position - FIRST_POSITION), len(_NAMES)):
            following = FIRST_POSITION + index + 1
            if not sink.emit(_NAMES[index], self.ino << _INO_SHIFT | index, S_IFREG >> 12, following):
                return
            sink.position = following
