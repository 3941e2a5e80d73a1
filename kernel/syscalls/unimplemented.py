"""System calls that have a number in Linux but no implementation: it answers ENOSYS, and so does this kernel.

Some never existed (tuxcall, vserver, security), some were removed with their purpose (modules, sysctl(2), the first
epoll), and some are only for 32-bit programs (set_thread_area). A case that is generated from these declarations asks
Linux (tests/conformance/generated.py).

Source: unimplemented(2).
"""

from kernel.doors.table import AS_LINUX, syscall
from kernel.lang import ENOSYS, EPERM, Errno
from kernel.task import current
from kernel.task.send import force
from kernel.task.siginfo import from_kernel
from kernel.task.signals import SIGILL


@syscall("uselib", status=AS_LINUX)
@syscall("_sysctl", status=AS_LINUX)
@syscall("create_module", status=AS_LINUX)
@syscall("get_kernel_syms", status=AS_LINUX)
@syscall("query_module", status=AS_LINUX)
@syscall("nfsservctl", status=AS_LINUX)
@syscall("getpmsg", status=AS_LINUX)
@syscall("putpmsg", status=AS_LINUX)
@syscall("afs_syscall", status=AS_LINUX)
@syscall("tuxcall", status=AS_LINUX)
@syscall("security", status=AS_LINUX)
@syscall("set_thread_area", status=AS_LINUX)
@syscall("get_thread_area", status=AS_LINUX)
@syscall("lookup_dcookie", status=AS_LINUX)
@syscall("epoll_ctl_old", status=AS_LINUX)
@syscall("epoll_wait_old", status=AS_LINUX)
@syscall("vserver", status=AS_LINUX)
def unimplemented() -> int:
    """unimplemented(2)."""
    raise Errno(ENOSYS)


@syscall("uretprobe", status="Full", args="", notes="Returns are watched without it: it is never called as it is meant")
def uretprobe() -> int:
    """uretprobe(2): only the trampoline of a probe at a function's return may make it; another caller gets SIGILL."""
    force(current(), from_kernel(SIGILL))
    raise Errno(EPERM)
