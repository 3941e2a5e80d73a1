"""Watching files (inotify(7)): inotify_init1(2), inotify_add_watch(2), inotify_rm_watch(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import MAY_READ, O_CLOEXEC, O_NONBLOCK
from kernel.fs.notification import IN_EXCL_UNLINK, IN_IGNORED, IN_ISDIR, IN_Q_OVERFLOW, IN_UNMOUNT
from kernel.fs.walk import DIRECTORY, FOLLOW, resolve
from kernel.ipc.inotify import (
    IN_ALL_EVENTS,
    IN_DONT_FOLLOW,
    IN_MASK_ADD,
    IN_MASK_CREATE,
    IN_ONESHOT,
    IN_ONLYDIR,
    InotifyFile,
)
from kernel.lang import EINVAL, Errno, UserAddr, i32, u32
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.path_arguments import path_at
from kernel.task.task import current

_KNOWN: Final = (
    IN_ALL_EVENTS
    | IN_UNMOUNT
    | IN_Q_OVERFLOW
    | IN_IGNORED
    | IN_ONLYDIR
    | IN_DONT_FOLLOW
    | IN_EXCL_UNLINK
    | IN_MASK_CREATE
    | IN_MASK_ADD
    | IN_ISDIR
    | IN_ONESHOT
)


@syscall("inotify_init", status="Full", args="-> fd:inotify")
def inotify_init() -> int:
    """inotify_init(2)."""
    return inotify_init1(0)


@syscall("inotify_init1", status="Full", args="flags:IN_NONBLOCK|IN_CLOEXEC -> fd:inotify")
def inotify_init1(flags: i32) -> int:
    """inotify_init1(2)."""
    if flags & ~(O_CLOEXEC | O_NONBLOCK) != 0:
        raise Errno(EINVAL)
    task = current()
    file = InotifyFile(task.credentials.euid, flags & O_NONBLOCK)
    return task.files.install(file, flags & O_CLOEXEC != 0)


def _instance(descriptor: int) -> InotifyFile:
    file = file_at(descriptor)
    if not isinstance(file, InotifyFile):
        raise Errno(EINVAL)
    return file


@syscall("inotify_add_watch", status="Full", args="fd:inotify path flags:inotify -> watch")
def inotify_add_watch(descriptor: i32, path: UserAddr, mask: u32) -> int:
    """inotify_add_watch(2)."""
    if mask & ~_KNOWN != 0 or mask & _KNOWN == 0:
        raise Errno(EINVAL)
    task = current()
    file_at(descriptor)  # EBADF comes before errors of the mask
    if mask & IN_MASK_ADD != 0 and mask & IN_MASK_CREATE != 0:
        raise Errno(EINVAL)
    instance = _instance(descriptor)
    how = 0 if mask & IN_DONT_FOLLOW != 0 else FOLLOW
    if mask & IN_ONLYDIR != 0:
        how |= DIRECTORY
    instance.acquire()
    try:
        with resolve(task.fs, None, path_at(path), how) as place:
            inode = place.inode()
            inode.check_permission(place.mount.actor(task.credentials), MAY_READ)
            return instance.watch(inode, mask)
    finally:
        instance.release()


@syscall("inotify_rm_watch", status="Full", args="fd:inotify watch")
def inotify_rm_watch(descriptor: i32, number: i32) -> int:
    """inotify_rm_watch(2)."""
    _instance(descriptor).unwatch(number)
    return 0
