"""Sending and receiving: send(2), recv(2), sendmsg(2), recvmsg(2), sendmmsg(2), recvmmsg(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import MAX_RW_COUNT
from kernel.lang import EAGAIN, EFAULT, EINVAL, EPIPE, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.lib.pace import pace
from kernel.lib.user import UserBuffer
from kernel.net.sockets.socket import (
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_NOSIGNAL,
    MSG_OOB,
    MSG_WAITFORONE,
    Message,
    Socket,
    release_files,
)
from kernel.syscalls.socket_arguments import (
    HEADER_SIZE,
    MessageHeader,
    read_address,
    socket_at,
    write_address,
)
from kernel.syscalls.timespec import read_timespec, write_timespec
from kernel.task import current
from kernel.task.send import signal_itself
from kernel.task.signals import SIGPIPE
from kernel.time import monotonic_ns
from kernel.time.timers import FOREVER_NS

_MOST_MESSAGES: Final = 1024  # of one sendmmsg or recvmmsg
_MESSAGE_COST: Final = 4000  # instructions, for `pace`
_ENTRY_SIZE: Final = HEADER_SIZE + 8  # struct mmsghdr
_LENGTH_PLACE: Final = HEADER_SIZE  # its msg_len


def _user_buffer(address: UserAddr, length: int) -> UserBuffer:
    """A range of one message: sizes beyond what one call moves are truncated, negative ones included."""
    if length < 0 or length > MAX_RW_COUNT:
        length = MAX_RW_COUNT
    user.check(address, length)
    return current().user_buffer(address, length)


def _send(socket: Socket, message: Message) -> int:
    """Send; the caller gets SIGPIPE if it belongs to EPIPE."""
    socket.acquire()
    try:
        done = socket.send(message)
        if done == 0 and message.buffer.faulted:
            raise Errno(EFAULT)
        return done
    except Errno as error:
        if error.code == EPIPE and message.flags & MSG_NOSIGNAL == 0 and socket.breaks_with_signal():
            signal_itself(current(), SIGPIPE)
        raise
    finally:
        socket.release()


def _receive(socket: Socket, message: Message) -> int:
    socket.acquire()
    try:
        done = socket.receive(message)
        if done == 0 and message.buffer.faulted:
            raise Errno(EFAULT)
        return done
    finally:
        socket.release()


# ---- One message ----------------------------------------------------------------------------------------------------


@syscall("sendto", status="Full", args="fd:socket <message[length] size flags:send <sockaddr[name_length]? size")
def sendto(descriptor: i32, address: UserAddr, length: int, flags: i32, name: UserAddr, name_length: i32) -> int:
    message = Message(_user_buffer(address, length), flags)
    socket = socket_at(descriptor)
    if name != 0:
        message.address = read_address(name, name_length)
        message.has_empty_address = name_length == 0
    return _send(socket, message)


@syscall("recvfrom", status="Full", args="fd:socket >bytes[length] size flags:receive >sockaddr? =length?")
def recvfrom(descriptor: i32, address: UserAddr, length: int, flags: i32, name: UserAddr, name_length: UserAddr) -> int:
    message = Message(_user_buffer(address, length), flags)
    message.wants_address = name != 0
    done = _receive(socket_at(descriptor), message)
    if name != 0:
        write_address(message.address, name, name_length)
    return done


def _check_flags(flags: int) -> None:
    """Only 32-bit programs have the headers that MSG_CMSG_COMPAT stands for: EINVAL, before anything else."""
    if flags < 0:
        raise Errno(EINVAL)


@syscall("sendmsg", status="Full", args="fd:socket <msghdr flags:send")
def sendmsg(descriptor: i32, header: UserAddr, flags: i32) -> int:
    _check_flags(flags)
    return _send_message(socket_at(descriptor), header, flags)


def _send_message(socket: Socket, address: UserAddr, flags: int) -> int:
    header = MessageHeader(address)
    name = b""
    if header.name != 0 and header.name_length > 0:
        name = read_address(UserAddr(header.name), header.name_length)
    message = Message(header.buffer(), flags)
    message.address = name
    header.put_control(socket, message)
    try:
        return _send(socket, message)
    finally:
        release_files(message.control)


@syscall("recvmsg", status="Full", args="fd:socket =msghdr flags:receive")
def recvmsg(descriptor: i32, header: UserAddr, flags: i32) -> int:
    _check_flags(flags)
    return _receive_message(socket_at(descriptor), header, flags)


def _receive_message(socket: Socket, address: UserAddr, flags: int) -> int:
    header = MessageHeader(address)
    message = header.message(header.buffer(), flags)
    done = _receive(socket, message)
    header.put_received(address, message)
    return done


# ---- Several messages -----------------------------------------------------------------------------------------------


@syscall("sendmmsg", status="Full", args="fd:socket =mmsghdr[count] count flags:send")
def sendmmsg(descriptor: i32, vector: UserAddr, count: u32, flags: i32) -> int:
    _check_flags(flags)
    socket = socket_at(descriptor)
    socket.acquire()
    done = 0
    try:
        for index in range(min(count, _MOST_MESSAGES)):
            entry = user.at(vector, index * _ENTRY_SIZE)
            user.check(entry, _ENTRY_SIZE)
            sent = _send_message(socket, entry, flags)
            user.write_u32(user.at(entry, _LENGTH_PLACE), sent)
            done += 1
            pace(_MESSAGE_COST)
    except Errno:
        if done == 0:
            raise
    finally:
        socket.release()
    return done


@syscall("recvmmsg", status="Full", args="fd:socket =mmsghdr[count] count flags:receive <timespec?")
def recvmmsg(descriptor: i32, vector: UserAddr, count: u32, flags: i32, timeout: UserAddr) -> int:
    _check_flags(flags)
    deadline_ns = FOREVER_NS
    if timeout != 0:
        deadline_ns = monotonic_ns() + read_timespec(timeout)
    socket = socket_at(descriptor)
    if flags & MSG_ERRQUEUE == 0:
        error = socket.take_error()
        if error != 0:
            raise Errno(error)
    socket.acquire()
    try:
        done = _receive_messages(socket, vector, min(count, _MOST_MESSAGES), flags, deadline_ns)
    finally:
        socket.release()
    if timeout != 0 and done > 0:
        write_timespec(timeout, max(0, deadline_ns - monotonic_ns()))
    return done


def _receive_messages(socket: Socket, vector: UserAddr, count: int, flags: int, deadline_ns: int) -> int:
    """Receive until there are `count`, the timeout expires (checked only after each message), or an error comes: if
    something was received before, the next call reports the error.
    """
    done = 0
    wanted = flags & ~MSG_WAITFORONE
    try:
        while done < count:
            entry = user.at(vector, done * _ENTRY_SIZE)
            user.check(entry, _ENTRY_SIZE)
            length = _receive_message(socket, entry, wanted)
            user.write_u32(user.at(entry, _LENGTH_PLACE), length)
            done += 1
            pace(_MESSAGE_COST)
            if flags & MSG_WAITFORONE != 0:
                wanted |= MSG_DONTWAIT
            if deadline_ns <= monotonic_ns() or wanted & MSG_OOB != 0:
                break
    except Errno as error:
        if done == 0:
            raise
        if error.code != EAGAIN:
            socket.pending_error = error.code
    return done
