"""/proc/swaps: the swap areas in use (proc_swaps(5)). poll(2) reports POLLERR and POLLPRI once after each change."""

from typing import Final

from kernel.fs.constants import POLLERR, POLLPRI, READABLE, S_IFREG
from kernel.fs.disks.swap_files import USED_FILES, UsedFile
from kernel.fs.file import File
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.mount_text import escape
from kernel.fs.path import Path, path_name
from kernel.fs.procfs.entries import OpenedText, check_new_size
from kernel.lang import final
from kernel.lib.credentials import Credentials
from kernel.mm.frames import PAGE_SHIFT
from kernel.sched import PollWaiter
from kernel.task.task import current

_HEAD: Final = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
_NAME_WIDTH: Final = 40
_WIDE_KIB: Final = 10_000_000
_KIB_SHIFT: Final = PAGE_SHIFT - 10


@final
class SwapsInode(Inode):
    """/proc/swaps."""

    def __init__(self, file_system: FileSystem, ino: int) -> None:
        super().__init__(file_system, ino, S_IFREG | 0o444)

    def open(self, path: Path, flags: int) -> File:
        return SwapsFile(path, flags, current().credentials)

    def truncate(self, size: int) -> None:
        """No effect."""
        check_new_size(size)


@final
class SwapsFile(OpenedText):
    """The file, open."""

    def __init__(self, path: Path, flags: int, opener: Credentials) -> None:
        super().__init__(path, flags, opener)
        self.seen: int = USED_FILES.changes

    def make_text(self) -> bytes:
        text = _HEAD
        for used in USED_FILES.all:
            text += _line(used)
        return text

    def can_be_watched(self) -> bool:
        return True

    def poll(self, waiter: PollWaiter | None) -> int:
        if waiter is not None:
            waiter.wait_on(USED_FILES.queue)
        if self.seen == USED_FILES.changes:
            return READABLE
        self.seen = USED_FILES.changes
        return READABLE | POLLERR | POLLPRI


def _line(used: UsedFile) -> bytes:
    area = used.area
    name = escape(path_name(used.file.path, current().fs.root))
    text = name + b" " * max(1, _NAME_WIDTH - len(name))
    text += b"partition\t" if used.is_device() else b"file\t\t"
    text += _number(area.usable << _KIB_SHIFT) + _number(area.in_use << _KIB_SHIFT)
    return text + f"{area.priority}\n".encode()


def _number(kib: int) -> bytes:
    return f"{kib}\t".encode() + (b"\t" if kib < _WIDE_KIB else b"")
