"""Connections of unix sockets: listening, connecting, accepting (stream and sequenced-packet sockets).

connect(2) creates the other end at once and puts it into the listener's `waiting`, so a client may send before it is
accepted. A listener that closes ends the connections that wait there.
"""

from collections import deque
from typing import Final

from kernel.lang import (
    EAGAIN,
    ECONNREFUSED,
    ECONNRESET,
    EINVAL,
    EISCONN,
    Errno,
    recursion,
)
from kernel.lib.credentials import Credentials
from kernel.net.sockets.socket import (
    MSG_DONTWAIT,
    SWITCH_PASS_CREDENTIALS,
    SWITCH_PASS_PIDFD,
    SWITCH_PASS_SECURITY,
    Socket,
)
from kernel.net.unix.base import (
    BOTH,
    CONNECTED,
    LISTENING,
    NOT_YET,
    RECEIVING,
    UNCONNECTED,
    UnixSocket,
)
from kernel.net.unix.identity import own_identity
from kernel.net.unix.rights import SOCKETS, CollectableSocket, drop_socket
from kernel.task import current

# Options that a connection inherits from its listener.
_INHERITED: Final = SWITCH_PASS_CREDENTIALS | SWITCH_PASS_PIDFD | SWITCH_PASS_SECURITY


class ConnectedSocket(UnixSocket):
    """Base of the types that connect."""

    def new_end(self, credentials: Credentials) -> "ConnectedSocket":
        """A new socket of the same type, for the other end of a connection."""
        raise Errno(EINVAL)

    def listen(self, backlog: int) -> None:
        if not self.name or self.state == CONNECTED:
            raise Errno(EINVAL)
        identity = own_identity()
        if backlog > self.backlog:
            self.peer_queue.wake_all()
        self.backlog = backlog
        self.state = LISTENING
        self.is_listening = True
        self.peer_identity = identity

    def connect(self, address: bytes) -> None:
        self._connect(address, 0)

    def connect_at_once(self, address: bytes) -> None:
        self._connect(address, MSG_DONTWAIT)

    def _connect(self, address: bytes, message_flags: int) -> None:
        if self.needs_name_to_send():
            self.bind_to_any()
        deadline_ns = NOT_YET
        while True:
            listener = self.find(address)
            if listener.state != LISTENING or listener.ended & RECEIVING != 0:
                raise Errno(ECONNREFUSED)
            if len(listener.waiting) <= listener.backlog:
                break
            if deadline_ns == NOT_YET:
                deadline_ns = self.send_deadline(message_flags)
            if deadline_ns == 0:
                raise Errno(EAGAIN)
            self.wait(listener.peer_queue, deadline_ns)
        if self.state != UNCONNECTED:
            raise Errno(EISCONN if self.state == CONNECTED else EINVAL)
        self.check_scope(listener)
        identity = own_identity()
        end = self.new_end(current().credentials)
        try:
            listener.waiting.append(end)
        except MemoryError:
            end.release()
            raise
        end.is_accepted = False
        end.name = listener.name
        end.place = listener.place
        end.state = CONNECTED
        end.peer = self
        end.peer_identity = identity
        end.hold_network()
        self.peer = end
        self.state = CONNECTED
        self.peer_identity = listener.peer_identity
        listener.read_queue.wake_all()

    def accept(self, flags: int) -> Socket:
        if self.state != LISTENING:
            raise Errno(EINVAL)
        deadline_ns = NOT_YET
        while not self.waiting:
            if self.ended & RECEIVING != 0:
                raise Errno(EINVAL)
            if deadline_ns == NOT_YET:
                deadline_ns = self.receive_deadline(0)
            self.wait(self.read_queue, deadline_ns)
        end = self.waiting.popleft()
        SOCKETS.touch(end)
        end.is_accepted = True
        end.flags |= flags
        end.switches = self.switches & _INHERITED
        self.peer_queue.wake_all()
        return end

    def leave_peer(self, peer: UnixSocket) -> None:
        """The peer sees the end; a reset if data it sent were never read, or the connection was never accepted."""
        peer.ended = BOTH
        if len(self.queue) > 0 or not self.is_accepted:
            peer.pending_error = ECONNRESET
        peer.wake_everybody()

    @recursion(2)  # sockets waiting in it close in `drop_socket`, one after the other
    def close(self) -> None:
        waiting: deque[CollectableSocket] = self.waiting
        while waiting:
            drop_socket(waiting.popleft())
        super().close()
