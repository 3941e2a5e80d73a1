"""The memory that a core file holds: a segment for each area of the address space, and how much of it (core(5),
"Controlling which mappings are written to the core dump").

Context: sleeps. The process's threads wait; other processes that share the memory may still change it, so the
segments are those of one moment, and pages that have gone since become holes in the file.
"""

from typing import Final

from kernel.lang import Errno, UserAddr, final
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.mm.area import PROT_READ, Area
from kernel.mm.frames import PAGE_SIZE
from kernel.mm.objects import FixedPages
from kernel.mm.space import (
    DUMP_ANONYMOUS,
    DUMP_ELF_HEADERS,
    DUMP_FILES,
    DUMP_HUGE,
    DUMP_SHARED_ANONYMOUS,
    DUMP_SHARED_FILES,
    DUMP_SHARED_HUGE,
    AddressSpace,
    each_area,
)

_ELF_MAGIC: Final = 0x464C_457F
_MAY_BE_RUN: Final = 0o111
_MOVE_COST: Final = 3  # instructions for each item: one to copy it, two to clear as much room as there will be


@final
class Segments:
    """All segments, lowest first: item i of each list belongs to one."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.protections: list[int] = []  # PROT_*
        self.sizes: list[int] = []  # bytes in the file, from the segment's start on
        self.total: int = 0  # of the sizes

    def add(self, area: Area, size: int) -> None:
        """Add a segment. Raises MemoryError."""
        start = area.start
        end = area.end
        protection = area.prot
        growth = _growth(len(self.starts))
        self.starts.append(start)
        pace(growth)
        self.ends.append(end)
        pace(growth)
        self.protections.append(protection)
        pace(growth)
        self.sizes.append(size)
        pace(growth)
        self.total += size


def _growth(length: int) -> int:
    """About how many instructions it takes to append to a list of that length, which doubles when it is full."""
    return length * _MOVE_COST if length & (length - 1) == 0 else 0


def find_segments(space: AddressSpace) -> Segments:
    """The segments of the running task's memory. Raises MemoryError."""
    segments = Segments()
    for area in each_area(space):
        segments.add(area, dumped_size(area, space.settings.dump_filter))
    return segments


def dumped_size(area: Area, kinds: int) -> int:
    """How many bytes of an area go into a core file, from its start on, if that holds `kinds` (DUMP_*). Sleeps."""
    whole = area.end - area.start
    source = area.source
    if isinstance(source, FixedPages):
        return whole  # a debugger needs the vDSO to unwind through it
    if area.dont_dump:
        return 0
    if area.is_huge:
        return whole if kinds & (DUMP_SHARED_HUGE if area.shared else DUMP_HUGE) != 0 else 0
    if area.shared:
        is_named = source is not None and source.link_count() > 0
        return whole if kinds & (DUMP_SHARED_FILES if is_named else DUMP_SHARED_ANONYMOUS) != 0 else 0
    if area.has_own_pages and kinds & DUMP_ANONYMOUS != 0:
        return whole
    if source is None:
        return 0
    if kinds & DUMP_FILES != 0:
        return whole
    if kinds & DUMP_ELF_HEADERS != 0 and area.first_page == 0 and area.prot & PROT_READ != 0:
        return PAGE_SIZE if source.file_mode() & _MAY_BE_RUN != 0 or _is_elf(area.start) else 0
    return 0


def _is_elf(address: int) -> bool:
    """Whether an ELF header is at an address of the running task: libraries need not be executable."""
    try:
        return user.read_u32(UserAddr(address)) == _ELF_MAGIC
    except Errno:
        return False
