"""vmsplice(2): between a pipe and memory."""

from kernel.doors.table import syscall
from kernel.fs.constants import IOV_MAX, MAX_RW_COUNT
from kernel.ipc.pipe import PIPE_BUF, Pipe, PipeFile
from kernel.lang import EAGAIN, EBADF, EINVAL, EPIPE, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.lib.user import Buffer
from kernel.mm.frames import PAGE_MASK, PAGE_SIZE
from kernel.syscalls.buffer_arguments import finish_transfer, user_range, user_vector
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.splice import SPLICE_FLAGS, SPLICE_NONBLOCK
from kernel.task import current
from kernel.task.send import signal_itself
from kernel.task.signals import SIGPIPE


def _fill(pipe: Pipe, buffer: Buffer, nonblocking: bool) -> int:
    """Put memory into a pipe: wait for room, unless `nonblocking`, and then take what fits."""
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
    if flags & ~SPLICE_FLAGS != 0:
        raise Errno(EINVAL)
    file = file_at(descriptor)
    if not file.readable and not file.writable:
        raise Errno(EBADF)
    buffer = user_vector(vector, count)
    if buffer.remaining == 0:
        return 0
    if not isinstance(file, PipeFile):
        raise Errno(EBADF)
    nonblocking = flags & SPLICE_NONBLOCK != 0  # whatever O_NONBLOCK says
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
