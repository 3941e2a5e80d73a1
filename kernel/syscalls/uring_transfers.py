"""Operations of io_uring that transfer file data: READ and WRITE with their kinds, READ_MULTISHOT, FSYNC,
SYNC_FILE_RANGE, FALLOCATE, FADVISE, MADVISE, FTRUNCATE.

Regular files are read and written at once. Others that are not ready are waited for, and only then read or
written, so that they do not block. Pipes and sockets also get a flag not to block, and transfer a part of the request.

Source: io_uring_enter(2).
"""

from typing import Final

from kernel.fs.constants import MAX_FILE_SIZE, MAX_RW_COUNT, O_NONBLOCK, POLLERR, POLLHUP, READABLE, WRITABLE
from kernel.fs.file import File
from kernel.ipc.eventfd import EventFile
from kernel.ipc.pipe import PipeFile
from kernel.ipc.timerfd import TimerFile
from kernel.lang import EAGAIN, EBADF, EBADFD, EFAULT, EINVAL, EOPNOTSUPP, Errno, UserAddr
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.lib.user import Buffer
from kernel.net.sockets.socket import MSG_DONTWAIT, MSG_NOSIGNAL, Message, Socket
from kernel.syscalls.buffer_arguments import user_range, user_vector
from kernel.syscalls.fallocate import allocate_in
from kernel.syscalls.ioprio_set import check_priority
from kernel.syscalls.madvise import madvise
from kernel.syscalls.posix_fadvise import advise_file
from kernel.syscalls.readv import RWF_NOWAIT, RWF_SUPPORTED, read_by_flags, write_by_flags
from kernel.syscalls.sendfile import is_ready
from kernel.syscalls.sync import sync_range_of
from kernel.syscalls.truncate import truncate_file
from kernel.syscalls.uring_arguments import refuse_if
from kernel.syscalls.uring_buffers import name_buffer, put_back, select, selects, use
from kernel.syscalls.uring_fixed_buffers import check_fixed_buffer
from kernel.task.words import signed_32
from kernel.uring import layout
from kernel.uring.buffers import Chosen
from kernel.uring.operation import Operation
from kernel.uring.request import GOES_ON, VECTOR_BYTES, Request

_OP_READV: Final = 1
_OP_WRITEV: Final = 2
_OP_READ_FIXED: Final = 4
_OP_WRITE_FIXED: Final = 5

_FSYNC_DATASYNC: Final = 1
_MOST_ROUNDS: Final = 32  # of a multishot request, before others run
_ROUND_COST: Final = 3000  # instructions, for `pace`


# ---- Reading and writing ---------------------------------------------------------------------------------------------


def _prepare_transfer(request: Request) -> None:
    if request.entry.priority != 0:
        check_priority(request.entry.priority)
    if request.entry.opcode == _OP_READV and selects(request):
        refuse_if(request.entry.length != 1)
        # At most, of the provided buffer
        request.entry.length = user.read_i64(user.at(request.memory(), 8)) & layout.WORD
    elif request.entry.opcode == _OP_READV or request.entry.opcode == _OP_WRITEV:
        request.more().vector = user_vector(request.memory(), request.entry.length)
        request.kept_bytes = request.entry.length * VECTOR_BYTES
    elif request.entry.opcode == _OP_READ_FIXED or request.entry.opcode == _OP_WRITE_FIXED:
        check_fixed_buffer(request)


def _buffer(request: Request) -> Buffer:
    extra = request.extra
    vector = None if extra is None else extra.vector
    if vector is not None:
        vector.rewind()  # an earlier try may have taken some
        return vector
    return user_range(request.memory(), min(request.entry.length, MAX_RW_COUNT))


