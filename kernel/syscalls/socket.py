"""Creating and connecting sockets: socket(2), socketpair(2), bind(2), listen(2), accept(2), connect(2), getsockname(2),
getpeername(2), shutdown(2).

A socket is held across a call that may sleep, because another thread may close its descriptor meanwhile.
"""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.constants import O_CLOEXEC, O_NONBLOCK
from kernel.fs.file import check_room_for_file
from kernel.lang import ECONNABORTED, EINVAL, Errno, UserAddr, i32
from kernel.lib import user
from kernel.net.internet.sysctl import CORE
from kernel.net.link.network import caller_network
from kernel.net.sockets.families import make_socket
from kernel.net.sockets.socket import SOCK_TYPE_MASK, Socket
from kernel.net.tcp.confinement import check_binding, check_connecting
from kernel.net.tcp.socket import TcpSocket
from kernel.syscalls.descriptor_arguments import file_at
from kernel.syscalls.socket_arguments import read_address, socket_at, write_address
from kernel.task import current

_TYPE_FLAGS: Final = O_CLOEXEC | O_NONBLOCK  # SOCK_CLOEXEC and SOCK_NONBLOCK are the same bits


def _new_socket(family: int, kind: int, protocol: int) -> Socket:
    """A socket whose type may hold SOCK_NONBLOCK."""
    socket = make_socket(family, kind & SOCK_TYPE_MASK, protocol, current().credentials, caller_network())
    socket.flags |= kind & O_NONBLOCK
    return socket


def _check_type_flags(kind: int) -> None:
    if kind & ~(SOCK_TYPE_MASK | _TYPE_FLAGS) != 0:
        raise Errno(EINVAL)


@syscall("socket", status="Full", args="one:family flags:socket_type one:protocol -> fd:socket")
def socket(family: i32, kind: i32, protocol: i32) -> int:
    _check_type_flags(kind)
    made = _new_socket(family, kind, protocol)
    return current().files.install(made, kind & O_CLOEXEC != 0)


@syscall("socketpair", status="Full", args="one:family flags:socket_type one:protocol >fd:socket[2]")
def socketpair(family: i32, kind: i32, protocol: i32, pair: UserAddr) -> int:
    _check_type_flags(kind)
    files = current().files
    # As on Linux, the numbers are chosen and written before there are sockets.
    first_number = files.lowest_free(0)
    second_number = files.lowest_free(first_number + 1)
    user.write_i32(pair, first_number)
    user.write_i32(user.at(pair, 4), second_number)
    first = _new_socket(family, kind, protocol)
    try:
        second = _new_socket(family, kind, protocol)
    except (Errno, MemoryError):
        first.release()
        raise
    try:
        first.pair_with(second)
    except (Errno, MemoryError):
        first.release()
        second.release()
        raise
    close_on_exec = kind & O_CLOEXEC != 0
    try:
        first_number = files.install(first, close_on_exec)
    except (Errno, MemoryError):
        second.release()
        raise
    try:
        second_number = files.install(second, close_on_exec)
    except (Errno, MemoryError):
        files.take_back(first_number, first)
        raise
    try:
        user.write_i32(pair, first_number)
        user.write_i32(user.at(pair, 4), second_number)
    except Errno:
        files.take_back(first_number, first)
        files.take_back(second_number, second)
        raise
    return 0


@syscall("bind", status="Full", args="fd:socket <sockaddr[length] size")
def bind(descriptor: i32, address: UserAddr, length: i32) -> int:
    made = socket_at(descriptor)
    bind_to(made, read_address(address, length))
    return 0


def bind_to(made: Socket, name: bytes) -> None:
    """bind(2) of a socket, unless the caller's domain forbids it."""
    domain = current().credentials.domain
    if domain is not None and domain.all_ports != 0 and isinstance(made, TcpSocket):
        check_binding(domain, made, name)
    made.bind(name)


@syscall("listen", status="Full", args="fd:socket int")
def listen(descriptor: i32, backlog: i32) -> int:
    listen_with(socket_at(descriptor), backlog)
    return 0


def listen_with(made: Socket, backlog: int) -> None:
    """listen(2) of a socket: a negative backlog means the largest."""
    most = CORE.longest_backlog(made.network)
    made.listen(backlog if 0 <= backlog <= most else most)


@syscall("accept", status="Full", args="fd:socket >sockaddr? =length? -> fd:socket")
def accept(descriptor: i32, address: UserAddr, length: UserAddr) -> int:
    return accept4(descriptor, address, length, 0)


@syscall(
    "accept4", status="Full", args="fd:socket >sockaddr? =length? flags:SOCK_NONBLOCK|SOCK_CLOEXEC -> fd:socket",
)  # fmt: skip
def accept4(descriptor: i32, address: UserAddr, length: UserAddr, flags: i32) -> int:
    file_at(descriptor)  # EBADF comes before EINVAL and EMFILE
    if flags & ~_TYPE_FLAGS != 0:
        raise Errno(EINVAL)
    files = current().files
    number = files.reserve()
    try:
        accepted = accept_from(socket_at(descriptor), flags & O_NONBLOCK, address, length)
    except (Errno, MemoryError):
        files.give_back(number)
        raise
    return files.fill(number, accepted, flags & O_CLOEXEC != 0)


def accept_from(listening: Socket, flags: int, address: UserAddr, length: UserAddr) -> Socket:
    """Take a connection, and write the peer's address unless that is 0. The caller has reserved a descriptor for it."""
    check_room_for_file()  # before a connection is taken
    accepted = listening.accept(flags)
    if address != 0:
        try:
            write_address(peer_of(accepted), address, length)
        except (Errno, MemoryError):
            accepted.release()
            raise
    return accepted


def peer_of(accepted: Socket) -> bytes:
    """The peer's address; it may have gone since the connection came."""
    address = b""
    gone = False
    try:
        address = accepted.shown_peer_address()
    except Errno:
        gone = True
    if gone:
        raise Errno(ECONNABORTED)
    return address


@syscall("connect", status="Full", args="fd:socket <sockaddr[length] size")
def connect(descriptor: i32, address: UserAddr, length: i32) -> int:
    file_at(descriptor)  # EBADF comes before what is wrong with the address, and that before ENOTSOCK
    name = read_address(address, length)
    connect_to(socket_at(descriptor), name, waits=True)
    return 0


def connect_to(connecting: Socket, name: bytes, *, waits: bool) -> None:
    """connect(2) of a socket, unless the caller's domain forbids it."""
    domain = current().credentials.domain
    if domain is not None and domain.all_ports != 0 and isinstance(connecting, TcpSocket):
        check_connecting(domain, connecting, name)
    if waits:
        connecting.connect(name)
    else:
        connecting.connect_at_once(name)


@syscall("getsockname", status="Full", args="fd:socket >sockaddr =length")
def getsockname(descriptor: i32, address: UserAddr, length: UserAddr) -> int:
    write_address(socket_at(descriptor).shown_local_address(), address, length)
    return 0


@syscall("getpeername", status="Full", args="fd:socket >sockaddr =length")
def getpeername(descriptor: i32, address: UserAddr, length: UserAddr) -> int:
    write_address(socket_at(descriptor).shown_peer_address(), address, length)
    return 0


@syscall("shutdown", status="Full", args="fd:socket one:SHUT_RD|SHUT_WR|SHUT_RDWR")
def shutdown(descriptor: i32, how: i32) -> int:
    ending = socket_at(descriptor)
    ending.shut_down(how)
    return 0
