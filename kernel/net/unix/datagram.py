"""Datagram and sequenced-packet sockets: messages with boundaries.

A sender waits while its own buffer is full, and while the receiver's backlog of datagrams is full; a receiver that is
connected to the sender takes as much as the sender's buffer holds.
"""

from typing import Final

from kernel.lang import (
    EAGAIN,
    ECONNREFUSED,
    ECONNRESET,
    EINVAL,
    EMSGSIZE,
    ENOTCONN,
    EOPNOTSUPP,
    EPERM,
    EPIPE,
    Errno,
    span_of,
)
from kernel.lib.credentials import Credentials
from kernel.lib.pace import pace
from kernel.net.link.network import Network
from kernel.net.sockets.socket import (
    AF_UNSPEC,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    SOCK_DGRAM,
    SOCK_SEQPACKET,
    Message,
    release_files,
)
from kernel.net.unix.addresses import address_with, family_of, name_of
from kernel.net.unix.base import CONNECTED, NOT_YET, RECEIVING, UNCONNECTED, UnixSocket, take_rights
from kernel.net.unix.connection import ConnectedSocket
from kernel.net.unix.parcel import Parcel
from kernel.net.unix.rights import SOCKETS
from kernel.sched import PollWaiter

_RESERVED: Final = 32  # of the send buffer, that no datagram may use


# ---- Sending --------------------------------------------------------------------------------------------------------


def send_packet(socket: UnixSocket, message: Message) -> int:
    """Send one datagram to the address of the message, or to the peer."""
    pace(0)  # so that no filter drops it for what was before
    claim = socket.check_control(message)
    if message.flags & MSG_OOB != 0:
        raise Errno(EOPNOTSUPP)
    if message.address:
        name_of(message.address)  # EINVAL comes first
    elif socket.peer is None:
        raise Errno(ENOTCONN)
    if socket.needs_name_to_send():
        socket.bind_to_any()
    length = message.buffer.remaining
    if length > socket.send_limit - _RESERVED:
        raise Errno(EMSGSIZE)
    deadline_ns = socket.send_deadline(message.flags)
    socket.wait_for_room(deadline_ns)
    parcel = Parcel(length, socket)
    if message.buffer.take(parcel.room()) < length:
        message.buffer.faulted = True
        return 0
    parcel.end = length
    receiver = _receiver(socket, message, deadline_ns)
    filter_ = receiver.filter
    if filter_ is not None:
        wanted = filter_.wanted_in(parcel.storage, receiver)
        if wanted <= 0:
            return length
        parcel.end = min(length, wanted)
    socket.post(parcel, message, claim, receiver)
    return length


def _receiver(socket: UnixSocket, message: Message, deadline_ns: int) -> UnixSocket:
    """The socket that gets the datagram, once it has room."""
    while True:
        other = socket.find(message.address) if message.address else socket.peer
        if other is None:
            raise Errno(ECONNREFUSED)
        if not may_send(socket, other):
            raise Errno(EPERM)
        if other.is_dead:
            if socket.kind == SOCK_SEQPACKET:
                raise Errno(EPIPE)
            socket.peer = None
            socket.state = UNCONNECTED
            raise Errno(ECONNREFUSED)
        if other.ended & RECEIVING != 0:
            raise Errno(EPIPE)
        if socket.peer is not other:
            socket.check_scope(other)
        if not is_full_for(socket, other):
            return other
        socket.wait(other.peer_queue, deadline_ns)


def may_send(socket: UnixSocket, other: UnixSocket) -> bool:
    """Whether a socket may send to another: a connected socket receives only from its peer."""
    peer = other.peer
    return peer is None or peer is socket


def is_full_for(socket: UnixSocket, other: UnixSocket) -> bool:
    """Whether the backlog of `other` is full, which its own peer may ignore."""
    return other is not socket and other.peer is not socket and len(other.queue) > other.backlog


# ---- Receiving ------------------------------------------------------------------------------------------------------


def receive_packet(socket: UnixSocket, message: Message) -> int:
    """Receive one datagram; what does not fit is lost (MSG_TRUNC)."""
    if message.flags & MSG_OOB != 0:
        raise Errno(EOPNOTSUPP)
    peeking = message.flags & MSG_PEEK != 0
    index = _next_packet(socket, message, peeking)
    if index < 0:
        return 0
    parcel = socket.queue[index]
    skip = 0
    if peeking:
        skip = _peek_position(socket, index)
    if parcel.sender.name:
        message.address = address_with(parcel.sender.name)
    control = socket.prepare_control(message, parcel, peeking)
    if not peeking:
        socket.take_first()  # nothing before this has changed anything
        if control is not None:
            take_rights(parcel, control)  # now: in no queue, they would pass for garbage while the copy sleeps
        socket.peer_queue.wake_all()
    rest = len(parcel) - skip
    size = min(rest, message.buffer.remaining)
    if size < rest:
        message.result_flags |= MSG_TRUNC
    is_copied = False
    try:
        is_copied = message.buffer.put(span_of(parcel.storage)[skip : skip + size]) == size
    finally:
        if not is_copied:
            release_files(control)
            if not peeking:
                socket.discard(parcel)
    if not is_copied:
        return 0
    if control is not None:
        socket.hand_over(message, parcel, control, peeking)
    if socket.peek_offset >= 0:
        socket.peek_offset = socket.peek_offset + size if peeking else max(0, socket.peek_offset - len(parcel))
    if not peeking:
        socket.discard(parcel)
    return rest if message.flags & MSG_TRUNC != 0 else size


