"""Options of sockets: getsockopt(2), setsockopt(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.lang import EACCES, EFAULT, EINVAL, ENODATA, EOPNOTSUPP, ERANGE, ESRCH, Errno, UserAddr, i32
from kernel.lib import user
from kernel.lib.user import UserBuffer
from kernel.net.sockets.bpf import ClassicFilter
from kernel.net.sockets.option_names import (
    SO_ATTACH_FILTER,
    SO_BINDTODEVICE,
    SO_DEVMEM_DONTNEED,
    SO_LINGER,
    SO_MAX_PACING_RATE,
    SO_PEERGROUPS,
    SO_PEERPIDFD,
    SO_RCVTIMEO,
    SO_RCVTIMEO_NEW,
    SO_SNDTIMEO,
    SO_SNDTIMEO_NEW,
    SO_TXTIME,
)
from kernel.net.sockets.socket import SOL_SOCKET, Socket
from kernel.net.sockets.socket_options import get_socket_option, int_bytes, set_socket_option
from kernel.syscalls.socket_arguments import socket_at
from kernel.task import current
from kernel.task.pidfd import PidFile

_INT_MOST: Final = 0x7FFF_FFFF
_LONGEST_VALUE: Final = 16_384  # no option is longer
# The options of SOL_SOCKET whose values are longer than an int, with their sizes
_LONG_OPTIONS: Final[dict[int, int]] = {
    SO_LINGER: 8,
    SO_RCVTIMEO: 16,
    SO_SNDTIMEO: 16,
    SO_RCVTIMEO_NEW: 16,
    SO_SNDTIMEO_NEW: 16,
    SO_BINDTODEVICE: 15,
    SO_MAX_PACING_RATE: 8,
    SO_TXTIME: 8,
}
_LONGEST_NUMBER: Final = 24  # of SOL_SOCKET there is one: what else is longer than a struct timeval says so


@syscall("setsockopt", status="Full", args="fd:socket one:level one:option <option_value[length] size")
def setsockopt(descriptor: i32, level: i32, name: i32, value: UserAddr, length: i32) -> int:
    set_option_of(socket_at(descriptor), level, name, value, length)
    return 0


def set_option_of(socket: Socket, level: int, name: int, value: UserAddr, length: int) -> None:
    """Set an option to a value in the program's memory. Raises EINVAL, EOPNOTSUPP, EFAULT, and what the option does."""
    if length < 0:
        raise Errno(EINVAL)
    if level != SOL_SOCKET and not socket.has_level(level):
        raise Errno(EOPNOTSUPP)
    socket.acquire()
    try:
        if level == SOL_SOCKET:
            if length < 4 and name != SO_BINDTODEVICE:
                raise Errno(EINVAL)
            longest = _LONGEST_VALUE if name == SO_DEVMEM_DONTNEED else _LONGEST_NUMBER
            given = _read_value(value, length, longest, 4)
            if len(given) < min(length, longest):
                _check_faulted(name, len(given), length)
            set_socket_option(socket, name, given, current().credentials)
        else:
            least = socket.least_of_value(level, name, length)
            given = _read_value(value, length, _LONGEST_VALUE, least)
            socket.set_option(level, name, given + bytes(min(length, _LONGEST_VALUE) - len(given)))
    finally:
        socket.release()


def _read_value(address: UserAddr, length: int, limit: int, least: int) -> bytes:
    """The value, or as much of it as can be read. EFAULT without the `least` bytes of it; if that is none, nothing is
    read.
    """
    if least == 0:
        return b""
    size = min(length, limit)
    user.check(address, size)
    buffer = UserBuffer(address, size)
    value = buffer.take_bytes(size)
    if len(value) < min(size, least):
        raise Errno(EFAULT)
    return value


def _check_faulted(name: int, readable: int, length: int) -> None:
    """Only the first bytes of a value of `length` could be read: EFAULT for an option of SOL_SOCKET that needs more."""
    wanted = _LONG_OPTIONS.get(name, 4)
    if name == SO_TXTIME and length != wanted:
        return  # EINVAL comes first: its value has one length
    if readable < wanted <= length or (name == SO_BINDTODEVICE and readable < min(length, wanted)):
        raise Errno(EFAULT)


