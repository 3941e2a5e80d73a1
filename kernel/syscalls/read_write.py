"""read(2), write(2), pread(2), pwrite(2), lseek(2).

A description is held across the operation, because another thread may close the descriptor while this one sleeps.
"""

from kernel.doors.table import syscall
from kernel.fs.constants import MAX_FILE_SIZE, O_APPEND, SEEK_HOLE
from kernel.fs.file import File
from kernel.fs.marks import MARKS, ask_to_read
from kernel.fs.notification import tell_read, tell_written
from kernel.lang import EBADF, EINVAL, EPIPE, ERESTARTNOINTR, ESPIPE, Errno, UserAddr, i32, inline, noinline
from kernel.lib.user import Buffer
from kernel.syscalls.buffer_arguments import finish_transfer, range_to_read, range_to_write, user_range
from kernel.syscalls.descriptor_arguments import borrowed_file, file_at
from kernel.syscalls.size_limit import prepare_write
from kernel.task import current
from kernel.task.send import signal_itself
from kernel.task.signals import SIGPIPE


def read_file(file: File, buffer: Buffer) -> int:
    """Read at the position."""
    return _read_in_turn(file, buffer) if shares_position(file) else _read(file, buffer)


@noinline
def _read_in_turn(file: File, buffer: Buffer) -> int:
    has_turn = hold(file)
    try:
        return _read(file, buffer)
    finally:
        end_hold(file, has_turn)


@inline
def shares_position(file: File) -> bool:
    """Whether others might use the position meanwhile: then `hold`."""
    return file.seekable and (file.users > 1 or current().files.users > 1)


@noinline
def hold(file: File) -> bool:
    """Acquire a description, and the turn to use its position (`take_turn`): returns whether there are turns."""
    file.acquire()
    try:
        return file.take_turn()
    except (Errno, MemoryError):
        file.release()
        raise


@noinline
def end_hold(file: File, has_turn: bool) -> None:
    """Undo `hold`."""
    if has_turn:
        file.end_turn()
    file.release()


@inline
def _read(file: File, buffer: Buffer) -> int:
    task = current()
    _check_end(file, file.position, buffer.remaining)
    file.acquire()
    try:
        if MARKS.guards != 0:
            ask_to_read(file)
        done = tell_read(file, finish_transfer(file.read(buffer), buffer))
        task.counts.read_bytes += done
        return done
    finally:
        task.counts.read_calls += 1
        _let_go(file)


@inline
def _let_go(file: File) -> None:
    """Release what `acquire` kept; usually the descriptor still keeps it."""
    if file.users > 1:
        file.users -= 1
    else:
        file.release()


def write_file(file: File, buffer: Buffer) -> int:
    """Write at the position; sends the signals that belong to the errors."""
    return _write_in_turn(file, buffer) if shares_position(file) else _write(file, buffer)


@noinline
def _write_in_turn(file: File, buffer: Buffer) -> int:
    has_turn = hold(file)
    try:
        return _write(file, buffer)
    finally:
        end_hold(file, has_turn)


@inline
def _write(file: File, buffer: Buffer) -> int:
    task = current()
    task.counts.write_calls += 1
    wanted = buffer.remaining
    file.acquire()
    try:
        if file.seekable:
            _check_end(file, file.position, buffer.remaining)
            prepare_write(file, buffer, file.inode.size if file.flags & O_APPEND != 0 else file.position)
        done = tell_written(file, finish_transfer(file.write(buffer), buffer))
        task.counts.written_bytes += done
        return done
    except Errno as error:
        signal_broken_pipe(file, error)
        raise
    except MemoryError:
        if file.waits_for_memory() and buffer.remaining == wanted:
            raise Errno(ERESTARTNOINTR) from None  # the shortage is handled on the way to user mode
        raise
    finally:
        _let_go(file)


def signal_broken_pipe(file: File, error: Errno) -> None:
    """A write failed with EPIPE: the writer gets SIGPIPE, if the file is of that kind."""
    if error.code == EPIPE and file.breaks_with_signal():
        signal_itself(current(), SIGPIPE)


