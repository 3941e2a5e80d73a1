"""Opening and closing: open(2), openat2(2), creat(2), close(2), close_range(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import (
    AT_FDCWD,
    KNOWN_OPEN_FLAGS,
    O_ACCMODE,
    O_CLOEXEC,
    O_CREAT,
    O_DIRECTORY,
    O_LARGEFILE,
    O_PATH,
    O_RDONLY,
    O_RDWR,
    O_TMPFILE_BIT,
    O_TRUNC,
    O_WRONLY,
    RESOLVE_BENEATH,
    RESOLVE_CACHED,
    RESOLVE_IN_ROOT,
)
from kernel.fs.file import File
from kernel.fs.open import open_file
from kernel.fs.path import FsContext
from kernel.lang import E2BIG, EAGAIN, EINVAL, ENOTDIR, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.syscalls.descriptor_arguments import any_file_at
from kernel.syscalls.path_arguments import base_for, path_at
from kernel.task import current

_CLOSE_RANGE_UNSHARE: Final = 2
_CLOSE_RANGE_CLOEXEC: Final = 4
_OPEN_HOW_SIZE: Final = 24
_LOOK_COST: Final = 60  # instructions, for `pace`
_RESOLVE_SCOPED: Final = RESOLVE_BENEATH | RESOLVE_IN_ROOT
_RESOLVE_FLAGS: Final = 0x3F


def _open_at(directory: int, address: UserAddr, flags: int, mode: int) -> int:
    _check_flags(flags)
    task = current()
    name = path_at(address)
    files = task.files
    number = files.reserve()  # EMFILE and ENOMEM come before anything about the file, which may be created or cut
    try:
        file = open_file(task.fs, base_for(directory, name), name, flags | O_LARGEFILE, mode & 0o7777)
    except (Errno, MemoryError):
        files.give_back(number)
        raise
    return files.fill(number, file, flags & O_CLOEXEC != 0)


def _check_flags(flags: int) -> None:
    """Raise EINVAL for combinations that mean nothing, before the path is looked at."""
    if flags & O_PATH != 0:
        return
    if flags & O_TMPFILE_BIT != 0:
        if flags & (O_DIRECTORY | O_CREAT) != O_DIRECTORY or flags & O_ACCMODE == O_RDONLY:
            raise Errno(EINVAL)
    elif flags & (O_DIRECTORY | O_CREAT) == O_DIRECTORY | O_CREAT:
        raise Errno(EINVAL)


@syscall("open", status="Full", args="path flags:open mode -> fd")
def open_(address: UserAddr, flags: i32, mode: i32) -> int:
    return _open_at(AT_FDCWD, address, flags & KNOWN_OPEN_FLAGS, mode)


@syscall("openat", status="Full", args="dir path flags:open mode -> fd")
def openat(directory: i32, address: UserAddr, flags: i32, mode: i32) -> int:
    return _open_at(directory, address, flags & KNOWN_OPEN_FLAGS, mode)


@syscall("creat", status="Full", args="path mode -> fd:file")
def creat(address: UserAddr, mode: i32) -> int:
    return _open_at(AT_FDCWD, address, O_CREAT | O_WRONLY | O_TRUNC, mode)


@syscall("openat2", status="Full", args="dir path <open_how[size] one:24 -> fd")
def openat2(directory: i32, address: UserAddr, how: UserAddr, size: int) -> int:
    if 0 <= size < _OPEN_HOW_SIZE:
        raise Errno(EINVAL)
    if size < 0 or size > 4096:  # Linux has it unsigned
        raise Errno(E2BIG)
    flags = user.read_i64(how)
    mode = user.read_i64(user.at(how, 8))
    resolve_flags = user.read_i64(user.at(how, 16))
    user.require_zeros(how, _OPEN_HOW_SIZE, size)
    if flags & ~KNOWN_OPEN_FLAGS != 0 or mode & ~0o7777 != 0:
        raise Errno(EINVAL)
    if mode != 0 and flags & (O_CREAT | O_TMPFILE_BIT) == 0:
        raise Errno(EINVAL)
    if resolve_flags & ~_RESOLVE_FLAGS != 0 or resolve_flags & _RESOLVE_SCOPED == _RESOLVE_SCOPED:
        raise Errno(EINVAL)
    if resolve_flags & RESOLVE_CACHED != 0 and flags & (O_CREAT | O_TRUNC | O_TMPFILE_BIT) != 0:
        raise Errno(EAGAIN)
    if flags & O_PATH != 0 and flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR) != 0:
        raise Errno(EINVAL)
    if resolve_flags == 0:
        return _open_at(directory, address, flags, mode)
    return _open_restricted(directory, address, flags, mode, resolve_flags)


def _open_restricted(directory: int, address: UserAddr, flags: int, mode: int, restrictions: int) -> int:
    task = current()
    name = path_at(address)
    files = task.files
    number = files.reserve()
    try:
        file = _open_below(task.fs, name, directory, flags, mode, restrictions)
    except (Errno, MemoryError):
        files.give_back(number)
        raise
    return files.fill(number, file, flags & O_CLOEXEC != 0)


def _open_below(caller: FsContext, name: bytes, directory: int, flags: int, mode: int, restrictions: int) -> File:
    base = caller.working if directory == AT_FDCWD else any_file_at(directory).path
    if not base.inode().is_directory():
        raise Errno(ENOTDIR)
    root = base if restrictions & _RESOLVE_SCOPED != 0 else caller.root
    context = caller.restricted(root, base, restrictions)
    try:
        return open_file(context, None, name, flags | O_LARGEFILE, mode)
    finally:
        context.release()


@syscall("close", status="Full", args="fd:spent")
def close(descriptor: i32) -> int:
    current().files.close(descriptor)
    return 0


@syscall("close_range", status="Full", args="fd:spent fd:spent flags:CLOSE_RANGE_CLOEXEC|CLOSE_RANGE_UNSHARE")
def close_range(first: u32, last: u32, flags: u32) -> int:
    if first > last or flags & ~(_CLOSE_RANGE_UNSHARE | _CLOSE_RANGE_CLOEXEC) != 0:
        raise Errno(EINVAL)
    task = current()
    files = task.files
    if flags & _CLOSE_RANGE_UNSHARE != 0 and files.users > 1:
        fresh = files.copy()
        task.file_table = fresh
        files.release()
        files = fresh
    if flags & _CLOSE_RANGE_CLOEXEC != 0:
        for descriptor in range(first, min(last + 1, files.size())):
            if files.find(descriptor) is not None:
                files.set_close_on_exec(descriptor, cloexec=True)
            pace(_LOOK_COST)
    else:
        files.close_range(first, last)
    return 0
