"""vhangup(2)."""

from kernel.doors.table import syscall
from kernel.lang import EPERM, Errno
from kernel.lib.capabilities import CAP_SYS_TTY_CONFIG
from kernel.task.task import current
from kernel.tty.terminals import hang_up_controlling


@syscall("vhangup", status="Full", args="")
def vhangup() -> int:
    """vhangup(2)."""
    if not current().credentials.capable(CAP_SYS_TTY_CONFIG):
        raise Errno(EPERM)
    hang_up_controlling()
    return 0
