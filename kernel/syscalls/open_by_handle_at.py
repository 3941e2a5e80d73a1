"""File handles: name_to_handle_at(2), open_by_handle_at(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, O_CLOEXEC, O_LARGEFILE
from kernel.fs.filesystem import FILE_HANDLE_TYPE
from kernel.fs.handles import path_of_handle
from kernel.fs.mount_status import UNIQUE_MOUNTS
from kernel.fs.open import open_path
from kernel.lang import EINVAL, EOVERFLOW, EPERM, Errno, UserAddr, i32
from kernel.lib import user
from kernel.lib.capabilities import CAP_DAC_READ_SEARCH
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.path_arguments import place_at
from kernel.task import current

_AT_HANDLE_FID: Final = 0x200
_AT_HANDLE_MNT_ID_UNIQUE: Final = 1
_FLAGS: Final = AT_SYMLINK_FOLLOW | AT_EMPTY_PATH | _AT_HANDLE_FID | _AT_HANDLE_MNT_ID_UNIQUE
_LARGEST: Final = 128
_HEADER: Final = 8  # of struct file_handle: its length and its type
_INVALID: Final = 255


@syscall(
    "name_to_handle_at", status="Full", args="dir path =file_handle >int flags:AT_SYMLINK_FOLLOW|AT_EMPTY_PATH",
)  # fmt: skip
def name_to_handle_at(directory: i32, path: UserAddr, handle: UserAddr, mount_id: UserAddr, flags: i32) -> int:
    if flags & ~_FLAGS != 0:
        raise Errno(EINVAL)
    how = flags & AT_EMPTY_PATH
    if flags & AT_SYMLINK_FOLLOW == 0:
        how |= AT_SYMLINK_NOFOLLOW
    place = place_at(directory, path, how)
    found = place.mount.file_system.handle_of(place.inode())
    room = user.read_u32(handle)
    if room > _LARGEST:
        raise Errno(EINVAL)
    fits = len(found) <= room
    identifier = place.mount.identifier
    if flags & _AT_HANDLE_MNT_ID_UNIQUE != 0:
        user.write_i64(mount_id, UNIQUE_MOUNTS + identifier)
    else:
        user.write_i32(mount_id, identifier)
    user.write_u32(handle, len(found))
    user.write_u32(user.at(handle, 4), FILE_HANDLE_TYPE if fits else _INVALID)
    if not fits:
        raise Errno(EOVERFLOW)
    user.write_bytes(user.at(handle, _HEADER), found)
    return 0


@syscall("open_by_handle_at", status="Full", args="dir <file_handle flags:open -> fd")
def open_by_handle_at(descriptor: i32, handle: UserAddr, flags: i32) -> int:
    task = current()
    base = task.fs.working if descriptor == AT_FDCWD else file_at(descriptor).path
    if not task.credentials.capable(CAP_DAC_READ_SEARCH):
        raise Errno(EPERM)
    with base:  # another thread may change the working directory meanwhile
        length = user.read_u32(handle)
        kind = user.read_i32(user.at(handle, 4))
        if length == 0 or length > _LARGEST:
            raise Errno(EINVAL)
        path = path_of_handle(base.mount, kind, user.read_bytes(user.at(handle, _HEADER), length))
        file = open_path(task.fs, path, flags | O_LARGEFILE)
    return task.files.install(file, flags & O_CLOEXEC != 0)
