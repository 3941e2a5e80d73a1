"""tracefs: which tracepoints there are, how they are numbered, and how their records are laid out.

    events/SYSTEM/TRACEPOINT/id, format
    uprobe_events, uprobe_profile: probes of programs (probes.py)

Tracepoints of system calls are those of the call table. There is no trace buffer, so there is nothing to enable or read
here: tracepoints are used by events of perf_event_open(2).

Context: never sleeps. Directories below events/SYSTEM are created when they are looked up.
Source: Linux's Documentation/trace/events.rst.
"""

from typing import Final

from arch import CALL_LIMIT
from kernel.doors.table import SYSCALLS
from kernel.fs.constants import S_IFDIR, S_IFREG
from kernel.fs.file import DirectorySink
from kernel.fs.filesystem import FileSystem, OnlyInstance, register_filesystem, split_option
from kernel.fs.inode import Inode
from kernel.fs.path import FsContext
from kernel.fs.procfs.entries import FIRST_POSITION, ComputedDirectory, FixedDirectory, FixedText, TextInode
from kernel.fs.root_choice import RootChoice
from kernel.fs.tracefs.probes import NamedDirectory, ProbeEventsFile, group_ino
from kernel.lang import EINVAL, Errno, final
from kernel.lib.ids import NO_GROUP, NO_USER
from kernel.lib.pace import pace
from kernel.perf.event import BEHIND_CALLS, FIRST_CALL
from kernel.perf.probe_events import NAMED, probe_profile
from kernel.perf.tracepoints import POINTS, call_event_name, find_point

TRACEFS_MAGIC: Final = 0x7472_6163
_FILES: Final[list[bytes]] = [b"format", b"id"]
_ENTRY: Final = b"sys_enter_"
_EXIT: Final = b"sys_exit_"
_CALLS: Final = b"syscalls"
_KIND_FILE: Final = 8
_KIND_DIRECTORY: Final = 4
_LOOK_COST: Final = 60  # instructions, for `pace`
_NAME_COST: Final = 500  # instructions, for `pace`
_COMPUTED: Final = 1 << 20  # numbers of inodes above those of the fixed part
_HEADER_PAGE: Final = (
    b"\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
    b"\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
    b"\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
    b"\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;\n"
)
_HEADER_EVENT: Final = (
    b"# compressed entry header\n\ttype_len    :    5 bits\n\ttime_delta  :   27 bits\n\tarray       :   32 bits\n\n"
    b"\tpadding     : type == 29\n\ttime_extend : type == 30\n\ttime_stamp : type == 31\n\tdata max type_len  == 28\n"
)


@final
class TraceFileSystem(FileSystem):
    """The instance, which stays while nobody mounts it."""

    def __init__(self) -> None:
        super().__init__(b"tracefs", b"none", TRACEFS_MAGIC)
        self.opens_devices = False
        self.next_ino: int = 0
        self.top: FixedDirectory | None = None
        self.mounts = 1  # never shut down

    def root(self) -> Inode:
        top = self.top
        if top is None:
            raise Errno(EINVAL)
        return top

    def use(self, source: bytes, options: bytes) -> None:
        self.source = source
        self.reconfigure(options)

    def reconfigure(self, options: bytes) -> None:
        chosen = _chosen(options)
        top = self.root()
        if chosen.mode >= 0:
            top.mode = S_IFDIR | chosen.mode
        if chosen.uid != NO_USER:
            top.uid = chosen.uid
        if chosen.gid != NO_GROUP:
            top.gid = chosen.gid

    def new_ino(self) -> int:
        """The next inode number of the fixed part."""
        self.next_ino += 1
        return self.next_ino

    def directory(self, parent: FixedDirectory, name: bytes) -> FixedDirectory:
        """A new directory."""
        fresh = FixedDirectory(self, self.new_ino())
        fresh.mode = fresh.mode & ~0o777 | 0o755
        parent.add(name, fresh)
        return fresh


@final
class EventsDirectory(FixedDirectory):
    """events: beside what is fixed, the groups of probes that have names."""

    def __init__(self, file_system: FileSystem, ino: int) -> None:
        super().__init__(file_system, ino)
        self.caches_children = False

    def lookup(self, name: bytes) -> Inode | None:
        found = super().lookup(name)
        if found is None and name in NAMED.oldest:
            return NamedDirectory(self.file_system, name)
        return found

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        fixed = FIRST_POSITION + len(self.entries)
        if position < fixed:
            super().read_directory(position, sink)
            position = sink.position
            if position < fixed:
                return
        place = max(0, position - fixed)
        while place < len(NAMED.all):
            probe = NAMED.all[place]
            group = probe.command.group
            place += 1
            if NAMED.oldest.get(group) is probe and super().lookup(group) is None:
                if not sink.emit(group, group_ino(group), _KIND_DIRECTORY, fixed + place):
                    return
            sink.position = fixed + place
            pace(_LOOK_COST)


@final
class PointFile(TextInode):
    """`id` or `format` of a tracepoint."""

    def __init__(self, file_system: FileSystem, point: int, place: int) -> None:
        super().__init__(file_system, _COMPUTED + point * 4 + 1 + place, S_IFREG | 0o440)
        self.point: int = point
        self.is_format: bool = _FILES[place] == b"format"

    def can_be_watched(self) -> bool:
        return False

    def make_text(self) -> bytes:
        point = find_point(self.point)
        if point is None:
            raise Errno(EINVAL)
        return point.format_text() if self.is_format else f"{self.point}\n".encode()


