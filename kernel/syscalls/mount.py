"""Mounting: mount(2), umount2(2), pivot_root(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import PATH_MAX
from kernel.fs.filesystem import FILE_SYSTEM_TYPES
from kernel.fs.mounts import check_unmount_flags, mount, pivot_root, require_administrator, unmount
from kernel.fs.path import FsContext, Path
from kernel.fs.walk import DIRECTORY, FOLLOW, resolve
from kernel.lang import EINVAL, ENAMETOOLONG, ENOENT, Errno, UserAddr, i32
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.syscalls.path_arguments import path_at
from kernel.task import current, find_process, process_ids
from kernel.task.pid_namespace import FIRST_PID

_FOLLOW_COST: Final = 100  # instructions for a thread, for `pace`
_OPTIONS_LIMIT: Final = 4096
_TYPE_INDEX: Final = 1
_TYPE_NAME: Final = 2
_TYPE_COUNT: Final = 3


def _optional_string(address: UserAddr) -> bytes:
    """A string that need not be there. Raises EFAULT, EINVAL (too long)."""
    if address == 0:
        return b""
    try:
        return user.read_string(address, PATH_MAX)
    except Errno as error:
        raise Errno(EINVAL if error.code == ENAMETOOLONG else error.code) from None


def _options_at(address: UserAddr) -> bytes:
    """The last argument of mount(2): at most a page, truncated there or where memory ends."""
    if address == 0:
        return b""
    try:
        return user.read_string(address, _OPTIONS_LIMIT)
    except Errno as error:
        if error.code == ENAMETOOLONG:  # no NUL in the page
            return user.read_bytes(address, _OPTIONS_LIMIT - 1)
        readable = _OPTIONS_LIMIT - (address & _OPTIONS_LIMIT - 1)  # bytes up to the end of its page
        if readable == _OPTIONS_LIMIT:
            raise
        return user.read_bytes(address, readable)


@syscall(
    "mount", status="Full", args="path path name:file_system flags:mount name:mount_option",
    notes="Of disks: ext2, and ext3 and ext4 read-only",
)  # fmt: skip
def mount_(source: UserAddr, target: UserAddr, type_name: UserAddr, flags: int, options: UserAddr) -> int:
    kind = None if type_name == 0 else _optional_string(type_name)
    device = _optional_string(source)
    text = _options_at(options)
    mount(current().fs, device, path_at(target), kind, flags, text)
    return 0


@syscall("umount2", status="Full", args="path flags:MNT_FORCE|MNT_DETACH|MNT_EXPIRE|UMOUNT_NOFOLLOW")
def umount2(target: UserAddr, flags: i32) -> int:
    check_unmount_flags(flags)
    unmount(current().fs, path_at(target), flags)
    return 0


@syscall("pivot_root", status="Full", args="path path")
def pivot_root_(new_root: UserAddr, put_old: UserAddr) -> int:
    context = current().fs
    require_administrator(context)  # before the paths are read
    new = resolve(context, None, path_at(new_root), FOLLOW | DIRECTORY)
    with new:  # the other way, waiting for the lock, and letting go of roots sleep
        old = pivot_root(context, new, resolve(context, None, path_at(put_old), FOLLOW | DIRECTORY))
        try:
            for pid in process_ids(FIRST_PID):
                process = find_process(pid)
                if process is None:
                    continue
                for task in list(process.threads.values()):
                    other = task.fs_context
                    if other is not None:
                        _follow_root(other, old, new)
                    pace(_FOLLOW_COST)
        finally:
            old.unpin()
    return 0


def _follow_root(context: FsContext, old: Path, new: Path) -> None:
    """Processes that had the old root as root or working directory get the new one."""
    if context.working.same(old):
        context.set_working(new)
    if context.root.same(old):
        context.set_root(new)


@syscall("sysfs", status="Full", args="one:1|2|3 any >bytes")
def sysfs(option: i32, first: UserAddr, second: UserAddr) -> int:
    """sysfs(2): the registered types of file systems, by number and by name."""
    if option == _TYPE_INDEX:
        name = user.read_string(first, PATH_MAX)
        if len(name) == 0:
            raise Errno(ENOENT)
        for index in range(len(FILE_SYSTEM_TYPES)):
            if FILE_SYSTEM_TYPES[index].name == name:
                return index
        raise Errno(EINVAL)
    if option == _TYPE_NAME:
        index = first & 0xFFFFFFFF
        if index >= len(FILE_SYSTEM_TYPES):
            raise Errno(EINVAL)
        user.write_bytes(second, FILE_SYSTEM_TYPES[index].name + b"\0")
        return 0
    if option == _TYPE_COUNT:
        return len(FILE_SYSTEM_TYPES)
    raise Errno(EINVAL)
