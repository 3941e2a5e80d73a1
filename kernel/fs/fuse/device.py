"""/dev/fuse: what a program that serves a file system has open. It reads requests and writes answers, one at a time.

A file becomes a server's by mount(2), which names it (`connect`). FUSE_DEV_IOC_CLONE gives a connection to one more
file, so that each thread of a server can have its own: requests taken through a file that is closed are not answered.
The connection ends with the last of the files.

Context: `read` sleeps while there is nothing to do.
"""

from typing import Final, Literal

from kernel.fs.constants import O_NONBLOCK, POLLERR, READABLE, WRITABLE
from kernel.fs.descriptors import CALLER_FILES
from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import File
from kernel.fs.filesystem import FileSystem
from kernel.fs.fuse import protocol
from kernel.fs.fuse.connection import INTERRUPT_BIT, Connection
from kernel.fs.fuse.protocol import IN_HEADER_SIZE, LOWEST_ERROR, MIN_READ_BUFFER, OUT_HEADER_SIZE, Answer
from kernel.fs.fuse.request import Forgotten, Reader, Request
from kernel.fs.path import Path
from kernel.lang import (
    E2BIG,
    EAGAIN,
    EFAULT,
    EINVAL,
    EIO,
    ENAMETOOLONG,
    ENODEV,
    ENOENT,
    ENOTTY,
    EPERM,
    Array,
    Errno,
    UserAddr,
    final,
    noraise,
    span_of,
    u8,
)
from kernel.lib import user
from kernel.lib.credentials import caller_namespace
from kernel.lib.namespace import UserNamespace
from kernel.lib.user import Buffer
from kernel.sched import PollWaiter, WaitQueue

_MISC_MAJOR: Final = 10
_MINOR: Final = 229
_CLONE: Final = 0x8004_E500
_WRITE_SIZE: Final = 40  # of WRITE's fields
_FORGET_ONE: Final = 16  # bytes of a node in BATCH_FORGET
_FORGOTTEN_AT_ONCE: Final = 256
_NOTICE_LIMIT: Final = 1_179_648  # bytes of a notice: a MiB of contents, and more
_LONGEST_NAME: Final = 1024