@final
class PointDirectory(ComputedDirectory):
    """events/SYSTEM/TRACEPOINT."""

    def __init__(self, file_system: FileSystem, point: int) -> None:
        super().__init__(file_system, _COMPUTED + point * 4, 0o755)
        self.point: int = point

    def lookup(self, name: bytes) -> Inode | None:
        return PointFile(self.file_system, self.point, _FILES.index(name)) if name in _FILES else None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        for place in range(max(0, position - FIRST_POSITION), len(_FILES)):
            following = FIRST_POSITION + place + 1
            if not sink.emit(_FILES[place], self.ino + 1 + place, _KIND_FILE, following):
                return
            sink.position = following


def _is_served(call: int) -> bool:
    """Whether a call has tracepoints."""
    return SYSCALLS[call] is not None and len(call_event_name(call)) > 0


def is_tracepoint(number: int) -> bool:
    """Whether a tracepoint that is shown has that number. Raises MemoryError."""
    if FIRST_CALL <= number < BEHIND_CALLS:
        return _is_served(number - FIRST_CALL >> 1)
    return find_point(number) is not None


@final
class CallsDirectory(ComputedDirectory):
    """events/syscalls."""

    def lookup(self, name: bytes) -> Inode | None:
        is_entry = name.startswith(_ENTRY)
        if not is_entry and not name.startswith(_EXIT):
            return None
        rest = name[len(_ENTRY) if is_entry else len(_EXIT) :]
        for call in range(CALL_LIMIT):
            if _is_served(call) and call_event_name(call) == rest:
                return PointDirectory(self.file_system, FIRST_CALL + 2 * call + (1 if is_entry else 0))
        return None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        for place in range(max(0, position - FIRST_POSITION), 2 * CALL_LIMIT):
            following = FIRST_POSITION + place + 1
            call = place >> 1
            if _is_served(call):
                name = (_ENTRY if place & 1 != 0 else _EXIT) + call_event_name(call)
                if not sink.emit(name, _COMPUTED + (FIRST_CALL + place) * 4, _KIND_DIRECTORY, following):
                    return
            sink.position = following


def _all_names() -> bytes:
    """The tracepoints, a line each: `available_events`."""
    text = bytearray()
    for point in POINTS:
        text.extend(point.system + b":" + point.name + b"\n")
    for call in range(CALL_LIMIT):
        if _is_served(call):
            name = call_event_name(call)
            text.extend(b"syscalls:" + _EXIT + name + b"\nsyscalls:" + _ENTRY + name + b"\n")
            pace(_NAME_COST)
    return bytes(text)


def _header_page() -> bytes:
    return _HEADER_PAGE


def _header_event() -> bytes:
    return _HEADER_EVENT


def _enter_points(fs: TraceFileSystem, events: FixedDirectory) -> None:
    """Enter all tracepoints except those of single calls, by system."""
    for point in POINTS:
        system: Inode | None = events.lookup(point.system)
        if system is None:
            system = fs.directory(events, point.system)
        if isinstance(system, FixedDirectory):
            system.add(point.name, PointDirectory(fs, point.number))


def _chosen(options: bytes) -> RootChoice:
    """Options say who owns the root, and its mode. Raises EINVAL."""
    chosen = RootChoice()
    for option in options.split(b","):
        key, value = split_option(option)
        if len(option) > 0 and not chosen.take(key, value):
            raise Errno(EINVAL)
    return chosen


def check_trace_options(context: FsContext, options: bytes) -> None:
    """Raise EINVAL."""
    _chosen(options)


_INSTANCE: Final[OnlyInstance[TraceFileSystem]] = OnlyInstance()


def make_tracefs(source: bytes, options: bytes) -> FileSystem:
    """The one instance, whose root options may change. Raises MemoryError."""
    made = _INSTANCE.made
    if made is None:
        made = _new()
        _INSTANCE.made = made
    return made


def _new() -> TraceFileSystem:
    fs = TraceFileSystem()
    top = FixedDirectory(fs, fs.new_ino())
    top.mode = S_IFDIR | 0o700
    top.add(b"available_events", FixedText(fs, fs.new_ino(), 0o440, _all_names, None))
    top.add(b"uprobe_events", ProbeEventsFile(fs, fs.new_ino()))
    top.add(b"uprobe_profile", FixedText(fs, fs.new_ino(), 0o440, probe_profile, None))
    events = EventsDirectory(fs, fs.new_ino())
    events.mode = events.mode & ~0o777 | 0o755
    top.add(b"events", events)
    events.add(b"header_page", FixedText(fs, fs.new_ino(), 0o440, _header_page, None))
    events.add(b"header_event", FixedText(fs, fs.new_ino(), 0o440, _header_event, None))
    fs.directory(events, b"ftrace")  # of a trace buffer's own records: none
    _enter_points(fs, events)
    events.add(_CALLS, CallsDirectory(fs, fs.new_ino(), 0o755))
    fs.top = top
    return fs


register_filesystem(b"tracefs", make_tracefs).check_options = check_trace_options
