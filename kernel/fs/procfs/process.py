"""/proc/PID and /proc/PID/task/TID: the directory of a process or thread, and the links that lead to them.

A process's directory is created anew at each look-up and holds a reference to the process, not its number, so a reused
number never shows another process.

Context: see entries.py.
"""

from collections.abc import Callable
from typing import Final

from kernel.fs.constants import FS_IMMUTABLE_FL, S_IFDIR, S_IFLNK, S_IFREG
from kernel.fs.file import DirectorySink, File
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.fs.procfs import (
    control_groups,
    process_control,
    process_memory,
    process_place,
    process_scheduling,
    process_status,
)
from kernel.fs.procfs.area_text import open_maps, open_numa_maps, open_smaps
from kernel.fs.procfs.entries import FIRST_POSITION, ComputedDirectory, TextFile, TextInode
from kernel.fs.procfs.id_maps import open_gid_map, open_projid_map, open_setgroups, open_uid_map
from kernel.fs.procfs.memory_file import open_memory
from kernel.fs.procfs.namespaces import NamespaceDirectory
from kernel.fs.procfs.network import NetDirectory
from kernel.fs.procfs.pagemap import open_pagemap
from kernel.fs.procfs.process_files import CWD, EXE, ROOT, DescriptorDirectory, PlaceLink
from kernel.fs.procfs.process_memory import living_memory_of, memory_of
from kernel.fs.procfs.process_mounts import open_mountinfo, open_mounts, open_mountstats
from kernel.fs.procfs.security_attributes import SecurityDirectory
from kernel.fs.procfs.subject import THREAD_INO, Subject, give_owner, may_reach, parse_number, require_inspection
from kernel.fs.procfs.time_offsets import open_time_offsets
from kernel.fs.procfs.view import View
from kernel.lang import EACCES, EINVAL, ENOENT, Errno, final
from kernel.lib.credentials import Actor
from kernel.lib.pace import pace
from kernel.lib.sorting import sort_paced
from kernel.mm.space import AddressSpace
from kernel.net.link.network import LIMBO, Network, as_network
from kernel.task.task import current

MakeSubjectText = Callable[[Subject], bytes]
StoreSubjectText = Callable[[Subject, bytes], None]
CheckOpening = Callable[[Subject, int], None]  # of a file, with these flags; raises Errno
OpenSubject = Callable[[Path, int, Subject], File]


def no_text(subject: Subject) -> bytes:
    """For files that are not texts."""
    return b""


def read_only(subject: Subject, text: bytes) -> None:
    """For files that can't be written: their mode keeps everyone but root out. Raises EINVAL."""
    raise Errno(EINVAL)


# Files that can be written at any offset: the others have a position for reading alone.
_WITH_OFFSETS: Final = (b"coredump_filter", b"fail-nth", b"oom_adj", b"oom_score_adj")

# Whose directories hold a file
OF_BOTH: Final = 0
OF_PROCESSES: Final = 1
OF_THREADS: Final = 2


@final
class SubjectFile:
    """A file in each process's directory."""

    def __init__(
        self,
        name: bytes,
        mode: int,
        make: MakeSubjectText,
        store: StoreSubjectText = read_only,
        guarded: bool = False,
        needs_memory: bool = False,
        reaches: bool = False,
        check_opening: CheckOpening | None = None,
        opener: OpenSubject | None = None,
        scope: int = OF_BOTH,
    ) -> None:
        self.name: bytes = name
        self.mode: int = mode
        self.make: MakeSubjectText = make
        self.store: StoreSubjectText = store
        self.guarded: bool = guarded  # it shows memory: opening needs the right to look into the process
        self.needs_memory: bool = needs_memory  # cannot be opened for zombies
        self.reaches: bool = reaches  # a debugger works with it: opening needs Yama's consent
        self.check_opening: CheckOpening | None = check_opening  # further checks when opening
        self.opener: OpenSubject | None = opener  # for files that are not texts
        self.scope: int = scope

    def is_of(self, scope: int) -> bool:
        """Whether it is in the directories of processes, or of threads."""
        return self.scope == OF_BOTH or self.scope == scope


