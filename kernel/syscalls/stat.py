"""What a file is: stat(2) and its relatives, statx(2), statfs(2), access(2), readlink(2)."""

from typing import Final, Literal

from kernel.block.device import BLOCK_DEVICES, SECTOR_SIZE, BlockDevice
from kernel.doors.table import syscall
from kernel.fs.attributes import check_access
from kernel.fs.constants import (
    AT_EACCESS,
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
from kernel.fs.path import MOUNTS, Mount, Path, path_name
from kernel.fs.walk import EMPTY_PATH, resolve
from kernel.lang import EFAULT, EINVAL, ENOENT, Array, Errno, UserAddr, bytes_of, i32, struct, u8, u16, u32, u64
from kernel.lib import user
from kernel.lib.capabilities import SECURE_NO_SETUID_FIXUP
from kernel.lib.credentials import Credentials
from kernel.syscalls.path_arguments import base_for, path_at, place_at
from kernel.task import current

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
_UNIQUE_MOUNTS: Final = 1 << 31  # where the numbers of mounts that are never used again begin
_STATFS_VALID: Final = 0x20


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


@struct
class RawStatfs:
    """struct statfs of x86-64."""

    magic: int
    block_size: int
    blocks: int
    blocks_free: int
    blocks_available: int
    files: int
    files_free: int
    identifier: int
    name_length: int
    fragment_size: int
    flags: int
    spare: Array[u64, Literal[4]]


@struct
class RawUstat:
    """struct ustat; the names are always empty."""

    blocks_free: i32
    files_free: int
    names: Array[u8, Literal[12]]


def write_stat(address: UserAddr, inode: Inode) -> None:
    """Fill a struct stat in user memory."""
    inode.refresh()
    raw = RawStat()
    raw.device = inode.file_system.device
    raw.ino = inode.ino
    raw.nlink = inode.nlink
    raw.mode = inode.mode
    raw.uid = inode.uid & 0xFFFFFFFF
    raw.gid = inode.gid & 0xFFFFFFFF
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
    user.write_from(address, bytes_of(raw))


@syscall("stat", status="Full", args="path >stat")
def stat(path: UserAddr, address: UserAddr) -> int:
    write_stat(address, place_at(AT_FDCWD, path, 0).inode())
    return 0


@syscall("fstat", status="Full", args="fd >stat")
def fstat(descriptor: i32, address: UserAddr) -> int:
    write_stat(address, current().files.get_any(descriptor).inode)
    return 0


@syscall("lstat", status="Full", args="path >stat")
def lstat(path: UserAddr, address: UserAddr) -> int:
    write_stat(address, place_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW).inode())
    return 0


@syscall("newfstatat", status="Full", args="dir path >stat flags:at")
def newfstatat(directory: i32, path: UserAddr, address: UserAddr, flags: i32) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE) != 0:
        raise Errno(EINVAL)
    write_stat(address, place_or_descriptor(directory, path, flags).inode())
    return 0


def place_or_descriptor(directory: int, address: UserAddr, flags: int) -> Path:
    """As `place_at`; with AT_EMPTY_PATH a null pointer is an empty name, and an empty name means the descriptor
    itself.
    """
    if flags & AT_EMPTY_PATH != 0:
        name = path_at(address) if address != 0 else b""
        if len(name) == 0:
            task = current()
            return task.fs.working if directory == AT_FDCWD else task.files.get_any(directory).path
    return place_at(directory, address, flags)


@syscall("statx", status="Full", args="dir path flags:at flags:statx >statx")
def statx(directory: i32, path: UserAddr, flags: i32, mask: u32, address: UserAddr) -> int:
    if mask & _STATX_RESERVED != 0 or flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE:
        raise Errno(EINVAL)
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE) != 0:
        raise Errno(EINVAL)
    place = place_or_descriptor(directory, path, flags)
    inode = place.inode()
    inode.refresh()
    raw = RawStatx()
    raw.mask = _STATX_BASIC | _STATX_MNT_ID
    raw.block_size = inode.file_system.block_size
    raw.nlink = inode.nlink & 0xFFFFFFFF
    raw.uid = inode.uid & 0xFFFFFFFF
    raw.gid = inode.gid & 0xFFFFFFFF
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
    raw.device_major = device_major(inode.file_system.device)
    raw.device_minor = device_minor(inode.file_system.device)
    raw.mount_identifier = place.mount.identifier
    if mask & _STATX_MNT_ID_UNIQUE != 0:
        raw.mask = raw.mask & ~_STATX_MNT_ID | _STATX_MNT_ID_UNIQUE
        raw.mount_identifier = _UNIQUE_MOUNTS + place.mount.identifier
    if mask & _STATX_DIOALIGN != 0:
        _tell_alignment(raw, inode)
    user.write_from(address, bytes_of(raw))
    return 0


def _tell_alignment(raw: RawStatx, inode: Inode) -> None:
    """What O_DIRECT demands of memory and offsets, on a file or a block device."""
    device: BlockDevice | None = None
    if inode.is_regular():
        device = inode.file_system.block_device
    elif inode.mode & S_IFMT == S_IFBLK:
        device = BLOCK_DEVICES.get(inode.rdev)
    if device is not None:
        raw.mask = raw.mask | _STATX_DIOALIGN
        raw.direct_memory_align = SECTOR_SIZE
        raw.direct_offset_align = device.logical_block_size


