"""Operations of io_uring that send and receive: SEND, RECV, SENDMSG, RECVMSG, SEND_ZC, SENDMSG_ZC.

They never wait in a socket: a request that is not ready waits on the socket's queues, whether it is non-blocking or
not (FAST_POLL). Only MSG_DONTWAIT makes EAGAIN a result.

SEND_ZC and SENDMSG_ZC copy the data as the others do. So the notice that the program may use the memory again follows
the completion at once, and says that the data were copied to a program that asks for it.

Source: io_uring_enter(2).
"""

from typing import Final

from kernel.fs.constants import MAX_RW_COUNT, READABLE, WRITABLE
from kernel.lang import EAGAIN, EFAULT, ENOMEM, ENOTSOCK, EOPNOTSUPP, Errno, UserAddr
from kernel.lib import user
from kernel.lib.user import Buffer
from kernel.mm.frames import PAGE_SHIFT
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.sockets.socket import (
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    MSG_WAITALL,
    MSG_ZEROCOPY,
    Message,
    Socket,
    release_files,
)
from kernel.net.tcp.socket import TcpSocket
from kernel.syscalls.socket_arguments import read_address
from kernel.syscalls.uring_arguments import refuse_if
from kernel.syscalls.uring_buffers import put_back, select, selects
from kernel.syscalls.uring_fixed_buffers import check_fixed_buffer, most_pages
from kernel.syscalls.uring_messages import KeptHeader, header_of, memory_of, transfer, use_for, waits_for_rest
from kernel.syscalls.uring_selecting import (
    BUNDLE,
    MULTISHOT,
    note_rest,
    receive_messages,
    receive_selecting,
    send_selecting,
)
from kernel.task import current
from kernel.task.words import signed_32
from kernel.uring import layout
from kernel.uring.operation import Operation
from kernel.uring.request import NO_OUTCOME, Request
from kernel.uring.retirement import use_resource

_OP_SENDMSG: Final = 9
_OP_RECVMSG: Final = 10
_OP_SEND: Final = 26
_OP_SEND_ZC: Final = 47
_OP_SENDMSG_ZC: Final = 48

_POLL_FIRST: Final = 1 << 0  # in `ioprio` of sending and receiving
_FIXED_BUFFER: Final = 1 << 2
_REPORT_USAGE: Final = 1 << 3
_COPIED: Final = -(1 << 31)  # IORING_NOTIF_USAGE_ZC_COPIED, in a result
_EXTRA_PAGES: Final = 2  # that Linux counts for a send without a copy, beside its whole pages


def socket_of(request: Request) -> Socket:
    """The request's socket. Raises ENOTSOCK."""
    file = request.file
    if not isinstance(file, Socket):
        raise Errno(ENOTSOCK)
    return file


def wait_first(request: Request, flag: int) -> None:
    """Raise EAGAIN for a request that asks to wait before it tries."""
    if request.entry.priority & flag != 0 and not request.progress.has_begun:
        raise Errno(EAGAIN)


# ---- Sending ---------------------------------------------------------------------------------------------------------


def _prepare_send(request: Request) -> None:
    if request.entry.opcode == _OP_SEND:
        refuse_if(request.entry.other >> 16 != 0)
    else:
        refuse_if(request.entry.offset != 0 or request.entry.other != 0)
    refuse_if(request.entry.priority & ~(_POLL_FIRST | BUNDLE) != 0)
    if request.entry.priority & BUNDLE != 0:
        refuse_if(request.entry.opcode == _OP_SENDMSG or not selects(request))
        request.entry.modifiers |= MSG_WAITALL
    _keep_message(request)


def _keep_message(request: Request) -> None:
    """Keep what describes the data. Raises EFAULT, EINVAL, EMSGSIZE, MemoryError."""
    request.never_waits = request.entry.modifiers & MSG_DONTWAIT != 0
    if _has_header(request):
        header = KeptHeader(request.memory(), selects_buffer=False)
        request.more().header = header
        fields = header.fields
        request.kept_bytes = header.kept_bytes()
        if fields.name != 0 and fields.name_length > 0:
            request.more().name = read_address(UserAddr(fields.name), fields.name_length)
    elif request.entry.offset != 0:
        request.more().name = read_address(request.memory2(), request.entry.other & 0xFFFF)


