"""The reports of NETLINK_SOCK_DIAG about unix sockets: struct unix_diag_req and unix_diag_msg (sock_diag(7)).

Context: system calls, with safe points between sockets.
"""

from typing import Final

from kernel.lang import EINVAL, ENOENT, ESTALE, Errno
from kernel.lib.credentials import uid_for_caller
from kernel.lib.order import Walk
from kernel.lib.pace import is_dying, pace, spend
from kernel.net.link.network import Network
from kernel.net.netlink.diagnosis import BY_FAMILY, is_meant
from kernel.net.netlink.messages import MessageWriter, Request
from kernel.net.sockets.socket_options import int_bytes, memory_information
from kernel.net.unix.base import CONNECTED, LISTENING, UnixSocket
from kernel.net.unix.rights import SOCKETS

_REQUEST: Final = 24  # struct unix_diag_req
_WRITE_COST: Final = 3000  # instructions for a message
_LOOK_COST: Final = 200

# udiag_show
_SHOW_NAME: Final = 1
_SHOW_PLACE: Final = 2
_SHOW_PEER: Final = 4
_SHOW_WAITING: Final = 8
_SHOW_QUEUES: Final = 0x10
_SHOW_MEMORY: Final = 0x20
_SHOW_UID: Final = 0x40

_NAME: Final = 0
_PLACE: Final = 1
_PEER: Final = 2
_WAITING: Final = 3
_QUEUES: Final = 4
_MEMORY: Final = 5
_SHUTDOWN: Final = 6
_UID: Final = 7

# States are TCP's.
_ESTABLISHED: Final = 1
_CLOSED: Final = 7
_LISTEN: Final = 10


def dump_unix(request: Request, writer: MessageWriter) -> None:
    """Write all sockets in the requested states."""
    asked = request.payload(_REQUEST)
    states = asked.load_u32(4)
    show = asked.load_u32(12)
    walk = Walk(SOCKETS.all)
    while (socket := walk.next()) is not None and not is_dying():
        if isinstance(socket, UnixSocket) and socket.network is request.network:
            if states >> _state(socket) & 1 != 0:
                _write(socket, show, writer)
                writer.cut()
                spend(_WRITE_COST)
        pace(_LOOK_COST)


def find_unix(request: Request, writer: MessageWriter) -> None:
    """Write one socket, by its inode. EINVAL, ENOENT; ESTALE for another socket's cookie."""
    asked = request.payload(_REQUEST)
    inode = asked.load_u32(8)
    if inode == 0:
        raise Errno(EINVAL)
    socket = _socket_of(request.network, inode)
    if socket is None:
        raise Errno(ENOENT)
    if not is_meant(asked.load_u32(16), asked.load_u32(20), inode):
        raise Errno(ESTALE)
    _write(socket, asked.load_u32(12), writer)


def _socket_of(network: Network, inode: int) -> UnixSocket | None:
    """The socket with a number of an inode."""
    walk = Walk(SOCKETS.all)
    while (socket := walk.next()) is not None:
        if isinstance(socket, UnixSocket) and socket.network is network and socket.inode.ino == inode:
            return socket
        pace(_LOOK_COST)
    return None


def _state(socket: UnixSocket) -> int:
    if socket.state == LISTENING:
        return _LISTEN
    return _ESTABLISHED if socket.state == CONNECTED or socket.peer is not None else _CLOSED


def _inode(socket: UnixSocket) -> int:
    """The inode; 0 for a socket that has not been accepted yet."""
    return socket.inode.ino if socket.is_accepted else 0


def _write(socket: UnixSocket, show: int, writer: MessageWriter) -> None:
    writer.begin(BY_FAMILY)
    writer.u8(1)
    writer.u8(socket.kind)
    writer.u8(_state(socket))
    writer.u8(0)
    writer.u32(_inode(socket))
    writer.u64(socket.inode.ino)
    if show & _SHOW_NAME != 0 and len(socket.name) > 0:
        writer.attribute(_NAME, socket.name)
    place = socket.place
    if show & _SHOW_PLACE != 0 and place is not None:
        writer.attribute(_PLACE, int_bytes(place.ino) + int_bytes(place.file_system.device))
    peer = socket.peer
    if show & _SHOW_PEER != 0 and peer is not None:
        writer.attribute_u32(_PEER, _inode(peer))
    if socket.state == LISTENING:
        _write_listener(socket, show, writer)
    elif show & _SHOW_QUEUES != 0:
        writer.attribute(_QUEUES, int_bytes(socket.bytes_to_read()) + int_bytes(socket.used))
    if show & _SHOW_MEMORY != 0:
        writer.attribute(_MEMORY, memory_information(socket))
    writer.attribute_u8(_SHUTDOWN, socket.ended)
    if show & _SHOW_UID != 0:
        writer.attribute_u32(_UID, uid_for_caller(socket.inode.uid))
    writer.end()


def _write_listener(socket: UnixSocket, show: int, writer: MessageWriter) -> None:
    """Write the connections that wait to be accepted: the connecting ends."""
    if show & _SHOW_WAITING != 0:
        inodes = b""
        for end in socket.waiting:
            peer = end.peer if isinstance(end, UnixSocket) else None
            inodes += int_bytes(0 if peer is None else _inode(peer))
        if len(inodes) > 0:
            writer.attribute(_WAITING, inodes)
    if show & _SHOW_QUEUES != 0:
        writer.attribute(_QUEUES, int_bytes(len(socket.waiting)) + int_bytes(socket.backlog))
