"""Rights to use the machine's ports: ioperm(2), iopl(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EINVAL, EPERM, Errno, i32, u32
from kernel.lib.capabilities import CAP_SYS_RAWIO
from kernel.task import current

_PORTS: Final = 65536
_HIGHEST_LEVEL: Final = 3


@syscall("ioperm", status="Full", args="uint size one:0|1")
def ioperm(first: int, count: int, opens: i32) -> int:
    """ioperm(2)."""
    if first < 0 or count <= 0 or first > _PORTS or count > _PORTS - first:
        raise Errno(EINVAL)
    task = current()
    if opens != 0 and not task.credentials.capable(CAP_SYS_RAWIO):
        raise Errno(EPERM)
    task.registers.change_ports(first, first + count, opens=opens != 0)
    return 0


@syscall("iopl", status="Full", args="one:0|1|2|3|4")
def iopl(level: u32) -> int:
    """iopl(2)."""
    if level > _HIGHEST_LEVEL:
        raise Errno(EINVAL)
    task = current()
    if level > task.registers.port_level and not task.credentials.capable(CAP_SYS_RAWIO):
        raise Errno(EPERM)
    task.registers.set_port_level(level)
    return 0
