"""Writing out: fsync(2), fdatasync(2), sync_file_range(2), sync(2), syncfs(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import MAX_FILE_SIZE, PAGE_SHIFT, S_IFBLK, S_IFMT
from kernel.fs.file import File
from kernel.fs.mount_sync import sync_all
from kernel.lang import EINVAL, ESPIPE, Errno, i32, u32
from kernel.lib.saturation import end_page_of
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task.pidfd import PidFile

_SYNC_FILE_RANGE_FLAGS: Final = 7


@syscall("fsync", status="Full", args="fd")
def fsync(descriptor: i32) -> int:
    file_at(descriptor).fsync()
    return 0


@syscall("fdatasync", status="Full", args="fd")
def fdatasync(descriptor: i32) -> int:
    file_at(descriptor).fdatasync()
    return 0


@syscall(
    "sync_file_range", status="Full",
    args="fd offset size flags:SYNC_FILE_RANGE_WAIT_BEFORE|SYNC_FILE_RANGE_WRITE|SYNC_FILE_RANGE_WAIT_AFTER",
)  # fmt: skip
def sync_file_range(descriptor: i32, offset: int, length: int, flags: u32) -> int:
    return sync_range_of(file_at(descriptor), offset, length, flags)


def sync_range_of(file: File, offset: int, length: int, flags: int) -> int:
    """sync_file_range(2) of a file."""
    if flags & ~_SYNC_FILE_RANGE_FLAGS != 0 or offset < 0 or length < 0 or offset > MAX_FILE_SIZE - length:
        raise Errno(EINVAL)
    inode = file.inode
    if isinstance(file, PidFile):
        return 0  # inside Linux it is a regular file
    if not inode.is_regular() and not inode.is_directory() and inode.mode & S_IFMT != S_IFBLK:
        raise Errno(ESPIPE)
    file.sync_range(offset >> PAGE_SHIFT, end_page_of(offset, length), flags)
    return 0


@syscall("sync", status="Full", args="")
def sync() -> int:
    sync_all()
    return 0


@syscall("syncfs", status="Full", args="fd")
def syncfs(descriptor: i32) -> int:
    file_at(descriptor).path.mount.file_system.sync()
    return 0
