"""Commands of ioctl(2) that all open files know: sharing blocks (ioctl_ficlone(2), ioctl_fideduperange(2)), allocating
them as fallocate(2) does, what the file system is called.

Context: sleeps.
"""

from typing import Final

from kernel.fs.constants import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    FALLOC_FL_ZERO_RANGE,
    O_APPEND,
    SEEK_CUR,
    SEEK_END,
    SEEK_SET,
)
from kernel.fs.file import File, add_offset
from kernel.lang import EBADF, EINVAL, EISDIR, ENOMEM, ENOTTY, EOPNOTSUPP, EXDEV, Errno, UserAddr, span_of
from kernel.lib import user
from kernel.mm.frames import PAGE_SIZE
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.fallocate import allocate_in
from kernel.task.words import load_i64, signed_32

_ATTRIBUTES_SIZE: Final = 28  # struct fsxattr
_CLONE_SIZE: Final = 32  # struct file_clone_range
_JOIN_SIZE: Final = 24  # struct file_dedupe_range without its targets
_JOIN_TARGET_SIZE: Final = 32
_SPACE_SIZE: Final = 48  # struct space_resv
# FS_IOC_RESVSP, UNRESVSP, both for 64 bits, ZERO_RANGE: the modes of fallocate(2)
ALLOCATIONS: Final[dict[int, int]] = {
    0x4030_5828: 0,
    0x4030_5829: FALLOC_FL_PUNCH_HOLE,
    0x4030_582A: 0,
    0x4030_582B: FALLOC_FL_PUNCH_HOLE,
    0x4030_5839: FALLOC_FL_ZERO_RANGE,
}


def other_command(file: File, command: int, argument: int) -> int:
    """A command about any other open file: those about contents find none, but after their arguments were checked."""
    match command:
        case 2:  # FIGETBSZ
            user.write_i32(UserAddr(argument), file.inode.file_system.block_size)
            return 0
        case 0x4008_6602:  # FS_IOC_SETFLAGS
            user.read_u32(UserAddr(argument))
            raise Errno(ENOTTY)
        case 0x401C_5820:  # FS_IOC_FSSETXATTR
            user.read_bytes(UserAddr(argument), _ATTRIBUTES_SIZE)
            raise Errno(ENOTTY)
        case 0xC020_660B:  # FS_IOC_FIEMAP
            raise Errno(EOPNOTSUPP)
        case _:
            return shared_command(file, command, argument)


def shared_command(file: File, command: int, argument: int) -> int:
    """What all files answer to, before the file's own commands. May sleep. EFAULT, ENOTTY, and what sharing raises."""
    match command:
        case 0x4004_9409:  # FICLONE
            _clone(file, argument)
        case 0x4020_940D:  # FICLONERANGE
            request = user.read_bytes(UserAddr(argument), _CLONE_SIZE)
            _clone(file, span_of(request).load_u32(0))
        case 0xC018_9436:  # FIDEDUPERANGE
            _join_equal(file, argument)
        case 0x8011_1500:  # FS_IOC_GETFSUUID
            identity = file.inode.file_system.identity()
            if not identity:
                raise Errno(ENOTTY)
            user.write_bytes(UserAddr(argument), len(identity).to_bytes(1, "little") + identity)
        case _:
            return file.ioctl(command, argument)
    return 0


# ---- Sharing and allocating blocks ----------------------------------------------------------------------------------


def _clone(file: File, descriptor: int) -> None:
    """Share the blocks of another file, which no file system here can. EBADF, EXDEV, EISDIR, EINVAL, EOPNOTSUPP."""
    source = file_at(signed_32(descriptor))
    if source.inode.file_system is not file.inode.file_system:
        raise Errno(EXDEV)
    if source.inode.is_directory() or file.inode.is_directory():
        raise Errno(EISDIR)
    if not source.inode.is_regular() or not file.inode.is_regular():
        raise Errno(EINVAL)
    if not source.readable or not file.writable or file.flags & O_APPEND != 0:
        raise Errno(EBADF)
    raise Errno(EOPNOTSUPP)


def _join_equal(file: File, argument: int) -> None:
    """Share blocks of equal contents: the same. EFAULT, ENOMEM, EINVAL, EISDIR, EOPNOTSUPP."""
    count = user.read_u16(user.at(UserAddr(argument), 16))
    if _JOIN_SIZE + count * _JOIN_TARGET_SIZE > PAGE_SIZE:
        raise Errno(ENOMEM)
    request = user.read_bytes(UserAddr(argument), _JOIN_SIZE + count * _JOIN_TARGET_SIZE)
    if not file.readable or span_of(request).load_u16(18) != 0 or span_of(request).load_u32(20) != 0:
        raise Errno(EINVAL)
    if file.inode.is_directory():
        raise Errno(EISDIR)
    raise Errno(EOPNOTSUPP if file.inode.is_regular() else EINVAL)


def allocate(file: File, mode: int, argument: int) -> int:
    """FS_IOC_RESVSP and its kind, with a struct space_resv: as fallocate(2) with the size kept. EFAULT, EINVAL, and
    what fallocate(2) raises.
    """
    request = user.read_bytes(UserAddr(argument), _SPACE_SIZE)
    whence = span_of(request).load_u16(2)
    start = load_i64(span_of(request), 8)
    if whence == SEEK_CUR:
        start = add_offset(file.position, start)
    elif whence == SEEK_END:
        start = add_offset(file.inode.size, start)
    elif whence != SEEK_SET:
        raise Errno(EINVAL)
    return allocate_in(file, mode | FALLOC_FL_KEEP_SIZE, start, load_i64(span_of(request), 16))
