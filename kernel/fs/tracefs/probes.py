"""Probes of programs in tracefs: `uprobe_events`, and their directories events/GROUP/EVENT with id, format, enable.

Context: sleeps where probes are made, removed, enabled and disabled.
Source: Linux's Documentation/trace/uprobetracer.rst.
"""

from typing import Final

from kernel.fs.constants import S_IFREG
from kernel.fs.file import DirectorySink
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.procfs.entries import FIRST_POSITION, ComputedDirectory, TextInode
from kernel.lang import EINVAL, ENODEV, Errno, final, with_room
from kernel.lib.pace import pace
from kernel.perf.probe_events import NAMED, NamedProbe, probe_lines
from kernel.sched.room import make_room
from kernel.task.task import current

_FILES: Final[list[bytes]] = [b"enable", b"format", b"id"]
_KIND_FILE: Final = 8
_KIND_DIRECTORY: Final = 4
_LOOK_COST: Final = 60  # instructions, for `pace`
_COMPUTED: Final = 1 << 21  # numbers of inodes above those of other tracepoints
_GROUPS: Final = 1 << 40
_COMMENT: Final = b"#"


@final
class ProbeEventsFile(TextInode):
    """`uprobe_events`: a line for each; what is written adds and removes some."""

    def __init__(self, file_system: FileSystem, ino: int) -> None:
        super().__init__(file_system, ino, S_IFREG | 0o640)

    def make_text(self) -> bytes:
        return probe_lines()

    def store_text(self, text: bytes, offset: int) -> int:
        for line in text.split(b"\n"):
            at = line.find(_COMMENT)
            line = line[:at] if at >= 0 else line
            if len(line.strip()) > 0:
                make_room()
                _command(line)
        return len(text)

    def truncate(self, size: int) -> None:
        """Opening it anew removes all."""
        if size == 0:
            NAMED.clear()


@with_room(24576)
def _command(line: bytes) -> None:
    NAMED.command(current().fs, line)


@final
class NamedFile(TextInode):
    """One of an event's files."""

    def __init__(self, file_system: FileSystem, number: int, place: int) -> None:
        name = _FILES[place]
        super().__init__(file_system, _ino_of(number) + 1 + place, S_IFREG | (0o640 if name == b"enable" else 0o440))
        self.number: int = number
        self.name: bytes = name

    def can_be_watched(self) -> bool:
        return False

    def _probe(self) -> NamedProbe:
        """Raises ENODEV once it was removed."""
        probe = NAMED.numbered(self.number)
        if probe is None:
            raise Errno(ENODEV)
        return probe

    def make_text(self) -> bytes:
        probe = self._probe()
        if self.name == b"enable":
            return b"0\n" if probe.use is None else b"1\n"
        return probe.shown.format_text() if self.name == b"format" else f"{self.number}\n".encode()

    def store_text(self, text: bytes, offset: int) -> int:
        chosen = text.strip()
        if self.name != b"enable" or chosen not in (b"0", b"1"):
            raise Errno(EINVAL)
        self._probe().turn(chosen == b"1")
        return len(text)

    def truncate(self, size: int) -> None:
        """Nothing to do."""


@final
class NamedEvent(ComputedDirectory):
    """events/GROUP/EVENT."""

    def __init__(self, file_system: FileSystem, number: int) -> None:
        super().__init__(file_system, _ino_of(number), 0o755)
        self.number: int = number

    def lookup(self, name: bytes) -> Inode | None:
        return NamedFile(self.file_system, self.number, _FILES.index(name)) if name in _FILES else None

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        for place in range(max(0, position - FIRST_POSITION), len(_FILES)):
            following = FIRST_POSITION + place + 1
            if not sink.emit(_FILES[place], self.ino + 1 + place, _KIND_FILE, following):
                return
            sink.position = following


@final
class NamedDirectory(ComputedDirectory):
    """events/GROUP."""

    def __init__(self, file_system: FileSystem, group: bytes) -> None:
        super().__init__(file_system, group_ino(group), 0o755)
        self.group: bytes = group

    def lookup(self, name: bytes) -> Inode | None:
        probe = NAMED.find(self.group, name)
        return None if probe is None else NamedEvent(self.file_system, probe.point.number)

    def read_directory(self, position: int, sink: DirectorySink) -> None:
        place = max(0, position - FIRST_POSITION)
        while place < len(NAMED.all):
            probe = NAMED.all[place]
            place += 1
            following = FIRST_POSITION + place
            if probe.command.group == self.group:
                ino = _ino_of(probe.point.number)
                if not sink.emit(probe.command.event, ino, _KIND_DIRECTORY, following):
                    return
            sink.position = following
            pace(_LOOK_COST)


def group_ino(group: bytes) -> int:
    """The inode number of a group: that of its oldest event, made another."""
    probe = NAMED.oldest.get(group)
    return _GROUPS if probe is None else _GROUPS + probe.point.number


def _ino_of(number: int) -> int:
    return _COMPUTED + number * 4
