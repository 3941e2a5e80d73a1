"""Commands of ioctl(2) about the file itself rather than its device: flags (ioctl_iflags(2)), versions,
positions of blocks (ioctl_fiemap(2), FIBMAP).

Context: sleeps.
"""

from typing import Final, Literal

from kernel.cache import SyncScope
from kernel.fs.constants import (
    FS_APPEND_FL,
    FS_IMMUTABLE_FL,
    FS_NOATIME_FL,
    FS_NODUMP_FL,
    FS_SYNC_FL,
    MAX_FILE_SIZE,
)
from kernel.fs.file import File
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import NOWHERE, Inode
from kernel.lang import (
    EBADR,
    EFBIG,
    EINVAL,
    ENOTTY,
    EOPNOTSUPP,
    EPERM,
    ERANGE,
    Array,
    Errno,
    UserAddr,
    bytes_of,
    sizeof,
    struct,
    u32,
    u64,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_LINUX_IMMUTABLE, CAP_SYS_ADMIN, CAP_SYS_RAWIO
from kernel.syscalls.ioctl_any_file import ALLOCATIONS, allocate, shared_command
from kernel.task import current

FIBMAP: Final = 1
FIGETBSZ: Final = 2
FS_IOC_GETFLAGS: Final = 0x8008_6601
FS_IOC_SETFLAGS: Final = 0x4008_6602
FS_IOC_GETVERSION: Final = 0x8008_7601
FS_IOC_SETVERSION: Final = 0x4008_7602
EXT4_IOC_GETVERSION: Final = 0x8008_6603
EXT4_IOC_SETVERSION: Final = 0x4008_6604
FS_IOC_FSGETXATTR: Final = 0x801C_581F
FS_IOC_FSSETXATTR: Final = 0x401C_5820
FS_IOC_FIEMAP: Final = 0xC020_660B
FITRIM: Final = 0xC018_5879

_PRIVILEGED: Final = FS_IMMUTABLE_FL | FS_APPEND_FL
_INT_LIMIT: Final = 1 << 31

# FS_*_FL, each followed by the FS_XFLAG_* with the same meaning.
_FLAG_PAIRS: Final[list[int]] = [
    FS_IMMUTABLE_FL, 0x8, FS_APPEND_FL, 0x10, FS_SYNC_FL, 0x20, FS_NOATIME_FL, 0x40, FS_NODUMP_FL, 0x80,
]  # fmt: skip

_FIEMAP_FLAG_SYNC: Final = 1
_FIEMAP_FLAG_CACHE: Final = 4
_FIEMAP_EXTENT_LAST: Final = 1
_FIEMAP_EXTENT_MERGED: Final = 0x1000  # the file system keeps blocks, and joined them for this
_FIEMAP_LIMIT: Final = 0xFFFF_FFFF // 56


@struct
class RawFileAttributes:
    """struct fsxattr."""

    x_flags: u32
    extent_size: u32
    extents: u32
    project: u32
    copy_extent_size: u32
    padding: Array[u32, Literal[2]]


@struct
class RawMapRequest:
    """struct fiemap without its extents."""

    start: u64
    length: u64
    flags: u32
    mapped_extents: u32
    extent_count: u32
    reserved: u32


@struct
class RawExtent:
    """struct fiemap_extent."""

    logical: int
    physical: int
    length: int
    reserved: Array[u64, Literal[2]]
    flags: u32
    more_reserved: Array[u32, Literal[3]]


def file_command(file: File, command: int, argument: int) -> int:
    """A command about an open regular file or directory; others are passed on to the file."""
    inode = file.inode
    match command:
        case 2:  # FIGETBSZ
            user.write_i32(UserAddr(argument), inode.file_system.block_size)
        case 0x8008_6601:  # FS_IOC_GETFLAGS
            user.write_u32(UserAddr(argument), inode.shown_flags())
        case 0x4008_6602:  # FS_IOC_SETFLAGS
            _set_flags(file, user.read_u32(UserAddr(argument)))
        case 0x8008_7601 | 0x8008_6603:  # FS_IOC_GETVERSION, EXT4_IOC_GETVERSION
            user.write_u32(UserAddr(argument), inode.version())
        case 0x4008_7602 | 0x4008_6604:  # FS_IOC_SETVERSION, EXT4_IOC_SETVERSION
            _set_version(file, argument)
        case 0x801C_581F:  # FS_IOC_FSGETXATTR
            raw = RawFileAttributes()
            raw.x_flags = _x_flags(inode.shown_flags())
            user.write_from(UserAddr(argument), bytes_of(raw))
        case 0x401C_5820:  # FS_IOC_FSSETXATTR
            _set_attributes(file, argument)
        case 0xC020_660B:  # FS_IOC_FIEMAP
            _map_extents(inode, file, argument)
        case 0xC018_5879:  # FITRIM
            _trim(inode.file_system, argument)
        case _:
            if command == FIBMAP and inode.is_regular():
                _map_block(inode, argument)
                return 0
            if inode.is_regular() and command in ALLOCATIONS:
                return allocate(file, ALLOCATIONS[command], argument)
            return shared_command(file, command, argument)
    return 0


# ---- Flags ----------------------------------------------------------------------------------------------------------


def _set_flags(file: File, flags: int) -> None:
    file.path.mount.require_changeable()
    inode = file.inode
    old = inode.shown_flags()
    credentials = current().credentials
    if not inode.owned_by(file.path.mount.actor(credentials)):
        raise Errno(EPERM)
    if (flags ^ old) & _PRIVILEGED != 0 and not credentials.capable(CAP_LINUX_IMMUTABLE):
        raise Errno(EPERM)
    inode.set_flags(flags)


def _x_flags(flags: int) -> int:
    """The flags as fsxattr has them."""
    found = 0
    for index in range(0, len(_FLAG_PAIRS), 2):
        if flags & _FLAG_PAIRS[index] != 0:
            found |= _FLAG_PAIRS[index + 1]
    return found


def _set_attributes(file: File, argument: int) -> None:
    """FS_IOC_FSSETXATTR: the flags; extent sizes and projects do not exist."""
    raw = RawFileAttributes()
    user.read_struct(UserAddr(argument), bytes_of(raw))
    left = raw.x_flags
    flags = file.inode.shown_flags()
    for index in range(0, len(_FLAG_PAIRS), 2):
        flags &= ~_FLAG_PAIRS[index]
        if left & _FLAG_PAIRS[index + 1] != 0:
            flags |= _FLAG_PAIRS[index]
            left &= ~_FLAG_PAIRS[index + 1]
    if left != 0 or raw.project != 0 or raw.extent_size != 0 or raw.copy_extent_size != 0:
        raise Errno(EOPNOTSUPP)
    _set_flags(file, flags)


def _set_version(file: File, argument: int) -> None:
    inode = file.inode
    if not inode.owned_by(file.path.mount.actor(current().credentials)):
        raise Errno(EPERM)
    inode.version()  # whether versions are supported is checked before other errors
    file.path.mount.require_changeable()
    inode.set_version(user.read_u32(UserAddr(argument)))


# ---- Where the blocks are -------------------------------------------------------------------------------------------


def _map_block(inode: Inode, argument: int) -> None:
    """FIBMAP: the device's block for a block of the file; 0 for a hole."""
    if not current().credentials.capable(CAP_SYS_RAWIO):
        raise Errno(EPERM)
    block = user.read_i32(UserAddr(argument))
    if block < 0:
        raise Errno(EINVAL)
    size = inode.file_system.block_size
    found = 0
    try:
        _, physical = inode.extent_at(block * size, size)
        if physical != NOWHERE:
            found = physical // size
    except Errno as error:
        raise Errno(EINVAL if error.code == EOPNOTSUPP else error.code) from None
    if found >= _INT_LIMIT:
        raise Errno(ERANGE)
    user.write_i32(UserAddr(argument), found)


def _map_extents(inode: Inode, file: File, argument: int) -> None:
    inode.extent_at(0, 1)  # EOPNOTSUPP comes first
    raw = RawMapRequest()
    user.read_struct(UserAddr(argument), bytes_of(raw))
    if raw.extent_count > _FIEMAP_LIMIT:
        raise Errno(EINVAL)
    unknown = raw.flags & ~(_FIEMAP_FLAG_SYNC | _FIEMAP_FLAG_CACHE)
    if raw.length == u64(0):
        raise Errno(EINVAL)
    if raw.start > u64(MAX_FILE_SIZE):
        raise Errno(EFBIG)
    start = int(raw.start)
    length = MAX_FILE_SIZE - start
    if raw.length < u64(length):
        length = int(raw.length)
    if unknown == 0:
        if raw.flags & _FIEMAP_FLAG_SYNC != 0:
            inode.sync(SyncScope.DATA)
        end = start + length  # fits: length <= MAX_FILE_SIZE - start
        raw.mapped_extents = _write_extents(inode, start, end, user.at(UserAddr(argument), sizeof(RawMapRequest)), raw)
        raw.flags = raw.flags & ~_FIEMAP_FLAG_CACHE
    else:
        raw.flags = unknown
    user.write_from(UserAddr(argument), bytes_of(raw))
    if unknown != 0:
        raise Errno(EBADR)


def _write_extents(inode: Inode, start: int, end: int, address: UserAddr, request: RawMapRequest) -> int:
    """Write the extents of a range of the file, as many as there is room for; returns their number. An extent is
    written when the next one is found, because the last one is marked as such.
    """
    size = inode.file_system.block_size
    end = min(end, -(-inode.size // size) * size)  # fits: files with extents are shorter
    offset = start // size * size  # fits: less than start
    count = 0
    pending = RawExtent()
    while offset < end:
        length, physical = inode.extent_at(offset, end - offset)  # fits: 0 <= offset < end
        if physical != NOWHERE:
            if pending.length != 0:
                if not _write_extent(pending, address, count, request.extent_count):
                    return count
                count += 1
            pending.logical = offset
            pending.physical = physical
            pending.length = length
            pending.flags = _FIEMAP_EXTENT_MERGED
        offset += length  # fits: not past end
    if pending.length != 0:
        pending.flags = _FIEMAP_EXTENT_MERGED | _FIEMAP_EXTENT_LAST
        if _write_extent(pending, address, count, request.extent_count):
            count += 1
    return count


def _write_extent(extent: RawExtent, address: UserAddr, count: int, limit: int) -> bool:
    """Write extent number `count`, if the program wants to see extents; False if there is no more room."""
    if limit == 0:
        return True
    if count >= limit:
        return False
    user.write_from(user.at(address, count * sizeof(RawExtent)), bytes_of(extent))
    return True


# ---- Unused space ---------------------------------------------------------------------------------------------------


def _trim(file_system: FileSystem, argument: int) -> None:
    """FITRIM with its struct fstrim_range, whose length becomes the trimmed amount. Beyond 2**63 means no limit."""
    if not current().credentials.capable(CAP_SYS_ADMIN):
        raise Errno(EPERM if file_system.block_device is not None else ENOTTY)
    if file_system.block_device is None:
        raise Errno(ENOTTY)
    user.check(argument, 24)
    start = user.read_u64(UserAddr(argument))
    length = user.read_u64(user.at(UserAddr(argument), 8))
    smallest = user.read_u64(user.at(UserAddr(argument), 16))
    done = file_system.trim(_at_most(start), _at_most(length), _at_most(smallest))
    user.write_u64(user.at(UserAddr(argument), 8), done)


def _at_most(value: int) -> int:
    return value if value >= 0 else MAX_FILE_SIZE
