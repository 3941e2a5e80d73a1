"""Attributes of a file: stat(2), statx(2)."""

from typing import Final, Literal

from kernel.block.device import BLOCK_DEVICES, SECTOR_SIZE, BlockDevice
from kernel.doors.table import syscall
from kernel.fs.constants import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_NO_AUTOMOUNT,
    AT_STATX_SYNC_TYPE,
    AT_SYMLINK_NOFOLLOW,
    S_IFBLK,
    S_IFCHR,
    S_IFMT,
    device_major,
    device_minor,
)
from kernel.fs.inode import Inode
from kernel.fs.mount_status import UNIQUE_MOUNTS
from kernel.fs.path import Mount
from kernel.lang import EINVAL, Array, Errno, UserAddr, bytes_of, i32, struct, u16, u32, u64
from kernel.lib import user
from kernel.lib.credentials import gid_for_caller, uid_for_caller
from kernel.lib.ids import NO_GROUP, NO_ID, NO_USER, OVERFLOW
from kernel.lib.namespace import USER_NAMESPACES
from kernel.syscalls.descriptor_arguments import any_file_at
from kernel.syscalls.path_arguments import entering, place_at, place_or_descriptor

_NS: Final = 1_000_000_000
_STATX_BASIC: Final = 0x7FF
_STATX_BTIME: Final = 0x800
_STATX_MNT_ID: Final = 0x1000
_STATX_RESERVED: Final = 0x80000000
_STATX_MNT_ID_UNIQUE: Final = 0x4000
_STATX_DIOALIGN: Final = 0x2000
_STATX_ATTR_MOUNT_ROOT: Final = 0x2000
_STATX_ATTR_AUTOMOUNT: Final = 0x1000
_STATX_ATTR_DAX: Final = 0x200000
_STATX_ATTR_VERITY: Final = 0x100000
_STATX_ATTR_MASK: Final = (
    _STATX_ATTR_MOUNT_ROOT | _STATX_ATTR_AUTOMOUNT | _STATX_ATTR_DAX | _STATX_ATTR_VERITY
)  # of every file


@struct
class RawStat:
    """struct stat of x86-64."""

    device: int
    ino: int
    nlink: int
    mode: u32
    uid: u32
    gid: u32
    padding: u32
    rdev: int
    size: int
    block_size: int
    blocks: int
    accessed_s: int
    accessed_ns: int
    modified_s: int
    modified_ns: int
    changed_s: int
    changed_ns: int
    reserved: Array[u64, Literal[3]]


@struct
class RawStatxTime:
    seconds: int
    nanoseconds: u32
    reserved: i32


@struct
class RawStatx:
    """struct statx."""

    mask: u32
    block_size: u32
    attributes: int
    nlink: u32
    uid: u32
    gid: u32
    mode: u16
    padding: u16
    ino: int
    size: int
    blocks: int
    attributes_mask: int
    accessed: RawStatxTime
    born: RawStatxTime
    changed: RawStatxTime
    modified: RawStatxTime
    rdev_major: u32
    rdev_minor: u32
    device_major: u32
    device_minor: u32
    mount_identifier: int
    direct_memory_align: u32
    direct_offset_align: u32
    reserved: Array[u64, Literal[12]]


def owner_for_caller(mount: Mount, inode: Inode) -> int:
    """The number of a file's owner, as the caller sees it through the mount."""
    uid = mount.seen_uid(inode.uid)
    return OVERFLOW.user if uid == NO_USER else uid_for_caller(uid)


def group_for_caller(mount: Mount, inode: Inode) -> int:
    """The same of its group."""
    gid = mount.seen_gid(inode.gid)
    return OVERFLOW.group if gid == NO_GROUP else gid_for_caller(gid)


def write_stat(address: UserAddr, mount: Mount, inode: Inode) -> None:
    """Fill a struct stat in user memory."""
    inode.refresh()
    raw = RawStat()
    raw.device = inode.shown_device()
    raw.ino = inode.ino
    raw.nlink = inode.nlink
    raw.mode = inode.mode
    raw.uid = int(inode.uid) & NO_ID
    raw.gid = int(inode.gid) & NO_ID
    raw.rdev = inode.rdev
    raw.size = inode.size
    raw.block_size = inode.file_system.block_size
    raw.blocks = inode.blocks
    raw.accessed_s = inode.atime_ns // _NS
    raw.accessed_ns = inode.atime_ns % _NS
    raw.modified_s = inode.mtime_ns // _NS
    raw.modified_ns = inode.mtime_ns % _NS
    raw.changed_s = inode.ctime_ns // _NS
    raw.changed_ns = inode.ctime_ns % _NS
    if USER_NAMESPACES.exist:
        raw.uid = owner_for_caller(mount, inode) & NO_ID
        raw.gid = group_for_caller(mount, inode) & NO_ID
    user.write_from(address, bytes_of(raw))