def pread_file(file: File, buffer: Buffer, offset: int) -> int:
    task = current()
    _check_offset(file, offset, buffer.remaining)
    file.acquire()
    try:
        if MARKS.guards != 0:
            ask_to_read(file)
        done = tell_read(file, finish_transfer(file.pread(buffer, offset), buffer))
        task.counts.read_bytes += done
        return done
    finally:
        task.counts.read_calls += 1
        _let_go(file)


def pwrite_file(file: File, buffer: Buffer, offset: int) -> int:
    task = current()
    _check_offset(file, offset, buffer.remaining)
    task.counts.write_calls += 1
    file.acquire()
    try:
        if file.seekable:
            prepare_write(file, buffer, file.inode.size if file.flags & O_APPEND != 0 else offset)
        done = tell_written(file, finish_transfer(file.pwrite(buffer, offset), buffer))
        task.counts.written_bytes += done
        return done
    finally:
        _let_go(file)


def _check_offset(file: File, offset: int, count: int) -> None:
    if offset < 0:
        raise Errno(EINVAL)
    if not file.seekable:
        check_has_offsets(file)
    _check_end(file, offset, count)


def check_has_offsets(file: File) -> None:
    """Raise ESPIPE for what is a stream by its nature: pipes, sockets, terminals, and descriptors that are no files."""
    if not file.has_offsets():
        raise Errno(ESPIPE)


def _check_end(file: File, offset: int, count: int) -> None:
    """EINVAL if `count` bytes from `offset` on would end past the last position of the file."""
    if offset > MAX_FILE_SIZE - count and not file.takes_any_offset():
        raise Errno(EINVAL)


@inline
def _readable(descriptor: int) -> File:
    """Borrowed, as `read_file` and `pread_file` hold it."""
    file = borrowed_file(descriptor)
    if not file.readable:
        raise Errno(EBADF)
    return file


@inline
def _writable(descriptor: int) -> File:
    """Borrowed, as `write_file` and `pwrite_file` hold it."""
    file = borrowed_file(descriptor)
    if not file.writable:
        raise Errno(EBADF)
    return file


@syscall("read", status="Full", args="fd >bytes[length] size")
def read(descriptor: i32, address: UserAddr, length: int) -> int:
    file = _readable(descriptor)
    return read_file(file, range_to_read(file, address, length))


@syscall("write", status="Full", args="fd <bytes[length] size")
def write(descriptor: i32, address: UserAddr, length: int) -> int:
    file = _writable(descriptor)
    return write_file(file, range_to_write(file, address, length))


@syscall("pread64", status="Full", args="fd >bytes[length] size offset")
def pread64(descriptor: i32, address: UserAddr, length: int, offset: int) -> int:
    if offset < 0:
        raise Errno(EINVAL)
    file = borrowed_file(descriptor)
    if not file.readable:
        check_has_offsets(file)
        raise Errno(EBADF)
    if not file.seekable:
        check_has_offsets(file)
    return pread_file(file, user_range(address, length), offset)


@syscall("pwrite64", status="Full", args="fd <bytes[length] size offset")
def pwrite64(descriptor: i32, address: UserAddr, length: int, offset: int) -> int:
    if offset < 0:
        raise Errno(EINVAL)
    file = borrowed_file(descriptor)
    if not file.writable:
        raise Errno(EBADF if file.has_offsets_to_write() else ESPIPE)
    if not file.seekable:
        check_has_offsets(file)
    return pwrite_file(file, user_range(address, length), offset)


@syscall("lseek", status="Full", args="fd offset one:whence")
def lseek(descriptor: i32, offset: int, whence: i32) -> int:
    file = file_at(descriptor)
    if not 0 <= whence <= SEEK_HOLE:
        raise Errno(EINVAL)
    if not shares_position(file):
        return file.seek(offset, whence)
    has_turn = hold(file)
    try:
        return file.seek(offset, whence)
    finally:
        end_hold(file, has_turn)
