"""Copying through pipes: splice(2), tee(2), vmsplice(2).

Reads from a pipe are limited to what the target takes first, so that nothing is lost.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.anonymous import DescriptorFile
from kernel.fs.constants import IOV_MAX, MAX_RW_COUNT, O_APPEND, O_DIRECT, O_NONBLOCK
from kernel.fs.file import File
from kernel.fs.notification import tell_read, tell_written
from kernel.ipc.pipe import PIPE_BUF, Pipe, PipeFile
from kernel.lang import EAGAIN, EBADF, EINVAL, EPIPE, ESPIPE, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.lib.pace import pace_bytes
from kernel.lib.user import Buffer, KernelBuffer
from kernel.mm.frames import PAGE_MASK, PAGE_SIZE
from kernel.syscalls.buffer_arguments import check_area, finish_transfer, user_range, user_vector
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.read_write import signal_broken_pipe
from kernel.syscalls.sendfile import Cursor, copy
from kernel.task import current
from kernel.task.send import signal_itself
from kernel.task.signals import SIGPIPE

_CHUNK: Final = 16384
_SPLICE_NONBLOCK: Final = 2
_SPLICE_MORE: Final = 4
_SPLICE_FLAGS: Final = 15


@syscall("splice", status="Full", args="fd:pipe =offset? fd:pipe =offset? size flags:splice")
def splice(source: i32, source_address: UserAddr, target: i32, target_address: UserAddr, count: int, flags: i32) -> int:
    if count == 0:
        return 0
    if flags & ~_SPLICE_FLAGS != 0:
        raise Errno(EINVAL)
    in_file = file_at(source)
    out_file = file_at(target)
    from_pipe = isinstance(in_file, PipeFile)
    to_pipe = isinstance(out_file, PipeFile)
    if (from_pipe and source_address != 0) or (to_pipe and target_address != 0):
        raise Errno(ESPIPE)
    out_offset = user.read_i64(target_address) if target_address != 0 else -1
    in_offset = user.read_i64(source_address) if source_address != 0 else -1
    if not in_file.readable or not out_file.writable:
        raise Errno(EBADF)
    if not from_pipe and not to_pipe:
        raise Errno(EINVAL)
    if isinstance(in_file, PipeFile) and isinstance(out_file, PipeFile) and in_file.pipe is out_file.pipe:
        raise Errno(EINVAL)
    if not from_pipe:
        _check_end(in_file, source_address != 0, in_offset, count)
        if not in_file.can_be_spliced():
            raise Errno(EINVAL)
    if not to_pipe:
        if out_file.flags & O_APPEND != 0:
            raise Errno(EINVAL)
        _check_end(out_file, target_address != 0, out_offset, count)
    count = MAX_RW_COUNT if count < 0 else min(count, MAX_RW_COUNT)
    if isinstance(in_file, PipeFile) and isinstance(out_file, PipeFile):
        waits = (in_file.flags | out_file.flags) & O_NONBLOCK == 0 and flags & _SPLICE_NONBLOCK == 0
        return _between_pipes(in_file, out_file, min(count, _CHUNK), nonblocking=not waits)
    # One piece, as much as is there and fits: splice does not wait for more once it has moved something.
    if isinstance(in_file, PipeFile):
        count = min(count, max(1, in_file.pipe.count))
        if flags & _SPLICE_NONBLOCK != 0 and in_file.pipe.count == 0 and in_file.pipe.writers > 0:
            raise Errno(EAGAIN)
    if isinstance(out_file, PipeFile):
        room = out_file.pipe.free()
        if room == 0 and (flags & _SPLICE_NONBLOCK != 0 or out_file.flags & O_NONBLOCK != 0):
            raise Errno(EAGAIN)
        if room > 0:
            count = min(count, room)
    reading = Cursor(in_file, in_offset)
    writing = Cursor(out_file, out_offset)
    writing.more_follows = flags & _SPLICE_MORE != 0
    if isinstance(in_file, PipeFile):
        done = _out_of_pipe(in_file, writing, min(count, _CHUNK), flags & _SPLICE_NONBLOCK != 0)
    else:
        done = copy(reading, writing, count)
    if source_address != 0:
        user.write_i64(source_address, reading.offset)
    if target_address != 0:
        user.write_i64(target_address, writing.offset)
    return done


def _check_end(file: File, has_offset: bool, offset: int, count: int) -> None:
    """The side that is no pipe: EINVAL if it has no offsets, or would go past the last one."""
    if has_offset and (isinstance(file, DescriptorFile) or file.inode.is_socket()):
        raise Errno(EINVAL)
    if not has_offset:
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
        signal_broken_pipe(target.file, error)
        raise
    finally:
        tell_read(file, done)
        tell_written(target.file, done)
        file.release()
        target.file.release()
    return done


def _between_pipes(source: PipeFile, target: PipeFile, count: int, nonblocking: bool) -> int:
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
        length = min(count, source.count, target.free(), PIPE_BUF if as_packet else count)
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
    if flags & ~_SPLICE_FLAGS != 0:
        raise Errno(EINVAL)
    if count == 0:
        return 0
    in_file = file_at(source)
    out_file = file_at(target)
    if not in_file.readable or not out_file.writable:
        raise Errno(EBADF)
    if not isinstance(in_file, PipeFile) or not isinstance(out_file, PipeFile) or in_file.pipe is out_file.pipe:
        raise Errno(EINVAL)
    reading = in_file.pipe
    writing = out_file.pipe
    nonblocking = flags & _SPLICE_NONBLOCK != 0
    while reading.count == 0:
        if reading.writers == 0:
            return 0
        if nonblocking:
            raise Errno(EAGAIN)
        reading.read_queue.sleep(interruptible=True)
    room = writing.free()
    if room == 0 and nonblocking:
        raise Errno(EAGAIN)
    wanted = MAX_RW_COUNT if count < 0 else count  # a size has no sign
    storage = bytearray(min(wanted, reading.count, max(room, 1)))
    buffer = KernelBuffer(storage)
    got = reading.peek_into(buffer, len(storage))
    buffer.rewind(got)
    return writing.write(buffer, nonblocking, as_packets=False)


def _fill(pipe: Pipe, buffer: Buffer, nonblocking: bool) -> int:
    """Put memory into a pipe: wait for room, unless told not to, and take what fits then."""
    needed = buffer.remaining if buffer.remaining <= PIPE_BUF else 1
    while True:
        try:
            return pipe.write(buffer, nonblocking=True, as_packets=False)
        except Errno as error:
            if error.code != EAGAIN or nonblocking:
                raise
        pipe.wait_for_room(needed, nonblocking=False)


def _fill_by_pages(pipe: Pipe, vector: UserAddr, count: int, nonblocking: bool) -> int:
    """Put memory into a pipe page by page, up to one that there is not: those before it count, whatever stops the next
    one. Raises EFAULT for the first one, and what writing it raises.
    """
    done = 0
    try:
        for index in range(min(count & 0xFFFF_FFFF, IOV_MAX)):
            address = user.read_i64(user.at(vector, index * 16))
            rest = min(user.read_i64(user.at(vector, index * 16 + 8)), MAX_RW_COUNT)
            while rest > 0:
                piece = user_range(UserAddr(address), min(rest, PAGE_SIZE - (address & PAGE_MASK)))
                length = piece.remaining
                moved = pipe.write(piece, nonblocking or done > 0, as_packets=False)
                done += moved
                if moved < length:
                    return finish_transfer(done, piece)
                address += length  # fits: it is user memory
                rest -= length  # fits: it is a part of it
    except (Errno, MemoryError):
        if done == 0:
            raise
    return done


@syscall("vmsplice", status="Full", args="fd:pipe <iovec[count] count flags:splice")
def vmsplice(descriptor: i32, vector: UserAddr, count: int, flags: u32) -> int:
    """Transfer between a pipe and memory. The pages are copied, not shared: later writes to them are not seen."""
    if flags & ~_SPLICE_FLAGS != 0:
        raise Errno(EINVAL)
    file = file_at(descriptor)
    if not file.readable and not file.writable:
        raise Errno(EBADF)
    buffer = user_vector(vector, count)
    if buffer.remaining == 0:
        return 0
    if not isinstance(file, PipeFile):
        raise Errno(EBADF)
    nonblocking = flags & _SPLICE_NONBLOCK != 0  # whatever O_NONBLOCK says
    file.acquire()
    try:
        if file.writable:
            done = _fill(file.pipe, buffer, nonblocking)
            return _fill_by_pages(file.pipe, vector, count, nonblocking) if done == 0 and buffer.faulted else done
        return finish_transfer(file.pipe.read(buffer, nonblocking), buffer)
    except Errno as error:
        if error.code == EPIPE:
            signal_itself(current(), SIGPIPE)
        raise
    finally:
        file.release()
