"""/proc/PID/maps, smaps and numa_maps: a text with a piece for each area, produced as it is read (proc_pid_maps(5)).

The whole text of a process with thousands of areas would take megabytes, and long to produce. So a description
remembers up to which address it has reported, and the rest of that area's piece. A sequential reader sees every area
that exists throughout, each as it is when it is reached; reading elsewhere starts over and skips.

Context: sleeps. The description refers to the memory that the process had when it was opened.
"""

from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.fs.procfs.area_query import PROCMAP_QUERY, query_area
from kernel.fs.procfs.entries import PiecesFile
from kernel.fs.procfs.process_memory import area_figures, area_line, area_placement, memory_of
from kernel.fs.procfs.subject import Subject
from kernel.lang import ENOTTY, Errno, UserAddr, final
from kernel.lib.user import Buffer
from kernel.mm.area import Area
from kernel.mm.policy import MemoryPolicy
from kernel.mm.space import AddressSpace


class AreaText(PiecesFile):
    """An open text about areas. Base class."""

    def __init__(self, path: Path, flags: int, space: AddressSpace | None) -> None:
        super().__init__(path, flags)
        self.space: AddressSpace | None = space
        self.shown: int = 0  # the areas below this address

    def begin(self) -> None:
        self.shown = 0

    def next_piece(self) -> bytes | None:
        space = self.space
        if space is None:
            return None
        area = space.areas.first_above(self.shown)
        if area is None:
            return None
        self.shown = area.end
        return self.piece_of(space, area)

    def piece_of(self, space: AddressSpace, area: Area) -> bytes:
        """The piece of text about one area. May sleep."""
        return area_line(area)

    def pread(self, buffer: Buffer, offset: int) -> int:
        space = self.space
        if space is None or space.users == 0:
            return 0
        space.acquire()
        try:
            return super().pread(buffer, offset)
        finally:
            space.release()


@final
class QueriedAreaText(AreaText):
    """An open maps, which also answers queries about one area."""

    def ioctl(self, command: int, argument: int) -> int:
        if command != PROCMAP_QUERY:
            raise Errno(ENOTTY)
        query_area(self.space, UserAddr(argument))
        return 0


@final
class AreaFiguresText(AreaText):
    """An open smaps."""

    def piece_of(self, space: AddressSpace, area: Area) -> bytes:
        return area_line(area) + area_figures(space, area)


@final
class AreaPolicies(AreaText):
    """An open numa_maps."""

    def __init__(self, path: Path, flags: int, space: AddressSpace | None, policy: MemoryPolicy | None) -> None:
        super().__init__(path, flags, space)
        self.policy: MemoryPolicy | None = policy  # of the thread, for areas without one

    def piece_of(self, space: AddressSpace, area: Area) -> bytes:
        return area_placement(space, area, self.policy)


def open_maps(path: Path, flags: int, subject: Subject) -> File:
    """Open maps."""
    return QueriedAreaText(path, flags, memory_of(subject))


def open_numa_maps(path: Path, flags: int, subject: Subject) -> File:
    """Open numa_maps."""
    task = subject.task_or_none()
    return AreaPolicies(path, flags, memory_of(subject), None if task is None else task.memory_policy)


def open_smaps(path: Path, flags: int, subject: Subject) -> File:
    """Open smaps."""
    return AreaFiguresText(path, flags, memory_of(subject))
