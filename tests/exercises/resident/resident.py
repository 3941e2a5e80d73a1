"""resident(): how many of the caller's pages are in memory, and how many addresses it has."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import UserAddr
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.mm.frames import PAGE_SHIFT
from kernel.mm.remap import residency
from kernel.mm.space import each_area
from kernel.task.task import current

_AT_ONCE: Final = 512  # pages
_PAGE_COST: Final = 40  # instructions, about


@syscall("resident", number=503, status="Full", args=">bytes[8]")
def resident(total: UserAddr) -> int:
    """The number of pages that are in memory; the number of all mapped pages is written to `total`. Raises EFAULT."""
    space = current().space
    mapped = 0
    present = 0
    for area in each_area(space):
        count = (area.end - area.start) >> PAGE_SHIFT
        mapped += count
        done = 0
        while done < count:
            part = min(count - done, _AT_ONCE)
            for state in residency(space, area.start + (done << PAGE_SHIFT), part):
                present += state & 1
            done += part
            pace(part * _PAGE_COST)  # another thread may unmap it now: then residency raises ENOMEM
    user.write_u64(total, mapped)
    return present
