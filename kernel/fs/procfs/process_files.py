"""/proc/PID/{cwd,exe,root,fd,fdinfo}: places and open files of a process (proc_pid_fd(5)).

Following such a link leads to the file itself, even if its name is gone; reading it returns a name for people. Either
requires the right to inspect the process.
"""

from typing import Final

from kernel.fs.constants import O_CLOEXEC, S_IFLNK, S_IFREG
from kernel.fs.file import DirectorySink, File, Listing
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.path import FsContext, Path, path_name
from kernel.fs.procfs.entries import FIRST_POSITION, ComputedDirectory, PiecesFile, TextInode
from kernel.fs.procfs.locks import LocksThrough
from kernel.fs.procfs.subject import Subject, give_owner, parse_number, require_inspection
from kernel.lang import ENOENT, Errno, final
from kernel.lib.credentials import Actor
from kernel.lib.pace import pace, pace_bytes
from kernel.lib.pid import UNSET
from kernel.task.pidfd import PidFile
from kernel.task.task import current

CWD: Final = 0
EXE: Final = 1
ROOT: Final = 2
DESCRIPTOR: Final = 3
_LOOK_COST: Final = 100  # instructions, for `pace`


@final
class PlaceLink(Inode):
    """A link to a file or directory of a process."""

    def __init__(self, file_system: FileSystem, ino: int, subject: Subject, kind: int, descriptor: int) -> None:
        super().__init__(file_system, ino, S_IFLNK | 0o777)
        self.subject: Subject = subject
        self.kind: int = kind
        self.descriptor: int = descriptor
        self.has_magic_link = True
        give_owner(self, subject)
        self.size = 64 if kind == DESCRIPTOR else 0

    def place(self) -> Path:
        """Where the link leads. Raises EACCES, ENOENT."""
        require_inspection(self.subject)
        if self.kind == EXE:
            executable = self.subject.process.executable
            if executable is None:
                raise Errno(ENOENT)
            return executable.path
        if self.kind == DESCRIPTOR:
            file = open_file_of(self.subject, self.descriptor)
            if file is None:
                raise Errno(ENOENT)
            return file.path
        context = context_of(self.subject)
        if context is None:
            raise Errno(ENOENT)
        return context.root if self.kind == ROOT else context.working

    def follow(self, context: FsContext) -> Path:
        return self.place()

    def read_link(self) -> bytes:
        return path_name(self.place(), current().fs.root)


def context_of(subject: Subject) -> FsContext | None:
    """Root and working directory of a process that has not ended."""
    task = subject.task_or_none()
    if task is not None and task.fs_context is not None:
        return task.fs_context
    if subject.tid == UNSET:
        other = subject.process.any_thread()
        if other is not None:
            return other.fs_context
    return None


def open_file_of(subject: Subject, descriptor: int) -> File | None:
    """What a descriptor refers to."""
    task = subject.task_or_none()
    if task is not None and task.file_table is None and subject.tid == UNSET:
        task = subject.process.any_thread()
    if task is None:
        return None
    table = task.file_table
    return None if table is None else table.find(descriptor)


def descriptor_count(subject: Subject) -> int:
    """One past the highest descriptor."""
    task = subject.task_or_none()
    if task is not None and task.file_table is None and subject.tid == UNSET:
        task = subject.process.any_thread()
    if task is None:
        return 0
    table = task.file_table
    return 0 if table is None else table.size()


