"""Changing attributes: chmod(2), chown(2), utimensat(2), truncate(2), access(2).

Each takes the place (or open file) that a system call found. The checks are those of inode_change_ok in every Unix:
owner or root.
"""

from typing import Final

from kernel.cgroup.programs import DEVICE_PROGRAMS
from kernel.fs.access_control import change_list_mode
from kernel.fs.constants import (
    FS_APPEND_FL,
    FS_IMMUTABLE_FL,
    FS_UNCHANGEABLE,
    MAX_FILE_SIZE,
    MAY_EXEC,
    MAY_WRITE,
    MODE_BITS,
    MS_NOEXEC,
    O_WRONLY,
    S_ISGID,
    UTIME_NOW,
    UTIME_OMIT,
)
from kernel.fs.device_guard import check_device
from kernel.fs.inode import Inode
from kernel.fs.landlock import TRUNCATE, require
from kernel.fs.leases import break_leases_for_opening
from kernel.fs.path import FsContext, Mount, Path
from kernel.fs.privileges import SET_ID, drop_for_owner, drop_privileges, may_keep_set_group
from kernel.lang import EACCES, EINVAL, EISDIR, EOPNOTSUPP, EOVERFLOW, EPERM, ETXTBSY, Errno
from kernel.lib.capabilities import CAP_CHOWN
from kernel.lib.credentials import Actor, Credentials, sees_owners
from kernel.lib.ids import NO_GROUP, NO_USER, KernelGid, KernelUid
from kernel.time import coarse_realtime_ns

_SECOND_NS: Final = 1_000_000_000
_SECONDS_LIMIT: Final = 9_000_000_000


def change_mode(context: FsContext, mount: Mount, inode: Inode, mode: int) -> None:
    """chmod(2). Clears set-group-ID when the caller is not in the file's group."""
    if inode.is_symlink():
        raise Errno(EOPNOTSUPP)
    mount.require_changeable()
    actor = mount.actor(context.credentials)
    if inode.flags & FS_UNCHANGEABLE != 0:
        raise Errno(EPERM)
    _require_owners(actor, inode)
    if not inode.owned_by(actor) or inode.keeps_mode():
        raise Errno(EPERM)
    mode &= MODE_BITS
    if not may_keep_set_group(actor, inode, inode.gid):
        mode &= ~S_ISGID
    inode.check_changeable()
    change_list_mode(inode, mode)
    inode.set_mode(mode)


def change_owner(context: FsContext, mount: Mount, inode: Inode, uid: KernelUid | None, gid: KernelGid | None) -> None:
    """chown(2), to owners as seen through the mount; None leaves an id alone. The set-ID bits and capabilities of files
    that are not directories go.
    """
    mount.require_changeable()
    if (uid is not None or gid is not None) and (inode.flags & FS_UNCHANGEABLE != 0 or inode.keeps_owner()):
        raise Errno(EPERM)
    actor = mount.actor(context.credentials)
    namespace = inode.file_system.user_namespace
    if uid is not None:
        uid = mount.kept_uid(uid)
    if gid is not None:
        gid = mount.kept_gid(gid)
    # An owner that stays must be somebody, too: writing the inode writes both owners.
    if uid == NO_USER or gid == NO_GROUP or (uid is None and mount.seen_uid(inode.uid) == NO_USER):
        raise Errno(EOVERFLOW)
    if gid is None and mount.seen_gid(inode.gid) == NO_GROUP:
        raise Errno(EOVERFLOW)
    if namespace.level != 0:
        if (uid is not None and not namespace.has_user(uid)) or (gid is not None and not namespace.has_group(gid)):
            raise Errno(EOVERFLOW)
    if not inode.yields_to(actor, CAP_CHOWN):
        owns = actor.fsuid == inode.uid
        may_rescue = actor.capable_in(namespace, CAP_CHOWN)  # what belongs to nobody
        if uid is not None and not (owns and uid == inode.uid):
            if not may_rescue or mount.seen_uid(inode.uid) != NO_USER:
                raise Errno(EPERM)
        if gid is not None and not (owns and (gid == inode.gid or actor.in_group(gid))):
            if not may_rescue or mount.seen_gid(inode.gid) != NO_GROUP:
                raise Errno(EPERM)
    if inode.mode & SET_ID != 0 and not inode.is_directory() and not inode.owned_by(actor):
        raise Errno(EPERM)
    inode.check_changeable()
    drop_for_owner(inode, actor, inode.gid if gid is None else gid)
    inode.set_owner(inode.uid if uid is None else uid, inode.gid if gid is None else gid)


