"""Requests of asynchronous I/O: io_submit(2), io_cancel(2).

A request is carried out at once by the thread that submits it, except one that waits until a file is ready: as on
Linux, where only disks with O_DIRECT, and fsync(2), leave the thread.
"""

from typing import Final, Literal

from kernel.doors.table import syscall
from kernel.fs.anonymous import DescriptorFile
from kernel.fs.constants import FS_APPEND_FL, MAX_FILE_SIZE, MAX_RW_COUNT, O_APPEND
from kernel.fs.file import File
from kernel.ipc.aio import AioContext
from kernel.ipc.aio_poll import PollRequest
from kernel.ipc.epoll import EpollFile
from kernel.ipc.eventfd import EventFile
from kernel.ipc.inotify import InotifyFile
from kernel.lang import (
    EBADF,
    EINPROGRESS,
    EINTR,
    EINVAL,
    ENOMEM,
    EOPNOTSUPP,
    EPERM,
    ERESTART_RESTARTBLOCK,
    ERESTARTNOHAND,
    ERESTARTNOINTR,
    ERESTARTSYS,
    ESPIPE,
    Array,
    Errno,
    UserAddr,
    final,
    u8,
)
from kernel.lib import user
from kernel.lib.pace import is_dying, pace
from kernel.lib.user import Buffer
from kernel.syscalls.aio_arguments import context_at
from kernel.syscalls.buffer_arguments import user_range, user_vector
from kernel.syscalls.descriptor_arguments import borrowed_file
from kernel.syscalls.ioprio_set import check_priority
from kernel.syscalls.readv import RWF_APPEND, RWF_NOAPPEND, RWF_NOWAIT, RWF_SUPPORTED, read_by_flags, write_by_flags
from kernel.task import current
from kernel.task.words import load_i32, load_i64

# Commands
_PREAD: Final = 0
_PWRITE: Final = 1
_FSYNC: Final = 2
_FDSYNC: Final = 3
_POLL: Final = 5
_PREADV: Final = 7
_PWRITEV: Final = 8

_FLAG_RESFD: Final = 1
_FLAG_IOPRIO: Final = 2

_IOCB_SIZE: Final = 64
_KEY_OFFSET: Final = 8
_KEY: Final = 0
_SUBMIT_COST: Final = 1000  # instructions for a request


@final
class ControlBlock:
    """struct iocb, read once."""

    def __init__(self, address: UserAddr) -> None:
        """Raises EFAULT, EINVAL."""
        storage: Array[u8, Literal[64]] = Array()
        fields = storage.span()
        user.read_into(fields, address)
        self.address: UserAddr = address
        self.data: int = load_i64(fields, 0)
        self.rw_flags: int = fields.load_u32(12)
        self.command: int = fields.load_u16(16)
        self.priority: int = fields.load_u16(18)
        self.descriptor: int = load_i32(fields, 20)
        self.buffer: int = load_i64(fields, 24)
        self.length: int = load_i64(fields, 32)
        self.offset: int = load_i64(fields, 40)
        self.flags: int = fields.load_u32(56)
        self.bell_descriptor: int = load_i32(fields, 60)
        if load_i64(fields, 48) != 0 or self.length < 0:
            raise Errno(EINVAL)

    def memory(self) -> UserAddr:
        """The address of its bytes, or of its vector."""
        return UserAddr(self.buffer)


@syscall("io_submit", status="Full", args="aio count <iocb_pointer[count]")
def io_submit(name: int, count: int, blocks: UserAddr) -> int:
    """io_submit(2)."""
    if count < 0:
        raise Errno(EINVAL)
    context = context_at(current().space, name)
    done = 0
    error = 0
    while done < min(count, context.event_count) and error == 0:
        try:
            _submit(context, UserAddr(user.read_i64(user.at(blocks, done * 8))))
            done += 1
        except Errno as caught:
            error = caught.code
        except MemoryError:
            if done == 0:
                raise
            break  # submitted requests must still be reported
        pace(_SUBMIT_COST)
        if is_dying():
            break
    if done == 0 and error != 0:
        raise Errno(error)
    return done


def _submit(context: AioContext, address: UserAddr) -> None:
    """Begin one request. Raises an error that refuses it; a later error is in its event."""
    block = ControlBlock(address)
    if context.has_ended():
        raise Errno(EINVAL)
    context.begin()
    is_begun = False
    try:
        _begin(context, block)
        is_begun = True
    finally:
        if not is_begun:
            context.forget()