@syscall("stat", status="Full", args="path >stat")
def stat(path: UserAddr, address: UserAddr) -> int:
    place = place_at(AT_FDCWD, path, 0)
    write_stat(address, place.mount, place.inode())
    return 0


@syscall("fstat", status="Full", args="fd >stat")
def fstat(descriptor: i32, address: UserAddr) -> int:
    file = any_file_at(descriptor)
    write_stat(address, file.path.mount, file.inode)
    return 0


@syscall("lstat", status="Full", args="path >stat")
def lstat(path: UserAddr, address: UserAddr) -> int:
    place = place_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW)
    write_stat(address, place.mount, place.inode())
    return 0


@syscall("newfstatat", status="Full", args="dir path >stat flags:at")
def newfstatat(directory: i32, path: UserAddr, address: UserAddr, flags: i32) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE) != 0:
        raise Errno(EINVAL)
    place = place_or_descriptor(directory, path, flags)
    write_stat(address, place.mount, place.inode())
    return 0


@syscall("statx", status="Full", args="dir path flags:at flags:statx >statx")
def statx(directory: i32, path: UserAddr, flags: i32, mask: u32, address: UserAddr) -> int:
    if mask & _STATX_RESERVED != 0 or flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE:
        raise Errno(EINVAL)
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE) != 0:
        raise Errno(EINVAL)
    place = place_or_descriptor(directory, path, flags, entering(flags))
    inode = place.inode()
    inode.refresh()
    raw = RawStatx()
    raw.mask = _STATX_BASIC | _STATX_MNT_ID
    raw.block_size = inode.file_system.block_size
    raw.nlink = inode.nlink & 0xFFFFFFFF
    raw.uid = owner_for_caller(place.mount, inode) & NO_ID
    raw.gid = group_for_caller(place.mount, inode) & NO_ID
    raw.mode = inode.mode
    raw.ino = inode.ino
    raw.size = inode.size
    raw.blocks = inode.blocks
    raw.attributes = inode.flags & inode.shown_attributes()
    raw.attributes_mask = inode.shown_attributes() | _STATX_ATTR_MASK
    if place.dentry is place.mount.root:
        raw.attributes = raw.attributes | _STATX_ATTR_MOUNT_ROOT
    raw.accessed.seconds = inode.atime_ns // _NS
    raw.accessed.nanoseconds = inode.atime_ns % _NS
    if mask & _STATX_BTIME != 0 and inode.has_birth_time():
        raw.mask = raw.mask | _STATX_BTIME
        raw.born.seconds = inode.btime_ns // _NS
        raw.born.nanoseconds = inode.btime_ns % _NS
    raw.changed.seconds = inode.ctime_ns // _NS
    raw.changed.nanoseconds = inode.ctime_ns % _NS
    raw.modified.seconds = inode.mtime_ns // _NS
    raw.modified.nanoseconds = inode.mtime_ns % _NS
    if inode.mode & S_IFMT == S_IFCHR or inode.mode & S_IFMT == S_IFBLK:
        raw.rdev_major = device_major(inode.rdev)
        raw.rdev_minor = device_minor(inode.rdev)
    raw.device_major = device_major(inode.shown_device())
    raw.device_minor = device_minor(inode.shown_device())
    raw.mount_identifier = place.mount.identifier
    if mask & _STATX_MNT_ID_UNIQUE != 0:
        raw.mask = raw.mask & ~_STATX_MNT_ID | _STATX_MNT_ID_UNIQUE
        raw.mount_identifier = UNIQUE_MOUNTS + place.mount.identifier
    if mask & _STATX_DIOALIGN != 0:
        _tell_alignment(raw, inode)
    user.write_from(address, bytes_of(raw))
    return 0


def _tell_alignment(raw: RawStatx, inode: Inode) -> None:
    """Report the alignment that O_DIRECT requires of memory and offsets, on a file or a block device."""
    device: BlockDevice | None = None
    if inode.is_regular():
        device = inode.file_system.block_device
    elif inode.mode & S_IFMT == S_IFBLK:
        device = BLOCK_DEVICES.get(inode.rdev)
    if device is not None:
        raw.mask = raw.mask | _STATX_DIOALIGN
        raw.direct_memory_align = SECTOR_SIZE
        raw.direct_offset_align = device.logical_block_size