FILES: Final[list[SubjectFile]] = [
    SubjectFile(
        b"autogroup", 0o644, process_scheduling.autogroup, process_scheduling.set_autogroup, scope=OF_PROCESSES
    ),
    SubjectFile(b"auxv", 0o400, process_memory.auxiliary_vector, guarded=True, needs_memory=True),
    SubjectFile(b"cgroup", 0o444, control_groups.group_of),
    SubjectFile(b"cmdline", 0o444, process_memory.command_line),
    SubjectFile(b"comm", 0o644, process_status.comm, process_control.set_comm),
    SubjectFile(b"children", 0o444, process_status.children, scope=OF_THREADS),
    SubjectFile(
        b"coredump_filter", 0o644, process_memory.dump_filter, process_memory.set_dump_filter, scope=OF_PROCESSES
    ),
    SubjectFile(b"fail-nth", 0o644, process_control.fail_nth, process_control.set_fail_nth),
    SubjectFile(b"environ", 0o400, process_memory.environment, guarded=True, needs_memory=True),
    SubjectFile(b"gid_map", 0o644, no_text, opener=open_gid_map),
    SubjectFile(b"io", 0o400, process_status.io_figures),
    SubjectFile(b"ksm_merging_pages", 0o400, process_memory.merged_pages, guarded=True, scope=OF_PROCESSES),
    SubjectFile(b"ksm_stat", 0o400, process_memory.merging_figures, guarded=True, scope=OF_PROCESSES),
    SubjectFile(b"limits", 0o444, process_status.limits),
    SubjectFile(b"maps", 0o444, no_text, guarded=True, opener=open_maps),
    SubjectFile(b"mem", 0o600, no_text, guarded=True, reaches=True, opener=open_memory),
    SubjectFile(b"mountinfo", 0o444, no_text, opener=open_mountinfo),
    SubjectFile(b"mounts", 0o444, no_text, opener=open_mounts),
    SubjectFile(b"mountstats", 0o400, no_text, opener=open_mountstats, scope=OF_PROCESSES),
    SubjectFile(b"numa_maps", 0o444, no_text, guarded=True, opener=open_numa_maps),
    SubjectFile(b"oom_adj", 0o644, process_control.oom_adj, process_control.set_oom_adj),
    SubjectFile(b"oom_score", 0o444, process_control.oom_score),
    SubjectFile(b"oom_score_adj", 0o644, process_control.oom_score_adj, process_control.set_oom_score_adj),
    SubjectFile(b"pagemap", 0o400, no_text, guarded=True, opener=open_pagemap),
    SubjectFile(b"personality", 0o400, process_status.personality),
    SubjectFile(b"projid_map", 0o644, no_text, opener=open_projid_map),
    SubjectFile(b"sched", 0o644, process_scheduling.sched, process_scheduling.reset_sched),
    SubjectFile(b"schedstat", 0o444, process_scheduling.schedstat),
    SubjectFile(b"setgroups", 0o644, no_text, opener=open_setgroups),
    SubjectFile(b"smaps", 0o444, no_text, guarded=True, opener=open_smaps),
    SubjectFile(b"smaps_rollup", 0o444, process_memory.smaps_rollup, guarded=True, needs_memory=True),
    SubjectFile(b"stack", 0o400, process_place.kernel_stack),
    SubjectFile(b"stat", 0o444, process_status.stat),
    SubjectFile(b"statm", 0o444, process_status.statm),
    SubjectFile(b"status", 0o444, process_status.status),
    SubjectFile(b"syscall", 0o400, process_place.system_call),
    SubjectFile(b"timens_offsets", 0o644, no_text, opener=open_time_offsets, scope=OF_PROCESSES),
    SubjectFile(
        b"timerslack_ns", 0o666, process_status.timer_slack, process_control.set_timer_slack, scope=OF_PROCESSES
    ),
    SubjectFile(b"uid_map", 0o644, no_text, opener=open_uid_map),
    SubjectFile(b"wchan", 0o444, process_place.wait_channel),
]

LINKS: Final[list[bytes]] = [b"cwd", b"exe", b"root"]
_LINK_KINDS: Final[list[int]] = [CWD, EXE, ROOT]

_TABLES_OF_MOUNTS: Final = (b"mounts", b"mountinfo", b"mountstats")
_INO_LINKS: Final = 64
_INO_FD: Final = 80
_INO_FDINFO: Final = 81
_INO_TASK: Final = 82
_INO_NET: Final = 83
_INO_NS: Final = 84
_INO_ATTR: Final = 85
_DIRECTORY: Final = 4
_THREAD_COST: Final = 150  # instructions, for `pace`


