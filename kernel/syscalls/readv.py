"""Transfers to and from several pieces of memory: readv(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import FS_APPEND_FL
from kernel.fs.file import AT_POSITION, File, InodeFile
from kernel.fs.marks import MARKS, ask_to_read
from kernel.fs.notification import tell_read, tell_written
from kernel.lang import EBADF, EINVAL, EOPNOTSUPP, EPERM, ESPIPE, Errno, UserAddr, i32
from kernel.lib.user import Buffer
from kernel.syscalls.buffer_arguments import finish_transfer, user_vector
from kernel.syscalls.descriptor_arguments import file_at, readable_file, writable_file
from kernel.syscalls.read_write import (
    check_has_offsets,
    end_hold,
    hold,
    pread_file,
    pwrite_file,
    read_file,
    shares_position,
    signal_broken_pipe,
    write_file,
)
from kernel.syscalls.size_limit import prepare_write
from kernel.task import current

# Flags of preadv2(2) and pwritev2(2).
RWF_HIPRI: Final = 1
RWF_DSYNC: Final = 2
RWF_SYNC: Final = 4
RWF_NOWAIT: Final = 8
RWF_APPEND: Final = 16
RWF_NOAPPEND: Final = 32
RWF_SUPPORTED: Final = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | RWF_NOAPPEND


@syscall("readv", status="Full", args="fd <iovec[count] count")
def readv(descriptor: i32, vector: UserAddr, count: int) -> int:
    file = readable_file(descriptor)
    if not file.can_read():
        raise Errno(EINVAL)
    buffer = user_vector(vector, count)
    return read_file(file, buffer) if buffer.remaining > 0 else 0


@syscall("writev", status="Full", args="fd <iovec[count] count")
def writev(descriptor: i32, vector: UserAddr, count: int) -> int:
    file = writable_file(descriptor)
    if not file.can_write():
        raise Errno(EINVAL)
    buffer = user_vector(vector, count)
    return write_file(file, buffer) if buffer.remaining > 0 else 0


@syscall("preadv", status="Full", args="fd <iovec[count] count offset")
def preadv(descriptor: i32, vector: UserAddr, count: int, offset: int) -> int:
    if offset < 0:
        raise Errno(EINVAL)
    file = _readable_at(descriptor, offset)
    buffer = user_vector(vector, count)
    return pread_file(file, buffer, offset) if buffer.remaining > 0 else 0


@syscall("pwritev", status="Full", args="fd <iovec[count] count offset")
def pwritev(descriptor: i32, vector: UserAddr, count: int, offset: int) -> int:
    if offset < 0:
        raise Errno(EINVAL)
    file = _writable_at(descriptor, offset)
    buffer = user_vector(vector, count)
    return pwrite_file(file, buffer, offset) if buffer.remaining > 0 else 0


def _readable_at(descriptor: int, offset: int) -> File:
    """A file to read at an offset, -1 for its position. Raises EBADF, ESPIPE, EINVAL."""
    file = file_at(descriptor)
    if offset != -1:
        check_has_offsets(file)
    if not file.readable:
        raise Errno(EBADF)
    if not file.can_read():
        raise Errno(EINVAL)
    return file


def _writable_at(descriptor: int, offset: int) -> File:
    """The same to write."""
    file = file_at(descriptor)
    if offset != -1 and not file.has_offsets_to_write():
        raise Errno(ESPIPE)
    if not file.writable:
        raise Errno(EBADF)
    if not file.can_write():
        raise Errno(EINVAL)
    return file


@syscall("preadv2", status="Full", args="fd <iovec[count] count offset int flags:rwf")
def preadv2(descriptor: i32, vector: UserAddr, count: int, offset: int, high: int, flags: i32) -> int:
    if offset < -1:
        raise Errno(EINVAL)
    file = _readable_at(descriptor, offset)
    buffer = user_vector(vector, count)
    return read_by_flags(file, buffer, offset, flags) if buffer.remaining > 0 else 0


@syscall("pwritev2", status="Full", args="fd <iovec[count] count offset int flags:rwf")
def pwritev2(descriptor: i32, vector: UserAddr, count: int, offset: int, high: int, flags: i32) -> int:
    if offset < -1:
        raise Errno(EINVAL)
    file = _writable_at(descriptor, offset)
    buffer = user_vector(vector, count)
    return write_by_flags(file, buffer, offset, flags) if buffer.remaining > 0 else 0


def read_by_flags(file: File, buffer: Buffer, offset: int, flags: int) -> int:
    """Read at an offset, or at the position if that is -1, with RWF_*. Raises EOPNOTSUPP for flags that the file does
    not know.
    """
    _check_flags(flags)
    if flags & ~RWF_HIPRI != 0 and (file.inode.is_directory() or file.inode.is_only_read()):
        raise Errno(EOPNOTSUPP)
    if flags & RWF_NOWAIT == 0:
        return read_file(file, buffer) if offset == -1 else pread_file(file, buffer, offset)
    file.acquire()
    try:
        if offset != -1 and not file.seekable:
            check_has_offsets(file)
        task = current()
        task.counts.read_calls += 1
        if MARKS.guards != 0:
            ask_to_read(file)
        done = tell_read(file, finish_transfer(file.read_at_once(buffer), buffer))
        task.counts.read_bytes += done
        return done
    finally:
        file.release()


def write_by_flags(file: File, buffer: Buffer, offset: int, flags: int) -> int:
    """Write in the same way."""
    _check_flags(flags)
    if flags & RWF_APPEND != 0 and flags & RWF_NOAPPEND != 0:
        raise Errno(EINVAL)
    if offset != -1:
        check_has_offsets(file)
    if flags & RWF_NOAPPEND != 0 and file.inode.flags & FS_APPEND_FL != 0:
        raise Errno(EPERM)
    if flags & RWF_NOWAIT != 0:
        return _write_at_once(file, buffer)
    if isinstance(file, InodeFile) and flags & (RWF_APPEND | RWF_NOAPPEND) != 0:
        done = _write_by_flags(file, buffer, offset, flags)
    elif offset == -1:
        done = write_file(file, buffer)
    else:
        done = pwrite_file(file, buffer, offset)
    if done > 0 and file.inode.is_regular():
        if flags & RWF_SYNC != 0:
            file.fsync()
        elif flags & RWF_DSYNC != 0:
            file.fdatasync()
    return done


def _check_flags(flags: int) -> None:
    if flags & ~RWF_SUPPORTED != 0:
        raise Errno(EOPNOTSUPP)


def _write_at_once(file: File, buffer: Buffer) -> int:
    task = current()
    task.counts.write_calls += 1
    file.acquire()
    try:
        done = tell_written(file, finish_transfer(file.write_at_once(buffer), buffer))
        task.counts.written_bytes += done
        return done
    except Errno as error:
        signal_broken_pipe(file, error)
        raise
    finally:
        file.release()


def _write_by_flags(file: InodeFile, buffer: Buffer, offset: int, flags: int) -> int:
    """Write at the end, or at a position in spite of O_APPEND; the position moves if no offset was given."""
    appends = flags & RWF_APPEND != 0
    has_turn = False
    if offset == AT_POSITION and shares_position(file):
        has_turn = hold(file)
    else:
        file.acquire()
    try:
        start = file.inode.size if appends else file.position if offset == AT_POSITION else offset
        prepare_write(file, buffer, start)
        task = current()
        task.counts.write_calls += 1
        done = finish_transfer(file.write_by(buffer, offset, appends=appends), buffer)
        task.counts.written_bytes += done
        return tell_written(file, done)
    finally:
        end_hold(file, has_turn)
