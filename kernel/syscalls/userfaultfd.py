"""userfaultfd(2): handling page faults in user space."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EPERM, Errno, i32
from kernel.lib.capabilities import CAP_SYS_PTRACE
from kernel.lib.settings import SystemSetting
from kernel.task import current
from kernel.task.userfault_device import USER_MODE_ONLY, new_fault_file

_UNPRIVILEGED: Final = SystemSetting(b"vm/unprivileged_userfaultfd", [0], 0, 1)


@syscall("userfaultfd", status="Full", args="flags:O_NONBLOCK|O_CLOEXEC|1 -> fd:userfaultfd")
def userfaultfd(flags: i32) -> int:
    """userfaultfd(2)."""
    if flags & USER_MODE_ONLY == 0 and _UNPRIVILEGED.value == 0 and not current().credentials.capable(CAP_SYS_PTRACE):
        raise Errno(EPERM)
    return new_fault_file(flags)
