"""readlink(2)."""

from kernel.doors.table import syscall
from kernel.fs.constants import AT_FDCWD
from kernel.fs.path import path_name
from kernel.fs.walk import EMPTY_PATH, resolve
from kernel.lang import EINVAL, ENOENT, Errno, UserAddr, i32
from kernel.lib import user
from kernel.syscalls.path_arguments import base_for, path_at
from kernel.task import current


def _read_link(directory: int, path: UserAddr, address: UserAddr, size: int) -> int:
    if size <= 0:
        raise Errno(EINVAL)
    name = path_at(path)
    task = current()
    base = base_for(directory, name, may_be_empty=True)
    place = resolve(task.fs, base, name, EMPTY_PATH if directory != AT_FDCWD else 0)
    inode = place.inode()
    if not inode.is_symlink():
        raise Errno(ENOENT if len(name) == 0 else EINVAL)
    with place:
        if inode.has_magic_link:
            target = path_name(inode.follow(task.fs), task.fs.root)
        else:
            target = inode.read_link()
        place.mount.touch_accessed(inode)
    length = min(size, len(target))
    user.write_bytes(address, target[:length])
    return length


@syscall("readlink", status="Full", args="path >bytes[size] size")
def readlink(path: UserAddr, address: UserAddr, size: i32) -> int:
    return _read_link(AT_FDCWD, path, address, size)


@syscall("readlinkat", status="Full", args="dir path >bytes[size] size")
def readlinkat(directory: i32, path: UserAddr, address: UserAddr, size: i32) -> int:
    return _read_link(directory, path, address, size)
