"""truncate(2), ftruncate(2)."""

from kernel.doors.table import syscall
from kernel.fs.attributes import truncate_path
from kernel.fs.constants import AT_FDCWD, FS_APPEND_FL
from kernel.fs.file import File
from kernel.fs.landlock import TRUNCATE
from kernel.fs.notification import IN_MODIFY, tell_place
from kernel.fs.privileges import drop_privileges
from kernel.lang import EACCES, EINVAL, EOPNOTSUPP, EPERM, Errno, UserAddr, i32
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.path_arguments import place_at
from kernel.syscalls.size_limit import check_size_limit
from kernel.task import current
from kernel.task.pidfd import PidFile


@syscall("truncate", status="Full", args="path offset")
def truncate(path: UserAddr, size: int) -> int:
    if size < 0:
        raise Errno(EINVAL)
    place = place_at(AT_FDCWD, path, 0)
    if place.inode().is_regular():
        check_size_limit(size)
    with place:
        truncate_path(current().fs, place, size)
        tell_place(place.dentry, IN_MODIFY)
    return 0


@syscall("ftruncate", status="Full", args="fd offset")
def ftruncate(descriptor: i32, size: int) -> int:
    if size < 0:
        raise Errno(EINVAL)
    return truncate_file(file_at(descriptor), size)


def truncate_file(file: File, size: int) -> int:
    """ftruncate(2) of a file, to a size that is not negative."""
    if isinstance(file, PidFile):
        raise Errno(EOPNOTSUPP)
    if not file.writable or not file.inode.is_regular():
        raise Errno(EINVAL)
    if file.inode.flags & FS_APPEND_FL != 0:
        raise Errno(EPERM)
    if file.denied & TRUNCATE != 0:
        raise Errno(EACCES)
    check_size_limit(size)
    drop_privileges(file.inode, file.path.mount.actor(current().credentials))
    file.truncate(size)
    tell_place(file.path.dentry, IN_MODIFY)
    return 0
