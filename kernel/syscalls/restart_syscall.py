"""restart_syscall(2)."""

from kernel.doors.table import syscall
from kernel.lang import EINTR, Errno
from kernel.task.task import current


@syscall("restart_syscall", status="Full", args="")
def restart_syscall() -> int:
    """restart_syscall(2): the kernel itself makes programs call it."""
    task = current()
    rest = task.restart
    task.restart = None
    if rest is None:
        raise Errno(EINTR)
    return rest.resume()