@final
class SubjectText(TextInode):
    """One file of FILES about one subject."""

    def __init__(self, file_system: FileSystem, subject: Subject, index: int) -> None:
        row = FILES[index]
        super().__init__(file_system, subject.first_ino() | index + 1, S_IFREG | row.mode)
        self.subject: Subject = subject
        self.row: SubjectFile = row
        self.reads_alone = row.name not in _TABLES_OF_MOUNTS
        give_owner(self, subject)

    def open(self, path: Path, flags: int) -> File:
        row = self.row
        subject = self.subject
        check = row.check_opening
        if check is not None:
            check(subject, flags)
        if row.needs_memory:
            living_memory_of(subject)
        opener = row.opener
        if not row.guarded:
            return super().open(path, flags) if opener is None else opener(path, flags, subject)
        space = memory_of(subject)
        if space is not None and space is not current().memory:
            require_inspection(subject)
            if row.reaches and not may_reach(subject):
                raise Errno(EACCES)
        return MemoryText(path, flags, self, space) if opener is None else opener(path, flags, subject)

    def make_text(self) -> bytes:
        make = self.row.make
        return make(self.subject)

    def store_text(self, text: bytes, offset: int) -> int:
        """Anything after a zero byte is ignored: C programs write the terminators of their strings."""
        end = text.find(b"\0")
        store = self.row.store
        store(self.subject, text if end < 0 else text[:end])
        return len(text)

    def has_offsets_to_write(self) -> bool:
        return self.row.name in _WITH_OFFSETS

    def can_be_watched(self) -> bool:
        return False

    def keeps_mode(self) -> bool:
        return True


@final
class MemoryText(TextFile):
    """An open text about the memory that a subject had when it was opened. Once the subject executes another program,
    which may have privileges, there is nothing to read, except for what was set up for the old program.
    """

    def __init__(self, path: Path, flags: int, source: SubjectText, space: AddressSpace | None) -> None:
        super().__init__(path, flags, source)
        self.subject: Subject = source.subject
        self.is_vector: bool = source.row.name == b"auxv"
        self.space: AddressSpace | None = space

    def make_text(self) -> bytes:
        space = self.space
        if space is None:
            return b""
        if memory_of(self.subject) is space:
            return super().make_text()
        return space.auxiliary_vector if self.is_vector else b""


class SubjectDirectory(ComputedDirectory):
    """What the directories of processes and threads have in common."""

    def __init__(self, file_system: FileSystem, subject: Subject) -> None:
        super().__init__(file_system, subject.first_ino(), 0o555)
        self.flags = FS_IMMUTABLE_FL  # nobody may create, remove or rename what is in it
        self.subject: Subject = subject
        give_owner(self, subject)

    def refresh(self) -> None:
        give_owner(self, self.subject)

    def scope(self) -> int:
        """OF_PROCESSES or OF_THREADS."""
        return OF_PROCESSES

    def is_gone(self) -> bool:
        """Whether nothing is left of the subject."""
        return self.subject.task_or_none() is None

    def lookup(self, name: bytes) -> Inode | None:
        if self.is_gone():
            return None
        for index in range(len(FILES)):
            if FILES[index].name == name and FILES[index].is_of(self.scope()):
                return SubjectText(self.file_system, self.subject, index)
        for index in range(len(LINKS)):
            if LINKS[index] == name:
                return PlaceLink(self.file_system, self.ino | _INO_LINKS + index, self.subject, _LINK_KINDS[index], 0)
        if name == b"fd":
            return DescriptorDirectory(self.file_system, self.ino | _INO_FD, self.subject, links=True)
        if name == b"fdinfo":
            return DescriptorDirectory(self.file_system, self.ino | _INO_FDINFO, self.subject, links=False)
        if name == b"ns":
            return NamespaceDirectory(self.file_system, self.ino | _INO_NS, self.subject)
        if name == b"attr":
            return SecurityDirectory(self.file_system, self.ino | _INO_ATTR, self.subject)
        if name == b"net":
            return ProcessNetDirectory(self.file_system, self.ino | _INO_NET, self.subject)
        return self.lookup_more(name)

    def lookup_more(self, name: bytes) -> Inode | None:
        """Look up a name that only one of the kinds has."""
        return None

    def more_names(self) -> list[bytes]:
        """The names that `lookup_more` knows, all of them directories."""
        return []

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        if self.is_gone():
            raise Errno(ENOENT)
        names: list[bytes] = [b"attr", b"fd", b"fdinfo", b"net", b"ns"]
        names.extend(self.more_names())
        first_file = len(names)
        first_link = first_file + len(FILES)
        index = max(0, position - FIRST_POSITION)
        while index < first_link + len(LINKS):
            if index < first_file:
                name = names[index]
                kind = _DIRECTORY
            elif index < first_link:
                row = FILES[index - first_file]
                name = row.name
                kind = S_IFREG >> 12
                if not row.is_of(self.scope()):
                    index += 1
                    continue
            else:
                name = LINKS[index - first_link]
                kind = S_IFLNK >> 12
            index += 1
            if not sink.emit(name, self.ino | index, kind, index + FIRST_POSITION):
                return
            sink.position = index + FIRST_POSITION


