"""Copying between files inside the kernel: sendfile(2).

Data goes through a buffer of one page. Data that were read but could not be written are never lost: the source's
position is moved back.

As on Linux, these calls and splice(2) do not wait for a position that others use (`File.take_turn`): they would keep it
while they wait for a pipe, and two copies that cross would wait for each other.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import (
    MAX_RW_COUNT,
    O_APPEND,
    POLLERR,
    POLLHUP,
    READABLE,
    SEEK_CUR,
    WRITABLE,
)
from kernel.fs.file import File
from kernel.fs.marks import MARKS, ask_to_read
from kernel.fs.notification import tell_read, tell_written
from kernel.ipc.pipe import PipeFile
from kernel.lang import (
    EAGAIN,
    EBADF,
    EINVAL,
    Errno,
    UserAddr,
    i32,
)
from kernel.lib import user
from kernel.lib.pace import is_dying, pace_bytes
from kernel.lib.user import KernelBuffer
from kernel.net.sockets.socket import MSG_DONTWAIT, MSG_MORE, MSG_NOSIGNAL, Message, Socket
from kernel.syscalls.buffer_arguments import check_area
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.read_write import check_has_offsets, signal_broken_pipe
from kernel.syscalls.size_limit import prepare_write
from kernel.task import current

_CHUNK: Final = 16384


class Cursor:
    """One side of a copy: a file at its own position, or at an offset of the caller's."""

    def __init__(self, file: File, offset: int) -> None:
        self.file: File = file
        self.offset: int = offset  # -1: the file's own position
        self.more_follows: bool = False  # SPLICE_F_MORE: a socket may wait for it
        self.waits: bool = True  # else the file must be ready: EAGAIN, and nobody gets SIGPIPE
        self.waits_for_room: bool = True  # in a pipe that others have filled since the caller looked

    def read(self, buffer: KernelBuffer) -> int:
        file = self.file
        if not self.waits and isinstance(file, Socket):
            return file.receive(Message(buffer, MSG_DONTWAIT))
        if not self.waits and not is_ready(file, READABLE):
            raise Errno(EAGAIN)
        if self.offset < 0:
            return self.file.read(buffer)
        done = self.file.pread(buffer, self.offset)
        self.offset += done  # fits: check_area
        return done

    def write(self, buffer: KernelBuffer) -> int:
        file = self.file
        if file.seekable:
            offset = self.offset if self.offset >= 0 else file.position
            prepare_write(file, buffer, file.inode.size if file.flags & O_APPEND != 0 else offset)
        if isinstance(file, Socket) and (self.more_follows or not self.waits):
            flags = MSG_MORE if self.more_follows else 0
            return file.send(Message(buffer, flags if self.waits else flags | MSG_DONTWAIT | MSG_NOSIGNAL))
        if not self.waits and not isinstance(file, PipeFile) and not is_ready(file, WRITABLE):
            raise Errno(EAGAIN)  # of a pipe the caller knows that there is room
        if not self.waits_for_room and isinstance(file, PipeFile):
            return file.write_at_once(buffer)
        if self.offset < 0:
            return file.write(buffer)
        done = file.pwrite(buffer, self.offset)
        self.offset += done  # fits: check_area
        return done

    def move(self, offset: int) -> None:
        """The next byte is that at `offset`."""
        if self.offset < 0:
            self.file.position = offset
        else:
            self.offset = offset

    def back(self, count: int) -> None:
        """Return bytes that were read but not used."""
        if self.offset < 0:
            if self.file.seekable:
                self.file.seek(-count, SEEK_CUR)
        else:
            self.offset -= count  # fits: as much was read


def is_ready(file: File, events: int) -> bool:
    """Whether a file that can be waited for is ready, or at its end; all others are."""
    return not file.can_be_watched() or file.poll(None) & (events | POLLERR | POLLHUP) != 0


def copy(source: Cursor, target: Cursor, count: int) -> int:
    """Copy up to `count` bytes; an error after the first bytes ends the copy instead of failing it."""
    storage = bytearray(min(_CHUNK, count))
    total = 0
    source.file.acquire()
    target.file.acquire()
    try:
        if MARKS.guards != 0:
            ask_to_read(source.file)
        while total < count:
            buffer = KernelBuffer(storage)
            buffer.remaining = min(len(storage), count - total)
            got = source.read(buffer)
            if got == 0:
                break
            buffer.rewind(got)
            put = _write_some(target, buffer, source, got)
            total += put
            pace_bytes(2 * got)
            if put < got:
                source.back(got - put)
                break
            if is_dying():
                break
            if got < len(storage) and isinstance(source.file, Socket):
                break  # what is there now: it does not wait for more
    except Errno as error:
        if target.waits:
            signal_broken_pipe(target.file, error)
        if total == 0:
            raise
    except MemoryError:
        if total == 0:
            raise
    finally:
        tell_read(source.file, total)
        tell_written(target.file, total)
        source.file.release()
        target.file.release()
    return total


def _write_some(target: Cursor, buffer: KernelBuffer, source: Cursor, got: int) -> int:
    """Write the data read; if that fails the source is moved back before the error is raised."""
    try:
        return target.write(buffer)
    except (Errno, MemoryError):
        source.back(got)
        raise


def copy_counted(source: Cursor, target: Cursor, count: int) -> int:
    """Copy, and count it as a call that reads and one that writes (/proc/PID/io; splice(2) does not count)."""
    task = current()
    task.counts.read_calls += 1
    task.counts.write_calls += 1
    done = copy(source, target, count)
    task.counts.read_bytes += done
    task.counts.written_bytes += done
    return done


@syscall("sendfile", status="Full", args="fd fd =offset? size")
def sendfile(target: i32, source: i32, offset_address: UserAddr, count: int) -> int:
    if offset_address == 0:
        return _send_file(target, source, offset_address, -1, count)
    offset = user.read_i64(offset_address)
    try:
        return _send_file(target, source, offset_address, offset, count)
    except (Errno, MemoryError):
        user.write_i64(offset_address, offset)  # Linux writes it back in any case: EFAULT comes last
        raise


def _send_file(target: int, source: int, offset_address: UserAddr, offset: int, count: int) -> int:
    in_file = file_at(source)
    if not in_file.readable:
        raise Errno(EBADF)
    if offset_address != 0:
        check_has_offsets(in_file)
    start = offset
    if offset_address == 0:
        start = in_file.position if in_file.seekable else 0
    if start < 0 or count < 0:
        raise Errno(EINVAL)
    check_area(start, count)
    out_file = file_at(target)
    if not out_file.writable:
        raise Errno(EBADF)
    if count == 0 and isinstance(out_file, PipeFile):
        if offset_address != 0:
            user.write_i64(offset_address, offset)
        return 0
    if not _has_offsets(in_file) or out_file.flags & O_APPEND != 0:
        raise Errno(EINVAL)
    if count > 0 and not in_file.can_be_spliced():
        raise Errno(EINVAL)
    cursor = Cursor(in_file, offset)
    done = copy_counted(cursor, Cursor(out_file, -1), min(count, MAX_RW_COUNT))
    if offset_address != 0:
        user.write_i64(offset_address, cursor.offset)
    return done


def _has_offsets(file: File) -> bool:
    """Whether lseek(2) works on it: required of sendfile's source, even if it is a device that ignores its position."""
    if file.seekable:
        return True
    try:
        file.seek(0, SEEK_CUR)
    except Errno:
        return False
    return True