@final
class DeviceQueue(Reader):
    """Where the threads of one server wait."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: WaitQueue = WaitQueue()
        self.files: int = 0

    @noraise
    def wake(self) -> None:
        self.queue.wake_all()


@final
class FuseDevice(File):
    """An open /dev/fuse."""

    def __init__(self, path: Path, flags: int) -> None:
        self.connection: Connection | None = None
        self.queue: DeviceQueue = DeviceQueue()
        self.reader: Reader = Reader()
        self.opener: UserNamespace = caller_namespace()
        super().__init__(path, flags)

    def connect(self, namespace: UserNamespace) -> Connection:
        """Let the reader of this file serve a file system. Raises EINVAL (it serves one already, or was opened in
        another user namespace), MemoryError.
        """
        if self.connection is not None or self.opener is not namespace:
            raise Errno(EINVAL)
        connection = Connection(namespace, self.queue)
        self.connection = connection
        self.queue.files = 1
        return connection

    def served(self) -> FileSystem | None:
        """The file system that is served by this file, if it is mounted: one that is not mounted yet, or no longer, is
        for others to end.
        """
        connection = self.connection
        served = connection.notices.file_system() if connection is not None else None
        return served if served is not None and served.mounts > 0 else None

    def _connection(self) -> Connection:
        connection = self.connection
        if connection is None:
            raise Errno(EPERM)
        return connection

    def held_bytes(self) -> int:
        connection = self.connection
        held = super().held_bytes()
        return held if connection is None else held + connection.held_bytes() // max(1, self.queue.files)

    # ---- Taking requests --------------------------------------------------------------------------------------

    def read(self, buffer: Buffer) -> int:
        connection = self._connection()
        fewest = IN_HEADER_SIZE + _WRITE_SIZE + connection.data_limit() if connection.agreed is not None else 0
        if buffer.remaining < max(MIN_READ_BUFFER, fewest):
            raise Errno(EINVAL)
        while True:
            if not connection.is_connected:
                raise Errno(ENODEV)
            unique = connection.next_interrupt()
            if unique != 0:
                return _put_interrupt(buffer, unique)
            if connection.should_forget():
                return _put_forgotten(connection, buffer)
            request = connection.next_request(self.reader)
            if request is not None:
                if request.length() <= buffer.remaining:
                    return _put_request(connection, buffer, request)
                connection.finish(request, E2BIG if request.kind == protocol.SETXATTR else EIO)
            elif self.flags & O_NONBLOCK != 0:
                raise Errno(EAGAIN)
            else:
                self.queue.queue.sleep(interruptible=True)

    def poll(self, waiter: PollWaiter | None) -> int:
        connection = self.connection
        if connection is None:
            return POLLERR
        if waiter is not None:
            waiter.wait_on(self.queue.queue)
        if not connection.is_connected:
            return POLLERR
        return WRITABLE | (READABLE if connection.has_requests() else 0)

    # ---- Bringing answers -------------------------------------------------------------------------------------

    def write(self, buffer: Buffer) -> int:
        connection = self._connection()
        length = buffer.remaining
        if length < OUT_HEADER_SIZE:
            raise Errno(EINVAL)
        storage: Array[u8, Literal[16]] = Array()
        header = storage.span()
        if buffer.take(header) < OUT_HEADER_SIZE:
            buffer.faulted = True
            return 0
        word = header.load_u32(4)
        error = word - (1 << 32) if word >= 1 << 31 else word
        high = header.load_u32(12)
        unique = high << 32 | header.load_u32(8) if high < 1 << 30 else -1
        if header.load_u32(0) != length:
            raise Errno(EINVAL)
        if unique == 0:
            _take_notice(connection, error, buffer)
            return length
        if error > 0 or error < LOWEST_ERROR:
            raise Errno(EINVAL)
        if unique & INTERRUPT_BIT != 0:
            if length != OUT_HEADER_SIZE:
                raise Errno(EINVAL)
            connection.answer_interrupt(unique & ~INTERRUPT_BIT, -error)
            return length
        request = connection.find(unique)
        if request is None:
            raise Errno(ENOENT)
        if error != 0:
            connection.finish(request, -error if length == OUT_HEADER_SIZE else EIO)
            if length != OUT_HEADER_SIZE:
                raise Errno(EINVAL)
            return length
        return length if _take_answer(connection, request, buffer, length - OUT_HEADER_SIZE) else 0

    # ---- Files of one server ----------------------------------------------------------------------------------

    def ioctl(self, command: int, argument: int) -> int:
        if command != _CLONE:
            raise Errno(ENOTTY)
        other = CALLER_FILES.get(user.read_u32(UserAddr(argument)))
        if not isinstance(other, FuseDevice) or other.connection is None or self.connection is not None:
            raise Errno(EINVAL)
        self.connection = other.connection
        self.queue = other.queue
        self.queue.files += 1
        return 0

    @noraise
    def close(self) -> None:
        connection = self.connection
        if connection is None:
            return
        self.connection = None
        connection.leave_unanswered(self.reader)
        self.queue.files -= 1
        if self.queue.files == 0:
            connection.abort()


def _put_request(connection: Connection, buffer: Buffer, request: Request) -> int:
    """Hand a request over. A request that cannot be read fails with EIO, because nobody would retry."""
    length = request.length()
    message = request.message  # held: the request may be left meanwhile, and sheds it
    payload = request.payload
    done = buffer.put(span_of(message))
    if payload is not None and done == len(message):
        done += buffer.put(span_of(payload))
    if done < length:
        connection.finish(request, EIO)
        raise Errno(EFAULT)
    connection.has_taken(request)
    return length


def _put_interrupt(buffer: Buffer, unique: int) -> int:
    storage: Array[u8, Literal[48]] = Array()
    message = storage.span()
    message.store_u32(0, len(storage))
    message.store_u32(4, protocol.INTERRUPT)
    message.store_u32(8, (unique | INTERRUPT_BIT) & 0xFFFF_FFFF)
    message.store_u32(12, unique >> 32)
    message.store_u32(IN_HEADER_SIZE, unique & 0xFFFF_FFFF)
    message.store_u32(IN_HEADER_SIZE + 4, unique >> 32)
    return buffer.put(message)


def _put_forgotten(connection: Connection, buffer: Buffer) -> int:
    """FORGET, or BATCH_FORGET for several nodes. Raises MemoryError; then the server never forgets the nodes."""
    room = (buffer.remaining - IN_HEADER_SIZE - 8) // _FORGET_ONE
    first = connection.take_forgotten(max(1, min(_FORGOTTEN_AT_ONCE, room)))
    if first is None:
        return 0
    return buffer.put(span_of(forget_message(first)))


def forget_message(first: Forgotten) -> bytearray:
    """The message that makes a server forget the nodes of a chain. Raises MemoryError."""
    count = 0
    node: Forgotten | None = first
    while node is not None:
        count += 1
        node = node.next
    is_batch = count > 1
    size = IN_HEADER_SIZE + 8 + (_FORGET_ONE * count if is_batch else 0)
    data = bytearray(size)
    message = span_of(data)
    message.store_u32(0, size)
    message.store_u32(4, protocol.BATCH_FORGET if is_batch else protocol.FORGET)
    if not is_batch:
        _store_u64(data, 16, first.node)
        _store_u64(data, IN_HEADER_SIZE, first.lookups)
        return data
    message.store_u32(IN_HEADER_SIZE, count)
    at = IN_HEADER_SIZE + 8
    node = first
    while node is not None:
        _store_u64(data, at, node.node)
        _store_u64(data, at + 8, node.lookups)
        at += _FORGET_ONE
        node = node.next
    return data


def _store_u64(data: bytearray, at: int, value: int) -> None:
    message = span_of(data)
    message.store_u32(at, value & 0xFFFF_FFFF)
    message.store_u32(at + 4, value >> 32 & 0xFFFF_FFFF)


def _take_answer(connection: Connection, request: Request, buffer: Buffer, length: int) -> bool:
    """Deliver an answer to its waiting thread; False where it cannot be read. Raises EINVAL for a length that answers
    of its kind do not have, MemoryError.
    """
    if not request.accepts(length):
        connection.finish(request, EIO)
        raise Errno(EINVAL)
    if request.is_left and not request.gives_entry() and not request.gives_handle():
        connection.finish(request, 0)
        return True
    answer = bytearray(length)
    taken = buffer.take(span_of(answer))
    if taken < length:
        connection.finish(request, EIO)
        buffer.faulted = True
        return False
    request.answer = answer
    request.answer_length = length
    connection.finish(request, 0)
    return True


def _take_notice(connection: Connection, code: int, buffer: Buffer) -> None:
    """Handle a message that the server sends without being asked. Raises EINVAL (it makes no sense), ENOENT (the kernel
    does not know its subject).
    """
    length = buffer.remaining
    if length > _NOTICE_LIMIT:
        raise Errno(EINVAL)
    data = bytearray(length)
    if buffer.take(span_of(data)) < length:
        raise Errno(EFAULT)
    notice = Answer(data, length)
    try:
        if code == protocol.NOTIFY_POLL:
            number = notice.u64()
            _require_end(notice)
            connection.poll_changed(number)
        elif code == protocol.NOTIFY_INVAL_INODE:
            node = notice.u64()
            start = notice.u64()
            size = notice.u64()
            _require_end(notice)
            connection.notices.inode_changed(node, start, size)
        elif code == protocol.NOTIFY_INVAL_ENTRY or code == protocol.NOTIFY_DELETE:
            directory = notice.u64()
            if code == protocol.NOTIFY_DELETE:
                notice.u64()
            size = notice.u32()
            notice.u32()
            if size > _LONGEST_NAME:
                raise Errno(ENAMETOOLONG)
            if notice.left() != size + 1:
                raise Errno(EINVAL)
            connection.notices.name_changed(directory, notice.name())
        elif code == protocol.NOTIFY_STORE:
            node = notice.u64()
            start = notice.u64()
            size = notice.u32()
            notice.u32()
            if notice.left() != size:
                raise Errno(EINVAL)
            connection.notices.contents_came(node, start, size)
        elif code == protocol.NOTIFY_RETRIEVE:
            unique = notice.u64()
            node = notice.u64()
            start = notice.u64()
            notice.u64()
            _require_end(notice)
            connection.notices.require_file(node)
            connection.post_contents(unique, node, start)
        else:
            raise Errno(EINVAL)
    except Errno as error:
        raise Errno(EINVAL if error.code == EIO else error.code) from None


def _require_end(notice: Answer) -> None:
    """Raises EINVAL: there is more than a notice of its kind has."""
    if notice.left() > 0:
        raise Errno(EINVAL)


def open_fuse(path: Path, flags: int) -> File:
    return FuseDevice(path, flags)


register_char_device(_MISC_MAJOR, _MINOR, b"fuse", open_fuse)
