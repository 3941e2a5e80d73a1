"""Options of sockets: getsockopt(2), setsockopt(2)."""

from typing import Final

from kernel.lang import EFAULT, EINVAL, EOPNOTSUPP, Errno, i32
from kernel.lib import user
from kernel.lib.user import UserBuffer
from kernel.net.option_names import SO_BINDTODEVICE
from kernel.net.options import get_socket_option, set_socket_option
from kernel.net.socket import SOL_SOCKET
from kernel.syscalls.socket_memory import socket_at
from kernel.syscalls.table import syscall
from kernel.task import current

_LONGEST_VALUE: Final = 16_384  # no option is longer
_LONGEST_NUMBER: Final = 16  # of SOL_SOCKET: struct timeval, struct sock_fprog, a name


@syscall(54, "setsockopt", status="Full", args="dddpd")
def setsockopt(descriptor: i32, level: i32, name: i32, value: int, length: i32) -> int:
    if length < 0:
        raise Errno(EINVAL)
    socket = socket_at(descriptor)
    if level != SOL_SOCKET and not socket.has_level(level):
        raise Errno(EOPNOTSUPP)
    socket.acquire()
    try:
        if level == SOL_SOCKET:
            if length < 4 and name != SO_BINDTODEVICE:
                raise Errno(EINVAL)
            set_socket_option(socket, name, _read_value(value, length, _LONGEST_NUMBER), current().credentials)
        else:
            socket.set_option(level, name, _read_value(value, length, _LONGEST_VALUE))
    finally:
        socket.release()
    return 0


def _read_value(address: int, length: int, limit: int) -> bytes:
    """The value, or as much of it as can be read: an option that needs more says so. EFAULT without an int's worth."""
    size = min(length, limit)
    user.check(address, size)
    buffer = UserBuffer(address, size)
    value = buffer.take_bytes(size)
    if len(value) < min(size, 4):
        raise Errno(EFAULT)
    return value


@syscall(55, "getsockopt", status="Full", args="dddpp")
def getsockopt(descriptor: i32, level: i32, name: i32, value: int, length_address: int) -> int:
    socket = socket_at(descriptor)
    if level != SOL_SOCKET and not socket.has_level(level):
        raise Errno(EOPNOTSUPP)
    limit = user.read_i32(length_address)
    if limit < 0:
        raise Errno(EINVAL)
    socket.acquire()
    try:
        if level == SOL_SOCKET:
            found = get_socket_option(socket, name, limit)
        else:
            found = socket.get_option(level, name, limit)
    finally:
        socket.release()
    length = min(limit, len(found))
    if length > 0:
        user.write_bytes(value, found[:length])
    user.write_i32(length_address, length)
    return 0
