"""Disk quotas: quotactl(2), quotactl_fd(2). No file system keeps any. Those on disks could, and answer as Linux's do
while none are turned on; they cannot be, as mounting does not take the options for that. All others answer ENOSYS.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import MS_NODEV, S_IFBLK, S_IFMT
from kernel.fs.filesystem import FileSystem
from kernel.fs.mount_lists import attached_mounts
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import EACCES, EINVAL, ENODEV, ENOSYS, ENOTBLK, EPERM, EROFS, ESRCH, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.credentials import gid_from_caller, uid_from_caller
from kernel.lib.ids import NO_GROUP, NO_ID, NO_USER
from kernel.lib.pace import pace
from kernel.syscalls.descriptor_arguments import any_file_at
from kernel.syscalls.path_arguments import path_at
from kernel.task.task import current

_TYPE_MASK: Final = 0xFF
_TYPES: Final = 3  # of users, groups, projects
_COMMAND_SHIFT: Final = 8
_SYNC: Final = 0x80_0001  # Q_…
_ON: Final = 0x80_0002
_OFF: Final = 0x80_0003
_GET_FORMAT: Final = 0x80_0004
_GET_INFORMATION: Final = 0x80_0005
_SET_INFORMATION: Final = 0x80_0006
_GET_QUOTA: Final = 0x80_0007
_SET_QUOTA: Final = 0x80_0008
_GET_NEXT_QUOTA: Final = 0x80_0009
_XFS_ON: Final = 0x5801  # Q_X…
_XFS_OFF: Final = 0x5802
_XFS_GET_QUOTA: Final = 0x5803
_XFS_SET_LIMIT: Final = 0x5804
_XFS_GET_STATE: Final = 0x5805
_XFS_REMOVE: Final = 0x5806
_XFS_SYNC: Final = 0x5807
_XFS_GET_STATES: Final = 0x5808
_XFS_GET_NEXT_QUOTA: Final = 0x5809
_READING: Final = (
    _GET_FORMAT, _GET_INFORMATION, _SYNC, _XFS_GET_STATE, _XFS_GET_STATES, _XFS_GET_QUOTA, _XFS_GET_NEXT_QUOTA,
    _XFS_SYNC,
)  # fmt: skip
_FOR_ALL: Final = (_GET_FORMAT, _SYNC, _GET_INFORMATION, _XFS_GET_STATE, _XFS_GET_STATES, _XFS_SYNC)
_OF_ONE: Final = (_GET_QUOTA, _SET_QUOTA, _GET_NEXT_QUOTA, _XFS_GET_QUOTA, _XFS_SET_LIMIT, _XFS_GET_NEXT_QUOTA)
_OF_USER: Final = 0
_OF_GROUP: Final = 1
_STATES_VERSION: Final = 1
_INFORMATION_SIZE: Final = 24  # struct if_dqinfo
_QUOTA_SIZE: Final = 72  # struct if_dqblk
_LIMIT_SIZE: Final = 112  # struct fs_disk_quota
_COST: Final = 40  # instructions for a mount that is looked at


@syscall(
    "quotactl", status="Full", args="one:quotactl path uid >bytes[72]?",
    notes="No file system has quotas",
)  # fmt: skip
def quotactl(command: u32, special: UserAddr, identifier: u32, address: UserAddr) -> int:
    """quotactl(2)."""
    kind = command & _TYPE_MASK
    what = command >> _COMMAND_SHIFT
    if kind >= _TYPES:
        raise Errno(EINVAL)
    if special == 0:
        if what == _SYNC:
            return 0  # of all file systems, none has quotas
        raise Errno(ENODEV)
    broken = _error_of_path(address) if what == _ON else 0
    device = _device_at(special)
    for mount in attached_mounts():
        pace(_COST)
        if mount.file_system.block_device is not None and mount.file_system.device == device:
            return _answer(mount.file_system, what, kind, identifier, address, broken)
    raise Errno(ENODEV)


def _error_of_path(address: UserAddr) -> int:
    """The error of looking up the file that Q_QUOTAON names: 0 for none, and for whoever may not turn quotas on."""
    try:
        resolve(current().fs, None, path_at(address), FOLLOW)
    except Errno as error:
        return error.code
    return 0


def _answer(
    file_system: FileSystem, command: int, kind: int, identifier: int, address: UserAddr, broken_path: int
) -> int:
    """What a file system answers that has no quotas turned on. Raises ENOSYS if it could have none; EPERM, and what
    the command raises.
    """
    if file_system.block_device is None:
        raise Errno(ENOSYS)
    if command not in _FOR_ALL and not _is_own(command, kind, identifier):
        if not current().credentials.capable(CAP_SYS_ADMIN):
            raise Errno(EPERM)
    if command == _SYNC or command == _OFF:
        return 0
    if command == _XFS_SYNC:
        if file_system.read_only:
            raise Errno(EROFS)
        return 0
    if command == _ON:
        raise Errno(broken_path if broken_path != 0 else EINVAL)
    _check_argument(command, address)
    if command in _OF_ONE and not _has_owner(kind, identifier):
        raise Errno(EINVAL)
    if command in (_XFS_ON, _XFS_OFF, _XFS_REMOVE, _XFS_GET_STATE, _XFS_GET_STATES):
        raise Errno(ENOSYS)
    if command in _OF_ONE or command in (_GET_FORMAT, _GET_INFORMATION, _SET_INFORMATION):
        raise Errno(ESRCH)
    raise Errno(EINVAL)


def _check_argument(command: int, address: UserAddr) -> None:
    """Read what a command takes. Raises EFAULT, EINVAL (a version)."""
    if command == _XFS_ON or command == _XFS_OFF or command == _XFS_REMOVE:
        user.read_u32(address)
    elif command == _SET_INFORMATION:
        user.read_bytes(address, _INFORMATION_SIZE)
    elif command == _SET_QUOTA:
        user.read_bytes(address, _QUOTA_SIZE)
    elif command == _XFS_SET_LIMIT:
        user.read_bytes(address, _LIMIT_SIZE)
    elif command == _XFS_GET_STATES and user.read_bytes(address, 1)[0] != _STATES_VERSION:
        raise Errno(EINVAL)


def _is_own(command: int, kind: int, identifier: int) -> bool:
    """Whether a command asks for the caller's own quota, or one of its groups."""
    if command != _GET_QUOTA and command != _XFS_GET_QUOTA:
        return False
    who = current().credentials
    if kind == _OF_USER:
        return who.euid == uid_from_caller(identifier)
    return kind == _OF_GROUP and who.in_effective_group(gid_from_caller(identifier))


