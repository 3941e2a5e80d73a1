"""Areas that stay as they are: mseal(2)."""

from kernel.doors.table import syscall
from kernel.lang import EINVAL, Errno
from kernel.mm.frames import PAGE_MASK
from kernel.mm.ranges import whole_pages
from kernel.task import current


@syscall("mseal", status="Full", args="address size flags:0")
def mseal(address: int, length: int, flags: int) -> int:
    """mseal(2)."""
    if flags != 0 or address & PAGE_MASK != 0:
        raise Errno(EINVAL)
    if length == 0:
        return 0
    start, end = whole_pages(address, length)
    if start == end:
        raise Errno(EINVAL)  # rounding the length up wrapped
    current().space.seal(start, end)
    return 0
