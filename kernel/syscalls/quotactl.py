"""Disk quotas: quotactl(2), quotactl_fd(2). No file system of Krait has any, so for an existing file system the answer
is ENOSYS, as from Linux's file systems without quotas.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import MS_NODEV, S_IFBLK, S_IFMT
from kernel.fs.path import MOUNTS
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import EACCES, EINVAL, ENODEV, ENOSYS, ENOTBLK, Errno, UserAddr, i32, u32
from kernel.lib.pace import pace
from kernel.syscalls.descriptor_arguments import any_file_at
from kernel.syscalls.path_arguments import path_at
from kernel.task.task import current

_TYPE_MASK: Final = 0xFF
_TYPES: Final = 3  # of users, groups, projects
_COMMAND_SHIFT: Final = 8
_SYNC: Final = 0x80_0001  # Q_…
_READING: Final = (
    0x80_0004,  # Q_GETFMT
    0x80_0005,  # Q_GETINFO
    _SYNC,
    0x5805,  # Q_XGETQSTAT
    0x5808,  # Q_XGETQSTATV
    0x5803,  # Q_XGETQUOTA
    0x5809,  # Q_XGETNEXTQUOTA
    0x5807,  # Q_XQUOTASYNC
)
_COST: Final = 40  # instructions for a mount that is looked at


@syscall(
    "quotactl", status="Full", args="one:quotactl path uid >bytes[72]?",
    notes="No file system has quotas",
)  # fmt: skip
def quotactl(command: u32, special: UserAddr, identifier: u32, address: UserAddr) -> int:
    """quotactl(2). The path that Q_QUOTAON takes is ignored."""
    if command & _TYPE_MASK >= _TYPES:
        raise Errno(EINVAL)
    if special == 0:
        if command >> _COMMAND_SHIFT == _SYNC:
            return 0  # of all file systems, none has quotas
        raise Errno(ENODEV)
    device = _device_at(special)
    for mount in list(MOUNTS.values()):
        pace(_COST)
        if mount.file_system.block_device is not None and mount.file_system.device == device:
            raise Errno(ENOSYS)
    raise Errno(ENODEV)


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
    if command >> _COMMAND_SHIFT not in _READING:
        place.mount.require_writable()
    raise Errno(ENOSYS)