def _has_header(request: Request) -> bool:
    """Whether a request that sends has a struct msghdr."""
    return request.entry.opcode == _OP_SENDMSG or request.entry.opcode == _OP_SENDMSG_ZC


def _prepare_zero_copy(request: Request) -> None:
    refuse_if(request.entry.last != 0 or request.entry.address3 != 0)
    refuse_if(request.entry.flags & layout.CQE_SKIP_SUCCESS != 0)
    request.end.notice = 0  # from here on there is one, whatever becomes of the request
    how = request.entry.priority
    refuse_if(how & ~(_POLL_FIRST | _FIXED_BUFFER | _REPORT_USAGE) != 0)
    if how & _REPORT_USAGE != 0:
        request.end.notice = _COPIED
    if how & _FIXED_BUFFER != 0:
        if request.entry.buffer_index >= len(request.ring.registered.buffers.slots):
            raise Errno(EFAULT)
        use_resource(request)
    if request.entry.opcode == _OP_SENDMSG_ZC:
        refuse_if(request.entry.offset != 0 or request.entry.other != 0 or how & _FIXED_BUFFER != 0)
    else:
        refuse_if(request.entry.other >> 16 != 0)
    _keep_message(request)


def _check_memory(request: Request) -> None:
    """What Linux checks before it sends from a program's own pages. Raises EFAULT (not in the registered buffer),
    ENOMEM (RLIMIT_MEMLOCK), MemoryError.
    """
    if request.entry.priority & _FIXED_BUFFER != 0:
        check_fixed_buffer(request)
    elif request.entry.opcode == _OP_SEND_ZC:
        user.check(request.entry.address, min(request.entry.length, MAX_RW_COUNT))
        if (request.entry.length >> PAGE_SHIFT) + _EXTRA_PAGES > most_pages(request.task):
            raise Errno(ENOMEM)


def _part(request: Request) -> Buffer:
    """The memory of SEND and RECV that is not moved yet."""
    length = min(request.entry.length, MAX_RW_COUNT)
    user.check(request.entry.address, length)
    return current().user_buffer(user.within(request.memory(), request.progress.moved), length - request.progress.moved)


def _send(request: Request) -> int:
    target = socket_of(request)
    flags = signed_32(request.entry.modifiers) | MSG_DONTWAIT | MSG_NOSIGNAL
    if request.end.notice != NO_OUTCOME:
        if not isinstance(target, (TcpSocket, UdpSocket)):
            raise Errno(EOPNOTSUPP)
        flags &= ~MSG_ZEROCOPY  # the ring gets the notice, and the socket's queue of errors does not
    wait_first(request, _POLL_FIRST)
    if request.end.notice != NO_OUTCOME and request.progress.moved == 0:
        _check_memory(request)
    if _has_header(request):
        return _send_message(request, target, flags)
    if selects(request):
        return send_selecting(request, target, flags)
    buffer = _part(request)
    wanted = buffer.remaining
    message = Message(buffer, flags)
    extra = request.extra
    if extra is not None:
        message.address = extra.name
    return _moved(request, target, transfer(target, message, is_sent=True), wanted)


def _moved(request: Request, target: Socket, done: int, wanted: int) -> int:
    """The result of a transfer done in part: with MSG_WAITALL, the rest is waited for."""
    waits_for_all = request.entry.modifiers & MSG_WAITALL != 0
    request.progress.moved += done
    if done < wanted and waits_for_all and done > 0 and waits_for_rest(target):
        raise Errno(EAGAIN)
    request.is_short = done < wanted and waits_for_all
    return request.progress.moved


