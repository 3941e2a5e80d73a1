"""ioctl(2): commands common to all descriptors; the rest is up to the file."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import FIOASYNC, FIOCLEX, FIONBIO, FIONCLEX, FIONREAD, FIOQSIZE, O_ASYNC, O_NONBLOCK
from kernel.fs.file import bytes_to_read
from kernel.fs.landlock import IOCTL_DEV
from kernel.lang import EACCES, ENOTTY, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.fcntl import sends_signals, set_async
from kernel.syscalls.ioctl_any_file import other_command
from kernel.syscalls.ioctl_files import file_command
from kernel.task import current

# Commands that a domain permits on any device, because they concern the file system.
_HARMLESS: Final = (
    2,  # FIGETBSZ
    0xC004_5877,  # FIFREEZE
    0xC004_5878,  # FITHAW
    0xC020_660B,  # FS_IOC_FIEMAP
    0x4004_9409,  # FICLONE
    0x4020_940D,  # FICLONERANGE
    0xC018_9436,  # FIDEDUPERANGE
    0x8011_1500,  # FS_IOC_GETFSUUID
    0x8081_1501,  # FS_IOC_GETFSSYSFSPATH
)


@syscall("ioctl", status="Full", args="fd one:ioctl any", notes="The commands of the files that there are")
def ioctl(descriptor: i32, command: u32, argument: int) -> int:
    files = current().files
    file = file_at(descriptor)
    if command == FIOCLEX or command == FIONCLEX:
        files.set_close_on_exec(descriptor, command == FIOCLEX)
        return 0
    if command == FIONBIO:
        on = user.read_i32(UserAddr(argument)) != 0
        file.set_status_flags(file.flags | O_NONBLOCK if on else file.flags & ~O_NONBLOCK)
        return 0
    if command == FIOASYNC:
        on = user.read_i32(UserAddr(argument)) != 0
        if on != (file.flags & O_ASYNC != 0):
            if not sends_signals(file):
                raise Errno(ENOTTY)
            set_async(file, descriptor, on)
        return 0
    inode = file.inode
    if inode.is_regular() and command == FIONREAD:
        user.write_i32(UserAddr(argument), bytes_to_read(file))
        return 0
    if command == FIOQSIZE:
        if not inode.is_regular() and not inode.is_directory() and not inode.is_symlink():
            raise Errno(ENOTTY)
        user.write_i64(UserAddr(argument), inode.size)
        return 0
    if file.denied & IOCTL_DEV != 0 and command not in _HARMLESS:
        raise Errno(EACCES)
    file.acquire()
    try:
        if inode.is_regular() or inode.is_directory():
            return file_command(file, command, argument)
        return other_command(file, command, argument)
    finally:
        file.release()
