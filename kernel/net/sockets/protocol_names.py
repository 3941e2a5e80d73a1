"""What Linux calls the protocol of a socket: in /proc/net/protocols, in the attribute `system.sockprotoname`, and as
the name of the file.
"""

from kernel.net.internet.transport import PROTOCOL_UDP
from kernel.net.sockets.socket import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_PACKET,
    AF_UNIX,
    SOCK_DGRAM,
    SOCK_RAW,
    SOCK_STREAM,
    Socket,
)


def protocol_name(socket: Socket) -> bytes:
    """The name of a socket's."""
    if socket.family == AF_INET or socket.family == AF_INET6:
        name = b"TCP" if socket.kind == SOCK_STREAM else b"RAW" if socket.kind == SOCK_RAW else b"UDP"
        if socket.kind == SOCK_DGRAM and socket.protocol != PROTOCOL_UDP:
            name = b"PING"
        return name if socket.family == AF_INET else name + b"v6"
    if socket.family == AF_UNIX:
        return b"UNIX-STREAM" if socket.kind == SOCK_STREAM else b"UNIX"
    return b"PACKET" if socket.family == AF_PACKET else b"NETLINK" if socket.family == AF_NETLINK else b"AF_VSOCK"
