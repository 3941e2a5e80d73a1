"""access(2), faccessat(2)."""

from kernel.doors.table import syscall
from kernel.fs.attributes import check_access
from kernel.fs.constants import AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW
from kernel.fs.path import Path
from kernel.fs.walk import resolve
from kernel.lang import EFAULT, EINVAL, Errno, UserAddr, i32
from kernel.lib.capabilities import SECURE_NO_SETUID_FIXUP
from kernel.lib.credentials import Credentials
from kernel.syscalls.path_arguments import base_for, path_at, place_or_descriptor
from kernel.task import current


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
