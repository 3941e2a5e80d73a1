"""chown(2), fchown(2), lchown(2), fchownat(2)."""

from kernel.doors.table import syscall
from kernel.fs.attributes import NO_CHANGE, change_owner
from kernel.fs.constants import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW
from kernel.fs.notification import IN_ATTRIB, tell_place
from kernel.fs.path import Path
from kernel.lang import EINVAL, Errno, UserAddr, i32, u32
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.path_arguments import place_at, place_or_descriptor
from kernel.task import current


def _change_owner(path: Path, uid: int, gid: int) -> int:
    change_owner(
        current().fs,
        path.mount,
        path.inode(),
        NO_CHANGE if uid == 0xFFFFFFFF else uid,
        NO_CHANGE if gid == 0xFFFFFFFF else gid,
    )
    tell_place(path.dentry, IN_ATTRIB)
    return 0


@syscall("chown", status="Full", args="path uid gid")
def chown(path: UserAddr, uid: u32, gid: u32) -> int:
    return _change_owner(place_at(AT_FDCWD, path, 0), uid, gid)


@syscall("fchown", status="Full", args="fd uid gid")
def fchown(descriptor: i32, uid: u32, gid: u32) -> int:
    return _change_owner(file_at(descriptor).path, uid, gid)


@syscall("lchown", status="Full", args="path uid gid")
def lchown(path: UserAddr, uid: u32, gid: u32) -> int:
    return _change_owner(place_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW), uid, gid)


@syscall("fchownat", status="Full", args="dir path uid gid flags:at")
def fchownat(directory: i32, path: UserAddr, uid: u32, gid: u32, flags: i32) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0:
        raise Errno(EINVAL)
    return _change_owner(place_or_descriptor(directory, path, flags), uid, gid)