def _require_owners(actor: Actor, inode: Inode) -> None:
    """Raise EOVERFLOW for a file that belongs to nobody through the actor's mount: writing the inode would write its
    owners.
    """
    if not sees_owners(actor, inode.uid, inode.gid):
        raise Errno(EOVERFLOW)


class TimeChange:
    """The two times of utimensat(2), in nanoseconds or UTIME_NOW/UTIME_OMIT in `*_special`."""

    def __init__(self) -> None:
        self.accessed_ns: int = 0
        self.accessed_special: int = UTIME_NOW
        self.modified_ns: int = 0
        self.modified_special: int = UTIME_NOW


def time_ns(seconds: int, nanoseconds: int) -> int:
    """A time stamp, within what 64 bits of nanoseconds hold."""
    return max(-_SECONDS_LIMIT, min(_SECONDS_LIMIT, seconds)) * _SECOND_NS + nanoseconds


def change_times(context: FsContext, mount: Mount, inode: Inode, change: TimeChange) -> None:
    """utimensat(2): setting both to "now" needs write permission only, anything else ownership."""
    if change.accessed_special == UTIME_OMIT and change.modified_special == UTIME_OMIT:
        return
    mount.require_changeable()
    actor = mount.actor(context.credentials)
    if change.accessed_special == UTIME_NOW and change.modified_special == UTIME_NOW:
        if inode.flags & FS_IMMUTABLE_FL != 0:
            raise Errno(EPERM)
        if not inode.owned_by(actor):
            inode.check_permission(actor, MAY_WRITE)
        _require_owners(actor, inode)
    else:
        if inode.flags & FS_UNCHANGEABLE != 0:
            raise Errno(EPERM)
        _require_owners(actor, inode)
        if not inode.owned_by(actor):
            raise Errno(EPERM)
    inode.check_changeable()
    now = coarse_realtime_ns()
    if change.accessed_special == UTIME_NOW:
        inode.atime_ns = now
    elif change.accessed_special != UTIME_OMIT:
        inode.atime_ns = change.accessed_ns
    if change.modified_special == UTIME_NOW:
        inode.mtime_ns = now
    elif change.modified_special != UTIME_OMIT:
        inode.mtime_ns = change.modified_ns
    inode.ctime_ns = now
    inode.attributes_changed()


def truncate_path(context: FsContext, path: Path, size: int) -> None:
    """truncate(2). The caller holds the path."""
    inode = path.inode()
    if inode.is_directory():
        raise Errno(EISDIR)
    if not inode.is_regular():
        raise Errno(EINVAL)
    if size < 0 or size > MAX_FILE_SIZE:
        raise Errno(EINVAL)
    path.mount.require_changeable()
    actor = path.mount.actor(context.credentials)
    inode.check_permission(actor, MAY_WRITE)
    if inode.flags & FS_APPEND_FL != 0:
        raise Errno(EPERM)
    if inode.executions > 0:
        raise Errno(ETXTBSY)
    break_leases_for_opening(path, inode, O_WRONLY)
    if context.credentials.domain is not None:
        require(context.credentials, path.mount, path.dentry, TRUNCATE)
    drop_privileges(inode, actor)
    inode.truncate(size)


def check_access(credentials: Credentials, path: Path, mask: int) -> None:
    """access(2) with the fsuid and fsgid of the given credentials."""
    inode = path.inode()
    actor = path.mount.actor(credentials)
    if mask & MAY_EXEC != 0 and inode.is_regular() and path.mount.flags & MS_NOEXEC != 0:
        raise Errno(EACCES)
    if mask & MAY_WRITE != 0 and not inode.is_device() and not inode.is_fifo() and not inode.is_socket():
        # The mode decides first, as on Linux: EACCES before EROFS.
        inode.check_permission(actor, mask)
        path.mount.require_writable()
        return
    inode.check_permission(actor, mask)
    if DEVICE_PROGRAMS.count != 0 and inode.is_device():
        check_device(inode.mode, inode.rdev, mask)
