"""Copying through pipes: splice(2), tee(2).

Reads from a pipe are limited to what the target takes first, so that nothing is lost.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.anonymous import DescriptorFile
from kernel.fs.constants import MAX_RW_COUNT, O_APPEND, O_DIRECT, O_NONBLOCK
from kernel.fs.file import File
from kernel.fs.notification import tell_read, tell_written
from kernel.ipc.pipe import PIPE_BUF, Pipe, PipeFile
from kernel.lang import EAGAIN, EBADF, EINVAL, ESPIPE, Errno, UserAddr, final, i32
from kernel.lib import user
from kernel.lib.pace import pace_bytes
from kernel.lib.user import KernelBuffer
from kernel.syscalls.buffer_arguments import check_area
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.read_write import signal_broken_pipe
from kernel.syscalls.sendfile import Cursor, copy

_CHUNK: Final = 16384
_AT_ONCE: Final = 1 << 20  # bytes that are copied between pipes without a safe point
SPLICE_NONBLOCK: Final = 2
_SPLICE_MORE: Final = 4
SPLICE_FLAGS: Final = 15


@final
class SpliceEnd:
    """One side of a splice: a file at its own position, or at an offset of the caller's."""

    def __init__(self, file: File, offset: int, *, has_offset: bool) -> None:
        self.file: File = file
        self.offset: int = offset if has_offset else -1
        self.has_offset: bool = has_offset


@syscall("splice", status="Full", args="fd:pipe =offset? fd:pipe =offset? size flags:splice")
def splice(source: i32, source_address: UserAddr, target: i32, target_address: UserAddr, count: int, flags: i32) -> int:
    if count == 0:
        return 0
    if flags & ~SPLICE_FLAGS != 0:
        raise Errno(EINVAL)
    in_file = file_at(source)
    out_file = file_at(target)
    _check_pipe(in_file, has_offset=source_address != 0)
    _check_pipe(out_file, has_offset=target_address != 0)
    out_offset = user.read_i64(target_address) if target_address != 0 else -1
    in_offset = user.read_i64(source_address) if source_address != 0 else -1
    reading = SpliceEnd(in_file, in_offset, has_offset=source_address != 0)
    writing = SpliceEnd(out_file, out_offset, has_offset=target_address != 0)
    done = splice_files(reading, writing, count, flags, waits=True)
    if source_address != 0:
        user.write_i64(source_address, reading.offset)
    if target_address != 0:
        user.write_i64(target_address, writing.offset)
    return done


def _check_pipe(file: File, *, has_offset: bool) -> None:
    """A pipe has no offsets: ESPIPE."""
    if has_offset and isinstance(file, PipeFile):
        raise Errno(ESPIPE)


def splice_files(source: SpliceEnd, target: SpliceEnd, count: int, flags: int, *, waits: bool) -> int:
    """Move up to `count` bytes, and move the offsets of the caller's. Unless it `waits`, EAGAIN is raised where it
    would have to, and no signal is sent. Raises what splice(2) does.
    """
    in_file = source.file
    out_file = target.file
    if not in_file.readable or not out_file.writable:
        raise Errno(EBADF)
    _check_pipe(in_file, has_offset=source.has_offset)
    _check_pipe(out_file, has_offset=target.has_offset)
    from_pipe = isinstance(in_file, PipeFile)
    to_pipe = isinstance(out_file, PipeFile)
    if not from_pipe and not to_pipe:
        raise Errno(EINVAL)
    if isinstance(in_file, PipeFile) and isinstance(out_file, PipeFile) and in_file.pipe is out_file.pipe:
        raise Errno(EINVAL)
    if not from_pipe:
        _check_end(source, count)
        if not in_file.can_be_spliced():
            raise Errno(EINVAL)
    if not to_pipe:
        if out_file.flags & O_APPEND != 0:
            raise Errno(EINVAL)
        _check_end(target, count)
    count = MAX_RW_COUNT if count < 0 else min(count, MAX_RW_COUNT)
    nonblocking = flags & SPLICE_NONBLOCK != 0 or not waits
    if isinstance(in_file, PipeFile) and isinstance(out_file, PipeFile):
        nonblocking = nonblocking or (in_file.flags | out_file.flags) & O_NONBLOCK != 0
        return _between_pipes(in_file, out_file, min(count, _CHUNK), nonblocking=nonblocking, signals=waits)
    # One piece, as much as is there and fits: splice does not wait for more once it has moved something.
    if isinstance(in_file, PipeFile):
        count = min(count, max(1, in_file.pipe.count))
        if nonblocking and in_file.pipe.count == 0 and in_file.pipe.writers > 0:
            raise Errno(EAGAIN)
    if isinstance(out_file, PipeFile):
        room = out_file.pipe.free()
        if room <= 0 and out_file.pipe.readers > 0 and (nonblocking or out_file.flags & O_NONBLOCK != 0):
            raise Errno(EAGAIN)
        if room > 0:
            count = min(count, room)
    reading = Cursor(in_file, source.offset)
    writing = Cursor(out_file, target.offset)
    reading.waits = waits
    writing.waits = waits
    writing.waits_for_room = waits or not in_file.seekable  # what a socket gave cannot go back
    writing.more_follows = flags & _SPLICE_MORE != 0
    if isinstance(in_file, PipeFile):
        done = _out_of_pipe(in_file, writing, min(count, _CHUNK), nonblocking)
    else:
        done = copy(reading, writing, count)
    source.offset = reading.offset
    target.offset = writing.offset
    return done