def _judge(request: Request, file: File) -> int:
    """Check flags and offset of a transfer; returns the offset, -1 for the file's own position."""
    if request.entry.modifiers & ~RWF_SUPPORTED != 0:
        raise Errno(EOPNOTSUPP)
    if request.ring.setup & layout.SETUP_IOPOLL != 0:
        raise Errno(EOPNOTSUPP)  # no device here can be polled: a disk's end of a transfer comes by interrupt
    gives_at_once = isinstance(file, (PipeFile, Socket, EventFile, TimerFile))
    asks_at_once = request.entry.modifiers & RWF_NOWAIT != 0
    request.never_waits = asks_at_once or (file.flags & O_NONBLOCK != 0 and not gives_at_once)
    offset = request.entry.offset
    if not file.seekable:
        return -1
    if offset < -1 or offset > MAX_FILE_SIZE:
        raise Errno(EINVAL)
    return offset


def _wait_until_ready(request: Request, file: File) -> None:
    """Raise EAGAIN unless a transfer will not wait."""
    if file.seekable or file.inode.is_regular():
        return
    if file.poll(None) & (request.events | POLLERR | POLLHUP) == 0:
        raise Errno(EAGAIN)


def _read(request: Request) -> int:
    file = request.file
    assert file is not None
    if not selects(request):
        return _read_into(request, file, None)
    extra = request.extra
    kept = None if extra is None else extra.chosen
    chosen = select(request, request.entry.length) if kept is None else kept
    name_buffer(request, chosen)  # also if the read fails: then the completion names the buffer, too
    code = 0
    done = 0
    try:
        done = _read_into(request, file, chosen)
    except Errno as error:
        code = error.code
    if code == 0:
        use(request, chosen, done)
        return done
    if chosen.group.is_ring():
        can_wait = file.can_be_watched()
        if can_wait:
            request.end.flags = 0
        if can_wait or chosen.group.keeps_rest:
            put_back(request, chosen)  # one that waits takes a buffer when there is something to read
        else:
            use(request, chosen, 0)
    elif code == EAGAIN and not request.never_waits:
        request.more().chosen = chosen
    raise Errno(code)


def _read_into(request: Request, file: File, chosen: Chosen | None) -> int:
    buffer = _buffer(request) if chosen is None else user_range(UserAddr(chosen.address), chosen.length)
    if not file.readable:
        raise Errno(EBADF)
    offset = _judge(request, file)
    _wait_until_ready(request, file)
    wanted = buffer.remaining
    if isinstance(file, Socket):
        done = file.receive(Message(buffer, MSG_DONTWAIT))
        if done == 0 and buffer.faulted:
            raise Errno(EFAULT)
    else:
        flags = request.entry.modifiers | (RWF_NOWAIT if isinstance(file, PipeFile) else 0)
        done = read_by_flags(file, buffer, offset, flags)
    request.is_short = done != wanted
    return done


def _prepare_multishot(request: Request) -> None:
    refuse_if(not selects(request) or request.entry.address != 0 or request.entry.length != 0)


def _read_multishot(request: Request) -> int:
    """READ_MULTISHOT: each part that comes gets a buffer and a completion, up to the end of the file or an error."""
    file = request.file
    assert file is not None
    if not file.can_be_watched():
        raise Errno(EBADFD)
    is_first = not request.progress.has_begun
    for _ in range(_MOST_ROUNDS):
        chosen = select(request, 0)
        try:
            done = _read_into(request, file, chosen)
            request.is_short = False
        except (Errno, MemoryError):
            put_back(request, chosen)
            raise
        if done == 0:
            put_back(request, chosen)
            return 0
        use(request, chosen, done)
        if not request.ring.post_more(request.entry.user_data, done, request.end.flags | layout.CQE_MORE):
            return done
        request.end.flags = 0
        if is_first or not is_ready(file, READABLE):
            raise Errno(EAGAIN)  # it waits on the file's queues, and takes no buffer for that
        pace(_ROUND_COST)
    return GOES_ON


