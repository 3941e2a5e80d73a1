"""/proc/PID and /proc/PID/task/TID: the directory of a process or thread, and the links that lead to them.

A process's directory is made anew at each look-up and holds a reference to the process, not its number, so that a
number which is given again never shows a stranger.

Context: see entries.py.
"""

from collections.abc import Callable
from typing import Final

from kernel.fs.constants import S_IFDIR, S_IFLNK, S_IFREG
from kernel.fs.file import DirectorySink, File
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.fs.procfs import process_control, process_memory, process_mounts, process_status
from kernel.fs.procfs.entries import FIRST_POSITION, ComputedDirectory, TextInode
from kernel.fs.procfs.memory_file import open_memory
from kernel.fs.procfs.network import NetDirectory
from kernel.fs.procfs.process_files import CWD, EXE, ROOT, DescriptorDirectory, PlaceLink
from kernel.fs.procfs.process_memory import living_memory_of
from kernel.fs.procfs.subject import Subject, owner_gid, owner_uid, parse_number, require_inspection
from kernel.lang import ENOENT, EPERM, Errno, final
from kernel.task.process import Process
from kernel.task.task import current

MakeSubjectText = Callable[[Subject], bytes]
StoreSubjectText = Callable[[Subject, bytes], None]
OpenSubject = Callable[[Path, int, Subject], File]


def no_text(subject: Subject) -> bytes:
    """For files that are no texts."""
    return b""


def read_only(subject: Subject, text: bytes) -> None:
    """For files that can't be written; their mode keeps everybody out."""


@final
class SubjectFile:
    """A row of what each process's directory holds."""

    def __init__(
        self,
        name: bytes,
        mode: int,
        make: MakeSubjectText,
        store: StoreSubjectText = read_only,
        guarded: bool = False,
        needs_memory: bool = False,
        opener: OpenSubject | None = None,
    ) -> None:
        self.name: bytes = name
        self.mode: int = mode
        self.make: MakeSubjectText = make
        self.store: StoreSubjectText = store
        self.guarded: bool = guarded  # opening needs the right to look into the process
        self.needs_memory: bool = needs_memory  # cannot be opened for zombies
        self.opener: OpenSubject | None = opener  # for what is no text


FILES: Final[list[SubjectFile]] = [
    SubjectFile(b"auxv", 0o400, process_memory.auxiliary_vector, guarded=True, needs_memory=True),
    SubjectFile(b"cmdline", 0o444, process_memory.command_line),
    SubjectFile(b"comm", 0o644, process_status.comm, process_control.set_comm),
    SubjectFile(b"fail-nth", 0o644, process_control.fail_nth, process_control.set_fail_nth),
    SubjectFile(b"environ", 0o400, process_memory.environment, guarded=True, needs_memory=True),
    SubjectFile(b"gid_map", 0o444, process_status.id_map),
    SubjectFile(b"limits", 0o444, process_status.limits),
    SubjectFile(b"maps", 0o444, process_memory.maps, guarded=True),
    SubjectFile(b"mem", 0o600, no_text, guarded=True, opener=open_memory),
    SubjectFile(b"mountinfo", 0o444, process_mounts.mountinfo),
    SubjectFile(b"mounts", 0o444, process_mounts.mounts),
    SubjectFile(b"mountstats", 0o400, process_mounts.mountstats),
    SubjectFile(b"oom_adj", 0o644, process_control.oom_adj, process_control.set_oom_adj),
    SubjectFile(b"oom_score", 0o444, process_control.oom_score),
    SubjectFile(b"oom_score_adj", 0o644, process_control.oom_score_adj, process_control.set_oom_score_adj),
    SubjectFile(b"personality", 0o400, process_status.personality, guarded=True),
    SubjectFile(b"projid_map", 0o444, process_status.id_map),
    SubjectFile(b"setgroups", 0o444, process_status.set_groups),
    SubjectFile(b"smaps", 0o444, process_memory.smaps, guarded=True),
    SubjectFile(b"smaps_rollup", 0o444, process_memory.smaps_rollup, guarded=True),
    SubjectFile(b"stat", 0o444, process_status.stat),
    SubjectFile(b"statm", 0o444, process_status.statm),
    SubjectFile(b"status", 0o444, process_status.status),
    SubjectFile(b"timerslack_ns", 0o666, process_status.timer_slack, process_control.set_timer_slack),
    SubjectFile(b"uid_map", 0o444, process_status.id_map),
    SubjectFile(b"wchan", 0o444, process_status.wait_channel),
]

LINKS: Final[list[bytes]] = [b"cwd", b"exe", b"root"]
_LINK_KINDS: Final[list[int]] = [CWD, EXE, ROOT]

_INO_LINKS: Final = 64
_INO_FD: Final = 80
_INO_FDINFO: Final = 81
_INO_TASK: Final = 82
_INO_NET: Final = 83
_DIRECTORY: Final = 4


