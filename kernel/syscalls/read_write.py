"""Moving data: read, write and their relatives (read(2), readv(2), pread(2), lseek(2)).

A description is held across the operation, because another thread may close the descriptor while this one sleeps.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import FS_APPEND_FL, IOV_MAX, MAX_FILE_SIZE, MAX_RW_COUNT, O_APPEND
from kernel.fs.file import File, InodeFile
from kernel.fs.notification import tell_read, tell_written
from kernel.fs.privileges import drop_privileges
from kernel.lang import EBADF, EFAULT, EFBIG, EINVAL, EOPNOTSUPP, EPERM, EPIPE, ESPIPE, Errno, UserAddr, i32
from kernel.lib import user
from kernel.lib.user import Buffer, UserBuffer, UserVector
from kernel.syscalls.path_arguments import readable_file, writable_file
from kernel.task import current
from kernel.task.limits import RLIMIT_FSIZE
from kernel.task.send import signal_process
from kernel.task.signals import SIGPIPE, SIGXFSZ

# Flags of preadv2(2) and pwritev2(2).
RWF_HIPRI: Final = 1
RWF_DSYNC: Final = 2
RWF_SYNC: Final = 4
RWF_NOWAIT: Final = 8
RWF_APPEND: Final = 16
RWF_NOAPPEND: Final = 32

_VECTOR_SIZE: Final = 16  # of struct iovec


def user_range(address: UserAddr, length: int) -> UserBuffer:
    """A buffer over user memory; lengths beyond what one call moves are cut off."""
    if length < 0:
        raise Errno(EINVAL)
    user.check(address, length)
    return current().user_buffer(address, min(length, MAX_RW_COUNT))


def user_vector(address: UserAddr, count: int) -> UserVector:
    """A buffer over an array of struct iovec."""
    if count < 0 or count > IOV_MAX:
        raise Errno(EINVAL)
    if count > 0:
        user.check(address, count * _VECTOR_SIZE)
    addresses: list[UserAddr] = []
    lengths: list[int] = []
    total = 0
    for index in range(count):
        start = user.read_i64(user.at(address, index * 16))
        length = user.read_i64(user.at(address, index * 16 + 8))
        if length < 0:
            raise Errno(EINVAL)
        user.check(start, length)
        length = min(length, MAX_RW_COUNT - total)
        total += length
        addresses.append(UserAddr(start))
        lengths.append(length)
    return UserVector(addresses, lengths)


def finish_transfer(done: int, buffer: Buffer) -> int:
    """The result of a transfer: EFAULT if memory stopped it before anything moved."""
    if done == 0 and buffer.faulted:
        raise Errno(EFAULT)
    return done


def read_file(file: File, buffer: Buffer) -> int:
    """Read at the position."""
    _check_end(file, file.position, buffer.remaining)
    file.acquire()
    try:
        return tell_read(file, finish_transfer(file.read(buffer), buffer))
    finally:
        file.release()


def write_file(file: File, buffer: Buffer) -> int:
    """Write at the position; sends the signals that belong to the errors."""
    file.acquire()
    try:
        if file.seekable:
            _check_end(file, file.position, buffer.remaining)
            prepare_write(file, buffer, file.inode.size if file.flags & O_APPEND != 0 else file.position)
        return tell_written(file, finish_transfer(file.write(buffer), buffer))
    except Errno as error:
        if error.code == EPIPE and file.breaks_with_signal():
            signal_process(current().process, SIGPIPE)
        raise
    finally:
        file.release()


def prepare_write(file: File, buffer: Buffer, offset: int) -> None:
    """What comes before any write to a file with offsets: RLIMIT_FSIZE, and the file's privileges go."""
    inode = file.inode
    if not inode.is_regular() or buffer.remaining == 0:
        return
    task = current()
    limit = task.process.limits.soft[RLIMIT_FSIZE]
    if offset >= limit:
        signal_process(task.process, SIGXFSZ)
        raise Errno(EFBIG)
    buffer.remaining = min(buffer.remaining, limit - offset)  # fits: 0 <= offset < limit
    if inode.may_have_privileges:
        drop_privileges(inode, task.credentials)


def check_size_limit(size: int) -> None:
    """RLIMIT_FSIZE for truncation and allocation."""
    task = current()
    if size > task.process.limits.soft[RLIMIT_FSIZE]:
        signal_process(task.process, SIGXFSZ)
        raise Errno(EFBIG)


def pread_file(file: File, buffer: Buffer, offset: int) -> int:
    _check_offset(file, offset, buffer.remaining)
    file.acquire()
    try:
        return tell_read(file, finish_transfer(file.pread(buffer, offset), buffer))
    finally:
        file.release()


def pwrite_file(file: File, buffer: Buffer, offset: int) -> int:
    _check_offset(file, offset, buffer.remaining)
    file.acquire()
    try:
        if file.seekable:
            prepare_write(file, buffer, file.inode.size if file.flags & O_APPEND != 0 else offset)
        return tell_written(file, finish_transfer(file.pwrite(buffer, offset), buffer))
    finally:
        file.release()


def _check_offset(file: File, offset: int, count: int) -> None:
    if offset < 0:
        raise Errno(EINVAL)
    if not file.inode.is_fifo() and not file.inode.is_socket():
        _check_end(file, offset, count)


def _check_end(file: File, offset: int, count: int) -> None:
    """EINVAL if `count` bytes from `offset` on would end past the last position of the file."""
    if offset > MAX_FILE_SIZE - count and not file.takes_any_offset():
        raise Errno(EINVAL)


