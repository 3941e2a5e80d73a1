"""dup(2), dup2(2), dup3(2)."""

from kernel.doors.table import syscall
from kernel.fs.constants import O_CLOEXEC
from kernel.lang import EBADF, EINVAL, Errno, i32
from kernel.syscalls.descriptor_arguments import any_file_at
from kernel.task import current


@syscall("dup", status="Full", args="fd -> fd")
def dup(descriptor: i32) -> int:
    return current().files.duplicate(descriptor, 0, cloexec=False)


@syscall("dup2", status="Full", args="fd fd -> fd")
def dup2(old: i32, new: i32) -> int:
    files = current().files
    file = any_file_at(old)
    if old != new:
        files.replace(new, file, cloexec=False)
    return new


@syscall("dup3", status="Full", args="fd fd flags:O_CLOEXEC -> fd")
def dup3(old: i32, new: i32, flags: i32) -> int:
    if flags & ~O_CLOEXEC != 0 or old == new:
        raise Errno(EINVAL)
    files = current().files
    limit = files.limit
    if new < 0 or new >= limit:
        raise Errno(EBADF)
    files.replace(new, any_file_at(old), flags & O_CLOEXEC != 0)
    return new