@final
class SubjectText(TextInode):
    """One file of FILES about one subject."""

    def __init__(self, file_system: FileSystem, subject: Subject, index: int) -> None:
        row = FILES[index]
        super().__init__(file_system, subject.number() << 16 | index + 1, S_IFREG | row.mode)
        self.subject: Subject = subject
        self.row: SubjectFile = row
        self.uid = owner_uid(subject)
        self.gid = owner_gid(subject)

    def open(self, path: Path, flags: int) -> File:
        opener = self.row.opener
        if opener is None:
            return super().open(path, flags)
        self.check_reader()
        return opener(path, flags, self.subject)

    def check_reader(self) -> None:
        if self.row.guarded:
            require_inspection(self.subject)
        if self.row.needs_memory:
            living_memory_of(self.subject)

    def make_text(self) -> bytes:
        make = self.row.make
        return make(self.subject)

    def store_text(self, text: bytes) -> None:
        store = self.row.store
        store(self.subject, text)

    def set_mode(self, mode: int) -> None:
        raise Errno(EPERM)


class SubjectDirectory(ComputedDirectory):
    """What the directories of processes and threads have in common."""

    def __init__(self, file_system: FileSystem, subject: Subject) -> None:
        super().__init__(file_system, subject.number() << 16, 0o555)
        self.subject: Subject = subject
        self.uid = owner_uid(subject)
        self.gid = owner_gid(subject)

    def is_gone(self) -> bool:
        """Whether nothing is left of the subject."""
        return self.subject.task_or_none() is None

    def lookup(self, name: bytes) -> Inode | None:
        if self.is_gone():
            return None
        for index in range(len(FILES)):
            if FILES[index].name == name:
                return SubjectText(self.file_system, self.subject, index)
        for index in range(len(LINKS)):
            if LINKS[index] == name:
                return PlaceLink(self.file_system, self.ino | _INO_LINKS + index, self.subject, _LINK_KINDS[index], 0)
        if name == b"fd":
            return DescriptorDirectory(self.file_system, self.ino | _INO_FD, self.subject, True)
        if name == b"fdinfo":
            return DescriptorDirectory(self.file_system, self.ino | _INO_FDINFO, self.subject, False)
        if name == b"net":
            return NetDirectory(self.file_system, self.ino | _INO_NET, 0o555)
        return self.lookup_more(name)

    def lookup_more(self, name: bytes) -> Inode | None:
        """What only one of the kinds has."""
        return None

    def more_names(self) -> list[bytes]:
        """The names that `lookup_more` knows, all of them directories."""
        return []

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        if self.is_gone():
            raise Errno(ENOENT)
        names: list[bytes] = [b"fd", b"fdinfo", b"net"]
        names.extend(self.more_names())
        first_file = len(names)
        first_link = first_file + len(FILES)
        index = max(0, position - FIRST_POSITION)
        while index < first_link + len(LINKS):
            if index < first_file:
                name = names[index]
                kind = _DIRECTORY
            elif index < first_link:
                name = FILES[index - first_file].name
                kind = S_IFREG >> 12
            else:
                name = LINKS[index - first_link]
                kind = S_IFLNK >> 12
            index += 1
            if not sink.emit(name, self.ino | index, kind, index + FIRST_POSITION):
                return
            sink.position = index + FIRST_POSITION


@final
class ThreadDirectory(SubjectDirectory):
    """/proc/PID/task/TID."""


@final
class ProcessDirectory(SubjectDirectory):
    """/proc/PID."""

    def __init__(self, file_system: FileSystem, process: Process) -> None:
        super().__init__(file_system, Subject(process, 0))

    def lookup_more(self, name: bytes) -> Inode | None:
        if name == b"task":
            return ThreadsDirectory(self.file_system, self.ino | _INO_TASK, self.subject)
        return None

    def more_names(self) -> list[bytes]:
        return [b"task"]


@final
class ThreadsDirectory(ComputedDirectory):
    """/proc/PID/task."""

    def __init__(self, file_system: FileSystem, ino: int, subject: Subject) -> None:
        super().__init__(file_system, ino, 0o555)
        self.subject: Subject = subject
        self.uid = owner_uid(subject)
        self.gid = owner_gid(subject)

    def numbers(self) -> list[int]:
        """The threads, ascending; a leader that has ended is shown as long as its process is."""
        process = self.subject.process
        found: list[int] = []
        for tid in process.threads.keys():
            found.append(tid)
        leader = process.leader
        if leader is not None and leader.tid not in process.threads:
            found.append(leader.tid)
        found.sort()
        return found

    def lookup(self, name: bytes) -> Inode | None:
        tid = parse_number(name)
        if tid <= 0:
            return None
        subject = Subject(self.subject.process, tid)
        if subject.task_or_none() is None:
            return None
        return ThreadDirectory(self.file_system, subject)

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        for tid in self.numbers():
            if FIRST_POSITION + tid < position:
                continue
            if not sink.emit(f"{tid}".encode(), tid << 16, S_IFDIR >> 12, FIRST_POSITION + tid + 1):
                return
            sink.position = FIRST_POSITION + tid + 1


@final
class SelfLink(Inode):
    """/proc/self and /proc/thread-self: a link whose text depends on who reads it."""

    def __init__(self, file_system: FileSystem, ino: int, is_thread: bool) -> None:
        super().__init__(file_system, ino, S_IFLNK | 0o777)
        self.is_thread: bool = is_thread

    def read_link(self) -> bytes:
        task = current()
        if self.is_thread:
            return f"{task.pid}/task/{task.tid}".encode()
        return f"{task.pid}".encode()
