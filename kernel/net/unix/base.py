"""The common part of all unix sockets: a name, a peer, a receive queue, readiness, credentials.

Invariants: `used` is the sum of the costs of the parcels that this socket sent and that were not received yet. A socket
whose peer has closed keeps its reference, so that it still knows the peer's name. `ended` holds what was shut down, by
either side.

Context: sending and receiving sleep; closing does not.
Source: unix(7), POSIX sockets. The order of checks is Linux's.
"""

from typing import Final

from kernel.fs.constants import (
    FIONREAD,
    MAY_WRITE,
    POLLERR,
    POLLHUP,
    POLLRDHUP,
    POLLWRBAND,
    READABLE,
    S_IFSOCK,
    WRITABLE,
)
from kernel.fs.file import File
from kernel.fs.inode import Inode
from kernel.fs.names import make_node, take_back
from kernel.fs.path import FsContext, Path
from kernel.fs.walk import FOLLOW, resolve
from kernel.lang import (
    EADDRINUSE,
    ECONNREFUSED,
    EEXIST,
    EINVAL,
    ENOSPC,
    ENOTCONN,
    EPERM,
    EPIPE,
    EPROTOTYPE,
    Errno,
    UserAddr,
)
from kernel.lib import user
from kernel.lib.credentials import Credentials, gid_for_caller
from kernel.lib.domain import SCOPE_ABSTRACT_SOCKET, Scope, is_out_of_scope
from kernel.lib.pace import pace
from kernel.net.link.network import Network
from kernel.net.sockets.ancillary import timestamp_message
from kernel.net.sockets.socket import (
    MSG_CTRUNC,
    SCM_CREDENTIALS,
    SCM_PIDFD,
    SCM_RIGHTS,
    SHUT_RD,
    SHUT_RDWR,
    SOCK_DGRAM,
    SOL_SOCKET,
    SWITCH_PASS_CREDENTIALS,
    SWITCH_PASS_PIDFD,
    SWITCH_TIMESTAMP,
    UNKNOWN_CREDENTIALS,
    ControlMessage,
    Message,
    Socket,
    release_files,
)
from kernel.net.unix.addresses import INODES, abstract_names_of, address_with, asks_for_any_name, name_of
from kernel.net.unix.contents import bytes_held_by
from kernel.net.unix.identity import PeerIdentity, check_claim, identity_bytes, number_of, own_identity, sign
from kernel.net.unix.parcel import Parcel
from kernel.net.unix.rights import (
    SOCKETS,
    CollectableSocket,
    check_files_under_way,
    drop_files,
    send_files,
    take_files,
)
from kernel.net.unix.unreachable import collect_after_close, collect_if_due
from kernel.sched import PollWaiter, WaitQueue
from kernel.task import Process, current
from kernel.task.limits import RLIMIT_NOFILE
from kernel.task.pidfd import PidFile
from kernel.time import realtime_ns

UNCONNECTED: Final = 0
LISTENING: Final = 1
CONNECTED: Final = 2

# What has ended, bits of `ended`.
RECEIVING: Final = 1
SENDING: Final = 2
BOTH: Final = 3

SIOCOUTQ: Final = 0x5411
SIOCATMARK: Final = 0x8905
NOT_YET: Final = -1  # a deadline not yet computed
# Options that ask for the sender's identity.
_PASSES_IDENTITY: Final = SWITCH_PASS_CREDENTIALS | SWITCH_PASS_PIDFD
_DISCARD_COST: Final = 600  # instructions for a parcel that is not received
_DATAGRAM_BACKLOG: Final = 10  # net.unix.max_dgram_qlen


