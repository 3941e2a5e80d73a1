"""Sockets as open files (socket(7)).

Every family derives from `Socket` and overrides the operations of its sockets; all others raise Linux's errno.
Addresses are passed as the bytes of their `struct sockaddr`, family first: only the family can read them and
checks their length.

The fields are also the values of the options of level SOL_SOCKET (kernel/net/sockets/socket_options.py reads and writes
them); a family that must act on a change overrides `option_changed`.

Context: send, receive, connect and accept sleep unless the socket or the message is non-blocking.
"""

from collections.abc import Callable
from typing import Final

from kernel.bpf.storage import SOCKET_OWNERS
from kernel.fs.anonymous import socket_path
from kernel.fs.constants import O_NONBLOCK, O_RDWR
from kernel.fs.file import File
from kernel.lang import (
    EAGAIN,
    EINTR,
    EINVAL,
    ENOENT,
    ENOMEM,
    ENOPROTOOPT,
    ENOTTY,
    EOPNOTSUPP,
    ERESTARTSYS,
    Errno,
    UserAddr,
    final,
    noraise,
    sleeps,
)
from kernel.lib import user
from kernel.lib.credentials import Credentials
from kernel.lib.ids import KernelGid, KernelUid
from kernel.lib.socket_group import SocketGroup
from kernel.lib.user import Buffer
from kernel.net.internet.sysctl import CORE
from kernel.net.link.network import Network
from kernel.net.sockets.bpf import Filter
from kernel.net.sockets.option_names import NO_RATE
from kernel.sched import WaitQueue
from kernel.task import Process
from kernel.task.async_io import choose_owner, living_owner
from kernel.task.task import current_or_none
from kernel.time import monotonic_ns
from kernel.time.timers import FOREVER_NS

FILTER_BYTES: Final = 64  # what a filter counts besides its instructions

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
MSG_WAITFORONE: Final = 0x1_0000
MSG_ZEROCOPY: Final = 0x400_0000
MSG_CMSG_CLOEXEC: Final = 0x4000_0000

SOL_SOCKET: Final = 1
SCM_RIGHTS: Final = 1
SCM_CREDENTIALS: Final = 2
SCM_PIDFD: Final = 4

# On-off options: bits of Socket.switches.
SWITCH_DEBUG: Final = 1 << 0
SWITCH_REUSE_ADDRESS: Final = 1 << 1
SWITCH_REUSE_PORT: Final = 1 << 2
SWITCH_KEEP_ALIVE: Final = 1 << 3
SWITCH_BROADCAST: Final = 1 << 4
SWITCH_OOB_INLINE: Final = 1 << 5
SWITCH_DONT_ROUTE: Final = 1 << 6
SWITCH_LINGER: Final = 1 << 7
SWITCH_NO_CHECK: Final = 1 << 8
SWITCH_PASS_CREDENTIALS: Final = 1 << 9
SWITCH_PASS_SECURITY: Final = 1 << 10
SWITCH_TIMESTAMP: Final = 1 << 11  # SCM_TIMESTAMP with received data
SWITCH_TIMESTAMP_NS: Final = 1 << 12  # … in nanoseconds
SWITCH_TIMESTAMP_NEW: Final = 1 << 13  # … of the types with 64 bits on every machine
SWITCH_OVERFLOWS: Final = 1 << 14  # SO_RXQ_OVFL: SCM with the count of dropped datagrams
SWITCH_WIFI_STATUS: Final = 1 << 15
SWITCH_NO_FCS: Final = 1 << 16
SWITCH_FILTER_LOCKED: Final = 1 << 17
SWITCH_SELECT_ERROR_QUEUE: Final = 1 << 18
SWITCH_PASS_PIDFD: Final = 1 << 20
SWITCH_ARRIVALS: Final = 1 << 21  # SO_TIMESTAMPING: the kernel records and reports the time of arrival
SWITCH_KEEP_STAMP: Final = 1 << 22  # SIOCGSTAMP was called: arrival times are recorded
SWITCH_PREFER_BUSY_POLL: Final = 1 << 23
SWITCH_ZERO_COPY: Final = 1 << 24  # SO_ZEROCOPY: MSG_ZEROCOPY asks for notices
SWITCH_TRANSMIT_TIME: Final = 1 << 25  # SO_TXTIME
SWITCH_REHASH: Final = 1 << 26  # SO_TXREHASH
SWITCH_MARK: Final = 1 << 27  # SO_RCVMARK: SCM with the mark of a received datagram

