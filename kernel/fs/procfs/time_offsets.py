"""/proc/PID/timens_offsets: by how much the clocks of the time namespace for a process's children are shifted
(time_namespaces(7)). The opener of the file needs CAP_SYS_TIME in the user namespace that owns that time namespace.
"""

from typing import Final

from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.fs.procfs.entries import OpenedText
from kernel.fs.procfs.subject import Subject
from kernel.lang import EPERM, ESRCH, Errno, final
from kernel.lib.capabilities import CAP_SYS_TIME
from kernel.lib.credentials import Credentials
from kernel.lib.user import Buffer
from kernel.task.namespaces import time_for_children_of
from kernel.task.task import current
from kernel.time.namespace import TimeNamespace, WrittenShifts

_TEXT_LIMIT: Final = 4096


@final
class TimeOffsetsFile(OpenedText):
    """The file, opened. It keeps the process, not its namespace."""

    def __init__(self, path: Path, flags: int, subject: Subject, opener: Credentials) -> None:
        super().__init__(path, flags, opener)
        self.subject: Subject = subject

    def _namespace(self) -> TimeNamespace | None:
        return time_for_children_of(self.subject.task())

    def make_text(self) -> bytes:
        namespace = self._namespace()
        return b"" if namespace is None else namespace.text()

    def write(self, buffer: Buffer) -> int:
        """The position stays at the start, so that more can be written. Raises EINVAL, EFAULT, ESRCH, EPERM, ERANGE,
        EACCES.
        """
        written = WrittenShifts(self.take_text(buffer, _TEXT_LIMIT))
        namespace = self._namespace()
        if namespace is None:
            raise Errno(ESRCH)
        if not self.opener.capable_in(namespace.owner, CAP_SYS_TIME):
            raise Errno(EPERM)
        namespace.shift(written.shifts)
        return written.taken


def open_time_offsets(path: Path, flags: int, subject: Subject) -> File:
    """open(2) of the file."""
    return TimeOffsetsFile(path, flags, subject, current().credentials)
