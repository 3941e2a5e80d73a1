"""Sockets as open files (socket(7)).

Every family derives from `Socket` and overrides what its sockets can do; what they cannot raises Linux's errno.
Addresses travel as the bytes of their `struct sockaddr`, family first: only the family knows how to read them, and
checks their length.

Context: send, receive, connect and accept sleep unless the socket or the message is non-blocking.
"""

from typing import Final

from kernel.fs.anonymous import socket_path
from kernel.fs.constants import O_NONBLOCK, O_RDWR
from kernel.fs.file import File
from kernel.lang import ENOPROTOOPT, EOPNOTSUPP, Errno
from kernel.lib.user import Buffer

AF_UNSPEC: Final = 0
AF_UNIX: Final = 1
AF_INET: Final = 2
AF_INET6: Final = 10
AF_NETLINK: Final = 16
AF_PACKET: Final = 17

SOCK_STREAM: Final = 1
SOCK_DGRAM: Final = 2
SOCK_RAW: Final = 3
SOCK_SEQPACKET: Final = 5
SOCK_TYPE_MASK: Final = 0xF

MSG_OOB: Final = 0x1
MSG_PEEK: Final = 0x2
MSG_DONTROUTE: Final = 0x4
MSG_CTRUNC: Final = 0x8
MSG_TRUNC: Final = 0x20
MSG_DONTWAIT: Final = 0x40
MSG_EOR: Final = 0x80
MSG_WAITALL: Final = 0x100
MSG_ERRQUEUE: Final = 0x2000
MSG_NOSIGNAL: Final = 0x4000
MSG_MORE: Final = 0x8000
MSG_CMSG_CLOEXEC: Final = 0x4000_0000

SHUT_RD: Final = 0
SHUT_WR: Final = 1
SHUT_RDWR: Final = 2


class ControlMessage:
    """One ancillary message (cmsg(3)). Descriptors travel as `files`, each with a reference of its own."""

    def __init__(self, level: int, kind: int, data: bytes) -> None:
        self.level: int = level
        self.kind: int = kind
        self.data: bytes = data
        self.files: list[File] | None = None  # SCM_RIGHTS


class Message:
    """What sendmsg(2) sends and recvmsg(2) receives."""

    def __init__(self, buffer: Buffer, flags: int) -> None:
        self.buffer: Buffer = buffer
        self.flags: int = flags  # MSG_* that the caller gave
        self.address: bytes = b""  # sending: the destination, empty for none. Received: the source
        self.control: list[ControlMessage] | None = None
        self.wants_control: bool = False  # receiving: the caller gave room for ancillary messages
        self.result_flags: int = 0  # MSG_TRUNC, MSG_CTRUNC, MSG_EOR … of what was received


class Socket(File):
    """Base of all sockets."""

    def __init__(self, family: int, kind: int, protocol: int, uid: int, gid: int) -> None:
        super().__init__(socket_path(uid, gid), O_RDWR)
        self.family: int = family
        self.kind: int = kind  # SOCK_*
        self.protocol: int = protocol
        self.pending_error: int = 0  # SO_ERROR: an errno that the next call reports
        self.receive_timeout_ns: int = 0  # SO_RCVTIMEO; 0 is for ever
        self.send_timeout_ns: int = 0

    def is_nonblocking(self, message_flags: int) -> bool:
        return self.flags & O_NONBLOCK != 0 or message_flags & MSG_DONTWAIT != 0

    def take_error(self) -> int:
        """The pending error, which is forgotten."""
        error = self.pending_error
        self.pending_error = 0
        return error

    def bind(self, address: bytes) -> None:
        raise Errno(EOPNOTSUPP)

    def connect(self, address: bytes) -> None:
        raise Errno(EOPNOTSUPP)

    def listen(self, backlog: int) -> None:
        raise Errno(EOPNOTSUPP)

    def accept(self, flags: int) -> "Socket":
        """The next connection; `flags` may hold O_NONBLOCK for the new socket."""
        raise Errno(EOPNOTSUPP)

    def local_address(self) -> bytes:
        """getsockname(2)."""
        raise Errno(EOPNOTSUPP)

    def peer_address(self) -> bytes:
        """getpeername(2)."""
        raise Errno(EOPNOTSUPP)

    def send(self, message: Message) -> int:
        """Send; returns the bytes taken. EPIPE where the caller is to get SIGPIPE, unless MSG_NOSIGNAL."""
        raise Errno(EOPNOTSUPP)

    def receive(self, message: Message) -> int:
        """Receive; returns the bytes given, or with MSG_TRUNC the length of the whole datagram. 0 is the end."""
        raise Errno(EOPNOTSUPP)

    def shut_down(self, how: int) -> None:
        raise Errno(EOPNOTSUPP)

    def get_option(self, level: int, name: int, limit: int) -> bytes:
        """The value of an option, at most `limit` bytes of it. The levels above the family's are asked first."""
        raise Errno(ENOPROTOOPT)

    def set_option(self, level: int, name: int, value: bytes) -> None:
        raise Errno(ENOPROTOOPT)

    def read(self, buffer: Buffer) -> int:
        return self.receive(Message(buffer, 0))

    def write(self, buffer: Buffer) -> int:
        return self.send(Message(buffer, 0))