def _write(request: Request) -> int:
    file = request.file
    assert file is not None
    buffer = _buffer(request)
    if not file.writable:
        raise Errno(EBADF)
    offset = _judge(request, file)
    _wait_until_ready(request, file)
    wanted = buffer.remaining
    if isinstance(file, Socket):
        done = file.send(Message(buffer, MSG_DONTWAIT | MSG_NOSIGNAL))
        if done == 0 and buffer.faulted:
            raise Errno(EFAULT)
    else:
        flags = request.entry.modifiers | (RWF_NOWAIT if isinstance(file, PipeFile) else 0)
        done = write_by_flags(file, buffer, offset, flags)
    request.is_short = done != wanted
    return done


# ---- What a file keeps -----------------------------------------------------------------------------------------------


def _file_of(request: Request) -> File:
    file = request.file
    assert file is not None
    return file


def _prepare_fsync(request: Request) -> None:
    refuse_if(request.entry.address != 0 or request.entry.buffer_index != 0 or request.entry.other != 0)
    refuse_if(request.entry.modifiers & ~_FSYNC_DATASYNC != 0)


def _fsync(request: Request) -> int:
    file = _file_of(request)
    if request.entry.modifiers & _FSYNC_DATASYNC != 0:
        file.fdatasync()
    else:
        file.fsync()
    return 0


def _prepare_sync_range(request: Request) -> None:
    refuse_if(request.entry.address != 0 or request.entry.buffer_index != 0 or request.entry.other != 0)


def _sync_range(request: Request) -> int:
    return sync_range_of(_file_of(request), request.entry.offset, request.entry.length, request.entry.modifiers)


def _prepare_allocation(request: Request) -> None:
    refuse_if(request.entry.buffer_index != 0 or request.entry.modifiers != 0 or request.entry.other != 0)


def _allocate(request: Request) -> int:
    return allocate_in(_file_of(request), signed_32(request.entry.length), request.entry.offset, request.entry.address)


def _prepare_truncation(request: Request) -> None:
    refuse_if(request.entry.modifiers != 0 or request.entry.address != 0 or request.entry.length != 0)
    refuse_if(request.entry.buffer_index != 0 or request.entry.other != 0 or request.entry.address3 != 0)


def _truncate(request: Request) -> int:
    refuse_if(request.entry.offset < 0)
    return truncate_file(_file_of(request), request.entry.offset)


def _prepare_advice(request: Request) -> None:
    refuse_if(request.entry.buffer_index != 0 or request.entry.other != 0)


def _advise(request: Request) -> int:
    length = request.entry.address if request.entry.address != 0 else request.entry.length
    return advise_file(_file_of(request), request.entry.modifiers, request.entry.offset, length)


def _advise_memory(request: Request) -> int:
    length = request.entry.offset if request.entry.offset != 0 else request.entry.length
    return madvise(request.entry.address, length, signed_32(request.entry.modifiers))


Operation(
    _OP_READV, _prepare_transfer, _read, needs_file=True, takes_priority=True, takes_buffers=True, events=READABLE
)  # fmt: skip
Operation(_OP_WRITEV, _prepare_transfer, _write, needs_file=True, takes_priority=True, events=WRITABLE)
Operation(3, _prepare_fsync, _fsync, needs_file=True)
Operation(_OP_READ_FIXED, _prepare_transfer, _read, needs_file=True, takes_priority=True, events=READABLE)
Operation(_OP_WRITE_FIXED, _prepare_transfer, _write, needs_file=True, takes_priority=True, events=WRITABLE)
Operation(8, _prepare_sync_range, _sync_range, needs_file=True)
Operation(17, _prepare_allocation, _allocate, needs_file=True)
Operation(55, _prepare_truncation, _truncate, needs_file=True)
Operation(
    22, _prepare_transfer, _read, needs_file=True, takes_priority=True, takes_buffers=True, events=READABLE
)  # fmt: skip
Operation(23, _prepare_transfer, _write, needs_file=True, takes_priority=True, events=WRITABLE)
Operation(24, _prepare_advice, _advise, needs_file=True)
Operation(25, _prepare_advice, _advise_memory)
Operation(49, _prepare_multishot, _read_multishot, needs_file=True, takes_buffers=True, events=READABLE)