def _begin(context: AioContext, block: ControlBlock) -> None:
    file = borrowed_file(block.descriptor).acquire()
    bell: EventFile | None = None
    is_passed_on = False
    try:
        if block.flags & _FLAG_RESFD != 0:
            found = borrowed_file(block.bell_descriptor)
            if not isinstance(found, EventFile):
                raise Errno(EINVAL)
            found.acquire()
            bell = found
        user.write_u32(user.at(block.address, _KEY_OFFSET), _KEY)
        if block.command == _POLL:
            _wait_for(context, file, block, bell)
            is_passed_on = True
            return
        context.complete(block.address, block.data, _perform(file, block), bell)
    finally:
        if not is_passed_on:
            if bell is not None:
                bell.release()
            file.release()


def _wait_for(context: AioContext, file: File, block: ControlBlock, bell: EventFile | None) -> None:
    """IOCB_CMD_POLL."""
    if not 0 <= block.buffer <= 0xFFFF or block.offset != 0 or block.length != 0 or block.rw_flags != 0:
        raise Errno(EINVAL)
    PollRequest(context, file, block.buffer, block.address, block.data, bell).start()


def _perform(file: File, block: ControlBlock) -> int:
    """Carry out a request; returns the result for its event. Raises an error that refuses it."""
    command = block.command
    if command == _FSYNC or command == _FDSYNC:
        return _sync(file, block)
    if command not in (_PREAD, _PWRITE, _PREADV, _PWRITEV):
        raise Errno(EINVAL)
    writes = command == _PWRITE or command == _PWRITEV
    if block.flags & _FLAG_IOPRIO != 0:
        check_priority(block.priority)
    if block.rw_flags & ~RWF_SUPPORTED != 0:
        raise Errno(EOPNOTSUPP)
    if block.rw_flags & RWF_APPEND != 0 and block.rw_flags & RWF_NOAPPEND != 0:
        raise Errno(EINVAL)
    if block.rw_flags & RWF_NOAPPEND != 0 and file.flags & O_APPEND != 0 and file.inode.flags & FS_APPEND_FL != 0:
        raise Errno(EPERM)
    if not (file.writable if writes else file.readable):
        raise Errno(EBADF)
    if not _serves(file, writes):
        raise Errno(EINVAL)
    if command == _PREAD or command == _PWRITE:
        buffer: Buffer = user_range(block.memory(), min(block.length, MAX_RW_COUNT))
    else:
        buffer = user_vector(block.memory(), block.length & 0xFFFF_FFFF)
    if block.offset < 0 or block.offset > MAX_FILE_SIZE - buffer.remaining:
        raise Errno(EINVAL)
    try:
        return _transfer(file, buffer, block, writes)
    except Errno as error:
        if error.code == EOPNOTSUPP and block.rw_flags & RWF_NOWAIT != 0:
            raise  # the file does not know the flag
        if error.code == ERESTARTNOINTR:
            raise  # there is no memory, and nothing was moved: repeat all of it, once there is some
        return -as_result(error.code)
    except MemoryError:
        return -ENOMEM


def _serves(file: File, writes: bool) -> bool:
    """Whether requests may transfer data. Some files support only read(2) or write(2)."""
    if file.takes_any_offset() or file.inode.is_only_read():
        return False
    if writes:
        return not isinstance(file, DescriptorFile)
    return not file.inode.is_directory() and not isinstance(file, EpollFile) and not isinstance(file, InotifyFile)


def _transfer(file: File, buffer: Buffer, block: ControlBlock, writes: bool) -> int:
    offset = block.offset
    if not file.seekable:
        if offset != 0 and file.inode.is_socket():
            raise Errno(ESPIPE)
        offset = -1
    if writes:
        return write_by_flags(file, buffer, offset, block.rw_flags)
    return read_by_flags(file, buffer, offset, block.rw_flags)


def _sync(file: File, block: ControlBlock) -> int:
    if block.buffer != 0 or block.offset != 0 or block.length != 0 or block.rw_flags != 0:
        raise Errno(EINVAL)
    try:
        if block.command == _FDSYNC:
            file.fdatasync()
        else:
            file.fsync()
        return 0
    except Errno as error:
        if error.code == EINVAL:
            raise  # nothing to write back: this kind of file knows no fsync
        return -as_result(error.code)


def as_result(code: int) -> int:
    """The errno of a completed request: nothing restarts one that a signal interrupted."""
    if code in (ERESTARTSYS, ERESTARTNOHAND, ERESTART_RESTARTBLOCK):
        return EINTR
    return code


@syscall("io_cancel", status="Full", args="aio =iocb >io_event?")
def io_cancel(name: int, block: UserAddr, event: UserAddr) -> int:
    """io_cancel(2): the event of the cancelled request comes through the ring, as the error EINPROGRESS indicates."""
    if user.read_u32(user.at(block, _KEY_OFFSET)) != _KEY:
        raise Errno(EINVAL)
    context = context_at(current().space, name)
    request = context.find_later(block)
    if request is None:
        raise Errno(EINVAL)
    context.drop_later(request)
    request.cancel()
    raise Errno(EINPROGRESS)
