"""/proc/PID/maps and smaps: a text of one piece for each area, made as far as it is read (proc_pid_maps(5)).

The whole text of a process with thousands of areas would take megabytes, and its making long. So a description
remembers up to which address it has told, and what is left of that area's piece. Whoever reads on hears of all areas
that are there all the time, each as it is when it is reached; whoever reads elsewhere begins anew and skips.

Context: sleeps. The description means the memory that the process had when it was opened.
"""

from typing import Final

from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.fs.procfs.entries import PositionedFile
from kernel.fs.procfs.process_memory import area_figures, area_line, memory_of
from kernel.fs.procfs.subject import Subject
from kernel.lang import final, span_of
from kernel.lib.pace import is_dying, pace
from kernel.lib.user import Buffer
from kernel.mm.area import Area
from kernel.mm.space import AddressSpace

_PIECE_COST: Final = 3000  # instructions


class AreaText(PositionedFile):
    """An open maps."""

    def __init__(self, path: Path, flags: int, space: AddressSpace | None) -> None:
        super().__init__(path, flags)
        self.space: AddressSpace | None = space
        self.told: int = 0  # the areas below this address
        self.rest: bytes = b""  # of the piece of the last one
        self.offset: int = 0  # where the rest begins

    def piece_at(self, space: AddressSpace, address: int) -> bytes:
        """The piece of the first area that ends above an address; the text is at its end if it is empty. May sleep."""
        area = space.areas.first_above(address)
        if area is None:
            return b""
        self.told = area.end
        return self.piece_of(space, area)

    def piece_of(self, space: AddressSpace, area: Area) -> bytes:
        """What there is to say of one area."""
        return area_line(area)

    def pread(self, buffer: Buffer, offset: int) -> int:
        space = self.space
        if space is None or space.users == 0:
            return 0
        if offset < self.offset or offset == 0:
            self.told = 0
            self.rest = b""
            self.offset = 0
        space.acquire()
        try:
            return self._put(buffer, offset, space)
        finally:
            space.release()

    def _put(self, buffer: Buffer, offset: int, space: AddressSpace) -> int:
        done = 0
        while buffer.remaining > 0 and not buffer.faulted and not is_dying():
            rest = self.rest
            if len(rest) == 0:
                rest = self.piece_at(space, self.told)
                if len(rest) == 0:
                    break
                pace(_PIECE_COST)
            taken = min(len(rest), offset + done - self.offset)  # to be skipped
            if taken == 0:
                taken = buffer.put(span_of(rest))
                done += taken
            self.rest = rest[taken:]
            self.offset += taken
        return done


@final
class AreaFiguresText(AreaText):
    """An open smaps."""

    def piece_of(self, space: AddressSpace, area: Area) -> bytes:
        return area_line(area) + area_figures(space, area)


def open_maps(path: Path, flags: int, subject: Subject) -> File:
    """Open maps."""
    return AreaText(path, flags, memory_of(subject))


def open_smaps(path: Path, flags: int, subject: Subject) -> File:
    """Open smaps."""
    return AreaFiguresText(path, flags, memory_of(subject))