def check_area(offset: int, count: int) -> None:
    """EINVAL if `count` bytes from `offset` on would end behind 2**63 - 1."""
    if offset > MAX_FILE_SIZE - count:
        raise Errno(EINVAL)


@syscall("read", status="Full", args="fd >bytes[length] size")
def read(descriptor: i32, address: UserAddr, length: int) -> int:
    file = readable_file(descriptor)
    return read_file(file, user_range(address, length))


@syscall("write", status="Full", args="fd <bytes[length] size")
def write(descriptor: i32, address: UserAddr, length: int) -> int:
    file = writable_file(descriptor)
    return write_file(file, user_range(address, length))


@syscall("pread64", status="Full", args="fd >bytes[length] size offset")
def pread64(descriptor: i32, address: UserAddr, length: int, offset: int) -> int:
    if offset < 0:
        raise Errno(EINVAL)
    file = readable_file(descriptor)
    return pread_file(file, user_range(address, length), offset)


@syscall("pwrite64", status="Full", args="fd <bytes[length] size offset")
def pwrite64(descriptor: i32, address: UserAddr, length: int, offset: int) -> int:
    if offset < 0:
        raise Errno(EINVAL)
    file = writable_file(descriptor)
    return pwrite_file(file, user_range(address, length), offset)


@syscall("readv", status="Full", args="fd <iovec[count] count")
def readv(descriptor: i32, vector: UserAddr, count: int) -> int:
    file = readable_file(descriptor)
    return read_file(file, user_vector(vector, count))


@syscall("writev", status="Full", args="fd <iovec[count] count")
def writev(descriptor: i32, vector: UserAddr, count: int) -> int:
    file = writable_file(descriptor)
    return write_file(file, user_vector(vector, count))


@syscall("preadv", status="Full", args="fd <iovec[count] count offset")
def preadv(descriptor: i32, vector: UserAddr, count: int, offset: int) -> int:
    if offset < 0:
        raise Errno(EINVAL)
    file = readable_file(descriptor)
    return pread_file(file, user_vector(vector, count), offset)


@syscall("pwritev", status="Full", args="fd <iovec[count] count offset")
def pwritev(descriptor: i32, vector: UserAddr, count: int, offset: int) -> int:
    if offset < 0:
        raise Errno(EINVAL)
    file = writable_file(descriptor)
    return pwrite_file(file, user_vector(vector, count), offset)


@syscall("preadv2", status="Full", args="fd <iovec[count] count offset int flags:rwf")
def preadv2(descriptor: i32, vector: UserAddr, count: int, offset: int, high: int, flags: i32) -> int:
    if offset < -1:
        raise Errno(EINVAL)
    file = readable_file(descriptor)
    buffer = user_vector(vector, count)
    _check_flags(flags)
    if flags & RWF_NOWAIT == 0:
        return read_file(file, buffer) if offset == -1 else pread_file(file, buffer, offset)
    file.acquire()
    try:
        if offset != -1 and not file.seekable:
            raise Errno(ESPIPE)
        return tell_read(file, finish_transfer(file.read_at_once(buffer), buffer))
    finally:
        file.release()


@syscall("pwritev2", status="Full", args="fd <iovec[count] count offset int flags:rwf")
def pwritev2(descriptor: i32, vector: UserAddr, count: int, offset: int, high: int, flags: i32) -> int:
    if offset < -1:
        raise Errno(EINVAL)
    file = writable_file(descriptor)
    buffer = user_vector(vector, count)
    _check_flags(flags)
    if flags & RWF_APPEND != 0 and flags & RWF_NOAPPEND != 0:
        raise Errno(EINVAL)
    if offset != -1 and not file.seekable:
        raise Errno(ESPIPE)
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
    if flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | RWF_NOAPPEND) != 0:
        raise Errno(EOPNOTSUPP)


def _write_at_once(file: File, buffer: Buffer) -> int:
    file.acquire()
    try:
        return tell_written(file, finish_transfer(file.write_at_once(buffer), buffer))
    except Errno as error:
        if error.code == EPIPE and file.breaks_with_signal():
            signal_process(current().process, SIGPIPE)
        raise
    finally:
        file.release()


def _write_by_flags(file: InodeFile, buffer: Buffer, offset: int, flags: int) -> int:
    """Write at the end, or at a position in spite of O_APPEND; the position moves if no offset was given."""
    file.acquire()
    try:
        start = file.inode.size if flags & RWF_APPEND != 0 else offset if offset != -1 else file.position
        prepare_write(file, buffer, start)
        done = finish_transfer(file.write_at(buffer, start), buffer)
        if offset == -1:
            file.position = start + done  # fits: no file is longer than MAX_FILE_SIZE
        return tell_written(file, done)
    finally:
        file.release()


@syscall("lseek", status="Full", args="fd offset one:whence")
def lseek(descriptor: i32, offset: int, whence: i32) -> int:
    return current().files.get(descriptor).seek(offset, whence)


def position_at(address: UserAddr) -> int:
    """An offset that a call takes and gives back through memory."""
    offset = user.read_i64(address)
    if offset < 0:
        raise Errno(EINVAL)
    return offset


def require_seekable(file: File) -> None:
    if not file.seekable:
        raise Errno(ESPIPE)


def room_behind(offset: int, length: int) -> int:
    """`length`, as far as it fits between `offset` and the largest file size."""
    return min(length, MAX_FILE_SIZE - offset)


def require_access(file: File, readable: bool) -> None:
    if (readable and not file.readable) or (not readable and not file.writable):
        raise Errno(EBADF)
