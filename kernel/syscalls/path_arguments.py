"""Paths named by a program, and the descriptors to which they are relative."""

from kernel.fs.constants import AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW, PATH_MAX
from kernel.fs.path import Path
from kernel.fs.walk import EMPTY_PATH, ENTER, FOLLOW, resolve
from kernel.lang import ENOENT, Errno, UserAddr
from kernel.lib import user
from kernel.syscalls.descriptor_arguments import any_file_at
from kernel.task import current


def path_at(address: UserAddr) -> bytes:
    """A path name from user memory."""
    return user.read_string(address, PATH_MAX)


def base_for(descriptor: int, name: bytes, may_be_empty: bool = False) -> Path | None:
    """Where a relative name starts; for an absolute one the descriptor is ignored. Raises ENOENT for an empty name,
    EBADF.
    """
    if len(name) == 0 and not may_be_empty:
        raise Errno(ENOENT)
    if descriptor == AT_FDCWD or (len(name) > 0 and name[0] == ord("/")):
        return None
    return any_file_at(descriptor).path


def place_at(descriptor: int, address: UserAddr, flags: int, more: int = 0) -> Path:
    """The path that a pair of descriptor and name means, with AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH. `more`: flags of
    the walk.
    """
    name = path_at(address)
    how = more if flags & AT_SYMLINK_NOFOLLOW != 0 else more | FOLLOW
    if flags & AT_EMPTY_PATH != 0:
        how |= EMPTY_PATH
    return resolve(current().fs, base_for(descriptor, name, flags & AT_EMPTY_PATH != 0), name, how)


def place_or_descriptor(directory: int, address: UserAddr, flags: int, more: int = 0) -> Path:
    """As `place_at`; with AT_EMPTY_PATH a null pointer is an empty name, and an empty name means the descriptor
    itself.
    """
    if flags & AT_EMPTY_PATH != 0:
        name = path_at(address) if address != 0 else b""
        if len(name) == 0:
            task = current()
            return task.fs.working if directory == AT_FDCWD else any_file_at(directory).path
    return place_at(directory, address, flags, more)


def entering(flags: int) -> int:
    """The flag of a walk that goes into its last component, unless AT_NO_AUTOMOUNT says not to."""
    return 0 if flags & AT_NO_AUTOMOUNT != 0 else ENTER
