"""fallocate(2)."""

from kernel.doors.table import syscall
from kernel.fs.constants import (
    FALLOC_FL_COLLAPSE_RANGE,
    FALLOC_FL_INSERT_RANGE,
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    FALLOC_FL_UNSHARE_RANGE,
    FALLOC_FL_ZERO_RANGE,
    FS_APPEND_FL,
    FS_IMMUTABLE_FL,
    MAX_FILE_SIZE,
    S_IFBLK,
    S_IFMT,
)
from kernel.fs.file import File
from kernel.fs.notification import IN_MODIFY, tell_file
from kernel.fs.privileges import drop_privileges
from kernel.lang import EBADF, EFBIG, EINVAL, ENODEV, EOPNOTSUPP, EPERM, ESPIPE, Errno, i32
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.size_limit import check_size_limit
from kernel.task import current


def _check_allocation_mode(mode: int) -> None:
    """Check for exactly one kind of change, and whether it may keep the size: EOPNOTSUPP for all others."""
    kind = mode & ~FALLOC_FL_KEEP_SIZE
    keeps_size = mode & FALLOC_FL_KEEP_SIZE != 0
    if kind in (0, FALLOC_FL_ZERO_RANGE, FALLOC_FL_UNSHARE_RANGE):
        return
    if kind == FALLOC_FL_PUNCH_HOLE and keeps_size:
        return
    if kind in (FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE) and not keeps_size:
        return
    raise Errno(EOPNOTSUPP)


@syscall("fallocate", status="Full", args="fd flags:fallocate offset size")
def fallocate(descriptor: i32, mode: i32, offset: int, length: int) -> int:
    return allocate_in(file_at(descriptor), mode, offset, length)


def allocate_in(file: File, mode: int, offset: int, length: int) -> int:
    """fallocate(2) of a file."""
    if offset < 0 or length <= 0:
        raise Errno(EINVAL)
    _check_allocation_mode(mode)
    if not file.writable:
        raise Errno(EBADF)
    flags = file.inode.flags
    if flags & FS_IMMUTABLE_FL != 0 or (mode & ~FALLOC_FL_KEEP_SIZE != 0 and flags & FS_APPEND_FL != 0):
        raise Errno(EPERM)
    if file.inode.is_fifo():
        raise Errno(ESPIPE)
    if not file.inode.is_regular() and file.inode.mode & S_IFMT != S_IFBLK:
        raise Errno(ENODEV)
    if offset > MAX_FILE_SIZE - length:
        raise Errno(EFBIG)
    if mode & FALLOC_FL_PUNCH_HOLE == 0:
        check_size_limit(offset + length)
    drop_privileges(file.inode, file.path.mount.actor(current().credentials))
    file.allocate(mode, offset, length)
    tell_file(file, IN_MODIFY)
    return 0
