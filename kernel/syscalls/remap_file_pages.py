"""Remapping pages of a shared mapping in another order: remap_file_pages(2). As on Linux it replaces part of the first
mapping by another one, so each such piece is an area.
"""

from typing import Final

from arch import USER_END
from kernel.doors.table import syscall
from kernel.fs.constants import MAX_FILE_SIZE
from kernel.lang import EINVAL, EOVERFLOW, Errno
from kernel.lib.pace import pace
from kernel.mm.area import MAP_FIXED, MAP_LOCKED, MAP_NONBLOCK, MAP_SHARED, Area
from kernel.mm.frames import PAGE_MASK, PAGE_SHIFT
from kernel.mm.space import AddressSpace
from kernel.syscalls.mmap import check_lock_limit
from kernel.task import current

_AREA_COST: Final = 500  # instructions, for `pace`


@syscall("remap_file_pages", status="Full", args="address size flags:0 count flags:0x10000")
def remap_file_pages(start: int, size: int, prot: int, first_page: int, flags: int) -> int:
    """remap_file_pages(2)."""
    start &= ~PAGE_MASK
    size &= ~PAGE_MASK
    if prot != 0 or size <= 0 or start < 0 or size > USER_END or start > USER_END - size:
        raise Errno(EINVAL)
    if first_page < 0 and first_page + (size >> PAGE_SHIFT) >= 0:
        raise Errno(EINVAL)  # as numbers without a sign, it wraps
    space = current().space
    space.settle()
    area = space.area_at(start)
    if area is None or not area.shared:
        raise Errno(EINVAL)
    _check_alike(space, area, start + size)
    if not 0 <= first_page <= MAX_FILE_SIZE - size >> PAGE_SHIFT:
        raise Errno(EOVERFLOW)
    source = area.source
    wanted = MAP_SHARED | MAP_FIXED | area.flags & MAP_LOCKED
    check_lock_limit(space, size, wanted)
    space.settle()
    area = space.area_at(start)
    if area is None or not area.shared or area.source is not source:
        raise Errno(EINVAL)  # others have unmapped it meanwhile, and the source may have ended
    space.map(start, size, area.prot, wanted, source, first_page, area.maximum_prot)
    if flags & MAP_NONBLOCK == 0:
        try:
            space.populate(start, start + size)
        except Errno:
            pass  # the mapping exists; pages not available now are not reported
    return 0


def _check_alike(space: AddressSpace, first: Area, end: int) -> None:
    """Raise EINVAL unless areas of the same kind and source are adjacent up to `end`."""
    place = first.end
    while place < end:
        area = space.area_at(place)
        if (
            area is None
            or area.source is not first.source
            or area.prot != first.prot
            or area.maximum_prot != first.maximum_prot
            or area.flags != first.flags
        ):
            raise Errno(EINVAL)
        place = area.end
        pace(_AREA_COST)