def _write_statfs(address: UserAddr, mount: Mount) -> int:
    file_system = mount.file_system
    numbers = file_system.statistics()
    raw = RawStatfs()
    raw.magic = file_system.magic
    raw.block_size = numbers.block_size
    raw.fragment_size = numbers.block_size
    raw.blocks = numbers.blocks
    raw.blocks_free = numbers.blocks_free
    raw.blocks_available = max(0, numbers.blocks_free - numbers.blocks_reserved)
    raw.files = numbers.files
    raw.files_free = numbers.files_free
    raw.identifier = file_system.device
    raw.name_length = 255
    # ST_RDONLY … ST_NOEXEC are the mount's bits; ST_NOATIME, ST_NODIRATIME and ST_RELATIME are not.
    flags = mount.flags & 15
    if mount.flags & 1024 != 0:
        flags |= 1024
    if mount.flags & 2048 != 0:
        flags |= 2048
    if mount.flags & 1 << 21 != 0:
        flags |= 4096
    raw.flags = flags | _STATFS_VALID
    user.write_from(address, bytes_of(raw))
    return 0


@syscall("statfs", status="Full", args="path >statfs")
def statfs(path: UserAddr, address: UserAddr) -> int:
    return _write_statfs(address, place_at(AT_FDCWD, path, 0).mount)


@syscall("fstatfs", status="Full", args="fd >statfs")
def fstatfs(descriptor: i32, address: UserAddr) -> int:
    return _write_statfs(address, current().files.get_any(descriptor).path.mount)


@syscall("ustat", status="Full", args="device >ustat")
def ustat(device: u32, address: UserAddr) -> int:
    for mount in MOUNTS.values():
        file_system = mount.file_system
        if file_system.device == device:
            numbers = file_system.statistics()
            raw = RawUstat()
            raw.blocks_free = numbers.blocks_free & 0x7FFFFFFF
            raw.files_free = numbers.files_free
            user.write_from(address, bytes_of(raw))
            return 0
    raise Errno(EINVAL)


# ---- access ---------------------------------------------------------------------------------------------------------


def _access(directory: int, path: UserAddr, mode: int, flags: int) -> int:
    if mode & ~7 != 0 or flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0:
        raise Errno(EINVAL)
    task = current()
    credentials = task.credentials
    context = task.fs
    if flags & AT_EACCESS == 0:
        credentials = _real_credentials(credentials)
        context.credentials = credentials
    try:
        place = place_or_descriptor(directory, path, flags) if flags & AT_EMPTY_PATH != 0 else _walk(
            directory, path, flags
        )
        if mode != 0:
            check_access(credentials, place, mode)
    finally:
        context.credentials = task.credentials
    return 0


def _walk(directory: int, address: UserAddr, flags: int) -> Path:
    """`place_at`, but with the credentials that the context has now."""
    task = current()
    name = path_at(address)
    context = task.fs_context
    if context is None:
        raise Errno(EFAULT)
    return resolve(context, base_for(directory, name), name, 0 if flags & AT_SYMLINK_NOFOLLOW != 0 else 1)


def _real_credentials(credentials: Credentials) -> Credentials:
    """As if the real ids were the effective ones (access(2))."""
    real = credentials.copy()
    real.fsuid = credentials.uid
    real.fsgid = credentials.gid
    if credentials.secure_bits & SECURE_NO_SETUID_FIXUP == 0:
        real.effective = real.permitted if credentials.uid == 0 else 0
    return real


@syscall("access", status="Full", args="path flags:access")
def access(path: UserAddr, mode: i32) -> int:
    return _access(AT_FDCWD, path, mode, 0)


@syscall("faccessat", status="Full", args="dir path flags:access")
def faccessat(directory: i32, path: UserAddr, mode: i32) -> int:
    return _access(directory, path, mode, 0)


@syscall("faccessat2", status="Full", args="dir path flags:access flags:at")
def faccessat2(directory: i32, path: UserAddr, mode: i32, flags: i32) -> int:
    return _access(directory, path, mode, flags)


# ---- readlink -------------------------------------------------------------------------------------------------------


def _read_link(directory: int, path: UserAddr, address: UserAddr, size: int) -> int:
    if size <= 0:
        raise Errno(EINVAL)
    name = path_at(path)
    task = current()
    place = resolve(task.fs, base_for(directory, name, True), name, EMPTY_PATH if directory != AT_FDCWD else 0)
    inode = place.inode()
    if not inode.is_symlink():
        raise Errno(ENOENT if len(name) == 0 else EINVAL)
    if inode.has_magic_link:
        target = path_name(inode.follow(task.fs), task.fs.root)
    else:
        target = inode.read_link()
    place.mount.touch_accessed(inode)
    length = min(size, len(target))
    user.write_bytes(address, target[:length])
    return length


@syscall("readlink", status="Full", args="path >bytes[size] size")
def readlink(path: UserAddr, address: UserAddr, size: i32) -> int:
    return _read_link(AT_FDCWD, path, address, size)


@syscall("readlinkat", status="Full", args="dir path >bytes[size] size")
def readlinkat(directory: i32, path: UserAddr, address: UserAddr, size: i32) -> int:
    return _read_link(directory, path, address, size)
