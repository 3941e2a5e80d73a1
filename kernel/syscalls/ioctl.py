"""ioctl(2): what holds for every descriptor; the rest is up to the file."""

from kernel.doors.table import syscall
from kernel.fs.constants import FIOASYNC, FIOCLEX, FIONBIO, FIONCLEX, FIONREAD, FIOQSIZE, O_ASYNC, O_NONBLOCK
from kernel.fs.file import bytes_to_read
from kernel.lang import ENOTTY, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.syscalls.fcntl import sends_signals, set_async
from kernel.syscalls.ioctl_files import file_command
from kernel.task import current


@syscall("ioctl", status="Full", args="fd one:ioctl any", notes="The commands of the files that there are")
def ioctl(descriptor: i32, command: u32, argument: int) -> int:
    files = current().files
    file = files.get(descriptor)
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
    file.acquire()
    try:
        if inode.is_regular() or inode.is_directory():
            return file_command(file, command, argument)
        return file.ioctl(command, argument)
    finally:
        file.release()
