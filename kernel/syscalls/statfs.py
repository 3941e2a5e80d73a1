"""Attributes of a file system: statfs(2), ustat(2)."""

from typing import Final, Literal

from kernel.doors.table import syscall
from kernel.fs.constants import AT_FDCWD, MS_MANDLOCK, MS_NOSYMFOLLOW, MS_RDONLY, MS_SYNCHRONOUS
from kernel.fs.mount_lists import attached_mounts
from kernel.fs.path import Mount, Path
from kernel.fs.walk import ENTER
from kernel.lang import EINVAL, Array, Errno, UserAddr, bytes_of, i32, struct, u8, u32, u64
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.syscalls.descriptor_arguments import any_file_at
from kernel.syscalls.path_arguments import place_at

_LOOK_COST: Final = 40  # instructions for a mount
_STATFS_VALID: Final = 0x20
_ST_NOSYMFOLLOW: Final = 0x2000


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


def _write_statfs(address: UserAddr, place: Path) -> int:
    with place:  # a server may take its time to answer
        return _write_figures(address, place.mount)


def _write_figures(address: UserAddr, mount: Mount) -> int:
    file_system = mount.file_system
    numbers = file_system.statistics()
    raw = RawStatfs()
    raw.magic = file_system.magic
    raw.block_size = numbers.block_size
    raw.fragment_size = numbers.fragment_size if numbers.fragment_size > 0 else numbers.block_size
    raw.blocks = numbers.blocks
    raw.blocks_free = numbers.blocks_free
    available = numbers.blocks_free  # less than 0: there is no limit
    if available > 0:
        available = max(0, available - numbers.blocks_reserved)
    raw.blocks_available = available
    raw.files = numbers.files
    raw.files_free = numbers.files_free
    raw.identifier = file_system.device
    raw.name_length = numbers.name_length
    # ST_RDONLY … ST_NOEXEC are the mount's bits; ST_NOATIME, ST_NODIRATIME and ST_RELATIME are not. ST_SYNCHRONOUS and
    # ST_MANDLOCK are those of the file system, which may also be read-only as a whole.
    flags = mount.flags & 15 | file_system.shown_flags & MS_MANDLOCK
    if file_system.read_only:
        flags |= MS_RDONLY
    if file_system.is_synchronous:
        flags |= MS_SYNCHRONOUS
    if mount.flags & 1024 != 0:
        flags |= 1024
    if mount.flags & 2048 != 0:
        flags |= 2048
    if mount.flags & 1 << 21 != 0:
        flags |= 4096
    if mount.flags & MS_NOSYMFOLLOW != 0:
        flags |= _ST_NOSYMFOLLOW
    raw.flags = flags | _STATFS_VALID
    user.write_from(address, bytes_of(raw))
    return 0


@syscall("statfs", status="Full", args="path >statfs")
def statfs(path: UserAddr, address: UserAddr) -> int:
    return _write_statfs(address, place_at(AT_FDCWD, path, 0, ENTER))


@syscall("fstatfs", status="Full", args="fd >statfs")
def fstatfs(descriptor: i32, address: UserAddr) -> int:
    return _write_statfs(address, any_file_at(descriptor).path)


@syscall("ustat", status="Full", args="device >ustat")
def ustat(device: u32, address: UserAddr) -> int:
    found: Mount | None = None
    for mount in attached_mounts():
        pace(_LOOK_COST)
        if mount.attached and mount.file_system.device == device:
            found = mount
            break
    if found is None:
        raise Errno(EINVAL)
    with Path(found, found.root):  # a server may take its time to answer
        numbers = found.file_system.statistics()
        raw = RawUstat()
        raw.blocks_free = numbers.blocks_free & 0x7FFFFFFF
        raw.files_free = numbers.files_free
        user.write_from(address, bytes_of(raw))
    return 0
