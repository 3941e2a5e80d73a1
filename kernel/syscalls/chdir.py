"""Where names start, and which modes new files may not have: getcwd(2), chdir(2), chroot(2), umask(2)."""

from kernel.doors.table import syscall
from kernel.fs.constants import MAY_EXEC
from kernel.fs.path import Path, path_name
from kernel.fs.walk import DIRECTORY, FOLLOW, resolve
from kernel.lang import ENOENT, ENOTDIR, EPERM, ERANGE, Errno, UserAddr, i32
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_CHROOT
from kernel.syscalls.descriptor_arguments import any_file_at
from kernel.syscalls.path_arguments import path_at
from kernel.task import current


@syscall("getcwd", status="Full", args=">bytes[size] size")
def getcwd(address: UserAddr, size: int) -> int:
    context = current().fs
    if context.working.dentry.deleted:
        raise Errno(ENOENT)
    name = path_name(context.working, context.root, marks_outside=True)
    if len(name) + 1 > size and size >= 0:
        raise Errno(ERANGE)
    user.write_bytes(address, name + b"\0")
    return len(name) + 1


def _change_directory(path: Path) -> int:
    context = current().fs
    inode = path.inode()
    if not inode.is_directory():
        raise Errno(ENOTDIR)
    with path:
        inode.check_permission(path.mount.actor(context.credentials), MAY_EXEC)
        context.set_working(path)
    return 0


@syscall("chdir", status="Full", args="path")
def chdir(path: UserAddr) -> int:
    return _change_directory(resolve(current().fs, None, path_at(path), FOLLOW | DIRECTORY))


@syscall("fchdir", status="Full", args="fd:directory")
def fchdir(descriptor: i32) -> int:
    return _change_directory(any_file_at(descriptor).path)


@syscall("chroot", status="Full", args="path")
def chroot(path: UserAddr) -> int:
    context = current().fs
    place = resolve(context, None, path_at(path), FOLLOW | DIRECTORY)
    with place:
        place.inode().check_permission(place.mount.actor(context.credentials), MAY_EXEC)
        if not context.credentials.capable_here(CAP_SYS_CHROOT):
            raise Errno(EPERM)
        context.set_root(place)
    return 0


@syscall("umask", status="Full", args="mode")
def umask(mask: i32) -> int:
    context = current().fs
    old = context.umask
    context.umask = mask & 0o777
    return old
