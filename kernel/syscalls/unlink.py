"""unlink(2), unlinkat(2), rmdir(2)."""

from kernel.doors.table import syscall
from kernel.fs.constants import AT_FDCWD, AT_REMOVEDIR
from kernel.fs.names import remove_directory, unlink
from kernel.lang import EINVAL, Errno, UserAddr, i32
from kernel.syscalls.path_arguments import base_for, path_at
from kernel.task import current


@syscall("rmdir", status="Full", args="path")
def rmdir(path: UserAddr) -> int:
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR)


@syscall("unlink", status="Full", args="path")
def unlink_(path: UserAddr) -> int:
    return unlinkat(AT_FDCWD, path, 0)


@syscall("unlinkat", status="Full", args="dir path flags:AT_REMOVEDIR")
def unlinkat(directory: i32, path: UserAddr, flags: i32) -> int:
    if flags & ~AT_REMOVEDIR != 0:
        raise Errno(EINVAL)
    name = path_at(path)
    base = base_for(directory, name)
    if flags & AT_REMOVEDIR != 0:
        remove_directory(current().fs, base, name)
    else:
        unlink(current().fs, base, name)
    return 0
