"""chmod(2), fchmod(2), fchmodat(2), fchmodat2(2)."""

from kernel.doors.table import syscall
from kernel.fs.attributes import change_mode
from kernel.fs.constants import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW
from kernel.fs.notification import IN_ATTRIB, tell_place
from kernel.fs.path import Path
from kernel.lang import EINVAL, Errno, UserAddr, i32
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.path_arguments import place_at, place_or_descriptor
from kernel.task import current


def _change_mode(path: Path, mode: int) -> int:
    with path:
        change_mode(current().fs, path.mount, path.inode(), mode)
        tell_place(path.dentry, IN_ATTRIB)
    return 0


@syscall("chmod", status="Full", args="path mode")
def chmod(path: UserAddr, mode: i32) -> int:
    return _change_mode(place_at(AT_FDCWD, path, 0), mode)


@syscall("fchmod", status="Full", args="fd mode")
def fchmod(descriptor: i32, mode: i32) -> int:
    return _change_mode(file_at(descriptor).path, mode)


@syscall("fchmodat", status="Full", args="dir path mode")
def fchmodat(directory: i32, path: UserAddr, mode: i32) -> int:
    return _change_mode(place_at(directory, path, 0), mode)


@syscall("fchmodat2", status="Full", args="dir path mode flags:at")
def fchmodat2(directory: i32, path: UserAddr, mode: i32, flags: i32) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0:
        raise Errno(EINVAL)
    return _change_mode(place_or_descriptor(directory, path, flags), mode)