@final
class ProcessNetDirectory(NetDirectory):
    """/proc/PID/net: that of the process's network. Zombies have none."""

    def __init__(self, file_system: FileSystem, ino: int, subject: Subject) -> None:
        super().__init__(file_system, ino, 0o555)
        self.subject: Subject = subject
        give_owner(self, subject)

    def refresh(self) -> None:
        give_owner(self, self.subject)

    def keeps_mode(self) -> bool:
        return True

    def network(self) -> Network:
        task = self.subject.task_or_none()
        return LIMBO if task is None else as_network(task.namespaces.network)

    def lookup(self, name: bytes) -> Inode | None:
        return None if memory_of(self.subject) is None else super().lookup(name)

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        if memory_of(self.subject) is None:
            raise Errno(EINVAL)
        super().read_directory(position, sink)


@final
class ThreadDirectory(SubjectDirectory):
    """/proc/PID/task/TID."""

    def scope(self) -> int:
        return OF_THREADS


@final
class ProcessDirectory(SubjectDirectory):
    """/proc/PID; also /proc/TID, of a thread that is not the first of its process."""

    def __init__(self, file_system: FileSystem, subject: Subject, view: View) -> None:
        super().__init__(file_system, subject)
        self.view: View = view

    def check_permission(self, actor: Actor, mask: int) -> None:
        self.view.require_entry(self.subject.process)
        super().check_permission(actor, mask)

    def lookup(self, name: bytes) -> Inode | None:
        self.view.require_entry(self.subject.process)  # a walk skips the search check where everybody may search
        return super().lookup(name)

    def refresh(self) -> None:
        self.view.require_attributes(self.subject.process)
        super().refresh()

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
        give_owner(self, subject)

    def keeps_mode(self) -> bool:
        return True

    def numbers(self) -> list[int]:
        """The numbers by which threads are shown, ascending. A leader that has ended is shown as long as its process,
        any other thread until its tracer has waited for it.
        """
        process = self.subject.process
        pids = self.subject.pids
        found: list[int] = []
        for tid in list(process.threads.keys()):
            found.append(pids.shown(tid))
            pace(_THREAD_COST)
        leader = process.leader
        if leader is not None and leader.tid not in process.threads:
            found.append(pids.shown(leader.tid))
        tracee = process.unreaped
        while tracee is not None:
            found.append(pids.shown(tracee.task.tid))
            tracee = tracee.next_unreaped
        sort_paced(found)
        return found

    def lookup(self, name: bytes) -> Inode | None:
        tid = parse_number(name)
        if tid <= 0:
            return None
        pids = self.subject.pids
        subject = Subject(self.subject.process, pids.resolve(tid), pids)
        if subject.task_or_none() is None:
            return None
        return ThreadDirectory(self.file_system, subject)

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        for tid in self.numbers():
            pace(_THREAD_COST)
            if FIRST_POSITION + tid < position:
                continue
            if not sink.emit(f"{tid}".encode(), tid << 16 | THREAD_INO, S_IFDIR >> 12, FIRST_POSITION + tid + 1):
                return
            sink.position = FIRST_POSITION + tid + 1


@final
class SelfLink(Inode):
    """/proc/self and /proc/thread-self: a link whose text depends on who reads it."""

    def __init__(self, file_system: FileSystem, ino: int, view: View, is_thread: bool) -> None:
        super().__init__(file_system, ino, S_IFLNK | 0o777)
        self.view: View = view
        self.is_thread: bool = is_thread

    def read_link(self) -> bytes:
        task = current()
        pids = self.view.pids
        number = pids.shown(task.pid)
        if number == 0:
            raise Errno(ENOENT)
        if self.is_thread:
            return f"{number}/task/{pids.shown(task.tid)}".encode()
        return f"{number}".encode()
