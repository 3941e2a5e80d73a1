"""Messages that requests of io_uring send and receive: how they are described, and one try to move them."""

from typing import Final

from kernel.fs.constants import IOV_MAX, MAX_RW_COUNT
from kernel.lang import EFAULT, EOVERFLOW, Errno, UserAddr, final
from kernel.lib import user
from kernel.lib.user import Buffer, UserVector
from kernel.net.sockets.socket import SOCK_SEQPACKET, SOCK_STREAM, Message, Socket
from kernel.syscalls.socket_arguments import MessageHeader
from kernel.syscalls.uring_arguments import refuse_if
from kernel.syscalls.uring_buffers import put_back, use
from kernel.task import current
from kernel.uring.buffers import Chosen
from kernel.uring.request import VECTOR_BYTES, Header, Request

_HEADER_BYTES: Final = 400
_INT_MAX: Final = 0x7FFF_FFFF
DESCRIPTION_BYTES: Final = 16  # struct io_uring_recvmsg_out


@final
class KeptHeader(Header):
    """The header of a message as it was when the request was submitted, with its vector."""

    def __init__(self, address: UserAddr, selects_buffer: bool) -> None:
        """If a provided buffer is selected, the vector says at most how long it is. Raises EFAULT, EINVAL, EMSGSIZE."""
        self.fields: MessageHeader = MessageHeader(address)
        self.most: int = 0  # bytes of the buffer, 0: all
        if selects_buffer:
            self.most = _length_in(self.fields)
            self.fields.vector_count = 0
        self.vector: UserVector = self.fields.buffer()

    def kept_bytes(self) -> int:
        """The memory that the kernel keeps for it."""
        return _HEADER_BYTES + max(0, min(self.fields.vector_count, IOV_MAX)) * VECTOR_BYTES

    def rest(self, moved: int) -> UserVector:
        """The part not moved yet."""
        return rest_of(self.vector, moved)

    def check_room(self) -> None:
        """Raise EOVERFLOW unless a provided buffer can have room for the name and the ancillary messages."""
        name_room = self.fields.name_room
        if name_room < 0 or name_room > _INT_MAX - DESCRIPTION_BYTES:
            raise Errno(EOVERFLOW)
        left = _INT_MAX - DESCRIPTION_BYTES - name_room
        if not 0 <= self.fields.control_length <= left:
            raise Errno(EOVERFLOW)


def rest_of(vector: UserVector, moved: int) -> UserVector:
    """The part of a vector that is not moved yet: an earlier try may have taken more than it sent."""
    vector.rewind()
    while moved > 0 and vector.remaining > 0:
        _, length = vector.user_piece()
        part = max(0, min(length, moved))
        vector.skip(part)
        moved -= part
    return vector


def _length_in(fields: MessageHeader) -> int:
    """The length of the only range of a vector, which may have none. Raises EINVAL, EFAULT."""
    if fields.vector_count == 0:
        return 0
    refuse_if(fields.vector_count != 1)
    length = user.read_i64(user.at(fields.vector, 8))
    refuse_if(length < 0)
    return length


def header_of(request: Request) -> KeptHeader:
    """The header that was kept when the request was submitted."""
    header = request.more().header
    assert isinstance(header, KeptHeader)
    return header


def transfer(target: Socket, message: Message, *, is_sent: bool) -> int:
    """Send or receive; how many bytes. Raises EFAULT, and what the socket raises."""
    done = target.send(message) if is_sent else target.receive(message)
    if done == 0 and message.buffer.faulted:
        raise Errno(EFAULT)
    return done


def waits_for_rest(socket: Socket) -> bool:
    """Whether MSG_WAITALL means anything to a socket."""
    return socket.kind == SOCK_STREAM or socket.kind == SOCK_SEQPACKET


def memory_of(chosen: Chosen) -> Buffer:
    """The memory of a provided buffer. Raises EFAULT."""
    user.check(chosen.address, chosen.length)
    return current().user_buffer(UserAddr(chosen.address), min(chosen.length, MAX_RW_COUNT))


def use_for(request: Request, chosen: Chosen, done: int) -> None:
    """So much was received into a buffer: if there was nothing, it is not used up. Raises MemoryError."""
    if done > 0:
        use(request, chosen, done)
    else:
        put_back(request, chosen)