def _check_end(end: SpliceEnd, count: int) -> None:
    """The side that is no pipe: EINVAL if it has no offsets, or would go past the last one."""
    file = end.file
    offset = end.offset
    if end.has_offset and (isinstance(file, DescriptorFile) or file.inode.is_socket()):
        raise Errno(EINVAL)
    if not end.has_offset:
        offset = file.position if file.seekable else 0
    if count < 0 or offset < 0:
        raise Errno(EINVAL)
    check_area(offset, count)


def _out_of_pipe(file: PipeFile, target: Cursor, count: int, nonblocking: bool) -> int:
    """Copy from a pipe; bytes that the target does not take stay there. Other readers are locked out meanwhile."""
    pipe = file.pipe
    done = 0
    file.acquire()
    target.file.acquire()
    try:
        if not pipe.lock_readable(nonblocking or file.flags & O_NONBLOCK != 0):
            return 0
        try:
            storage = bytearray(min(count, pipe.count))
            buffer = KernelBuffer(storage)
            buffer.rewind(pipe.peek_into(buffer, len(storage)))
            done = target.write(buffer)
        finally:
            pipe.unlock_readable(done)
    except Errno as error:
        if target.waits:
            signal_broken_pipe(target.file, error)
        raise
    finally:
        tell_read(file, done)
        tell_written(target.file, done)
        file.release()
        target.file.release()
    return done


def _between_pipes(source: PipeFile, target: PipeFile, count: int, *, nonblocking: bool, signals: bool) -> int:
    """Move bytes to another pipe, once there are some and there is room for them."""
    done = 0
    source.acquire()
    target.acquire()
    try:
        while done == 0:
            reading = source.pipe
            while reading.count == 0 and reading.writers > 0:
                if nonblocking:
                    raise Errno(EAGAIN)
                reading.read_queue.sleep(interruptible=True)
            target.pipe.wait_for_room(1, nonblocking)
            if reading.count == 0 and reading.writers == 0:
                return 0
            done = _move_between(reading, target.pipe, count, as_packet=target.flags & O_DIRECT != 0)
        pace_bytes(2 * done)
    except Errno as error:
        if signals:
            signal_broken_pipe(target, error)
        raise
    finally:
        tell_read(source, done)
        tell_written(target, done)
        source.release()
        target.release()
    return done


def _move_between(source: Pipe, target: Pipe, count: int, as_packet: bool) -> int:
    """Move what is there and fits now; 0 if there is nothing. Nobody waits for one ring with the other one locked: two
    moves that cross would wait for each other.
    """
    source.lock.acquire_unless_dying()
    if not target.lock.try_acquire():
        source.lock.release()
        target.lock.acquire_unless_dying()
        target.lock.release()
        return 0
    moved = 0
    try:
        length = min(count, source.count, target.free(), PIPE_BUF if as_packet else _AT_ONCE)
        if length > 0 and target.readers > 0:
            buffer = KernelBuffer(bytearray(length))
            buffer.rewind(source.peek_into(buffer, length))
            moved = target.add(buffer, length, as_packet)
    finally:
        target.lock.release()
        source.unlock_readable(moved)
    if moved > 0:
        target.read_queue.wake_all()
    return moved


@syscall("tee", status="Full", args="fd:pipe fd:pipe size flags:splice")
def tee(source: i32, target: i32, count: int, flags: i32) -> int:
    if flags & ~SPLICE_FLAGS != 0:
        raise Errno(EINVAL)
    if count == 0:
        return 0
    in_file = file_at(source)
    out_file = file_at(target)
    try:
        return tee_files(in_file, out_file, count, flags, waits=True)
    except Errno as error:
        signal_broken_pipe(out_file, error)
        raise


def tee_files(in_file: File, out_file: File, count: int, flags: int, *, waits: bool) -> int:
    """Copy up to `count` bytes, which stay in the pipe. Unless it `waits`, EAGAIN is raised where it would have to.
    Raises what tee(2) does.
    """
    if not in_file.readable or not out_file.writable:
        raise Errno(EBADF)
    if not isinstance(in_file, PipeFile) or not isinstance(out_file, PipeFile) or in_file.pipe is out_file.pipe:
        raise Errno(EINVAL)
    reading = in_file.pipe
    writing = out_file.pipe
    nonblocking = not waits or flags & SPLICE_NONBLOCK != 0 or (in_file.flags | out_file.flags) & O_NONBLOCK != 0
    while reading.count == 0:
        if reading.writers == 0:
            return 0
        if nonblocking:
            raise Errno(EAGAIN)
        reading.read_queue.sleep(interruptible=True)
    room = writing.free()
    if room <= 0 and nonblocking and writing.readers > 0:
        raise Errno(EAGAIN)
    wanted = MAX_RW_COUNT if count < 0 else count  # a size has no sign
    storage = bytearray(min(wanted, reading.count, max(room, 1), _AT_ONCE))
    buffer = KernelBuffer(storage)
    got = reading.peek_into(buffer, len(storage))
    buffer.rewind(got)
    return writing.write(buffer, nonblocking, as_packets=False)
