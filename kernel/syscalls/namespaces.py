"""namespaces(7): unshare(2), setns(2)."""

from kernel.doors.table import syscall
from kernel.fs.namespace import NamespaceFile
from kernel.lang import EINVAL, Errno, i32
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task import namespace_files
from kernel.task.namespaces import check_kinds, enter, enter_those_of, unshare
from kernel.task.pidfd import PidFile
from kernel.task.task import current

_ = namespace_files  # its import lets namespaces' files answer


@syscall("unshare", status="Full", args="flags:clone")
def unshare_(flags: int) -> int:
    """unshare(2)."""
    unshare(current(), flags)
    return 0


@syscall("setns", status="Full", args="fd flags:clone")
def setns(descriptor: i32, kinds: i32) -> int:
    """setns(2)."""
    task = current()
    file = file_at(descriptor)
    if isinstance(file, NamespaceFile):
        enter(task, file, kinds)
    elif isinstance(file, PidFile):
        check_kinds(kinds)
        enter_those_of(task, file.living_thread(), kinds)
    else:
        raise Errno(EINVAL)
    return 0
