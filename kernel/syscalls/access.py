"""access(2), faccessat(2)."""

from kernel.cgroup.programs import DEVICE_PROGRAMS
from kernel.doors.table import syscall
from kernel.fs.attributes import check_access
from kernel.fs.constants import AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW
from kernel.fs.walk import EMPTY_PATH, FOLLOW, resolve
from kernel.lang import EINVAL, Errno, UserAddr, i32
from kernel.lib.capabilities import SECURE_NO_SETUID_FIXUP
from kernel.lib.credentials import Credentials
from kernel.syscalls.path_arguments import base_for, path_at, place_or_descriptor
from kernel.task import current


def _access(directory: int, path: UserAddr, mode: int, flags: int) -> int:
    if mode & ~7 != 0 or flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0:
        raise Errno(EINVAL)
    task = current()
    credentials = task.credentials
    if flags & AT_EACCESS == 0 and not _acts_for_itself(credentials):
        return _access_for(_real_credentials(credentials), directory, path, mode, flags)
    place = place_or_descriptor(directory, path, flags)
    if mode != 0 or DEVICE_PROGRAMS.count != 0:
        with place:
            check_access(credentials, place, mode)
    return 0


def _access_for(who: Credentials, directory: int, address: UserAddr, mode: int, flags: int) -> int:
    """The same for credentials other than those the thread acts with."""
    empty = flags & AT_EMPTY_PATH
    name = b"" if address == 0 and empty != 0 else path_at(address)
    base = base_for(directory, name, may_be_empty=empty != 0)
    how = (0 if flags & AT_SYMLINK_NOFOLLOW != 0 else FOLLOW) | (EMPTY_PATH if empty != 0 else 0)
    context = current().fs.acting_for(who)
    try:
        place = resolve(context, base, name, how)
        if mode != 0 or DEVICE_PROGRAMS.count != 0:
            with place:
                check_access(who, place, mode)
    finally:
        context.release()
    return 0


def _acts_for_itself(credentials: Credentials) -> bool:
    """Whether `_real_credentials` would return the same: true for nearly all threads."""
    if credentials.fsuid != credentials.uid or credentials.fsgid != credentials.gid:
        return False
    if credentials.secure_bits & SECURE_NO_SETUID_FIXUP != 0:
        return True
    is_root = credentials.uid == credentials.user_namespace.root_uid()
    return credentials.effective == (credentials.permitted if is_root else 0)


def _real_credentials(credentials: Credentials) -> Credentials:
    """Credentials with the real ids as the effective ones (access(2))."""
    real = credentials.copy()
    real.fsuid = credentials.uid
    real.fsgid = credentials.gid
    if credentials.secure_bits & SECURE_NO_SETUID_FIXUP == 0:
        real.effective = real.permitted if credentials.uid == credentials.user_namespace.root_uid() else 0
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