FIOSETOWN: Final = 0x8901
SIOCSPGRP: Final = 0x8902
FIOGETOWN: Final = 0x8903
SIOCGPGRP: Final = 0x8904

# struct ucred of no process: process 0, user and group -1.
UNKNOWN_CREDENTIALS: Final = b"\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"


SHUT_RD: Final = 0
SHUT_WR: Final = 1
SHUT_RDWR: Final = 2


SOCKET_BYTES: Final = 2048  # what a socket costs with empty queues, about


class ControlMessage:
    """One ancillary message (cmsg(3)). Descriptors are passed as `files`, each with a reference of its own."""

    def __init__(self, level: int, kind: int, data: bytes) -> None:
        self.level: int = level
        self.kind: int = kind
        self.data: bytes = data
        self.files: list[File] | None = None  # SCM_RIGHTS


@noraise
def release_files(messages: list[ControlMessage] | None) -> None:
    """Drop the files that were not taken over."""
    if messages is None:
        return
    for message in messages:
        files = message.files
        if files is not None:
            message.files = None
            for file in files:
                file.release()


class Message:
    """The message of sendmsg(2) or recvmsg(2)."""

    def __init__(self, buffer: Buffer, flags: int) -> None:
        self.buffer: Buffer = buffer
        self.flags: int = flags  # MSG_* that the caller gave
        self.address: bytes = b""  # sending: the destination, empty for none. Received: the source
        self.has_empty_address: bool = False  # sending: the caller gave an address without bytes (sendto)
        self.control: list[ControlMessage] | None = None
        self.control_error: int = 0  # sending: the errno of ancillary messages that make no sense; 0: they do
        self.wants_address: bool = False  # receiving: the caller gave room for the source
        self.wants_control: bool = False  # … for ancillary messages
        self.result_flags: int = 0  # MSG_TRUNC, MSG_CTRUNC, MSG_EOR … of the received message

    def sent_control(self) -> list[ControlMessage] | None:
        """The ancillary messages, when the sending socket comes to them: EINVAL, EBADF if they make no sense."""
        if self.control_error != 0:
            raise Errno(self.control_error)
        return self.control


class SocketHooks:
    """Functions that modules above this one register."""

    def __init__(self) -> None:
        # Interface requests (netdevice(7)), which every socket takes: socket, command, argument.
        self.interface_ioctl: Callable[[Socket, int, int], int] | None = None


@final
class DeviceValues:
    """What options about devices are set to (device_options.py). Nothing changes one that a socket has: the sockets
    that accept(2) makes have that of the listening socket.
    """

    def __init__(self) -> None:
        self.busy_poll_us: int = 0  # SO_BUSY_POLL
        self.busy_poll_budget: int = 0  # packets; 0: the usual number
        self.most_rate: int = NO_RATE  # SO_MAX_PACING_RATE: bytes a second
        self.transmit_clock: int = 0  # SO_TXTIME: CLOCK_*
        self.transmit_flags: int = 0  # SOF_TXTIME_*

    def copy(self) -> "DeviceValues":
        """One that can be changed. Raises MemoryError."""
        other = DeviceValues()
        other.busy_poll_us = self.busy_poll_us
        other.busy_poll_budget = self.busy_poll_budget
        other.most_rate = self.most_rate
        other.transmit_clock = self.transmit_clock
        other.transmit_flags = self.transmit_flags
        return other


def _first_device_values() -> DeviceValues | None:
    """Those of a new socket. Raises MemoryError."""
    if CORE.busy_read.value == 0:
        return None
    values = DeviceValues()
    values.busy_poll_us = CORE.busy_read.value
    return values