@final
class DescriptorDirectory(ComputedDirectory):
    """/proc/PID/fd (links) or fdinfo (texts)."""

    def __init__(self, file_system: FileSystem, ino: int, subject: Subject, links: bool) -> None:
        super().__init__(file_system, ino, 0o500 if links else 0o555)
        self.subject: Subject = subject
        self.links: bool = links
        give_owner(self, subject)

    def check_permission(self, actor: Actor, mask: int) -> None:
        """A process always sees its own descriptors, even if it has changed its user and no longer owns the
        directory.
        """
        if not self.links:
            require_inspection(self.subject)
        try:
            super().check_permission(actor, mask)
        except Errno:
            if not self.links or current().process is not self.subject.process:
                raise

    def keeps_mode(self) -> bool:
        return True

    def refresh(self) -> None:
        """The size of fd is how many descriptors are open."""
        give_owner(self, self.subject)
        if self.links:
            count = 0
            for descriptor in range(descriptor_count(self.subject)):
                if open_file_of(self.subject, descriptor) is not None:
                    count += 1
                pace(_LOOK_COST)
            self.size = count

    def lookup(self, name: bytes) -> Inode | None:
        if not self.links:
            require_inspection(self.subject)  # a walk skips the search check where everybody may search
        descriptor = parse_number(name)
        if descriptor < 0:
            return None
        file = open_file_of(self.subject, descriptor)
        if file is None:
            return None
        ino = self.ino << 20 | descriptor
        if not self.links:
            return DescriptorText(self.file_system, ino, self.subject, descriptor)
        link = PlaceLink(self.file_system, ino, self.subject, DESCRIPTOR, descriptor)
        readable = 0o500 if file.readable or file.is_path_only() else 0o100
        link.mode = S_IFLNK | readable | (0o200 if file.writable else 0)
        return link

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        kind = S_IFLNK >> 12 if self.links else S_IFREG >> 12
        descriptor = max(0, position - FIRST_POSITION)
        while descriptor < descriptor_count(self.subject):
            if open_file_of(self.subject, descriptor) is not None:
                name = f"{descriptor}".encode()
                if not sink.emit(name, self.ino << 20 | descriptor, kind, FIRST_POSITION + descriptor + 1):
                    return
            descriptor += 1
            sink.position = FIRST_POSITION + descriptor
            pace(_LOOK_COST)


@final
class DescriptorText(TextInode):
    """/proc/PID/fdinfo/N."""

    def __init__(self, file_system: FileSystem, ino: int, subject: Subject, descriptor: int) -> None:
        super().__init__(file_system, ino, S_IFREG | 0o444)
        self.subject: Subject = subject
        self.descriptor: int = descriptor
        self.reads_alone = True
        give_owner(self, subject)

    def can_be_watched(self) -> bool:
        return False

    def check_permission(self, actor: Actor, mask: int) -> None:
        require_inspection(self.subject)
        super().check_permission(actor, mask)

    def keeps_mode(self) -> bool:
        return True

    def open(self, path: Path, flags: int) -> File:
        self.check_reader()
        return _DescriptorPieces(path, flags, self)


@final
class _DescriptorPieces(PiecesFile):
    """It, open: first what all descriptions have, then locks, then what this kind has, of which there may be much."""

    def __init__(self, path: Path, flags: int, source: DescriptorText) -> None:
        super().__init__(path, flags)
        self.subject: Subject = source.subject
        self.descriptor: int = source.descriptor
        self.file: File | None = None  # the one that is being read about
        self.locks: LocksThrough | None = None
        self.listing_left: Listing | None = None

    def begin(self) -> None:
        self.file = None

    def next_piece(self) -> bytes | None:
        file = self.file
        if file is None:
            return self._first_piece()
        locks = self.locks
        if locks is not None:
            piece = locks.next_piece()
            if piece is not None:
                return piece
            self.locks = None
            self.listing_left = None
            return self._more(file)
        listing = self.listing_left
        return None if listing is None else listing.next_piece()

    def _first_piece(self) -> bytes:
        """Raises ENOENT."""
        task = self.subject.living()
        file = open_file_of(self.subject, self.descriptor)
        if file is None:
            raise Errno(ENOENT)
        flags = file.flags
        table = task.file_table
        if table is not None and table.closes_on_exec(self.descriptor):
            flags |= O_CLOEXEC
        text = f"pos:\t{file.position}\nflags:\t0{flags:o}\n"
        text += f"mnt_id:\t{file.path.mount.identifier}\nino:\t{file.inode.ino}\n"
        self.locks = LocksThrough(file, table, self.subject.pids)
        self.file = file
        return text.encode()

    def _more(self, file: File) -> bytes:
        if open_file_of(self.subject, self.descriptor) is not file:
            return b""  # it was closed meanwhile
        self.listing_left = file.listing()
        text = file.describe_to(self.subject.pids) if isinstance(file, PidFile) else file.describe()
        pace_bytes(len(text))
        return text
