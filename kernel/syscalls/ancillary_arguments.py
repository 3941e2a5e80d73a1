"""Ancillary messages in user memory (recvmsg(2), cmsg(3)).

The order of checks and errors is Linux's.
"""

from typing import Final

from kernel.fs.constants import MAX_RW_COUNT
from kernel.fs.file import File
from kernel.lang import EBADF, EINVAL, ENOBUFS, ENOMEM, Errno, UserAddr, span_of
from kernel.lib import user
from kernel.net.internet.sysctl import CORE
from kernel.net.sockets.socket import AF_UNIX, SCM_RIGHTS, SOL_SOCKET, ControlMessage, Socket, release_files
from kernel.task import current
from kernel.uring.file import UringFile

_CONTROL_HEADER: Final = 16  # struct cmsghdr
_SMALL_CONTROL: Final = 36  # bytes of ancillary messages that Linux keeps on its stack, whatever optmem_max says
_INT_MAX: Final = 0x7FFF_FFFF
MOST_FILES: Final = 253  # in one SCM_RIGHTS (unix(7))


def word_at(raw: bytes, offset: int) -> int:
    """A 64-bit number as the signed one with the same bits."""
    span = span_of(raw)
    high = span.load_u32(offset + 4)
    return (high - (1 << 32) if high > _INT_MAX else high) << 32 | span.load_u32(offset)


# ---- Ancillary messages that are sent -------------------------------------------------------------------------------


def read_control(socket: Socket, address: int, length: int) -> bytes:
    """The ancillary messages of a program, `length` bytes of them, as they are. Raises ENOBUFS, EFAULT."""
    if length == 0:
        return b""
    if length < 0 or (length > _SMALL_CONTROL and length >= CORE.optmem(socket.network)):
        raise Errno(ENOBUFS)
    return user.read_bytes(UserAddr(address), length)


def split_control(socket: Socket, raw: bytes) -> list[ControlMessage] | None:
    """The ancillary messages in these bytes; each file in them holds a reference of its own. Raises EINVAL for an
    impossible length, EBADF for descriptors that are not open.
    """
    if len(raw) == 0:
        return None
    length = len(raw)
    messages: list[ControlMessage] = []
    try:
        position = 0
        while length - position >= _CONTROL_HEADER:
            size = word_at(raw, position)
            if size < _CONTROL_HEADER or size > length - position:
                raise Errno(EINVAL)
            span = span_of(raw)
            message = ControlMessage(
                span.load_u32(position + 8),
                span.load_u32(position + 12),
                raw[position + _CONTROL_HEADER : position + size],
            )
            messages.append(message)
            if message.level == SOL_SOCKET and message.kind == SCM_RIGHTS and socket.family == AF_UNIX:
                message.files = _files_of(message.data, MOST_FILES - file_count(messages))
            position += (size + 7) & ~7
    except (Errno, MemoryError):
        release_files(messages)
        raise
    return messages


def _files_of(data: bytes, limit: int) -> list[File]:
    count = len(data) // 4
    if count > limit:
        raise Errno(EINVAL)
    files: list[File] = []
    table = current().files
    try:
        for index in range(count):
            number = span_of(data).load_u32(index * 4)
            file = table.find(number) if number <= _INT_MAX else None
            if file is None:
                raise Errno(EBADF)
            if isinstance(file, UringFile):
                raise Errno(EINVAL)  # a ring cannot be sent: it could hold what holds it
            files.append(file)
            file.acquire()
    except (Errno, MemoryError):
        for held in files:
            held.release()
        raise
    return files


def file_count(messages: list[ControlMessage]) -> int:
    """How many files the messages contain."""
    count = 0
    for message in messages:
        files = message.files
        if files is not None:
            count += len(files)
    return count


# ---- Ancillary messages that were received --------------------------------------------------------------------------


class ControlWriter:
    """Writes ancillary messages into a program's buffer.

    A message for which there is no memory is left out: the call succeeds without it.
    """

    def __init__(self, address: UserAddr, room: int, close_on_exec: bool) -> None:
        self.address: UserAddr = address
        self.room: int = 0 if address == 0 else min(room, MAX_RW_COUNT) if room >= 0 else MAX_RW_COUNT
        self.start: int = address
        self.close_on_exec: bool = close_on_exec
        self.truncated: bool = False

    def used(self) -> int:
        return self.address - self.start  # fits: within user memory

    def put(self, messages: list[ControlMessage]) -> None:
        """Write all messages, as far as there is room."""
        for message in messages:
            files = message.files
            if files is None:
                self._put_data(message)
                continue
            if message.kind == SCM_RIGHTS:
                self._put_files(files)
            else:
                self._put_sender(files[0], message.kind)
                files.clear()
            message.files = None

    def _put_data(self, message: ControlMessage) -> None:
        if self.room < _CONTROL_HEADER:
            self.truncated = True
            return
        length = _CONTROL_HEADER + len(message.data)
        if self.room < length:
            self.truncated = True
            length = self.room
        try:
            self._write_header(message.level, message.kind, length)
            content = span_of(message.data)[: length - _CONTROL_HEADER]
            user.write_from(user.at(self.address, _CONTROL_HEADER), content)
        except Errno:
            return
        self._go_on(length)

    def _write_header(self, level: int, kind: int, length: int) -> None:
        """EFAULT."""
        user.write_i32(user.at(self.address, 8), level)
        user.write_i32(user.at(self.address, 12), kind)
        user.write_i64(self.address, length)

    def _go_on(self, length: int) -> None:
        """Advance past a message of that length."""
        step = min((length + 7) & ~7, self.room)
        self.address = user.at(self.address, step)
        self.room -= step

    def _put_files(self, files: list[File]) -> None:
        """Install descriptors for the files, as many as there is room for; the others are closed. Installed ones stay,
        even if the message cannot report them.
        """
        room = max(0, self.room - _CONTROL_HEADER) // 4
        total = len(files)
        done = 0
        for file in files:
            if done < room and self._put_file(file, done):
                done += 1
            else:
                room = done
                file.release()
        files.clear()
        if done < total:
            self.truncated = True
        if done > 0:
            try:
                self._write_header(SOL_SOCKET, SCM_RIGHTS, _CONTROL_HEADER + done * 4)
            except Errno:
                return
            self._go_on(_CONTROL_HEADER + done * 4)

    def _put_file(self, file: File, index: int) -> bool:
        """Install one file and write its descriptor; False, and nothing has happened, if either is impossible."""
        table = current().files
        try:
            descriptor = table.install(file.acquire(), self.close_on_exec)
        except (Errno, MemoryError):
            return False
        try:
            user.write_i32(user.at(self.address, _CONTROL_HEADER + index * 4), descriptor)
        except Errno:
            table.take_back(descriptor, file)
            return False
        file.release()
        return True

    def _put_sender(self, file: File, kind: int) -> None:
        """Give the descriptor of a process (SCM_PIDFD), all of it or nothing; if there is none left, the error."""
        length = _CONTROL_HEADER + 4
        if self.room < length:
            self.truncated = True
            file.release()
            return
        table = current().files
        try:
            descriptor = table.install(file, cloexec=True)
        except Errno as error:
            descriptor = -error.code
        except MemoryError:
            descriptor = -ENOMEM
        try:
            self._write_header(SOL_SOCKET, kind, length)
            user.write_i32(user.at(self.address, _CONTROL_HEADER), descriptor)
        except Errno:
            table.take_back(descriptor, file)
            return
        self._go_on(length)
