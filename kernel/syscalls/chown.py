"""chown(2), fchown(2), lchown(2), fchownat(2)."""

from kernel.doors.table import syscall
from kernel.fs.attributes import change_owner
from kernel.fs.constants import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW
from kernel.fs.notification import IN_ATTRIB, tell_place
from kernel.fs.path import Path
from kernel.lang import EINVAL, Errno, UserAddr, i32, u32
from kernel.lib.credentials import gid_from_caller, uid_from_caller
from kernel.lib.ids import NO_GROUP, NO_ID, NO_USER, KernelGid, KernelUid
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.path_arguments import place_at, place_or_descriptor
from kernel.task import current


def _change_owner(path: Path, uid: int, gid: int) -> int:
    new_uid: KernelUid | None = None
    new_gid: KernelGid | None = None
    if uid != NO_ID:
        new_uid = uid_from_caller(uid)
    if gid != NO_ID:
        new_gid = gid_from_caller(gid)
    if new_uid == NO_USER or new_gid == NO_GROUP:
        raise Errno(EINVAL)
    with path:
        change_owner(current().fs, path.mount, path.inode(), new_uid, new_gid)
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
