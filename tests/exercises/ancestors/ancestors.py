"""ancestors(buffer, count): the caller's parent, its parent and so on, as 32-bit numbers in the caller's memory;
0 for those outside the caller's pid namespace.
"""

from kernel.doors.table import syscall
from kernel.lang import EINVAL, Errno, UserAddr
from kernel.lib import user
from kernel.lib.pid import shown_to_caller
from kernel.task.task import current


@syscall("ancestors", number=501, status="Full", args=">bytes[count] count")
def ancestors(buffer: UserAddr, count: int) -> int:
    """How many ancestors there are; the nearest `count` of them are written. Raises EINVAL, EFAULT."""
    if count < 0:
        raise Errno(EINVAL)
    found = 0
    process = current().process.parent
    while process is not None:
        if found < count:
            user.write_u32(user.at(buffer, 4 * found), shown_to_caller(process.pid))
        found += 1
        process = process.parent
    return found
