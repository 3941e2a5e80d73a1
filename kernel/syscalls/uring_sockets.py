"""Operations of io_uring that send and receive: SEND, RECV, SENDMSG, RECVMSG.

They never wait in a socket: a request that is not ready waits on the socket's queues, whether it is non-blocking or
not (FAST_POLL). Only MSG_DONTWAIT makes EAGAIN a result.

Source: io_uring_enter(2).
"""

from typing import Final

from kernel.fs.constants import IOV_MAX, MAX_RW_COUNT, READABLE, WRITABLE
from kernel.lang import EAGAIN, EFAULT, ENOTSOCK, Errno, UserAddr, final
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.lib.user import Buffer, UserVector
from kernel.net.sockets.socket import (
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    MSG_WAITALL,
    SOCK_STREAM,
    Message,
    Socket,
    release_files,
)
from kernel.net.tcp.socket import TcpSocket
from kernel.syscalls.socket_arguments import (
    MessageHeader,
    read_address,
)
from kernel.syscalls.uring_arguments import refuse_if
from kernel.syscalls.uring_buffers import put_back, select, selects, use
from kernel.task import current
from kernel.task.words import signed_32
from kernel.uring import layout
from kernel.uring.buffers import Chosen
from kernel.uring.operation import Operation
from kernel.uring.request import GOES_ON, VECTOR_BYTES, Header, Request

_HEADER_BYTES: Final = 400
_MOST_ROUNDS: Final = 32  # of a multishot request, before others run
_ROUND_COST: Final = 3000  # instructions, for `pace`
_OP_SENDMSG: Final = 9
_OP_RECVMSG: Final = 10
_OP_SEND: Final = 26

_MULTISHOT: Final = 1 << 1
_POLL_FIRST: Final = 1 << 0  # in `ioprio` of sending and receiving


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
        """The part not moved yet: an earlier try may have taken more than it sent."""
        vector = self.vector
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


def socket_of(request: Request) -> Socket:
    """The request's socket. Raises ENOTSOCK."""
    file = request.file
    if not isinstance(file, Socket):
        raise Errno(ENOTSOCK)
    return file


def _header_of(request: Request) -> KeptHeader:
    header = request.more().header
    assert isinstance(header, KeptHeader)
    return header


def wait_first(request: Request, flag: int) -> None:
    """Raise EAGAIN for a request that asks to wait before it tries."""
    if request.priority & flag != 0 and not request.has_begun:
        raise Errno(EAGAIN)


# ---- Sending ---------------------------------------------------------------------------------------------------------


def _prepare_send(request: Request) -> None:
    if request.opcode == _OP_SEND:
        refuse_if(request.other >> 16 != 0)
    else:
        refuse_if(request.offset != 0 or request.other != 0)
    refuse_if(request.priority & ~_POLL_FIRST != 0)
    request.never_waits = request.modifiers & MSG_DONTWAIT != 0
    if request.opcode == _OP_SENDMSG:
        header = KeptHeader(request.memory(), selects_buffer=False)
        request.more().header = header
        fields = header.fields
        request.kept_bytes = header.kept_bytes()
        if fields.name != 0 and fields.name_length > 0:
            request.more().name = read_address(UserAddr(fields.name), fields.name_length)
    elif request.offset != 0:
        request.more().name = read_address(request.memory2(), request.other & 0xFFFF)


def _part(request: Request) -> Buffer:
    """The memory of SEND and RECV that is not moved yet."""
    length = min(request.length, MAX_RW_COUNT)
    user.check(request.address, length)
    return current().user_buffer(user.within(request.memory(), request.moved), length - request.moved)


def _send(request: Request) -> int:
    target = socket_of(request)
    wait_first(request, _POLL_FIRST)
    flags = signed_32(request.modifiers) | MSG_DONTWAIT | MSG_NOSIGNAL
    if request.opcode == _OP_SENDMSG:
        return _send_message(request, target, flags)
    buffer = _part(request)
    wanted = buffer.remaining
    message = Message(buffer, flags)
    extra = request.extra
    if extra is not None:
        message.address = extra.name
    return _moved(request, target, _run(target, message, is_sent=True), wanted)


def _run(target: Socket, message: Message, *, is_sent: bool) -> int:
    done = target.send(message) if is_sent else target.receive(message)
    if done == 0 and message.buffer.faulted:
        raise Errno(EFAULT)
    return done


def _moved(request: Request, target: Socket, done: int, wanted: int) -> int:
    """The result of a transfer done in part: with MSG_WAITALL, the rest is waited for."""
    waits_for_all = request.modifiers & MSG_WAITALL != 0
    request.moved += done
    if done < wanted and waits_for_all and done > 0 and target.kind == SOCK_STREAM:
        raise Errno(EAGAIN)
    request.is_short = done < wanted and waits_for_all
    return request.moved