def _has_owner(kind: int, identifier: int) -> bool:
    """Whether a number means a user, group or project here."""
    if kind == _OF_USER:
        return uid_from_caller(identifier) != NO_USER
    return gid_from_caller(identifier) != NO_GROUP if kind == _OF_GROUP else identifier != NO_ID


def _device_at(special: UserAddr) -> int:
    """The number of the block device at a path. Raises what a walk raises, ENOTBLK, EACCES (nodev)."""
    place = resolve(current().fs, None, path_at(special), FOLLOW)
    inode = place.inode()
    if inode.mode & S_IFMT != S_IFBLK:
        raise Errno(ENOTBLK)
    if place.mount.flags & MS_NODEV != 0:
        raise Errno(EACCES)
    return inode.rdev


@syscall(
    "quotactl_fd", status="Full", args="fd one:quotactl uid >bytes[72]?", notes="No file system has quotas",
)  # fmt: skip
def quotactl_fd(descriptor: i32, command: u32, identifier: u32, address: UserAddr) -> int:
    """quotactl_fd(2): for the file system of a descriptor's file."""
    place = any_file_at(descriptor).path
    if command & _TYPE_MASK >= _TYPES:
        raise Errno(EINVAL)
    what = command >> _COMMAND_SHIFT
    if what not in _READING:
        place.mount.require_writable()
    file_system = place.mount.file_system
    return _answer(file_system, what, command & _TYPE_MASK, identifier, address, EINVAL)  # it takes no path