def _send_message(request: Request, target: Socket, flags: int) -> int:
    header = header_of(request)
    rest = header.rest(request.progress.moved)
    message = Message(rest, flags)
    wanted = rest.remaining
    message.address = request.more().name
    header.fields.put_control(target, message)
    try:
        return _moved(request, target, transfer(target, message, is_sent=True), wanted)
    finally:
        release_files(message.control)


# ---- Receiving -------------------------------------------------------------------------------------------------------


def _prepare_receive(request: Request) -> None:
    refuse_if(request.entry.other != 0 or request.entry.offset != 0)
    refuse_if(request.entry.priority & ~(_POLL_FIRST | MULTISHOT | BUNDLE) != 0)
    refuse_if(request.entry.opcode == _OP_RECVMSG and request.entry.priority & BUNDLE != 0)
    request.never_waits = request.entry.modifiers & MSG_DONTWAIT != 0
    if request.entry.priority & MULTISHOT != 0:
        refuse_if(not selects(request) or request.entry.modifiers & MSG_WAITALL != 0)
        refuse_if(request.entry.opcode != _OP_RECVMSG and request.entry.length != 0)
    if request.entry.opcode == _OP_RECVMSG:
        header = KeptHeader(request.memory(), selects_buffer=selects(request))
        request.more().header = header
        request.kept_bytes = header.kept_bytes()
        if request.entry.priority & MULTISHOT != 0:
            header.check_room()


def _receive(request: Request) -> int:
    source = socket_of(request)
    wait_first(request, _POLL_FIRST)
    flags = signed_32(request.entry.modifiers) | MSG_DONTWAIT
    if request.entry.opcode == _OP_RECVMSG and request.entry.priority & MULTISHOT != 0:
        return receive_messages(request, source, flags)
    if request.entry.opcode == _OP_RECVMSG and selects(request):
        done = _receive_message_selecting(request, source, flags)
    elif request.entry.opcode == _OP_RECVMSG:
        done = _receive_message(request, source, flags)
    elif selects(request):
        return receive_selecting(request, source, flags)
    else:
        buffer = _part(request)
        wanted = buffer.remaining
        done = _moved(request, source, transfer(source, Message(buffer, flags), is_sent=False), wanted)
    note_rest(request, source)
    return done


def _receive_message_selecting(request: Request, source: Socket, flags: int) -> int:
    header = header_of(request)
    chosen = select(request, header.most)
    try:
        buffer = memory_of(chosen)
        wanted = buffer.remaining
        message = header.fields.message(buffer, flags)
        done = transfer(source, message, is_sent=False)
        header.fields.put_received(request.memory(), message)
    except (Errno, MemoryError):
        put_back(request, chosen)
        raise
    use_for(request, chosen, done)
    request.is_short = done < wanted and request.entry.modifiers & MSG_WAITALL != 0
    return done


def _receive_message(request: Request, source: Socket, flags: int) -> int:
    header = header_of(request)
    rest = header.rest(request.progress.moved)
    wanted = rest.remaining
    message = header.fields.message(rest, flags)
    done = transfer(source, message, is_sent=False)
    header.fields.put_received(request.memory(), message)
    return _moved(request, source, done, wanted)


Operation(_OP_SENDMSG, _prepare_send, _send, needs_file=True, takes_priority=True, events=WRITABLE)
Operation(
    _OP_RECVMSG, _prepare_receive, _receive, needs_file=True, takes_priority=True, takes_buffers=True, events=READABLE
)  # fmt: skip
Operation(
    _OP_SEND, _prepare_send, _send, needs_file=True, takes_priority=True, takes_buffers=True, events=WRITABLE
)  # fmt: skip
Operation(
    27, _prepare_receive, _receive, needs_file=True, takes_priority=True, takes_buffers=True, events=READABLE
)  # fmt: skip
Operation(_OP_SEND_ZC, _prepare_zero_copy, _send, needs_file=True, takes_priority=True, events=WRITABLE)
Operation(_OP_SENDMSG_ZC, _prepare_zero_copy, _send, needs_file=True, takes_priority=True, events=WRITABLE)