class UnixSocket(CollectableSocket):
    """Base of the three types."""

    def __init__(self, kind: int, protocol: int, credentials: Credentials, network: Network) -> None:
        self.read_queue: WaitQueue = WaitQueue()  # something was received, or the stream ended
        self.write_queue: WaitQueue = WaitQueue()  # there is room to send
        self.peer_queue: WaitQueue = WaitQueue()  # other sockets wait to send or to connect to this one
        super().__init__(kind, protocol, credentials, network)
        self.scope: Scope | None = credentials.scope  # of its creator's domain
        self.name: bytes = b""
        self.owns_name: bool = False  # False for the name that an accepted connection has from its listener
        self.bound_to: Path | None = None  # the file system's entry of the name
        self.bound_inode: Inode | None = None
        self.place: Inode | None = None  # the inode of the name: its own, or its listener's
        self.peer: UnixSocket | None = None
        self.state: int = UNCONNECTED
        self.ended: int = 0
        self.is_dead: bool = False
        self.used: int = 0
        self.backlog: int = _DATAGRAM_BACKLOG  # a longer queue makes senders wait
        self.peer_identity: PeerIdentity | None = None

    # ---- Names ------------------------------------------------------------------------------------------------

    def bind(self, address: bytes) -> None:
        if asks_for_any_name(address):
            self.bind_to_any()
            return
        name = name_of(address)
        if name[0] != 0:
            self._bind_to_path(name)
            return
        if self.name:
            raise Errno(EINVAL)
        if abstract_names_of(self.network).find(self.kind, name) is not None:
            raise Errno(EADDRINUSE)
        abstract_names_of(self.network).enter(self.kind, name, self)
        self.name = name
        self.owns_name = True

    def bind_to_any(self) -> None:
        """Take a free abstract name, unless the socket has a name."""
        if self.name:
            return
        name = abstract_names_of(self.network).unused_name(self.kind)
        if self.name:
            return  # another thread has bound it meanwhile
        if not name:
            raise Errno(ENOSPC)
        abstract_names_of(self.network).enter(self.kind, name, self)
        self.name = name
        self.owns_name = True

    def _bind_to_path(self, name: bytes) -> None:
        context = current().fs
        text = name[: len(name) - 1]
        mode = S_IFSOCK | (self.inode.mode & 0o777)
        path = _make_socket_node(context, text, mode)
        inode = path.inode()
        try:
            if self.name:
                raise Errno(EINVAL)
            INODES.enter(inode, self)
        except (Errno, MemoryError):
            take_back(path)
            raise
        inode.acquire()
        self.bound_to = path.pin()
        self.bound_inode = inode
        self.place = inode
        self.name = name
        self.owns_name = True

    def _leave_names(self) -> None:
        place = self.bound_to
        inode = self.bound_inode
        if place is not None and inode is not None:
            self.bound_to = None
            self.bound_inode = None
            INODES.take_out(inode)
            inode.release()
            place.unpin()
        elif self.owns_name:
            abstract_names_of(self.network).take_out(self.kind, self.name)

    def find(self, address: bytes) -> "UnixSocket":
        """The socket of this type bound to an address. ECONNREFUSED, EPROTOTYPE, errors of path walks."""
        name = name_of(address)
        if name[0] == 0:
            other = abstract_names_of(self.network).find(self.kind, name)
            if other is None:
                raise Errno(ECONNREFUSED)
            return other
        context = current().fs
        path = resolve(context, None, name[: len(name) - 1], FOLLOW)
        with path:  # reading an access control list sleeps
            inode = path.inode()
            inode.check_permission(path.mount.actor(context.credentials), MAY_WRITE)
            other = INODES.find(inode) if inode.is_socket() else None
            if other is None:
                raise Errno(ECONNREFUSED)
            if other.kind != self.kind:
                raise Errno(EPROTOTYPE)
            path.mount.touch_accessed(inode)
            return other

    def check_scope(self, other: "UnixSocket") -> None:
        """Check that the caller's domain lets it reach a socket with an abstract name. Raises EPERM."""
        scope = current().credentials.scope
        if scope is not None and other.name.startswith(b"\0") and is_out_of_scope(
            scope, other.scope, SCOPE_ABSTRACT_SOCKET
        ):
            raise Errno(EPERM)

    def local_address(self) -> bytes:
        return address_with(self.name)

    def peer_address(self) -> bytes:
        peer = self.peer
        if peer is None:
            raise Errno(ENOTCONN)
        return address_with(peer.name)

    def needs_name_to_send(self) -> bool:
        """A socket that asks for identities must be answerable: it gets a name before it connects or sends."""
        return not self.name and self.is_on(_PASSES_IDENTITY)

    # ---- Connection state -------------------------------------------------------------------------------------

    def pair_with(self, other: Socket) -> None:
        if not isinstance(other, UnixSocket):
            raise Errno(EINVAL)
        self.peer = other
        other.peer = self
        self.state = CONNECTED
        other.state = CONNECTED
        self.peer_identity = own_identity()
        other.peer_identity = self.peer_identity

    def shut_down(self, how: int) -> None:
        if how < SHUT_RD or how > SHUT_RDWR:
            raise Errno(EINVAL)
        ending = how + 1
        self.ended |= ending
        peer = self.peer
        if peer is not None and self.kind != SOCK_DGRAM:
            # When one side stops receiving, the other cannot send, and the reverse.
            peer.ended |= (ending & RECEIVING) << 1 | (ending & SENDING) >> 1
            peer.wake_everybody()
        self.wake_everybody()

    def wake_everybody(self) -> None:
        self.read_queue.wake_all()
        self.write_queue.wake_all()
        self.peer_queue.wake_all()

    def close(self) -> None:
        self.is_dead = True
        self.ended = BOTH
        self._leave_names()
        SOCKETS.remove(self)
        peer = self.peer
        self.peer = None
        if peer is not None:
            self.leave_peer(peer)
        queue = self.queue
        while queue:
            parcel = self.take_first()
            self.discard(parcel)
            pace(_DISCARD_COST)  # nobody sends to it any more
        self.wake_everybody()
        super().close()
        collect_after_close()

    def leave_peer(self, peer: "UnixSocket") -> None:
        """This socket closes: notify the peer, if it is of a kind that is notified."""

    def discard(self, parcel: Parcel) -> None:
        """A parcel was received, or never will be."""
        drop_files(parcel)
        self.uncharge(parcel)

    def uncharge(self, parcel: Parcel) -> None:
        """Give the sender its room back."""
        sender = parcel.sender
        sender.used -= parcel.cost()
        if sender.has_room():
            sender.write_queue.wake_all()

    def has_room(self) -> bool:
        """Whether poll(2) reports room to send: only once three quarters are free, so that a sender that
        waited has enough to do.
        """
        return self.used * 4 <= self.send_limit

    # ---- Sending ----------------------------------------------------------------------------------------------

    def check_control(self, message: Message) -> bytes:
        """Check the ancillary messages; returns the identity that SCM_CREDENTIALS claims, or nothing. EINVAL, EBADF."""
        control = message.sent_control()
        claim = b""
        if control is not None:
            for part in control:
                if part.level != SOL_SOCKET:
                    continue
                if part.kind == SCM_CREDENTIALS:
                    check_claim(part.data)
                    claim = part.data
                elif part.kind != SCM_RIGHTS:
                    raise Errno(EINVAL)
                else:
                    collect_if_due()  # here, where nothing has begun: it may sleep
        return claim

    def wait_for_room(self, deadline_ns: int) -> None:
        """Wait until less is unreceived than the send buffer holds. Raises the pending error, EPIPE, EAGAIN, EINTR …"""
        while True:
            if self.pending_error != 0:
                raise Errno(self.take_error())
            if self.ended & SENDING != 0:
                raise Errno(EPIPE)
            if self.used < self.send_limit:
                return
            self.lacks_room = True
            self.wait(self.write_queue, deadline_ns)

    def fill_in(self, parcel: Parcel, message: Message, claim: bytes, receiver: "UnixSocket") -> None:
        """Attach identity and files to a parcel."""
        asks = receiver.is_on(_PASSES_IDENTITY) or not receiver.is_accepted  # who accepts it may ask for it yet
        if len(claim) > 0 or self.is_on(_PASSES_IDENTITY) or asks:
            sign(parcel, claim)
        control = message.control
        if control is None:
            return
        is_checked = False
        for part in control:
            files = part.files
            if files is None or len(files) == 0:
                continue
            task = current()
            if not is_checked:
                check_files_under_way(task.credentials, task.process.limits.soft[RLIMIT_NOFILE])
                is_checked = True
            send_files(parcel, files, task.credentials.uid)
            part.files = None

    def post(self, parcel: Parcel, message: Message, claim: bytes, receiver: "UnixSocket") -> None:
        """Put a parcel, with its attachments, into the receiver's queue. Raises ETOOMANYREFS, MemoryError: then nothing
        was sent.
        """
        is_posted = False
        try:
            self.fill_in(parcel, message, claim, receiver)
            if receiver.is_on(SWITCH_TIMESTAMP):
                parcel.time_ns = realtime_ns()
            receiver.put_last(parcel)
            is_posted = True
        finally:
            if not is_posted:
                drop_files(parcel)
        self.used += parcel.cost()
        receiver.read_queue.wake_all()

    # ---- Receiving --------------------------------------------------------------------------------------------

    def prepare_control(self, message: Message, parcel: Parcel, peeking: bool) -> list[ControlMessage] | None:
        """What is attached to a parcel: identity, then files, of which a peeker gets copies. None if there is nothing.
        It is handed over, or dropped, once the bytes were copied; until then the parcel is as it was. Raises ENFILE,
        MemoryError.
        """
        if not self.is_on(_PASSES_IDENTITY | SWITCH_TIMESTAMP) and parcel.files is None:
            return None
        control: list[ControlMessage] = []
        if not message.wants_control:
            return control
        stamp = timestamp_message(self, parcel.time_ns)
        if stamp is not None:
            control.append(stamp)
        if self.is_on(SWITCH_PASS_CREDENTIALS):
            identity = identity_bytes(number_of(parcel.process), parcel.uid, parcel.gid)
            control.append(ControlMessage(SOL_SOCKET, SCM_CREDENTIALS, identity))
        files = parcel.files
        copies = files[:] if files is not None and peeking else None
        if files is not None:
            rights = ControlMessage(SOL_SOCKET, SCM_RIGHTS, b"")
            rights.files = copies
            control.append(rights)
        process = parcel.process
        if self.is_on(SWITCH_PASS_PIDFD) and process is not None:
            sender = ControlMessage(SOL_SOCKET, SCM_PIDFD, b"")
            held: list[File] = [parcel.sender]  # its place: nothing may fail once the file is there
            control.append(sender)
            held[0] = PidFile(process, 0)
            sender.files = held
        if copies is not None:
            for file in copies:
                if isinstance(file, CollectableSocket):
                    SOCKETS.touch(file)
                file.acquire()
        return control

    def hand_over(self, message: Message, parcel: Parcel, control: list[ControlMessage], peeking: bool) -> None:
        """The bytes were copied: give the reader what was prepared, and the files of the parcel."""
        if not message.wants_control:
            if self.is_on(_PASSES_IDENTITY) or parcel.files is not None:
                message.result_flags |= MSG_CTRUNC
            if not peeking:
                drop_files(parcel)
            return
        if not peeking:
            take_rights(parcel, control)
        earlier = message.control  # of another parcel that this read has taken
        message.control = control
        release_files(earlier)

    # ---- Readiness and the rest -------------------------------------------------------------------------------

    def held_bytes(self) -> int:
        return super().held_bytes() + self.queued_bytes

    def counted_bytes(self, count: int) -> int:
        return bytes_held_by(self, count)

    def input_queue(self) -> WaitQueue | None:
        return self.read_queue

    def output_queue(self) -> WaitQueue | None:
        return self.write_queue

    def poll(self, waiter: PollWaiter | None) -> int:
        if waiter is not None:
            waiter.wait_on(self.read_queue)
            waiter.wait_on(self.write_queue)
        state = 0
        if self.pending_error != 0:
            state |= POLLERR
        if self.ended == BOTH:
            state |= POLLHUP
        if self.ended & RECEIVING != 0:
            state |= POLLRDHUP | READABLE
        if len(self.queue) > 0 or len(self.waiting) > 0:
            state |= READABLE
        if self.kind != SOCK_DGRAM and self.state == UNCONNECTED:
            state |= POLLHUP
        if self.state != LISTENING and self.has_room() and self.can_reach_peer(waiter):
            state |= WRITABLE | POLLWRBAND
        return state

    def can_reach_peer(self, waiter: PollWaiter | None) -> bool:
        """Whether the peer's queue has room."""
        return True

    def peer_credentials(self) -> bytes:
        identity = self.peer_identity
        return UNKNOWN_CREDENTIALS if identity is None else identity.shown()

    def peer_process(self) -> Process | None:
        identity = self.peer_identity
        return None if identity is None else identity.process

    def peer_groups(self) -> list[int] | None:
        identity = self.peer_identity
        return None if identity is None else [gid_for_caller(group) for group in identity.groups]

    def has_level(self, level: int) -> bool:
        return False

    def set_peek_offset(self, offset: int) -> None:
        self.peek_offset = offset

    def ioctl(self, command: int, argument: int) -> int:
        if command == FIONREAD:
            if self.state == LISTENING:
                raise Errno(EINVAL)
            user.write_i32(UserAddr(argument), self.bytes_to_read())
            return 0
        if command == SIOCOUTQ:
            user.write_i32(UserAddr(argument), self.used)
            return 0
        if command == SIOCATMARK:
            user.write_i32(UserAddr(argument), 1 if self.is_at_mark() else 0)
            return 0
        return super().ioctl(command, argument)

    def is_at_mark(self) -> bool:
        """SIOCATMARK: whether the next byte is urgent, or directly follows an urgent one that was taken."""
        return False

    def bytes_to_read(self) -> int:
        """FIONREAD."""
        total = 0
        for parcel in self.queue:
            total += len(parcel)
        return total


def take_rights(parcel: Parcel, control: list[ControlMessage]) -> None:
    """Move the files of a parcel, if it still has them, to the message for them."""
    for each in control:
        if each.kind == SCM_RIGHTS and each.files is None:
            each.files = take_files(parcel)


def _make_socket_node(context: FsContext, name: bytes, mode: int) -> Path:
    code = 0
    try:
        # The umask applies here whatever the directory's default list says, as on Linux.
        return make_node(context, None, name, mode & ~context.umask, 0)
    except Errno as error:
        code = error.code
    raise Errno(EADDRINUSE if code == EEXIST else code)