@syscall("getsockopt", status="Full", args="fd:socket one:level one:option >bytes =length")
def getsockopt(descriptor: i32, level: i32, name: i32, value: UserAddr, length_address: UserAddr) -> int:
    socket = socket_at(descriptor)
    if level != SOL_SOCKET and not socket.has_level(level):
        raise Errno(EOPNOTSUPP)
    if level != SOL_SOCKET:
        socket.check_level(level)
    limit = user.read_i32(length_address)
    if limit < 0:
        if level == SOL_SOCKET or not socket.takes_any_length(level, name):
            raise Errno(EINVAL)
        limit = _INT_MOST
    get_option_of(socket, level, name, value, limit, length_address)
    return 0


def get_option_of(
    socket: Socket, level: int, name: int, value: UserAddr, limit: int, length_address: UserAddr
) -> int:
    """Write the value of an option to the program's memory, at most `limit` bytes of it; its length, which is written
    too unless there is no place for it (0). Raises EFAULT, and what the option raises.
    """
    if level == SOL_SOCKET and name == SO_ATTACH_FILTER:
        return _get_filter(socket, value, limit, length_address)
    if level == SOL_SOCKET and name == SO_PEERPIDFD:
        return _get_peer(socket, value, limit, length_address)
    if level == SOL_SOCKET and name == SO_PEERGROUPS:
        return _get_groups(socket, value, limit, length_address)
    socket.acquire()
    try:
        if socket.reads_option_place(level, name):
            found = socket.answer_option(level, name, user.read_bytes(value, min(limit, _LONGEST_VALUE)))
        elif level == SOL_SOCKET:
            found = get_socket_option(socket, name, limit)
        else:
            found = socket.get_option(level, name, limit)
    finally:
        socket.release()
    length = min(limit, len(found))
    if length > 0:
        user.write_bytes(value, found[:length])
    return _told(length_address, length)


def _told(length_address: UserAddr, length: int) -> int:
    if length_address != 0:
        user.write_i32(length_address, length)
    return length


def _get_filter(socket: Socket, value: UserAddr, limit: int, length_address: UserAddr) -> int:
    """SO_GET_FILTER: the program, whose length counts instructions. EINVAL without room for it; with room for none it
    tells its length. EACCES for a program of bpf(2).
    """
    filter_ = socket.filter
    count = 0
    if filter_ is not None:
        if not isinstance(filter_, ClassicFilter):
            raise Errno(EACCES)
        count = len(filter_.program)
        if limit > 0:
            if limit < count:
                raise Errno(EINVAL)
            user.write_bytes(value, filter_.program.program)
    return _told(length_address, count)


def _get_peer(socket: Socket, value: UserAddr, limit: int, length_address: UserAddr) -> int:
    """SO_PEERPIDFD: a descriptor of the process at the other end. ENODATA, ESRCH for one that has ended."""
    process = socket.peer_process()
    if process is None:
        raise Errno(ENODATA)
    if process.ending.is_zombie:
        raise Errno(ESRCH)
    files = current().files
    file = PidFile(process, 0)
    descriptor = files.install(file, cloexec=True)
    try:
        length = min(limit, 4)
        user.write_bytes(value, int_bytes(descriptor)[:length])
        return _told(length_address, length)
    except (Errno, MemoryError):
        files.take_back(descriptor, file)
        raise


def _get_groups(socket: Socket, value: UserAddr, limit: int, length_address: UserAddr) -> int:
    """SO_PEERGROUPS: the supplementary groups of the process at the other end. ENODATA; ERANGE without room for all,
    and then the length reports the needed room.
    """
    groups = socket.peer_groups()
    if groups is None:
        raise Errno(ENODATA)
    length = _told(length_address, len(groups) * 4)
    if limit < length:
        raise Errno(ERANGE)
    for index in range(len(groups)):
        user.write_u32(user.at(value, index * 4), groups[index])
    return length
