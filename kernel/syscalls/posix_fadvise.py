"""The page cache as a program sees it: posix_fadvise(2), readahead(2), cachestat(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import MAX_FILE_SIZE, MAY_WRITE, PAGE_SHIFT, PAGE_SIZE, POSIX_FADV_WILLNEED, S_IFBLK, S_IFMT
from kernel.fs.file import File
from kernel.lang import EBADF, EINVAL, EOPNOTSUPP, EPERM, ESPIPE, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.syscalls.descriptor_arguments import file_at
from kernel.task import current

_PAGE_LIMIT: Final = (1 << 52) - 1


@syscall("fadvise64", status="Full", args="fd offset size one:fadvise")
def fadvise64(descriptor: i32, offset: int, length: int, advice: i32) -> int:
    return advise_file(file_at(descriptor), advice, offset, length)


def advise_file(file: File, advice: int, offset: int, length: int) -> int:
    """posix_fadvise(2) of a file."""
    if file.inode.is_fifo():
        raise Errno(ESPIPE)
    if length < 0 or not 0 <= advice <= 5:
        raise Errno(EINVAL)
    return _advise(file, advice, max(0, offset), length)


def _advise(file: File, advice: int, offset: int, length: int) -> int:
    file.advise(advice, min(offset, MAX_FILE_SIZE), length)
    return 0


@syscall("cachestat", status="Full", args="fd:file <cachestat_range >cachestat flags:0")
def cachestat(descriptor: u32, range_address: UserAddr, result: UserAddr, flags: u32) -> int:
    """cachestat(2): struct cachestat_range is offset and length; the result five numbers."""
    file = file_at(descriptor)
    offset = user.read_u64(range_address)
    length = user.read_u64(user.at(range_address, 8))
    if file.inode.mapping_unit() != PAGE_SIZE:
        raise Errno(EOPNOTSUPP)
    if not _may_count(file):
        raise Errno(EPERM)
    if flags != 0:
        raise Errno(EINVAL)
    found = file.cached_pages(offset >> PAGE_SHIFT & _PAGE_LIMIT, _end_page(offset, length))
    user.check(result, 40)
    user.write_i64(result, found.count)
    user.write_i64(user.at(result, 8), found.dirty)
    user.write_i64(user.at(result, 16), found.writing)
    user.write_i64(user.at(result, 24), found.evicted)
    user.write_i64(user.at(result, 32), found.recently_evicted)
    return 0


def _may_count(file: File) -> bool:
    """Whether the caller could write to a file: nobody else may learn from its pages what others read of it."""
    if file.writable:
        return True
    path = file.path
    inode = path.inode()
    actor = path.mount.actor(current().credentials)
    if inode.owned_by(actor):
        return True
    try:
        inode.check_permission(actor, MAY_WRITE)
    except Errno:
        return False
    return not inode.file_system.read_only or inode.is_device() or inode.is_fifo() or inode.is_socket()


def _end_page(offset: int, length: int) -> int:
    """The page after the last of a range of unsigned numbers, whose end may wrap, as it does on Linux; 0 is no end."""
    if length == 0 or (offset >= 0 and length > MAX_FILE_SIZE - offset):
        return _PAGE_LIMIT
    if length < -MAX_FILE_SIZE // 2 or (offset < 0 and length < 0):
        return _PAGE_LIMIT
    return ((offset + length - 1) >> PAGE_SHIFT & _PAGE_LIMIT) + 1  # fits: see above


@syscall("readahead", status="Full", args="fd offset size")
def readahead(descriptor: i32, offset: int, count: int) -> int:
    file = file_at(descriptor)
    if not file.readable:
        raise Errno(EBADF)
    if count < 0 or (not file.inode.is_regular() and file.inode.mode & S_IFMT != S_IFBLK):
        raise Errno(EINVAL)
    return _advise(file, POSIX_FADV_WILLNEED, max(0, offset), count)