def _next_packet(socket: UnixSocket, message: Message, peeking: bool) -> int:
    """Wait for the datagram to receive; returns its index in the queue, or -1 at the end."""
    deadline_ns = NOT_YET
    while True:
        if socket.pending_error != 0:
            raise Errno(socket.take_error())
        index = _peek_index(socket) if peeking else 0
        if index < len(socket.queue):
            return index
        if deadline_ns == NOT_YET:
            deadline_ns = socket.receive_deadline(message.flags)
        if socket.ended & RECEIVING != 0 and (deadline_ns != 0 or socket.kind == SOCK_SEQPACKET):
            return -1
        if deadline_ns == 0:
            raise Errno(EAGAIN)
        socket.wait(socket.read_queue, deadline_ns)


def _peek_index(socket: UnixSocket) -> int:
    """The index of the datagram at SO_PEEK_OFF."""
    left = socket.peek_offset
    for index in range(len(socket.queue)):
        length = len(socket.queue[index])
        if left < length or length == 0:
            return index
        left -= length
    return len(socket.queue)


def _peek_position(socket: UnixSocket, index: int) -> int:
    """The offset of SO_PEEK_OFF in that datagram."""
    left = max(0, socket.peek_offset)
    for before in range(index):
        left -= len(socket.queue[before])
    return min(left, len(socket.queue[index]))


# ---- Sockets --------------------------------------------------------------------------------------------------------


class DatagramSocket(UnixSocket):
    """SOCK_DGRAM."""

    def __init__(self, protocol: int, credentials: Credentials, network: Network) -> None:
        super().__init__(SOCK_DGRAM, protocol, credentials, network)
        SOCKETS.add(self)

    def connect(self, address: bytes) -> None:
        if family_of(address) == AF_UNSPEC:
            self._set_peer(None)
            return
        if len(address) < 2:
            raise Errno(EINVAL)
        if self.needs_name_to_send():
            self.bind_to_any()
        other = self.find(address)
        if not may_send(self, other):
            raise Errno(EPERM)
        if self.peer is not other:
            self.check_scope(other)
        self._set_peer(other)

    def _set_peer(self, other: UnixSocket | None) -> None:
        """Connect to another peer: what the old one sent is dropped, and it is notified if it was connected here."""
        old = self.peer
        self.peer = other
        self.state = CONNECTED if other is not None else UNCONNECTED
        if old is None or old is other:
            return
        dropped: Parcel | None = None
        while self.queue:  # all of them first: closing files may sleep, and others send and receive meanwhile
            parcel = self.take_first()
            parcel.next = dropped
            dropped = parcel
        while dropped is not None:
            parcel = dropped
            dropped = parcel.next
            parcel.next = None
            self.discard(parcel)
        if not old.is_dead and old.peer is self:
            old.pending_error = ECONNRESET
        old.wake_everybody()
        self.wake_everybody()

    def send(self, message: Message) -> int:
        return send_packet(self, message)

    def receive(self, message: Message) -> int:
        return receive_packet(self, message)

    def can_reach_peer(self, waiter: PollWaiter | None) -> bool:
        peer = self.peer
        if peer is None:
            return True
        if waiter is not None and peer.peer is not self:
            waiter.wait_on(peer.peer_queue)
        return not is_full_for(self, peer)

    def bytes_to_read(self) -> int:
        """The length of the next datagram."""
        return len(self.queue[0]) if self.queue else 0


class SequencedSocket(ConnectedSocket):
    """SOCK_SEQPACKET."""

    def __init__(self, protocol: int, credentials: Credentials, network: Network) -> None:
        super().__init__(SOCK_SEQPACKET, protocol, credentials, network)
        SOCKETS.add(self)

    def new_end(self, credentials: Credentials) -> ConnectedSocket:
        return SequencedSocket(0, credentials, self.network)

    def send(self, message: Message) -> int:
        if self.pending_error != 0:
            raise Errno(self.take_error())
        if self.state != CONNECTED:
            raise Errno(ENOTCONN)
        message.address = b""
        return send_packet(self, message)

    def receive(self, message: Message) -> int:
        if self.state != CONNECTED:
            raise Errno(ENOTCONN)
        return receive_packet(self, message)
