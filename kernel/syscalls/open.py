"""Opening and closing: open(2), openat2(2), creat(2), close(2), close_range(2), dup(2), memfd_create(2), pipe(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import (
    AT_FDCWD,
    F_SEAL_EXEC,
    F_SEAL_SEAL,
    KNOWN_OPEN_FLAGS,
    O_CLOEXEC,
    O_CREAT,
    O_DIRECT,
    O_LARGEFILE,
    O_NONBLOCK,
    O_PATH,
    O_RDWR,
    O_TMPFILE_BIT,
    O_TRUNC,
    O_WRONLY,
    PATH_MAX,
    RESOLVE_BENEATH,
    RESOLVE_CACHED,
    RESOLVE_IN_ROOT,
)
from kernel.fs.open import open_file
from kernel.fs.tmpfs.memfd import create_memfd
from kernel.ipc.pipe import make_pipe
from kernel.lang import E2BIG, EAGAIN, EBADF, EINVAL, ENOTDIR, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.syscalls.path_arguments import base_for, path_at
from kernel.task import current

_CLOSE_RANGE_UNSHARE: Final = 2
_CLOSE_RANGE_CLOEXEC: Final = 4
_OPEN_HOW_SIZE: Final = 24
_RESOLVE_SCOPED: Final = RESOLVE_BENEATH | RESOLVE_IN_ROOT
_RESOLVE_FLAGS: Final = 0x3F

_MFD_CLOEXEC: Final = 1
_MFD_ALLOW_SEALING: Final = 2
_MFD_NOEXEC_SEAL: Final = 8
_MFD_EXEC: Final = 16
_MEMFD_NAME_LIMIT: Final = 250


def _open_at(directory: int, address: UserAddr, flags: int, mode: int) -> int:
    task = current()
    name = path_at(address)
    files = task.files
    files.lowest_free(0)  # EMFILE comes before anything about the file
    file = open_file(task.fs, base_for(directory, name), name, flags | O_LARGEFILE, mode & 0o7777)
    return files.install(file, flags & O_CLOEXEC != 0)


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
    if size < _OPEN_HOW_SIZE:
        raise Errno(EINVAL)
    if size > 4096:
        raise Errno(E2BIG)
    flags = user.read_i64(how)
    mode = user.read_i64(user.at(how, 8))
    resolve_flags = user.read_i64(user.at(how, 16))
    for offset in range(_OPEN_HOW_SIZE, size):
        if user.read_u8(user.at(how, offset)) != 0:
            raise Errno(E2BIG)
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
    task.files.lowest_free(0)
    base = task.fs.working if directory == AT_FDCWD else task.files.get_any(directory).path
    if not base.inode().is_directory():
        raise Errno(ENOTDIR)
    root = base if restrictions & _RESOLVE_SCOPED != 0 else task.fs.root
    context = task.fs.restricted(root, base, restrictions)
    try:
        file = open_file(context, None, name, flags | O_LARGEFILE, mode)
    finally:
        context.release()
    return task.files.install(file, flags & O_CLOEXEC != 0)


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
                files.set_close_on_exec(descriptor, True)
    else:
        files.close_range(first, last)
    return 0


@syscall("dup", status="Full", args="fd -> fd")
def dup(descriptor: i32) -> int:
    return current().files.duplicate(descriptor, 0, False)


@syscall("dup2", status="Full", args="fd fd -> fd")
def dup2(old: i32, new: i32) -> int:
    files = current().files
    file = files.get_any(old)
    if old != new:
        files.replace(new, file, False)
    return new


@syscall("dup3", status="Full", args="fd fd flags:O_CLOEXEC -> fd")
def dup3(old: i32, new: i32, flags: i32) -> int:
    if flags & ~O_CLOEXEC != 0 or old == new:
        raise Errno(EINVAL)
    files = current().files
    limit = files.limit
    if new < 0 or new >= limit:
        raise Errno(EBADF)
    files.replace(new, files.get_any(old), flags & O_CLOEXEC != 0)
    return new


@syscall("pipe", status="Full", args=">fd:pipe[2]")
def pipe(address: UserAddr) -> int:
    return pipe2(address, 0)


@syscall("pipe2", status="Full", args=">fd:pipe[2] flags:O_CLOEXEC|O_NONBLOCK|O_DIRECT")
def pipe2(address: UserAddr, flags: i32) -> int:
    if flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT) != 0:
        raise Errno(EINVAL)
    task = current()
    files = task.files
    cloexec = flags & O_CLOEXEC != 0
    ends = make_pipe(task.credentials, flags & (O_NONBLOCK | O_DIRECT))
    try:
        reader = files.install(ends.reader, cloexec)
    except (Errno, MemoryError):
        ends.writer.release()
        raise
    try:
        writer = files.install(ends.writer, cloexec)
    except (Errno, MemoryError):
        files.close(reader)
        raise
    try:
        user.write_i32(address, reader)
        user.write_i32(user.at(address, 4), writer)
    except Errno:
        files.close(reader)
        files.close(writer)
        raise
    return 0


@syscall(
    "memfd_create",
    args="name:text flags:MFD_CLOEXEC|MFD_ALLOW_SEALING|MFD_HUGETLB|MFD_NOEXEC_SEAL|MFD_EXEC -> fd:file",
    notes="No huge pages",
)  # fmt: skip
def memfd_create(address: UserAddr, flags: u32) -> int:
    if flags & ~(_MFD_CLOEXEC | _MFD_ALLOW_SEALING | _MFD_NOEXEC_SEAL | _MFD_EXEC) != 0:
        raise Errno(EINVAL)
    if flags & _MFD_EXEC != 0 and flags & _MFD_NOEXEC_SEAL != 0:
        raise Errno(EINVAL)
    name = user.read_string(address, PATH_MAX)
    if len(name) >= _MEMFD_NAME_LIMIT:
        raise Errno(EINVAL)
    task = current()
    file = create_memfd(name, task.credentials)
    if flags & _MFD_NOEXEC_SEAL != 0:
        file.inode.mode &= ~0o111
        file.inode.seals = F_SEAL_EXEC
    elif flags & _MFD_ALLOW_SEALING != 0:
        file.inode.seals = 0
    else:
        file.inode.seals = F_SEAL_SEAL
    return task.files.install(file, flags & _MFD_CLOEXEC != 0)