def _send_message(request: Request, target: Socket, flags: int) -> int:
    header = _header_of(request)
    rest = header.rest(request.moved)
    message = Message(rest, flags)
    wanted = rest.remaining
    message.address = request.more().name
    header.fields.put_control(target, message)
    try:
        return _moved(request, target, _run(target, message, is_sent=True), wanted)
    finally:
        release_files(message.control)


# ---- Receiving -------------------------------------------------------------------------------------------------------


def _prepare_receive(request: Request) -> None:
    refuse_if(request.other != 0 or request.offset != 0)
    refuse_if(request.priority & ~(_POLL_FIRST | _MULTISHOT) != 0)
    request.never_waits = request.modifiers & MSG_DONTWAIT != 0
    if request.priority & _MULTISHOT != 0:
        refuse_if(not selects(request) or request.modifiers & MSG_WAITALL != 0)
        refuse_if(request.opcode == _OP_RECVMSG or request.length != 0)
    if request.opcode == _OP_RECVMSG:
        header = KeptHeader(request.memory(), selects_buffer=selects(request))
        request.more().header = header
        request.kept_bytes = header.kept_bytes()


def _receive(request: Request) -> int:
    source = socket_of(request)
    wait_first(request, _POLL_FIRST)
    flags = signed_32(request.modifiers) | MSG_DONTWAIT
    if request.opcode == _OP_RECVMSG and selects(request):
        done = _receive_message_selecting(request, source, flags)
    elif request.opcode == _OP_RECVMSG:
        done = _receive_message(request, source, flags)
    elif selects(request):
        return _receive_selecting(request, source, flags)
    else:
        buffer = _part(request)
        wanted = buffer.remaining
        done = _moved(request, source, _run(source, Message(buffer, flags), is_sent=False), wanted)
    if isinstance(source, TcpSocket) and source.poll(None) & READABLE != 0:
        request.completion_flags |= layout.CQE_SOCK_NONEMPTY
    return done


def _receive_selecting(request: Request, source: Socket, flags: int) -> int:
    """Receive into a provided buffer; if it is multishot, into one after the other (IORING_RECV_MULTISHOT)."""
    for _ in range(_MOST_ROUNDS):
        chosen = select(request, request.length)
        try:
            done = _run(source, Message(_memory_of(chosen), flags), is_sent=False)
        except (Errno, MemoryError):
            put_back(request, chosen)
            raise
        _use_for(request, chosen, done)
        if isinstance(source, TcpSocket) and source.poll(None) & READABLE != 0:
            request.completion_flags |= layout.CQE_SOCK_NONEMPTY
        if done == 0 or request.priority & _MULTISHOT == 0:
            return done
        if not request.ring.post_more(request.user_data, done, request.completion_flags | layout.CQE_MORE):
            return done
        known_to_be_empty = isinstance(source, TcpSocket) and request.completion_flags & layout.CQE_SOCK_NONEMPTY == 0
        request.completion_flags = 0
        if known_to_be_empty:
            raise Errno(EAGAIN)  # it takes a buffer when more comes
        pace(_ROUND_COST)
    return GOES_ON


def _memory_of(chosen: Chosen) -> Buffer:
    """The memory of a provided buffer. Raises EFAULT."""
    user.check(chosen.address, chosen.length)
    return current().user_buffer(UserAddr(chosen.address), min(chosen.length, MAX_RW_COUNT))


def _use_for(request: Request, chosen: Chosen, done: int) -> None:
    """So much was received into a buffer: if there was nothing, it is not used up. Raises MemoryError."""
    if done > 0:
        use(request, chosen)
    else:
        put_back(request, chosen)


def _receive_message_selecting(request: Request, source: Socket, flags: int) -> int:
    header = _header_of(request)
    chosen = select(request, header.most)
    try:
        buffer = _memory_of(chosen)
        wanted = buffer.remaining
        message = header.fields.message(buffer, flags)
        done = _run(source, message, is_sent=False)
        header.fields.put_received(request.memory(), message)
    except (Errno, MemoryError):
        put_back(request, chosen)
        raise
    _use_for(request, chosen, done)
    request.is_short = done < wanted and request.modifiers & MSG_WAITALL != 0
    return done


def _receive_message(request: Request, source: Socket, flags: int) -> int:
    header = _header_of(request)
    rest = header.rest(request.moved)
    wanted = rest.remaining
    message = header.fields.message(rest, flags)
    done = _run(source, message, is_sent=False)
    header.fields.put_received(request.memory(), message)
    return _moved(request, source, done, wanted)


Operation(_OP_SENDMSG, _prepare_send, _send, needs_file=True, takes_priority=True, events=WRITABLE)
Operation(
    _OP_RECVMSG, _prepare_receive, _receive, needs_file=True, takes_priority=True, takes_buffers=True, events=READABLE
)  # fmt: skip
Operation(_OP_SEND, _prepare_send, _send, needs_file=True, takes_priority=True, events=WRITABLE)
Operation(
    27, _prepare_receive, _receive, needs_file=True, takes_priority=True, takes_buffers=True, events=READABLE
)  # fmt: skip
