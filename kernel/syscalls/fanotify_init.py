"""Watching and guarding files (fanotify(7)): fanotify_init(2), fanotify_mark(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import (
    MAY_READ,
    O_ACCMODE,
    O_APPEND,
    O_CLOEXEC,
    O_DSYNC,
    O_LARGEFILE,
    O_NOATIME,
    O_NONBLOCK,
    O_RDWR,
    O_SYNC,
    PROC_SUPER_MAGIC,
)
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.fs.marks import EVENT_ON_CHILD, FAN_RENAME
from kernel.fs.path import Mount, Path
from kernel.fs.walk import DIRECTORY, FOLLOW, resolve
from kernel.lang import (
    EBADF,
    EINVAL,
    EISDIR,
    ENOTDIR,
    EOPNOTSUPP,
    EPERM,
    Errno,
    UserAddr,
    i32,
    u32,
)
from kernel.lib.capabilities import CAP_AUDIT_WRITE, CAP_SYS_ADMIN
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.path_arguments import base_for, path_at
from kernel.task import current
from kernel.task.fanotify_file import FAN_ENABLE_AUDIT, FAN_REPORT_FD_ERROR, GroupFile
from kernel.task.fanotify_flags import (
    ENTRY_EVENTS,
    EVENT_FLAGS,
    FAN_CLASS_CONTENT,
    FAN_CLASS_PRE_CONTENT,
    FAN_FS_ERROR,
    FAN_MARK_EVICTABLE,
    FAN_MARK_FILESYSTEM,
    FAN_MARK_IGNORE,
    FAN_MARK_IGNORED_MASK,
    FAN_MARK_IGNORED_SURV_MODIFY,
    FAN_MARK_INODE,
    FAN_MARK_MOUNT,
    FAN_REPORT_DIR_FID,
    FAN_REPORT_FID,
    FAN_REPORT_NAME,
    FAN_REPORT_PIDFD,
    FAN_REPORT_TARGET_FID,
    FAN_REPORT_TID,
    FAN_UNLIMITED_MARKS,
    FAN_UNLIMITED_QUEUE,
    FILE_EVENTS,
    HANDLE_FLAGS,
    INODE_EVENTS,
    PERMISSION_EVENTS,
)

_CLOEXEC: Final = 1
_NONBLOCK: Final = 2
_CLASSES: Final = FAN_CLASS_CONTENT | FAN_CLASS_PRE_CONTENT
_FOR_ADMINISTRATORS: Final = (
    _CLASSES | FAN_REPORT_TID | FAN_REPORT_PIDFD | FAN_REPORT_FD_ERROR | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS
)
_INIT_FLAGS: Final = _FOR_ADMINISTRATORS | HANDLE_FLAGS | _CLOEXEC | _NONBLOCK | FAN_ENABLE_AUDIT
_EVENT_FLAGS: Final = (
    O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_CLOEXEC | O_LARGEFILE | O_NOATIME
)  # open flags for the files of events

_ADD: Final = 0x1
_REMOVE: Final = 0x2
_DONT_FOLLOW: Final = 0x4
_ONLYDIR: Final = 0x8
_FLUSH: Final = 0x80
_TYPES: Final = FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM
_IGNORING: Final = FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORE
_MARK_FLAGS: Final = (
    _ADD | _REMOVE | _DONT_FOLLOW | _ONLYDIR | _FLUSH | _TYPES | _IGNORING
    | FAN_MARK_IGNORED_SURV_MODIFY | FAN_MARK_EVICTABLE
)  # fmt: skip
_EVENTS: Final = FILE_EVENTS | ENTRY_EVENTS | INODE_EVENTS | PERMISSION_EVENTS | FAN_FS_ERROR
_OF_DIRECTORIES: Final = ENTRY_EVENTS | EVENT_FLAGS


@syscall(
    "fanotify_init",
    status="Full",
    args="flags:fanotify_init flags:open -> fd:fanotify",
)
def fanotify_init(flags: u32, event_flags: u32) -> int:
    """fanotify_init(2)."""
    task = current()
    credentials = task.credentials
    is_privileged = credentials.capable(CAP_SYS_ADMIN)
    if not is_privileged and (flags & _FOR_ADMINISTRATORS != 0 or flags & HANDLE_FLAGS == 0):
        raise Errno(EPERM)
    if flags & ~_INIT_FLAGS != 0 or flags & (FAN_REPORT_PIDFD | FAN_REPORT_TID) == FAN_REPORT_PIDFD | FAN_REPORT_TID:
        raise Errno(EINVAL)
    if event_flags & ~_EVENT_FLAGS != 0 or event_flags & O_ACCMODE > O_RDWR:
        raise Errno(EINVAL)
    handles = flags & HANDLE_FLAGS
    if handles != 0 and flags & _CLASSES != 0:
        raise Errno(EINVAL)
    if handles & (FAN_REPORT_NAME | FAN_REPORT_DIR_FID) == FAN_REPORT_NAME:
        raise Errno(EINVAL)
    if handles & FAN_REPORT_TARGET_FID != 0 and handles & (FAN_REPORT_NAME | FAN_REPORT_FID) != (
        FAN_REPORT_NAME | FAN_REPORT_FID
    ):
        raise Errno(EINVAL)
    if flags & _CLASSES == _CLASSES:
        raise Errno(EINVAL)
    if flags & FAN_ENABLE_AUDIT != 0 and not credentials.capable(CAP_AUDIT_WRITE):
        raise Errno(EPERM)
    file = GroupFile(
        credentials.euid, flags, event_flags | O_LARGEFILE, is_privileged, is_nonblocking=flags & _NONBLOCK != 0
    )
    return task.files.install(file, flags & _CLOEXEC != 0)


@syscall("fanotify_mark", status="Full", args="fd:fanotify flags:fanotify_mark flags:fanotify dir path")
def fanotify_mark(descriptor: i32, flags: u32, mask: int, directory: i32, name: UserAddr) -> int:
    """fanotify_mark(2)."""
    kind = flags & _TYPES
    command = flags & (_ADD | _REMOVE | _FLUSH)
    _check_words(flags, mask, kind, command)
    if flags & _IGNORING == FAN_MARK_IGNORED_MASK:
        mask &= ~EVENT_FLAGS
    file = file_at(descriptor)
    if not isinstance(file, GroupFile):
        raise Errno(EINVAL)
    file.acquire()
    try:
        _check_group(file, flags, mask, kind)
        if command == _FLUSH:
            file.group.flush(kind)
            return 0
        place = _place(directory, name, flags)
        inode = place.inode()
        place.pin()  # checking the permission may sleep, and a deleted file must not be marked
        inode.acquire()
        try:
            _change_marks(file, command, place, inode, mask, flags)
        finally:
            inode.release()
            place.unpin()
        return 0
    finally:
        file.release()


def _change_marks(file: GroupFile, command: int, place: Path, inode: Inode, mask: int, flags: int) -> None:
    """FAN_MARK_ADD or FAN_MARK_REMOVE for the object at a path, which the caller holds."""
    kind = flags & _TYPES
    handles = file.group.flags & HANDLE_FLAGS
    inode.check_permission(place.mount.actor(current().credentials), MAY_READ)
    if command == _ADD:
        _check_events(place, inode, file, mask, flags)
    if handles != 0 and kind != FAN_MARK_INODE and not inode.file_system.finds_by_handle:
        raise Errno(EOPNOTSUPP)
    on_inode: Inode | None = inode if kind == FAN_MARK_INODE else None
    on_mount: Mount | None = place.mount if kind == FAN_MARK_MOUNT else None
    on_all: FileSystem | None = inode.file_system if kind == FAN_MARK_FILESYSTEM else None
    if command == _ADD and flags & _IGNORING != 0 and flags & FAN_MARK_IGNORED_SURV_MODIFY == 0:
        if flags & FAN_MARK_IGNORE != 0 and (on_inode is None or inode.is_directory()):
            raise Errno(EINVAL if on_inode is None else EISDIR)
        if on_inode is not None and inode.writers > 0:
            return  # it would be modified at once
    kept = EVENT_FLAGS if flags & _IGNORING == FAN_MARK_IGNORED_MASK else 0
    if on_inode is None or not inode.is_directory():
        mask &= ~EVENT_ON_CHILD
        kept = EVENT_ON_CHILD
        if handles & FAN_REPORT_DIR_FID != 0 and command == _ADD and flags & _IGNORING == 0:
            mask |= EVENT_ON_CHILD
    if command == _ADD:
        file.group.mark(on_inode, on_mount, on_all, mask, flags)
    else:
        file.group.unmark(on_inode, on_mount, on_all, mask, flags, kept)


def _check_words(flags: int, mask: int, kind: int, command: int) -> None:
    """Errors that do not depend on the object. Raises EINVAL."""
    if mask >> 32 != 0 or flags & ~_MARK_FLAGS != 0 or kind == _TYPES:
        raise Errno(EINVAL)
    if command == _FLUSH:
        if flags & ~(_TYPES | _FLUSH) != 0:
            raise Errno(EINVAL)
    elif (command != _ADD and command != _REMOVE) or mask == 0:
        raise Errno(EINVAL)
    if mask & ~(_EVENTS | EVENT_FLAGS) != 0 or flags & _IGNORING == _IGNORING:
        raise Errno(EINVAL)


def _check_group(file: GroupFile, flags: int, mask: int, kind: int) -> None:
    """What a group may not request. Raises EPERM, EINVAL."""
    group = file.group
    if kind != FAN_MARK_INODE and not (group.is_privileged and current().credentials.capable(CAP_SYS_ADMIN)):
        raise Errno(EPERM)
    handles = group.flags & HANDLE_FLAGS
    if mask & PERMISSION_EVENTS != 0 and group.priority == 0:
        raise Errno(EINVAL)
    if mask & FAN_FS_ERROR != 0 and kind != FAN_MARK_FILESYSTEM:
        raise Errno(EINVAL)
    if flags & FAN_MARK_EVICTABLE != 0 and kind != FAN_MARK_INODE:
        raise Errno(EINVAL)
    if mask & ~(FILE_EVENTS | PERMISSION_EVENTS | EVENT_FLAGS) != 0 and (handles == 0 or kind == FAN_MARK_MOUNT):
        raise Errno(EINVAL)
    if mask & FAN_RENAME != 0 and handles & FAN_REPORT_NAME == 0:
        raise Errno(EINVAL)


def _place(directory: int, name: UserAddr, flags: int) -> Path:
    """The object to mark: by a name, or the file of the descriptor itself. Raises EBADF, ENOTDIR, and what a walk
    raises.
    """
    if name == 0:
        if directory < 0:
            raise Errno(EBADF)
        place = file_at(directory).path
        if flags & _ONLYDIR != 0 and not place.inode().is_directory():
            raise Errno(ENOTDIR)
        return place
    text = path_at(name)
    how = 0 if flags & _DONT_FOLLOW != 0 else FOLLOW
    if flags & _ONLYDIR != 0:
        how |= DIRECTORY
    return resolve(current().fs, base_for(directory, text), text, how)


def _check_events(place: Path, inode: Inode, file: GroupFile, mask: int, flags: int) -> None:
    """Refuse events that do not exist here. Raises EINVAL, ENOTDIR."""
    kind = flags & _TYPES
    if mask & PERMISSION_EVENTS != 0 and inode.file_system.magic == PROC_SUPER_MAGIC:
        raise Errno(EINVAL)
    if kind != FAN_MARK_INODE and place.mount.is_internal:
        raise Errno(EINVAL)
    is_strict = file.group.flags & FAN_REPORT_TARGET_FID != 0 or mask & FAN_RENAME != 0 or flags & FAN_MARK_IGNORE != 0
    if is_strict and kind == FAN_MARK_INODE and not inode.is_directory() and mask & _OF_DIRECTORIES != 0:
        raise Errno(ENOTDIR)
