"""Changing files' attributes and sizes: chmod(2), chown(2), utimensat(2), truncate(2), fallocate(2), fsync(2),
sync(2).
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.attributes import (
    NO_CHANGE,
    TimeChange,
    change_mode,
    change_owner,
    change_times,
    time_ns,
    truncate_path,
)
from kernel.fs.constants import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    FALLOC_FL_COLLAPSE_RANGE,
    FALLOC_FL_INSERT_RANGE,
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    FALLOC_FL_UNSHARE_RANGE,
    FALLOC_FL_ZERO_RANGE,
    FS_APPEND_FL,
    FS_IMMUTABLE_FL,
    MAX_FILE_SIZE,
    PAGE_SHIFT,
    POSIX_FADV_WILLNEED,
    S_IFBLK,
    S_IFMT,
    UTIME_NOW,
    UTIME_OMIT,
)
from kernel.fs.file import File
from kernel.fs.mount_sync import sync_all
from kernel.fs.notification import IN_ACCESS, IN_ATTRIB, IN_MODIFY, tell_file, tell_place
from kernel.fs.path import Path
from kernel.fs.privileges import drop_privileges
from kernel.lang import EBADF, EFBIG, EINVAL, ENODEV, EOPNOTSUPP, EPERM, ESPIPE, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.lib.saturation import end_page_of
from kernel.syscalls.path_arguments import place_at
from kernel.syscalls.read_write import check_size_limit
from kernel.syscalls.stat import place_or_descriptor
from kernel.task import current

_NS: Final = 1_000_000_000
_SYNC_FILE_RANGE_FLAGS: Final = 7
_PAGE_LIMIT: Final = (1 << 52) - 1


# ---- mode and owner -------------------------------------------------------------------------------------------------


def _change_mode(path: Path, mode: int) -> int:
    change_mode(current().fs, path.mount, path.inode(), mode)
    tell_place(path.dentry, IN_ATTRIB)
    return 0


@syscall("chmod", status="Full", args="path mode")
def chmod(path: UserAddr, mode: i32) -> int:
    return _change_mode(place_at(AT_FDCWD, path, 0), mode)


@syscall("fchmod", status="Full", args="fd mode")
def fchmod(descriptor: i32, mode: i32) -> int:
    return _change_mode(current().files.get(descriptor).path, mode)


@syscall("fchmodat", status="Full", args="dir path mode")
def fchmodat(directory: i32, path: UserAddr, mode: i32) -> int:
    return _change_mode(place_at(directory, path, 0), mode)


@syscall("fchmodat2", status="Full", args="dir path mode flags:at")
def fchmodat2(directory: i32, path: UserAddr, mode: i32, flags: i32) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0:
        raise Errno(EINVAL)
    return _change_mode(place_or_descriptor(directory, path, flags), mode)


def _change_owner(path: Path, uid: int, gid: int) -> int:
    change_owner(
        current().fs,
        path.mount,
        path.inode(),
        NO_CHANGE if uid == 0xFFFFFFFF else uid,
        NO_CHANGE if gid == 0xFFFFFFFF else gid,
    )
    tell_place(path.dentry, IN_ATTRIB)
    return 0


@syscall("chown", status="Full", args="path uid gid")
def chown(path: UserAddr, uid: u32, gid: u32) -> int:
    return _change_owner(place_at(AT_FDCWD, path, 0), uid, gid)


@syscall("fchown", status="Full", args="fd uid gid")
def fchown(descriptor: i32, uid: u32, gid: u32) -> int:
    return _change_owner(current().files.get(descriptor).path, uid, gid)


@syscall("lchown", status="Full", args="path uid gid")
def lchown(path: UserAddr, uid: u32, gid: u32) -> int:
    return _change_owner(place_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW), uid, gid)


@syscall("fchownat", status="Full", args="dir path uid gid flags:at")
def fchownat(directory: i32, path: UserAddr, uid: u32, gid: u32, flags: i32) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0:
        raise Errno(EINVAL)
    return _change_owner(place_or_descriptor(directory, path, flags), uid, gid)


# ---- times ----------------------------------------------------------------------------------------------------------


def _read_timespecs(address: UserAddr) -> TimeChange:
    change = TimeChange()
    if address == 0:
        return change
    user.check(address, 32)
    change.accessed_special = user.read_i64(user.at(address, 8))
    change.modified_special = user.read_i64(user.at(address, 24))
    for nanoseconds in (change.accessed_special, change.modified_special):
        if nanoseconds != UTIME_NOW and nanoseconds != UTIME_OMIT and not 0 <= nanoseconds < _NS:
            raise Errno(EINVAL)
    if change.accessed_special < _NS:
        change.accessed_ns = time_ns(user.read_i64(address), change.accessed_special)
    if change.modified_special < _NS:
        change.modified_ns = time_ns(user.read_i64(user.at(address, 16)), change.modified_special)
    return change


def _read_timevals(address: UserAddr) -> TimeChange:
    change = TimeChange()
    if address == 0:
        return change
    user.check(address, 32)
    accessed_us = user.read_i64(user.at(address, 8))
    modified_us = user.read_i64(user.at(address, 24))
    if not 0 <= accessed_us < 1_000_000 or not 0 <= modified_us < 1_000_000:
        raise Errno(EINVAL)
    change.accessed_ns = time_ns(user.read_i64(address), accessed_us * 1000)
    change.modified_ns = time_ns(user.read_i64(user.at(address, 16)), modified_us * 1000)
    change.accessed_special = 0
    change.modified_special = 0
    return change


def _change_times(path: Path, change: TimeChange) -> int:
    change_times(current().fs, path.mount, path.inode(), change)
    if change.accessed_special == UTIME_OMIT:
        mask = IN_MODIFY
    elif change.modified_special == UTIME_OMIT:
        mask = IN_ACCESS
    else:
        mask = IN_ATTRIB
    tell_place(path.dentry, mask)
    return 0


@syscall("utimensat", status="Full", args="dir path <utimens? flags:at")
def utimensat(directory: i32, path: UserAddr, times: UserAddr, flags: i32) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0:
        raise Errno(EINVAL)
    change = _read_timespecs(times)
    if change.accessed_special == UTIME_OMIT and change.modified_special == UTIME_OMIT:
        return 0
    if path == 0 and directory != AT_FDCWD:
        # A null name means the descriptor itself: futimens(3).
        if flags != 0:
            raise Errno(EINVAL)
        return _change_times(current().files.get(directory).path, change)
    return _change_times(place_or_descriptor(directory, path, flags), change)


@syscall("futimesat", status="Full", args="dir path <timevals?")
def futimesat(directory: i32, path: UserAddr, times: UserAddr) -> int:
    change = _read_timevals(times)
    if path == 0 and directory != AT_FDCWD:
        return _change_times(current().files.get(directory).path, change)
    return _change_times(place_at(directory, path, 0), change)


@syscall("utimes", status="Full", args="path <timevals?")
def utimes(path: UserAddr, times: UserAddr) -> int:
    change = _read_timevals(times)
    return _change_times(place_at(AT_FDCWD, path, 0), change)


@syscall("utime", status="Full", args="path <utimbuf?")
def utime(path: UserAddr, times: UserAddr) -> int:
    change = TimeChange()
    if times != 0:
        change.accessed_ns = time_ns(user.read_i64(times), 0)
        change.modified_ns = time_ns(user.read_i64(user.at(times, 8)), 0)
        change.accessed_special = 0
        change.modified_special = 0
    return _change_times(place_at(AT_FDCWD, path, 0), change)


# ---- size -----------------------------------------------------------------------------------------------------------


@syscall("truncate", status="Full", args="path offset")
def truncate(path: UserAddr, size: int) -> int:
    if size < 0:
        raise Errno(EINVAL)
    place = place_at(AT_FDCWD, path, 0)
    if place.inode().is_regular():
        check_size_limit(size)
    truncate_path(current().fs, place, size)
    tell_place(place.dentry, IN_MODIFY)
    return 0


@syscall("ftruncate", status="Full", args="fd offset")
def ftruncate(descriptor: i32, size: int) -> int:
    if size < 0:
        raise Errno(EINVAL)
    file = current().files.get(descriptor)
    if not file.writable or not file.inode.is_regular():
        raise Errno(EINVAL)
    if file.inode.flags & FS_APPEND_FL != 0:
        raise Errno(EPERM)
    check_size_limit(size)
    drop_privileges(file.inode, current().credentials)
    file.truncate(size)
    tell_file(file, IN_MODIFY)
    return 0


def _check_allocation_mode(mode: int) -> None:
    """One kind of change, and whether the size may stay with it: EOPNOTSUPP for all others."""
    kind = mode & ~FALLOC_FL_KEEP_SIZE
    keeps_size = mode & FALLOC_FL_KEEP_SIZE != 0
    if kind in (0, FALLOC_FL_ZERO_RANGE, FALLOC_FL_UNSHARE_RANGE):
        return
    if kind == FALLOC_FL_PUNCH_HOLE and keeps_size:
        return
    if kind in (FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE) and not keeps_size:
        return
    raise Errno(EOPNOTSUPP)


@syscall("fallocate", status="Full", args="fd flags:fallocate offset size")
def fallocate(descriptor: i32, mode: i32, offset: int, length: int) -> int:
    file = current().files.get(descriptor)
    if offset < 0 or length <= 0:
        raise Errno(EINVAL)
    _check_allocation_mode(mode)
    if not file.writable:
        raise Errno(EBADF)
    flags = file.inode.flags
    if flags & FS_IMMUTABLE_FL != 0 or (mode & ~FALLOC_FL_KEEP_SIZE != 0 and flags & FS_APPEND_FL != 0):
        raise Errno(EPERM)
    if file.inode.is_fifo():
        raise Errno(ESPIPE)
    if not file.inode.is_regular() and file.inode.mode & S_IFMT != S_IFBLK:
        raise Errno(ENODEV)
    if offset > MAX_FILE_SIZE - length:
        raise Errno(EFBIG)
    if mode & FALLOC_FL_PUNCH_HOLE == 0:
        check_size_limit(offset + length)
    drop_privileges(file.inode, current().credentials)
    file.allocate(mode, offset, length)
    tell_file(file, IN_MODIFY)
    return 0


# ---- writing out ----------------------------------------------------------------------------------------------------


@syscall("fsync", status="Full", args="fd")
def fsync(descriptor: i32) -> int:
    file = current().files.get(descriptor)
    file.acquire()
    try:
        file.fsync()
    finally:
        file.release()
    return 0


@syscall("fdatasync", status="Full", args="fd")
def fdatasync(descriptor: i32) -> int:
    file = current().files.get(descriptor)
    file.acquire()
    try:
        file.fdatasync()
    finally:
        file.release()
    return 0


@syscall(
    "sync_file_range", status="Full",
    args="fd offset size flags:SYNC_FILE_RANGE_WAIT_BEFORE|SYNC_FILE_RANGE_WRITE|SYNC_FILE_RANGE_WAIT_AFTER",
)  # fmt: skip
def sync_file_range(descriptor: i32, offset: int, length: int, flags: u32) -> int:
    file = current().files.get(descriptor)
    if flags & ~_SYNC_FILE_RANGE_FLAGS != 0 or offset < 0 or length < 0 or offset > MAX_FILE_SIZE - length:
        raise Errno(EINVAL)
    inode = file.inode
    if not inode.is_regular() and not inode.is_directory() and inode.mode & S_IFMT != S_IFBLK:
        raise Errno(ESPIPE)
    file.acquire()
    try:
        file.sync_range(offset >> PAGE_SHIFT, end_page_of(offset, length), flags)
    finally:
        file.release()
    return 0


@syscall("sync", status="Full", args="")
def sync() -> int:
    sync_all()
    return 0


@syscall("syncfs", status="Full", args="fd")
def syncfs(descriptor: i32) -> int:
    current().files.get(descriptor).path.mount.file_system.sync()
    return 0


@syscall("fadvise64", status="Full", args="fd offset size one:fadvise")
def fadvise64(descriptor: i32, offset: int, length: int, advice: i32) -> int:
    file = current().files.get(descriptor)
    if file.inode.is_fifo():
        raise Errno(ESPIPE)
    if length < 0 or not 0 <= advice <= 5:
        raise Errno(EINVAL)
    return _advise(file, advice, max(0, offset), length)


def _advise(file: File, advice: int, offset: int, length: int) -> int:
    file.acquire()
    try:
        file.advise(advice, min(offset, MAX_FILE_SIZE), length)
    finally:
        file.release()
    return 0


@syscall(
    "cachestat", args="fd:file <cachestat_range >cachestat flags:0",
    notes="Regular files; pages that left memory are not remembered",
)  # fmt: skip
def cachestat(descriptor: u32, range_address: UserAddr, result: UserAddr, flags: u32) -> int:
    """cachestat(2): struct cachestat_range is offset and length; the result five numbers."""
    file = current().files.get(descriptor)
    offset = user.read_u64(range_address)
    length = user.read_u64(user.at(range_address, 8))
    if flags != 0:
        raise Errno(EINVAL)
    found = file.inode.cached_pages(offset >> PAGE_SHIFT & _PAGE_LIMIT, _end_page(offset, length))
    user.check(result, 40)
    user.write_i64(result, found.count)
    user.write_i64(user.at(result, 8), found.dirty)
    user.write_i64(user.at(result, 16), found.writing)
    user.write_i64(user.at(result, 24), 0)
    user.write_i64(user.at(result, 32), 0)
    return 0


def _end_page(offset: int, length: int) -> int:
    """Behind the last page of a range of unsigned numbers, whose end may wrap, as it does on Linux; 0 is no end."""
    if length == 0 or (offset >= 0 and length > MAX_FILE_SIZE - offset):
        return _PAGE_LIMIT
    if length < -MAX_FILE_SIZE // 2 or (offset < 0 and length < 0):
        return _PAGE_LIMIT
    return ((offset + length - 1) >> PAGE_SHIFT & _PAGE_LIMIT) + 1  # fits: see above


@syscall("readahead", status="Full", args="fd offset size")
def readahead(descriptor: i32, offset: int, count: int) -> int:
    file = current().files.get(descriptor)
    if not file.readable:
        raise Errno(EBADF)
    if count < 0 or (not file.inode.is_regular() and file.inode.mode & S_IFMT != S_IFBLK):
        raise Errno(EINVAL)
    return _advise(file, POSIX_FADV_WILLNEED, max(0, offset), count)
