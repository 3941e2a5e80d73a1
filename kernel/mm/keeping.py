"""Memory that stays when programs end: files and names in memory, segments, messages and semaphores of System V.

Killing a process does not free it, so a part of memory is left for processes: nothing more is kept while less than an
eighth of memory is free and the kernel's own objects and files in memory take more than half, or the objects alone
while files in memory can be swapped out. (Linux lets such memory grow until no process is left to kill.)

Context: any. Allocates nothing.
"""

from typing import Final

from kernel.mm.frames import SHORTAGE, free_frame_count, make_room, total_frame_count
from kernel.mm.objects import SHARED_TOTALS
from kernel.mm.slabs import SLABS
from kernel.mm.swap_slots import SWAP

_FREE_SHIFT: Final = 3
_KEPT_SHIFT: Final = 1


def has_room_to_keep() -> bool:
    """Whether the kernel may keep more."""
    wanted = total_frame_count() >> _FREE_SHIFT
    if _has_room(wanted):
        return True
    make_room(wanted - free_frame_count())
    return _has_room(wanted - SHORTAGE.helper.droppable())


def _has_room(wanted: int) -> bool:
    """Whether `wanted` frames are free, or little is kept that cannot be swapped out."""
    if free_frame_count() >= wanted:
        return True
    kept = SLABS.pages if SWAP.has_free() else SHARED_TOTALS.pages + SLABS.pages
    return kept <= total_frame_count() >> _KEPT_SHIFT


def check_room_to_keep() -> None:
    """Raise MemoryError unless the kernel may keep more."""
    if not has_room_to_keep():
        raise MemoryError
