"""Directories and names: getdents(2), getcwd(2), chdir(2), mkdir(2), link(2), unlink(2), rename(2), mknod(2),
chroot(2).
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_REMOVEDIR,
    AT_SYMLINK_FOLLOW,
    AT_SYMLINK_NOFOLLOW,
    MAY_EXEC,
    PATH_MAX,
)
from kernel.fs.file import DirectorySink, File
from kernel.fs.names import (
    check_rename_flags,
    make_directory,
    make_link,
    make_node,
    make_symlink,
    remove_directory,
    rename,
    unlink,
)
from kernel.fs.notification import IN_ACCESS, tell_file
from kernel.fs.path import Path, path_name
from kernel.fs.walk import DIRECTORY, FOLLOW, resolve
from kernel.lang import EINVAL, ENOENT, ENOTDIR, EPERM, ERANGE, Errno, UserAddr, i32, span_of, u32, u64
from kernel.lib import user
from kernel.lib.capabilities import CAP_DAC_READ_SEARCH, CAP_SYS_CHROOT
from kernel.syscalls.path_arguments import base_for, path_at
from kernel.syscalls.stat import place_or_descriptor
from kernel.task import current

_LARGEST_CHUNK: Final = 32768
_FIRST_CHUNK: Final = 2048  # grows when it is full: most directories are small, and what is made must be zeroed


class EntryBuffer(DirectorySink):
    """Builds the records of getdents64(2), or with `old` those of getdents(2)."""

    def __init__(self, size: int, old: bool) -> None:
        super().__init__()
        self.size: int = size  # that the records may have in all
        self.storage: bytearray = bytearray(min(size, _FIRST_CHUNK))
        self.used: int = 0
        self.last: int = 0  # where the last record begins
        self.old: bool = old
        self.refused: bool = False

    def emit(self, name: bytes, ino: int, kind: int, next_position: int) -> bool:
        # Header, name, NUL (and in the old form the kind at the very end), up to a multiple of eight.
        length = (18 + len(name) + 2 + 7) & ~7 if self.old else (19 + len(name) + 1 + 7) & ~7
        if length > len(self.storage) - self.used and not self._grow(length):
            self.refused = True
            return False
        record = span_of(self.storage)[self.used : self.used + length]
        record.store_u64(0, u64(ino))
        record.store_u64(8, u64(next_position))
        record.store_u16(16, length)
        start = 18 if self.old else 19
        record[start : start + len(name)].copy_from(span_of(name))
        if self.old:
            record.store_u8(length - 1, kind)
        else:
            record.store_u8(18, kind)
        self.last = self.used
        self.used += length
        return True

    def _grow(self, length: int) -> bool:
        """Make room for a record; False if there is none."""
        if length > self.size - self.used:
            return False
        try:
            larger = bytearray(min(self.size, max(2 * len(self.storage), self.used + length)))
        except MemoryError:
            return False
        span_of(larger)[0 : self.used].copy_from(span_of(self.storage)[0 : self.used])
        self.storage = larger
        return True

    def pass_over(self, position: int) -> None:
        super().pass_over(position)
        if self.used > 0:
            span_of(self.storage).store_u64(self.last + 8, u64(position))


def _read_entries(file: File, address: UserAddr, size: int, old: bool) -> int:
    if not file.inode.is_directory():
        raise Errno(ENOTDIR)
    if file.inode.nlink == 0:
        raise Errno(ENOENT)
    user.check(address, size)
    sink = EntryBuffer(min(size, _LARGEST_CHUNK), old)
    before = file.position
    file.read_directory(sink)
    tell_file(file, IN_ACCESS)
    if sink.used == 0 and sink.refused:
        raise Errno(EINVAL)
    try:
        user.write_from(address, span_of(sink.storage)[0 : sink.used])
    except Errno:
        file.position = before
        raise
    return sink.used


@syscall("getdents64", status="Full", args="fd:directory >bytes[size] size")
def getdents64(descriptor: i32, address: UserAddr, size: u32) -> int:
    return _read_entries(current().files.get(descriptor), address, size, False)


@syscall("getdents", status="Full", args="fd:directory >bytes[size] size")
def getdents(descriptor: i32, address: UserAddr, size: u32) -> int:
    return _read_entries(current().files.get(descriptor), address, size, True)


@syscall("getcwd", status="Full", args=">bytes[size] size")
def getcwd(address: UserAddr, size: int) -> int:
    context = current().fs
    if context.working.dentry.deleted:
        raise Errno(ENOENT)
    name = path_name(context.working, context.root)
    if len(name) + 1 > size and size >= 0:
        raise Errno(ERANGE)
    user.write_bytes(address, name + b"\0")
    return len(name) + 1


def _change_directory(path: Path) -> int:
    context = current().fs
    inode = path.inode()
    if not inode.is_directory():
        raise Errno(ENOTDIR)
    inode.check_permission(context.credentials, MAY_EXEC)
    context.set_working(path)
    return 0


@syscall("chdir", status="Full", args="path")
def chdir(path: UserAddr) -> int:
    return _change_directory(resolve(current().fs, None, path_at(path), FOLLOW | DIRECTORY))


@syscall("fchdir", status="Full", args="fd:directory")
def fchdir(descriptor: i32) -> int:
    return _change_directory(current().files.get_any(descriptor).path)


@syscall("chroot", status="Full", args="path")
def chroot(path: UserAddr) -> int:
    context = current().fs
    place = resolve(context, None, path_at(path), FOLLOW | DIRECTORY)
    place.inode().check_permission(context.credentials, MAY_EXEC)
    if not context.credentials.capable(CAP_SYS_CHROOT):
        raise Errno(EPERM)
    context.set_root(place)
    return 0


@syscall("mkdir", status="Full", args="path mode")
def mkdir(path: UserAddr, mode: i32) -> int:
    return mkdirat(AT_FDCWD, path, mode)


@syscall("mkdirat", status="Full", args="dir path mode")
def mkdirat(directory: i32, path: UserAddr, mode: i32) -> int:
    name = path_at(path)
    make_directory(current().fs, base_for(directory, name), name, mode)
    return 0


@syscall("rmdir", status="Full", args="path")
def rmdir(path: UserAddr) -> int:
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR)


@syscall("unlink", status="Full", args="path")
def unlink_(path: UserAddr) -> int:
    return unlinkat(AT_FDCWD, path, 0)


@syscall("unlinkat", status="Full", args="dir path flags:AT_REMOVEDIR")
def unlinkat(directory: i32, path: UserAddr, flags: i32) -> int:
    if flags & ~AT_REMOVEDIR != 0:
        raise Errno(EINVAL)
    name = path_at(path)
    base = base_for(directory, name)
    if flags & AT_REMOVEDIR != 0:
        remove_directory(current().fs, base, name)
    else:
        unlink(current().fs, base, name)
    return 0


@syscall("mknod", status="Full", args="path flags:node device")
def mknod(path: UserAddr, mode: i32, device: u32) -> int:
    return mknodat(AT_FDCWD, path, mode, device)


@syscall("mknodat", status="Full", args="dir path flags:node device")
def mknodat(directory: i32, path: UserAddr, mode: i32, device: u32) -> int:
    name = path_at(path)
    make_node(current().fs, base_for(directory, name), name, mode & 0o177777, device)
    return 0


@syscall("symlink", status="Full", args="path path")
def symlink(target: UserAddr, path: UserAddr) -> int:
    return symlinkat(target, AT_FDCWD, path)


@syscall("symlinkat", status="Full", args="path dir path")
def symlinkat(target: UserAddr, directory: i32, path: UserAddr) -> int:
    text = user.read_string(target, PATH_MAX)
    name = path_at(path)
    make_symlink(current().fs, base_for(directory, name), name, text)
    return 0


@syscall("link", status="Full", args="path path")
def link(old: UserAddr, new: UserAddr) -> int:
    return linkat(AT_FDCWD, old, AT_FDCWD, new, 0)


@syscall("linkat", status="Full", args="dir path dir path flags:at")
def linkat(old_directory: i32, old: UserAddr, new_directory: i32, new: UserAddr, flags: i32) -> int:
    if flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0:
        raise Errno(EINVAL)
    context = current().fs
    if flags & AT_EMPTY_PATH != 0 and not context.credentials.capable(CAP_DAC_READ_SEARCH):
        raise Errno(ENOENT)
    how = flags & AT_EMPTY_PATH
    if flags & AT_SYMLINK_FOLLOW == 0:
        how |= AT_SYMLINK_NOFOLLOW
    source = place_or_descriptor(old_directory, old, how)
    name = path_at(new)
    make_link(context, source, base_for(new_directory, name), name)
    return 0


@syscall("rename", status="Full", args="path path")
def rename_(old: UserAddr, new: UserAddr) -> int:
    return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0)


@syscall("renameat", status="Full", args="dir path dir path")
def renameat(old_directory: i32, old: UserAddr, new_directory: i32, new: UserAddr) -> int:
    return renameat2(old_directory, old, new_directory, new, 0)


@syscall(
    "renameat2", status="Full", args="dir path dir path flags:RENAME_NOREPLACE|RENAME_EXCHANGE|RENAME_WHITEOUT",
)  # fmt: skip
def renameat2(old_directory: i32, old: UserAddr, new_directory: i32, new: UserAddr, flags: u32) -> int:
    old_name = path_at(old)
    new_name = path_at(new)
    check_rename_flags(flags)
    old_base = base_for(old_directory, old_name)
    new_base = base_for(new_directory, new_name)
    rename(current().fs, old_base, old_name, new_base, new_name, flags)
    return 0


@syscall("umask", status="Full", args="mode")
def umask(mask: i32) -> int:
    context = current().fs
    old = context.umask
    context.umask = mask & 0o777
    return old