class Socket(File):
    """Base of all sockets."""

    def __init__(
        self, family: int, kind: int, protocol: int, uid: KernelUid, gid: KernelGid, network: Network
    ) -> None:
        creator = current_or_none()
        self.group: SocketGroup | None = None if creator is None else creator.cgroup  # its programs judge packets
        self.creator: Credentials | None = None  # rules may ask for it
        if creator is not None:
            self.creator = creator.credentials.without_rules()
        self.device_values: DeviceValues | None = _first_device_values()  # None: all are as in a new object
        super().__init__(socket_path(uid, gid), O_RDWR)
        self.network: Network = network
        self.holds_network: bool = False  # it counts as one of the network's users
        self.family: int = family
        self.kind: int = kind  # SOCK_*
        self.protocol: int = protocol
        self.pending_error: int = 0  # SO_ERROR: an errno that the next call reports
        self.is_listening: bool = False  # SO_ACCEPTCONN
        self.receive_timeout_ns: int = 0  # SO_RCVTIMEO; 0 is forever
        self.send_timeout_ns: int = 0
        self.send_limit: int = CORE.wmem_default.value  # SO_SNDBUF as getsockopt(2) reports it: doubled
        self.receive_limit: int = CORE.rmem_default.value
        self.buffer_locks: int = 0  # SO_BUF_LOCK: 1, SO_SNDBUF was set; 2, SO_RCVBUF was
        self.receive_low_water: int = 1
        self.switches: int = 0  # SWITCH_*
        self.linger_seconds: int = 0
        self.priority: int = 0
        self.mark: int = 0
        self.bound_device: int = 0  # SO_BINDTODEVICE: the index of the only interface that it uses; 0 for all
        self.peek_offset: int = -1  # SO_PEEK_OFF; negative: MSG_PEEK starts at the first byte
        self.incoming_cpu: int = -1
        self.timestamping: int = 0  # SOF_TIMESTAMPING_*
        self.filter: Filter | None = None  # SO_ATTACH_FILTER, SO_ATTACH_BPF
        self.lacks_room = False

    def hold_network(self) -> None:
        """Keep the network until the socket is closed: called for a program's socket, once it is complete."""
        self.holds_network = True
        self.network.acquire()

    def shown_local_address(self) -> bytes:
        """What getsockname(2) returns. May sleep. Raises MemoryError."""
        return self.local_address()

    def shown_peer_address(self) -> bytes:
        """What getpeername(2) and accept(2) return. May sleep. Raises ENOTCONN, MemoryError."""
        return self.peer_address()

    def begin(self) -> None:
        """A program has created it: it is whole, and nobody else's yet. Raises EPERM if it must not be; MemoryError."""

    def close(self) -> None:
        super().close()
        self.drop_filter()
        SOCKET_OWNERS.end(self.inode.ino)
        if self.holds_network:
            self.holds_network = False
            self.network.release()

    def take_options(self, listening: "Socket") -> None:
        """Have the options of the socket that accepted this connection."""
        self.switches = listening.switches
        self.linger_seconds = listening.linger_seconds
        self.send_limit = listening.send_limit
        self.receive_limit = listening.receive_limit
        self.buffer_locks = listening.buffer_locks
        self.receive_low_water = listening.receive_low_water
        self.receive_timeout_ns = listening.receive_timeout_ns
        self.send_timeout_ns = listening.send_timeout_ns
        self.bound_device = listening.bound_device
        self.priority = listening.priority
        self.mark = listening.mark
        self.device_values = listening.device_values
        try:
            SOCKET_OWNERS.clone(listening.inode.ino, self.inode.ino, CORE.optmem(self.network))
        except MemoryError:
            SOCKET_OWNERS.end(self.inode.ino)  # none rather than some

    def is_on(self, switch: int) -> bool:
        """Whether an option of the on-off kind (SWITCH_*) is on."""
        return self.switches & switch != 0

    def most_rate(self) -> int:
        """SO_MAX_PACING_RATE."""
        values = self.device_values
        return NO_RATE if values is None else values.most_rate

    def turn(self, switch: int, *, on: bool) -> None:
        """Turn an option of the on-off kind on or off."""
        self.switches = self.switches | switch if on else self.switches & ~switch

    def is_nonblocking(self, message_flags: int) -> bool:
        return self.flags & O_NONBLOCK != 0 or message_flags & MSG_DONTWAIT != 0

    def receive_deadline(self, message_flags: int) -> int:
        """Until when a receiving call waits, for `wait`: 0 for not at all."""
        if self.is_nonblocking(message_flags):
            return 0
        timeout_ns = self.receive_timeout_ns
        return monotonic_ns() + timeout_ns if timeout_ns != 0 else FOREVER_NS

    def send_deadline(self, message_flags: int) -> int:
        """The same for sending and connecting."""
        if self.is_nonblocking(message_flags):
            return 0
        timeout_ns = self.send_timeout_ns
        return monotonic_ns() + timeout_ns if timeout_ns != 0 else FOREVER_NS

    @sleeps
    def wait(self, queue: WaitQueue, deadline_ns: int) -> None:
        """Sleep until the queue is woken. EAGAIN once the deadline has passed; a signal is EINTR if there is a limit,
        else it restarts the call (signal(7)).
        """
        if deadline_ns == 0:
            raise Errno(EAGAIN)
        if deadline_ns == FOREVER_NS:
            queue.sleep(interruptible=True)
            return
        woken = False
        code = 0
        try:
            woken = queue.sleep_until(deadline_ns)
        except Errno as error:
            code = error.code
        if code != 0:
            raise Errno(EINTR if code == ERESTARTSYS else code)
        if not woken:
            raise Errno(EAGAIN)

    def room_told(self) -> None:
        self.lacks_room = False

    def take_error(self) -> int:
        """Return the pending error, and clear it."""
        error = self.pending_error
        self.pending_error = 0
        return error

    def bind(self, address: bytes) -> None:
        raise Errno(EOPNOTSUPP)

    def connect(self, address: bytes) -> None:
        raise Errno(EOPNOTSUPP)

    def connect_at_once(self, address: bytes) -> None:
        """The same without waiting, whatever the socket's O_NONBLOCK says. Those that may wait have their own."""
        self.connect(address)

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
        """Send; returns the number of bytes taken. EPIPE if the caller gets SIGPIPE, unless MSG_NOSIGNAL."""
        raise Errno(EOPNOTSUPP)

    def receive(self, message: Message) -> int:
        """Receive; returns the number of bytes, or with MSG_TRUNC the length of the whole datagram. 0 is the end."""
        raise Errno(EOPNOTSUPP)

    def shut_down(self, how: int) -> None:
        raise Errno(EOPNOTSUPP)

    def pair_with(self, other: "Socket") -> None:
        """socketpair(2): connect two new sockets of one family and type."""
        raise Errno(EOPNOTSUPP)

    def breaks_with_signal(self) -> bool:
        return self.kind == SOCK_STREAM

    def has_level(self, level: int) -> bool:
        """Whether the family has any options at this level, above SOL_SOCKET: checked before the value is read."""
        return True

    def check_level(self, level: int) -> None:
        """For getsockopt(2), before it reads the length: EOPNOTSUPP, ENOPROTOOPT for a level, other than SOL_SOCKET,
        that the socket does not have.
        """

    def takes_any_length(self, level: int, name: int) -> bool:
        """Whether getsockopt(2) takes a negative length for a large one."""
        return False

    def least_of_value(self, level: int, name: int, length: int) -> int:
        """For setsockopt(2), before it reads the value of `length` bytes: how many of them must be readable. A value of
        which none must be is not read at all. ENOPROTOOPT for an option that does not exist, EINVAL for a length that
        it cannot have.
        """
        return min(length, 4)

    def option_changed(self, name: int) -> None:
        """An option SO_* of level SOL_SOCKET was set."""

    def peer_credentials(self) -> bytes:
        """SO_PEERCRED: a struct ucred; that of no process if there is no peer with an identity."""
        return UNKNOWN_CREDENTIALS

    def set_filter(self, filter_: Filter | None) -> None:
        """SO_ATTACH_FILTER, SO_ATTACH_BPF; None: SO_DETACH_FILTER. ENOENT if there is none then, ENOMEM for programs
        larger than optmem_max; MemoryError.
        """
        if filter_ is None and self.filter is None:
            raise Errno(ENOENT)
        if filter_ is not None and filter_.size_bytes() + FILTER_BYTES >= CORE.optmem(self.network):
            raise Errno(ENOMEM)
        if filter_ is not None:
            filter_.keep()
        self.drop_filter()
        self.filter = filter_

    def set_chooser(self, chooser: Filter | None) -> None:
        """A program that chooses among the sockets that share a port; None: there is none any more. EINVAL for a socket
        that shares none, ENOENT, ENOMEM for programs larger than optmem_max; MemoryError.
        """
        raise Errno(EINVAL)

    def drop_filter(self) -> None:
        """The socket has none any more."""
        filter_ = self.filter
        if filter_ is not None:
            self.filter = None
            filter_.release()

    def reads_option_place(self, level: int, name: int) -> bool:
        """Whether getsockopt(2) reads a request from the place of the value: IP_MSFILTER, PACKET_HDRLEN."""
        return False

    def answer_option(self, level: int, name: int, request: bytes) -> bytes:
        """`get_option` of such an option."""
        raise Errno(ENOPROTOOPT)

    def memory_use(self) -> tuple[int, int, int]:
        """The sizes of the receive and send queues, and the number of dropped datagrams."""
        return 0, 0, 0

    def held_bytes(self) -> int:
        """What the socket costs with its filter, and in derived classes with its queues."""
        filter_ = self.filter
        return SOCKET_BYTES if filter_ is None else SOCKET_BYTES + filter_.held_bytes()

    def low_water_limit(self, wanted: int) -> int:
        """The largest allowed SO_RCVLOWAT."""
        return wanted

    def route_is_bad(self, advice: int) -> None:
        """SO_CNX_ADVICE: 1 says that sent packets do not arrive."""

    def peer_process(self) -> Process | None:
        """SO_PEERPIDFD: the process that connected or listened; None if there is none."""
        return None

    def peer_groups(self) -> list[int] | None:
        """SO_PEERGROUPS: its supplementary groups."""
        return None

    def set_peek_offset(self, offset: int) -> None:
        """SO_PEEK_OFF."""
        raise Errno(EOPNOTSUPP)

    def get_option(self, level: int, name: int, limit: int) -> bytes:
        """The value of an option, at most `limit` bytes of it. The levels above the family's are tried first."""
        raise Errno(ENOPROTOOPT)

    def set_option(self, level: int, name: int, value: bytes) -> None:
        raise Errno(ENOPROTOOPT)

    def read(self, buffer: Buffer) -> int:
        if buffer.remaining == 0:
            return 0
        return self.receive(Message(buffer, 0))

    def write(self, buffer: Buffer) -> int:
        return self.send(Message(buffer, MSG_EOR if self.kind == SOCK_SEQPACKET else 0))

    def takes_ring_commands(self) -> bool:
        """Whether a ring may ask for what follows (IORING_OP_URING_CMD)."""
        return False

    def readable_bytes(self) -> int:
        """SIOCINQ. Raises EINVAL for a listening socket."""
        return 0

    def unsent_bytes(self) -> int:
        """SIOCOUTQ. Raises EINVAL for a listening socket."""
        return 0

    def ioctl(self, command: int, argument: int) -> int:
        """Requests that a family does not know itself."""
        if command == FIOSETOWN or command == SIOCSPGRP or command == FIOGETOWN or command == SIOCGPGRP:
            return self.owner_ioctl(command, argument)
        interfaces = HOOKS.interface_ioctl
        if interfaces is None:
            raise Errno(ENOTTY)
        return interfaces(self, command, argument)

    def owner_ioctl(self, command: int, argument: int) -> int:
        """F_SETOWN and F_GETOWN by their older names (socket(7))."""
        if command == FIOSETOWN or command == SIOCSPGRP:
            choose_owner(self, user.read_i32(UserAddr(argument)))
        else:
            user.write_i32(UserAddr(argument), living_owner(self))
        return 0


HOOKS: Final = SocketHooks()
