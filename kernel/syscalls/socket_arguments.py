"""Socket addresses and message headers in user memory (recvmsg(2)); ancillary_arguments.py has ancillary messages.

The order of checks and errors is Linux's.
"""

from typing import Final

from kernel.fs.constants import IOV_MAX
from kernel.lang import EINVAL, EMSGSIZE, ENOTSOCK, Errno, UserAddr, span_of
from kernel.lib import user
from kernel.lib.user import Buffer
from kernel.net.sockets.socket import MSG_CMSG_CLOEXEC, MSG_CTRUNC, Message, Socket, release_files
from kernel.syscalls.ancillary_arguments import ControlWriter, read_control, split_control, word_at
from kernel.syscalls.buffer_arguments import user_vector
from kernel.syscalls.descriptor_arguments import file_at

ADDRESS_LIMIT: Final = 128  # sizeof(struct sockaddr_storage)
HEADER_SIZE: Final = 56  # struct msghdr
_NAME_LENGTH_PLACE: Final = 8  # … in it
_CONTROL_LENGTH_PLACE: Final = 40
_FLAGS_PLACE: Final = 48
_INT_MAX: Final = 0x7FFF_FFFF


def socket_at(descriptor: int) -> Socket:
    """The socket behind a descriptor. EBADF, ENOTSOCK."""
    file = file_at(descriptor)
    if not isinstance(file, Socket):
        raise Errno(ENOTSOCK)
    return file


def read_address(address: UserAddr, length: int) -> bytes:
    """An address from the program; `length` is the int that came with it. Without bytes it is not accessed."""
    if length < 0 or length > ADDRESS_LIMIT:
        raise Errno(EINVAL)
    if length == 0:
        return b""
    return user.read_bytes(address, length)


def write_address(name: bytes, address: UserAddr, length_address: UserAddr) -> None:
    """Write an address to the program: as much as fits into the length at `length_address`, which is replaced by
    the full one.
    """
    room = user.read_i32(length_address)
    part = min(room, len(name))
    if part < 0:
        raise Errno(EINVAL)
    if part > 0:
        user.write_from(address, span_of(name)[:part])
    user.write_i32(length_address, len(name))


class MessageHeader:
    """A struct msghdr, without its vector."""

    def __init__(self, address: UserAddr) -> None:
        raw = user.read_bytes(address, HEADER_SIZE)
        span = span_of(raw)
        self.place: int = address
        self.name: int = word_at(raw, 0)
        length = span.load_u32(8)
        self.name_length: int = length - (1 << 32) if length > _INT_MAX else length
        self.name_room: int = self.name_length  # as given, also without a place for a name
        self.vector: UserAddr = UserAddr(word_at(raw, 16))
        self.vector_count: int = word_at(raw, 24)
        self.control: int = word_at(raw, 32)
        self.control_length: int = word_at(raw, 40)
        self.writer: ControlWriter | None = None  # of what is received
        if self.name == 0:
            self.name_length = 0
        if self.name_length < 0:
            raise Errno(EINVAL)
        self.name_length = min(self.name_length, ADDRESS_LIMIT)

    def buffer(self) -> user.UserVector:
        """The buffer that the vector describes. EMSGSIZE, EINVAL, EFAULT."""
        if not 0 <= self.vector_count <= IOV_MAX:
            raise Errno(EMSGSIZE)
        return user_vector(self.vector, self.vector_count)

    def put_control(self, socket: Socket, message: Message) -> None:
        """Put the ancillary messages that it points to into a message that is to be sent. What is wrong with them is
        noted there, because the socket may find another error first. ENOBUFS, EFAULT.
        """
        raw = read_control(socket, self.control, self.control_length)
        try:
            message.control = split_control(socket, raw)
        except Errno as error:
            message.control_error = error.code

    def message(self, buffer: Buffer, flags: int) -> Message:
        """A message that is to be received into a buffer, with what the header has room for."""
        message = Message(buffer, flags)
        message.wants_address = self.name != 0
        message.wants_control = self.control != 0
        message.result_flags = flags & MSG_CMSG_CLOEXEC
        # Before anything is received, which would be lost if there were no memory for it.
        self.writer = ControlWriter(UserAddr(self.control), self.control_length, flags & MSG_CMSG_CLOEXEC != 0)
        return message

    def put_received(self, address: UserAddr, message: Message) -> None:
        """Write what came with a message to the header at `address`, and to the buffers it names: sender, ancillary
        messages, flags. EFAULT, EINVAL.
        """
        writer = self.writer
        assert writer is not None
        try:
            if self.name != 0:
                write_address(message.address, UserAddr(self.name), user.at(address, _NAME_LENGTH_PLACE))
            control = message.control
            if control is not None:
                writer.put(control)
                if writer.truncated:
                    message.result_flags |= MSG_CTRUNC
        finally:
            release_files(message.control)
        user.write_i32(user.at(address, _FLAGS_PLACE), message.result_flags)
        user.write_i64(user.at(address, _CONTROL_LENGTH_PLACE), writer.used())
